package op

import "errors"

// Errors of what was asked for. They are matched with errors.Is; the error that carries one names the key and the
// limit.
var (
	ErrInvalid    = errors.New("invalid request")
	ErrTooLarge   = errors.New("over a limit of the store")
	ErrNotInteger = errors.New("value is not a decimal integer of 64 bits") // of Incr
)

// ErrGets is an ErrTooLarge: keys that are read at once hold more than MaxPageBytes.
var ErrGets error = getsError{}

// getsError does without package fmt, which every guest would link for it.
type getsError struct{}

func (getsError) Error() string {
	return "the keys hold more than 4 MiB together, read fewer at once: " + ErrTooLarge.Error()
}

// Unwrap answers ErrTooLarge.
func (getsError) Unwrap() error { return ErrTooLarge }

// Errors of what is there.
var (
	ErrNotFound  = errors.New("key not found")
	ErrConflict  = errors.New("a check failed")                // the transaction changed nothing
	ErrRange     = errors.New("result is out of bounds")       // of Incr; the transaction changed nothing
	ErrQuota     = errors.New("over the app's quota")          // the transaction changed nothing
	ErrCompacted = errors.New("what was asked for is too old") // a cursor or a watch's revision: begin anew
)

// Errors of the store's state.
var (
	ErrClosed      = errors.New("store is closed")
	ErrUnavailable = errors.New("no leader can be reached")                    // nothing was changed, or it is a read: try again
	ErrUnknown     = errors.New("the outcome of the transaction is not known") // it may yet happen, once
)
