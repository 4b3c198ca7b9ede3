package client

import (
	"context"
	"net/http"

	"github.com/sett-run/sett/sdk/abi"
)

// InvokeTarget says which function runs.
type InvokeTarget struct {
	App, Function string
	Qualifier     string // an alias, or a version as "v3" or "3"; empty means live
}

// InvokeRequest is the request the function sees. The zero value is POST / without a body.
type InvokeRequest struct {
	Method  string      `json:"method,omitempty"` // POST when empty
	Path    string      `json:"path,omitempty"`   // path and query; "/" when empty
	Headers []abi.Field `json:"headers,omitempty"`
	Body    []byte      `json:"body_base64,omitempty"`
	Handler string      `json:"handler,omitempty"` // must be what the version runs, else abi.Unsupported; empty: whatever that is
}

// InvokeResponse is what the function answered. A function that answers status 500 is a response like any
// other; one that trapped or ran out of time is an Error.
type InvokeResponse struct {
	Invocation  string      `json:"invocation"`
	Version     int         `json:"version,omitempty"`
	Status      int         `json:"status"`
	Headers     []abi.Field `json:"headers"`
	Body        []byte      `json:"body_base64"`
	Error       string      `json:"error,omitempty"` // a Handle that returned an error: its message
	Start       abi.Start   `json:"start"`
	Node        string      `json:"node,omitempty"` // name of the node it ran on, when another than the one asked
	TookUS      int64       `json:"took_us"`
	MemoryBytes int64       `json:"memory_bytes"`
	Fuel        uint64      `json:"fuel"` // instructions counted
}

// AsyncHeader says how an invocation is to be run: now, or later when it is AsyncInvocation.
const (
	AsyncHeader     = "Sett-Invocation-Type"
	AsyncInvocation = "async"
)

// AsyncResponse names an invocation that is run later.
type AsyncResponse struct {
	Invocation string `json:"invocation"`
}

// InvokeAsync has a function run later and answers the invocation's id once it is durable. It is tried again when it
// fails, and its destinations are told, as the function's settings say. A body over the limit of asynchronous
// invocations is abi.TooLarge.
func (c *Client) InvokeAsync(ctx context.Context, t InvokeTarget, r InvokeRequest) (invocation string, err error) {
	call, out := invokeRequest(t, r), AsyncResponse{}
	call.out, call.options = &out, []Option{func(h http.Header) { h.Set(AsyncHeader, AsyncInvocation) }}
	err = c.do(ctx, call)
	return out.Invocation, err
}

// Invoke runs a function once and waits for its reply. Errors: abi.FunctionFailed, abi.Timeout,
// abi.TooManyRequests, each with its Invocation, whose log says more.
func (c *Client) Invoke(ctx context.Context, t InvokeTarget, r InvokeRequest) (InvokeResponse, error) {
	call, out := invokeRequest(t, r), InvokeResponse{}
	call.out = &out
	err := c.do(ctx, call)
	return out, err
}

func invokeRequest(t InvokeTarget, r InvokeRequest) request {
	call := request{method: http.MethodPost, path: path("apps", t.App, "functions", t.Function, "invoke"), in: r}
	if t.Qualifier != "" {
		call.query = map[string][]string{"qualifier": {t.Qualifier}}
	}
	return call
}
