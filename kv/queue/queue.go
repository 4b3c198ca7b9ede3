// Package queue offers an app's queues and topics, which the replicated store keeps. Its main type is Queues.
//
// When Send returns without an error, the messages are on the disks of a majority; one goes only by being deleted with
// the receipt of its last receive, by its retention, by a purge, or into a dead-letter queue. Delivery is at least
// once, in the order of sending only within a group of a FIFO queue. Every call is one entry of the store's log,
// however many messages it has, and receives that find nothing are none.
//
// Limits are those of SQS, named in package op, except that more messages are sent, received and settled at once.
package queue

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
)

// Store keeps queues. Package kv's Store is one.
type Store interface {
	// Queues does steps, all of them or none.
	Queues(ctx context.Context, namespace string, steps ...fsm.QueueStep) (op.Result, error)
	// Effects does what an invocation asks for, and steps, and ends what caused it, all of it or nothing.
	Effects(ctx context.Context, namespace string, e op.Effects, end op.Ending, steps ...fsm.QueueStep) error
	// ReadQueues runs f on a state that r may see.
	ReadQueues(ctx context.Context, r op.Read, f func(v fsm.View, now time.Time) error) error
	// QueueChanged answers a channel that is closed when there may be more to receive.
	QueueChanged(namespace, name string) (changed <-chan struct{}, forget func())
}

// Queues are the queues and topics of all apps. Its methods may be called concurrently; their errors have codes:
// NotFound for a queue that is not there, InvalidInput and TooLarge for what is over a limit, TooManyRequests above
// op.MaxInFlight, NoSpace over the app's quota, and Unavailable, after which what was asked may have happened when
// the error is op.ErrUnknown.
type Queues struct {
	store Store

	ended  atomic.Uint64 // receives on this node that took their claims back; written with mu held
	mu     sync.Mutex    // guards claims
	claims map[fsm.QueueName]*claims
}

// Open answers the queues in a store. There is nothing to close.
func Open(s Store) *Queues { return &Queues{store: s, claims: make(map[fsm.QueueName]*claims)} }

// Put makes a queue, or changes one that is there. Its dead-letter queue need not be there yet: until it is, messages
// stay in the queue. Fields that are 0 have their defaults.
func (q *Queues) Put(ctx context.Context, app string, c registry.Queue) error {
	if err := op.ValidateQueueName(c.Name); err != nil {
		return coded("put queue", err)
	}
	return q.PutInner(ctx, app, c)
}

// PutInner is Put for the platform's own queues, whose names have slashes.
func (q *Queues) PutInner(ctx context.Context, app string, c registry.Queue) error {
	_, err := q.store.Queues(ctx, app, fsm.QueueStep{Kind: fsm.PutQueue, Queue: c.Name, Settings: settings(c)})
	return coded("put queue", err)
}

// All answers the names of all queues of all apps, as this node knows them.
func (q *Queues) All(ctx context.Context) (names []fsm.QueueName, err error) {
	err = q.store.ReadQueues(ctx, op.Read{Consistency: op.Local}, func(v fsm.View, _ time.Time) (err error) {
		names, err = fsm.AllQueues(v)
		return err
	})
	return names, coded("list queues", err)
}

// Settings answers a queue's, as this node knows them.
func (q *Queues) Settings(ctx context.Context, app, name string) (c registry.Queue, err error) {
	err = q.read(ctx, app, op.Local, func(v fsm.View, now time.Time) error {
		state, err := fsm.ReadQueue(v, app, name, now)
		c = infoOf(state).Queue
		return err
	})
	return c, coded("read queue", err)
}

// Changed answers a channel that is closed when this node hears of a queue that comes, changes or goes. The caller calls
// forget when it waits no more.
func (q *Queues) Changed() (changed <-chan struct{}, forget func()) {
	return q.store.QueueChanged("", "")
}

// Remove takes a queue away with all its messages.
func (q *Queues) Remove(ctx context.Context, app, name string) error {
	_, err := q.store.Queues(ctx, app, fsm.QueueStep{Kind: fsm.DropQueue, Queue: name})
	return coded("remove queue", err)
}

// Purge takes all messages of a queue away, also those in flight, and answers how many there were.
func (q *Queues) Purge(ctx context.Context, app, name string) (messages int64, err error) {
	r, _, err := q.do(ctx, app, fsm.QueueStep{Kind: fsm.PurgeQueue, Queue: name})
	return r.Integer, coded("purge queue", err)
}

// Get answers a queue.
func (q *Queues) Get(ctx context.Context, app, name string) (info registry.QueueInfo, err error) {
	err = q.read(ctx, app, op.Strong, func(v fsm.View, now time.Time) error {
		state, err := fsm.ReadQueue(v, app, name, now)
		info = infoOf(state)
		return err
	})
	return info, coded("get queue", err)
}

// Stats answers what a queue holds.
func (q *Queues) Stats(ctx context.Context, app, name string) (op.QueueStats, error) {
	info, err := q.Get(ctx, app, name)
	return info.Stats, err
}

// List answers queues in the order of their names, and the After of the next page, empty when there is none.
func (q *Queues) List(ctx context.Context, app string, query op.QueueQuery) (queues []registry.QueueInfo, after string, err error) {
	if query.Limit <= 0 || query.Limit > op.MaxQueuePage {
		query.Limit = op.MaxQueuePage
	}
	err = q.read(ctx, app, op.Strong, func(v fsm.View, now time.Time) error {
		queues, after, err = list(v, app, query, now)
		return err
	})
	return queues, after, coded("list queues", err)
}

func list(v fsm.View, app string, query op.QueueQuery, now time.Time) (queues []registry.QueueInfo, after string, err error) {
	for from := query.After; ; {
		page, err := fsm.ListQueues(v, app, fsm.QueueQuery{Prefix: query.Prefix, After: from, Limit: op.MaxQueuePage}, now)
		if err != nil {
			return nil, "", err
		}
		for _, s := range page {
			switch {
			case strings.Contains(s.Name, "/") != query.Inner:
			case len(queues) == query.Limit:
				return queues, queues[len(queues)-1].Name, nil
			default:
				queues = append(queues, infoOf(s))
			}
		}
		if len(page) < op.MaxQueuePage {
			return queues, "", nil
		}
		from = page[len(page)-1].Name
	}
}

// redriveBatch is how many messages of a redrive move at once. More hold up the log for longer.
const redriveBatch = 1000

// Redrive moves visible messages of a dead-letter queue, and answers how many: also beside an error, which comes after
// some have moved. A message that came from no queue, or from one that is gone, is an error unless To is given. The
// messages are as if they were new, with the ids they had.
func (q *Queues) Redrive(ctx context.Context, app, name string, r op.Redrive) (moved int64, err error) {
	step := fsm.QueueStep{Kind: fsm.Redrive, Queue: name}
	if r.To != "" {
		step.To = []string{r.To}
	}
	if r.Max < 0 {
		return 0, coded("redrive", fmt.Errorf("%d messages: %w", r.Max, op.ErrInvalid))
	}
	for r.Max == 0 || moved < int64(r.Max) {
		step.Limit = redriveBatch
		if r.Max != 0 {
			step.Limit = int(min(redriveBatch, int64(r.Max)-moved))
		}
		did, _, err := q.do(ctx, app, step)
		if err != nil {
			return moved, coded("redrive", err)
		}
		moved += did.Integer
		if len(did.Previous) != 1 || did.Previous[0] == 0 {
			break
		}
	}
	return moved, nil
}

// do does one step, and answers its result and the revision of the command.
func (q *Queues) do(ctx context.Context, app string, step fsm.QueueStep) (did op.OpResult, revision uint64, err error) {
	r, err := q.store.Queues(ctx, app, step)
	if err == nil && len(r.Ops) != 1 {
		err = fmt.Errorf("%d results of a step", len(r.Ops))
	}
	if err != nil {
		return did, 0, err
	}
	return r.Ops[0], r.Revision, nil
}

func (q *Queues) read(ctx context.Context, app string, c op.Consistency, f func(v fsm.View, now time.Time) error) error {
	if err := op.ValidateNamespace(app); err != nil {
		return err
	}
	return q.store.ReadQueues(ctx, op.Read{Consistency: c}, f)
}
