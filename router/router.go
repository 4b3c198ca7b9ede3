// Package router decides which function answers. It is the HTTP data plane, its main type Router: sockets, an
// immutable route table swapped whole, admission, and Dispatch, the one door to a function that HTTP, triggers and
// sett invoke all go through.
//
// It guarantees that a request sees one table from start to end, that a function is given only requests every proxy
// in front would read the same way, that a client gets either a reply HTTP can carry or a problem document
// (RFC 9457), and that nothing of a request is kept once it is answered.
package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/runtime/registry"
)

// Defaults of Config.
const (
	DefaultHeaderBytes   = 16 << 10
	DefaultConcurrent    = 4096
	DefaultConnections   = 65536
	DefaultStreamBytes   = 1 << 30
	DefaultHeaderTimeout = 10 * time.Second
	DefaultBodyTimeout   = 60 * time.Second
	DefaultWriteTimeout  = 60 * time.Second
	DefaultIdleTimeout   = 75 * time.Second
)

// Config says how a Router behaves. All but Invoker may be left zero.
type Config struct {
	Invoker Invoker               // runs functions
	Spill   Invoker               // runs them on another node when this one has no room; abi.TooManyRequests: none has. Nil: none
	Async   Async                 // takes invocations that are run later; nil: there are none
	Log     *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: metrics are not registered
	Sink    Sink                  // takes why a function's reply was refused; nil: nobody does
	// Idle is called by a connection's goroutine when its reply is out, before it waits for the next request: a moment
	// in which work that nobody waits for costs no goroutine. It takes microseconds. Nil: there is none.
	Idle func()

	// FuelHeader has every reply of a function tell in Sett-Fuel how many instructions its invocation took. It is
	// off by default, since it tells strangers what a function does with their input.
	FuelHeader bool

	// MaxBodyBytes is the largest request body that is not read in pieces; 0 means registry.DefaultBodyBytes. More lets
	// clients take more memory: a body is held whole until its invocation ends.
	MaxBodyBytes int
	// MaxReplyBytes is the largest reply body that is not sent in pieces; 0 means registry.DefaultBodyBytes.
	MaxReplyBytes int
	// MaxStreamBytes is the largest body, of a request or a reply, that passes in pieces; 0 means DefaultStreamBytes. It
	// takes no memory: more lets one invocation occupy the network longer.
	MaxStreamBytes int64
	// MaxHeaderBytes is the largest request line with headers; 0 means DefaultHeaderBytes. Each connection holds
	// a buffer of this size.
	MaxHeaderBytes int
	// MaxConcurrent is how many invocations run at once on the node; 0 means DefaultConcurrent. More lets one
	// burst take more memory; fewer refuses earlier, with 429.
	MaxConcurrent int64
	// MaxConnections is how many connections are open at once; 0 means DefaultConnections. Those above it are
	// answered 503 and closed.
	MaxConnections int

	// HeaderTimeout bounds reading a request's header, BodyTimeout its body, WriteTimeout writing the reply, the latter two
	// each piece of one that passes in pieces; IdleTimeout the wait for the next request; 0 means the defaults. Longer is
	// kinder to slow clients, and to those that hold connections on purpose.
	HeaderTimeout, BodyTimeout, WriteTimeout, IdleTimeout time.Duration
}

func (c Config) complete() Config {
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, registry.DefaultBodyBytes)
	c.MaxReplyBytes = cmp.Or(c.MaxReplyBytes, registry.DefaultBodyBytes)
	c.MaxStreamBytes = cmp.Or(c.MaxStreamBytes, DefaultStreamBytes)
	c.MaxHeaderBytes = cmp.Or(c.MaxHeaderBytes, DefaultHeaderBytes)
	c.MaxConcurrent = cmp.Or(c.MaxConcurrent, DefaultConcurrent)
	c.MaxConnections = cmp.Or(c.MaxConnections, DefaultConnections)
	c.HeaderTimeout = cmp.Or(c.HeaderTimeout, DefaultHeaderTimeout)
	c.BodyTimeout = cmp.Or(c.BodyTimeout, DefaultBodyTimeout)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, DefaultWriteTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, DefaultIdleTimeout)
	return c
}

// Validate names every fault of c.
func (c Config) Validate() error {
	var faults []error
	if c.Invoker == nil {
		faults = append(faults, errNoInvoker)
	}
	for name, n := range map[string]int64{
		"MaxBodyBytes": int64(c.MaxBodyBytes), "MaxReplyBytes": int64(c.MaxReplyBytes),
		"MaxStreamBytes": c.MaxStreamBytes, "MaxHeaderBytes": int64(c.MaxHeaderBytes), "MaxConcurrent": c.MaxConcurrent,
		"MaxConnections": int64(c.MaxConnections), "HeaderTimeout": int64(c.HeaderTimeout),
		"BodyTimeout": int64(c.BodyTimeout), "WriteTimeout": int64(c.WriteTimeout), "IdleTimeout": int64(c.IdleTimeout),
	} {
		if n < 0 || n > math.MaxInt64/2 {
			faults = append(faults, fmt.Errorf("%s: %d is out of range", name, n))
		}
	}
	return errors.Join(faults...)
}

var errNoInvoker = errors.New("Invoker is required")

// Router answers HTTP requests and dispatches invocations. Its methods may be called at once.
type Router struct {
	config   Config
	server   *fasthttp.Server // reads bodies before serve
	pieces   *fasthttp.Server // leaves them to serve; it takes over when a function takes bodies in pieces
	handoff  *handoff         // the listener of pieces
	metrics  *metrics
	rejected rejections
	access   ring
	requests sync.Pool // of *request

	swap  sync.Mutex // held while a table is built; the last one wins
	table atomic.Pointer[Table]

	base     context.Context // of every invocation; ends when a Shutdown is forced
	end      context.CancelFunc
	running  atomic.Int64  // invocations
	spilled  atomic.Int64  // invocations that run on other nodes
	draining atomic.Bool   // new requests are refused
	closed   atomic.Bool   // new invocations are refused
	idle     chan struct{} // the last invocation ended while draining
	done     chan struct{} // Shutdown is over

	started    time.Time
	clock      atomic.Int64 // nanoseconds since started, as of the last sweep
	sweepOnce  sync.Once
	piecesOnce sync.Once
	sweeping   sync.WaitGroup // what runs until Shutdown is over

	mu        sync.Mutex // guards conns, turned, listeners, and that none is added once draining
	conns     map[*conn]struct{}
	turned    int // clients over MaxConnections that are lingered for
	listeners []*listener
}

// New makes a router without routes: every request is answered 404 until the first Swap.
func New(c Config) (*Router, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configure router: %w", err)
	}
	c = c.complete()
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	r := &Router{
		config: c, metrics: m, rejected: m.rejections(),
		idle: make(chan struct{}, 1), done: make(chan struct{}), conns: map[*conn]struct{}{}, started: time.Now(),
	}
	r.base, r.end = context.WithCancel(context.Background())
	r.requests.New = func() any { return &request{context: new(invocationContext)} }
	r.server, r.pieces, r.handoff = r.newServer(), r.newPiecesServer(), newHandoff()
	return r, r.Swap(new(registry.Snapshot))
}

// Snapshot is the functions at one moment. *registry.Snapshot is one.
type Snapshot interface {
	Functions() []*registry.Function
}

var _ Snapshot = (*registry.Snapshot)(nil)

// Swap builds the table of a snapshot and makes it the one that new requests see; requests that run go on with
// the one they began with. On an error, which names every route that ties or does not parse, the old table stays.
// Calls take effect in their order. Counts of running invocations survive.
func (r *Router) Swap(s Snapshot) error {
	r.swap.Lock()
	defer r.swap.Unlock()
	old := r.table.Load()
	t, err := build(s.Functions(), old, r.metrics)
	if err != nil {
		return err
	}
	r.table.Store(t)
	if t.pieces && !old.pieces {
		r.changeServers()
	}
	r.metrics.inFlight.table.Store(t)
	r.metrics.forget(old, t)
	return nil
}

// Access answers the records of requests and invocations after a sequence number, oldest first, at most limit, and
// the number to go on from. The router keeps the last 1024.
func (r *Router) Access(after uint64, limit int) ([]Access, uint64) {
	return r.access.read(after, limit)
}
