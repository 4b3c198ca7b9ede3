package abi

import "errors"

// Code says in one word what kind of error happened. It goes in where the fact is known and becomes an HTTP
// status once, where the world is answered. Codes are stable: clients script against them.
type Code string

const (
	InvalidInput     Code = "invalid_input"      // the request itself is wrong; the message says where
	InvalidModule    Code = "invalid_module"     // uploaded bytes no node can run
	Unauthorized     Code = "unauthorized"       // no token, or an unknown one
	Forbidden        Code = "forbidden"          // the token or origin does not allow it
	NotFound         Code = "not_found"          // no such thing
	MethodNotAllowed Code = "method_not_allowed" // the path exists, the method does not
	Conflict         Code = "conflict"           // it clashes with what is there: a route tie, a revision
	TooLarge         Code = "too_large"          // over a size limit; the message names the limit
	TooManyRequests  Code = "too_many_requests"  // over a concurrency or rate limit; try again
	Unsupported      Code = "unsupported"        // known, and not offered by this node
	FunctionFailed   Code = "function_failed"    // the guest trapped, exited, or answered something invalid
	Timeout          Code = "timeout"            // the deadline passed
	Unavailable      Code = "unavailable"        // this node cannot now: starting, draining
	NoSpace          Code = "no_space"           // disk or quota full
	Internal         Code = "internal"           // a bug of ours
)

// HTTPStatus is the status that answers an error with this code. An unknown code answers 500.
func (c Code) HTTPStatus() int {
	switch c {
	case InvalidInput:
		return 400
	case InvalidModule:
		return 422
	case Unauthorized:
		return 401
	case Forbidden:
		return 403
	case NotFound:
		return 404
	case MethodNotAllowed:
		return 405
	case Conflict:
		return 409
	case TooLarge:
		return 413
	case TooManyRequests:
		return 429
	case Unsupported:
		return 422
	case FunctionFailed:
		return 502
	case Unavailable:
		return 503
	case Timeout:
		return 504
	case NoSpace:
		return 507
	}
	return 500
}

// Error is an error with a code. The zero value is not useful; make one with WithCode.
type Error struct {
	Code Code
	Err  error
}

// Error is that of Err.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap answers the error below the code.
func (e *Error) Unwrap() error { return e.Err }

// NoRoute is what the data plane says of a request that no function answers, coded NotFound; the admin plane never does.
const NoRoute = "no route"

// WithCode gives err a code: abi.WithCode(abi.NotFound, fmt.Errorf("function %s: no such function", name)).
// It answers nil for a nil err.
func WithCode(code Code, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}

// CodeOf answers the code nearest to the surface of err, Internal when it has none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Meaning is the code that an error of a package, and what wraps it, has.
type Meaning struct {
	Err  error
	Code Code
}

// WithMeaning gives an error the code of the first meaning that it has; one without is answered as it is.
func WithMeaning(err error, meanings []Meaning) error {
	for _, m := range meanings {
		if errors.Is(err, m.Err) {
			return WithCode(m.Code, err)
		}
	}
	return err
}

// errorNumbers are the numbers of a set of errors on the wire, from 1 to that of the error which stands for all others.
type errorNumbers struct {
	last  int32
	error func(number int32) error
	kind  func(Code) error // the error that a code means, nil for none; nil: codes mean nothing
}

// of answers the number of an error; ok is false for one that has none and is told as the last.
func (n errorNumbers) of(err error) (number int32, ok bool) {
	for number = 1; number <= n.last; number++ {
		if errors.Is(err, n.error(number)) {
			return number, true
		}
	}
	if n.kind != nil {
		if meant := n.kind(CodeOf(err)); meant != nil {
			return n.of(meant)
		}
	}
	return n.last, false
}
