package trust

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// Limits of connections whose other end is not known yet: those in a handshake, and those that ask to join. Higher ones
// let more nodes come back at the same moment, and more strangers take memory (maxHandshakeBytes each) and time.
const (
	maxStrangers     = 256
	maxHostStrangers = 64 // of one remote host, so that one cannot take all; an IPv6 network of 64 bits is one host
)

// strangers are the connections whose other end is not known.
type strangers struct {
	mu     sync.Mutex // guards the rest
	conns  map[*stranger]struct{}
	hosts  map[string]int // how many, by host
	closed bool
}

func newStrangers() *strangers {
	return &strangers{conns: map[*stranger]struct{}{}, hosts: map[string]int{}}
}

// admit takes a connection in. When it answers an error the connection is still open.
func (a *strangers) admit(raw net.Conn) (*stranger, error) {
	s := &stranger{Conn: raw, host: hostOf(raw.RemoteAddr()), all: a, budget: maxHandshakeBytes}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return nil, net.ErrClosed
	case len(a.conns) >= maxStrangers:
		return nil, refused(reasonBusy, fmt.Errorf("%d connections of strangers are open already", maxStrangers))
	case a.hosts[s.host] >= maxHostStrangers:
		return nil, refused(reasonBusy, fmt.Errorf("%d connections of this stranger are open already", maxHostStrangers))
	}
	a.conns[s] = struct{}{}
	a.hosts[s.host]++
	return s, nil
}

func (a *strangers) leave(s *stranger) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, in := a.conns[s]; !in {
		return
	}
	delete(a.conns, s)
	if a.hosts[s.host]--; a.hosts[s.host] == 0 {
		delete(a.hosts, s.host)
	}
}

// close closes all of them, and admits none any more.
func (a *strangers) close() {
	a.mu.Lock()
	a.closed = true
	conns := slices.Collect(maps.Keys(a.conns))
	a.mu.Unlock()
	for _, s := range conns {
		s.Close()
	}
}

// stranger is a connection whose other end is not known until known is called. Before, it yields no more than its
// budget. One goroutine at a time reads from it.
type stranger struct {
	net.Conn
	host   string
	all    *strangers
	budget int // bytes that may still be read; below 0: any number
}

// Read reads within the budget.
func (s *stranger) Read(p []byte) (int, error) {
	if s.budget < 0 {
		return s.Conn.Read(p)
	}
	if s.budget == 0 {
		return 0, refused(reasonHandshake, fmt.Errorf("more than %d bytes before it is known who sends them", maxHandshakeBytes))
	}
	n, err := s.Conn.Read(p[:min(len(p), s.budget)])
	s.budget -= n
	return n, err
}

// known lifts the limits. It comes before the connection is given to its reader.
func (s *stranger) known() {
	s.budget = -1
	s.all.leave(s)
}

// Close closes the connection.
func (s *stranger) Close() error {
	s.all.leave(s)
	return s.Conn.Close()
}

// hostOf is what counts as one host: an IPv4 address, 64 bits of an IPv6 address, or a name.
func hostOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		host = a.String()
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		p, _ := ip.Prefix(64) // never fails for an IPv6 address
		return p.String()
	}
	return ip.String()
}
