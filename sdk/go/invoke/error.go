package invoke

import (
	"context"
	"strconv"

	"github.com/sett-run/sett/sdk/abi"
)

// Errors before anything was run.
var (
	ErrInvalid     = abi.ErrBadRequest    // the request cannot be read
	ErrTooLarge    = abi.ErrOverLimit     // the payload
	ErrNotFound    = abi.ErrNoFunction    // no such function, alias or version in the app
	ErrDepth       = abi.ErrDepth         // functions have invoked one another MaxDepth deep
	ErrTooMany     = abi.ErrOutgoingCalls // the invocation has sent and invoked all that it may
	ErrUnsupported = abi.ErrNoOutgoing    // functions cannot be invoked here, or not asynchronously
)

// Errors after which the function may have run.
var (
	ErrBusy    = abi.ErrBusy              // over a limit of invocations at once, most often; try again
	ErrFailed  = abi.ErrFunctionFailed    // the function failed, or its own time was over
	ErrNode    = abi.ErrOutgoingFailed    // the node's fault; its log says why
	ErrTimeout = context.DeadlineExceeded // of the context
)

// StatusError is the error of a function that answered another status than 2xx.
type StatusError struct {
	Function string
	Status   int
	Body     []byte
}

// Error says which status it was, and of what.
func (e *StatusError) Error() string {
	return "invoke " + e.Function + ": it answered status " + strconv.Itoa(e.Status)
}

// failure is an error of this package: what it says, and what it is.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.err }
