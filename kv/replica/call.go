package replica

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

const (
	callWriteTimeout = 5 * time.Second // until a frame is written; then its stream is given up
	maxCallsServed   = 1024            // of one stream at once; more wait unread
)

// caller asks other nodes, over one stream to each.
type caller struct {
	dial func(ctx context.Context, address string) (net.Conn, error)

	mu     sync.Mutex // guards the rest
	links  map[string]*link
	closed bool
}

func newCaller(dial func(ctx context.Context, address string) (net.Conn, error)) *caller {
	return &caller{dial: dial, links: map[string]*link{}}
}

// call asks the node at an address and waits for its answer until ctx ends. An error that is errRefused says that it
// was not asked or has refused; any other one leaves open what it did.
func (c *caller) call(ctx context.Context, address string, kind byte, argument []byte) ([]byte, error) {
	l, err := c.link(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	q := request{kind: kind, argument: argument}
	if deadline, ok := ctx.Deadline(); ok {
		q.wait = max(time.Millisecond, time.Until(deadline))
	}
	answer := make(chan reply, 1)
	if err := l.send(&q, answer); err != nil {
		c.forget(address, l)
		return nil, err
	}
	select {
	case p := <-answer:
		return p.result(address)
	case <-ctx.Done():
		l.drop(q.number)
		return nil, fmt.Errorf("asked %s: %w", address, context.Cause(ctx))
	case <-l.ended:
		select {
		case p := <-answer:
			return p.result(address)
		default:
			return nil, fmt.Errorf("asked %s: the stream has ended", address)
		}
	}
}

func (p reply) result(address string) ([]byte, error) {
	switch p.status {
	case statusDone:
		return p.answer, nil
	case statusRefused:
		return nil, fmt.Errorf("%w: by %s: %s", errRefused, address, p.answer)
	case statusSpent:
		return nil, fmt.Errorf("%w: by %s: %s", errSpent, address, p.answer)
	case statusDenied:
		code, text, _ := strings.Cut(string(p.answer), "\x00")
		return nil, denied{abi.WithCode(abi.Code(code), fmt.Errorf("by %s: %s", address, text))}
	default:
		return nil, fmt.Errorf("asked %s: %s", address, p.answer)
	}
}

// link answers the stream to an address. Only one caller opens it; the others wait.
func (c *caller) link(ctx context.Context, address string) (*link, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, net.ErrClosed
	}
	l := c.links[address]
	if l == nil {
		l = &link{ready: make(chan struct{}), ended: make(chan struct{}), pending: map[uint64]chan<- reply{}}
		life, cut := context.WithCancel(context.Background())
		l.cut = cut
		c.links[address] = l
		go c.open(life, l, address)
	}
	c.mu.Unlock()
	select {
	case <-l.ready:
		return l, l.failure
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// open dials for all who wait for l, and then reads its replies.
func (c *caller) open(life context.Context, l *link, address string) {
	defer l.cut()
	conn, err := c.dial(life, address)
	if err != nil {
		l.failure = err
		c.forget(address, l)
		close(l.ready)
		return
	}
	l.conn, l.w = conn, bufio.NewWriter(conn)
	close(l.ready)
	defer context.AfterFunc(life, func() { conn.Close() })()
	l.read()
	conn.Close()
	close(l.ended)
	c.forget(address, l)
}

// forget has the next call open a new stream.
func (c *caller) forget(address string, l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.links[address] == l {
		delete(c.links, address)
	}
}

// keepOnly ends all streams but that to an address, and so the calls that wait for answers over them.
func (c *caller) keepOnly(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a, l := range c.links {
		if a != address {
			l.cut()
			delete(c.links, a)
		}
	}
}

// close refuses further calls. Streams end with their mux.
func (c *caller) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// link is a stream of calls to a node.
type link struct {
	ready   chan struct{} // closed when conn or failure is set
	failure error
	conn    net.Conn
	ended   chan struct{} // closed when no more replies come
	cut     func()        // ends the stream, or the attempt to open it

	waiting atomic.Int32 // calls that are about to write: the last of them flushes
	mu      sync.Mutex   // guards the rest
	w       *bufio.Writer
	pending map[uint64]chan<- reply
	number  uint64
}

// send writes q with a number of its own; the reply goes to answer.
func (l *link) send(q *request, answer chan<- reply) error {
	l.waiting.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	q.number = l.number
	l.pending[q.number] = answer
	err := writeFrame(l.conn, l.w, q.header(), q.argument, l.waiting.Add(-1) == 0)
	if err != nil {
		delete(l.pending, q.number)
		l.conn.Close()
	}
	return err
}

// drop forgets a call whose caller has gone.
func (l *link) drop(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, number)
}

// read gives replies to who waits for them, until the stream ends.
func (l *link) read() {
	r := bufio.NewReader(l.conn)
	for {
		content, err := readFrame(r, maxReplyBytes)
		if err != nil {
			return
		}
		p, err := parseReply(content)
		if err != nil {
			return
		}
		l.mu.Lock()
		answer := l.pending[p.number]
		delete(l.pending, p.number)
		l.mu.Unlock()
		if answer != nil {
			answer <- p
		}
	}
}

// writeFrame writes a frame to w, and with the last of several what w still holds.
func writeFrame(conn net.Conn, w *bufio.Writer, header, content []byte, last bool) error {
	if err := conn.SetWriteDeadline(time.Now().Add(callWriteTimeout)); err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if !last {
		return nil
	}
	return w.Flush()
}

// server answers the calls of one stream.
type server struct {
	conn    net.Conn
	waiting atomic.Int32
	mu      sync.Mutex // guards w
	w       *bufio.Writer
}

// serveCall answers the calls of a stream until it ends or ctx does.
func (r *Replica) serveCall(ctx context.Context, conn net.Conn) {
	s := &server{conn: conn, w: bufio.NewWriter(conn)}
	ctx, cancel := context.WithCancel(ctx)
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	room := make(chan struct{}, maxCallsServed)
	in := bufio.NewReader(conn)
	for {
		content, err := readFrame(in, maxRequestBytes)
		if err != nil {
			return
		}
		q, err := parseRequest(content)
		if err != nil {
			r.log.Warn("serve call", "from", conn.RemoteAddr().String(), "err", err)
			return
		}
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			if err := s.write(r.answer(ctx, q)); err != nil {
				conn.Close()
			}
		})
	}
}

func (s *server) write(p reply) error {
	s.waiting.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	return writeFrame(s.conn, s.w, p.header(), p.answer, s.waiting.Add(-1) == 0)
}

// answer does what a request asks.
func (r *Replica) answer(ctx context.Context, q request) reply {
	if q.wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.wait)
		defer cancel()
	}
	var answer []byte
	var err error
	switch q.kind {
	case askPropose:
		answer, err = r.answerPropose(ctx, q.argument)
	case askReadIndex:
		answer, err = r.answerReadIndex(ctx)
	case askTermOf:
		answer, err = r.answerTerm(q.argument)
	case askMembership:
		answer = r.answerMembership(q.argument)
	default:
		err = fmt.Errorf("%w: this node does not know request %d", errRefused, q.kind)
	}
	p := reply{number: q.number, status: statusDone, answer: answer}
	if err != nil {
		p.status, p.answer = statusUnknown, []byte(err.Error())
		switch no := (denied{}); {
		case errors.As(err, &no):
			p.status, p.answer = statusDenied, []byte(string(abi.CodeOf(no))+"\x00"+no.Error())
		case errors.Is(err, errRefused):
			p.status = statusRefused
		case errors.Is(err, errSpent):
			p.status = statusSpent
		}
	}
	return p
}
