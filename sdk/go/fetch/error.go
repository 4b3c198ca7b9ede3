package fetch

import (
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// Errors before anything was sent.
var (
	ErrInvalid     = abi.ErrBadRequest     // the request cannot be sent: its URL, its method, one of its headers
	ErrDenied      = abi.ErrDenied         // not among the function's egress hosts, or its name leads to a private address
	ErrResolve     = abi.ErrResolve        // DNS knows no address
	ErrConnect     = abi.ErrConnect        // refused, or unreachable
	ErrTLS         = abi.ErrTLS            // no secure connection: an invalid certificate
	ErrTooMany     = abi.ErrOutgoingCalls  // the invocation has sent and invoked all that it may
	ErrUnsupported = abi.ErrNoOutgoing     // there is no network here
	ErrFailed      = abi.ErrOutgoingFailed // the node's fault; its log says why
)

// Errors after which the server may have done what was asked. One that ran into its context's deadline,
// or whose host did not answer within 10 s when it was to connect, is context.DeadlineExceeded.
var (
	ErrTooLarge = abi.ErrOverLimit // the request, then it was not sent, or the reply
	ErrBroken   = abi.ErrBroken    // the connection ended, or the reply is no HTTP
)

// failure is an error of this package: what it says, and what it is.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.err }

func wrap(err error) error {
	return &failure{"fetch: " + strings.TrimPrefix(err.Error(), "fetch: "), err}
}
