package trigger

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// asks answers a success that asks for a write.
func asks(_ context.Context, c call) (*abi.Result, error) {
	return &abi.Result{Effects: &op.Effects{Ops: []op.Op{{Kind: op.Set, Key: c.Invocation}}}}, nil
}

func TestWorkerCommits(t *testing.T) {
	for name, c := range map[string]struct {
		conflicts, calls int
	}{"at once": {0, 1}, "after conflicts": {3, 4}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, d := newFakeQueue("a", "b"), &door{answer: asks}
				q.conflicts = c.conflicts
				defer worker(t, q, d, registry.QueueSource{BatchSize: 2})()
				sleep(time.Minute)
				if n := len(d.seen()); n != c.calls || len(q.left()) != 0 || len(q.effects) != 1 {
					t.Fatalf("%d calls, %d left, %d commits", n, len(q.left()), len(q.effects))
				}
				if last := d.seen()[c.calls-1]; last.Attempt != 1 {
					t.Errorf("attempt %d, a conflict is none", last.Attempt)
				}
			})
		})
	}
}

// TestWorkerCommitsNothingOfAFailure has a function that fails after it has asked for something.
func TestWorkerCommitsNothingOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{answer: func(ctx context.Context, c call) (*abi.Result, error) {
			r, err := asks(ctx, c)
			r.Error = "broken"
			return r, err
		}}
		q := newFakeQueue("a")
		defer worker(t, q, d, registry.QueueSource{})()
		sleep(time.Minute)
		if len(q.effects) != 0 || len(q.left()) != 1 || len(d.seen()) < 2 {
			t.Errorf("%d commits, %v left after %d calls", len(q.effects), q.left(), len(d.seen()))
		}
	})
}

// TestWorkerGivesUpAfterConflicts gives back messages that may be another's.
func TestWorkerGivesUpAfterConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d := newFakeQueue("a"), &door{answer: asks}
		q.conflicts = 100_000
		defer worker(t, q, d, registry.QueueSource{})()
		sleep(time.Hour)
		if n := q.receives(); n < 3 || n > 2000 || len(q.left()) != 1 {
			t.Errorf("%d receives in an hour, %v left; want the message given back and received again", q.receives(), q.left())
		}
	})
}

// TestAsyncCommits has the record for the destination among the effects.
func TestAsyncCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d, b := newFakeQueue(), &door{answer: asks}, new(mailbox)
		r := openRegistry(t, new(op.Memory))
		deploy(t, r, "mail", registry.Settings{Async: &registry.Async{OnSuccess: "queue:told"}})
		a := NewAsync(AsyncConfig{App: "shop", Queue: q, Delivery: newDelivery(t, d, r, b)})
		if _, err := a.Submit(t.Context(), Invocation{Function: "mail"}); err != nil {
			t.Fatal(err)
		}
		defer startRunner(t, a)()
		sleep(time.Minute)
		if len(q.effects) != 1 || len(q.effects[0].Sends) != 1 || q.effects[0].Sends[0].Queue != "queue:told" {
			t.Errorf("effects %+v", q.effects)
		}
		if len(b.parcels) != 0 || len(q.left()) != 0 {
			t.Errorf("%d parcels besides, %v left", len(b.parcels), q.left())
		}
	})
}

// TestEachWorkerCommits has the record for the destination of a message that is invoked alone among the effects, once.
func TestEachWorkerCommits(t *testing.T) {
	for name, c := range map[string]struct {
		conflicts int
		errs      []error
	}{"at once": {}, "after conflicts": {conflicts: 3}, "destination away": {errs: []error{errFake, errFake}}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, d, b := newFakeQueue("hello"), &door{answer: asks}, &mailbox{errs: c.errs}
				q.conflicts = c.conflicts
				r := openRegistry(t, new(op.Memory))
				deploy(t, r, "mail", registry.Settings{Async: &registry.Async{OnSuccess: "queue:told"}})
				w := NewTopicWorker(WorkerConfig{App: "shop", Function: "mail", Source: q, Delivery: newDelivery(t, d, r, b)}, registry.TopicSource{Topic: "orders"})
				defer startRunner(t, w)()
				sleep(time.Hour)
				if len(q.effects) != 1 || len(q.effects[0].Sends) != 1 || q.effects[0].Sends[0].Queue != "queue:told" {
					t.Errorf("effects %+v", q.effects)
				}
				if len(b.parcels) != 0 || len(q.left()) != 0 || len(d.seen()) != c.conflicts+1 {
					t.Errorf("%d parcels besides, %v left after %d calls", len(b.parcels), q.left(), len(d.seen()))
				}
			})
		})
	}
}

// TestCommitsWithoutDestination has a destination that is not there: the record is lost, as that of any invocation, and what
// the function asks for happens.
func TestCommitsWithoutDestination(t *testing.T) {
	for _, to := range []string{"queue:gone", "function:gone"} {
		t.Run(to, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, d, b := newFakeQueue(), &door{answer: asks}, new(mailbox)
				q.missing = "queue:gone"
				r := openRegistry(t, new(op.Memory))
				deploy(t, r, "mail", registry.Settings{Async: &registry.Async{OnSuccess: to}})
				a := NewAsync(AsyncConfig{App: "shop", Queue: q, Delivery: newDelivery(t, d, r, b)})
				if _, err := a.Submit(t.Context(), Invocation{Function: "mail"}); err != nil {
					t.Fatal(err)
				}
				defer startRunner(t, a)()
				sleep(time.Hour)
				if len(d.seen()) != 1 || len(q.effects) != 1 || len(q.effects[0].Sends) != 0 || len(q.left()) != 0 {
					t.Errorf("%d calls, effects %+v, %v left", len(d.seen()), q.effects, q.left())
				}
			})
		})
	}
}

// TestAsyncCommitsIntoNothing has a function publish to no topic: it has failed, and is tried again as often as it may be.
func TestAsyncCommitsIntoNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d := newFakeQueue(), &door{answer: asks}
		q.refuse = abi.WithCode(abi.NotFound, op.ErrNoQueue)
		r := openRegistry(t, new(op.Memory))
		deploy(t, r, "mail", registry.Settings{})
		a := NewAsync(AsyncConfig{App: "shop", Queue: q, Delivery: newDelivery(t, d, r, nil)})
		if _, err := a.Submit(t.Context(), Invocation{Function: "mail"}); err != nil {
			t.Fatal(err)
		}
		defer startRunner(t, a)()
		sleep(time.Hour)
		if n := len(d.seen()); n != registry.MaxRetries+1 {
			t.Errorf("%d attempts, want %d", n, registry.MaxRetries+1)
		}
	})
}
