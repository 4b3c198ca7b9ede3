package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/sett-run/sett/cluster"
)

const (
	maxPacketBytes = 4096    // memberlist sends 1400; the rest of a larger packet is cut off, and so it is refused
	maxStreams     = 64      // incoming streams at a time; more are closed. Others try again
	maxStreamBytes = 4 << 20 // read from one stream: the states of about 5,000 members; more breaks it
	bindTries      = 16      // how often a port free for both packets and streams is looked for
)

var errStreamTooLong = errors.New("stream is longer than its limit")

// transport carries memberlist's packets and streams over a cluster.Network.
type transport struct {
	network   cluster.Network
	listener  net.Listener
	packet    net.PacketConn
	advertise netip.AddrPort
	metrics   *metrics

	packets chan *memberlist.Packet
	streams chan net.Conn
	ctx     context.Context // ends with the transport
	cancel  context.CancelFunc
	readers sync.WaitGroup

	mu       sync.Mutex // guards what follows
	open     map[*stream]struct{}
	incoming int // of the open ones
	closed   bool
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// listen opens a transport. It reads nothing before start.
func listen(ctx context.Context, network cluster.Network, bind string, m *metrics) (*transport, error) {
	host, port, err := net.SplitHostPort(bind)
	if err != nil {
		return nil, fmt.Errorf("listen for gossip: %w", err)
	}
	tries := 1
	if port == "0" {
		tries = bindTries
	}
	var errs []error
	for range tries {
		l, err := network.Listen(ctx, bind)
		if err != nil {
			return nil, fmt.Errorf("listen for gossip: %w", err)
		}
		_, got, err := net.SplitHostPort(l.Addr().String())
		if err == nil {
			var p net.PacketConn
			if p, err = network.ListenPacket(ctx, net.JoinHostPort(host, got)); err == nil {
				return newTransport(network, l, p, m), nil
			}
		}
		l.Close()
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("listen for gossip: %w", errors.Join(errs...))
}

func newTransport(network cluster.Network, l net.Listener, p net.PacketConn, m *metrics) *transport {
	t := &transport{network: network, listener: l, packet: p, metrics: m,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), open: map[*stream]struct{}{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

func (t *transport) start() {
	t.readers.Go(t.accept)
	t.readers.Go(t.receive)
}

// retry waits a moment after a fault of a socket that is not closed, so that a lasting one does not keep a core busy.
func (t *transport) retry() bool {
	select {
	case <-t.ctx.Done():
		return false
	case <-time.After(100 * time.Millisecond):
		return true
	}
}

func (t *transport) accept() {
	for {
		c, err := t.listener.Accept()
		if err != nil {
			if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) || !t.retry() {
				return
			}
			continue
		}
		s := t.track(c, incoming)
		if s == nil {
			t.metrics.refused.Inc()
			c.Close()
			continue
		}
		select {
		case t.streams <- s:
		case <-t.ctx.Done():
			s.Close()
			return
		}
	}
}

func (t *transport) receive() {
	buffer := make([]byte, maxPacketBytes)
	for {
		n, from, err := t.packet.ReadFrom(buffer)
		if err != nil {
			if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) || !t.retry() {
				return
			}
			continue
		}
		if n == 0 {
			continue
		}
		t.metrics.packetsIn.Inc()
		t.metrics.bytesIn.Add(float64(n))
		p := &memberlist.Packet{Buf: bytes.Clone(buffer[:n]), From: from, Timestamp: time.Now()}
		select {
		case t.packets <- p:
		case <-t.ctx.Done():
			return
		}
	}
}

// FinalAdvertiseAddr answers what listen's caller has found out.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return t.advertise.Addr().AsSlice(), int(t.advertise.Port()), nil
}

// WriteToAddress sends a packet.
func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return time.Time{}, fmt.Errorf("send packet: %w", err)
	}
	t.metrics.packetsOut.Inc()
	t.metrics.bytesOut.Add(float64(len(b)))
	_, err = t.packet.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return time.Now(), err
}

// WriteTo sends a packet.
func (t *transport) WriteTo(b []byte, address string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: address})
}

// PacketCh carries the packets of others.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh carries the streams of others.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// DialAddressTimeout opens a stream.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	c, err := t.network.Dial(ctx, a.Addr)
	if err != nil {
		return nil, err
	}
	s := t.track(c, outgoing)
	if s == nil {
		c.Close()
		return nil, net.ErrClosed
	}
	return s, nil
}

// DialTimeout opens a stream.
func (t *transport) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: address}, timeout)
}

// interrupt ends dials and streams, so that those who wait for them return.
func (t *transport) interrupt() {
	t.cancel()
	t.mu.Lock()
	t.closed = true
	open := slices.Collect(maps.Keys(t.open))
	t.mu.Unlock()
	for _, s := range open {
		s.Close()
	}
}

// Shutdown closes everything and waits for the readers. It may be called more than once.
func (t *transport) Shutdown() error {
	t.interrupt()
	err := errors.Join(t.listener.Close(), t.packet.Close())
	t.readers.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// direction is which side opened a stream.
type direction uint8

const (
	incoming direction = iota
	outgoing
)

// stream is a conn that the transport can close and whose length is limited.
type stream struct {
	net.Conn
	transport *transport
	direction direction
	left      int // bytes it may yet read
	once      sync.Once
}

// track answers nil when the transport is closed or has too many streams.
func (t *transport) track(c net.Conn, d direction) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || (d == incoming && t.incoming >= maxStreams) {
		return nil
	}
	if d == incoming {
		t.incoming++
	}
	s := &stream{Conn: c, transport: t, direction: d, left: maxStreamBytes}
	t.open[s] = struct{}{}
	return s
}

func (s *stream) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, errStreamTooLong
	}
	n, err := s.Conn.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

func (s *stream) Close() error {
	err := net.ErrClosed
	s.once.Do(func() {
		t := s.transport
		t.mu.Lock()
		delete(t.open, s)
		if s.direction == incoming {
			t.incoming--
		}
		t.mu.Unlock()
		err = s.Conn.Close()
	})
	return err
}
