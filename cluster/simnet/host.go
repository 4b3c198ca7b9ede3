package simnet

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// dialTimeout is how long a dial waits for a parted host when its context does not end before.
	dialTimeout = 2 * time.Minute
	// maxBacklog is how many streams wait to be accepted; a dial beyond is refused.
	maxBacklog = 128
	firstPort  = 40000 // lowest port that port 0 and dials get
)

// host is one machine. The network's mutex guards it.
type host struct {
	network   *Network
	name, ip  string
	nextPort  int
	listeners map[int]*listener
	packets   map[int]*packetConn
}

// LookupHost answers the IP address of a host, as net.Resolver does.
func (h *host) LookupHost(_ context.Context, name string) ([]string, error) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	a, err := h.network.resolve(h.name, "tcp", net.JoinHostPort(name, "0"))
	if err != nil {
		return nil, err
	}
	return []string{h.network.hosts[a.host].ip}, nil
}

// bind reads an address to listen on. Port 0 becomes one that is free for packets and streams.
func (h *host) bind(kind, text string) (address, error) {
	a, err := h.network.resolve(h.name, kind, text)
	if err != nil {
		return a, &net.OpError{Op: "listen", Net: kind, Err: err}
	}
	if a.host != h.name {
		return a, &net.OpError{Op: "listen", Net: kind, Addr: a, Err: syscall.EADDRNOTAVAIL}
	}
	if a.port == 0 {
		a.port = h.freePort()
	}
	if (kind == "tcp" && h.listeners[a.port] != nil) || (kind == "udp" && h.packets[a.port] != nil) {
		return a, &net.OpError{Op: "listen", Net: kind, Addr: a, Err: syscall.EADDRINUSE}
	}
	return a, nil
}

func (h *host) freePort() int {
	for {
		port := h.nextPort
		if h.nextPort++; h.nextPort > 0xffff {
			h.nextPort = firstPort
		}
		if h.listeners[port] == nil && h.packets[port] == nil {
			return port
		}
	}
}

// Listen listens for streams.
func (h *host) Listen(_ context.Context, text string) (net.Listener, error) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	a, err := h.bind("tcp", text)
	if err != nil {
		return nil, err
	}
	l := &listener{host: h, address: a, accepted: make(chan *conn, maxBacklog), closed: make(chan struct{})}
	h.listeners[a.port] = l
	return l, nil
}

// ListenPacket listens for packets.
func (h *host) ListenPacket(_ context.Context, text string) (net.PacketConn, error) {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	a, err := h.bind("udp", text)
	if err != nil {
		return nil, err
	}
	p := &packetConn{host: h, address: a, wake: sync.NewCond(&h.network.mu)}
	h.packets[a.port] = p
	return p, nil
}

// Dial opens a stream. It takes the latency there and back.
func (h *host) Dial(ctx context.Context, text string) (net.Conn, error) {
	h.network.mu.Lock()
	to, err := h.network.resolve(h.name, "tcp", text)
	if err != nil {
		h.network.mu.Unlock()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	way := h.network.delay(h.name, to.host) + h.network.delay(to.host, h.name)
	h.network.mu.Unlock()
	c, err := h.dial(ctx, to, way)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: err}
	}
	return c, nil
}

func (h *host) dial(ctx context.Context, to address, way time.Duration) (net.Conn, error) {
	timeout := time.NewTimer(dialTimeout)
	defer timeout.Stop()
	if way > 0 {
		travelled := time.NewTimer(way)
		defer travelled.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-travelled.C:
		}
	}
	for ctx.Err() == nil {
		c, changed, err := h.connect(to)
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-timeout.C:
			return nil, syscall.ETIMEDOUT
		}
	}
	return nil, ctx.Err()
}

// connect answers a stream, or an error, or a channel to wait on while the hosts are parted.
func (h *host) connect(to address) (net.Conn, <-chan struct{}, error) {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.parted(h.name, to.host) {
		return nil, n.changed, nil
	}
	l := n.hosts[to.host].listeners[to.port]
	if l == nil || len(l.accepted) == cap(l.accepted) {
		return nil, nil, syscall.ECONNREFUSED
	}
	here := address{h.name, h.freePort(), "tcp"}
	out, back := n.newHalf(here.host, to.host), n.newHalf(to.host, here.host)
	l.accepted <- &conn{network: n, local: to, remote: here, in: out, out: back} // has room, see above
	return &conn{network: n, local: here, remote: to, in: back, out: out}, nil, nil
}

type listener struct {
	host     *host
	address  address
	accepted chan *conn
	closed   chan struct{}
	ended    bool
}

func (l *listener) Addr() net.Addr { return l.address }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.address, Err: net.ErrClosed}
	default:
	}
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.address, Err: net.ErrClosed}
	}
}

// Close resets streams that were not accepted; accepted ones go on.
func (l *listener) Close() error {
	l.host.network.mu.Lock()
	defer l.host.network.mu.Unlock()
	l.end()
	return nil
}

func (l *listener) end() {
	if l.ended {
		return
	}
	l.ended = true
	close(l.closed)
	delete(l.host.listeners, l.address.port)
	for len(l.accepted) > 0 {
		select {
		case c := <-l.accepted:
			c.in.fail()
			c.out.fail()
		default:
		}
	}
}
