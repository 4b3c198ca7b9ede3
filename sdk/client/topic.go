package client

import (
	"context"
	"net/http"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
)

// TopicList is the response that lists an app's topics by name.
type TopicList struct {
	Topics []registry.Topic `json:"topics"`
}

// SubscriptionList is the response that lists a topic's subscriptions by name.
type SubscriptionList struct {
	Subscriptions []registry.Subscription `json:"subscriptions"`
}

// Topics are the topics of a node's apps, and who gets what is published to them.
type Topics struct{ client *Client }

// Topics answers the topics of the node's apps.
func (c *Client) Topics() Topics { return Topics{c} }

// Put makes a topic, or leaves one that is there.
func (t Topics) Put(ctx context.Context, app string, topic registry.Topic) error {
	return t.client.do(ctx, request{method: http.MethodPut, path: path("apps", app, "topics", topic.Name)})
}

// List answers an app's topics by name.
func (t Topics) List(ctx context.Context, app string) ([]registry.Topic, error) {
	var out TopicList
	err := t.client.do(ctx, request{method: http.MethodGet, path: path("apps", app, "topics"), out: &out})
	return out.Topics, err
}

// Remove removes a topic with its subscriptions, and what was not delivered.
func (t Topics) Remove(ctx context.Context, app, topic string) error {
	return t.client.do(ctx, request{method: http.MethodDelete, path: path("apps", app, "topics", topic)})
}

// Publish gives messages to all subscribers of a topic that want them. Once it returns they are durable.
func (t Topics) Publish(ctx context.Context, app, topic string, messages ...op.Outgoing) ([]op.Sent, error) {
	return t.client.sendMessages(ctx, path("apps", app, "topics", topic, "publish"), messages)
}

// Subscribe subscribes a queue or a URL to a topic, or changes a subscription that is there.
func (t Topics) Subscribe(ctx context.Context, app string, s registry.Subscription) error {
	return t.client.do(ctx, request{method: http.MethodPut, path: path("apps", app, "topics", s.Topic, "subscriptions", s.Name), in: s})
}

// Unsubscribe ends a subscription, and what was not delivered to it is gone. One of a function's, which its deployment
// made, is an error coded abi.Conflict.
func (t Topics) Unsubscribe(ctx context.Context, app, topic, name string) error {
	return t.client.do(ctx, request{method: http.MethodDelete, path: path("apps", app, "topics", topic, "subscriptions", name)})
}

// Subscriptions answers those of a topic by name, functions' too.
func (t Topics) Subscriptions(ctx context.Context, app, topic string) ([]registry.Subscription, error) {
	var out SubscriptionList
	err := t.client.do(ctx, request{method: http.MethodGet, path: path("apps", app, "topics", topic, "subscriptions"), out: &out})
	return out.Subscriptions, err
}
