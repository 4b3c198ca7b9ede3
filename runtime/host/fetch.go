package host

import (
	"bytes"
	"context"
	"fmt"

	"github.com/sett-run/sett/sdk/abi"
)

// Fetcher sends a function's HTTP requests. Client is one.
//
// The request belongs to the fetcher, which may read it after it has answered. Errors wrap those of package abi, or
// ctx's; a reply's status is 200..599 and its headers are valid.
type Fetcher interface {
	Fetch(ctx context.Context, by Caller, r *abi.FetchRequest) (*abi.Reply, error)
}

// Caller is on whose behalf something is fetched.
type Caller struct {
	App    string
	Egress []string // hosts it may call, as registry.CheckEgress takes them; none: nothing is fetched
}

// fetch sends an HTTP request and answers the reply, a redirect like any other.
func fetch() Function {
	return asking(abi.ImportFetch, (*Call).refuseOutgoing, func(ctx context.Context, c *Call, a asked) ([]byte, error) {
		if c.Fetcher == nil {
			return nil, abi.ErrNoOutgoing
		}
		r, err := abi.DecodeFetch(a.request)
		if err != nil {
			return nil, err
		}
		if err := c.goOut(); err != nil {
			return nil, err
		}
		r.Body = bytes.Clone(r.Body) // it may be sent after the answer has come, and the guest's memory is reset
		return c.await(ctx, a.wait, func(ctx context.Context) ([]byte, error) {
			reply, err := c.Fetcher.Fetch(ctx, Caller{c.App, c.Egress}, &r)
			if err != nil {
				return nil, err
			}
			return abi.AppendReply(a.room, reply), nil
		})
	})
}

// goOut counts a fetch or an invocation, or refuses one too many.
func (c *Call) goOut() error {
	if c.outgoing == c.MaxOutgoing {
		return fmt.Errorf("%w: %d", abi.ErrOutgoingCalls, c.MaxOutgoing)
	}
	c.outgoing++
	return nil
}

// refuseOutgoing answers the number of an error of a fetch or an invocation, and keeps its message for the guest.
func (c *Call) refuseOutgoing(err error) (number int32) {
	number, ok := abi.OutgoingErrorNumber(err)
	if !ok {
		if kind := outgoingKind(abi.CodeOf(err)); kind != nil {
			number, _ = abi.OutgoingErrorNumber(kind)
		} else {
			c.Fault, err = err, abi.ErrOutgoingFailed
		}
	}
	c.answer = []byte(err.Error())
	return number
}

// outgoingKind answers the error that a code means to a guest; nil: it is the node's alone.
func outgoingKind(code abi.Code) error {
	switch code {
	case abi.InvalidInput:
		return abi.ErrBadRequest
	case abi.TooLarge:
		return abi.ErrOverLimit
	case abi.NotFound:
		return abi.ErrNoFunction
	case abi.TooManyRequests, abi.Unavailable, abi.NoSpace:
		return abi.ErrBusy
	case abi.FunctionFailed, abi.Timeout: // a timeout of its own settings
		return abi.ErrFunctionFailed
	case abi.Unsupported:
		return abi.ErrNoOutgoing
	}
	return nil
}
