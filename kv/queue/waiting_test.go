package queue_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/runtime/registry"
)

// counted counts the commands of a store.
type counted struct {
	queue.Store
	commands atomic.Int64
}

func (c *counted) Queues(ctx context.Context, namespace string, steps ...fsm.QueueStep) (op.Result, error) {
	c.commands.Add(1)
	return c.Store.Queues(ctx, namespace, steps...)
}

// TestLongPolling has many wait for a queue: for what is sent, what is due, and nothing.
func TestLongPolling(t *testing.T) {
	const waiting = 50
	synctest.Test(t, func(t *testing.T) {
		store := &counted{Store: openStore(t, kv.Config{InMemory: true})}
		q := bench{queue.Open(store), t}
		q.put(registry.Queue{Name: "q", WaitSeconds: 20, VisibilitySeconds: 5})
		start := time.Now()
		store.commands.Store(0)
		var wg sync.WaitGroup
		var received, none atomic.Int64
		for range waiting {
			wg.Go(func() {
				switch got := q.receive("q", op.Receive{Visibility: time.Hour}); len(got) {
				case 0:
					none.Add(1)
				default:
					received.Add(1)
				}
			})
		}
		sleep(3 * time.Second)
		if n := store.commands.Load(); n != 0 {
			t.Errorf("%d commands while nothing comes, want none", n)
		}
		q.send("q", "a", "b", "c")
		synctest.Wait()
		if n := received.Load(); n != 3 {
			t.Errorf("%d received one of 3 messages", n)
		}
		wg.Wait()
		if took := time.Since(start); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("the others waited %v, want 20 s", took)
		}
		if n := store.commands.Load(); none.Load() != waiting-3 || n > 1+3+3 {
			t.Errorf("%d received none; %d commands, want few", none.Load(), n)
		}

		q.send("q", "d")
		q.receive("q", op.Receive{})
		start = time.Now()
		if got := q.receive("q", op.Receive{}); len(got) != 1 || time.Since(start) > 5*time.Second+200*time.Millisecond {
			t.Errorf("what was in flight came back after %v: %v", time.Since(start), got)
		}
		start = time.Now()
		if got := q.receive("q", op.Receive{Wait: op.NoWait}); len(got) != 0 || time.Since(start) > time.Second {
			t.Errorf("a receive that does not wait: %v after %v", got, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := q.Receive(ctx, "app", "q", op.Receive{}); err != nil || len(got) != 0 {
			t.Errorf("a receive whose context ends = %v, %v, want none", got, err)
		}
	})
}

// stale does something behind the first look at a queue.
type stale struct {
	*counted
	looked func()
}

func (s *stale) ReadQueues(ctx context.Context, r op.Read, f func(v fsm.View, now time.Time) error) error {
	err := s.counted.ReadQueues(ctx, r, f)
	if looked := s.looked; looked != nil {
		s.looked = nil
		looked()
	}
	return err
}

// TestLateClaim has what one receive has found taken by another before the first asks for it: it does not ask.
func TestLateClaim(t *testing.T) {
	store := &stale{counted: &counted{Store: openStore(t, kv.Config{InMemory: true})}}
	q := bench{queue.Open(store), t}
	q.put(registry.Queue{Name: "q"})
	q.send("q", "a")
	store.commands.Store(0)
	store.looked = func() {
		if got := q.receive("q", op.Receive{}); len(got) != 1 {
			t.Errorf("the other received %v, want one message", got)
		}
	}
	if got := q.receive("q", op.Receive{Wait: op.NoWait}); len(got) != 0 || store.commands.Load() != 1 {
		t.Errorf("received %v with %d commands, want none with one", got, store.commands.Load())
	}
	q.send("q", "b")
	if got := q.receive("q", op.Receive{}); len(got) != 1 {
		t.Errorf("received %v, want one message", got)
	}
}

// slow does something at every receive.
type slow struct {
	queue.Store
	receive func()
}

func (s slow) Queues(ctx context.Context, namespace string, steps ...fsm.QueueStep) (op.Result, error) {
	if steps[0].Kind == fsm.Receive {
		s.receive()
	}
	return s.Store.Queues(ctx, namespace, steps...)
}

// TestReceiveIsFinished has a receive's context end while it takes messages: it answers them, since nobody else can.
func TestReceiveIsFinished(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	q := bench{queue.Open(slow{openStore(t, kv.Config{InMemory: true}), cancel}), t}
	q.put(registry.Queue{Name: "q"})
	q.send("q", "a", "b")
	if got, err := q.Receive(ctx, "app", "q", op.Receive{Max: 2}); err != nil || len(got) != 2 {
		t.Errorf("Receive = %v, %v, want both messages", got, err)
	}
}

// TestReceiveSideBySide has those who wait take what comes at once, each a part, and not one after the other.
func TestReceiveSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := bench{queue.Open(slow{openStore(t, kv.Config{InMemory: true}), func() { sleep(time.Second) }}), t}
		q.put(registry.Queue{Name: "q", WaitSeconds: 20})
		var receives sync.WaitGroup
		var received atomic.Int64
		for range 5 {
			receives.Go(func() { received.Add(int64(len(q.receive("q", op.Receive{Max: 2})))) })
		}
		synctest.Wait()
		begin := time.Now()
		var bodies []string
		for i := range 10 {
			bodies = append(bodies, strconv.Itoa(i))
		}
		q.send("q", bodies...)
		receives.Wait()
		if took := time.Since(begin); received.Load() != 10 || took >= 2*time.Second {
			t.Errorf("%d of 10 messages were received after %v, want all of them in the second that a receive takes", received.Load(), took)
		}
	})
}

// TestWaitEnds has the store close, and the queue go, while somebody waits.
func TestWaitEnds(t *testing.T) {
	for _, what := range []string{"close", "remove"} {
		synctest.Test(t, func(t *testing.T) {
			s := openStore(t, kv.Config{InMemory: true})
			q := bench{queue.Open(s), t}
			q.put(registry.Queue{Name: "q"})
			failed := make(chan error)
			go func() {
				_, err := q.Receive(t.Context(), "app", "q", op.Receive{Wait: op.MaxWait})
				failed <- err
			}()
			synctest.Wait()
			want := op.ErrNoQueue
			if what == "close" {
				s.Close()
				want = op.ErrClosed
			} else if err := q.Remove(t.Context(), "app", "q"); err != nil {
				t.Fatal(err)
			}
			if err := <-failed; !errors.Is(err, want) {
				t.Errorf("%s: Receive = %v, want %v", what, err, want)
			}
		})
	}
}
