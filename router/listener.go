package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/sdk/abi"
)

// newServer makes the fasthttp server. Its own timeouts are off: see conn. Bodies are read whole before serve runs, so
// that a slow upload holds a connection and not one of the function's invocations, and MaxRequestBodySize is enforced
// while reading.
func (r *Router) newServer() *fasthttp.Server {
	c := &r.config
	return &fasthttp.Server{
		Handler:               r.serve,
		ErrorHandler:          r.unreadable,
		HeaderReceived:        r.headerReceived,
		ConnState:             r.connState,
		ExpectHandler:         r.expect,
		Logger:                serverLog{c.Log},
		Concurrency:           2 * c.MaxConnections, // which enlist limits; a worker may not have left when its connection has
		ReadBufferSize:        c.MaxHeaderBytes,
		MaxRequestBodySize:    c.MaxBodyBytes,
		NoDefaultServerHeader: true,
		SecureErrorLogMessage: true,
		LazyRequestTime:       true,
		CloseOnShutdown:       true,
		// A multipart body is the function's to read; fasthttp would spill it into files.
		DisablePreParseMultipartForm: true,
	}
}

// headerReceived gives a body its own time.
func (r *Router) headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if n := h.ContentLength(); n > 0 || n == -1 {
		return fasthttp.RequestConfig{ReadTimeout: r.config.BodyTimeout}
	}
	return fasthttp.RequestConfig{}
}

// expect answers a client that asks before it sends a body. One that is too large is refused now, before it is
// sent; fasthttp then writes the response as it is and closes the connection.
func (r *Router) expect(ctx *fasthttp.RequestCtx) int {
	n, limit := int64(ctx.Request.Header.ContentLength()), int64(r.config.MaxBodyBytes)
	if n > limit && r.mayStream(ctx) {
		limit = r.config.MaxStreamBytes
	}
	if n > limit {
		r.unreadable(ctx, overLimit(limit))
		return fasthttp.StatusRequestEntityTooLarge
	}
	return fasthttp.StatusContinue
}

// mayStream says whether the function that a request is for, read or not, takes its body in pieces.
func (r *Router) mayStream(ctx *fasthttp.RequestCtx) bool {
	c := connOf(ctx.Conn())
	q, k := r.foresee(ctx, c)
	q.offer(r, ctx, c, k)
	return c != nil && c.pieces && q.event.Stream != nil && k.pieces
}

// foresee reads a request, whose body may not be there, and answers the function that it is for; nil for none.
func (r *Router) foresee(ctx *fasthttp.RequestCtx, c *conn) (q *request, k *candidate) {
	q = &request{context: new(invocationContext)}
	if q.read(ctx, c) == nil {
		k, _ = r.choose(q)
	}
	return q, k
}

// connState follows a connection from request to request.
func (r *Router) connState(nc net.Conn, state fasthttp.ConnState) {
	c := connOf(nc)
	switch state {
	case fasthttp.StateActive:
		c.enter(phaseHeader)
	case fasthttp.StateIdle:
		c.enter(phaseIdle)
		if c != nil {
			c.flushed, c.muted = false, false
		}
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		r.mu.Lock()
		delete(r.conns, c)
		r.mu.Unlock()
	}
}

// Serve answers requests on ln until Shutdown, or until accepting fails. It closes ln. Shutdown has to be called in
// either case.
func (r *Router) Serve(ln net.Listener) error {
	l := &listener{Listener: ln, router: r}
	r.mu.Lock()
	draining := r.draining.Load()
	if !draining {
		r.listeners = append(r.listeners, l)
		r.sweepOnce.Do(func() { r.sweeping.Go(r.sweep) }) // counted before a Shutdown can wait for it
	}
	r.mu.Unlock()
	if draining {
		_ = l.Close() // the caller learns why from our error
		return abi.WithCode(abi.Unavailable, fmt.Errorf("serve: %w", errClosed))
	}
	if err := r.server.Serve(l); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Shutdown stops accepting, answers new requests on open connections with 503 and closes them, and waits for the
// invocations that run. When ctx ends before they do, or Shutdown is called again, it ends them and closes every
// connection. It answers ctx's error in the first case, nil when everything was answered. After it the router
// cannot serve again.
func (r *Router) Shutdown(ctx context.Context) error {
	if !r.drain() {
		r.force()
		<-r.done
		return nil
	}
	defer r.metrics.unregister()
	defer r.sweeping.Wait()
	defer close(r.done)
	wait, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(r.base, stop)()
	err := errors.Join(r.server.ShutdownWithContext(wait), r.pieces.ShutdownWithContext(wait))
	if err == nil {
		err = r.await(wait)
	}
	r.force()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("shut down router: %w", ctx.Err())
	case wait.Err() != nil:
		return nil // forced by another call
	}
	return fmt.Errorf("shut down router: %w", err)
}

// drain begins a shutdown, once: it closes the listeners, also one that fasthttp has not been given yet.
func (r *Router) drain() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.draining.CompareAndSwap(false, true) {
		return false
	}
	for _, l := range r.listeners {
		_ = l.Close() // nothing is to be done about it
	}
	_ = r.handoff.Close()
	return true
}

// await waits for the invocations that did not come over HTTP.
func (r *Router) await(ctx context.Context) error {
	for r.running.Load() > 0 {
		select {
		case <-r.idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// force ends what runs and closes what is open.
func (r *Router) force() {
	r.closed.Store(true)
	r.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		_ = c.Conn.Close() // it is over in any case
	}
}

// serverLog is fasthttp's log. It tells of clients' faults alone, so it goes to debug.
type serverLog struct{ log *slog.Logger }

// Printf writes a line.
func (l serverLog) Printf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("serve connection", "err", fmt.Sprintf(format, args...))
	}
}
