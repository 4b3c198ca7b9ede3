package router

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Headers of CORS. Source: Fetch Standard, section 3.2, HTTP CORS protocol.
const (
	corsOrigin      = "Access-Control-Allow-Origin"
	corsCredentials = "Access-Control-Allow-Credentials"
	corsMethods     = "Access-Control-Allow-Methods"
	corsHeaders     = "Access-Control-Allow-Headers"
	corsExpose      = "Access-Control-Expose-Headers"
	corsMaxAge      = "Access-Control-Max-Age"
	corsAskMethod   = "Access-Control-Request-Method"
	corsAskHeaders  = "Access-Control-Request-Headers"
	corsPrefix      = "Access-Control-"
)

// field answers the value of a request's header, or nothing.
func field(e *abi.Event, name string) string {
	for i := range e.Headers {
		if f := &e.Headers[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// allowOrigin is what a browser is told of who may read the answer; empty: whoever asks may not.
func allowOrigin(c *registry.Cors, origin string) string {
	switch {
	case slices.Contains(c.Origins, "*"):
		return "*"
	case origin != "" && slices.Contains(c.Origins, origin):
		return origin
	}
	return ""
}

// shareWith says in the reply to a request who may read it. The function's own headers of CORS are not sent: the route
// says it.
func shareWith(h *fasthttp.ResponseHeader, c *registry.Cors, e *abi.Event) {
	allowed := allowOrigin(c, field(e, "Origin"))
	if allowed != "*" {
		h.Add("Vary", "Origin")
	}
	if allowed == "" {
		return
	}
	h.Set(corsOrigin, allowed)
	if c.Credentials {
		h.Set(corsCredentials, "true")
	}
	if len(c.Expose) > 0 {
		h.Set(corsExpose, strings.Join(c.Expose, ", "))
	}
}

// withoutCors answers headers without those of CORS.
func withoutCors(headers []abi.Field) []abi.Field {
	ours := func(f abi.Field) bool {
		return len(f.Name) > len(corsPrefix) && strings.EqualFold(f.Name[:len(corsPrefix)], corsPrefix)
	}
	if !slices.ContainsFunc(headers, ours) {
		return headers
	}
	return slices.DeleteFunc(slices.Clone(headers), ours)
}

// preflight answers a browser that asks whether it may make a request, if a route with CORS would answer that. The
// function is not woken.
func (r *Router) preflight(ctx *fasthttp.RequestCtx, q *request, t *Table) bool {
	e := &q.event
	method := field(e, corsAskMethod)
	if e.Method != "OPTIONS" || method == "" || field(e, "Origin") == "" {
		return false
	}
	var found values // those of the request stay
	choice, _ := t.lookup(method, text(q.host), q.decoded, &found)
	if choice == nil || choice.candidates[0].cors == nil {
		return false
	}
	c := choice.candidates[0].cors
	r.answer(ctx, q, fasthttp.StatusNoContent)
	h := &ctx.Response.Header
	shareWith(h, c, e)
	if len(h.Peek(corsOrigin)) == 0 {
		return true
	}
	methods := c.Methods
	if len(methods) == 0 {
		methods = t.sharing(c, text(q.host), q.decoded, method)
	}
	if slices.Contains(methods, "*") {
		methods = []string{method} // a * does not hold for requests with credentials
	}
	h.Set(corsMethods, strings.Join(methods, ", "))
	switch asked := field(e, corsAskHeaders); {
	case asked == "" || len(c.Headers) == 0:
	case slices.Contains(c.Headers, "*"):
		h.Set(corsHeaders, asked)
		h.Add("Vary", corsAskHeaders)
	default:
		h.Set(corsHeaders, strings.Join(c.Headers, ", "))
	}
	if c.MaxAgeSeconds > 0 {
		h.Set(corsMaxAge, strconv.Itoa(c.MaxAgeSeconds))
	}
	return true
}

// sharing answers the methods at a path whose routes share as c says, method among them: a browser keeps all that it is told,
// and makes their requests without asking again.
func (t *Table) sharing(c *registry.Cors, host, path, method string) []string {
	methods := slices.DeleteFunc(t.allowed(host, path), func(other string) bool {
		var found values
		choice, _ := t.lookup(other, host, path, &found)
		return choice == nil || !reflect.DeepEqual(choice.candidates[0].cors, c)
	})
	if !slices.Contains(methods, method) {
		methods = append(methods, method) // of a route for any, or HEAD by that of GET
	}
	return methods
}
