package trigger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// door is a Dispatcher that remembers what it was asked for.
type door struct {
	mu     sync.Mutex // guards calls
	calls  []call
	answer func(ctx context.Context, c call) (*abi.Result, error) // nil: success
}

// call is what a function was given, and when.
type call struct {
	abi.Event
	function string
	time     time.Time
}

func (d *door) Dispatch(ctx context.Context, c router.Call) (*abi.Result, error) {
	e := *c.Event
	e.Body = slices.Clone(e.Body)
	c.Event.Version = 7
	got := call{e, c.Function, time.Now()}
	d.mu.Lock()
	d.calls = append(d.calls, got)
	d.mu.Unlock()
	if d.answer == nil {
		return new(abi.Result), nil
	}
	return d.answer(ctx, got)
}

func (d *door) seen() []call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// fails answers a handler's failure as the runtime does: why, and an error that does not say it.
func fails(context.Context, call) (*abi.Result, error) {
	return &abi.Result{Reply: abi.Reply{Error: "broken"}}, abi.WithCode(abi.FunctionFailed, errors.New("function failed"))
}

// mailbox is Destinations that remembers.
type mailbox struct {
	mu      sync.Mutex // guards the rest
	parcels []Parcel
	errs    []error // of the next sends
}

func (b *mailbox) Send(_ context.Context, p Parcel) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.errs) > 0 {
		err := b.errs[0]
		b.errs = b.errs[1:]
		return err
	}
	b.parcels = append(b.parcels, p)
	return nil
}

// openRegistry answers the registry of a store.
func openRegistry(t *testing.T, store *op.Memory) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// deploy deploys a function with settings in app shop.
func deploy(t *testing.T, r *registry.Registry, name string, s registry.Settings) {
	t.Helper()
	module := registry.Module{Digest: fmt.Sprintf("%064x", len(name)), SizeBytes: 8, Kind: registry.KindCommand}
	if _, err := r.Deploy(t.Context(), "shop", []registry.Change{{Name: name, Module: module, Settings: s}}); err != nil {
		t.Fatal(err)
	}
}

func scheduled(s ...registry.Schedule) registry.Settings {
	var settings registry.Settings
	for _, s := range s {
		settings.Triggers = append(settings.Triggers, registry.Trigger{Schedule: &s})
	}
	return settings
}

func newDelivery(t *testing.T, d *door, f Functions, b *mailbox) *Delivery {
	t.Helper()
	c := DeliveryConfig{Dispatcher: d, Functions: f, Registerer: prometheus.NewRegistry(), Log: nil}
	if b != nil {
		c.Destinations = b
	}
	delivery, err := NewDelivery(c)
	if err != nil {
		t.Fatal(err)
	}
	return delivery
}

// fakeQueue is a Source in memory with visibility and dead letters.
type fakeQueue struct {
	mu       sync.Mutex // guards the rest
	messages map[string]*fakeMessage
	sent     int
	most     int // receives after which a message is dead; 0: never
	dead     []string
	changed  chan struct{}
	asked    int // receives
	fail     error

	conflicts int    // commits that fail
	refuse    error  // what all others answer
	full      bool   // no message may be longer than the one it replaces
	missing   string // a queue that is not there: commits that send to it are refused
	effects   []op.Effects
}

type fakeMessage struct {
	op.Message
	visible time.Time
}

var errFake = errors.New("the queue is away")

func newFakeQueue(bodies ...string) *fakeQueue {
	q := &fakeQueue{messages: map[string]*fakeMessage{}, changed: make(chan struct{})}
	for _, b := range bodies {
		q.put(op.Outgoing{Body: []byte(b)})
	}
	return q
}

func (q *fakeQueue) put(m op.Outgoing) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(m)
}

func (q *fakeQueue) add(m op.Outgoing) {
	q.sent++
	id := fmt.Sprintf("m%04d", q.sent)
	now := time.Now()
	q.messages[id] = &fakeMessage{op.Message{ID: id, Body: m.Body, Attributes: m.Attributes, Group: m.Group, Sent: now}, now.Add(m.Delay)}
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *fakeQueue) Send(_ context.Context, m op.Outgoing) error {
	q.put(m)
	return nil
}

func (q *fakeQueue) Replace(_ context.Context, receipt string, m op.Outgoing) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if held := q.held(receipt); held != nil {
		if before := (op.Outgoing{Body: held.Body, Attributes: held.Attributes}); q.full && m.Bytes() > before.Bytes() {
			return abi.WithCode(abi.NoSpace, op.ErrQuota)
		}
		delete(q.messages, held.Message.ID)
		q.add(m)
	}
	return nil
}

func (q *fakeQueue) held(receipt string) *fakeMessage {
	for _, m := range q.messages {
		if m.Receipt == receipt {
			return m
		}
	}
	return nil
}

func (q *fakeQueue) Receive(ctx context.Context, r op.Receive) ([]op.Message, error) {
	until := time.Now().Add(r.Wait)
	for {
		q.mu.Lock()
		q.asked++
		got, next, changed, err := q.take(r), q.next(), q.changed, q.fail
		q.mu.Unlock()
		if err != nil || len(got) > 0 || !time.Now().Before(until) {
			return got, err
		}
		if next.IsZero() || next.After(until) {
			next = until
		}
		select {
		case <-time.After(time.Until(next)):
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *fakeQueue) take(r op.Receive) (got []op.Message) {
	now := time.Now()
	for _, id := range slices.Sorted(maps.Keys(q.messages)) {
		m := q.messages[id]
		if m.visible.After(now) || len(got) == r.Max || q.fail != nil {
			continue
		}
		if q.most > 0 && m.Receives >= q.most {
			q.dead = append(q.dead, string(m.Body))
			delete(q.messages, id)
			continue
		}
		if m.Receives++; m.Receives == 1 {
			m.First = now
		}
		m.Receipt, m.visible = fmt.Sprintf("%s-%d", id, m.Receives), now.Add(r.Visibility)
		got = append(got, m.Message)
	}
	return got
}

func (q *fakeQueue) next() (first time.Time) {
	for _, m := range q.messages {
		if first.IsZero() || m.visible.Before(first) {
			first = m.visible
		}
	}
	return first
}

func (q *fakeQueue) Settle(_ context.Context, s op.Settlement) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fail != nil {
		return q.fail
	}
	for _, r := range s.Delete {
		if m := q.held(r); m != nil {
			delete(q.messages, m.ID)
		}
	}
	for _, n := range s.Release {
		if m := q.held(n.Receipt); m != nil {
			m.visible = time.Now().Add(n.Delay)
		}
	}
	close(q.changed)
	q.changed = make(chan struct{})
	return nil
}

// Commit fails as often as conflicts says, and notes the effects.
func (q *fakeQueue) Commit(ctx context.Context, e op.Effects, s op.Settlement) error {
	q.mu.Lock()
	if q.conflicts > 0 {
		q.conflicts--
		q.mu.Unlock()
		return abi.WithCode(abi.Conflict, op.ErrConflict)
	}
	if q.refuse != nil {
		defer q.mu.Unlock()
		return q.refuse
	}
	if slices.ContainsFunc(e.Sends, func(s op.Sending) bool { return s.Queue == q.missing }) {
		q.mu.Unlock()
		return abi.WithCode(abi.NotFound, op.ErrNoQueue)
	}
	q.effects = append(q.effects, e)
	q.mu.Unlock()
	return q.Settle(ctx, s)
}

// left is the bodies of what is in the queue.
func (q *fakeQueue) left() (bodies []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(q.messages)) {
		bodies = append(bodies, string(q.messages[id].Body))
	}
	return bodies
}

// receives is how often it was asked for messages.
func (q *fakeQueue) receives() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.asked
}

func (q *fakeQueue) fault(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fail = err
}

// Sending answers a parcel as a message to a queue named by its destination. There is no function gone.
func (m *mailbox) Sending(_ context.Context, p Parcel) (op.Sending, error) {
	if p.Destination == "function:gone" {
		return op.Sending{}, registry.NoFunction(p.App, "gone")
	}
	return op.Sending{Queue: p.Destination, Messages: []op.Outgoing{{Body: p.Body}}}, nil
}

// sleep lets time pass in a bubble, and all that is due then happen.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
