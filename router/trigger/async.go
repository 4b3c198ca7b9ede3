package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of asynchronous invocations.
const (
	MaxAsyncBytes     = registry.MaxMessageBytes - 2048 // of a payload and a request's header; the rest is for what is known of it
	DefaultAsyncSlots = 100                             // invocations of an app's queue at once on a node

	visibility    = 15 * time.Second // of what is received: how long a node that works on it may be silent
	longPoll      = 20 * time.Second
	envelopeName  = "sett-invocation"
	attributeText = "String"
)

// AsyncQueue is where an app's asynchronous invocations wait.
type AsyncQueue interface {
	Source
	// Send puts a message into the queue. When it returns without an error, the message is durable.
	Send(ctx context.Context, m op.Outgoing) error
	// Replace puts m into the queue and takes out what was received with a receipt, both or neither. A receipt that
	// does not hold any more is no error, and nothing happens.
	Replace(ctx context.Context, receipt string, m op.Outgoing) error
}

// AsyncConfig is what an Async needs. All but Slots is required.
type AsyncConfig struct {
	App      string
	Queue    AsyncQueue
	Delivery *Delivery
	Slots    int // 0: DefaultAsyncSlots
}

// Async runs the asynchronous invocations of an app. Attempts and refusals are counted in the message itself, so that
// a node's crash is not taken for a failure of the function.
type Async struct {
	config AsyncConfig
}

// NewAsync answers an Async that accepts invocations, and runs them once Run is called.
func NewAsync(c AsyncConfig) *Async {
	if c.Slots == 0 {
		c.Slots = DefaultAsyncSlots
	}
	return &Async{c}
}

// Submit accepts an invocation and answers its id. After an error it may have been accepted none the less when the store
// does not know. Errors are those of Message besides the queue's.
func (a *Async) Submit(ctx context.Context, i Invocation) (id string, err error) {
	m, err := a.message(&i)
	if err == nil {
		err = a.config.Queue.Send(ctx, m)
	}
	return i.ID, coded("accept invocation", err)
}

// Message is what Submit sends of an invocation. ID, App, Trigger and Accepted are filled in where they are empty. A payload
// over MaxAsyncBytes is refused with abi.TooLarge.
func (a *Async) Message(i Invocation) (op.Outgoing, error) { return a.message(&i) }

func (a *Async) message(i *Invocation) (op.Outgoing, error) {
	switch {
	case len(i.Payload) > MaxAsyncBytes:
		return op.Outgoing{}, abi.WithCode(abi.TooLarge, fmt.Errorf("payload of %d bytes: over the limit of %d bytes of an asynchronous invocation",
			len(i.Payload), MaxAsyncBytes))
	case i.Depth > abi.MaxDepth:
		return op.Outgoing{}, errLoop()
	}
	now := time.Now()
	if i.App = a.config.App; i.ID == "" {
		i.ID = router.NewInvocationID(now)
	}
	if i.Trigger == "" {
		i.Trigger = abi.TriggerAsync
	}
	if i.Accepted.IsZero() {
		i.Accepted = now
	}
	return envelope(*i)
}

// envelope is the message of an invocation: the payload, with a byte at its end since no message is empty, and all else
// as an attribute.
func envelope(i Invocation) (op.Outgoing, error) {
	m := op.Outgoing{Body: append(slices.Clone(i.Payload), '\n')}
	i.Payload = nil
	b, err := json.Marshal(i)
	m.Attributes = []op.Attribute{{Name: envelopeName, Type: attributeText, Value: b}}
	return m, err
}

// Open answers the invocation that a message of an AsyncQueue holds.
func Open(m op.Message) (i Invocation, err error) {
	err = fmt.Errorf("message %s has no attribute %s", m.ID, envelopeName)
	for _, a := range m.Attributes {
		if a.Name == envelopeName {
			err = json.Unmarshal(a.Value, &i)
		}
	}
	i.Payload = m.Body[:max(0, len(m.Body)-1)]
	return i, err
}

// Run invokes what was accepted until ctx ends, then waits for what runs as long as the Delivery's drain time says.
func (a *Async) Run(ctx context.Context) {
	lingering, cancel := a.config.Delivery.linger(ctx)
	defer cancel()
	slots := make(chan struct{}, a.config.Slots)
	var runs sync.WaitGroup
	defer runs.Wait()
	for {
		free := takeSlots(ctx, slots)
		if free == 0 {
			return
		}
		messages := receive(ctx, a.config.Delivery, a.config.Queue, op.Receive{Max: free, Wait: longPoll, Visibility: visibility})
		for _, m := range messages {
			runs.Go(func() {
				defer func() { <-slots }()
				a.run(lingering, m)
			})
		}
		for range free - len(messages) {
			<-slots
		}
	}
}

// takeSlots waits for a free slot and takes all that are; 0: ctx has ended.
func takeSlots(ctx context.Context, slots chan struct{}) (n int) {
	select {
	case slots <- struct{}{}:
		n = 1
	case <-ctx.Done():
		return 0
	}
	for {
		select {
		case slots <- struct{}{}:
			n++
		default:
			if ctx.Err() != nil {
				for range n {
					<-slots
				}
				return 0
			}
			return n
		}
	}
}

// receive answers messages. After an error it waits and answers none.
func receive(ctx context.Context, d *Delivery, s Source, r op.Receive) []op.Message {
	messages, err := s.Receive(ctx, r)
	if err != nil && ctx.Err() == nil {
		d.log.Warn("receive", "err", err)
		pause(ctx, storePause)
	}
	return messages
}

// run makes an attempt.
func (a *Async) run(ctx context.Context, m op.Message) {
	d := a.config.Delivery
	i, err := Open(m)
	if err != nil {
		d.log.Error("read invocation", "app", a.config.App, "err", err)
		d.settle(ctx, a.config.Queue, op.Settlement{Delete: []string{m.Receipt}})
		return
	}
	release := d.hold(ctx, a.config.Queue, []op.Message{m}, visibility)
	settings := d.async(i.App, i.Function)
	o := d.Attempt(ctx, &i, AsyncPolicy(settings), func(ctx context.Context, o Outcome) error {
		return d.commitWithRecord(ctx, &i, o, settings, func(e op.Effects) error {
			return a.config.Queue.Commit(ctx, e, op.Settlement{Delete: []string{m.Receipt}})
		})
	})
	d.report(ctx, &i, &o, settings)
	release()
	switch {
	case o.Committed:
	case o.Verdict == Again:
		a.replace(ctx, m, i, o.Delay)
	case o.Verdict == Interrupted:
		d.settle(ctx, a.config.Queue, op.Settlement{Release: []op.Release{{Receipt: m.Receipt}}})
	default:
		d.settle(ctx, a.config.Queue, op.Settlement{Delete: []string{m.Receipt}})
	}
}

// replace has the invocation come again with its new counts. Where it may not grow, as in an app whose quota is full, it goes
// without the error, for the counts have room; and when that is not enough the counts stay as they were.
func (a *Async) replace(ctx context.Context, m op.Message, i Invocation, delay time.Duration) {
	a.config.Delivery.persist(ctx, func(ctx context.Context) error {
		err := a.tryReplace(ctx, m, i, delay)
		if mayNotGrow(err) {
			i.Error = ""
			err = a.tryReplace(ctx, m, i, delay)
		}
		if mayNotGrow(err) {
			err = a.config.Queue.Settle(ctx, op.Settlement{Release: []op.Release{{Receipt: m.Receipt, Delay: delay}}})
		}
		return err
	})
}

func (a *Async) tryReplace(ctx context.Context, m op.Message, i Invocation, delay time.Duration) error {
	next, err := envelope(i)
	if err != nil {
		return err
	}
	next.Delay = delay
	return a.config.Queue.Replace(ctx, m.Receipt, next)
}

func mayNotGrow(err error) bool {
	code := abi.CodeOf(err)
	return code == abi.NoSpace || code == abi.TooLarge
}
