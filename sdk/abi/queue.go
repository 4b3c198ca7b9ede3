package abi

import (
	"context"
	"errors"

	"github.com/sett-run/sett/kv/op"
)

// MaxQueueRequestBytes is the longest request of a queue call: the most that is sent, or settled, at once with its
// framing. Raising it makes the host copy more before it looks.
const MaxQueueRequestBytes = op.MaxTxnBytes + 1<<20

// Errors of queue calls besides those of package op.
var (
	ErrNoQueues    = errors.New("this node offers functions no queues")
	ErrQueueCalls  = errors.New("over the limit of queue calls of an invocation")
	ErrQueueFailed = errors.New("the queue's store failed; the node's log says why")
)

// lastQueueError is the number of ErrQueueFailed, and of what has no number.
const lastQueueError = 11

// QueueError answers the error of a queue call that a number on the wire stands for. A number never gets another
// meaning, and one that is not known means ErrQueueFailed.
func QueueError(number int32) error {
	switch number {
	case 1:
		return op.ErrInvalid
	case 2:
		return op.ErrTooLarge
	case 3:
		return op.ErrNoQueue
	case 4:
		return op.ErrInFlight
	case 5:
		return op.ErrQuota
	case 6:
		return op.ErrUnavailable
	case 7:
		return op.ErrUnknown
	case 8:
		return ErrNoQueues
	case 9:
		return ErrQueueCalls
	case 10:
		return context.DeadlineExceeded // of the call's own timeout
	}
	return ErrQueueFailed
}

// QueueErrorNumber answers the number of an error on the wire, 1 or more; ok is false for one that has none and is told
// as ErrQueueFailed. An error that wraps none of those is told by its code.
func QueueErrorNumber(err error) (number int32, ok bool) {
	return errorNumbers{lastQueueError, QueueError, queueKind}.of(err)
}

// queueKind answers the error that a code means to a guest; nil: it is the node's alone.
func queueKind(code Code) error {
	switch code {
	case InvalidInput:
		return op.ErrInvalid
	case TooLarge:
		return op.ErrTooLarge
	case NotFound:
		return op.ErrNoQueue
	case TooManyRequests:
		return op.ErrInFlight
	case NoSpace:
		return op.ErrQuota
	case Unavailable:
		return op.ErrUnavailable
	case Unsupported:
		return ErrNoQueues
	}
	return nil
}
