package simnet

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	maxQueued      = 1024  // packets that wait to be read; one more is lost
	maxPacketBytes = 65507 // as in UDP; a larger one is refused
)

// Packet is one that is on its way. From and To are HOST:PORT.
type Packet struct {
	From, To string
	Bytes    []byte
}

// packetConn receives and sends packets. The network's mutex guards it.
type packetConn struct {
	host     *host
	address  address
	queue    []arrived
	deadline deadline
	closed   bool
	wake     *sync.Cond
}

type arrived struct {
	from  address
	bytes []byte
}

var _ net.PacketConn = (*packetConn)(nil)

// deliver puts a packet into its receiver's queue.
func (n *Network) deliver(p Packet) {
	to, err := n.resolve("", "udp", p.To)
	if err != nil {
		return
	}
	from, err := n.resolve("", "udp", p.From)
	if err != nil {
		return
	}
	c := n.hosts[to.host].packets[to.port]
	if c == nil || len(c.queue) >= maxQueued {
		return
	}
	c.queue = append(c.queue, arrived{from, append([]byte(nil), p.Bytes...)})
	c.wake.Broadcast()
}

// ReadFrom waits for a packet and answers as much of it as the buffer takes.
func (c *packetConn) ReadFrom(p []byte) (int, net.Addr, error) {
	c.wake.L.Lock()
	defer c.wake.L.Unlock()
	for {
		switch {
		case c.closed:
			return 0, nil, c.fault("read", net.ErrClosed)
		case c.deadline.passed():
			return 0, nil, c.fault("read", os.ErrDeadlineExceeded)
		case len(c.queue) > 0:
			first := c.queue[0]
			c.queue = c.queue[1:]
			return copy(p, first.bytes), first.from, nil
		}
		c.wake.Wait()
	}
}

// WriteTo sends a packet to any address whose text the network can resolve. It never waits.
func (c *packetConn) WriteTo(p []byte, to net.Addr) (int, error) {
	n := c.host.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed {
		return 0, c.fault("write", net.ErrClosed)
	}
	if len(p) > maxPacketBytes {
		return 0, c.fault("write", syscall.EMSGSIZE)
	}
	target, err := n.resolve(c.address.host, "udp", to.String())
	if err != nil {
		return 0, c.fault("write", err)
	}
	packet := Packet{From: c.address.String(), To: target.String(), Bytes: append([]byte(nil), p...)}
	if n.tap != nil {
		n.tap(Packet{packet.From, packet.To, append([]byte(nil), p...)})
	}
	c.send(packet, target.host)
	return len(p), nil
}

// send has the packet arrive later, or not at all.
func (c *packetConn) send(p Packet, to string) {
	n, from := c.host.network, c.address.host
	if n.parted(from, to) || (from != to && n.random.Float64() < n.loss) {
		return
	}
	d := n.delay(from, to)
	if d <= 0 {
		n.deliver(p)
		return
	}
	time.AfterFunc(d, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.parted(from, to) {
			n.deliver(p)
		}
	})
}

func (c *packetConn) fault(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.address, Err: err}
}

// Close frees the address; packets that were not read are lost.
func (c *packetConn) Close() error {
	c.wake.L.Lock()
	defer c.wake.L.Unlock()
	c.end()
	return nil
}

func (c *packetConn) end() {
	if c.closed {
		return
	}
	c.closed, c.queue = true, nil
	c.deadline.stop()
	delete(c.host.packets, c.address.port)
	c.wake.Broadcast()
}

func (c *packetConn) LocalAddr() net.Addr { return c.address }

func (c *packetConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.wake.L.Lock()
	defer c.wake.L.Unlock()
	if c.closed {
		return c.fault("set", net.ErrClosed)
	}
	c.deadline.set(t, c.wake)
	return nil
}

// SetWriteDeadline does nothing: writes never wait.
func (c *packetConn) SetWriteDeadline(time.Time) error { return nil }
