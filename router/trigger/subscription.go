package trigger

import (
	"context"
	"fmt"
	"slices"

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
	known := slices.ContainsFunc(others, func(o registry.Subscription) bool { return o.Name == s.Name })
	if len(others) >= registry.MaxSubscriptions && !known {
		return abi.WithCode(abi.TooLarge, fmt.Errorf("topic %s has %d subscriptions, no more are allowed", s.Topic, len(others)))
	}
	return put(ctx, to, "subscribe", subscriptionKey(app, s.Topic, s.Name), s)
}

// DeleteSubscription forgets a subscription. The error for one that is not there is coded abi.NotFound.
func DeleteSubscription(ctx context.Context, from Store, app, topic, name string) error {
	missing := abi.WithCode(abi.NotFound, fmt.Errorf("subscription %.80q of topic %.80q in app %.80q: no such subscription", name, topic, app))
	return forget(ctx, from, "unsubscribe", subscriptionKey(app, topic, name), missing)
}

// DeleteSubscriptions forgets all subscriptions of a topic.
func DeleteSubscriptions(ctx context.Context, from Store, app, topic string) error {
	t := op.Txn{Namespace: op.System, Ops: []op.Op{{Kind: op.DeletePrefix, Key: subscriptionKey(app, topic, "")}}}
	for {
		did, err := from.Commit(ctx, t)
		if err != nil {
			return coded("unsubscribe", err)
		}
		if did.Ops[0].Integer < op.MaxDeleteKeys {
			return nil
		}
	}
}

// ListSubscriptions answers the subscriptions that PutSubscription made, as this node knows them: of a topic, or without
// one of all the app's, or without an app of all apps.
func ListSubscriptions(ctx context.Context, in Store, app, topic string) ([]registry.Subscription, error) {
	prefix := SubscriptionPrefix
	if app != "" {
		prefix += app + "/"
	}
	if topic != "" {
		prefix += topic + "/"
	}
	return listOf[registry.Subscription](ctx, in, "subscriptions", prefix, op.Local)
}
