package component

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// outgoingFunctions are those by which requests are sent. Source: WASI 0.2, wit/deps/http.
func outgoingFunctions() []function {
	return slices.Concat(requestFunctions(), optionFunctions(), group(typesName,
		function{"[method]outgoing-body.write", "ii:", false, bodyWrite},
		function{"[static]outgoing-body.finish", "iiii:", true, bodyFinish},
		function{"[method]future-incoming-response.subscribe", "i:i", false, func(c *Call, p []uint64) {
			f := use[*futureResponse](c, p[0])
			p[0] = uint64(c.own(&pollable{ready: f.ready}, uint32(p[0])))
		}},
		function{"[method]future-incoming-response.get", "ii:", true, futureGet},
		function{"[method]incoming-response.status", "i:i", false, func(c *Call, p []uint64) {
			p[0] = uint64(use[*incomingResponse](c, p[0]).reply.Status)
		}},
		function{"[method]incoming-response.headers", "i:i", false, func(c *Call, p []uint64) {
			p[0] = uint64(c.own(c.received(use[*incomingResponse](c, p[0]).reply.Headers), uint32(p[0])))
		}},
		function{"[method]incoming-response.consume", "ii:", false, func(c *Call, p []uint64) {
			r := use[*incomingResponse](c, p[0])
			list := r.reply.Trailers
			c.consume(p[1], &r.consumed, &incomingBody{
				from: &buffer{r.reply.Body}, trailers: func() []abi.Field { return list }, held: len(r.reply.Body),
			})
		}},
	), group("wasi:http/outgoing-handler@0.2",
		function{"handle", "iiii:", true, handleOutgoing},
	), []function{dropped[*outgoingBody](), dropped[*futureResponse](), dropped[*incomingResponse]()})
}

// outgoingBody is a body that is written. It is kept until it is whole; a reply's, until a piece of it is sent.
type outgoingBody struct {
	b        []byte
	sent     int64 // bytes before b
	most     int
	length   int64 // that the headers announce; -1: none
	opened   bool
	written  bool // its stream was given away
	finished bool
	failed   string  // why it never will be
	trailers *fields // given when it was finished; nil: none
	whole    func()  // called when no more of it comes; nil: nobody waits for it
	request  bool    // of a request: over its limit the guest is told, not ended
	over     bool    // its limit
}

// errRequestBody is the error of a request's body that is over its limit.
var errRequestBody = errors.New("the request's body is over the limit")

func (*outgoingBody) resource() string { return "outgoing-body" }

func (b *outgoingBody) drop(c *Call) {
	if !b.finished {
		b.failed = "it was dropped before it was finished"
		b.end()
	}
}

// fault says why a request with this body is not sent, nil when it is.
func (b *outgoingBody) fault() error {
	switch {
	case b.over:
		return errRequestBody
	case b.failed != "":
		return fmt.Errorf("the request's body: %s", b.failed)
	}
	return nil
}

// expect notes the length that the headers announce.
func (b *outgoingBody) expect(f *fields) {
	b.length = -1
	if v := f.values("content-length"); len(v) > 0 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil && n >= 0 {
			b.length = n
		}
	}
}

// size is how many bytes have been written.
func (b *outgoingBody) size() int64 { return b.sent + int64(len(b.b)) }

// openBody writes the result of a function that gives a body away to be written, once.
func (c *Call) openBody(ret uint64, b *outgoingBody, most int) {
	at := c.at(ret, 4)
	if b.opened {
		c.put8(at, 1)
		return
	}
	b.opened, b.most = true, most
	c.put8(at, 0)
	c.put32(at+4, c.own(b, 0))
}

func bodyWrite(c *Call, p []uint64) {
	b := use[*outgoingBody](c, p[0])
	at := c.at(p[1], 4)
	if b.written {
		c.put8(at, 1)
		return
	}
	b.written = true
	c.put8(at, 0)
	c.put32(at+4, c.own(&outputStream{sink: bodySink{b}}, uint32(p[0])))
}

// bodySink is where the stream of a body goes to.
type bodySink struct{ to *outgoingBody }

func (bodySink) room() (int, error) { return maxRoom, nil }
func (bodySink) flush() error       { return nil }

func (s bodySink) write(c *Call, b []byte) error {
	if len(b) > s.to.most-len(s.to.b) {
		if !s.to.request {
			trap("the body is over the limit of %d bytes", s.to.most)
		}
		s.to.over = true
		s.to.end()
		return abi.WithCode(abi.TooLarge, errRequestBody)
	}
	c.hold(len(b))
	s.to.b = append(s.to.b, b...)
	if o := c.reply; len(s.to.b) > maxWaiting && o != nil && o.response != nil && s.to == &o.response.body {
		c.sendWaiting()
	}
	return nil
}

// trailing is what follows the body.
func (b *outgoingBody) trailing() []abi.Field {
	if b.trailers == nil {
		return nil
	}
	return b.trailers.list
}

func (b *outgoingBody) dropTrailers(c *Call) {
	if b.trailers != nil {
		b.trailers.drop(c)
		b.trailers = nil
	}
}

// bodyFinish ends a body, with its trailers if there are any, which count as held as long as it does.
func bodyFinish(c *Call, p []uint64) {
	b := take[*outgoingBody](c, p[0])
	if api.DecodeU32(p[1]) == 1 {
		b.trailers = take[*fields](c, p[2])
	}
	at := c.at(p[3], 8)
	if b.over {
		b.dropTrailers(c)
		c.put8(at, 1)
		c.putError(at+8, httpError{code: codeRequestBodySize})
		return
	}
	if b.length >= 0 && b.length != b.size() && !c.bodyless(b) {
		b.failed = fmt.Sprintf("it has %d bytes, its headers announce %d", b.size(), b.length)
		b.dropTrailers(c)
		c.put8(at, 1)
		c.putError(at+8, httpError{code: codeRequestBodySize, size: b.size()})
		b.end()
		return
	}
	c.put8(at, 0)
	b.finished = true
	b.end()
}

// bodyless says whether a body may be announced that does not come: of a response to HEAD, or of one with status 304.
func (c *Call) bodyless(b *outgoingBody) bool {
	if b.request || b.size() > 0 {
		return false
	}
	o := c.reply
	return c.toHead || o != nil && o.response != nil && b == &o.response.body && o.response.status == 304
}

// end tells who waits for the body that no more of it comes, once.
func (b *outgoingBody) end() {
	if b.whole != nil {
		b.whole()
		b.whole = nil
	}
}

// running is what runs for a guest in other goroutines.
type running struct {
	wg      sync.WaitGroup
	ctx     context.Context
	cancel  context.CancelFunc
	arrived atomic.Int64 // bytes of replies that the guest has not taken
}

// arrive notes what has come for a future, or that it is too much.
func (r *running) arrive(f *futureResponse, reply *abi.Reply, err error) {
	if err == nil && r.arrived.Add(int64(len(reply.Body))) > MaxHeldBytes {
		r.arrived.Add(-int64(len(reply.Body)))
		reply, err = nil, fmt.Errorf("replies that are not taken: %w", abi.ErrOverLimit)
	}
	f.reply, f.err = reply, err
	close(f.done)
}

// futureResponse is a response that is waited for.
type futureResponse struct {
	held   int // bytes of the request, that count as held until the response is there or not wanted any more
	cancel context.CancelFunc
	got    bool
	gone   bool          // it is dropped
	done   chan struct{} // closed when what follows is there
	reply  *abi.Reply
	err    error
}

func (*futureResponse) resource() string { return "future-incoming-response" }

// drop ends what is under way: nobody will look at the response.
func (f *futureResponse) drop(c *Call) {
	f.gone = true
	if f.ready() && !f.got && f.reply != nil {
		c.running.arrived.Add(-int64(len(f.reply.Body)))
	}
	if f.cancel != nil {
		f.cancel()
	}
	f.settle(c)
}

func (f *futureResponse) settle(c *Call) {
	c.free(f.held)
	f.held = 0
}

func (f *futureResponse) ready() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// incomingResponse is a response to a request that was sent.
type incomingResponse struct {
	reply    *abi.Reply
	consumed bool
}

func (*incomingResponse) resource() string { return "incoming-response" }

func (r *incomingResponse) drop(c *Call) {
	if !r.consumed {
		c.free(len(r.reply.Body))
	}
}

// handleOutgoing sends a request as soon as its body is whole.
func handleOutgoing(c *Call, p []uint64) {
	r := take[*outgoingRequest](c, p[0])
	var limit time.Duration
	if api.DecodeU32(p[1]) == 1 {
		limit = take[*requestOptions](c, p[2]).limit()
	}
	at := c.at(p[3], 8)
	if c.Sender == nil {
		c.put8(at, 1)
		c.putError(at+8, httpError{code: codeConfiguration})
		return
	}
	future := &futureResponse{done: make(chan struct{})}
	send := func() {
		if !future.gone {
			c.send(r, future, limit)
		}
	}
	if r.body.opened && !r.body.finished && r.body.fault() == nil {
		r.body.whole = send
	} else {
		send()
	}
	c.put8(at, 0)
	c.put32(at+8, c.own(future, 0))
}

// send sends a request in another goroutine.
func (c *Call) send(r *outgoingRequest, future *futureResponse, limit time.Duration) {
	future.held = r.fields.size + len(r.body.b) + r.texts
	if r.body.trailers != nil {
		future.held += r.body.trailers.size
	}
	var send func(context.Context) (*abi.Reply, error)
	err := r.body.fault()
	if err == nil {
		send, err = c.Sender.Send(r.request())
	}
	if err != nil {
		future.err = err
		close(future.done)
		return
	}
	if c.running.cancel == nil {
		c.running.ctx, c.running.cancel = context.WithCancel(c.ctx)
	}
	if limit <= 0 {
		limit = maxLimit // the invocation ends before
	}
	ctx, cancel := context.WithTimeout(c.running.ctx, limit)
	future.cancel = cancel
	wake := c.wake
	c.running.wg.Go(func() {
		defer cancel()
		reply, err := send(ctx)
		c.running.arrive(future, reply, err)
		select {
		case wake <- struct{}{}:
		default:
		}
	})
}

// maxLimit is the longest that a guest's own timeouts say.
const maxLimit = time.Hour

// Close ends what runs for the guest and waits for it. The call may be used no more.
func (c *Call) Close() {
	if c.running.cancel != nil {
		c.running.cancel()
		c.running.wg.Wait()
	}
	if c.body != nil {
		c.body.end()
	}
	c.handles = table{}
}

func futureGet(c *Call, p []uint64) {
	f := use[*futureResponse](c, p[0])
	at := c.at(p[1], 8)
	switch {
	case !f.ready():
		c.put8(at, 0)
		return
	case f.got:
		c.put8(at, 1)
		c.put8(at+8, 1)
		return
	}
	f.got = true
	f.settle(c)
	if f.err != nil {
		c.putError(at+24, errorOf(f.err))
		c.put8(at+16, 1)
	} else {
		c.running.arrived.Add(-int64(len(f.reply.Body)))
		c.hold(len(f.reply.Body))
		c.put8(at+16, 0)
		c.put32(at+24, c.own(&incomingResponse{reply: f.reply}, 0))
	}
	c.put8(at, 1)
	c.put8(at+8, 0)
}

// Numbers of error codes. Source: WASI 0.2, wit/deps/http/types.wit, "error-code".
const (
	codeConnectionRefused = 6
	codeTerminated        = 7
	codeReadTimeout       = 9
	codeConnectionLimit   = 11
	codeTLSProtocol       = 12
	codeRequestDenied     = 15
	codeRequestBodySize   = 17
	codeURIInvalid        = 19
	codeResponseBodySize  = 28
	codeResponseTimeout   = 33
	codeProtocol          = 35
	codeConfiguration     = 37
	codeInternal          = 38
	codeDNS               = 1
)

// errorCodes are the names of wasi:http's error codes, in the order of their numbers.
func errorCodes() []string {
	return strings.Fields(`DNS-timeout DNS-error destination-not-found destination-unavailable destination-IP-prohibited
		destination-IP-unroutable connection-refused connection-terminated connection-timeout connection-read-timeout
		connection-write-timeout connection-limit-reached TLS-protocol-error TLS-certificate-error TLS-alert-received
		HTTP-request-denied HTTP-request-length-required HTTP-request-body-size HTTP-request-method-invalid
		HTTP-request-URI-invalid HTTP-request-URI-too-long HTTP-request-header-section-size HTTP-request-header-size
		HTTP-request-trailer-section-size HTTP-request-trailer-size HTTP-response-incomplete
		HTTP-response-header-section-size HTTP-response-header-size HTTP-response-body-size
		HTTP-response-trailer-section-size HTTP-response-trailer-size HTTP-response-transfer-coding
		HTTP-response-content-coding HTTP-response-timeout HTTP-upgrade-failed HTTP-protocol-error loop-detected
		configuration-error internal-error`)
}

// httpError is an error code with what belongs to it.
type httpError struct {
	code byte
	size int64  // of a body; 0: not told
	text string // of an internal error
}

// errorOf answers what a guest is told of a request that was not answered.
func errorOf(err error) httpError {
	for _, known := range []struct {
		err  error
		code byte
	}{
		{context.DeadlineExceeded, codeResponseTimeout}, {abi.ErrDenied, codeRequestDenied}, {abi.ErrResolve, codeDNS},
		{abi.ErrConnect, codeConnectionRefused}, {abi.ErrTLS, codeTLSProtocol}, {abi.ErrBusy, codeConnectionLimit},
		{abi.ErrOutgoingCalls, codeConnectionLimit}, {abi.ErrBadRequest, codeURIInvalid}, {abi.ErrOverLimit, codeResponseBodySize},
		{abi.ErrBroken, codeProtocol}, {abi.ErrNoOutgoing, codeConfiguration}, {errRequestBody, codeRequestBodySize},
	} {
		if errors.Is(err, known.err) {
			return httpError{code: known.code}
		}
	}
	return httpError{code: codeInternal, text: err.Error()}
}

// putError writes an error code. What may be told besides is not, but for sizes and internal errors.
func (c *Call) putError(at uint32, e httpError) {
	c.put8(at, e.code)
	c.put8(at+8, 0)
	switch {
	case e.code == codeDNS:
		c.put8(at+8+12, 0)
	case e.code == codeInternal && e.text != "":
		c.putSome(at+8, e.text)
	case e.size > 0:
		c.put8(at+8, 1)
		c.put64(at+16, uint64(e.size))
	}
}
