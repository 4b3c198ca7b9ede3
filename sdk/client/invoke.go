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

// Invoke runs a function once and waits for its reply. Errors: abi.FunctionFailed, abi.Timeout,
// abi.TooManyRequests, each with its Invocation, whose log says more.
func (c *Client) Invoke(ctx context.Context, t InvokeTarget, r InvokeRequest) (InvokeResponse, error) {
	call := request{method: http.MethodPost, path: path("apps", t.App, "functions", t.Function, "invoke"), in: r}
	if t.Qualifier != "" {
		call.query = map[string][]string{"qualifier": {t.Qualifier}}
	}
	var out InvokeResponse
	call.out = &out
	err := c.do(ctx, call)
	return out, err
}
