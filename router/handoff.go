package router

import (
	"net"
	"sync"

	"github.com/valyala/fasthttp"
)

// handoff is the listener of the server that does not read bodies: its clients are those that another listener accepted.
type handoff struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandoff() *handoff { return &handoff{conns: make(chan net.Conn), closed: make(chan struct{})} }

// Accept waits for the next client.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is no address.
func (h *handoff) Addr() net.Addr { return &net.UnixAddr{Name: "handoff"} }

// newPiecesServer makes the fasthttp server that leaves bodies to receive, which knows what may be how large:
// MaxRequestBodySize is then no limit, but how much fasthttp reads before it asks; it cannot be told 0. It is a second
// server since StreamRequestBody holds for all requests of one, and costs each that has a body an allocation: a node
// without functions that take bodies in pieces does not pay for them.
func (r *Router) newPiecesServer() *fasthttp.Server {
	s := r.newServer()
	s.StreamRequestBody = true
	s.MaxRequestBodySize = 1
	s.HeaderReceived = r.piecesHeaderReceived
	return s
}

// piecesHeaderReceived gives a body its own time, and has fasthttp read the beginning of one that may be read whole.
func (r *Router) piecesHeaderReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	c := r.headerReceived(h)
	if n := h.ContentLength(); 0 < n && n <= r.config.MaxBodyBytes {
		c.MaxRequestBodySize = n
	}
	return c
}

// handOver gives a client to the server that does not read bodies, which begins with the first.
func (r *Router) handOver(c *conn) {
	r.mu.Lock()
	draining := r.draining.Load()
	if !draining {
		r.piecesOnce.Do(func() {
			r.sweeping.Go(func() { _ = r.pieces.Serve(r.handoff) }) // it ends with the listener, and has no other reason to
		})
	}
	r.mu.Unlock()
	if !draining {
		select {
		case r.handoff.conns <- c:
			return
		case <-r.handoff.closed:
		}
	}
	_ = c.Conn.Close() // it has not been answered anything
	r.connState(c, fasthttp.StateClosed)
}

// changeServers has clients come back to the server that does not read bodies: those that are idle now, and others after
// their reply.
func (r *Router) changeServers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		if phase(c.state.Load()&(1<<phaseBits-1)) == phaseIdle && !c.pieces {
			_ = c.Conn.Close() // as any idle connection may be
		}
	}
}
