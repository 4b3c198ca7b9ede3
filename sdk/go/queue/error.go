package queue

import (
	"errors"
	"strings"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Errors before anything was done.
var (
	ErrInvalid     = op.ErrInvalid     // no message, an empty one, a name, a delay, a receipt that is none
	ErrTooLarge    = op.ErrTooLarge    // over one of the limits
	ErrNotFound    = op.ErrNoQueue     // the app has no such queue
	ErrInFlight    = op.ErrInFlight    // of Receive: too many messages of the queue are not settled
	ErrQuota       = op.ErrQuota       // the app holds all that it may
	ErrUnavailable = op.ErrUnavailable // try again
	ErrTooMany     = abi.ErrQueueCalls // the invocation has made all the calls it may
	ErrUnsupported = abi.ErrNoQueues   // there are no queues here
)

// Errors after which it may have happened. A call that ran into its context's deadline answers
// context.DeadlineExceeded; when it was none of Receive and Count, ErrUnknown is it too.
var (
	ErrUnknown = op.ErrUnknown      // it may have happened or yet happen, once
	ErrFailed  = abi.ErrQueueFailed // the node's fault; its log says why
)

// ErrReceipt is the error of a receipt that does not hold any more: its message was settled or received again. Receipts
// beside it were settled.
var ErrReceipt = errors.New("the message was settled or received again since")

// failure is an error of this package: what it says, and what it is.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.err }

func wrap(verb, queue string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{"queue " + queue + ": " + verb + ": " + strings.TrimPrefix(err.Error(), verb+": "), err}
}
