package abi

import (
	"context"
	"errors"

	"github.com/sett-run/sett/kv/op"
)

// Limits of the messages of kv calls.
const (
	// MaxKVRequestBytes is the longest request: the largest transaction with its framing. Raising it makes the host
	// copy more before it looks.
	MaxKVRequestBytes = op.MaxTxnBytes + 64<<10
	// MaxKVItemsBytes is how much keys that are read at once may hold together. Raising it lets an invocation hold
	// more of the host's memory.
	MaxKVItemsBytes = op.MaxPageBytes
)

// Errors of kv calls besides those of package op.
var (
	ErrNoStore     = errors.New("this node offers functions no store")
	ErrStoreCalls  = errors.New("over the limit of store calls of an invocation")
	ErrStoreFailed = errors.New("the store failed; the node's log says why")
)

// lastKVError is the number of ErrStoreFailed, and of what has no number.
const lastKVError = 13

// KVError answers the error that a number on the wire stands for. A number never gets another meaning, and one that
// is not known means ErrStoreFailed. It is no table, which every guest would have to fill.
func KVError(number int32) error {
	switch number {
	case 1:
		return op.ErrInvalid
	case 2:
		return op.ErrTooLarge
	case 3:
		return op.ErrNotInteger
	case 4:
		return op.ErrConflict
	case 5:
		return op.ErrRange
	case 6:
		return op.ErrQuota
	case 7:
		return op.ErrCompacted
	case 8:
		return op.ErrUnavailable
	case 9:
		return op.ErrUnknown
	case 10:
		return ErrNoStore
	case 11:
		return ErrStoreCalls
	case 12:
		return context.DeadlineExceeded // of the call's own timeout
	}
	return ErrStoreFailed
}

// KVErrorNumber answers the number of an error on the wire, 1 or more; ok is false for one that has none and is told
// as ErrStoreFailed.
func KVErrorNumber(err error) (number int32, ok bool) {
	if errors.Is(err, op.ErrClosed) {
		err = op.ErrUnavailable
	}
	return errorNumbers{last: lastKVError, error: KVError}.of(err)
}
