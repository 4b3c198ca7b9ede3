package replica

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Transport carries byte streams between replicas. It decides who may connect. Package replicatest has one in memory,
// with faults.
type Transport interface {
	// Accept waits for a stream from another node, or from this one; after Close it answers an error.
	Accept() (net.Conn, error)
	// Dial opens a stream to an address.
	Dial(ctx context.Context, address string) (net.Conn, error)
	// Addr is where others reach this node.
	Addr() net.Addr
	// Close ends Accept. Streams go on.
	Close() error
}

// ListenTCP is a transport over plain TCP: everybody who reaches the address is believed.
func ListenTCP(ctx context.Context, address string) (Transport, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return tcp{l}, nil
}

type tcp struct{ net.Listener }

func (tcp) Dial(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// alone is the transport of a node that has no others: it reaches itself.
type alone struct {
	address  aloneAddr
	accepted chan net.Conn
	closed   chan struct{}
	close    sync.Once
}

type aloneAddr string

func (aloneAddr) Network() string  { return "alone" }
func (a aloneAddr) String() string { return string(a) }

func newAlone(id string) *alone {
	return &alone{address: aloneAddr(id), accepted: make(chan net.Conn), closed: make(chan struct{})}
}

func (a *alone) Accept() (net.Conn, error) {
	select {
	case c := <-a.accepted:
		return c, nil
	case <-a.closed:
		return nil, net.ErrClosed
	}
}

func (a *alone) Dial(ctx context.Context, address string) (net.Conn, error) {
	if address != string(a.address) {
		return nil, errors.New("this node has no transport to others")
	}
	here, there := net.Pipe()
	select {
	case a.accepted <- there:
		return here, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-a.closed:
		return nil, net.ErrClosed
	}
}

func (a *alone) Addr() net.Addr { return a.address }

func (a *alone) Close() error {
	a.close.Do(func() { close(a.closed) })
	return nil
}
