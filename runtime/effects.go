package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// held is the state, the queues, the topics, the event bus and the objects as an invocation sees them whose effects
// happen when it has succeeded.
type held struct {
	*op.Overlay
	queues host.Queues
	events host.Events
	// objects are the records of the app's; nil: it has none.
	objects *op.Overlay

	mu    sync.Mutex // guards what follows
	sends []op.Sending
	bytes int
}

// errHeld is a guest's that receives messages by itself and has its effects held back.
var errHeld = abi.WithCode(abi.Unsupported, errors.New("a function whose effects are transactional receives messages by its events alone"))

// hold has what a call asks for held back, if the version's settings say so.
func (c *call) hold(v *registry.Version) {
	c.held = nil
	if v.Settings.Effects != registry.EffectsTransactional || c.host.Store == nil {
		return
	}
	c.held = &held{Overlay: op.NewOverlay(c.host.Store, v.App), queues: c.host.Queues, events: c.host.Events}
	if c.host.Objects != nil {
		c.held.objects = op.NewObjectsOverlay(c.host.Store, v.App)
		c.host.Records = c.held.objects
	}
	c.host.Store = c.held
	if c.host.Queues != nil {
		c.host.Queues = c.held
	}
	if c.host.Events != nil {
		c.host.Events = c.held
	}
}

// effects answers what the invocation has asked for.
func (h *held) effects() *op.Effects {
	e := &op.Effects{Sends: h.sends}
	if h.objects != nil {
		e.Objects.Checks, e.Objects.Ops = h.objects.Effects()
	}
	if e.Checks, e.Ops = h.Effects(); e.Empty() {
		return nil
	}
	return e
}

// Send is for host.Queues. The ids of the messages are not known before they are sent.
func (h *held) Send(ctx context.Context, app, name string, messages ...op.Outgoing) ([]op.Sent, error) {
	if _, err := h.queues.Stats(ctx, app, name); err != nil {
		return nil, err
	}
	return h.add(op.Sending{Queue: name, Messages: messages})
}

// Publish is for host.Queues.
func (h *held) Publish(_ context.Context, _, topic string, messages ...op.Outgoing) ([]op.Sent, error) {
	return h.add(op.Sending{Topic: topic, Messages: messages})
}

// PutEvents is for host.Events. The events' ids are those they will have.
func (h *held) PutEvents(ctx context.Context, app string, events ...registry.BusEvent) ([]string, error) {
	s, ids, err := h.events.Putting(ctx, app, events...)
	if err == nil {
		_, err = h.add(s)
	}
	return ids, err
}

// Putting is for host.Events.
func (h *held) Putting(ctx context.Context, app string, events ...registry.BusEvent) (op.Sending, []string, error) {
	return h.events.Putting(ctx, app, events...)
}

func (h *held) add(s op.Sending) ([]op.Sent, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	size := 0
	for _, m := range s.Messages {
		size += m.Bytes()
	}
	if h.bytes+size > op.MaxTxnBytes {
		return nil, fmt.Errorf("messages of %d bytes, at most %d are sent by an invocation: %w", h.bytes+size, op.MaxTxnBytes, op.ErrTooLarge)
	}
	h.bytes += size
	h.sends = append(h.sends, s)
	return make([]op.Sent, len(s.Messages)), nil
}

// Receive is for host.Queues.
func (h *held) Receive(context.Context, string, string, op.Receive) ([]op.Message, error) {
	return nil, errHeld
}

// Settle is for host.Queues.
func (h *held) Settle(context.Context, string, string, op.Settlement) (op.Settled, error) {
	return op.Settled{}, errHeld
}

// Stats is for host.Queues.
func (h *held) Stats(ctx context.Context, app, name string) (op.QueueStats, error) {
	return h.queues.Stats(ctx, app, name)
}
