package kv

import (
	"context"
	"fmt"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// codes are those of package op's errors, and of contexts that ended before anything was begun.
func codes() []abi.Meaning {
	return []abi.Meaning{
		{Err: op.ErrNotFound, Code: abi.NotFound}, {Err: op.ErrConflict, Code: abi.Conflict}, {Err: op.ErrRange, Code: abi.Conflict},
		{Err: op.ErrTooLarge, Code: abi.TooLarge}, {Err: op.ErrInvalid, Code: abi.InvalidInput}, {Err: op.ErrNotInteger, Code: abi.InvalidInput},
		{Err: op.ErrQuota, Code: abi.NoSpace}, {Err: op.ErrCompacted, Code: abi.InvalidInput}, {Err: op.ErrClosed, Code: abi.Unavailable},
		{Err: op.ErrNoQueue, Code: abi.NotFound}, {Err: op.ErrInFlight, Code: abi.TooManyRequests},
		{Err: op.ErrUnavailable, Code: abi.Unavailable}, {Err: op.ErrUnknown, Code: abi.Unavailable},
		{Err: context.DeadlineExceeded, Code: abi.Timeout}, {Err: context.Canceled, Code: abi.Unavailable},
	}
}

// withCode says what was being done, and gives an error that wraps one of package op the code that says the same. It
// answers nil for nil.
func withCode(what string, err error) error {
	if err == nil {
		return nil
	}
	return abi.WithMeaning(fmt.Errorf("%s: %w", what, err), codes())
}
