package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ServerConfig says what a Server answers with. Modules, Invoker and Fetcher are needed.
type ServerConfig struct {
	Modules Modules
	Invoker Invoker
	Fetcher Fetcher               // for other nodes' Hold
	Chunks  Modules               // chunks of objects; nil: there are none
	Codes   Codes                 // nil: there is no compiled code to be had
	Admin   http.Handler          // the admin plane for nodes, below /v1/; nil: it is not offered
	Log     *slog.Logger          // default: discards
	Metrics prometheus.Registerer // default: none

	MaxMessageBytes int64 // default DefaultMessageBytes; the same on every node
	MaxInvocations  int64 // default DefaultInvocations
}

func (c *ServerConfig) complete() error {
	if c.Modules == nil || c.Invoker == nil || c.Fetcher == nil {
		return errors.New("open peer server: it needs modules, an invoker and a fetcher")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxMessageBytes <= 0 {
		c.MaxMessageBytes = DefaultMessageBytes
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry() // that nobody reads
	}
	if c.MaxInvocations <= 0 {
		c.MaxInvocations = DefaultInvocations
	}
	return nil
}

// Server answers other nodes. It trusts whoever has a connection. All its methods may be called concurrently.
type Server struct {
	config   ServerConfig
	http     *http.Server
	handler  http.Handler
	sent     prometheus.Counter
	running  atomic.Int64 // invocations
	draining atomic.Bool
	cut      context.CancelFunc // ends the requests under way
	mu       sync.Mutex         // guards closed, and the group against an Add after it
	closed   bool
	requests sync.WaitGroup
}

// NewServer makes a server that listens nowhere yet.
func NewServer(config ServerConfig) (*Server, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	s := &Server{config: config, sent: moduleBytes("sent")}
	if err := config.Metrics.Register(s.sent); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	mux := http.NewServeMux()
	for kind, kept := range map[string]Modules{KindModule: config.Modules, KindChunk: config.Chunks} {
		if kept != nil {
			mux.HandleFunc("GET /"+kind+"/{digest}", s.module(kept)) // and HEAD
			mux.HandleFunc("POST /"+kind+"/{digest}", s.hold(kind, kept))
		}
	}
	mux.HandleFunc("GET /code/{digest}", s.code)
	mux.HandleFunc("POST /invoke", s.invoke)
	mux.HandleFunc("POST /stream", s.invokeInPieces)
	if config.Admin != nil {
		mux.Handle("/v1/", config.Admin)
	}
	s.handler = s.counted(mux)
	var base context.Context
	base, s.cut = context.WithCancel(context.Background())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Handler: s.handler, Protocols: protocols,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: stallTimeout, IdleTimeout: serverIdleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(config.Log.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// Handler answers requests that came in otherwise than by Serve.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers what comes in at l until Shutdown, when it answers nil. It closes l.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(plainListener{l}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve nodes: %w", err)
	}
	return nil
}

// plainListener hides from net/http that its connections are TLS: it would close those on which ALPN has picked a protocol
// that it does not know.
type plainListener struct{ net.Listener }

func (l plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}

// Drain refuses new invocations with ErrNotHere from now on. A node calls it when it begins to leave, some time before
// Shutdown, so that no caller meets a connection that is being closed.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown stops listening and waits for the requests under way; when ctx ends, it cuts them off, waits for their
// handlers, and answers ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	err := s.http.Shutdown(ctx)
	s.cut()
	if err != nil {
		err = fmt.Errorf("stop answering nodes: %w", err)
		s.http.Close() // its error tells of listeners, which are closed
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.requests.Wait()
	s.config.Metrics.Unregister(s.sent)
	return err
}

// counted lets Shutdown wait for next's requests.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			w.WriteHeader(statusNotHere)
			return
		}
		s.requests.Add(1)
		s.mu.Unlock()
		defer s.requests.Done()
		next.ServeHTTP(w, r)
	})
}

// body reads a request's body, which must come within stallTimeout.
func (s *Server) body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Now().Add(stallTimeout))
	b, err := readBody(r.Body, r.ContentLength, limit)
	if err == nil {
		c.SetReadDeadline(time.Time{})
	}
	return b, err
}
