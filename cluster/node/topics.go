package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// orphanGrace is how long a subscription that nobody has any more is kept, and the values before a change that no stream
// reads. A longer one keeps what is published for longer; after a shorter one a node that lags behind might lose what a new
// deployment has just subscribed to.
const orphanGrace = time.Minute

// Subscriptions of functions and others never share a name.
func functionSubscription(topic, function string) string {
	return queue.SubscriptionQueue(topic, "function/"+function)
}

func otherSubscription(topic, name string) string { return queue.SubscriptionQueue(topic, "url/"+name) }

// forwarder gives what is published to a topic to its subscribers. The leader's node runs it, which knows everything.
func (n *Node) forwarder(app, topic string) *trigger.Forwarder {
	return &trigger.Forwarder{Topic: topic, Queue: channel{n.queues, app, queue.TopicQueue(topic)}, Delivery: n.delivery,
		Subscribers: func(ctx context.Context) ([]trigger.Subscriber, error) { return n.subscribers(ctx, app, topic) }}
}

// subscribed is a topic's subscription and the queue that its messages go into.
type subscribed struct {
	registry.Subscription
	queue string
	own   bool // the queue is the subscription's alone
}

// subscriptions answers who has subscribed to a topic, as far as this node knows; without a topic, to all of an app's.
func (n *Node) subscriptions(ctx context.Context, app, topic string) (all []subscribed, err error) {
	for _, f := range n.registry.Snapshot().Functions() {
		for _, s := range topicSources(f) {
			if f.App == app && (topic == "" || topic == s.Topic) {
				all = append(all, subscribed{registry.Subscription{Topic: s.Topic, Name: f.Name, To: registry.DestinationFunction + ":" + f.Name,
					Filter: s.Filter, FilterScope: s.FilterScope, DeadLetter: s.DeadLetter}, functionSubscription(s.Topic, f.Name), true})
			}
		}
	}
	others, err := trigger.ListSubscriptions(ctx, n.store, app, topic)
	for _, s := range others {
		if name, ok := strings.CutPrefix(s.To, registry.DestinationQueue+":"); ok {
			all = append(all, subscribed{s, name, false})
		} else {
			all = append(all, subscribed{s, otherSubscription(s.Topic, s.Name), true})
		}
	}
	return all, err
}

// subscribers answers who gets what this node has received of a topic, and makes the queues that they have not got yet.
func (n *Node) subscribers(ctx context.Context, app, topic string) ([]trigger.Subscriber, error) {
	if err := n.refreshed(ctx); err != nil { // what was deployed before the publication is here: the receive has seen both
		return nil, err
	}
	all, err := n.subscriptions(ctx, app, topic)
	if err != nil {
		return nil, err
	}
	there, err := n.inner(ctx, app, queue.SubscriptionQueue(topic, ""))
	if err != nil {
		return nil, err
	}
	var subscribers []trigger.Subscriber
	for _, s := range all {
		if _, made := there[s.queue]; s.own && !made {
			if err := n.makeSubscription(ctx, app, s.queue); err != nil {
				return nil, err
			}
		}
		to, err := trigger.NewSubscriber(s.queue, registry.TopicSource{Topic: topic, Filter: s.Filter, FilterScope: s.FilterScope})
		if err != nil {
			return nil, err
		}
		subscribers = append(subscribers, to)
	}
	return subscribers, nil
}

// makeSubscription makes a queue that keeps messages for as long as one can.
func (n *Node) makeSubscription(ctx context.Context, app, name string) error {
	return n.queues.PutInner(ctx, app, registry.Queue{Name: name, RetentionSeconds: registry.MaxRetentionSeconds})
}

// sweepSubscriptions takes away the queues of subscriptions that nobody has had for a while, on the leader's node.
func (n *Node) sweepSubscriptions(queues []fsm.QueueName) error {
	if n.store.Replica().Leading() == 0 {
		clear(n.triggers.orphans)
		return nil
	}
	wanted, orphans := map[fsm.QueueName]bool{}, map[string]time.Time{}
	for _, q := range queues {
		if _, seen := wanted[fsm.QueueName{Namespace: q.Namespace}]; seen || !isSubscription(q.Name) {
			continue
		}
		wanted[fsm.QueueName{Namespace: q.Namespace}] = true
		names, err := n.subscribedQueues(q.Namespace)
		if err != nil {
			return err
		}
		for _, name := range names {
			wanted[fsm.QueueName{Namespace: q.Namespace, Name: name}] = true
		}
	}
	for _, q := range queues {
		if !isSubscription(q.Name) || wanted[q] {
			continue
		}
		key := q.Namespace + "/" + q.Name
		since, known := n.triggers.orphans[key]
		if !known {
			since = time.Now()
		}
		orphans[key] = since
		if time.Since(since) > n.config.grace {
			n.log.Info("remove subscription", "app", q.Namespace, "queue", q.Name)
			if err := n.queues.Remove(n.ctx, q.Namespace, q.Name); err != nil && abi.CodeOf(err) != abi.NotFound {
				return err
			}
		}
	}
	n.triggers.orphans = orphans
	return nil
}

// isSubscription says whether a queue is that of a topic's subscription, of a rule or an archive of a bus, or of a function's
// uploads.
func isSubscription(name string) bool {
	return queue.IsSubscription(name) || queue.IsOfBus(name) || queue.IsUpload(name)
}

// subscribedQueues are the names of all queues of an app's that are somebody's subscription.
func (n *Node) subscribedQueues(app string) (names []string, err error) {
	all, err := n.subscriptions(n.ctx, app, "")
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		names = append(names, s.queue)
	}
	for _, f := range n.registry.Snapshot().Functions() {
		if f.App == app {
			for _, r := range eventRules(f) {
				names = append(names, r.queue)
			}
			for bucket := range f.Uploads() {
				names = append(names, queue.UploadQueue(f.Name, bucket))
			}
		}
	}
	archives, err := trigger.ListArchives(n.ctx, n.store, app)
	for _, a := range archives {
		names = append(names, queue.ArchiveQueue(a.Name))
	}
	return names, err
}

// Subscribe subscribes a queue or a URL to a topic, or changes its subscription.
func (n *Node) Subscribe(ctx context.Context, app string, s registry.Subscription) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if _, err := n.queues.Get(ctx, app, queue.TopicQueue(s.Topic)); err != nil {
		if abi.CodeOf(err) == abi.NotFound {
			err = abi.WithCode(abi.NotFound, fmt.Errorf("topic %s in app %s: no such topic", s.Topic, app))
		}
		return err
	}
	if name, ok := strings.CutPrefix(s.To, registry.DestinationQueue+":"); ok {
		if _, err := n.queues.Get(ctx, app, name); err != nil {
			if errors.Is(err, op.ErrNoQueue) {
				err = abi.WithCode(abi.NotFound, op.ErrNoQueue)
			}
			return fmt.Errorf("queue %s in app %s: %w", name, app, err)
		}
	} else if err := n.makeSubscription(ctx, app, otherSubscription(s.Topic, s.Name)); err != nil {
		return err
	}
	return trigger.PutSubscription(ctx, n.store, app, s)
}

// Unsubscribe ends a subscription that Subscribe made.
func (n *Node) Unsubscribe(ctx context.Context, app, topic, name string) error {
	err := trigger.DeleteSubscription(ctx, n.store, app, topic, name)
	if abi.CodeOf(err) == abi.NotFound {
		f := n.registry.Snapshot().Function(app, name)
		if f != nil && slices.ContainsFunc(topicSources(f), func(s registry.TopicSource) bool { return s.Topic == topic }) {
			return abi.WithCode(abi.Conflict, fmt.Errorf("subscription %s is a function's: deploy the function without it", name))
		}
	}
	if err != nil {
		return err
	}
	if err := n.queues.Remove(ctx, app, otherSubscription(topic, name)); err != nil && abi.CodeOf(err) != abi.NotFound {
		return err
	}
	return nil
}

// adminQueues are the queues and topics of all apps, for package admin.
type adminQueues struct {
	*queue.Queues
	node *Node
}

// RemoveTopic takes a topic away with all who have subscribed, so that one of its name begins without.
func (q adminQueues) RemoveTopic(ctx context.Context, app, topic string) error {
	if err := trigger.DeleteSubscriptions(ctx, q.node.store, app, topic); err != nil {
		return err
	}
	return q.Queues.RemoveTopic(ctx, app, topic)
}

// Subscriptions answers a topic's subscriptions by name.
func (n *Node) Subscriptions(ctx context.Context, app, topic string) ([]registry.Subscription, error) {
	if _, err := n.queues.Get(ctx, app, queue.TopicQueue(topic)); err != nil {
		return nil, err
	}
	subscribed, err := n.subscriptions(ctx, app, topic)
	all := make([]registry.Subscription, len(subscribed))
	for i, s := range subscribed {
		all[i] = s.Subscription
	}
	slices.SortStableFunc(all, func(a, b registry.Subscription) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}
