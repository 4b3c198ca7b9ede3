package router

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/sdk/abi"
)

// clientStream is the client of a request, as its function sees it who reads or answers in pieces. What it sends goes past
// fasthttp, straight to the connection; see conn. Its zero value is at rest.
type clientStream struct {
	router *Router
	ctx    *fasthttp.RequestCtx
	conn   *conn
	q      *request
	k      *candidate

	mu      sync.Mutex // makes Stop and a Read that begins see each other, and Start one that ends
	stopped bool

	body     *bodyReader // what is left of the request's body; nil: nothing
	trailers []abi.Field // that came behind it
	fault    error       // what ended reading it early

	started bool
	broken  bool // not all of what was to be sent was
	framing framing
	closes  bool  // the connection ends with the reply
	left    int64 // bytes still to be sent, when the function has said how many there are
	sent    int64 // bytes of the reply's body
}

// framing is how a client knows where a reply's body ends.
type framing uint8

const (
	framedChunks framing = iota
	framedLength         // the function said how long it is
	framedClose          // by the end of the connection: HTTP/1.0
	framedEmpty          // the method or the status has no body: what is written is dropped
)

var _ abi.Stream = (*clientStream)(nil)

// Errors of a stream. They end the invocation, and stand in its log.
var (
	errStarted    = abi.WithCode(abi.FunctionFailed, errors.New("reply: it has been started"))
	errNotStarted = abi.WithCode(abi.FunctionFailed, errors.New("reply: it has not been started"))
	errStopped    = abi.WithCode(abi.Unavailable, errors.New("request body: nobody reads it any more"))
	errSlowRead   = abi.WithCode(abi.Timeout, errors.New("request body: the client does not send it in time"))
	errBrokenRead = abi.WithCode(abi.InvalidInput, errors.New("request body: the client has left, or it is malformed"))
	errLongRead   = abi.WithCode(abi.TooLarge, errors.New("request body: over the limit"))
	errSlowWrite  = abi.WithCode(abi.Timeout, errors.New("reply: the client does not take it in time"))
	errLeft       = abi.WithCode(abi.Unavailable, errors.New("reply: the client has left"))
)

// Read is for abi.Stream.
func (s *clientStream) Read(b []byte) (int, error) {
	if s.body == nil {
		return 0, io.EOF
	}
	if err := s.beginRead(); err != nil {
		return 0, err
	}
	n, err := s.body.Read(b)
	switch {
	case err == nil && s.body.read > s.router.config.MaxStreamBytes:
		s.fault = errLongRead
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		if s.trailers, err = readTrailers(&s.ctx.Request.Header); err != nil {
			s.fault = errBrokenRead
			return 0, s.fault
		}
		s.mu.Lock()
		s.body = nil
		s.mu.Unlock()
		return n, io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.fault = s.late()
	default:
		s.fault = errBrokenRead
	}
	return 0, s.fault
}

// Trailers is for abi.Stream.
func (s *clientStream) Trailers() []abi.Field { return s.trailers }

// late is what a Read is that has ended at its deadline: the client's, or that of Stop.
func (s *clientStream) late() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errStopped
	}
	return errSlowRead
}

// unread says whether some of the body may be left.
func (s *clientStream) unread() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body != nil
}

// beginRead gives the client time to send more.
func (s *clientStream) beginRead() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return errStopped
	case s.fault != nil:
		return s.fault
	}
	return s.conn.Conn.SetReadDeadline(s.within(s.router.config.BodyTimeout))
}

// Stop is for abi.Stream.
func (s *clientStream) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.conn != nil {
		_ = s.conn.Conn.SetReadDeadline(time.Unix(1, 0)) // a connection that is closed reads nothing either
	}
}

// within is when something that may take that long has to be over: not later than the invocation.
func (s *clientStream) within(limit time.Duration) time.Time {
	end := time.Now().Add(limit)
	if d, ok := s.q.context.Deadline(); ok && d.Before(end) {
		return d
	}
	return end
}

// Start is for abi.Stream.
func (s *clientStream) Start(r *abi.Result) error {
	if s.started {
		return errStarted
	}
	e, sent := &s.q.event, *r
	trailers := announced(&sent.Reply)
	length, err := checkStart(&sent.Reply)
	if err != nil {
		return err
	}
	if s.k.cors != nil {
		sent.Headers = withoutCors(sent.Headers)
	}
	sent.Streamed = true
	h := &s.ctx.Response.Header
	typed := s.router.head(s.ctx, e, &sent)
	s.k.share(s.ctx, e)
	if len(trailers) > 0 && e.Proto != "HTTP/1.0" {
		length = -1 // behind a body whose length is told nothing can follow
	}
	if s.frame(length, sent.Status); s.framing == framedChunks && len(trailers) > 0 {
		h.Add("Trailer", strings.Join(trailers, ", "))
	}
	switch {
	case bodyless(sent.Status):
		h.SetNoDefaultContentType(true)
	case !typed:
		h.SetContentType(s.k.contentType())
	}
	if s.closes = s.closes || e.Proto == "HTTP/1.0" || s.unread() || s.router.draining.Load(); s.closes {
		h.SetConnectionClose()
	}
	s.started, s.conn.muted = true, true
	return s.send(net.Buffers{h.Header()})
}

// frame decides how the client is told where the body ends; length is what the function said, -1 when it did not.
func (s *clientStream) frame(length int64, status int) {
	h := &s.ctx.Response.Header
	switch {
	case bodyless(status):
		s.framing, length = framedEmpty, 0
	case s.q.event.Method == "HEAD": // the headers are those that GET would send
		s.framing = framedEmpty
	case length >= 0:
		s.framing, s.left = framedLength, length
	case s.q.event.Proto == "HTTP/1.0":
		s.framing = framedClose
	default:
		s.framing = framedChunks
	}
	switch {
	case length >= 0:
		h.SetContentLength(int(length)) // which knows where none may be
	case s.q.event.Proto == "HTTP/1.0":
		h.SetContentLength(-2) // none is given
	default:
		h.SetContentLength(-1)
	}
}

// Write is for abi.Stream.
func (s *clientStream) Write(b []byte) (int, error) {
	switch {
	case !s.started:
		return 0, errNotStarted
	case s.broken:
		return 0, errLeft
	case len(b) == 0 || s.framing == framedEmpty:
		return len(b), nil
	case int64(len(b)) > s.router.config.MaxStreamBytes-s.sent:
		return 0, badReply("body over %d bytes", s.router.config.MaxStreamBytes)
	case s.framing == framedLength && int64(len(b)) > s.left:
		return 0, badReply("body is longer than its Content-Length")
	}
	parts := net.Buffers{b}
	if s.framing == framedChunks {
		parts = net.Buffers{append(strconv.AppendInt(nil, int64(len(b)), 16), "\r\n"...), b, []byte("\r\n")}
	}
	if err := s.send(parts); err != nil {
		return 0, err
	}
	s.left -= int64(len(b))
	s.sent += int64(len(b))
	return len(b), nil
}

// send gives bytes to the connection. One that does not take them is of no use any more.
func (s *clientStream) send(parts net.Buffers) error {
	err := s.conn.Conn.SetWriteDeadline(s.within(s.router.config.WriteTimeout))
	if err == nil {
		_, err = parts.WriteTo(s.conn.Conn)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.broken = true
		return errSlowWrite
	}
	s.broken = true
	s.conn.leave()
	return errLeft
}

// end ends a reply that was started: with its trailers, where the framing has room for any, or by cutting it off where its
// function failed or the client is gone. It leaves fasthttp a reply that is not sent.
func (s *clientStream) end(trailers []abi.Field, failed error) {
	if s.framing == framedLength && s.left > 0 {
		failed = errors.Join(failed, io.ErrUnexpectedEOF)
	}
	if failed == nil && !s.broken && s.framing == framedChunks {
		failed = s.send(net.Buffers{trailerSection(trailers)})
	}
	s.ctx.Response.Reset()
	switch {
	case failed != nil || s.broken || s.conn.gone.Load():
		s.cut()
	case s.closes:
		s.ctx.SetConnectionClose()
	default:
		// Fasthttp writes its reply at once where a handler has set a deadline, so that it is not sent later with another.
		_ = s.ctx.SetWriteDeadline(time.Time{}) // fails with the connection, which is found out soon
	}
}

// cut ends the connection so that the client does not take what it has for the whole reply.
func (s *clientStream) cut() {
	s.ctx.SetConnectionClose()
	if tcp, ok := s.conn.Conn.(*net.TCPConn); ok && s.framing == framedClose {
		s.conn.reset = tcp.SetLinger(0) == nil // the end would look like any other
	}
}

// checkStart is checkReply for a reply of which there is no body and no trailer yet. It answers its length when the
// function says it, else -1.
func checkStart(r *abi.Reply) (length int64, err error) {
	r.Body, r.Trailers, length = nil, nil, -1
	for _, h := range r.Headers {
		if !isLength(h) {
			continue
		}
		n, err := strconv.ParseUint(h.Value, 10, 62)
		if err != nil || length >= 0 && int64(n) != length {
			return 0, badReply("Content-Length %.20q: not a number, or one of two", h.Value)
		}
		length = int64(n)
	}
	if length >= 0 {
		r.Headers = slices.DeleteFunc(slices.Clone(r.Headers), isLength)
	}
	return length, checkReply(r, 0, false)
}

func isLength(h abi.Field) bool { return strings.EqualFold(h.Name, "Content-Length") }
