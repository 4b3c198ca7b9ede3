package blob

import (
	"context"
	"errors"
	"fmt"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// codes are those of this package's errors.
func codes() []abi.Meaning {
	return []abi.Meaning{
		{Err: op.ErrNoBucket, Code: abi.NotFound}, {Err: op.ErrNoObject, Code: abi.NotFound}, {Err: ErrNoUpload, Code: abi.NotFound},
		{Err: op.ErrBucketExists, Code: abi.Conflict}, {Err: op.ErrNotEmpty, Code: abi.Conflict}, {Err: op.ErrPrecondition, Code: abi.Conflict}, {Err: ErrContended, Code: abi.Conflict},
		{Err: op.ErrInvalid, Code: abi.InvalidInput}, {Err: ErrOldToken, Code: abi.InvalidInput}, {Err: ErrPart, Code: abi.InvalidInput}, {Err: ErrTooSmall, Code: abi.InvalidInput},
		{Err: ErrDigest, Code: abi.InvalidInput}, {Err: ErrShort, Code: abi.InvalidInput}, {Err: op.ErrTooLarge, Code: abi.TooLarge}, {Err: op.ErrQuota, Code: abi.NoSpace},
		{Err: ErrTooSlow, Code: abi.Timeout}, {Err: ErrLost, Code: abi.Unavailable},
		{Err: op.ErrUnavailable, Code: abi.Unavailable}, {Err: op.ErrUnknown, Code: abi.Unavailable}, {Err: op.ErrClosed, Code: abi.Unavailable},
		{Err: context.DeadlineExceeded, Code: abi.Timeout}, {Err: context.Canceled, Code: abi.Unavailable},
	}
}

// coded says what was being done, and gives the error its code. It answers nil for nil.
func coded(what string, err error) error {
	if err == nil {
		return nil
	}
	return abi.WithMeaning(fmt.Errorf("%s: %w", what, err), codes())
}

// conflict says what a transaction that conflicted means.
func conflict(err, means error) error {
	if errors.Is(err, op.ErrConflict) {
		return means
	}
	return err
}
