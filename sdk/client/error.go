package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// maxErrorBytes bounds how much of an error response is read.
const maxErrorBytes = 1 << 20

// Error is what a node, or the way to it, answered instead of a result. abi.CodeOf finds its code.
type Error struct {
	Code       abi.Code
	Message    string
	Status     int    // HTTP status; 0 when no response came
	Invocation string // the invocation that failed, when there was one: its log says why
	Reason     Reason // what exactly went wrong in the store; errors.Is finds the error of kv/op that says the same

	err error // carries the code, and below it the cause when there is one
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap answers an error that carries the code and wraps the cause.
func (e *Error) Unwrap() error { return e.err }

func newError(code abi.Code, status int, err error) *Error {
	return &Error{Code: code, Message: err.Error(), Status: status, err: abi.WithCode(code, err)}
}

// Problem is an error's body on the wire: application/problem+json (RFC 9457) with a code. It names no type,
// which means about:blank: the title is the status's.
type Problem struct {
	Title      string   `json:"title"`
	Status     int      `json:"status"`
	Code       abi.Code `json:"code"`
	Detail     string   `json:"detail"`
	Invocation string   `json:"invocation,omitempty"`
	Reason     Reason   `json:"reason,omitempty"`
}

// readError makes an Error of a response that is not 2xx. Whatever answers in the node's place (a proxy, another
// server) yields a code from the status and the beginning of its text.
func readError(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBytes)) // a cut body still has its status
	var p Problem
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	address := res.Request.URL.Scheme + "://" + res.Request.URL.Host
	if kind == "application/problem+json" && json.Unmarshal(text, &p) == nil && p.Code != "" && p.Detail != "" {
		if p.Detail == abi.NoRoute {
			return newError(p.Code, res.StatusCode, fmt.Errorf("%s: %s is a node's data plane, not its admin address such as %s", abi.NoRoute, address, DefaultNode))
		}
		return p.asError(res.StatusCode)
	}
	message := "answered " + res.Status
	if strings.HasPrefix(kind, "text/plain") {
		if line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n"); line != "" && len(line) < 200 {
			message += ": " + line
		}
	}
	return newError(codeOfStatus(res.StatusCode), res.StatusCode, fmt.Errorf("node %s: %s", address, message))
}

// codeOfStatus is for responses that carry no code: those to HEAD, and of other servers.
func codeOfStatus(status int) abi.Code {
	switch status {
	case http.StatusBadRequest:
		return abi.InvalidInput
	case http.StatusUnauthorized:
		return abi.Unauthorized
	case http.StatusForbidden:
		return abi.Forbidden
	case http.StatusNotFound:
		return abi.NotFound
	case http.StatusGone:
		return abi.InvalidInput
	case http.StatusMethodNotAllowed:
		return abi.MethodNotAllowed
	case http.StatusConflict, http.StatusPreconditionFailed:
		return abi.Conflict
	case http.StatusRequestEntityTooLarge:
		return abi.TooLarge
	case http.StatusTooManyRequests:
		return abi.TooManyRequests
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return abi.Unavailable
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return abi.Timeout
	case http.StatusInsufficientStorage:
		return abi.NoSpace
	}
	return abi.Internal
}

// sendError names the node that could not be reached and what to do about it.
func (c *Client) sendError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	cause := err
	var wrapped interface{ Unwrap() error }
	if errors.As(err, &wrapped) && wrapped.Unwrap() != nil {
		cause = wrapped.Unwrap() // *url.Error repeats the method and address
	}
	return newError(abi.Unavailable, 0, fmt.Errorf("node %s is unreachable: %w; start a node with: sett up", c.Node(), cause))
}
