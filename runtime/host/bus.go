package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Events are the event buses of apps; package cluster/node's Node is. Errors are as those of Queues.
type Events interface {
	// PutEvents answers the events' ids once they are durable: all of them, or none. They belong to it.
	PutEvents(ctx context.Context, app string, events ...registry.BusEvent) (ids []string, err error)
	// Putting answers what PutEvents would send, for those who send it later. The queue is there.
	Putting(ctx context.Context, app string, events ...registry.BusEvent) (s op.Sending, ids []string, err error)
}

// eventPut puts events on the app's bus, all of them or none: messages without anything but a body, to the bus default.
func eventPut() Function {
	return asking(abi.ImportEventPut, (*Call).refuseQueues, func(ctx context.Context, c *Call, a asked) ([]byte, error) {
		if c.Events == nil {
			return nil, abi.ErrNoQueues
		}
		return c.countQueueCall(ctx, a, func(ctx context.Context, c *Call, request, room []byte) ([]byte, error) {
			return send(request, room, func(s abi.QueueSend) ([]op.Sent, error) { return c.putEvents(ctx, s) })
		})
	})
}

func (c *Call) putEvents(ctx context.Context, s abi.QueueSend) ([]op.Sent, error) {
	if s.To != abi.DefaultBus {
		return nil, fmt.Errorf("event bus %.80q: an app has one, %s: %w", s.To, abi.DefaultBus, op.ErrInvalid)
	}
	events := make([]registry.BusEvent, len(s.Messages))
	for i, m := range s.Messages {
		d := json.NewDecoder(bytes.NewReader(m.Body))
		d.DisallowUnknownFields()
		err := d.Decode(&events[i])
		if _, end := d.Token(); err == nil && end != io.EOF {
			err = errors.New("something follows it")
		}
		if err != nil {
			return nil, fmt.Errorf("event %d of %d: %w: %w", i+1, len(events), err, op.ErrInvalid)
		}
	}
	if err := registry.CheckPut(events); err != nil {
		return nil, err
	}
	ids, err := c.Events.PutEvents(ctx, c.App, events...)
	sent := make([]op.Sent, len(ids))
	for i, id := range ids {
		sent[i].ID = id
	}
	return sent, err
}
