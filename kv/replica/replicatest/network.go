// Package replicatest helps to test what is built on package replica. Its main type is Network: streams between nodes
// of one process, with the faults of real ones: parts of it stand still, are slow, or break. Bytes of a stream arrive in
// order and once, or the stream breaks. It works in bubbles of virtual time.
package replicatest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Network is several nodes' transport. Between any two of them, and in each direction, it can hold everything back,
// delay it, or break the streams. What is held back arrives when it is let go, as packets do that are sent again.
// A node always reaches itself. All methods may be called concurrently.
type Network struct {
	mu        sync.Mutex // guards everything in the network, its streams included
	endpoints map[string]*Endpoint
	held      map[way]bool
	delays    map[way]time.Duration
	streams   map[*half]struct{}
}

// way is a direction between two nodes.
type way struct{ from, to string }

// New makes a network without nodes and faults.
func New() *Network {
	return &Network{endpoints: map[string]*Endpoint{}, held: map[way]bool{}, delays: map[way]time.Duration{},
		streams: map[*half]struct{}{}}
}

// Listen makes a node's transport. An address can be used again once its transport is closed.
func (n *Network) Listen(address string) (*Endpoint, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoints[address] != nil {
		return nil, fmt.Errorf("listen on %s: it is in use", address)
	}
	e := &Endpoint{network: n, address: Addr(address), accepted: make(chan net.Conn, 64), closed: make(chan struct{})}
	n.endpoints[address] = e
	return e, nil
}

// Hold lets nothing pass from one node to another; new streams between them wait until their caller gives up.
func (n *Network) Hold(from, to string) { n.change(func() { n.held[way{from, to}] = true }) }

// Release ends Hold.
func (n *Network) Release(from, to string) { n.change(func() { delete(n.held, way{from, to}) }) }

// Isolate holds everything between a node and all others, in both directions: it is partitioned, or its machine
// stands still as far as others can tell.
func (n *Network) Isolate(address string) {
	n.change(func() {
		for other := range n.endpoints {
			if other != address {
				n.held[way{address, other}], n.held[way{other, address}] = true, true
			}
		}
	})
}

// Delay has everything from one node arrive later at another.
func (n *Network) Delay(from, to string, by time.Duration) {
	n.change(func() { n.delays[way{from, to}] = by })
}

// Heal ends all holds and delays.
func (n *Network) Heal() {
	n.change(func() {
		clear(n.held)
		clear(n.delays)
	})
}

// Break ends all streams of a node with others; new ones can be opened.
func (n *Network) Break(address string) {
	n.change(func() {
		for h := range n.streams {
			if h.from != h.to && (h.from == address || h.to == address) {
				h.end(true)
			}
		}
	})
}

// change does what it is given, and has all streams look again.
func (n *Network) change(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do()
	for h := range n.streams {
		h.changed.Broadcast()
	}
}

// Addr is a node's address.
type Addr string

// Network names the kind of address.
func (Addr) Network() string { return "memory" }

// String is the address.
func (a Addr) String() string { return string(a) }

// Endpoint is one node's transport.
type Endpoint struct {
	network  *Network
	address  Addr
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// Addr is the node's address.
func (e *Endpoint) Addr() net.Addr { return e.address }

// Close ends Accept and frees the address. Streams go on.
func (e *Endpoint) Close() error {
	e.once.Do(func() {
		e.network.mu.Lock()
		defer e.network.mu.Unlock()
		delete(e.network.endpoints, string(e.address))
		close(e.closed)
	})
	return nil
}

// Accept waits for a stream.
func (e *Endpoint) Accept() (net.Conn, error) {
	select {
	case c := <-e.accepted:
		return c, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// Dial opens a stream.
func (e *Endpoint) Dial(ctx context.Context, address string) (net.Conn, error) {
	const look = 10 * time.Millisecond // how often to see whether a hold has ended
	for {
		conn, err := e.dial(address)
		if conn != nil || err != nil {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-e.closed:
			return nil, net.ErrClosed
		case <-time.After(look):
		}
	}
}

// dial answers neither a stream nor an error while there is a hold.
func (e *Endpoint) dial(address string) (net.Conn, error) {
	n := e.network
	n.mu.Lock()
	defer n.mu.Unlock()
	here := string(e.address)
	if n.held[way{here, address}] || n.held[way{address, here}] {
		return nil, nil
	}
	to := n.endpoints[address]
	if to == nil {
		return nil, fmt.Errorf("dial %s: nobody is there", address)
	}
	out, back := n.newHalf(here, address), n.newHalf(address, here)
	select {
	case to.accepted <- &conn{network: n, in: out, out: back}:
		return &conn{network: n, in: back, out: out}, nil
	default:
		delete(n.streams, out)
		delete(n.streams, back)
		return nil, fmt.Errorf("dial %s: it accepts nothing", address)
	}
}
