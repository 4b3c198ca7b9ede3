package router

import (
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/sdk/abi"
)

// bodyReader reads what a client sends as a request's body. It is fasthttp's reader, but that one takes a client that
// leaves early for the end.
type bodyReader struct {
	from   io.Reader
	length int64 // as announced; below 0: it was not
	read   int64
}

// Read is for io.Reader.
func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.read += int64(n)
	if err == io.EOF && b.length >= 0 && b.read < b.length {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Memory for bodies. More keeps more for the next request, less makes large ones cost an allocation each.
const (
	firstBodyBytes = 8 << 10
	keptBodyBytes  = 1 << 20
)

// receive reads the body of a request whole, so that a slow upload holds a connection and not one of the function's
// invocations. Where k takes bodies in pieces, one that is too large for that, or does not say how large it is, is left
// for the function to read. It answers false when it has refused the request. K may be nil.
func (r *Router) receive(ctx *fasthttp.RequestCtx, q *request, c *conn, k *candidate) bool {
	from := ctx.RequestBodyStream()
	if from == nil { // there is none, or it was read before
		q.event.Body = ctx.Request.Body()
		return r.received(ctx, q, c)
	}
	q.body = bodyReader{from: from, length: int64(ctx.Request.Header.ContentLength())}
	whole := 0 <= q.body.length && q.body.length <= int64(r.config.MaxBodyBytes)
	if !whole && q.event.Stream != nil && k.pieces {
		if q.body.length > r.config.MaxStreamBytes {
			r.unreadable(ctx, overLimit(r.config.MaxStreamBytes))
			return false
		}
		q.event.More = true
		q.stream.body = &q.body
		c.enter(phaseServe)
		return true
	}
	if err := q.readBody(r.config.MaxBodyBytes); err != nil {
		r.unreadable(ctx, err)
		return false
	}
	return r.received(ctx, q, c)
}

// received notes the trailers of a body that was read whole. It answers false when it has refused the request.
func (r *Router) received(ctx *fasthttp.RequestCtx, q *request, c *conn) bool {
	var err error
	if q.event.Trailers, err = readTrailers(&ctx.Request.Header); err != nil {
		r.unreadable(ctx, err)
		return false
	}
	c.enter(phaseServe)
	return true
}

// readBody reads the body into q's memory, which grows with what has come and not with what was announced.
func (q *request) readBody(limit int) error {
	if q.body.length > int64(limit) {
		return fasthttp.ErrBodyTooLarge
	}
	b := q.memory[:0]
	for {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, max(firstBodyBytes, 2*cap(b))), b...)
		}
		n, err := q.body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case q.body.read > int64(limit):
			return fasthttp.ErrBodyTooLarge
		case errors.Is(err, io.EOF):
			if q.memory = b; len(b) > 0 {
				q.event.Body = b
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// How long an answer waits for what is left of the request's body, altogether and without a byte. Longer keeps more
// connections for their next request, and clients that listen before they send on waiting.
const (
	drainTime  = 2 * time.Second
	drainPause = 100 * time.Millisecond
)

// drain reads what its function has left of a request's body, and answers whether it came to the end: else the connection
// cannot be used again.
func (s *clientStream) drain() bool {
	buffer := make([]byte, firstBodyBytes)
	for end, limit := time.Now().Add(drainTime), s.router.config.MaxBodyBytes; limit > 0 && time.Now().Before(end); {
		if s.fault != nil || s.conn.Conn.SetReadDeadline(time.Now().Add(drainPause)) != nil {
			return false
		}
		n, err := s.body.Read(buffer)
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		limit -= n
	}
	return false
}

// rest makes a connection whose request was read in pieces fit for the next one.
func (s *clientStream) rest() {
	if s.q == nil || !s.q.event.More {
		return
	}
	if s.body != nil && !s.drain() {
		s.ctx.SetConnectionClose()
		s.conn.leaveUnread()
	}
	_ = s.conn.Conn.SetReadDeadline(time.Time{}) // the sweep takes over
}

// refusal answers what a client is told of a request whose body could not be read to its end.
func (s *clientStream) refusal() error {
	switch {
	case errors.Is(s.fault, errLongRead):
		return overLimit(s.router.config.MaxStreamBytes)
	case abi.CodeOf(s.fault) == abi.Timeout:
		s.conn.expired.Store(true)
	}
	return s.fault
}
