package kv

import (
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Errors of what was asked for.
var (
	ErrInvalid    = op.ErrInvalid    // an empty key, an option that does not apply
	ErrTooLarge   = op.ErrTooLarge   // over one of the limits
	ErrNotInteger = op.ErrNotInteger // of Incr: the value is no decimal integer of 64 bits
)

// Errors of what is there. Nothing was changed.
var (
	ErrNotFound  = op.ErrNotFound
	ErrConflict  = op.ErrConflict  // a condition does not hold
	ErrRange     = op.ErrRange     // of Incr: the result is outside of its bounds
	ErrQuota     = op.ErrQuota     // the app holds all that it may
	ErrCompacted = op.ErrCompacted // of a listing: what its cursor stands for is too old, begin anew
)

// Errors of the store. A call that ran into its context's deadline answers context.DeadlineExceeded; when it was a
// write, ErrUnknown is it too.
var (
	ErrUnavailable = op.ErrUnavailable // nothing was changed: try again
	ErrUnknown     = op.ErrUnknown     // the write may have happened or yet happen, once
	ErrTooMany     = abi.ErrStoreCalls // the invocation has made all the calls it may
	ErrUnsupported = abi.ErrNoStore    // there is no store here
)

// failure is an error of this package: what it says, and what it is.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.err }

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return &failure{"kv: " + err.Error(), err}
}
