package trust

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/cluster"
)

// Protocols that ALPN chooses between.
const (
	ProtocolRaft = "sett-raft/1" // the store's replicas
	ProtocolHTTP = "sett-http/1" // modules and invocations
	ProtocolJoin = "sett-join/1" // of those who have no certificate yet
)

const acceptPause = 50 * time.Millisecond // after an error of the listener

// Config says how a port works. Listener, Network and Identity must be set. An identity without a certificate will do
// until it has one: till then everybody is refused.
type Config struct {
	Listener  net.Listener // where others connect; the port closes it
	Network   cluster.Network
	Identity  *Identity
	Advertise string // HOST:PORT where others reach the listener; its own address when empty

	// Removed says whether a node's certificate no longer counts; nil: all do. It is asked in every handshake, maybe
	// several at once, and must neither wait nor call the port.
	Removed func(id string) bool

	Log     *slog.Logger          // discards when nil
	Metrics prometheus.Registerer // nil: none
}

// Port is a node's TLS 1.3 listener, shared by several protocols. Its methods may be called concurrently.
type Port struct {
	config    Config
	address   net.Addr
	refusals  *refusals
	strangers *strangers

	mu      sync.Mutex // guards the rest
	streams map[string]*Stream
	open    map[*Conn]struct{}

	life context.Context
	end  context.CancelFunc
	work sync.WaitGroup // the accept loop and the handshakes
}

// OpenPort begins to accept connections. Those of protocols without an open Stream are refused. When it answers an error
// the listener is still open.
func OpenPort(c Config) (*Port, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Removed == nil {
		c.Removed = func(string) bool { return false }
	}
	p := &Port{config: c, address: c.Listener.Addr(), streams: map[string]*Stream{}, open: map[*Conn]struct{}{}, strangers: newStrangers()}
	if c.Advertise != "" {
		p.address = address(c.Advertise)
	}
	var err error
	if p.refusals, err = newRefusals(c.Log, c.Metrics); err != nil {
		return nil, fmt.Errorf("open port: %w", err)
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.work.Go(p.accept)
	return p, nil
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// Addr is where others reach the port.
func (p *Port) Addr() net.Addr { return p.address }

func (p *Port) accept() {
	for {
		raw, err := p.config.Listener.Accept()
		if p.life.Err() != nil {
			if err == nil {
				raw.Close()
			}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			p.config.Log.Error("cluster port is closed", "err", err)
			return
		}
		if err != nil {
			p.config.Log.Warn("accept connection", "err", err)
			select {
			case <-time.After(acceptPause):
			case <-p.life.Done():
			}
			continue
		}
		s, err := p.strangers.admit(raw)
		if err != nil {
			p.refuse(hostOf(raw.RemoteAddr()), err)
			raw.Close()
			continue
		}
		p.work.Go(func() { p.greet(s) })
	}
}

// greet finds out who a stranger is and gives the connection to the stream it is for.
func (p *Port) greet(s *stranger) {
	h := handshake{port: p}
	conn, err := h.run(p.life, s)
	if err == nil {
		err = p.deliver(h.protocol, &Conn{Conn: conn, raw: s, node: h.node, port: p})
	}
	if err != nil {
		p.refuse(s.host, err)
		s.Close()
	}
}

// refuse notes that a connection was refused, unless that is because the port closes.
func (p *Port) refuse(host string, err error) {
	if p.life.Err() == nil {
		p.refusals.note(host, err)
	}
}

// deliver never waits: a stream whose owner does not keep up refuses what is new.
func (p *Port) deliver(protocol string, c *Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.streams[protocol]
	if s == nil || p.life.Err() != nil {
		return refused(reasonProtocol, fmt.Errorf("%s has ended", protocol))
	}
	if c.node != "" && p.config.Removed(c.node) { // since the handshake looked
		return refused(reasonRemoved, ErrRemoved)
	}
	select {
	case s.accepted <- c:
		p.open[c] = struct{}{}
		return nil
	default:
		return refused(reasonBacklog, fmt.Errorf("%d connections wait for %s already", backlog, protocol))
	}
}

// Cut closes all connections with a node, in both directions. Whoever removes a node calls it once Config.Removed
// answers true.
func (p *Port) Cut(id string) {
	p.mu.Lock()
	var cut []*Conn
	for c := range p.open {
		if c.node == id {
			cut = append(cut, c)
		}
	}
	p.mu.Unlock()
	for _, c := range cut {
		c.cut()
	}
}

// Close closes the listener and the streams, and ends the handshakes that are under way. Connections that were handed
// out are their owners'.
func (p *Port) Close() error {
	p.end()
	err := p.config.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	p.mu.Lock()
	streams := slices.Collect(maps.Values(p.streams))
	p.mu.Unlock()
	for _, s := range streams {
		s.Close()
	}
	p.strangers.close()
	p.work.Wait()
	p.refusals.unregister()
	return err
}
