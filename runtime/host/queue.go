package host

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Queues are the queues and topics of apps; package kv/queue's Queues are. What is asked of them has happened when they
// answer. Bodies, values and texts that are given belong to them. Errors wrap those of package op, or ctx's, or have the
// code that says the same; messages of such reach the guest.
type Queues interface {
	Send(ctx context.Context, app, name string, messages ...op.Outgoing) ([]op.Sent, error)
	Receive(ctx context.Context, app, name string, r op.Receive) ([]op.Message, error)
	Settle(ctx context.Context, app, name string, s op.Settlement) (op.Settled, error)
	Publish(ctx context.Context, app, topic string, messages ...op.Outgoing) ([]op.Sent, error)
	Stats(ctx context.Context, app, name string) (op.QueueStats, error)
}

// receiveMargin is how long before its time is over a guest's receive ends its wait, so that the guest is told that
// there was nothing, and is not ended by its deadline.
const receiveMargin = 100 * time.Millisecond

// queueSend sends messages to a queue, all of them or none.
func queueSend() Function {
	return queueCall(abi.ImportQueueSend, func(ctx context.Context, c *Call, request, room []byte) ([]byte, error) {
		return send(request, room, func(s abi.QueueSend) ([]op.Sent, error) {
			return c.Queues.Send(ctx, c.App, s.To, s.Messages...)
		})
	})
}

// topicPublish publishes messages to a topic, all of them or none.
func topicPublish() Function {
	return queueCall(abi.ImportTopicPublish, func(ctx context.Context, c *Call, request, room []byte) ([]byte, error) {
		return send(request, room, func(s abi.QueueSend) ([]op.Sent, error) {
			return c.Queues.Publish(ctx, c.App, s.To, s.Messages...)
		})
	})
}

func send(request, room []byte, f func(abi.QueueSend) ([]op.Sent, error)) ([]byte, error) {
	if len(request) <= abi.MaxQueueRequestBytes { // else it is refused
		request = bytes.Clone(request) // the queues may keep it, and the guest's memory is reset
	}
	s, err := abi.DecodeQueueSend(request)
	if err != nil {
		return nil, err
	}
	if err := op.ValidateQueueName(s.To); err != nil {
		return nil, err
	}
	if len(s.Messages) == 0 {
		return nil, fmt.Errorf("no messages: %w", op.ErrInvalid)
	}
	for i, m := range s.Messages {
		if err := m.Validate(); err != nil {
			return nil, fmt.Errorf("message %d of %d: %w", i+1, len(s.Messages), err)
		}
	}
	sent, err := f(s)
	if err != nil {
		return nil, err
	}
	return abi.AppendQueueSent(room, sent), nil
}

// queueReceive takes messages from a queue, after a wait if the guest asks for one. That ends before the guest does.
func queueReceive() Function {
	return queueCall(abi.ImportQueueReceive, func(ctx context.Context, c *Call, request, room []byte) ([]byte, error) {
		r, err := abi.DecodeQueueReceive(request)
		if err != nil {
			return nil, err
		}
		if err := op.ValidateQueueName(r.Queue); err != nil {
			return nil, err
		}
		if r.Wait < 0 || r.Wait > op.MaxWait {
			return nil, fmt.Errorf("wait %v is not within 0 and %v: %w", r.Wait, op.MaxWait, op.ErrInvalid)
		}
		messages, err := c.Queues.Receive(ctx, c.App, r.Queue, op.Receive{
			Max: r.Max, Visibility: r.Visibility, Wait: waitWithin(ctx, r.Wait),
		})
		if err != nil {
			return nil, err
		}
		return abi.AppendQueueMessages(room, messages), nil
	})
}

// waitWithin is the wait of a receive that is to end before ctx does.
func waitWithin(ctx context.Context, wait time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)-receiveMargin)
	}
	if wait <= 0 {
		return op.NoWait
	}
	return wait
}

// queueSettle deletes and releases messages that were received.
func queueSettle() Function {
	return queueCall(abi.ImportQueueSettle, func(ctx context.Context, c *Call, request, room []byte) ([]byte, error) {
		s, err := abi.DecodeQueueSettle(request)
		if err != nil {
			return nil, err
		}
		if err := op.ValidateQueueName(s.Queue); err != nil {
			return nil, err
		}
		settled, err := c.Queues.Settle(ctx, c.App, s.Queue, s.Settlement)
		if err != nil {
			return nil, err
		}
		return abi.AppendQueueSettled(room, &settled), nil
	})
}

// queueStats counts what a queue holds.
func queueStats() Function {
	return queueCall(abi.ImportQueueStats, func(ctx context.Context, c *Call, request, room []byte) ([]byte, error) {
		name, err := abi.DecodeQueueName(request)
		if err != nil {
			return nil, err
		}
		if err := op.ValidateQueueName(name); err != nil {
			return nil, err
		}
		stats, err := c.Queues.Stats(ctx, c.App, name)
		if err != nil {
			return nil, err
		}
		return abi.AppendQueueStats(room, &stats), nil
	})
}

// queueCall is a function that asks the queues.
func queueCall(name string, f ask) Function {
	return asking(name, (*Call).refuseQueues, func(ctx context.Context, c *Call, a asked) ([]byte, error) {
		if c.Queues == nil {
			return nil, abi.ErrNoQueues
		}
		return c.countQueueCall(ctx, a, f)
	})
}

func (c *Call) countQueueCall(ctx context.Context, a asked, f ask) ([]byte, error) {
	if c.queueCalls == c.MaxQueueCalls {
		return nil, fmt.Errorf("%w: %d", abi.ErrQueueCalls, c.MaxQueueCalls)
	}
	c.queueCalls++
	return c.await(ctx, a.wait, func(ctx context.Context) ([]byte, error) { return f(ctx, c, a.request, a.room) })
}

// refuseQueues answers the number of an error of a queue call and keeps its message for the guest.
func (c *Call) refuseQueues(err error) (number int32) {
	number, ok := abi.QueueErrorNumber(err)
	if !ok {
		c.StoreFault, err = err, abi.ErrQueueFailed
	}
	c.answer = []byte(err.Error())
	return number
}
