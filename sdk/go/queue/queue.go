// Package queue sends messages to the queues of the function's app, and takes messages from them:
//
//	id, err := queue.Send(ctx, "orders", body)
//
// A message that was sent is on the disks of a majority of the nodes, and goes only by being deleted, by its retention or
// into a dead-letter queue. It is delivered at least once. A queue whose messages a function is to handle is best named as
// an event of that function, which gets them in batches (package events); Receive is for work of another rhythm.
//
// The context's deadline and the invocation's limit a call; cancelling the context while a call runs does not end it,
// since the whole instance waits. Errors are told apart with errors.Is. All functions may be called by several goroutines,
// one after the other. Outside WebAssembly package settest has queues for tests. docs/QUEUES.md says more.
package queue

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Limits. What is over one is refused with ErrTooLarge, a time with ErrInvalid.
const (
	MaxMessageBytes = op.MaxMessageBytes // a message's body and attributes
	MaxAttributes   = op.MaxAttributes   // of a message
	MaxSend         = op.MaxSend         // messages of SendAll
	MaxSendBytes    = op.MaxTxnBytes     // which hold this together
	MaxReceive      = op.MaxReceive      // messages of Receive, and receipts of Settle
	MaxDelay        = op.MaxDelay
	MaxVisibility   = op.MaxVisibility
	MaxWait         = op.MaxWait
)

// NoDelay is the Delay of a message that can be received at once, whatever the queue's.
const NoDelay = op.NoDelay

// Message is a message to be sent. Its Body is all that must be given; FIFO queues ask for a Group.
type Message = op.Outgoing

// Attribute is a named value beside a message's body.
type Attribute = op.Attribute

// Sent is what became of a Message.
type Sent = op.Sent

// Received is a message that was received. Its Receipt settles it.
type Received = op.Message

// Stats is what a queue holds.
type Stats = op.QueueStats

// Settlement is what becomes of messages that were received.
type Settlement = op.Settlement

// Settled says of each receipt of a Settlement whether it held.
type Settled = op.Settled

// Text is an attribute of type String.
func Text(name, value string) Attribute {
	return Attribute{Name: name, Type: "String", Value: []byte(value)}
}

// Send sends a message of a body, with attributes, and answers its id.
func Send(ctx context.Context, queue string, body []byte, attributes ...Attribute) (id string, err error) {
	sent, err := SendAll(ctx, queue, Message{Body: body, Attributes: attributes})
	if err != nil || len(sent) == 0 {
		return "", err
	}
	return sent[0].ID, nil
}

// SendJSON is Send of v, encoded as JSON.
func SendJSON(ctx context.Context, queue string, v any, attributes ...Attribute) (id string, err error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", wrap("encode message", queue, err)
	}
	return Send(ctx, queue, body, attributes...)
}

// SendAll sends messages, all of them or none, in their order, and answers what became of each.
func SendAll(ctx context.Context, queue string, messages ...Message) ([]Sent, error) {
	sent, err := host.QueueSend(ctx, &abi.QueueSend{To: queue, Messages: messages})
	return sent, wrap("send", queue, err)
}

// Options says how messages are received. The zero value takes one that is there now.
type Options struct {
	Max        int           // messages; 0: 1
	Visibility time.Duration // after which those that are not settled come again; 0: the queue's
	Wait       time.Duration // for a first message; cut to what the context and the invocation have left, less 100 ms; 0: none
}

// Receive takes messages for some time. None, and no error, says that there are none. What is not settled by its Receipt
// until its Visible comes again.
func Receive(ctx context.Context, queue string, o Options) ([]Received, error) {
	received, err := host.QueueReceive(ctx, &abi.QueueReceive{Queue: queue, Max: o.Max, Visibility: o.Visibility, Wait: o.Wait})
	return received, wrap("receive", queue, err)
}

// Delete deletes messages that are done, by their receipts. ErrReceipt says that one of them did not hold.
func Delete(ctx context.Context, queue string, receipts ...string) error {
	settled, err := settle(ctx, "delete", queue, Settlement{Delete: receipts})
	if err == nil {
		err = wrap("delete", queue, held(settled.Delete))
	}
	return err
}

// Release has messages received again after a delay, 0 being at once, by their receipts; a longer one than the
// visibility prolongs that. ErrReceipt says that one of them did not hold.
func Release(ctx context.Context, queue string, delay time.Duration, receipts ...string) error {
	s := Settlement{Release: make([]op.Release, len(receipts))}
	for i, r := range receipts {
		s.Release[i] = op.Release{Receipt: r, Delay: delay}
	}
	settled, err := settle(ctx, "release", queue, s)
	if err == nil {
		err = wrap("release", queue, held(settled.Release))
	}
	return err
}

// Settle deletes and releases messages at once, and answers which receipts held.
func Settle(ctx context.Context, queue string, s Settlement) (Settled, error) {
	return settle(ctx, "settle", queue, s)
}

// Count answers what a queue holds.
func Count(ctx context.Context, queue string) (Stats, error) {
	stats, err := host.QueueStats(ctx, queue)
	return stats, wrap("count", queue, err)
}

func settle(ctx context.Context, verb, queue string, s Settlement) (Settled, error) {
	settled, err := host.QueueSettle(ctx, &abi.QueueSettle{Queue: queue, Settlement: s})
	return settled, wrap(verb, queue, err)
}

// held answers ErrReceipt unless all receipts held.
func held(receipts []bool) error {
	for _, ok := range receipts {
		if !ok {
			return ErrReceipt
		}
	}
	return nil
}
