package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/sett-run/sett/sdk/abi"
)

// backlog is how many connections wait until a stream's owner accepts them; further ones are refused.
const backlog = 64

// Stream is one protocol of a port: a net.Listener, and the way to others who speak the protocol. Its methods may be
// called concurrently.
type Stream struct {
	protocol string
	port     *Port
	accepted chan *Conn
	closed   chan struct{}
	once     sync.Once
}

var _ net.Listener = (*Stream)(nil)

// Stream opens a protocol. It panics when the protocol is open already. That of a closed port is closed.
func (p *Port) Stream(protocol string) *Stream {
	s := &Stream{protocol: protocol, port: p, accepted: make(chan *Conn, backlog), closed: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.Err() != nil {
		close(s.closed)
		return s
	}
	if p.streams[protocol] != nil {
		panic("trust: protocol " + protocol + " is open already")
	}
	p.streams[protocol] = s
	return s
}

// offers says whether a protocol is open.
func (p *Port) offers(protocol string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.streams[protocol] != nil
}

// Accept waits for a connection of another node, a *Conn. After Close it answers net.ErrClosed.
func (s *Stream) Accept() (net.Conn, error) {
	c, err := s.accept()
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Stream) accept() (*Conn, error) {
	select {
	case <-s.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Addr is where others reach the port.
func (s *Stream) Addr() net.Addr { return s.port.address }

// Close ends Accept and Dial. Connections that wait to be accepted are closed; those that were handed out go on.
func (s *Stream) Close() error {
	s.once.Do(func() {
		s.port.mu.Lock()
		if s.port.streams[s.protocol] == s {
			delete(s.port.streams, s.protocol)
			close(s.closed)
		}
		s.port.mu.Unlock()
	})
	for {
		select {
		case c := <-s.accepted: // nothing is delivered any more
			c.cut()
		default:
			return nil
		}
	}
}

// Dial connects to whichever node of the cluster is at an address, and answers a *Conn. The node may still refuse: then
// the first Read fails. Besides what the network says, errors are ErrNoCertificate and ErrRemoved.
func (s *Stream) Dial(ctx context.Context, address string) (net.Conn, error) {
	return s.dial(ctx, address, "")
}

// DialNode does what Dial does and answers ErrOtherNode when the node there is not the one with the id.
func (s *Stream) DialNode(ctx context.Context, address, id string) (net.Conn, error) {
	return s.dial(ctx, address, id)
}

func (s *Stream) dial(ctx context.Context, address, want string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.port.life, cancel)()
	select {
	case <-s.closed:
		return nil, net.ErrClosed
	default:
	}
	if want != "" && s.port.config.Removed(want) {
		return nil, abi.WithCode(abi.Forbidden, fmt.Errorf("dial node %s: %w", want, ErrRemoved))
	}
	raw, err := s.port.config.Network.Dial(ctx, address)
	if err != nil {
		return nil, abi.WithCode(abi.Unavailable, err)
	}
	c := &Conn{raw: raw, port: s.port}
	if err := c.introduce(ctx, s.protocol, want); err != nil {
		raw.Close()
		return nil, abi.WithCode(abi.Unavailable, fmt.Errorf("dial %s: %w", address, err))
	}
	return c, nil
}

// introduce does the dialling side's part of the handshake.
func (c *Conn) introduce(ctx context.Context, protocol, want string) error {
	current := c.port.config.Identity.current.Load()
	if current.cluster == "" {
		return ErrNoCertificate
	}
	verify := func(state tls.ConnectionState) (err error) {
		if c.node, err = current.identify(state.PeerCertificates, x509.ExtKeyUsageServerAuth); err != nil {
			return err
		}
		if want != "" && c.node != want {
			return fmt.Errorf("%w: %s, not %s", ErrOtherNode, c.node, want)
		}
		if c.port.config.Removed(c.node) {
			return fmt.Errorf("node %s: %w", c.node, ErrRemoved)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := dialTLS(ctx, c.raw, &tls.Config{Certificates: []tls.Certificate{current.forNode}, NextProtos: []string{protocol}, VerifyConnection: verify})
	if err != nil {
		return err
	}
	c.Conn = conn
	c.port.mu.Lock()
	defer c.port.mu.Unlock()
	if c.port.life.Err() != nil {
		return net.ErrClosed
	}
	if c.port.config.Removed(c.node) { // since the handshake looked
		return ErrRemoved
	}
	c.port.open[c] = struct{}{}
	return nil
}

// dialTLS does a handshake that config.VerifyConnection alone decides, and insists on the protocol.
func dialTLS(ctx context.Context, raw net.Conn, config *tls.Config) (*tls.Conn, error) {
	config.MinVersion = tls.VersionTLS13
	config.InsecureSkipVerify = true // names no host: VerifyConnection looks at the node's id and the cluster's roots
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != config.NextProtos[0] {
		return nil, errors.New("the other end does not speak " + config.NextProtos[0])
	}
	return conn, nil
}

// Conn is a connection between two nodes that know each other.
type Conn struct {
	net.Conn          // TLS
	raw      net.Conn // below TLS
	node     string
	port     *Port
}

// Node is the other end's id.
func (c *Conn) Node() string { return c.node }

// Close closes the connection.
func (c *Conn) Close() error {
	c.port.mu.Lock()
	delete(c.port.open, c)
	c.port.mu.Unlock()
	return c.Conn.Close()
}

// cut closes the connection without saying so to the other end, which TLS would wait for.
func (c *Conn) cut() {
	c.raw.Close()
	c.Close()
}
