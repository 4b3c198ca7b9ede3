package trigger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// bothStores is where a stream's effects happen: they are committed with the stream's record.
type bothStores struct {
	*op.Memory
	mu      sync.Mutex // guards the rest
	err     error      // of the next commit
	unknown bool       // and yet it happens; and nothing can be read until the next one
	blind   bool
	commits int
}

func (b *bothStores) Get(ctx context.Context, namespace, key string, r op.Read) (op.Item, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.blind {
		return op.Item{}, op.ErrUnavailable
	}
	return b.Memory.Get(ctx, namespace, key, r)
}

// fail has the next effects fail.
func (b *bothStores) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.unknown = err, errors.Is(err, op.ErrUnknown)
}

type effects struct{ *bothStores }

func (b effects) Commit(ctx context.Context, app string, e *op.Effects, end op.Ending) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.err
	b.err, b.blind = nil, b.unknown
	if err != nil && !b.unknown {
		return err
	}
	b.unknown = false
	o := op.Op{Kind: op.Set, Key: end.Record.Key, Value: end.Becomes}
	if _, commitErr := b.Memory.Commit(ctx, op.Txn{Namespace: op.System, Checks: []op.Check{end.Record}, Ops: []op.Op{o}}); commitErr != nil {
		return commitErr
	}
	b.commits++
	if _, commitErr := b.Memory.Commit(ctx, op.Txn{Namespace: app + "-effects", Ops: e.Ops}); commitErr != nil {
		return commitErr
	}
	return err
}

// TestStreamCommits: what a batch asks for happens once, with the place behind it, whatever comes between.
func TestStreamCommits(t *testing.T) {
	asks := func(t *testing.T, c call) *abi.Result {
		e := new(op.Effects)
		for _, p := range pairs(t, c) {
			key, _, _ := strings.Cut(p, "=")
			e.Ops = append(e.Ops, op.Op{Kind: op.Incr, Key: key, Delta: 1})
		}
		return &abi.Result{Effects: e}
	}
	for name, c := range map[string]struct {
		err    error
		answer func(t *testing.T, c call) *abi.Result
		calls  string
	}{
		"at once":         {nil, asks, "a=1 b=1 c=1 | d=1"},
		"a conflict":      {op.ErrConflict, asks, "a=1 b=1 c=1 | a=1 b=1 c=1 | d=1"},
		"nobody is there": {op.ErrUnavailable, asks, "a=1 b=1 c=1 | a=1 b=1 c=1 | d=1"},
		"unknown":         {op.ErrUnknown, asks, "a=1 b=1 c=1 | a=1 b=1 c=1 | d=1"},
		"it fails": {nil, func(t *testing.T, c call) *abi.Result {
			r := asks(t, c)
			if c.Attempt == 1 {
				r.Error = "broken"
			}
			return r
		}, "a=1 b=1 c=1 | a=1 b=1 c=1 | d=1 | d=1"},
		"in part": {nil, func(t *testing.T, c call) *abi.Result {
			r := asks(t, c)
			for _, record := range records(t, c) {
				if record.Change.Keys["key"].String() == "b" && c.Attempt == 1 {
					r.Body = fmt.Appendf(nil, `{"batchItemFailures":[{"itemIdentifier":%q}]}`, record.Change.SequenceNumber)
				}
			}
			return r
		}, "a=1 b=1 c=1 | a=1 | b=1 c=1 | d=1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &bothStores{Memory: new(op.Memory)}
				s := newStreams(t, store)
				s.door.answer = func(_ context.Context, got call) (*abi.Result, error) { return c.answer(t, got), nil }
				store.fail(c.err)
				s.set("a=1", "b=1", "c=1")
				defer s.start(registry.StreamSource{ReportItems: true}, 1)()
				sleep(10 * time.Minute)
				s.set("d=1")
				sleep(time.Minute)
				s.want("calls", c.calls)
				for _, key := range []string{"a", "b", "c", "d"} {
					if item, err := store.Get(t.Context(), "shop-effects", key, op.Read{}); err != nil || string(item.Value) != "1" {
						t.Errorf("%s happened %s times, %v", key, item.Value, err)
					}
				}
			})
		})
	}
}
