package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
)

// Queues are the queues of a node's apps. Its methods are those of the store, in the words of package kv/op. A queue that
// is not there is op.ErrNoQueue, coded abi.NotFound.
type Queues struct{ client *Client }

// Queues answers the queues of the node's apps.
func (c *Client) Queues() Queues { return Queues{c} }

func (q Queues) path(app, name string, more ...string) string {
	return path(append([]string{"apps", app, "queues", name}, more...)...)
}

// Put makes a queue, or gives one that is there these settings; its messages stay. Zero settings stand for their
// defaults. FIFO and others do not become one another: abi.Conflict.
func (q Queues) Put(ctx context.Context, app string, c registry.Queue) error {
	return q.client.do(ctx, request{method: http.MethodPut, path: q.path(app, c.Name), in: c})
}

// Get answers a queue and what it holds.
func (q Queues) Get(ctx context.Context, app, name string) (registry.QueueInfo, error) {
	var out QueueInfo
	err := q.client.do(ctx, request{method: http.MethodGet, path: q.path(app, name), out: &out})
	return out.Info(), err
}

// List answers queues in the order of their names, and the After of the next page, empty when there is none. The
// platform's own queues are not to be had.
func (q Queues) List(ctx context.Context, app string, ask op.QueueQuery) (queues []registry.QueueInfo, after string, err error) {
	query := url.Values{}
	if ask.Prefix != "" {
		query.Set("prefix", ask.Prefix)
	}
	if ask.After != "" {
		query.Set("cursor", ask.After)
	}
	if ask.Limit > 0 && ask.Limit < op.MaxQueuePage {
		query.Set("limit", strconv.Itoa(ask.Limit))
	}
	var out QueuePage
	if err := q.client.do(ctx, request{method: http.MethodGet, path: path("apps", app, "queues"), query: query, out: &out}); err != nil {
		return nil, "", err
	}
	for _, i := range out.Queues {
		queues = append(queues, i.Info())
	}
	return queues, out.Cursor, nil
}

// Remove removes a queue with its messages.
func (q Queues) Remove(ctx context.Context, app, name string) error {
	return q.client.do(ctx, request{method: http.MethodDelete, path: q.path(app, name)})
}

// Purge deletes all messages of a queue, those in flight, too, and answers how many they were.
func (q Queues) Purge(ctx context.Context, app, name string) (messages int64, err error) {
	var out PurgeResponse
	err = q.client.do(ctx, request{method: http.MethodPost, path: q.path(app, name, "purge"), out: &out})
	return out.Messages, err
}

// Redrive moves messages of a dead-letter queue to where they came from, or elsewhere, and answers how many. After an
// error some may have moved.
func (q Queues) Redrive(ctx context.Context, app, name string, r op.Redrive) (moved int64, err error) {
	var out RedriveResponse
	err = q.client.do(ctx, request{method: http.MethodPost, path: q.path(app, name, "redrive"), in: RedriveRequest(r), out: &out})
	return out.Moved, err
}

// Send sends messages, all or none, at most op.MaxSend. Once it returns they are durable.
func (q Queues) Send(ctx context.Context, app, name string, messages ...op.Outgoing) ([]op.Sent, error) {
	return q.client.sendMessages(ctx, q.path(app, name, "messages"), messages)
}

// sendMessages makes a call that sends or publishes messages.
func (c *Client) sendMessages(ctx context.Context, at string, messages []op.Outgoing) ([]op.Sent, error) {
	var out SendResponse
	if err := c.do(ctx, request{method: http.MethodPost, path: at, in: sendRequestOf(messages), out: &out}); err != nil {
		return nil, err
	}
	if len(out.Messages) != len(messages) {
		return nil, c.unknown(errCount)
	}
	sent := make([]op.Sent, len(out.Messages))
	for i, m := range out.Messages {
		sent[i] = op.Sent(m)
	}
	return sent, nil
}

// Receive answers messages that can be received, and waits for a first one as long as it is asked to. They come again
// when they are not settled in time.
func (q Queues) Receive(ctx context.Context, app, name string, r op.Receive) ([]op.Message, error) {
	var out ReceiveResponse
	if err := q.client.do(ctx, request{method: http.MethodPost, path: q.path(app, name, "receive"), in: receiveRequestOf(r), out: &out}); err != nil {
		return nil, err
	}
	messages := make([]op.Message, len(out.Messages))
	for i, m := range out.Messages {
		var err error
		if messages[i], err = m.Message(); err != nil {
			return nil, q.client.unknown(err)
		}
	}
	return messages, nil
}

// Settle deletes messages that were received and has others received again. Of each receipt it says whether it held.
func (q Queues) Settle(ctx context.Context, app, name string, s op.Settlement) (op.Settled, error) {
	var out SettleResponse
	if err := q.client.do(ctx, request{method: http.MethodPost, path: q.path(app, name, "settle"), in: settleRequestOf(s), out: &out}); err != nil {
		return op.Settled{}, err
	}
	if len(out.Delete) != len(s.Delete) || len(out.Release) != len(s.Release) {
		return op.Settled{}, q.client.unknown(errCount)
	}
	return op.Settled(out), nil
}
