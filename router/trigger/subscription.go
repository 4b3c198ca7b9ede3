package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// SubscriptionPrefix is where, in namespace op.System, subscriptions are that no deployment made: then app/topic/name.
const SubscriptionPrefix = "subscription/"

func subscriptionKey(app, topic, name string) string {
	return SubscriptionPrefix + app + "/" + topic + "/" + name
}

// PutSubscription keeps a subscription, in place of one of its name.
func PutSubscription(ctx context.Context, to Store, app string, s registry.Subscription) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if _, err := NewSubscriber("", registry.TopicSource{Topic: s.Topic, Filter: s.Filter, FilterScope: s.FilterScope}); err != nil {
		return err
	}
	others, err := ListSubscriptions(ctx, to, app, s.Topic)
	if err != nil {
		return err
	}
	if len(others) >= registry.MaxSubscriptions {
		return abi.WithCode(abi.TooLarge, fmt.Errorf("topic %s has %d subscriptions, no more are allowed", s.Topic, len(others)))
	}
	write, err := setOp(subscriptionKey(app, s.Topic, s.Name), s)
	if err != nil {
		return err
	}
	_, err = to.Commit(ctx, op.Txn{Namespace: op.System, Ops: []op.Op{write}})
	return coded("subscribe", err)
}

// DeleteSubscription forgets a subscription. The error for one that is not there is coded abi.NotFound.
func DeleteSubscription(ctx context.Context, from Store, app, topic, name string) error {
	key := subscriptionKey(app, topic, name)
	item, err := from.Get(ctx, op.System, key, op.Read{Consistency: op.Strong})
	if err == nil {
		t := op.Txn{Namespace: op.System, Checks: []op.Check{{Key: key, Revision: item.Revision}}, Ops: []op.Op{{Kind: op.Delete, Key: key}}}
		_, err = from.Commit(ctx, t)
	}
	if errors.Is(err, op.ErrNotFound) {
		return abi.WithCode(abi.NotFound, fmt.Errorf("subscription %.80q of topic %.80q in app %.80q: no such subscription", name, topic, app))
	}
	return coded("unsubscribe", err)
}

// ListSubscriptions answers the subscriptions that PutSubscription made, as this node knows them: of a topic, or without
// one of all the app's, or without an app of all apps.
func ListSubscriptions(ctx context.Context, in Store, app, topic string) (all []registry.Subscription, err error) {
	q := op.Query{Prefix: SubscriptionPrefix, Read: op.Read{Consistency: op.Local}}
	if app != "" {
		q.Prefix += app + "/"
	}
	if topic != "" {
		q.Prefix += topic + "/"
	}
	for {
		page, err := in.List(ctx, op.System, q)
		if err != nil {
			return nil, coded("list subscriptions", err)
		}
		for _, i := range page.Items {
			var s registry.Subscription
			if err := json.Unmarshal(i.Value, &s); err != nil {
				return nil, fmt.Errorf("read record %s: %w", i.Key, err)
			}
			all = append(all, s)
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return all, nil
		}
	}
}
