package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Limits of what a stranger gets. See also those of strangers.
const (
	handshakeTimeout  = 5 * time.Second // from the connection to the end of the handshake
	maxHandshakeBytes = 64 << 10        // read from a connection until it is known whose it is
)

// handshake is the accepting side's part of one handshake. There are no session tickets: they would let in a node that
// was removed since, and a full handshake costs about a millisecond, both ends together (BenchmarkDial).
type handshake struct {
	port     *Port
	current  *credentials // of the moment the handshake began
	protocol string
	node     string // empty for ProtocolJoin
}

// run answers a connection whose other end is a node of the cluster, or anybody when the protocol is ProtocolJoin.
func (h *handshake) run(ctx context.Context, s *stranger) (*tls.Conn, error) {
	conn := tls.Server(s, &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: h.choose})
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, classify(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != h.protocol {
		return nil, refused(reasonProtocol, fmt.Errorf("the protocol is %.40q and not %.40q", got, h.protocol))
	}
	if h.protocol == ProtocolJoin {
		return conn, nil // a stranger still
	}
	if h.node == "" {
		return nil, refused(reasonCertificate, errors.New("no certificate"))
	}
	s.known()
	return conn, nil
}

// choose picks the protocol and, as that decides who may speak it, offers no other.
func (h *handshake) choose(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	n := slices.IndexFunc(hello.SupportedProtos, h.port.offers)
	if n < 0 {
		return nil, refused(reasonProtocol, fmt.Errorf("none of the protocols %.100q is offered", hello.SupportedProtos))
	}
	h.protocol = hello.SupportedProtos[n]
	h.current = h.port.config.Identity.current.Load()
	if h.current.cluster == "" {
		return nil, refused(reasonUnready, ErrNoCertificate)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{h.protocol}, SessionTicketsDisabled: true}
	if h.protocol == ProtocolJoin {
		c.Certificates = []tls.Certificate{h.current.forJoin}
		return c, nil
	}
	c.Certificates = []tls.Certificate{h.current.forNode}
	c.ClientAuth = tls.RequestClientCert // verify refuses who has none, and says so
	c.VerifyConnection = h.verify
	return c, nil
}

func (h *handshake) verify(state tls.ConnectionState) error {
	id, err := h.current.identify(state.PeerCertificates, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return refused(reasonCertificate, err)
	}
	if h.port.config.Removed(id) {
		return refused(reasonRemoved, fmt.Errorf("node %s: %w", id, ErrRemoved))
	}
	h.node = id
	return nil
}

// classify finds the reason of a handshake's error.
func classify(err error) error {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded):
		return refused(reasonTimeout, err)
	}
	return refused(reasonHandshake, err)
}
