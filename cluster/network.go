// Package cluster holds the words of the cluster room: how nodes reach each other and what they know of each other.
// Its main type is Network. Below it, cluster/trust says who may come in, cluster/gossip who is there, cluster/peer
// carries modules and invocations from node to node; package cluster/node joins them with the rest.
package cluster

import (
	"context"
	"net"
)

// Network is where a node listens and dials. Internet is the machine's; package cluster/simnet has one in memory, with
// faults. Its methods may be called concurrently. Addresses are HOST:PORT; port 0 picks a free one.
type Network interface {
	Listen(ctx context.Context, address string) (net.Listener, error)
	ListenPacket(ctx context.Context, address string) (net.PacketConn, error)
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// Internet is the machine's network: TCP and UDP.
type Internet struct{}

var _ Network = Internet{}

// Listen listens on a TCP address.
func (Internet) Listen(ctx context.Context, address string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}

// ListenPacket listens on a UDP address.
func (Internet) ListenPacket(ctx context.Context, address string) (net.PacketConn, error) {
	return new(net.ListenConfig).ListenPacket(ctx, "udp", address)
}

// Dial opens a TCP connection.
func (Internet) Dial(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}
