package kv

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// TestChanges reads changes in parts, waits for one, and begins anew where the oldest are.
func TestChanges(t *testing.T) {
	t.Parallel()
	s := openTest(t, Config{InMemory: true})
	ctx := t.Context()
	write := func(key, value string) op.Result {
		t.Helper()
		r, err := s.Commit(ctx, op.Txn{Namespace: "app", Ops: []op.Op{set(key, value)}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := s.KeepPrevious(ctx, "app", true); !errors.Is(err, op.ErrUnavailable) {
		t.Errorf("KeepPrevious below level 3 = %v, want %v", err, op.ErrUnavailable)
	}
	if err := s.RaiseLevel(ctx, fsm.Level); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.KeepPrevious(ctx, "app", true); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "1")
	write("b", "1")
	last := write("a", "2").Revision
	got, err := s.Changes(ctx, "app", op.Follow{Prefix: "a"})
	if err != nil || len(got.Changes) != 2 || got.Next < last || got.Newest < got.Next {
		t.Fatalf("Changes = %+v, %v", got, err)
	}
	if c := got.Changes[1]; string(c.Previous) != "1" || c.PreviousRevision != got.Changes[0].Revision || !c.Existed || c.Time.IsZero() {
		t.Errorf("change %+v", c)
	}
	if none, err := s.Changes(ctx, "app", op.Follow{Prefix: "a", After: got.Next, Wait: time.Millisecond}); err != nil || len(none.Changes) != 0 {
		t.Errorf("Changes after all = %+v, %v", none, err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		next, err := s.Changes(ctx, "app", op.Follow{Prefix: "a", After: got.Next, Wait: time.Minute})
		if err != nil || len(next.Changes) != 1 || string(next.Changes[0].Value) != "3" {
			t.Errorf("the next change: %+v, %v", next, err)
		}
	})
	write("b", "2")
	write("a", "3")
	waiting.Wait()
	if oldest, err := s.Oldest(); err != nil || oldest != 0 {
		t.Errorf("Oldest = %d, %v", oldest, err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Changes(over, "app", op.Follow{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Changes with a context that has ended = %v", err)
	}
	if _, err := s.Changes(ctx, "", op.Follow{}); !errors.Is(err, op.ErrInvalid) {
		t.Errorf("Changes of no namespace = %v", err)
	}
}
