package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// errClosing ends a connection that has been answered while the server shuts down.
var errClosing = errors.New("the server is closing")

// conn is a client's connection. One goroutine serves it: it reads what has arrived, does it in order, and sends the
// replies before it waits for more.
type conn struct {
	server *Server
	nc     net.Conn
	in     *reader
	out    writer
	id     int64
	since  time.Time

	app     string    // empty: not authenticated
	token   string    // with which it was; empty: anonymous
	checked time.Time // when the token was good last
	name    string    // that the client gave itself
	quit    bool      // the connection ends with the replies that are due
	gone    error     // the client does not take replies
	tx      transaction

	waiting      []waiting // writes that are done together: see join
	waitingOps   int
	waitingBytes int

	arriving time.Time // since when a command has been arriving; zero: none is, or it is all there
}

func newConn(s *Server, nc net.Conn) *conn {
	return &conn{server: s, nc: nc, id: s.lastID.Add(1), since: time.Now(), app: s.config.Anonymous}
}

// serve answers commands until the client goes, breaks the protocol or is too slow, or until the server closes.
func (c *conn) serve(ctx context.Context) {
	defer c.recovered()
	c.in = newReader(source{c.nc, func() error { return c.rest(ctx) }})
	for !c.quit && c.gone == nil {
		c.in.stranger = c.app == ""
		args, tooLarge, err := c.in.next()
		if err != nil {
			c.end(ctx, err)
			return
		}
		c.arriving = time.Time{}
		if len(args) > 0 || tooLarge {
			c.handle(ctx, args, tooLarge)
		}
		c.relieve()
	}
	_ = c.flush() // the client asked to end
}

// rest is called when all that has arrived is done, before the connection waits for more.
func (c *conn) rest(ctx context.Context) error {
	c.settle(ctx)
	if err := c.flush(); err != nil {
		return err
	}
	now := time.Now()
	deadline := now.Add(c.server.config.IdleTimeout)
	if c.in.inside {
		if c.arriving.IsZero() {
			c.arriving = now
		}
		deadline = c.arriving.Add(arrivalTimeout)
	}
	if err := c.nc.SetReadDeadline(deadline); err != nil {
		return err
	}
	if c.server.draining.Load() { // looked at after the deadline is set: drain sets one, too
		return errClosing
	}
	return nil
}

// end tells a client that broke the protocol.
func (c *conn) end(ctx context.Context, err error) {
	c.settle(ctx)
	var broken protocolError
	switch {
	case errors.As(err, &broken):
		c.server.metrics.broken.Inc()
		c.out.fail(replyError("ERR " + broken.Error()))
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.server.draining.Load(): // also of c.gone
		c.server.metrics.slow.Inc()
	case !errors.Is(err, io.EOF):
		c.server.config.Log.Debug("redis connection ends", "err", err)
	}
	if c.flush() == nil && (broken != "" || c.server.draining.Load()) {
		c.server.linger(c.nc)
	}
}

// recovered ends the connection of a command that panicked, and no other.
func (c *conn) recovered() {
	p := recover()
	if p == nil {
		return
	}
	c.server.config.Log.Error("redis command panicked", "panic", p, "stack", string(debug.Stack()))
	c.out.fail(errInternal)
	if c.flush() == nil {
		c.server.linger(c.nc)
	}
}

// handle does a command, or puts it where it is done later.
func (c *conn) handle(ctx context.Context, args [][]byte, tooLarge bool) {
	if len(args) > 0 && isHTTP(args[0]) {
		c.leaveHTTP(ctx)
		return
	}
	start := time.Now()
	cmd, err := c.server.unknown, error(errCommandSize)
	if !tooLarge {
		cmd, err = c.server.lookup(args)
	}
	if err == nil {
		err = c.admit(ctx, cmd, start)
	}
	if err != nil {
		c.settle(ctx)
		c.out.failed = false
		c.reject(cmd, err)
		cmd.count(&c.out, start)
		return
	}
	var p plan
	planned := cmd.plan != nil && !c.tx.open
	if planned {
		if p, err = cmd.plan(args); err == nil && p.joinable() {
			c.join(ctx, cmd, p.step, start)
			return
		}
	}
	c.settle(ctx)
	c.out.failed = false
	switch {
	case err != nil:
		c.failWrite(err)
	case planned:
		c.perform(ctx, cmd, &p)
	case c.tx.open && cmd.flags&immediate == 0:
		c.enqueue(cmd, args)
		return // it is counted when it is done
	default:
		cmd.run(ctx, c, args)
	}
	cmd.count(&c.out, start)
}

// leaveHTTP ends the connection of a client that speaks HTTP, without a reply, as Redis does. On loopback, where nobody is
// asked for a token, it may be a browser, and the body a command that a page from anywhere has put there.
func (c *conn) leaveHTTP(ctx context.Context) {
	c.settle(ctx)
	c.server.metrics.broken.Inc()
	c.server.config.Log.Warn("redis client speaks HTTP", "from", c.nc.RemoteAddr().String())
	c.quit = true
}

// admit says whether the connection may use the command.
func (c *conn) admit(ctx context.Context, cmd *command, now time.Time) error {
	anyone := cmd.flags&stranger != 0
	if !anyone && c.token != "" && now.Sub(c.checked) > reauthorizeEvery {
		if err := c.authorizeAgain(ctx, now); err != nil {
			return err
		}
	}
	switch {
	case !anyone && c.app == "":
		return errNoAuth
	case c.tx.open && cmd.flags&outside != 0:
		return errNotInside
	}
	return nil
}

// reject writes an error and spoils the transaction that the command was to be part of.
func (c *conn) reject(cmd *command, err error) {
	told, expected := describe(err)
	c.tx.broken = c.tx.open
	if cmd.name == "exec" {
		c.tx = transaction{}
		told = "EXECABORT Transaction discarded because of: " + replyError(strings.TrimPrefix(string(told), "ERR "))
	}
	c.failWith(told, expected, err)
}

// failWith writes an error, and logs one that is not the client's.
func (c *conn) failWith(told replyError, expected bool, err error) {
	if !expected {
		c.server.config.Log.Error("redis command", "app", c.app, "err", err)
	}
	c.out.fail(told)
}

// relieve sends the replies when there are many.
func (c *conn) relieve() {
	if len(c.out.b) >= heldBytes {
		_ = c.flush() // it is kept in c.gone
	}
}

// flush sends the replies. A client has writeTimeout to take a part of heldBytes. After an error there is no more.
func (c *conn) flush() error {
	for b := c.out.b; len(b) > 0 && c.gone == nil; {
		part := b[:min(len(b), heldBytes)]
		c.gone = c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
		if c.gone == nil {
			_, c.gone = c.nc.Write(part)
		}
		b = b[len(part):]
	}
	if c.out.b = c.out.b[:0]; cap(c.out.b) > 2*heldBytes {
		c.out.b = nil
	}
	return c.gone
}
