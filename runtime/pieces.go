package runtime

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/sdk/abi"
)

// pieces is the client as one invocation sees it that reads its event's body or sends its reply in pieces. A reply that
// cannot be sent so is held: where nobody takes pieces, or its effects have to happen before.
type pieces struct {
	c       *call
	client  abi.Stream // nil: a reply is held, and the body is the event's
	result  *abi.Result
	hold    bool // the reply is held although there is a client
	started bool
}

var _ host.Pieces = (*pieces)(nil)

// open readies p for an invocation of c whose reply is result's.
func (p *pieces) open(c *call, result *abi.Result) {
	*p = pieces{c: c, client: c.event.Stream, result: result, hold: c.event.Stream == nil || c.held != nil}
}

// sent says whether a reply has been sent in pieces, at least its beginning.
func (p *pieces) sent() bool { return p.started && !p.hold }

// Read is for host.Pieces: it answers what follows the event's body.
func (p *pieces) Read(b []byte) (int, error) {
	if p.client == nil {
		return 0, io.EOF
	}
	p.c.meter.Waiting()
	n, err := p.client.Read(b)
	p.c.meter.Waited()
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return 0, &lost{err}
}

// Start is for host.Pieces. It keeps the headers of r, which the caller does not change.
func (p *pieces) Start(r *abi.Reply) error {
	if p.started {
		return &host.Trap{Reason: "the reply was started before"}
	}
	head := abi.Reply{Status: r.Status, Headers: r.Headers}
	if err := checkReply(&head, 0); err != nil {
		return &host.Trap{Reason: err.Error()}
	}
	p.started = true
	p.result.Reply = head
	if p.hold {
		return nil
	}
	p.c.meter.Waiting()
	err := p.client.Start(p.result)
	p.c.meter.Waited()
	return lostBy(err)
}

// Write is for host.Pieces and for a command's standard output.
func (p *pieces) Write(b []byte) (int, error) {
	if !p.started {
		return 0, &host.Trap{Reason: "the reply has not been started"}
	}
	if p.hold {
		if len(b) > p.c.r.config.MaxReplyBytes-len(p.result.Body) {
			return 0, errOutputLimit
		}
		p.result.Body = append(p.result.Body, b...)
		return len(b), nil
	}
	p.c.meter.Waiting()
	n, err := p.client.Write(b)
	p.c.meter.Waited()
	return n, lostBy(err)
}

// lost ends a guest whose client takes or sends no more.
type lost struct{ err error }

func (l *lost) Error() string { return l.err.Error() }
func (l *lost) Unwrap() error { return l.err }

func lostBy(err error) error {
	if err == nil {
		return nil
	}
	return &lost{err}
}

// failure says what the end of a client's stream is to the function and to whoever invoked.
func (l *lost) failure(c *call) *failure {
	switch {
	case errors.Is(c.Err(), context.DeadlineExceeded):
		return nil // told as any other timeout
	case abi.CodeOf(l.err) == abi.FunctionFailed: // what it sends cannot be
		return failed(outcomeReply, l.err.Error())
	}
	return &failure{outcomeCanceled, "canceled: " + l.err.Error(), errUnavailable}
}

// cgiStream is the standard output of a command whose reply is sent while it runs: its header goes when it is whole, and all
// after it at once.
type cgiStream struct {
	to   *pieces
	head []byte
}

func (s *cgiStream) Write(b []byte) (int, error) {
	if s.to.started {
		return s.to.Write(b)
	}
	s.head = append(s.head, b[:min(len(b), MaxHeaderBytes+1)]...)
	if !endsHeader(s.head) && len(s.head) <= MaxHeaderBytes {
		return len(b), nil
	}
	reply, had := new(abi.Reply), len(s.head)-min(len(b), MaxHeaderBytes+1)
	if err := parseCGI(s.head, reply); err != nil {
		return 0, &host.Trap{Reason: err.Error()}
	}
	body := b[len(s.head)-len(reply.Body)-had:]
	reply.Body, s.head = nil, nil
	if err := s.to.Start(reply); err != nil {
		return 0, err
	}
	if len(body) > 0 {
		if _, err := s.to.Write(body); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// endsHeader says whether an empty line stands in b.
func endsHeader(b []byte) bool {
	return bytes.Contains(b, []byte("\n\n")) || bytes.Contains(b, []byte("\n\r\n")) || bytes.HasPrefix(b, []byte("\n")) || bytes.HasPrefix(b, []byte("\r\n"))
}
