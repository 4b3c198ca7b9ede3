package router

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// phase is what a connection is doing. Each but phaseServe has a time limit.
type phase uint8

const (
	phaseIdle   phase = iota // waiting for the first byte of a request
	phaseHeader              // reading a request
	phaseBody                // reading its body
	phaseServe               // waiting for the function, which has a limit of its own
	phaseWrite               // writing the reply
	phaseNew                 // waiting for the first byte of the first request
	phases
)

// conn is a client's connection that knows what it is doing since when. A sweep ends those that are too slow:
// storing a phase costs a few nanoseconds, where a deadline set on the socket for each phase of each request costs
// a twentieth of all that answering it does. The price is that a limit is late by up to a sweep.
type conn struct {
	net.Conn
	router  *Router
	remote  string       // host:port of the client
	state   atomic.Int64 // nanoseconds of the router's clock, the lowest three bits replaced by the phase
	expired atomic.Bool  // its request did not arrive in time
	gone    atomic.Bool  // its client has left while its request was being answered
	pieces  bool         // it is served by the server that does not read bodies; set once
	served  uint64       // requests the router had answered when this one last read; of the goroutine that reads

	// Of the goroutine that serves.
	flushed bool // the replies before the request that is served have left fasthttp's buffer
	muted   bool // the reply was written past fasthttp: what it writes is not sent
	reset   bool // it ends in a reset, which is how its client learns that the reply is not whole

	unread atomic.Bool // its client may send more of a request that has been answered

	watch  sync.Mutex
	cancel func() // ends the invocation that waits for its context; nil: none does
}

const phaseBits = 3

// company is how many requests the router answers between two reads of a connection, its own among them, before it
// yields. Fewer makes lone clients pay for yields, more makes the first few go without.
const company = 2

// Read does what is left to do of the last request, and lets other connections go first before it reads a request, when
// there are others: by then the request is there, and the kernel is asked for it once. Without, nearly every request
// costs a read that finds nothing, and a sleep: a tenth of all that answering a small one does.
func (c *conn) Read(p []byte) (int, error) {
	switch phase(c.state.Load() & (1<<phaseBits - 1)) {
	case phaseIdle, phaseNew:
		if c.router.config.Idle != nil {
			c.router.config.Idle()
		}
		c.yield()
		c.flushed = true
	case phaseHeader:
		c.flushed = true // fasthttp flushes before it waits for a header
	}
	return c.Conn.Read(p)
}

// Write sends what fasthttp has written, but the place-holder of a reply that was sent past it.
func (c *conn) Write(p []byte) (int, error) {
	if c.muted {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *conn) yield() {
	served := c.router.access.last.Load()
	if served-c.served > company {
		runtime.Gosched()
	}
	c.served = served
}

// enter says that the connection is in p from now on.
func (c *conn) enter(p phase) {
	if c != nil {
		c.state.Store(c.router.clock.Load()&^(1<<phaseBits-1) | int64(p))
	}
}

// SetReadDeadline is called by fasthttp when a header announces a body. The sweep knows what to do about it.
func (c *conn) SetReadDeadline(time.Time) error {
	c.enter(phaseBody)
	return nil
}

// connOf finds the connection below a TLS one. It is nil for one that was not accepted by Serve.
func connOf(nc net.Conn) *conn {
	if c, ok := nc.(*conn); ok {
		return c
	}
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		return connOf(t.NetConn())
	}
	return nil
}

// listener makes conns.
type listener struct {
	net.Listener
	router *Router
	once   sync.Once
	err    error
}

// Close closes it once: a shutdown and fasthttp both do.
func (l *listener) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

// Accept waits for the next client of the server that reads bodies whole. Where a function takes bodies in pieces,
// clients are the other server's.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, router: l.router, remote: string(appendRemote(nil, nc.RemoteAddr())), pieces: l.router.table.Load().pieces}
		c.enter(phaseNew)
		switch {
		case !l.router.enlist(c):
			l.router.turnAway(nc)
		case !c.pieces:
			return c, nil
		default:
			l.router.handOver(c)
		}
	}
}

// leave ends what is being answered: its client has left.
func (c *conn) leave() {
	c.gone.Store(true)
	c.watch.Lock()
	defer c.watch.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}

// onLeave has cancel called when the client leaves, or at once when it has; nil takes the last one back.
func (c *conn) onLeave(cancel func()) {
	c.watch.Lock()
	c.cancel = cancel
	c.watch.Unlock()
	if cancel != nil && c.gone.Load() {
		cancel()
	}
}

// leaveInterval is how often connections whose requests are being answered are looked at at least, for clients that have
// left. Shorter ends what nobody waits for earlier, and costs a system call for each.
const leaveInterval = 500 * time.Millisecond

// sweepInterval is how often connections are looked at: often enough that the shortest limit is late by an eighth.
func (r *Router) sweepInterval() time.Duration {
	c := &r.config
	shortest := min(c.HeaderTimeout, c.BodyTimeout, c.WriteTimeout, c.IdleTimeout)
	return min(max(shortest/8, time.Millisecond), leaveInterval)
}

// sweep keeps the clock and ends connections that are over their limits, until Shutdown is over.
func (r *Router) sweep() {
	tick := time.NewTicker(r.sweepInterval())
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.clock.Store(int64(now.Sub(r.started)))
			r.endSlow()
		case <-r.done:
			return
		}
	}
}

// endSlow ends the connections that are over their limits: an idle one silently, one that reads with 408, one that
// writes by cutting it. One whose client has left ends what it is waiting for.
func (r *Router) endSlow() {
	limits := [phases]time.Duration{
		phaseIdle: r.config.IdleTimeout, phaseHeader: r.config.HeaderTimeout,
		phaseBody: r.config.BodyTimeout, phaseWrite: r.config.WriteTimeout, phaseNew: r.config.IdleTimeout,
	}
	now, past := r.clock.Load(), time.Unix(1, 0)
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		state := c.state.Load()
		p := phase(state & (1<<phaseBits - 1))
		if p == phaseServe {
			if !c.gone.Load() && hasLeft(c.Conn) {
				c.leave()
			}
			continue
		}
		if time.Duration(now-state) <= limits[p] {
			continue
		}
		// Errors are of no interest: the connection is ending, by us or by its client.
		switch p {
		case phaseIdle, phaseNew:
			_ = c.Conn.Close()
		case phaseWrite:
			_ = c.SetWriteDeadline(past)
		default:
			c.expired.Store(true)
			_ = c.Conn.SetReadDeadline(past) // the socket's own
		}
	}
}
