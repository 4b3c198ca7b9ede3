package router

import (
	"encoding/json"
	"net/http"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/valyala/fasthttp"
)

// problem is an error as clients get it. Source: RFC 9457; code and invocation are extension members.
type problem struct {
	Type       string   `json:"type"`
	Title      string   `json:"title"`
	Status     int      `json:"status"`
	Detail     string   `json:"detail,omitempty"`
	Code       abi.Code `json:"code"`
	Invocation string   `json:"invocation"`
}

// retryAfter is how many seconds a refused client is asked to wait.
const retryAfter = "1"

// writeProblem answers with an error. What was written to the response before is dropped.
func writeProblem(ctx *fasthttp.RequestCtx, status int, code abi.Code, detail, invocation string) {
	ctx.Response.Reset()
	body, err := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Detail: detail, Code: code, Invocation: invocation,
	})
	if err != nil {
		body = []byte("{}") // only strings: cannot happen
	}
	h := &ctx.Response.Header
	h.SetStatusCode(status)
	h.SetContentType("application/problem+json")
	h.Set(headerInvocation, invocation)
	if code == abi.TooManyRequests || code == abi.Unavailable {
		h.Set("Retry-After", retryAfter)
	}
	ctx.Response.SetBodyRaw(body)
}
