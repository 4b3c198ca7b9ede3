package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/cluster"
	"github.com/sett-run/sett/sdk/abi"
)

// echo answers what it is sent, with the sender's id before it, until the stream is closed.
func echo(t *testing.T, s *Stream) {
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := s.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				io.WriteString(c, c.(*Conn).Node())
				io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { s.Close(); work.Wait() })
}

// ask sends a word and answers the id that the other end has seen.
func ask(c net.Conn) (id string, err error) {
	go io.WriteString(c, "ping")
	b := make([]byte, idDigits+4)
	_, err = io.ReadFull(c, b)
	if err == nil && string(b[idDigits:]) != "ping" {
		err = errors.New("no echo")
	}
	return string(b[:idDigits]), err
}

func TestStream(t *testing.T) { synctest.Test(t, testStream) }

func testStream(t *testing.T) {
	d := newDen(t)
	a, b := d.node("a"), d.node("b")
	echo(t, a.Stream(ProtocolRaft))
	s := b.Stream(ProtocolRaft)
	for range 2 {
		c, err := s.Dial(t.Context(), "a:7000")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.(*Conn).Node(); got != a.identity.ID() {
			t.Errorf("the dialled node is %s, want %s", got, a.identity.ID())
		}
		if got, err := ask(c); got != b.identity.ID() || err != nil {
			t.Errorf("the accepted node is %s, %v, want %s", got, err, b.identity.ID())
		}
		c.Close()
	}
	if c, err := s.DialNode(t.Context(), "a:7000", a.identity.ID()); err != nil {
		t.Errorf("DialNode = %v", err)
	} else {
		c.(*Conn).cut()
	}
	if _, err := s.DialNode(t.Context(), "a:7000", b.identity.ID()); !errors.Is(err, ErrOtherNode) || abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("DialNode of a stale address = %v, want %v", err, ErrOtherNode)
	}
	if _, err := s.Dial(t.Context(), "nobody:7000"); abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("Dial of nobody = %v", err)
	}
	if got := s.Addr().String(); got != "b:7000" {
		t.Errorf("Addr = %s", got)
	}
}

// TestLoopback does the same over TCP, with an address to advertise.
func TestLoopback(t *testing.T) {
	d := newDen(t)
	var network cluster.Internet
	l, err := network.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenPort(Config{Listener: l, Network: network, Identity: d.identity(), Advertise: "den.example:7"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := p.Stream(ProtocolHTTP)
	echo(t, s)
	c, err := s.Dial(t.Context(), l.Addr().String()) // itself
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := ask(c); got != p.config.Identity.ID() || err != nil {
		t.Errorf("the node is %s, %v", got, err)
	}
	if s.Addr().String() != "den.example:7" || p.Addr().String() != "den.example:7" {
		t.Errorf("Addr = %s, %s", s.Addr(), p.Addr())
	}
}

// TestStrangersAreRefused is who may not come in, and that those who may still can.
func TestStrangersAreRefused(t *testing.T) { synctest.Test(t, testStrangersAreRefused) }

func testStrangersAreRefused(t *testing.T) {
	d, other := newDen(t), newDen(t)
	removed := d.identity()
	d.remove(removed.ID())
	expiredRoots := d.identity().current.Load()
	raft := []string{ProtocolRaft}
	show := func(c tls.Certificate, protocols ...string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: protocols}
	}
	stranger := other.identity().current.Load().forNode
	self, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	forged, err := sign(&x509.Certificate{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), // claims to be a member
		Subject: expiredRoots.roots[0].Subject, URIs: expiredRoots.chain[0].URIs}, nil, &self.PublicKey, self)
	if err != nil {
		t.Fatal(err)
	}
	member := d.identity().current.Load().forNode
	stolen := member // the certificate is public; the key is not
	stolen.PrivateKey = self
	for _, c := range []struct {
		name   string
		config *tls.Config
		want   reason
	}{
		{"no certificate", &tls.Config{NextProtos: raft}, reasonCertificate},
		{"another cluster's certificate", show(stranger, raft...), reasonCertificate},
		{"a forged certificate", show(tls.Certificate{Certificate: [][]byte{forged.Raw}, PrivateKey: self}, raft...), reasonCertificate},
		{"a stolen certificate", show(stolen, raft...), reasonHandshake},
		{"a removed node", show(removed.current.Load().forNode, raft...), reasonRemoved},
		{"an unknown protocol", show(member, "h2"), reasonProtocol},
		{"a protocol that is not open", show(member, ProtocolHTTP), reasonProtocol},
		{"no protocol", show(member), reasonProtocol},
		{"a stranger's protocol and another one", &tls.Config{NextProtos: []string{ProtocolRaft, ProtocolJoin}}, reasonCertificate},
		{"TLS 1.2", &tls.Config{NextProtos: raft, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{member}}, reasonHandshake},
	} {
		func() {
			n := d.node("a")
			defer n.Close()
			echo(t, n.Stream(ProtocolRaft))
			raw, err := d.network.host("stranger").Dial(t.Context(), "a:7000")
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			c.config.InsecureSkipVerify = true
			if _, err := tls.Client(raw, c.config).Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: it comes in", c.name)
			}
			synctest.Wait()
			if got := n.refused(t, c.want); got != 1 {
				t.Errorf("%s: refused for %s: %d, want 1; log:\n%s", c.name, c.want, got, n.log)
			}
			if log := n.log.String(); strings.Count(log, "connection refused") != 1 || !strings.Contains(log, "from=stranger") {
				t.Errorf("%s: the log is\n%s", c.name, log)
			}
			friend := d.node("friend")
			defer friend.Close()
			conn, err := friend.Stream(ProtocolRaft).Dial(t.Context(), "a:7000")
			if err != nil {
				t.Fatalf("%s: a member's Dial afterwards = %v", c.name, err)
			}
			defer conn.Close()
			if _, err := ask(conn); err != nil {
				t.Errorf("%s: a member is not answered: %v", c.name, err)
			}
		}()
	}
}

// TestJoinProtocolStaysAlone checks that who comes without a certificate by the join protocol gets no other.
func TestJoinProtocolStaysAlone(t *testing.T) { synctest.Test(t, testJoinProtocolStaysAlone) }

func testJoinProtocolStaysAlone(t *testing.T) {
	d := newDen(t)
	n := d.node("a")
	raft, join := n.Stream(ProtocolRaft), n.Stream(ProtocolJoin)
	raw, err := d.network.host("x").Dial(t.Context(), "a:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{ProtocolJoin, ProtocolRaft}})
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := join.accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.raw.Close()
	if got.node != "" || c.ConnectionState().NegotiatedProtocol != ProtocolJoin || len(raft.accepted) != 0 {
		t.Errorf("node %q, protocol %s, %d raft streams", got.node, c.ConnectionState().NegotiatedProtocol, len(raft.accepted))
	}
}

func TestDialWithoutCertificate(t *testing.T) { synctest.Test(t, testDialWithoutCertificate) }

func testDialWithoutCertificate(t *testing.T) {
	d := newDen(t)
	d.node("a")
	l, _ := d.network.host("b").Listen(t.Context(), "b:7000")
	i, err := OpenIdentity("", NewID())
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenPort(Config{Listener: l, Network: d.network.host("b"), Identity: i})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := p.Stream(ProtocolRaft)
	if _, err := s.Dial(t.Context(), "a:7000"); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("Dial = %v, want %v", err, ErrNoCertificate)
	}
	if _, err := s.Dial(t.Context(), "b:7000"); err == nil {
		t.Error("Dial of a node without a certificate comes through")
	}
}

func TestBacklog(t *testing.T) { synctest.Test(t, testBacklog) }

func testBacklog(t *testing.T) {
	d := newDen(t)
	a, b := d.node("a"), d.node("b")
	a.Stream(ProtocolRaft) // nobody accepts
	s := b.Stream(ProtocolRaft)
	for range backlog + 1 {
		c, err := s.Dial(t.Context(), "a:7000")
		if err != nil {
			t.Fatal(err)
		}
		defer c.(*Conn).cut()
		synctest.Wait()
	}
	if got := a.refused(t, reasonBacklog); got != 1 {
		t.Errorf("refused: %d, want 1", got)
	}
}

func TestOpenPortFails(t *testing.T) {
	d := newDen(t)
	registry := prometheus.NewRegistry()
	l, _ := d.network.host("a").Listen(t.Context(), "a:7000")
	c := Config{Listener: l, Network: d.network.host("a"), Identity: d.identity(), Metrics: registry}
	p, err := OpenPort(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenPort(c); err == nil {
		t.Error("OpenPort registers its metrics twice")
	}
	p.Close()
	if p, err = OpenPort(c); err != nil {
		t.Errorf("OpenPort after Close = %v", err)
	} else {
		p.Close()
	}
}

// TestSilentStrangers: those who connect and say little or nothing block nobody, and are hung up on.
func TestSilentStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDen(t)
		a, b := d.node("a"), d.node("b")
		echo(t, a.Stream(ProtocolRaft))
		s := b.Stream(ProtocolRaft)
		start := time.Now()
		closed := make(chan time.Duration, maxHostStrangers)
		for range maxHostStrangers {
			c, err := d.network.host("10.0.0.1").Dial(t.Context(), "a:7000")
			if err != nil {
				t.Fatal(err)
			}
			go func() { // a byte a second
				for {
					if _, err := c.Write([]byte{22}); err != nil {
						break
					}
					time.Sleep(time.Second)
				}
				closed <- time.Since(start)
			}()
		}
		synctest.Wait()
		c, err := s.Dial(t.Context(), "a:7000")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ask(c); err != nil || time.Since(start) > 0 {
			t.Errorf("a member is answered after %v: %v", time.Since(start), err)
		}
		c.Close()
		tooMany, err := d.network.host("10.0.0.1").Dial(t.Context(), "a:7000")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tooMany.Read(make([]byte, 1)); err == nil || a.refused(t, reasonBusy) != 1 {
			t.Errorf("one more of the host: Read = %v, %d refused", err, a.refused(t, reasonBusy))
		}
		for range maxHostStrangers {
			if got := <-closed; got > handshakeTimeout+time.Second {
				t.Errorf("a silent stranger stays for %v", got)
			}
		}
		synctest.Wait()
		if len(a.strangers.conns) != 0 || len(a.strangers.hosts) != 0 {
			t.Errorf("%d strangers of %d hosts are left", len(a.strangers.conns), len(a.strangers.hosts))
		}
		if got := strings.Count(a.log.String(), "connection refused"); got != 1 {
			t.Errorf("%d lines are logged, want 1", got)
		}
	})
}

// TestSilentNode: dialling one that accepts and says nothing ends.
func TestSilentNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDen(t)
		s := d.node("b").Stream(ProtocolRaft)
		l, _ := d.network.host("a").Listen(t.Context(), "a:7000")
		go func() {
			c, _ := l.Accept()
			io.Copy(io.Discard, c)
		}()
		start := time.Now()
		if _, err := s.Dial(t.Context(), "a:7000"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != handshakeTimeout {
			t.Errorf("Dial = %v after %v, want the deadline after %v", err, time.Since(start), handshakeTimeout)
		}
	})
}
