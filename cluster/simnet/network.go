// Package simnet is a network in memory for tests: hosts with names, packets that get lost, streams, latency, partitions
// and crashes. Its main type is Network; what Host answers is a cluster.Network. All waiting is on conditions, channels
// and timers, so that it works in virtual time (testing/synctest) as well as outside.
//
// Packets: each is lost with the probability of Loss, or when sender and receiver are parted at the time it is sent or
// arrives, or when the receiver's queue is full. Streams: nothing is lost. While hosts are parted, what was written
// waits and arrives after Heal, as with TCP, which sends again; dials wait for Heal, their context, or dialTimeout.
package simnet

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/sett-run/sett/cluster"
)

// Network joins hosts. Its methods may be called concurrently, also while hosts talk.
type Network struct {
	mu      sync.Mutex // guards everything in the network, its streams and packet conns included
	random  *rand.Rand
	hosts   map[string]*host  // by name
	names   map[string]string // by IP address
	group   map[string]int    // by host; hosts of different groups are parted
	alone   map[string]bool   // hosts parted from all others
	loss    float64
	latency time.Duration
	jitter  time.Duration
	halves  map[*half]struct{}
	changed chan struct{} // closed at the next change of faults
	tap     func(Packet)
}

// New makes a network without hosts and faults. A network of a bubble of virtual time is made inside it. The
// seed decides which packets are lost and how much later they arrive; the order of goroutines is not repeatable.
func New(seed uint64) *Network {
	return &Network{random: rand.New(rand.NewPCG(seed, seed)), hosts: map[string]*host{}, names: map[string]string{},
		group: map[string]int{}, alone: map[string]bool{}, halves: map[*half]struct{}{}, changed: make(chan struct{})}
}

// Host answers the network as the host of this name sees it, and makes the host when there is none. A host is reached
// by its name, which must be no IP address and hold no colon, and by an IP address (10.0.0.1, 10.0.0.2 and so on, in the
// order of making) that its LookupHost tells. It calls itself also localhost, by loopback addresses, and by none.
func (n *Network) Host(name string) cluster.Network {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil {
		return h
	}
	number := len(n.hosts) + 1
	h := &host{network: n, name: name, ip: fmt.Sprintf("10.0.%d.%d", number>>8, number&0xff), nextPort: firstPort,
		listeners: map[int]*listener{}, packets: map[int]*packetConn{}}
	n.hosts[name], n.names[h.ip] = h, name
	return h
}

// Partition parts the groups from each other; hosts in none of them are one more group. It replaces an earlier one.
func (n *Network) Partition(groups ...[]string) {
	n.change(func() {
		clear(n.group)
		for i, group := range groups {
			for _, name := range group {
				n.group[name] = i + 1
			}
		}
	})
}

// Isolate parts a host from all others, in addition to partitions.
func (n *Network) Isolate(host string) { n.change(func() { n.alone[host] = true }) }

// Heal ends Partition and Isolate.
func (n *Network) Heal() {
	n.change(func() {
		clear(n.group)
		clear(n.alone)
	})
}

// Loss is the probability, 0 to 1, that a packet is lost.
func (n *Network) Loss(probability float64) { n.change(func() { n.loss = probability }) }

// Latency is how long everything takes from one host to another.
func (n *Network) Latency(d time.Duration) { n.change(func() { n.latency = d }) }

// Jitter is added to the latency: between nothing and d. Packets may overtake each other, a stream's bytes do not.
func (n *Network) Jitter(d time.Duration) { n.change(func() { n.jitter = d }) }

// Crash is the end of a host's process: its listeners and packet conns are gone, its streams are reset at both ends.
// The host can listen and dial anew.
func (n *Network) Crash(host string) {
	n.change(func() {
		h := n.hosts[host]
		if h == nil {
			return
		}
		for _, l := range h.listeners {
			l.end()
		}
		for _, p := range h.packets {
			p.end()
		}
		for s := range n.halves {
			if s.from == host || s.to == host {
				s.reset, s.crashed = true, host
			}
		}
	})
}

// Tap has a function see every packet that is sent, lost or not. It must not call the network, and owns the bytes.
func (n *Network) Tap(see func(Packet)) { n.change(func() { n.tap = see }) }

// Inject delivers a packet at once and unhindered. Nothing happens when nobody listens there.
func (n *Network) Inject(p Packet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deliver(p)
}

// change does what it is given, and has all who wait look again.
func (n *Network) change(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do()
	close(n.changed)
	n.changed = make(chan struct{})
	for h := range n.halves {
		h.wake.Broadcast()
	}
}

func (n *Network) parted(from, to string) bool {
	return from != to && (n.alone[from] || n.alone[to] || n.group[from] != n.group[to])
}

// delay draws how long something takes on its way.
func (n *Network) delay(from, to string) time.Duration {
	if from == to {
		return 0
	}
	d := n.latency
	if n.jitter > 0 {
		d += time.Duration(n.random.Int64N(int64(n.jitter)))
	}
	return d
}

// address is a host's name and a port.
type address struct {
	host string
	port int
	kind string // tcp or udp
}

func (a address) Network() string { return a.kind }
func (a address) String() string  { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// resolve reads an address as the named host sees it.
func (n *Network) resolve(self, kind, text string) (address, error) {
	name, digits, err := net.SplitHostPort(text)
	if err != nil {
		return address{}, err
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return address{}, &net.AddrError{Err: "no port", Addr: text}
	}
	a := address{name, int(port), kind}
	if ip, err := netip.ParseAddr(name); name == "localhost" || name == "" ||
		(err == nil && (ip.IsLoopback() || ip.IsUnspecified())) {
		a.host = self
	} else if err == nil {
		a.host = n.names[ip.Unmap().String()]
	}
	if n.hosts[a.host] == nil {
		return address{}, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return a, nil
}
