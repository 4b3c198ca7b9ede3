package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of the listener.
const (
	headerTimeout  = 10 * time.Second // how long a request's header may take to arrive
	idleTimeout    = 2 * time.Minute  // how long a connection may wait for its next request
	maxHeaderBytes = 32 << 10
)

// Serve answers requests on l until Shutdown and closes l. A Config with Loopback refuses a listener that other
// machines reach. It answers nil after Shutdown.
func (a *Admin) Serve(l net.Listener) error {
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && a.config.Loopback && !tcp.IP.IsLoopback() {
		l.Close()
		return fmt.Errorf("serve admin plane: %s is not loopback, so requests need a token", l.Addr())
	}
	// Reading and writing are limited by the handlers: an upload and a followed log may take long.
	server := &http.Server{
		Handler: a, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	a.serving.Lock()
	if a.server != nil || a.closed() {
		a.serving.Unlock()
		l.Close()
		return errors.New("serve admin plane: serves already, or is shut down")
	}
	a.server = server
	a.serving.Unlock()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin plane: %w", err)
	}
	return nil
}

// Drain makes /readyz answer 503 and ends followed logs and watches; other requests go on being served.
func (a *Admin) Drain() { a.drain() }

// Shutdown drains, stops accepting and waits for requests to end. When ctx ends first, their connections are cut.
func (a *Admin) Shutdown(ctx context.Context) error {
	a.drain()
	a.serving.Lock()
	server := a.server
	a.serving.Unlock()
	if server == nil {
		return nil
	}
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("drain admin plane: %w", err), server.Close())
	}
	return nil
}

// closed reports whether draining began.
func (a *Admin) closed() bool {
	select {
	case <-a.draining:
		return true
	default:
		return false
	}
}

// ready says why the node should get no requests.
func (a *Admin) ready() error {
	if a.closed() {
		return errors.New("the node is draining")
	}
	return a.config.Node.Ready()
}
