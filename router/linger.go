package router

import (
	"context"
	"io"
	"net"
	"time"
)

// How long a client may go on sending after an answer that ended its connection: altogether, and without a byte. Longer
// gets the answer to slower clients, and lets those that hold connections on purpose hold them longer.
const (
	lingerTime  = 10 * time.Second
	lingerPause = 2 * time.Second
)

// maxTurnedAway is how many clients that are over MaxConnections are lingered for at once. More lets a burst of them take
// more memory, fewer lets some of it see a reset in place of their answer.
const maxTurnedAway = 256

// Linger ends what is sent to a client and reads what it still sends, for at most 10 s and until it pauses for 2 s: closing
// a connection with unread bytes resets it, and the client might lose the answer. It is best effort, so that errors are of
// no interest. It leaves a read deadline behind.
func Linger(nc net.Conn) {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	buffer := make([]byte, firstBodyBytes)
	for end := time.Now().Add(lingerTime); time.Now().Before(end); {
		if nc.SetReadDeadline(time.Now().Add(lingerPause)) != nil {
			return
		}
		if _, err := nc.Read(buffer); err != nil {
			return
		}
	}
}

// leaveUnread says that the connection, which the next answer ends, has not been read to the end of its request.
func (c *conn) leaveUnread() {
	if c != nil {
		c.unread.Store(true)
	}
}

// Close lingers where a client may not have sent all of what was answered.
func (c *conn) Close() error {
	if c.unread.Load() && !c.reset {
		Linger(c.Conn)
	}
	return c.Conn.Close()
}

// enlist counts a connection. It answers false when there are as many as may be.
func (r *Router) enlist(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.conns) >= r.config.MaxConnections {
		return false
	}
	r.conns[c] = struct{}{}
	return true
}

// full is what a client hears that is one too many.
const full = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 42\r\n" +
	"Retry-After: " + retryAfter + "\r\nConnection: close\r\n\r\n" + "the node has as many connections as it may"

// turnAway answers a client that is one too many, whose request nobody reads, and closes its connection.
func (r *Router) turnAway(nc net.Conn) {
	_ = nc.SetWriteDeadline(time.Now().Add(lingerPause)) // the answer fits the socket's buffer
	_, _ = io.WriteString(nc, full)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.draining.Load() && r.turned < maxTurnedAway {
		r.turned++
		r.sweeping.Go(func() { r.seeOff(nc) })
		return
	}
	_ = nc.Close()
}

// seeOff lingers for a client that was turned away, but not for longer than the router serves.
func (r *Router) seeOff(nc net.Conn) {
	closed := func() { _ = nc.Close() }
	stop := context.AfterFunc(r.base, closed)
	Linger(nc)
	stop()
	closed()
	r.mu.Lock()
	r.turned--
	r.mu.Unlock()
}
