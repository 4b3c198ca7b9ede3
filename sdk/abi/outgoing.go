package abi

import (
	"context"
	"errors"
)

// Errors of fetches and invocations, besides context.DeadlineExceeded. After ErrBadRequest, ErrDenied, ErrResolve,
// ErrConnect, ErrTLS, ErrOutgoingCalls, ErrNoOutgoing, ErrNoFunction and ErrDepth nothing was sent or run.
var (
	ErrBadRequest     = errors.New("the request is invalid")
	ErrOverLimit      = errors.New("over a limit")
	ErrDenied         = errors.New("the function may not call this address")
	ErrResolve        = errors.New("the host's name has no address")
	ErrConnect        = errors.New("the host cannot be reached")
	ErrTLS            = errors.New("no secure connection to the host")
	ErrBroken         = errors.New("the connection ended, or what came over it is no HTTP")
	ErrOutgoingCalls  = errors.New("over the limit of fetches and invocations of an invocation")
	ErrNoOutgoing     = errors.New("this node does not offer it to functions")
	ErrNoFunction     = errors.New("the app has no such function")
	ErrDepth          = errors.New("functions invoke one another too deep")
	ErrBusy           = errors.New("too many at once: try again")
	ErrFunctionFailed = errors.New("the function failed")
	ErrOutgoingFailed = errors.New("the node failed; its log says why")
)

// lastOutgoingError is the number of ErrOutgoingFailed, and of what has no number.
const lastOutgoingError = 15

// OutgoingError answers the error of a fetch or an invocation that a number on the wire stands for. A number never gets
// another meaning, and one that is not known means ErrOutgoingFailed.
func OutgoingError(number int32) error {
	switch number {
	case 1:
		return ErrBadRequest
	case 2:
		return ErrOverLimit
	case 3:
		return ErrDenied
	case 4:
		return ErrResolve
	case 5:
		return ErrConnect
	case 6:
		return ErrTLS
	case 7:
		return ErrBroken
	case 8:
		return context.DeadlineExceeded // of the call's own timeout
	case 9:
		return ErrOutgoingCalls
	case 10:
		return ErrNoOutgoing
	case 11:
		return ErrNoFunction
	case 12:
		return ErrDepth
	case 13:
		return ErrBusy
	case 14:
		return ErrFunctionFailed
	}
	return ErrOutgoingFailed
}

// OutgoingErrorNumber answers the number of an error on the wire, 1 or more; ok is false for one that has none and is
// told as ErrOutgoingFailed.
func OutgoingErrorNumber(err error) (number int32, ok bool) {
	return errorNumbers{last: lastOutgoingError, error: OutgoingError}.of(err)
}
