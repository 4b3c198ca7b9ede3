package simnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxStreamBytes is how much may be on its way in one direction of a stream; a writer waits for room.
const maxStreamBytes = 1 << 20

// half is one direction of a stream. The network's mutex guards it.
type half struct {
	network  *Network
	from, to string
	chunks   []chunk
	buffered int
	last     time.Time // when the newest chunk, or the end, arrives
	ended    bool      // the writer has closed
	gone     bool      // the reader has closed
	reset    bool
	crashed  string // the host that knows of the reset even when parted
	wake     *sync.Cond
}

type chunk struct {
	at    time.Time // when it arrives
	bytes []byte
}

func (n *Network) newHalf(from, to string) *half {
	h := &half{network: n, from: from, to: to, wake: sync.NewCond(&n.mu)}
	n.halves[h] = struct{}{}
	return h
}

// fail resets the stream.
func (h *half) fail() {
	h.reset = true
	h.wake.Broadcast()
}

// arrival answers when what is sent now arrives: not before what was sent earlier.
func (h *half) arrival() time.Time {
	at := time.Now().Add(h.network.delay(h.from, h.to))
	if at.Before(h.last) {
		at = h.last
	}
	if h.last = at; time.Until(at) > 0 {
		time.AfterFunc(time.Until(at), h.look)
	} else {
		h.wake.Broadcast()
	}
	return at
}

// look has those who wait look again.
func (h *half) look() {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	h.wake.Broadcast()
}

// release lets the network forget the half when both ends are done with it.
func (h *half) release() {
	if h.reset || (h.ended && h.gone) {
		delete(h.network.halves, h)
	}
	h.wake.Broadcast()
}

// conn is one end of a stream.
type conn struct {
	network       *Network
	local, remote address
	in, out       *half
	read, write   deadline
	closed        bool
}

var _ net.Conn = (*conn)(nil)

func (c *conn) Read(p []byte) (int, error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	for {
		n, err := c.take(p)
		if n > 0 || len(p) == 0 || err == io.EOF { //nolint:errorlint // take answers it bare
			return n, err
		}
		if err != nil {
			return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
		}
		c.in.wake.Wait()
	}
}

// take answers neither bytes nor an error when there is something to wait for.
func (c *conn) take(p []byte) (int, error) {
	h := c.in
	parted := c.network.parted(h.from, h.to)
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case h.crashed == c.local.host:
		return 0, syscall.ECONNRESET
	case c.read.passed():
		return 0, os.ErrDeadlineExceeded
	case parted:
		return 0, nil
	case h.reset:
		return 0, syscall.ECONNRESET
	case len(h.chunks) > 0 && time.Until(h.chunks[0].at) <= 0:
		first := &h.chunks[0]
		n := copy(p, first.bytes)
		if first.bytes = first.bytes[n:]; len(first.bytes) == 0 {
			h.chunks = h.chunks[1:]
		}
		h.buffered -= n
		h.wake.Broadcast()
		return n, nil
	case len(h.chunks) == 0 && h.ended && time.Until(h.last) <= 0:
		return 0, io.EOF
	}
	return 0, nil
}

func (c *conn) Write(p []byte) (int, error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	written := 0
	for written < len(p) {
		n, err := c.put(p[written:])
		if err != nil {
			return written, &net.OpError{Op: "write", Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
		}
		if written += n; n == 0 {
			c.out.wake.Wait()
		}
	}
	return written, nil
}

// put answers neither a count nor an error when there is no room.
func (c *conn) put(p []byte) (int, error) {
	h := c.out
	parted := c.network.parted(h.from, h.to)
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case h.crashed == c.local.host:
		return 0, syscall.ECONNRESET
	case c.write.passed():
		return 0, os.ErrDeadlineExceeded
	case !parted && h.reset:
		return 0, syscall.ECONNRESET
	case !parted && h.gone:
		return 0, syscall.EPIPE
	}
	n := min(len(p), maxStreamBytes-h.buffered)
	if n > 0 {
		h.buffered += n
		h.chunks = append(h.chunks, chunk{h.arrival(), append([]byte(nil), p[:n]...)})
	}
	return n, nil
}

// Close lets the other end read what was written.
func (c *conn) Close() error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.read.stop()
	c.write.stop()
	c.out.ended, c.in.gone = true, true
	c.out.arrival()
	c.out.release()
	c.in.release()
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error      { return c.set(t, true, true) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.set(t, true, false) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.set(t, false, true) }

func (c *conn) set(t time.Time, read, write bool) error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if read {
		c.read.set(t, c.in.wake)
	}
	if write {
		c.write.set(t, c.out.wake)
	}
	return nil
}

// deadline is guarded by the network's mutex.
type deadline struct {
	at    time.Time // zero: never
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// set changes the deadline and has those who wait on the condition look at it.
func (d *deadline) set(at time.Time, wake *sync.Cond) {
	d.stop()
	if d.at = at; !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), func() {
			wake.L.Lock()
			defer wake.L.Unlock()
			wake.Broadcast()
		})
	}
	wake.Broadcast()
}
