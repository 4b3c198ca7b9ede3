package kv

import (
	"context"
	"errors"
	"fmt"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// codes are those of package op's errors, and of contexts that ended before anything was begun.
func codes() []struct {
	err  error
	code abi.Code
} {
	return []struct {
		err  error
		code abi.Code
	}{
		{op.ErrNotFound, abi.NotFound}, {op.ErrConflict, abi.Conflict}, {op.ErrRange, abi.Conflict},
		{op.ErrTooLarge, abi.TooLarge}, {op.ErrInvalid, abi.InvalidInput}, {op.ErrNotInteger, abi.InvalidInput},
		{op.ErrQuota, abi.NoSpace}, {op.ErrCompacted, abi.InvalidInput}, {op.ErrClosed, abi.Unavailable},
		{op.ErrNoQueue, abi.NotFound}, {op.ErrInFlight, abi.TooManyRequests},
		{op.ErrUnavailable, abi.Unavailable}, {op.ErrUnknown, abi.Unavailable},
		{context.DeadlineExceeded, abi.Timeout}, {context.Canceled, abi.Unavailable},
	}
}

// withCode says what was being done, and gives an error that wraps one of package op the code that says the same. It
// answers nil for nil.
func withCode(what string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", what, err)
	for _, c := range codes() {
		if errors.Is(err, c.err) {
			return abi.WithCode(c.code, err)
		}
	}
	return err
}
