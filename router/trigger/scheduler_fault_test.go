package trigger

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// crashing is a store that is a node's last: after a commit that matches, nothing of the node works any more.
type crashing struct {
	*op.Memory
	mu    sync.Mutex // guards what follows
	dead  bool
	match string // in a key of the last commit
	after bool   // the last commit happens
}

func (c *crashing) Commit(ctx context.Context, t op.Txn) (op.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range t.Ops {
		if !c.dead && strings.Contains(o.Key, c.match) {
			c.dead = true
			if c.after {
				c.Memory.Commit(ctx, t)
			}
		}
	}
	if c.dead {
		return op.Result{}, errDead
	}
	return c.Memory.Commit(ctx, t)
}

func (c *crashing) List(ctx context.Context, n string, q op.Query) (op.Page, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return op.Page{}, errDead
	}
	return c.Memory.List(ctx, n, q)
}

func (c *crashing) Get(ctx context.Context, n, k string, r op.Read) (op.Item, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return op.Item{}, errDead
	}
	return c.Memory.Get(ctx, n, k, r)
}

func (c *crashing) Watch(ctx context.Context, n, p string, after uint64) iter.Seq2[op.Change, error] {
	return func(yield func(op.Change, error) bool) {
		for change, err := range c.Memory.Watch(ctx, n, p, after) {
			c.mu.Lock()
			dead := c.dead
			c.mu.Unlock()
			if dead {
				<-ctx.Done()
				return
			}
			if !yield(change, err) {
				return
			}
		}
	}
}

func TestCrashBetweenClaimAndDispatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		deploy(t, h.reg, "report", scheduled(registry.Schedule{Expressions: []string{"cron(0 9 * * ? *)"}}))
		_, stop := h.node(&crashing{Memory: h.store, match: pendingPrefix, after: true})
		sleep(9*time.Hour + time.Second)
		if n := len(h.door.seen()); n != 0 {
			t.Fatalf("%d invocations by the node that is dead", n)
		}
		page, err := h.store.List(t.Context(), op.System, op.Query{Prefix: pendingPrefix})
		if err != nil || len(page.Items) != 1 {
			t.Fatalf("pending: %v, %v; want one", page.Items, err)
		}
		var p pending
		if err := json.Unmarshal(page.Items[0].Value, &p); err != nil {
			t.Fatal(err)
		}
		stop()
		_, stop = h.node(nil)
		defer stop()
		sleep(DefaultLease - time.Second)
		if n := len(h.door.seen()); n != 0 {
			t.Fatalf("%d invocations before the lease is over", n)
		}
		sleep(2 * time.Second)
		calls := h.door.seen()
		if len(calls) != 1 || calls[0].Invocation != p.Invocation.ID || calls[0].Attempt != 1 {
			t.Fatalf("calls %+v, want the pending one, %s", calls, p.Invocation.ID)
		}
		synctest.Wait()
		h.empty()
	})
}

// TestCrashAfterDispatch loses the node before it writes that the invocation is done: it happens again, as itself.
func TestCrashAfterDispatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		deploy(t, h.reg, "report", scheduled(registry.Schedule{Expressions: []string{"cron(0 9 * * ? *)"}}))
		store := &crashing{Memory: h.store, match: "never"}
		h.door.answer = func(context.Context, call) (*abi.Result, error) {
			store.mu.Lock()
			defer store.mu.Unlock()
			store.dead = store.match == "never"
			return new(abi.Result), nil
		}
		_, stopFirst := h.node(store)
		sleep(8 * time.Hour)
		synctest.Wait()
		sleep(time.Hour + time.Second)
		_, stop := h.node(nil)
		defer stop()
		sleep(time.Hour)
		calls := h.door.seen()
		if len(calls) != 2 || calls[0].Invocation != calls[1].Invocation {
			t.Fatalf("calls %+v, want one twice", calls)
		}
		stopFirst()
		h.empty()
	})
}

// flaky is a store whose commits are sometimes not told of, or do not happen, and whose watch ends.
type flaky struct {
	*op.Memory
	mu sync.Mutex // guards n
	n  int
}

func (f *flaky) Commit(ctx context.Context, t op.Txn) (op.Result, error) {
	f.mu.Lock()
	f.n++
	n := f.n
	f.mu.Unlock()
	switch n % 5 {
	case 1:
		return op.Result{}, op.ErrUnavailable
	case 3:
		f.Memory.Commit(ctx, t)
		return op.Result{}, op.ErrUnknown
	}
	return f.Memory.Commit(ctx, t)
}

func (f *flaky) Watch(ctx context.Context, n, p string, after uint64) iter.Seq2[op.Change, error] {
	return func(yield func(op.Change, error) bool) {
		i := 0
		for c, err := range f.Memory.Watch(ctx, n, p, after) {
			if i++; i%7 == 0 {
				c, err = op.Change{}, op.ErrCompacted
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}

// TestFlakyStore fires each tick once though the store fails in all its ways.
func TestFlakyStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		deploy(t, h.reg, "report", scheduled(registry.Schedule{Expressions: []string{"cron(0/10 * * * ? *)"}}))
		for range 3 {
			_, stop := h.node(&flaky{Memory: h.store})
			defer stop()
		}
		sleep(5*24*time.Hour + time.Minute)
		ids, ticks := map[string]int{}, map[string]int{}
		for _, c := range h.door.seen() {
			var e struct{ Time string }
			json.Unmarshal(c.Body, &e)
			if ids[c.Invocation]++; ids[c.Invocation] > 1 {
				t.Logf("again: %s at %v for %s", c.Invocation, c.time, e.Time)
			}
			ticks[e.Time]++
		}
		if want := 5 * 24 * 6; len(ids) != want || len(ticks) != want || len(h.door.seen()) != want {
			t.Errorf("%d calls of %d invocations for %d ticks, want %d of each", len(h.door.seen()), len(ids), len(ticks), want)
		}
		h.empty()
	})
}
