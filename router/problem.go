package router

import (
	"encoding/json"
	"net/http"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/sdk/abi"
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
func writeProblem(ctx *fasthttp.RequestCtx, invocation string, k refusal) {
	ctx.Response.Reset()
	body, err := json.Marshal(problem{
		Type: "about:blank", Title: http.StatusText(k.status), Status: k.status,
		Detail: k.detail, Code: k.code, Invocation: invocation,
	})
	if err != nil {
		body = []byte("{}") // only strings: cannot happen
	}
	h := &ctx.Response.Header
	h.SetStatusCode(k.status)
	h.SetContentType("application/problem+json")
	h.Set(headerInvocation, invocation)
	if k.code == abi.TooManyRequests || k.code == abi.Unavailable {
		h.Set("Retry-After", retryAfter)
	}
	if k.close {
		h.SetConnectionClose()
	}
	ctx.Response.SetBodyRaw(body)
}
