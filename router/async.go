package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Async takes invocations that are run later.
type Async interface {
	// Enqueue answers an invocation's id once it is durable; it keeps nothing of the call. The event's Invocation, when it has
	// one, is the id. Errors are coded.
	Enqueue(ctx context.Context, c Call) (invocation string, err error)
}

// invocationType is the header by which a client asks for an invocation that is run later, and asynchronous what it
// says then.
const (
	invocationType = "Sett-Invocation-Type"
	asynchronous   = "async"
	synchronous    = "sync"
)

// enqueueTimeout bounds how long a client waits for its invocation to be durable.
const enqueueTimeout = 10 * time.Second

var errInvocationType = fmt.Errorf("header %s is neither %s nor %s", invocationType, synchronous, asynchronous)

// readInvocationType takes note of what a client says of how its request is to be run.
func (q *request) readInvocationType(value string) {
	switch {
	case strings.EqualFold(value, asynchronous):
		q.async = true
	case !strings.EqualFold(value, synchronous):
		q.fault = errInvocationType
	}
}

// enqueue answers a request that is run later: 202 and its id, once it is durable.
func (r *Router) enqueue(ctx *fasthttp.RequestCtx, q *request, k *candidate) {
	e := &q.event
	id, err := r.accept(e, k)
	if err != nil {
		code := abi.CodeOf(err)
		r.refuse(ctx, q, refusal{code.HTTPStatus(), code, clientDetail(code, err), r.rejected.async, false})
		k.share(ctx, e)
		return
	}
	body, _ := json.Marshal(struct { // a string always can
		Invocation string `json:"invocation"`
	}{id})
	h := &ctx.Response.Header
	h.SetStatusCode(fasthttp.StatusAccepted)
	h.SetContentType(contentTypeJSON)
	h.Set(headerInvocation, id)
	ctx.Response.SetBody(append(body, '\n'))
	k.share(ctx, e)
	r.access.write(&access{time: q.start, event: e, target: k.target, status: fasthttp.StatusAccepted, took: time.Since(q.start)})
}

func (r *Router) accept(e *abi.Event, k *candidate) (id string, err error) {
	if r.config.Async == nil {
		return "", abi.WithCode(abi.Unsupported, errors.New("this node takes no asynchronous invocations"))
	}
	kept := *e
	if k.payload != registry.PayloadRaw {
		if kept.Body, err = encodeProxyEvent(k.payload, e, time.Now()); err != nil {
			return "", abi.WithCode(abi.Internal, fmt.Errorf("encode proxy event: %w", err))
		}
	}
	within, cancel := context.WithTimeout(r.base, enqueueTimeout)
	defer cancel()
	return r.config.Async.Enqueue(within, Call{App: k.version.App, Function: k.version.Function, Event: &kept})
}
