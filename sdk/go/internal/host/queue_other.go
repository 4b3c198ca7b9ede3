//go:build !wasip1

package host

import (
	"context"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Queues are the queues and topics of functions in the same process.
type Queues interface {
	Send(ctx context.Context, name string, messages []op.Outgoing) ([]op.Sent, error)
	Receive(ctx context.Context, name string, r op.Receive) ([]op.Message, error)
	Settle(ctx context.Context, name string, s op.Settlement) (op.Settled, error)
	Stats(ctx context.Context, name string) (op.QueueStats, error)
	Publish(ctx context.Context, topic string, messages []op.Outgoing) ([]op.Sent, error)
}

func queuesOf(ctx context.Context) (Queues, error) {
	if q := worldOf(ctx).Queues; q != nil {
		return q, ctx.Err()
	}
	return nil, abi.ErrNoQueues
}

// QueueSend sends messages to a queue.
func QueueSend(ctx context.Context, s *abi.QueueSend) ([]op.Sent, error) {
	q, err := queuesOf(ctx)
	if err != nil {
		return nil, err
	}
	return q.Send(ctx, s.To, s.Messages)
}

// QueueReceive takes messages from a queue.
func QueueReceive(ctx context.Context, r *abi.QueueReceive) ([]op.Message, error) {
	q, err := queuesOf(ctx)
	if err != nil {
		return nil, err
	}
	wait := r.Wait
	if wait == 0 {
		wait = op.NoWait
	}
	return q.Receive(ctx, r.Queue, op.Receive{Max: r.Max, Visibility: r.Visibility, Wait: wait})
}

// QueueSettle deletes and releases messages that were received.
func QueueSettle(ctx context.Context, s *abi.QueueSettle) (op.Settled, error) {
	q, err := queuesOf(ctx)
	if err != nil {
		return op.Settled{}, err
	}
	return q.Settle(ctx, s.Queue, s.Settlement)
}

// QueueStats counts what a queue holds.
func QueueStats(ctx context.Context, queue string) (op.QueueStats, error) {
	q, err := queuesOf(ctx)
	if err != nil {
		return op.QueueStats{}, err
	}
	return q.Stats(ctx, queue)
}

// TopicPublish publishes messages to a topic.
func TopicPublish(ctx context.Context, s *abi.QueueSend) ([]op.Sent, error) {
	q, err := queuesOf(ctx)
	if err != nil {
		return nil, err
	}
	return q.Publish(ctx, s.To, s.Messages)
}

// EventPut puts events on the bus.
func EventPut(ctx context.Context, s *abi.QueueSend) ([]op.Sent, error) {
	put := worldOf(ctx).Events
	if put == nil {
		return nil, abi.ErrNoQueues
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return put(ctx, s.Messages)
}
