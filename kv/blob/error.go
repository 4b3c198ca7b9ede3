package blob

import (
	"context"
	"errors"
	"fmt"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// codes are those of this package's errors.
func codes() []struct {
	err  error
	code abi.Code
} {
	return []struct {
		err  error
		code abi.Code
	}{
		{op.ErrNoBucket, abi.NotFound}, {op.ErrNoObject, abi.NotFound}, {ErrNoUpload, abi.NotFound},
		{op.ErrBucketExists, abi.Conflict}, {op.ErrNotEmpty, abi.Conflict}, {op.ErrPrecondition, abi.Conflict}, {ErrContended, abi.Conflict},
		{op.ErrInvalid, abi.InvalidInput}, {ErrOldToken, abi.InvalidInput}, {ErrPart, abi.InvalidInput}, {ErrTooSmall, abi.InvalidInput},
		{ErrDigest, abi.InvalidInput}, {ErrShort, abi.InvalidInput}, {op.ErrTooLarge, abi.TooLarge}, {op.ErrQuota, abi.NoSpace},
		{ErrTooSlow, abi.Timeout}, {ErrLost, abi.Unavailable},
		{op.ErrUnavailable, abi.Unavailable}, {op.ErrUnknown, abi.Unavailable}, {op.ErrClosed, abi.Unavailable},
		{context.DeadlineExceeded, abi.Timeout}, {context.Canceled, abi.Unavailable},
	}
}

// coded says what was being done, and gives the error its code. It answers nil for nil.
func coded(what string, err error) error {
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

// conflict says what a transaction that conflicted means.
func conflict(err, means error) error {
	if errors.Is(err, op.ErrConflict) {
		return means
	}
	return err
}
