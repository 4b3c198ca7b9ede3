package component

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// Pieces is the client of a call that takes its reply in pieces. An error ends the guest with itself as its trap.
type Pieces interface {
	// Start sends the status and the headers of r, which is not changed any more; its body is not looked at.
	Start(r *abi.Reply) error
	// Write sends the next bytes of the body.
	io.Writer
}

// Body is what follows an event's body, as it comes. Read waits, in a goroutine beside the guest's; Stop has it return.
// Trailers are what follows its end.
type Body interface {
	io.Reader
	Trailers() []abi.Field
	Stop()
}

// maxWaiting is how many bytes of a reply's body wait for more, or for the handler's end. More has larger replies sent
// whole, at once and with their length, and keeps more of those that are not.
const maxWaiting = 64 << 10

// sendWaiting sends what the guest has answered so far, where its client takes pieces.
func (c *Call) sendWaiting() {
	if err := c.sendReply(); err != nil {
		panic(err)
	}
}

func (c *Call) sendReply() error {
	o := c.reply
	if c.Pieces == nil || o == nil || o.response == nil || o.response.body.failed != "" {
		return nil
	}
	b := &o.response.body
	if b.length >= 0 && b.size() > b.length {
		return &Trap{"the response's body is longer than its headers announce"}
	}
	if !o.started {
		o.started = true
		if err := c.Pieces.Start(o.response.head()); err != nil {
			return err
		}
	}
	if len(b.b) == 0 {
		return nil
	}
	if _, err := c.Pieces.Write(b.b); err != nil {
		return err
	}
	c.free(len(b.b))
	b.sent += int64(len(b.b))
	b.b = b.b[:0]
	return nil
}

// maxAnnounced is how many bytes of trailers' names are told before they come. More makes headers large that clients can do
// without.
const maxAnnounced = 1 << 10

// head is the response's status and headers as they are sent before its body is. The length is told if it is known, or
// instead which trailers there are.
func (r *outgoingResponse) head() *abi.Reply {
	head := &abi.Reply{Status: r.status, Headers: r.fields.list}
	if trailers := r.body.trailing(); len(trailers) > 0 {
		names := make([]string, len(trailers))
		for i, f := range trailers {
			names[i] = f.Name
		}
		if list := strings.Join(names, ", "); len(list) <= maxAnnounced {
			head.Headers = append(slices.Clone(head.Headers), abi.Field{Name: "Trailer", Value: list})
		}
		return head
	}
	if r.body.length < 0 && (r.body.finished || !r.body.opened) {
		length := abi.Field{Name: "Content-Length", Value: strconv.FormatInt(r.body.size(), 10)}
		head.Headers = append(slices.Clone(head.Headers), length)
	}
	return head
}

// pieceSource is a source of bytes that come while the guest runs. They are read when it looks for them, and not before: one
// Read at a time, in a goroutine, so that the guest can wait for other things beside.
type pieceSource struct {
	from Body
	wake chan<- struct{} // told when a Read has returned

	rest []byte // has come, and was not taken
	err  error  // by which it ended, behind rest

	coming chan struct{} // closed when the Read has returned that fills what follows; nil: none was begun
	memory []byte
	n      int
	failed error
}

func (s *pieceSource) ready() bool {
	if len(s.rest) > 0 || s.err != nil {
		return true
	}
	if s.coming == nil {
		s.begin()
	}
	select {
	case <-s.coming:
		s.coming, s.rest, s.err = nil, s.memory[:s.n], s.failed
		return true
	default:
		return false
	}
}

func (s *pieceSource) begin() {
	if s.memory == nil {
		s.memory = make([]byte, maxRoom)
	}
	coming := make(chan struct{})
	s.coming, s.n = coming, 0
	go func() { // end waits for it
		for s.n, s.failed = 0, nil; s.n == 0 && s.failed == nil; {
			s.n, s.failed = s.from.Read(s.memory)
		}
		close(coming)
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}()
}

// read is for source. What it answers is good until the next call.
func (s *pieceSource) read(most int) ([]byte, error) {
	if !s.ready() {
		return nil, nil
	}
	if len(s.rest) == 0 {
		return nil, s.err
	}
	b := s.rest[:min(most, len(s.rest))]
	s.rest = s.rest[len(b):]
	return b, nil
}

// end ends a Read that waits, and waits for it.
func (s *pieceSource) end() {
	if s.coming == nil || s.ready() {
		return
	}
	s.from.Stop()
	<-s.coming
}

// bodyError answers what a guest is told of a body that broke off, if err says that one did.
func bodyError(err error) (e httpError, ok bool) {
	if errors.Is(err, errClosed) {
		return e, false
	}
	switch abi.CodeOf(err) {
	case abi.Timeout:
		return httpError{code: codeReadTimeout}, true
	case abi.TooLarge:
		return httpError{code: codeRequestBodySize}, true
	case abi.Unavailable, abi.InvalidInput:
		return httpError{code: codeTerminated}, true
	}
	return e, false
}
