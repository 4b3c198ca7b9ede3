package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// Queues does steps on the queues of a namespace, all of them or none, as one command; package kv/queue is for
// callers. It is durable as a Commit is. Errors are those of Commit, op.ErrNoQueue and op.ErrInFlight, and
// op.ErrUnavailable until the group has feature level 2.
func (s *Store) Queues(ctx context.Context, namespace string, steps ...fsm.QueueStep) (result op.Result, err error) {
	defer s.metrics.wrote("queues", time.Now(), &err)
	c := fsm.Command{Kind: fsm.Queues, Namespace: namespace, Steps: steps}
	if err = c.Validate(); err == nil {
		result, err = s.propose(ctx, c)
	}
	return result, withCode("queues", err)
}

// Effects does what an invocation of a namespace asks for, and ends what caused it, all of it or nothing: op.ErrConflict
// when something it has read has changed, a message of steps to be deleted was received by another, or end's record is
// not as it was. Until the group has feature level 3 it is op.ErrUnavailable.
func (s *Store) Effects(ctx context.Context, namespace string, e op.Effects, end op.Ending, steps ...fsm.QueueStep) (err error) {
	defer s.metrics.wrote("effects", time.Now(), &err)
	c := fsm.Command{Kind: fsm.Effects, Namespace: namespace, Checks: e.Checks, Ops: e.Ops, Steps: steps, Record: end.Record, Becomes: end.Becomes,
		Objects: e.Objects}
	if err = c.Validate(); err == nil {
		_, err = s.propose(ctx, c)
	}
	if errors.Is(err, op.ErrRange) { // sums are of objects alone, and bounded by their quota
		err = fmt.Errorf("objects: %w", op.ErrQuota)
	}
	return withCode("commit effects", err)
}

// ReadQueues runs f on a state that r may see, at the time at which what is there is looked at. What f answers is its
// error, with a code.
func (s *Store) ReadQueues(ctx context.Context, r op.Read, f func(v fsm.View, now time.Time) error) error {
	return withCode("read queues", s.read(ctx, r, func(m moment) error { return f(m, m.now) }))
}

// QueueChanged answers a channel that is closed when a queue may have more to receive on this node than before the
// call, or the store closes. The caller calls forget when it waits no more.
func (s *Store) QueueChanged(namespace, name string) (changed <-chan struct{}, forget func()) {
	return s.machine.queues.wait(fsm.QueueName{Namespace: namespace, Name: name})
}

// queueWaits is who waits for queues.
type queueWaits struct {
	mu     sync.Mutex // guards what follows
	waits  map[fsm.QueueName]*queueWait
	closed bool
}

// queueWait is who waits for one queue.
type queueWait struct {
	changed chan struct{}
	waiting int
}

func (q *queueWaits) wait(name fsm.QueueName) (<-chan struct{}, func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.waits[name]
	if w == nil {
		w = &queueWait{changed: make(chan struct{})}
		if q.closed {
			close(w.changed)
			return w.changed, func() {}
		}
		if q.waits == nil {
			q.waits = make(map[fsm.QueueName]*queueWait)
		}
		q.waits[name] = w
	}
	w.waiting++
	return w.changed, sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if w.waiting--; w.waiting == 0 && q.waits[name] == w {
			delete(q.waits, name)
		}
	})
}

// wake tells those who wait for queues.
func (q *queueWaits) wake(names []fsm.QueueName) {
	if len(names) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, name := range names {
		if w := q.waits[name]; w != nil {
			close(w.changed)
			delete(q.waits, name)
		}
	}
}

// wakeAll tells everybody; with no more to come, those who ask later, too.
func (q *queueWaits) wakeAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, w := range q.waits {
		close(w.changed)
		delete(q.waits, name)
	}
}

func (q *queueWaits) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wakeAll()
}
