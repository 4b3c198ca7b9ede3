package replicatest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const maxBuffered = 1 << 20 // bytes on their way in one direction; a writer waits for room

// half is one direction of a stream. The network's mutex guards it.
type half struct {
	network  *Network
	from, to string
	packets  []packet
	buffered int
	ended    bool // no more will be written
	broken   bool // nor read
	changed  *sync.Cond
}

type packet struct {
	at    time.Time // when it arrives
	bytes []byte
}

func (n *Network) newHalf(from, to string) *half {
	h := &half{network: n, from: from, to: to, changed: sync.NewCond(&n.mu)}
	n.streams[h] = struct{}{}
	return h
}

// end lets no more be written, and when broken no more be read.
func (h *half) end(broken bool) {
	h.ended, h.broken = true, h.broken || broken
	if h.broken {
		delete(h.network.streams, h)
	}
	h.changed.Broadcast()
}

func (h *half) held() bool { return h.from != h.to && h.network.held[way{h.from, h.to}] }

func (h *half) write(p []byte, deadline *deadline) (int, error) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	written := 0
	for written < len(p) {
		switch {
		case h.ended:
			return written, syscall.EPIPE
		case deadline.passed():
			return written, os.ErrDeadlineExceeded
		case h.buffered >= maxBuffered:
			h.changed.Wait()
			continue
		}
		part := p[written:min(len(p), written+maxBuffered-h.buffered)]
		at := time.Now().Add(h.network.delays[way{h.from, h.to}])
		h.packets = append(h.packets, packet{at, append([]byte(nil), part...)})
		h.buffered += len(part)
		written += len(part)
		h.changed.Broadcast()
	}
	return written, nil
}

func (h *half) read(p []byte, deadline *deadline) (int, error) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	for {
		switch {
		case h.broken:
			return 0, syscall.ECONNRESET
		case deadline.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case h.held():
		case len(h.packets) > 0:
			first := &h.packets[0]
			if late := time.Until(first.at); late > 0 {
				time.AfterFunc(late, h.wake)
				break
			}
			n := copy(p, first.bytes)
			if first.bytes = first.bytes[n:]; len(first.bytes) == 0 {
				h.packets = h.packets[1:]
			}
			h.buffered -= n
			h.changed.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

func (h *half) wake() {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	h.changed.Broadcast()
}

// deadline is guarded by the network's mutex.
type deadline struct {
	at    time.Time // zero: never
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(at time.Time, h *half) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.at = at; !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), h.wake)
	}
	h.changed.Broadcast()
}

// conn is one node's end of a stream.
type conn struct {
	network     *Network
	in, out     *half
	read, write deadline
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p, &c.read) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p, &c.write) }

// Close lets the other end read what was written.
func (c *conn) Close() error {
	c.read.set(time.Time{}, c.in)
	c.write.set(time.Time{}, c.out)
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.out.end(false)
	c.in.end(true)
	if len(c.out.packets) == 0 {
		delete(c.network.streams, c.out)
	}
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return Addr(c.out.from) }
func (c *conn) RemoteAddr() net.Addr { return Addr(c.out.to) }

func (c *conn) SetReadDeadline(t time.Time) error  { c.read.set(t, c.in); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.write.set(t, c.out); return nil }
func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t, c.in)
	c.write.set(t, c.out)
	return nil
}
