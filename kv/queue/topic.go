package queue

import (
	"context"
	"fmt"
	"strings"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
)

// A topic is a queue of publications, and a subscription a queue of its own. A deliverer receives publications and
// forwards each to the subscriptions that want it, in the entry of the log that deletes it. So a subscription's
// retries, dead letters and concurrency are those of a queue, and a slow or failing one holds up nobody.
//
// A log with a cursor for each subscription would keep one copy of a message however many want it. But a cursor cannot
// step over a message that fails: for retries one by one there would be a queue behind each cursor all the same.

// topicPrefix begins the names of topics' queues.
const topicPrefix = "topic/"

// TopicQueue is the name of a topic's queue, for Stats and Receive.
func TopicQueue(topic string) string { return topicPrefix + topic }

// SubscriptionQueue is the name of a subscription's queue, for Receive, Settle, Stats and Redrive.
func SubscriptionQueue(topic, subscription string) string {
	return TopicQueue(topic) + "/" + subscription
}

// TopicOf answers the topic that a queue is the publications of, if it is one.
func TopicOf(queue string) (topic string, ok bool) {
	topic, ok = strings.CutPrefix(queue, topicPrefix)
	return topic, ok && !strings.Contains(topic, "/")
}

// IsSubscription says whether a queue is that of a topic's subscription.
func IsSubscription(queue string) bool {
	topic, ok := strings.CutPrefix(queue, topicPrefix)
	return ok && strings.Contains(topic, "/")
}

// PutTopic makes a topic, or leaves one that is there.
func (q *Queues) PutTopic(ctx context.Context, app string, t registry.Topic) error {
	err := op.ValidateQueueName(t.Name)
	if err == nil && strings.HasSuffix(t.Name, ".fifo") {
		err = fmt.Errorf("topic %s: there are no FIFO topics: %w", t.Name, op.ErrInvalid)
	}
	if err == nil {
		err = q.PutInner(ctx, app, registry.Queue{Name: TopicQueue(t.Name), RetentionSeconds: int(op.MaxRetention.Seconds())})
	}
	return coded("put topic", err)
}

// RemoveTopic takes a topic away with its subscriptions, and what was not delivered. Stopped on its way, by an error or
// the end of the node, it is done again.
func (q *Queues) RemoveTopic(ctx context.Context, app, topic string) error {
	for {
		subscriptions, after, err := q.List(ctx, app, op.QueueQuery{Prefix: SubscriptionQueue(topic, ""), Inner: true})
		if err != nil {
			return coded("remove topic", err)
		}
		for _, s := range subscriptions {
			if err := q.Remove(ctx, app, s.Name); err != nil {
				return coded("remove topic", err)
			}
		}
		if after == "" {
			return coded("remove topic", q.Remove(ctx, app, TopicQueue(topic)))
		}
	}
}

// Topics answers an app's topics in the order of their names.
func (q *Queues) Topics(ctx context.Context, app string) (topics []registry.Topic, err error) {
	for query := (op.QueueQuery{Prefix: topicPrefix, Inner: true}); ; {
		page, after, err := q.List(ctx, app, query)
		if err != nil {
			return nil, coded("list topics", err)
		}
		for _, i := range page {
			if name, ok := TopicOf(i.Name); ok {
				topics = append(topics, registry.Topic{Name: name})
			}
		}
		if query.After = after; after == "" {
			return topics, nil
		}
	}
}

// Publish appends publications to a topic, as Send does to a queue.
func (q *Queues) Publish(ctx context.Context, app, topic string, messages ...op.Outgoing) ([]op.Sent, error) {
	return q.Send(ctx, app, TopicQueue(topic), messages...)
}

// Subscribe makes a topic's subscription, or changes it. Of c, Name is the subscription's, as in op.ValidateInnerName;
// DeadLetter and MaxReceives say what becomes of what fails. It gets what is forwarded from then on.
func (q *Queues) Subscribe(ctx context.Context, app, topic string, c registry.Queue) error {
	c.Name = SubscriptionQueue(topic, c.Name)
	return coded("subscribe", q.PutInner(ctx, app, c))
}

// Unsubscribe takes a subscription away, and what was not delivered to it.
func (q *Queues) Unsubscribe(ctx context.Context, app, topic, subscription string) error {
	return coded("unsubscribe", q.Remove(ctx, app, SubscriptionQueue(topic, subscription)))
}
