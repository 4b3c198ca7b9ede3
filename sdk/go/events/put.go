package events

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// MaxPut is how many events PutAll takes, with one MiB together.
const MaxPut = op.MaxSend

// Errors of Put and PutAll before anything was done.
var (
	ErrInvalid     = op.ErrInvalid     // no event, no source or type, a detail that is no JSON object
	ErrTooLarge    = op.ErrTooLarge    // over a limit
	ErrQuota       = op.ErrQuota       // the app holds all that it may
	ErrUnavailable = op.ErrUnavailable // try again
	ErrTooMany     = abi.ErrQueueCalls // the invocation has made all the calls it may
	ErrUnsupported = abi.ErrNoQueues   // there is no bus here
)

// Errors after which it may have happened. A call that ran into its context's deadline is context.DeadlineExceeded, too.
var (
	ErrUnknown = op.ErrUnknown      // it may have happened or yet happen, once
	ErrFailed  = abi.ErrQueueFailed // the node's fault; its log says why
)

// New is an event to be put on the app's bus. Source and Type must be given.
type New struct {
	Source    string    // such as shop.orders; none begins with sett.
	Type      string    // what has happened, such as placed
	Detail    any       // encoded as a JSON object; nil: an empty one
	Resources []string  // what it is about
	Time      time.Time // when it happened; zero: now
}

// Put puts an event on the app's bus and answers its id. Once it returns, the event is on the disks of a majority of the
// nodes; functions whose rules it matches get it later.
func Put(ctx context.Context, e New) (id string, err error) {
	ids, err := PutAll(ctx, e)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	return ids[0], nil
}

// PutAll puts events, all of them or none, and answers their ids.
func PutAll(ctx context.Context, events ...New) (ids []string, err error) {
	s := abi.QueueSend{To: abi.DefaultBus, Messages: make([]op.Outgoing, len(events))}
	for i, e := range events {
		if s.Messages[i].Body, err = e.encode(); err != nil {
			return nil, fmt.Errorf("put events: event %d: %w", i+1, err)
		}
	}
	sent, err := host.EventPut(ctx, &s)
	if err != nil {
		return nil, fmt.Errorf("put events: %w", err)
	}
	for _, s := range sent {
		ids = append(ids, s.ID)
	}
	return ids, nil
}

// encode is the event as the host takes it.
func (e New) encode() ([]byte, error) {
	detail := json.RawMessage("{}")
	if e.Detail != nil {
		var err error
		if detail, err = json.Marshal(e.Detail); err != nil {
			return nil, err
		}
	}
	return json.Marshal(wireEvent{e.Source, e.Type, detail, e.Resources, e.Time})
}

// wireEvent is an event on its way to the host.
type wireEvent struct {
	Source    string          `json:"source"`
	Type      string          `json:"detail_type"`
	Detail    json.RawMessage `json:"detail"`
	Resources []string        `json:"resources,omitempty"`
	Time      time.Time       `json:"time,omitzero"`
}
