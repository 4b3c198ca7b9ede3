package abi

import (
	"context"
	"errors"

	"github.com/sett-run/sett/kv/op"
)

// Limits of the messages of object calls. Raising one lets an invocation hold more of the host's memory.
const (
	MaxObjectChunkBytes   = 1 << 20                      // that one object_write takes, and one object_read answers
	MaxObjectRequestBytes = MaxObjectChunkBytes + 64<<10 // the longest request; as many keys as may be deleted at once fit
	MaxObjectStreams      = 16                           // that an invocation has open; each holds up to two chunks
)

// Errors of object calls besides those of package op.
var (
	ErrNoRange       = errors.New("the object has no such bytes")
	ErrNoStream      = errors.New("no such stream is open") // it is closed, or was never open, or is one of the other kind
	ErrObjectStreams = errors.New("over the limit of streams that an invocation has open")
	ErrNoObjects     = errors.New("this node offers functions no objects")
	ErrObjectCalls   = errors.New("over the limit of object calls of an invocation")
	ErrObjectFailed  = errors.New("the object store failed; the node's log says why")
)

// lastObjectError is the number of ErrObjectFailed, and of what has no number.
const lastObjectError = 15

// ObjectError answers the error of an object call that a number on the wire stands for. A number never gets another
// meaning, and one that is not known means ErrObjectFailed.
func ObjectError(number int32) error {
	switch number {
	case 1:
		return op.ErrPrecondition // before those of what is not there, which it may wrap
	case 2:
		return op.ErrInvalid
	case 3:
		return op.ErrTooLarge
	case 4:
		return op.ErrNoBucket
	case 5:
		return op.ErrNoObject
	case 6:
		return ErrNoRange
	case 7:
		return op.ErrQuota
	case 8:
		return op.ErrUnavailable
	case 9:
		return op.ErrUnknown
	case 10:
		return ErrNoStream
	case 11:
		return ErrObjectStreams
	case 12:
		return ErrNoObjects
	case 13:
		return ErrObjectCalls
	case 14:
		return context.DeadlineExceeded // of the call's own timeout
	}
	return ErrObjectFailed
}

// ObjectErrorNumber answers the number of an error on the wire, 1 or more; ok is false for one that has none and is told
// as ErrObjectFailed. An error that wraps none of those is told by its code.
func ObjectErrorNumber(err error) (number int32, ok bool) {
	return errorNumbers{lastObjectError, ObjectError, objectKind}.of(err)
}

// objectKind answers the error that a code means to a guest; nil: it is the node's alone.
func objectKind(code Code) error {
	switch code {
	case InvalidInput:
		return op.ErrInvalid
	case TooLarge:
		return op.ErrTooLarge
	case NotFound:
		return op.ErrNoObject
	case NoSpace:
		return op.ErrQuota
	case Conflict, Unavailable: // others changed it again and again
		return op.ErrUnavailable
	case Timeout:
		return context.DeadlineExceeded
	case Unsupported:
		return ErrNoObjects
	}
	return nil
}
