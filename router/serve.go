package router

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Headers of every reply.
const (
	headerInvocation = "Sett-Invocation-Id"
	headerStart      = "Sett-Start"
	headerFuel       = "Sett-Fuel" // where Config.FuelHeader asks for it
	headerNode       = "Sett-Node" // where it ran, when on another node
)

// Content types of replies that name none: a Handle answers JSON, anything else is shown as it is.
const (
	contentTypeText = "text/plain; charset=utf-8"
	contentTypeJSON = "application/json"
)

// refusal is a request that no function gets.
type refusal struct {
	status  int
	code    abi.Code
	detail  string
	counter prometheus.Counter // nil: it is not a refusal but a failure, and counted elsewhere
	close   bool               // the connection's framing or the node's future is in doubt
}

// serve answers one request. Nothing of ctx leaves it: the invocation has a context of its own, and the event's
// strings are not kept.
func (r *Router) serve(ctx *fasthttp.RequestCtx) {
	q := r.requests.Get().(*request)
	c := connOf(ctx.Conn())
	defer c.enter(phaseWrite)
	q.start = time.Now()
	putInvocationID(&q.id, q.start)
	defer r.recover(ctx, q)
	q.context.client = c
	err := q.read(ctx, c)
	var k *candidate
	used := 0
	if err == nil {
		k, used = r.choose(q)
		q.offer(r, ctx, c, k)
	}
	switch {
	case !r.receive(ctx, q, c, k):
	case err != nil:
		r.refuse(ctx, q, r.malformed(err))
	case r.draining.Load():
		r.refuse(ctx, q, refusal{503, abi.Unavailable, errClosed.Error(), r.rejected.draining, true})
		k.share(ctx, &q.event)
	default:
		r.route(ctx, q, k, used)
		if c != nil && !c.pieces && q.table.pieces {
			ctx.SetConnectionClose() // the client comes back to the other server
		}
	}
	q.stream.rest()
	q.reset()
	r.requests.Put(q)
}

func (r *Router) malformed(err error) refusal {
	k := refusal{400, abi.InvalidInput, err.Error(), r.rejected.malformed, true}
	if errors.Is(err, errVersion) {
		k.status = 505
	}
	return k
}

// recover answers a panic of ours with 500: fasthttp would end the process. The request's memory is not used
// again, as whoever panicked may still hold it.
func (r *Router) recover(ctx *fasthttp.RequestCtx, q *request) {
	if p := recover(); p != nil {
		r.config.Log.Error("serve request", "invocation", string(q.id[:]), "panic", p, "stack", string(debug.Stack()))
		connOf(ctx.Conn()).leaveUnread()
		writeProblem(ctx, string(q.id[:]), refusal{status: 500, code: abi.Internal, close: true})
	}
}

// choose finds the function that answers a request, nil for none. It notes which table it looked at.
func (r *Router) choose(q *request) (k *candidate, used int) {
	t, e := r.table.Load(), &q.event
	if q.host = q.host[:0]; len(t.hosts) > 0 {
		q.host = routeHost(q.host, e.Host)
	}
	q.table = t
	c, used := t.lookup(e.Method, text(q.host), q.decoded, &q.values)
	if c == nil {
		return nil, 0
	}
	return c.pick(), used
}

// offer gives the event its client, where that can take a reply in pieces: nothing may be waiting in fasthttp's buffer
// before it, nor may the reply need the whole.
func (q *request) offer(r *Router, ctx *fasthttp.RequestCtx, c *conn, k *candidate) {
	if k == nil || c == nil || !c.flushed || q.async || k.async || k.payload != registry.PayloadRaw || ctx.Conn() != net.Conn(c) {
		return
	}
	s := &q.stream // at rest, but for these
	s.router, s.ctx, s.conn, s.q, s.k, s.closes = r, ctx, c, q, k, ctx.Request.Header.ConnectionClose()
	q.event.Stream = s
}

// route dispatches to the function that was chosen, or answers in place of one.
func (r *Router) route(ctx *fasthttp.RequestCtx, q *request, k *candidate, used int) {
	t, e := q.table, &q.event
	if e.Method == "CONNECT" || e.Method == "TRACE" || e.Path == "/*" && string(ctx.Request.Header.RequestURI()) == "*" {
		r.noFunction(ctx, q)
		return
	}
	if e.Method == "OPTIONS" && r.preflight(ctx, q, t) {
		return
	}
	if k == nil {
		r.unrouted(ctx, q, t)
		return
	}
	q.bind(k, used)
	if err := k.schemas.check(e); err != nil {
		r.refuse(ctx, q, refusal{400, abi.InvalidInput, err.Error(), r.rejected.invalid, false})
		k.share(ctx, e)
		return
	}
	if q.async || k.async {
		r.enqueue(ctx, q, k)
		return
	}
	result, err := r.Dispatch(r.base, Call{Event: e, chosen: k, start: q.start, memory: q.context})
	r.respond(ctx, q, k, result, err)
}

// respond sends what an invocation has answered, or the end of it.
func (r *Router) respond(ctx *fasthttp.RequestCtx, q *request, k *candidate, result *abi.Result, err error) {
	e := &q.event
	switch s := &q.stream; {
	case s.started:
		if err == nil && result.Error != "" {
			err = errFailed
		}
		s.end(result.Trailers, err)
		return
	case s.fault != nil && !errors.Is(s.fault, errStopped) && err != nil:
		r.unreadable(ctx, s.refusal())
		return
	}
	if err == nil && result.Error == "" {
		if k.cors != nil {
			result.Headers = withoutCors(result.Headers)
		}
		r.reply(ctx, k.target, e, result)
		k.share(ctx, e)
		return
	}
	status, code := outcome(result, err)
	writeProblem(ctx, string(q.id[:]), refusal{status: status, code: code, detail: clientDetail(code, err)})
	if result.Start != "" {
		ctx.Response.Header.Set(headerStart, string(result.Start))
	}
	r.tell(&ctx.Response.Header, result)
	k.share(ctx, e)
}

// share says who may read the reply, where the route has CORS. K may be nil.
func (k *candidate) share(ctx *fasthttp.RequestCtx, e *abi.Event) {
	if k != nil && k.cors != nil {
		shareWith(&ctx.Response.Header, k.cors, e)
	}
}

// tell tells the client how many instructions its invocation took, and on which other node it ran.
func (r *Router) tell(h *fasthttp.ResponseHeader, result *abi.Result) {
	if r.config.FuelHeader && result.Start != "" && !result.Streamed {
		h.Set(headerFuel, strconv.FormatUint(result.Fuel, 10))
	}
	if result.Node != "" {
		h.Set(headerNode, result.Node)
	}
}

// clientDetail is what a client may know of an invocation's failure.
func clientDetail(code abi.Code, err error) string {
	switch {
	case err == nil:
		return errFailed.Error()
	case code == abi.Internal:
		return ""
	}
	return err.Error()
}

// reply writes a checked reply.
func (r *Router) reply(ctx *fasthttp.RequestCtx, t *target, e *abi.Event, result *abi.Result) {
	h := &ctx.Response.Header
	typed := r.head(ctx, e, result)
	switch {
	case bodyless(result.Status):
		h.SetNoDefaultContentType(true)
		return
	case typed:
	case len(result.Body) == 0:
		h.SetNoDefaultContentType(true)
	default:
		h.SetContentType(t.contentType())
	}
	trail(h, e, &result.Reply)
	ctx.Response.SetBodyRaw(result.Body)
}

// contentType is that of a reply that names none.
func (t *target) contentType() string {
	if t.version.Settings.Handler != "" {
		return contentTypeJSON
	}
	return contentTypeText
}

// bodyless says whether replies of a status have no body. Source: RFC 9110 section 6.4.1; 205 by section 15.3.6.
func bodyless(status int) bool { return status == 204 || status == 205 || status == 304 }

// head writes the status and the headers of a checked reply, and answers whether they name a content type.
func (r *Router) head(ctx *fasthttp.RequestCtx, e *abi.Event, result *abi.Result) (typed bool) {
	h := &ctx.Response.Header
	h.DisableNormalizing()
	if result.Status != 0 {
		h.SetStatusCode(result.Status)
	}
	for i := range result.Headers {
		f := &result.Headers[i]
		switch {
		case len(f.Name) == len("Content-Type") && strings.EqualFold(f.Name, "Content-Type"):
			typed = true
			h.SetContentType(f.Value)
		case len(f.Name) == len("Content-Encoding") && strings.EqualFold(f.Name, "Content-Encoding"):
			h.SetContentEncoding(joinValues(string(h.ContentEncoding()), f.Value))
		case e.Method == "HEAD" && strings.EqualFold(f.Name, "Content-Length"):
			ctx.Response.SkipBody = true
			h.Set("Content-Length", f.Value)
		default:
			h.AddBytesKV(raw(f.Name), raw(f.Value))
		}
	}
	h.SetCanonical(raw(headerInvocation), raw(e.Invocation))
	h.SetCanonical(raw(headerStart), raw(string(result.Start)))
	r.tell(h, result)
	return typed
}

// raw is s as bytes without a copy, for those who only read them.
func raw(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// joinValues adds a value to a list that one header line carries.
func joinValues(list, value string) string {
	if list == "" {
		return value
	}
	return list + ", " + value
}

// unrouted answers where no route does: OPTIONS and other methods with what is allowed, a path that differs from
// a route by its final slash with the route's, anything else with 404.
func (r *Router) unrouted(ctx *fasthttp.RequestCtx, q *request, t *Table) {
	e := &q.event
	if methods := t.allowed(text(q.host), q.decoded); len(methods) > 0 {
		allow := allowHeader(methods)
		if e.Method == "OPTIONS" {
			r.answer(ctx, q, 204)
		} else {
			r.refuse(ctx, q, refusal{405, abi.MethodNotAllowed, "", r.rejected.method, false})
		}
		ctx.Response.Header.Set("Allow", allow)
		return
	}
	if location, ok := otherSlash(e.Path); ok {
		other, _ := otherSlash(q.decoded)
		if c, _ := t.lookup(e.Method, text(q.host), other, &q.values); c != nil {
			if e.Query != "" {
				location += "?" + e.Query
			}
			r.answer(ctx, q, 308)
			ctx.Response.Header.Set("Location", location)
			return
		}
	}
	r.refuse(ctx, q, refusal{404, abi.NotFound, abi.NoRoute, r.rejected.noRoute, false})
}

// otherSlash is path with its final slash taken away or added. It refuses what a browser would read as another
// host's address: two slashes, or a slash and a backslash.
func otherSlash(path string) (string, bool) {
	if path == "/" || len(path) > 1 && (path[1] == '/' || path[1] == '\\') {
		return "", false
	}
	if other, found := strings.CutSuffix(path, "/"); found {
		return other, true
	}
	return path + "/", true
}

// noFunction answers the methods that speak to the server and not to a resource.
func (r *Router) noFunction(ctx *fasthttp.RequestCtx, q *request) {
	if q.event.Method == "OPTIONS" {
		r.answer(ctx, q, 204)
	} else {
		r.refuse(ctx, q, refusal{405, abi.MethodNotAllowed, "", r.rejected.method, false})
	}
	ctx.Response.Header.Set("Allow", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
}

// answer writes a reply that is ours and has no body.
func (r *Router) answer(ctx *fasthttp.RequestCtx, q *request, status int) {
	h := &ctx.Response.Header
	h.SetStatusCode(status)
	h.SetNoDefaultContentType(true)
	h.Set(headerInvocation, q.event.Invocation)
	r.access.write(&access{time: q.start, event: &q.event, status: status, took: time.Since(q.start)})
}

// refuse answers with a problem, counts it and records it.
func (r *Router) refuse(ctx *fasthttp.RequestCtx, q *request, k refusal) {
	k.counter.Inc()
	writeProblem(ctx, string(q.id[:]), k)
	r.access.write(&access{time: q.start, event: &q.event, status: k.status, code: k.code, took: time.Since(q.start)})
}

// overLimit says that something has more bytes than a limit.
type overLimit int64

func (l overLimit) Error() string { return fmt.Sprintf("is over the limit of %d bytes", int64(l)) }

// unreadable answers what fasthttp could not read as a request. The connection is closed after it.
func (r *Router) unreadable(ctx *fasthttp.RequestCtx, err error) {
	q := &request{start: time.Now()}
	putInvocationID(&q.id, q.start)
	q.event = abi.Event{Trigger: abi.TriggerHTTP, Invocation: text(q.id[:]), Remote: ctx.RemoteAddr().String()}
	k := refusal{400, abi.InvalidInput, "request is malformed", r.rejected.malformed, true}
	var small *fasthttp.ErrSmallBuffer
	var over overLimit
	c := connOf(ctx.Conn())
	if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		err = overLimit(r.config.MaxBodyBytes)
	}
	switch {
	case c != nil && c.expired.Load():
		k = refusal{408, abi.Timeout, "request did not arrive in time", r.rejected.slow, true}
	case errors.As(err, &over):
		k = refusal{413, abi.TooLarge, "request body " + over.Error(), r.rejected.tooLarge, true}
	case errors.As(err, &small):
		k = refusal{431, abi.TooLarge, "request header " + overLimit(r.config.MaxHeaderBytes).Error(), r.rejected.header, true}
	}
	c.leaveUnread()
	c.enter(phaseWrite) // the sweep has ended what was too slow
	r.refuse(ctx, q, k)
	if k.status == 413 { // of the others the header is lost, or not to be trusted
		q, to := r.foresee(ctx, c)
		to.share(ctx, &q.event)
	}
}
