package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits and times of a Scheduler.
const (
	// DefaultLease is how long the node that runs an invocation may be silent. Longer delays what a crashed node had;
	// shorter has a slow one's invocations run twice.
	DefaultLease = 15 * time.Second
	// MissedAfter is how late a tick may fire and not count as missed. It covers a restart.
	MissedAfter = time.Minute
	// MaxPending is how many invocations of one schedule may wait to be tried again; ticks beyond are dropped.
	MaxPending = 100

	commitTimeout = 10 * time.Second
	storePause    = time.Second // before the store is asked again after an error
	maxIdle       = time.Minute // after which the loop looks around though nobody woke it
)

// Store is where schedules are kept, in namespace op.System. Package kv's Store is one.
type Store interface {
	Get(ctx context.Context, namespace, key string, r op.Read) (op.Item, error)
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
	Watch(ctx context.Context, namespace, prefix string, after uint64) iter.Seq2[op.Change, error]
}

// Effects commits what invocations ask for. Package kv/queue's Queues are one.
type Effects interface {
	Commit(ctx context.Context, app string, e *op.Effects, end op.Ending) error
}

// SchedulerConfig is what a Scheduler needs. All but Lease is required.
type SchedulerConfig struct {
	Store    Store
	Effects  Effects
	Delivery *Delivery
	Lease    time.Duration // 0: DefaultLease
}

// Scheduler fires the schedules of all live versions. Each node runs one. A tick is claimed by a transaction that
// moves the schedule's record on to the next tick and writes the invocation, if the record is still the one that the
// claimer knows: so exactly one node does it, and once it is done the invocation happens. The claimer then runs it and
// keeps its lease alive; a node that sees no sign of life of an invocation for the length of a lease, by its own
// clock, takes it over. A failed attempt is repeated as the function's asynchronous invocations are.
type Scheduler struct {
	config   SchedulerConfig
	delivery *Delivery
	self     string        // owner of leases: of this run of the process
	wake     chan struct{} // holds one

	// What follows belongs to the goroutine of Run.
	records    map[string]known[record]
	pending    map[string]known[pending]
	running    map[string]bool // keys of pending
	live       map[string]live
	generation uint64
	done       chan ended
	runs       sync.WaitGroup
}

// known is a value of the store as this node last saw it.
type known[T any] struct {
	value    T
	revision uint64
	seen     time.Time
	gone     bool // for this node: what it hears of up to revision is old
}

// ended is what run says when it is over.
type ended struct {
	key      string
	value    *pending // nil: it is gone, or somebody else's
	revision uint64
}

// NewScheduler answers a Scheduler that does nothing before Run.
func NewScheduler(c SchedulerConfig) *Scheduler {
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	return &Scheduler{config: c, delivery: c.Delivery, self: router.NewInvocationID(time.Now()), wake: make(chan struct{}, 1)}
}

// Wake has the scheduler look at what is deployed. It does not block. Call it when a snapshot is new.
func (s *Scheduler) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run fires schedules until ctx ends. Then it claims no more, waits for its invocations as long as the Delivery's
// drain time says, and returns when nothing of it runs any more. It is called once.
func (s *Scheduler) Run(ctx context.Context) {
	s.running, s.done = map[string]bool{}, make(chan ended)
	defer func() {
		go func() { s.runs.Wait(); close(s.done) }()
		for range s.done { // runs that end are heard until the last one has
		}
	}()
	for ctx.Err() == nil {
		if err := s.follow(ctx); err != nil && ctx.Err() == nil {
			s.delivery.log.Warn("follow schedules", "err", err)
			pause(ctx, storePause)
		}
	}
}

// follow reads all records and then works until the watch ends.
func (s *Scheduler) follow(ctx context.Context) error {
	revision, err := s.load(ctx)
	if err != nil {
		return err
	}
	watched, cancel := context.WithCancel(ctx) // only the watch ends with follow; what runs goes on
	changes, failed := make(chan op.Change), make(chan error, 1)
	var watching sync.WaitGroup
	watching.Go(func() {
		for c, err := range s.config.Store.Watch(watched, op.System, SchedulePrefix, revision) {
			if err != nil {
				failed <- err
				return
			}
			select {
			case changes <- c:
			case <-watched.Done():
				return
			}
		}
		failed <- errors.New("the watch has ended")
	})
	defer watching.Wait()
	defer cancel()
	for {
		timer := time.NewTimer(s.act(ctx))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.wake:
		case c := <-changes:
			s.apply(c.Key, c.Value, c.Revision)
		case e := <-s.done:
			s.finished(e)
		case err := <-failed:
			timer.Stop()
			return err
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// load reads all records and pending invocations, and answers the moment. What runs here goes on.
func (s *Scheduler) load(ctx context.Context) (revision uint64, err error) {
	s.records, s.pending = map[string]known[record]{}, map[string]known[pending]{}
	s.live, s.generation = nil, 0
	q := op.Query{Prefix: SchedulePrefix, Read: op.Read{Consistency: op.Strong}} // not before what this node has done itself
	for {
		page, err := s.config.Store.List(ctx, op.System, q)
		if err != nil {
			return 0, fmt.Errorf("list schedules: %w", err)
		}
		for _, i := range page.Items {
			s.apply(i.Key, i.Value, i.Revision)
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return page.Revision, nil
		}
	}
}

// apply takes over what the store says of a key, unless this node knows something newer; no value: it is gone.
func (s *Scheduler) apply(key string, value []byte, revision uint64) {
	var err error
	if strings.HasPrefix(key, recordPrefix) {
		err = learn(s.records, key, value, revision)
	} else {
		err = learn(s.pending, key, value, revision)
	}
	if err != nil {
		s.delivery.log.Error("read schedule", "key", key, "err", err)
	}
}

func learn[T any](all map[string]known[T], key string, value []byte, revision uint64) error {
	before, there := all[key]
	if there && (before.revision > revision || before.revision == revision && len(value) > 0) {
		return nil
	}
	delete(all, key)
	if len(value) == 0 {
		return nil
	}
	k := known[T]{revision: revision, seen: time.Now()}
	if err := json.Unmarshal(value, &k.value); err != nil {
		return err
	}
	all[key] = k
	return nil
}

// act does all that is due and answers how long there is nothing to do.
func (s *Scheduler) act(ctx context.Context) time.Duration {
	if err := s.reconcile(ctx); err != nil {
		return s.trouble(ctx, err)
	}
	wait := maxIdle
	for key, l := range s.live {
		r, known := s.records[key]
		if !known || r.value.off() || r.value.Due.IsZero() || !r.value.fits(l) {
			continue // the last: another node has a newer snapshot, or an older one
		}
		if until := time.Until(r.value.Due); until > 0 {
			wait = min(wait, until)
		} else if err := s.claim(ctx, l); err != nil {
			return s.trouble(ctx, err)
		} else if next, known := s.records[key]; known && !next.value.Due.IsZero() {
			wait = min(wait, max(0, time.Until(next.value.Due)))
		}
	}
	for key, p := range s.pending {
		if s.running[key] || p.gone {
			continue
		}
		if until := time.Until(s.mayRun(p)); until > 0 {
			wait = min(wait, until)
		} else {
			s.start(ctx, key, p)
		}
	}
	return wait
}

// trouble logs an error of the store and answers when to try again.
func (s *Scheduler) trouble(ctx context.Context, err error) time.Duration {
	if ctx.Err() == nil {
		s.delivery.log.Warn("schedule", "err", err)
	}
	return storePause
}

// mayRun is when this node may run what is pending.
func (s *Scheduler) mayRun(p known[pending]) time.Time {
	switch p.value.Owner {
	case "", s.self:
		return p.value.NotBefore
	}
	silent := p.seen
	if p.value.NotBefore.After(silent) {
		silent = p.value.NotBefore
	}
	return silent.Add(s.config.Lease)
}

// reconcile makes the records those of what is deployed. Nodes that lag behind leave alone what a newer snapshot made.
func (s *Scheduler) reconcile(ctx context.Context) error {
	snapshot := s.delivery.config.Functions.Snapshot()
	if s.live == nil || snapshot.Generation() != s.generation {
		s.live, s.generation = schedulesOf(snapshot), snapshot.Generation()
	}
	for key, l := range s.live {
		r, there := s.records[key]
		if there && (r.value.fits(l) || r.value.Generation >= s.generation) {
			continue
		}
		if _, err := s.put(ctx, key, r, r.value.update(l, s.generation, time.Now())); err != nil {
			return err
		}
	}
	for key, r := range s.records {
		if _, lives := s.live[key]; lives || r.value.Generation > s.generation {
			continue
		}
		t := s.guarded(key, r.revision, op.Op{Kind: op.Delete, Key: key})
		if revision, err := s.commit(ctx, key, t); err != nil {
			return err
		} else if revision > 0 {
			delete(s.records, key)
		}
	}
	return nil
}

// put writes a record over the one that is known. False: somebody else was first, and his is known now.
func (s *Scheduler) put(ctx context.Context, key string, before known[record], r record, more ...op.Op) (bool, error) {
	write, err := setOp(key, r)
	if err != nil {
		return false, err
	}
	t := s.guarded(key, before.revision, append([]op.Op{write}, more...)...)
	revision, err := s.commit(ctx, key, t)
	if revision == 0 {
		return false, err
	}
	s.records[key] = known[record]{value: r, revision: revision}
	return true, nil
}

// guarded is a transaction that happens only if a key has a revision.
func (s *Scheduler) guarded(key string, revision uint64, ops ...op.Op) op.Txn {
	return op.Txn{Namespace: op.System, Checks: []op.Check{{Key: key, Revision: revision}}, Ops: ops}
}

// commit answers the revision; 0 when somebody else has changed the key, which is read again then.
func (s *Scheduler) commit(ctx context.Context, key string, t op.Txn) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	result, err := s.config.Store.Commit(ctx, t)
	if err == nil {
		return result.Revision, nil
	}
	if !errors.Is(err, op.ErrConflict) && !errors.Is(err, op.ErrUnknown) {
		return 0, fmt.Errorf("write schedule: %w", err)
	}
	item, err := s.config.Store.Get(ctx, op.System, key, op.Read{Consistency: op.Strong})
	if errors.Is(err, op.ErrNotFound) {
		delete(s.records, key)
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read schedule: %w", err)
	}
	s.apply(key, item.Value, item.Revision)
	return 0, nil
}

// claim takes the tick that is due, or passes over it.
func (s *Scheduler) claim(ctx context.Context, l live) error {
	key, now := recordKey(l.id), time.Now()
	before := s.records[key]
	r := before.value
	tick, late := r.Due, now.Sub(r.Due) > MissedAfter
	if late {
		tick = l.table.last(r.Due, now, r.Anchor)
		late = now.Sub(tick) > MissedAfter
	}
	if r.Due = l.table.next(now, r.Anchor); tick.Equal(before.value.Due) && !late {
		r.Due = l.table.next(tick, r.Anchor) // a tick that has come meanwhile is its own
	}
	outcome := tickFired
	switch {
	case late && l.schedule.Missed != registry.MissedOnce:
		outcome = tickMissed
	case s.waiting(l.id) >= MaxPending:
		outcome = tickDropped
		s.delivery.log.Warn("drop tick", "app", l.id.App, "function", l.id.Function, "schedule", l.id.Name)
	}
	var more []op.Op
	var invocation pending
	waits := pendingKey(l.id, tickName(tick))
	if outcome == tickFired {
		id := router.NewInvocationID(now)
		payload, err := l.payload(id, s.delivery.config.Region, tick)
		if err != nil {
			return err
		}
		invocation = pending{Owner: s.self, Invocation: l.invocation(id, now, payload)}
		write, err := setOp(waits, invocation)
		if err != nil {
			return err
		}
		more = append(more, write)
	}
	first, err := s.put(ctx, key, before, r, more...)
	if err != nil {
		return err
	}
	if !first {
		outcome = tickTaken
	}
	s.delivery.metrics.ticks.WithLabelValues(outcome).Inc()
	if outcome == tickFired {
		s.pending[waits] = known[pending]{value: invocation, revision: s.records[key].revision, seen: now}
	}
	return nil
}

func (l live) invocation(id string, now time.Time, payload []byte) Invocation {
	return Invocation{ID: id, App: l.id.App, Function: l.id.Function, Trigger: abi.TriggerSchedule, Payload: payload, Accepted: now}
}

// waiting counts what is pending of a schedule.
func (s *Scheduler) waiting(id registry.ScheduleID) (n int) {
	for key, p := range s.pending {
		if !p.gone && strings.HasPrefix(key, pendingKey(id, "")) {
			n++
		}
	}
	return n
}

// finished takes over what a run left. What is not known any more the watch has seen go.
func (s *Scheduler) finished(e ended) {
	delete(s.running, e.key)
	p, known := s.pending[e.key]
	if !known || e.revision < p.revision {
		return
	}
	p.revision, p.seen, p.gone = e.revision, time.Now(), e.value == nil
	if e.value != nil {
		p.value = *e.value
	}
	s.pending[e.key] = p
}
