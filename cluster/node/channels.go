package node

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Channels are the queues that messages travel through on their way to functions.

// asyncQueue is the queue of an app's asynchronous invocations.
const asyncQueue = "async/invocations"

// channel is a queue of an app, for package trigger.
type channel struct {
	queues    *queue.Queues
	app, name string
}

// Receive is for trigger.Source.
func (c channel) Receive(ctx context.Context, r op.Receive) ([]op.Message, error) {
	return c.queues.Receive(ctx, c.app, c.name, r)
}

// Settle is for trigger.Source.
func (c channel) Settle(ctx context.Context, s op.Settlement) error {
	_, err := c.queues.Settle(ctx, c.app, c.name, s)
	return err
}

// Commit is for trigger.Source.
func (c channel) Commit(ctx context.Context, e op.Effects, s op.Settlement) error {
	return c.queues.Commit(ctx, c.app, &e, op.Ending{Queue: c.name, Settlement: s})
}

// Forward is for trigger.TopicQueue.
func (c channel) Forward(ctx context.Context, f ...op.Forwarding) error {
	return c.queues.Forward(ctx, c.app, c.name, f...)
}

// Send is for trigger.AsyncQueue. It makes the queue when it is not there.
func (c channel) Send(ctx context.Context, m op.Outgoing) error {
	_, err := c.queues.Send(ctx, c.app, c.name, m)
	if abi.CodeOf(err) != abi.NotFound {
		return err
	}
	if err := c.make(ctx); err != nil {
		return err
	}
	_, err = c.queues.Send(ctx, c.app, c.name, m)
	return err
}

// make makes the queue, or leaves it.
func (c channel) make(ctx context.Context) error {
	return c.queues.PutInner(ctx, c.app, registry.Queue{Name: c.name, RetentionSeconds: registry.MaxRetentionSeconds})
}

// Replace is for trigger.AsyncQueue.
func (c channel) Replace(ctx context.Context, receipt string, m op.Outgoing) error {
	_, err := c.queues.Replace(ctx, c.app, c.name, receipt, m)
	return err
}

// async are the asynchronous invocations of an app.
func (n *Node) async(app string) *trigger.Async {
	return trigger.NewAsync(trigger.AsyncConfig{App: app, Queue: channel{n.queues, app, asyncQueue}, Delivery: n.delivery})
}

// Enqueue takes an invocation that is run later, and answers its id once it is durable.
func (n *Node) Enqueue(ctx context.Context, c router.Call) (invocation string, err error) {
	if _, err := n.registry.Snapshot().Resolve(c.App, c.Function, c.Qualifier); err != nil {
		return "", err
	}
	e := *c.Event
	i := trigger.Invocation{ID: e.Invocation, Function: c.Function, Qualifier: c.Qualifier, Event: &e, Payload: e.Body, Depth: e.Depth}
	e.Body = nil // it travels as the payload
	return n.async(c.App).Submit(ctx, i)
}

// destinations sends what has become of invocations where a function's settings say.
type destinations struct{ *Node }

// Send is for trigger.Destinations.
func (n destinations) Send(ctx context.Context, p trigger.Parcel) error {
	s, err := n.Sending(ctx, p)
	if err != nil {
		return err
	}
	return n.queues.Commit(ctx, p.App, &op.Effects{Sends: []op.Sending{s}}, op.Ending{})
}

// Sending is for trigger.Destinations.
func (n destinations) Sending(ctx context.Context, p trigger.Parcel) (s op.Sending, err error) {
	kind, name, err := registry.ParseDestination(p.Destination)
	if err != nil {
		return s, err
	}
	m := op.Outgoing{Body: p.Body, Attributes: p.Attributes}
	switch kind {
	case registry.DestinationQueue:
		if s.Queue = name; strings.HasSuffix(name, ".fifo") {
			m.Group, m.Dedup = "sett", rand.Text() // one order for all, and none is another
		}
	case registry.DestinationTopic:
		s.Topic = name
	case registry.DestinationFunction:
		if n.registry.Snapshot().Function(p.App, name) == nil {
			return s, registry.NoFunction(p.App, name)
		}
		s.Queue = asyncQueue
		if _, err := n.queues.Settings(ctx, p.App, asyncQueue); abi.CodeOf(err) == abi.NotFound {
			if err := (channel{n.queues, p.App, asyncQueue}).make(ctx); err != nil {
				return s, err
			}
		}
		if m, err = n.async(p.App).Message(trigger.Invocation{Function: name, Payload: p.Body, Depth: p.Depth}); err != nil {
			return s, err
		}
	}
	s.Messages = []op.Outgoing{m}
	return s, nil
}
