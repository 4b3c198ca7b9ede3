package blob

import (
	"errors"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Errors before anything was changed.
var (
	ErrInvalid      = op.ErrInvalid        // a name, a key, a token, a body that has not the size or digest it came with
	ErrTooLarge     = op.ErrTooLarge       // over one of the limits
	ErrNotFound     = op.ErrNoObject       // the bucket has no such object
	ErrNoBucket     = op.ErrNoBucket       // the app has no such bucket
	ErrPrecondition = op.ErrPrecondition   // a condition does not hold
	ErrRange        = abi.ErrNoRange       // of Get: the object has no such bytes
	ErrQuota        = op.ErrQuota          // the app holds all that it may
	ErrUnavailable  = op.ErrUnavailable    // try again
	ErrStreams      = abi.ErrObjectStreams // the invocation has MaxStreams open
	ErrTooMany      = abi.ErrObjectCalls   // the invocation has made all the calls it may
	ErrUnsupported  = abi.ErrNoObjects     // there are no objects here
	ErrClosed       = errors.New("closed")
)

// Errors after which it may have happened. A call that ran into its context's deadline answers
// context.DeadlineExceeded; when it was Commit, Put, Copy or Delete, ErrUnknown is it too.
var (
	ErrUnknown = op.ErrUnknown       // it may have happened or yet happen, once
	ErrFailed  = abi.ErrObjectFailed // the node's fault; its log says why
)

// failure is an error of this package: what it says, and what it is.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.err }
