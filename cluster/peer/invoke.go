package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// Invoke has a node run an invocation, once; ctx's deadline goes with it. The result is never nil, belongs to the caller,
// and says after an error what was used. Errors are those of the other node with their codes, and ErrNotHere,
// ErrUnreachable or ErrUnknown; abi.TooManyRequests says that the node has no room. When ctx ends first the error is
// coded abi.Timeout or abi.Unavailable, and the invocation may have run. The event may be used again after the return.
func (c *Client) Invoke(ctx context.Context, node Node, i Invocation) (*abi.Result, error) {
	start := time.Now()
	result, err := c.invokeSomehow(ctx, node, i)
	c.metrics.forward(outcomeOf(err), start)
	if err != nil {
		err = fmt.Errorf("invoke at %s: %w", node.ID, err)
	}
	return result, err
}

// invokeSomehow has pieces passed on where there is somebody who takes them; by an older node only what needs none is run.
func (c *Client) invokeSomehow(ctx context.Context, node Node, i Invocation) (*abi.Result, error) {
	if i.Event.Stream == nil {
		return c.invoke(ctx, node, i)
	}
	result, err := c.invokeInPieces(ctx, node, i)
	switch {
	case !errors.Is(err, errNoPieces):
		return result, err
	case i.Event.More:
		return result, abi.WithCode(abi.Unavailable, fmt.Errorf("%w: %w", ErrNotHere, err))
	}
	return c.invoke(ctx, node, i)
}

func (c *Client) invoke(ctx context.Context, node Node, i Invocation) (*abi.Result, error) {
	message, err := c.message(ctx, i)
	if err != nil {
		return new(abi.Result), err
	}
	var whole atomic.Bool
	body := func() (io.ReadCloser, error) {
		whole.Store(false)
		return &outgoing{rest: message, whole: &whole}, nil
	}
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/invoke"}, ContentLength: int64(len(message)), GetBody: body}
	r.Body, _ = body()
	answer, err := c.begin(ctx, node, r, &whole)
	if err != nil {
		return new(abi.Result), err
	}
	defer answer.Body.Close()
	return c.result(ctx, answer)
}

// begin sends an invocation. An error is ErrUnreachable unless the other node has the whole of it, and so may have begun.
func (c *Client) begin(ctx context.Context, node Node, r *http.Request, whole *atomic.Bool) (*http.Response, error) {
	answer, err := c.call(ctx, node, r)
	if err == nil || ctx.Err() != nil {
		return answer, err
	}
	why := ErrUnreachable
	if whole.Load() {
		why = ErrUnknown
	}
	return nil, abi.WithCode(abi.Unavailable, fmt.Errorf("%w: %w", why, err))
}

// message encodes an invocation with the time that ctx leaves it.
func (c *Client) message(ctx context.Context, i Invocation) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, coded(err)
	}
	var remaining time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		remaining = max(time.Until(deadline), 1)
	}
	message, err := encodeInvocation(i, remaining)
	if err == nil && int64(len(message)) > c.config.MaxMessageBytes {
		err = abi.WithCode(abi.TooLarge, fmt.Errorf("the event is over the limit of %d bytes between nodes", c.config.MaxMessageBytes))
	}
	return message, err
}

// result reads the answer to an invocation, which has been begun unless the answer says otherwise.
func (c *Client) result(ctx context.Context, answer *http.Response) (*abi.Result, error) {
	message, err := readBody(answer.Body, answer.ContentLength, c.config.MaxMessageBytes)
	if answer.StatusCode == statusNotHere {
		return new(abi.Result), abi.WithCode(abi.Unavailable, ErrNotHere)
	}
	if err == nil && answer.Header.Get("Content-Type") != messageType {
		err = errMalformed
	}
	if err == nil {
		var result *abi.Result
		var failure error
		if result, failure, err = decodeResult(message); err == nil {
			return result, failureOf(ctx, failure)
		}
	}
	if ctx.Err() != nil {
		return new(abi.Result), coded(ctx.Err())
	}
	return new(abi.Result), abi.WithCode(abi.Unavailable, fmt.Errorf("%w: read answer with status %d: %w", ErrUnknown, answer.StatusCode, err))
}

// failureOf is the other node's error, unless the caller has left: that node has heard of it, and its answer may have come
// in time.
func failureOf(ctx context.Context, failure error) error {
	if failure != nil && errors.Is(ctx.Err(), context.Canceled) {
		return coded(ctx.Err())
	}
	return failure
}

// outgoing is a message as the transport reads it. Until it has read all of it, the other node cannot begin. The
// transport may read on for a while after the call has ended, so nothing of it is used again.
type outgoing struct {
	rest  []byte
	whole *atomic.Bool // the transport has all of it
}

func (o *outgoing) Read(b []byte) (int, error) {
	n := copy(b, o.rest)
	if o.rest = o.rest[n:]; len(o.rest) > 0 {
		return n, nil
	}
	o.whole.Store(true)
	return n, io.EOF
}

func (o *outgoing) Close() error { return nil }

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return outcomeOK
	case errors.Is(err, ErrNotHere):
		return outcomeNotHere
	case errors.Is(err, ErrUnreachable):
		return outcomeUnreachable
	case errors.Is(err, ErrUnknown):
		return outcomeUnknown
	case errors.Is(err, context.Canceled):
		return outcomeCanceled
	}
	switch abi.CodeOf(err) {
	case abi.TooManyRequests:
		return outcomeBusy
	case abi.Timeout:
		return outcomeTimeout
	}
	return outcomeFailed
}
