// Package invoke runs other functions of the same app:
//
//	receipt, err := invoke.Sync(ctx, "charge", order)   // wait for what it answers
//	id, err := invoke.Async(ctx, "send-mail", mail)     // it is run soon, and again if it fails
//
// A name may end in the alias or the version that is meant: "charge:canary", "charge:v4"; else it is the alias live. A
// payload is given to a Handle as its input, and to other handlers as the body of POST /.
//
// A function that is waited for has the time that its caller has left, at most. Functions may invoke one another
// MaxDepth deep; beyond that, and so in a loop, ErrDepth ends it. Errors are told apart with errors.Is. Outside
// WebAssembly package settest answers instead of other functions. docs/FETCH.md says more.
package invoke

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Limits. A payload over its limit is refused with ErrTooLarge.
const (
	MaxPayloadBytes      = abi.MaxPayloadBytes
	MaxAsyncPayloadBytes = abi.MaxAsyncPayloadBytes
	MaxDepth             = abi.MaxDepth
)

// Sync runs a function and answers the body of its reply, which the caller owns. A handler that fails is
// ErrFailed; one that answers another status than 2xx is a *StatusError.
func Sync(ctx context.Context, name string, payload []byte) ([]byte, error) {
	reply, err := call(ctx, name, abi.InvokeRequest{Payload: payload})
	if err != nil {
		return nil, err
	}
	if reply.Status != 0 && (reply.Status < 200 || reply.Status > 299) {
		return nil, &StatusError{Function: name, Status: reply.Status, Body: reply.Body}
	}
	return reply.Body, nil
}

// Async has a function run soon, as often as its settings say until it succeeds, and answers the id that the
// invocation has. When it returns, the invocation is on the disks of a majority of the nodes.
func Async(ctx context.Context, name string, payload []byte) (id string, err error) {
	reply, err := call(ctx, name, abi.InvokeRequest{Payload: payload, Async: true})
	if err != nil {
		return "", err
	}
	for _, h := range reply.Headers {
		if h.Name == "Sett-Invocation-Id" {
			id = h.Value
		}
	}
	return id, nil
}

// JSON is Sync of in, encoded as JSON, whose result is decoded into out, a pointer or nil.
func JSON(ctx context.Context, name string, in, out any) error {
	payload, err := json.Marshal(in)
	if err != nil {
		return &failure{"invoke " + name + ": encode payload: " + err.Error(), err}
	}
	result, err := Sync(ctx, name, payload)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(result, out); err != nil {
		return &failure{"invoke " + name + ": decode result: " + err.Error(), err}
	}
	return nil
}

func call(ctx context.Context, name string, r abi.InvokeRequest) (*abi.Reply, error) {
	r.Function, r.Qualifier, _ = strings.Cut(name, ":")
	reply, err := host.Invoke(ctx, &r)
	if err != nil {
		return nil, &failure{"invoke " + name + ": " + strings.TrimPrefix(err.Error(), "invoke "+r.Function+": "), err}
	}
	return reply, nil
}
