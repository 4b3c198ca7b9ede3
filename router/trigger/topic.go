package trigger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// maxForward is how many publications are forwarded at once. More hold up those of other topics for longer.
const maxForward = 1000

// forwardLease is after which publications come again whose forwarder was killed. Less brings them sooner; it may be
// less than forwarding takes when the store has no leader, since what came again is not forwarded twice.
const forwardLease = 5 * time.Second

// TopicQueue is where a topic's publications wait.
type TopicQueue interface {
	Source
	// Forward copies received messages to other queues and deletes them. One whose receipt does not hold any more is left
	// alone.
	Forward(ctx context.Context, forwardings ...op.Forwarding) error
}

// Subscriber is a queue that gets what is published to a topic.
type Subscriber struct {
	Queue    string // its name
	filter   *Filter
	scope    string // where filter looks
	event    bool   // it is of a bus: filter looks at the event
	archive  bool
	function string // that an event's rule is of
}

// NewSubscriber answers the subscriber of a subscription whose messages go into a queue. An error, coded
// abi.InvalidInput, is of its filter.
func NewSubscriber(queue string, s registry.TopicSource) (Subscriber, error) {
	to := Subscriber{Queue: queue, scope: s.FilterScope}
	if len(s.Filter) > 0 {
		var err error
		if to.filter, err = ParseFilter(s.Filter); err != nil {
			return to, fmt.Errorf("topic %s: %w", s.Topic, err)
		}
	}
	return to, nil
}

func (s Subscriber) wants(m op.Message, value func() any) bool {
	if s.event {
		return s.wantsEvent(m, value)
	}
	return s.filter == nil || s.filter.matchesTopic(m, s.scope)
}

// Forwarder gives what is published to a topic to its subscribers, each into a queue of its own: so none waits for
// another, and each has its own retries and dead letters.
type Forwarder struct {
	Topic    string
	Trigger  string // for metrics; empty: abi.TriggerTopic
	Queue    TopicQueue
	Delivery *Delivery
	// Subscribers answers those that have subscribed before the call. It is called after a receive, so that who subscribes
	// and then publishes gets it.
	Subscribers func(ctx context.Context) ([]Subscriber, error)
}

// Run forwards until ctx ends. What it has received and not forwarded by then comes again.
func (f *Forwarder) Run(ctx context.Context) {
	for ctx.Err() == nil {
		messages := receive(ctx, f.Delivery, f.Queue, op.Receive{Max: maxForward, Wait: longPoll, Visibility: forwardLease})
		if len(messages) == 0 {
			continue
		}
		if err := f.forward(ctx, messages); err != nil && ctx.Err() == nil {
			f.Delivery.log.Warn("forward publications", "topic", f.Topic, "err", err)
			pause(ctx, storePause)
		}
	}
}

func (f *Forwarder) forward(ctx context.Context, messages []op.Message) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout) // what was begun is done
	defer cancel()
	subscribers, err := f.Subscribers(ctx)
	if err != nil {
		return f.giveBack(ctx, messages, err)
	}
	forwardings, copies := sortOut(messages, subscribers)
	err = f.Queue.Forward(ctx, forwardings...)
	if abi.CodeOf(err) == abi.NoSpace && slices.ContainsFunc(subscribers, func(s Subscriber) bool { return s.archive }) {
		f.Delivery.log.Warn("archive events", "bus", f.Topic, "err", err) // what is kept does not hold up what is delivered
		subscribers = slices.DeleteFunc(subscribers, func(s Subscriber) bool { return s.archive })
		forwardings, copies = sortOut(messages, subscribers)
		err = f.Queue.Forward(ctx, forwardings...)
	}
	if err != nil {
		return f.giveBack(ctx, messages, err)
	}
	f.Delivery.metrics.messages.WithLabelValues(cmp.Or(f.Trigger, abi.TriggerTopic), messageForwarded).Add(float64(copies))
	return nil
}

// sortOut says which subscribers get which messages, and how many copies that makes.
func sortOut(messages []op.Message, subscribers []Subscriber) (forwardings []op.Forwarding, copies int) {
	forwardings = make([]op.Forwarding, len(messages))
	for i, m := range messages {
		forwardings[i].Message = m
		value := sync.OnceValue(func() any { v, _ := decode(m.Body); return v }) // once for all patterns
		for _, s := range subscribers {
			if s.wants(m, value) {
				forwardings[i].To = append(forwardings[i].To, s.Queue)
			}
		}
		copies += len(forwardings[i].To)
	}
	return forwardings, copies
}

// giveBack has messages come again after a while, and answers err.
func (f *Forwarder) giveBack(ctx context.Context, messages []op.Message, err error) error {
	var s op.Settlement
	for _, m := range messages {
		s.Release = append(s.Release, op.Release{Receipt: m.Receipt, Delay: storePause})
	}
	f.Delivery.settle(ctx, f.Queue, s)
	return err
}

// Poster sends a message to a URL, within ctx, and answers the status of the reply.
type Poster interface {
	Post(ctx context.Context, app, url string, header []abi.Field, body []byte) (status int, err error)
}

// Limits of deliveries to URLs.
const (
	URLAttempts   = 10               // of a message
	URLTimeout    = 30 * time.Second // of one
	urlBackoff    = time.Second      // after the first; doubles with each
	maxURLBackoff = 10 * time.Minute
	urlSlots      = 16 // posts of a subscription at once on a node
)

// NewURLWorker answers the worker of a subscription that posts messages to a URL, as SNS does: JSON with the fields of a
// notification. A reply that is not 2xx is a failure, which is tried again; the last one sends the message to the dead
// letters, if there are any.
func NewURLWorker(c WorkerConfig, s registry.Subscription, to Poster) *Worker {
	posting := *c.Delivery
	posting.config.Dispatcher = &posts{to: to, subscription: s}
	c.Delivery = &posting
	c.Function = "" // no function's settings say what becomes of it
	if c.Slots == 0 {
		c.Slots = urlSlots
	}
	w := newEachWorker(c, abi.TriggerTopic, s.Topic, s.DeadLetter)
	w.encode = func(batch []op.Message) ([]byte, error) {
		return notification(batch[0], posting.config.Region, s.Topic)
	}
	w.policy = func() Policy {
		return Policy{Attempts: URLAttempts, Backoff: urlBackoff, MaxBackoff: maxURLBackoff, Refused: refusedBackoff, MaxRefused: maxRefused}
	}
	return w
}
