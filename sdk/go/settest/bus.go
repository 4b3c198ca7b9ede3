//go:build !wasip1

package settest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Bus makes an event bus that handlers put events on with package events in this test; without it they get
// events.ErrUnsupported. It has no rules. What it answers answers the events that were put until then, in that order.
//
//	put := settest.Bus(t)
//	settest.Get(t, "/checkout")
//	if e := put(); len(e) != 1 || e[0].Type != "placed" { ... }
func Bus(t testing.TB) (put func() []events.Bus) {
	t.Helper()
	var mu sync.Mutex // guards all
	var all []events.Bus
	change(t, func(w *host.World) {
		w.Events = func(_ context.Context, messages []op.Outgoing) ([]op.Sent, error) {
			mu.Lock()
			defer mu.Unlock()
			var sent []op.Sent
			added := all
			for _, m := range messages {
				e, err := busEvent(m.Body)
				if err != nil {
					return nil, err
				}
				e.ID = fmt.Sprintf("%026d", len(added)+1)
				added, sent = append(added, e), append(sent, op.Sent{ID: e.ID})
			}
			all = added
			return sent, nil
		}
	})
	return func() []events.Bus {
		mu.Lock()
		defer mu.Unlock()
		return append([]events.Bus(nil), all...)
	}
}

// busEvent reads an event that is put, and refuses what a node refuses.
func busEvent(body []byte) (e events.Bus, err error) {
	var wire struct {
		Type string `json:"detail_type"`
	}
	var detail map[string]any
	if err := json.Unmarshal(body, &wire); err != nil {
		return e, fmt.Errorf("%w: %w", err, op.ErrInvalid)
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("%w: %w", err, op.ErrInvalid)
	}
	e.Version, e.Type, e.Account, e.Region = "0", wire.Type, "000000000000", "local"
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	if e.Source == "" || e.Type == "" || json.Unmarshal(e.Detail, &detail) != nil || detail == nil {
		return e, fmt.Errorf("event without a source, a type, or a detail that is a JSON object: %w", op.ErrInvalid)
	}
	return e, nil
}
