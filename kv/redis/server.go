// Package redis answers the Redis protocol from the store, so that redis-cli and Redis clients of every language
// work on an app's keys. Its main type is Server.
//
// It speaks RESP2 and RESP3 and knows the commands on keys whose values are strings. A write is answered when it is
// as safe as any other write to the store. A connection's commands happen in the order in which they were sent, and
// MULTI with EXEC is one transaction: all of its commands, reads included, happen at one moment or none does.
// docs/REDIS.md tells what differs from Redis.
package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/op"
)

// Limits of a connection. Package op has those of keys, values and transactions.
const (
	MaxArgs          = 1 << 16   // arguments of a command, its name included; and of those between MULTI and EXEC together
	MaxCommandBytes  = 4 << 20   // arguments of a command together; what is over is read, thrown away and refused
	MaxBulkBytes     = 512 << 20 // an argument; one that says it is longer ends the connection, as in Redis
	MaxInlineBytes   = 16 << 10  // a command that is sent as a line of text; and a connection's buffer
	MaxReplyBytes    = 32 << 20  // keys that one KEYS answers, or values that one MGET does
	MaxQueued        = 1024      // commands between MULTI and EXEC
	MaxQueuedBytes   = 4 << 20   // and their arguments together
	MaxAttempts      = 100       // of a command or transaction that has to read before it writes
	MaxCursors       = 1024      // scans of all connections that can go on; the oldest is forgotten for a new one
	heldBytes        = 64 << 10  // replies that wait for the end of a pipeline
	strangerArgs     = 10        // arguments of a command before AUTH
	strangerBytes    = 16 << 10  // bytes of an argument before AUTH
	arrivalTimeout   = time.Minute
	writeTimeout     = 30 * time.Second // of heldBytes to a slow client
	lingerTime       = 10 * time.Second // of a client that still sends and is not listened to any more
	lingerPause      = 2 * time.Second  // within it; longer gets the last reply to slower clients
	closingTime      = time.Second      // of one that still sends when the server shuts down, which waits for it
	closingPause     = 50 * time.Millisecond
	maxRefused       = 256         // connections over MaxConnections that are lingered for at once
	reauthorizeEvery = time.Minute // after which a token is looked at again: a revoked one does not work longer
)

// Defaults of a Config.
const (
	DefaultMaxConnections = 10000
	DefaultIdleTimeout    = 30 * time.Minute
	DefaultTimeout        = 10 * time.Second
)

// Store is what the server needs of the store. Package kv's Store is one.
type Store interface {
	GetMany(ctx context.Context, namespace string, keys []string, r op.Read) ([]op.Item, error)
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
	Usage(ctx context.Context, namespace string) (op.Usage, error)
}

// Config says what a server serves. Store is needed; so is at least one of Authorize and Anonymous.
type Config struct {
	Store Store

	// Authorize says whether a token opens an app's keys. An error coded abi.Unauthorized, Forbidden or NotFound
	// means that it does not, any other that it cannot be told now. It is called concurrently. Nil: AUTH is refused
	// as by a Redis without a password.
	Authorize func(ctx context.Context, app, token string) error

	// Anonymous is the app whose keys a connection works on before AUTH. Empty: it has to authenticate first.
	Anonymous string

	Version string                // of this node, for INFO
	Log     *slog.Logger          // nil: no log
	Metrics prometheus.Registerer // nil: no metrics; what is registered goes again with Shutdown

	MaxConnections int           // more are refused; a connection takes about 30 kB. 0: DefaultMaxConnections
	IdleTimeout    time.Duration // a connection that sends nothing is closed. 0: DefaultIdleTimeout
	Timeout        time.Duration // of a command, or of the writes of a pipeline that are done together. 0: DefaultTimeout
}

// Server answers the connections of one listener. Make one with New; its methods may be called concurrently.
type Server struct {
	config   Config
	commands map[string]*command // by name in lower case; a subcommand's is "client|id"
	unknown  *command            // counts what is in no table
	metrics  *metrics
	cursors  *cursors
	started  time.Time
	seen     atomic.Uint64 // the newest revision that a reply of this server stands on
	lastID   atomic.Int64  // of connections

	base     context.Context // ends the work of all connections
	stop     context.CancelFunc
	running  sync.WaitGroup // connections, those that are refused among them
	draining atomic.Bool

	mu       sync.Mutex // guards what follows
	listener net.Listener
	conns    map[*conn]struct{}
	refused  map[net.Conn]struct{} // that are lingered for
}

// New makes a server that is not serving yet. Shutdown has to be called, also when Serve was not.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil {
		return nil, errors.New("make redis server: no store")
	}
	if cfg.Authorize == nil && cfg.Anonymous == "" {
		return nil, errors.New("make redis server: nobody could use it: give Authorize, or Anonymous, or both")
	}
	if cfg.Anonymous != "" {
		if err := validateApp(cfg.Anonymous); err != nil {
			return nil, fmt.Errorf("make redis server: %w", err)
		}
	}
	s := &Server{config: withDefaults(cfg), cursors: newCursors(), started: time.Now(), conns: make(map[*conn]struct{}),
		refused: make(map[net.Conn]struct{})}
	s.base, s.stop = context.WithCancel(context.Background())
	s.commands = commandTable()
	s.unknown = &command{name: "unknown"}
	var err error
	if s.metrics, err = newMetrics(cfg.Metrics, s); err != nil {
		return nil, fmt.Errorf("make redis server: %w", err)
	}
	return s, nil
}

func withDefaults(c Config) Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.MaxConnections = cmp.Or(c.MaxConnections, DefaultMaxConnections)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, DefaultIdleTimeout)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	return c
}

// validateApp refuses what no app is called, and the platform's own namespaces.
func validateApp(app string) error {
	if app == op.System || op.IsObjects(app) {
		return fmt.Errorf("namespace %s is the platform's: %w", app, op.ErrInvalid)
	}
	return op.ValidateApp(app)
}

// Serve answers connections of ln, once, and closes it. It returns nil after Shutdown, else why accepting failed.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	s.mu.Lock()
	busy := s.listener != nil
	if !busy {
		s.listener = ln
	}
	s.mu.Unlock()
	switch {
	case busy:
		return errors.New("serve redis: it serves already")
	case s.draining.Load():
		return nil
	}
	var pause time.Duration
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.accept(nc)
		case s.draining.Load():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("serve redis: %w", err)
		default: // too many open files, mostly: it passes
			s.config.Log.Warn("accept redis connection", "err", err)
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.rest(pause)
		}
	}
}

// rest waits, but not for longer than the server lives.
func (s *Server) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.base.Done():
	}
}

// accept starts a connection, or tells it that there are too many.
func (s *Server) accept(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	full := len(s.conns) >= s.config.MaxConnections
	refused := full || s.draining.Load()
	if !refused {
		s.conns[c] = struct{}{}
		s.running.Go(func() { s.attend(c) })
	}
	s.mu.Unlock()
	if !refused {
		return
	}
	if full {
		s.metrics.refused.Inc()
		_ = nc.SetWriteDeadline(time.Now().Add(lingerPause)) // the reply fits the socket's buffer
		_, _ = nc.Write([]byte("-ERR max number of clients reached\r\n"))
	}
	if !full || !s.seeOff(nc) {
		nc.Close()
	}
}

// seeOff lingers for a client that is refused. It answers false when there are too many of them.
func (s *Server) seeOff(nc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refused) >= maxRefused || s.draining.Load() {
		return false
	}
	s.refused[nc] = struct{}{}
	s.running.Go(func() {
		s.linger(nc)
		nc.Close()
		s.mu.Lock()
		delete(s.refused, nc)
		s.mu.Unlock()
	})
	return true
}

// linger lets a client that still sends read its last reply: closing at once would reset the connection, and take the
// reply away. It is best effort, so that errors are of no interest.
func (s *Server) linger(nc net.Conn) {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	draining, most, pause := s.draining.Load(), lingerTime, lingerPause
	if draining {
		most, pause = closingTime, closingPause
	}
	buffer := make([]byte, MaxInlineBytes)
	for end := time.Now().Add(most); time.Now().Before(end); {
		if nc.SetReadDeadline(time.Now().Add(pause)) != nil || s.draining.Load() != draining { // looked at after it, as in rest
			return
		}
		if _, err := nc.Read(buffer); err != nil {
			return
		}
	}
}

// attend serves a connection to its end.
func (s *Server) attend(c *conn) {
	s.metrics.accepted.Inc()
	ctx, cancel := context.WithCancel(s.base)
	defer cancel()
	defer func() {
		c.nc.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	c.serve(ctx)
}

// Addr answers where Serve listens; nil: it does not yet.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Shutdown stops accepting, lets each connection finish the commands it has sent, and closes it. When ctx ends before
// all are done, it ends what runs, closes every connection and answers ctx's error. The server cannot serve again.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.metrics.unregister()
	s.drain()
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	select {
	case <-done:
		s.stop()
		return nil
	case <-ctx.Done():
	}
	s.stop()
	s.mu.Lock()
	for c := range s.conns {
		c.nc.Close()
	}
	s.mu.Unlock()
	<-done
	return fmt.Errorf("shut down redis server: %w", ctx.Err())
}

// drain closes the listener and wakes the connections that wait for a command.
func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	if s.listener != nil {
		s.listener.Close()
	}
	past := time.Unix(1, 0) // a connection that cannot have a deadline is closed already
	for c := range s.conns {
		_ = c.nc.SetReadDeadline(past)
	}
	for nc := range s.refused {
		_ = nc.SetReadDeadline(past)
	}
}

// saw remembers a revision, so that no later reply of this server is older, whatever the connection.
func (s *Server) saw(revision uint64) {
	for {
		old := s.seen.Load()
		if revision <= old || s.seen.CompareAndSwap(old, revision) {
			return
		}
	}
}
