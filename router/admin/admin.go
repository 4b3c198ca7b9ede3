// Package admin serves a node's admin plane: JSON under /v1 described by /v1/openapi.json, metrics for Prometheus,
// and health. Its main type is Admin, an http.Handler; the shapes are sdk/client's.
//
// It promises that nobody acts without being allowed to: beyond loopback every call but health and the
// description needs a token, on loopback a foreign Origin or Host is refused, and a token of an app reaches
// that app alone. A request's body is checked whole before anything changes, and an uploaded module is never
// whole in memory.
package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Config is what an Admin is made of. The rooms are asked for by the interfaces of this package; all but those that may
// be nil are needed.
type Config struct {
	Modules  Modules
	Deployer Deployer
	Registry Registry
	Changes  Changes
	Invoker  Invoker
	Bencher  Bencher
	Logs     Logs
	Tokens   TokenStore
	Node     Node
	KV       KV       // nil: what concerns keys and values answers abi.Unsupported
	Cluster  Cluster  // nil: what concerns other nodes answers abi.Unsupported
	Backuper Backuper // nil: backups answer abi.Unsupported
	Activity Activity // nil: what nodes did answers abi.Unsupported

	// Check names faults of settings that Settings.Validate leaves to others: within schedules and filters. Nil: none.
	Check func(s registry.Settings) error

	// Nil: what concerns them answers abi.Unsupported.
	Queues        Queues
	Objects       Objects
	Subscriptions Subscriptions
	Events        Events
	Schedules     Schedules
	Async         Async

	Gatherer prometheus.Gatherer   // what /metrics serves
	Metrics  prometheus.Registerer // where the admin plane's own figures go; nil: nowhere
	Log      *slog.Logger          // nil: nowhere

	// Loopback says that only this machine reaches the listener, so that a request without a token is an
	// admin's. Serve refuses a listener for which that is not so. False asks everyone for a token.
	Loopback bool
	Limits   Limits
}

// Limits bound what callers may ask for. Zero means the default.
type Limits struct {
	Requests  int // requests at once, 256; more lets more callers in and takes more memory; above: 429
	Uploads   int // uploads at once, 16; each holds a file and a connection; above: 429
	Followers int // followed logs, watches and receives that wait at once, 64; each holds a connection; above: 429
	Benches   int // benches at once, 1; more disturb one another's figures; above: 429

	ModuleBytes int64         // largest module, 64 MiB; larger ones compile for minutes
	JSONBytes   int64         // largest JSON body, 1 MiB, and of an invocation, 9 MiB
	ReadTimeout time.Duration // how long a JSON body may take to arrive, 30 s
	Stall       time.Duration // longest pause within an upload, or of a reader of logs or changes, 30 s
	UploadTime  time.Duration // how long an upload may take in all, 15 min
	Time        time.Duration // how long a call may take that neither streams nor runs a function, 30 s; without a leader it waits so long
	ReplyTime   time.Duration // how long a response may take to be read, 2 min; a line of a followed log or watch: Stall
}

// Defaults of Limits, as it documents them.
const (
	defaultRequests     = 256
	defaultUploads      = 16
	defaultFollowers    = 64
	defaultBenches      = 1
	defaultModuleBytes  = 64 << 20
	defaultJSONBytes    = 1 << 20
	defaultInvokeBytes  = 9 << 20 // 6 MiB of body in base64, and headers
	defaultReadTimeout  = 30 * time.Second
	defaultStallTimeout = 30 * time.Second
	defaultUploadTime   = 15 * time.Minute
	defaultReplyTime    = 2 * time.Minute
	defaultTime         = 30 * time.Second
)

func (l Limits) complete() Limits {
	l.Requests = orDefault(l.Requests, defaultRequests)
	l.Uploads = orDefault(l.Uploads, defaultUploads)
	l.Followers = orDefault(l.Followers, defaultFollowers)
	l.Benches = orDefault(l.Benches, defaultBenches)
	l.ModuleBytes = orDefault(l.ModuleBytes, defaultModuleBytes)
	l.JSONBytes = orDefault(l.JSONBytes, defaultJSONBytes)
	l.ReadTimeout = orDefault(l.ReadTimeout, defaultReadTimeout)
	l.Stall = orDefault(l.Stall, defaultStallTimeout)
	l.UploadTime = orDefault(l.UploadTime, defaultUploadTime)
	l.ReplyTime = orDefault(l.ReplyTime, defaultReplyTime)
	l.Time = orDefault(l.Time, defaultTime)
	return l
}

func orDefault[T int | int64 | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}

// Admin answers the admin plane's requests. Many goroutines may use it at once.
type Admin struct {
	config  Config
	limits  Limits
	log     *slog.Logger
	tokens  *tokens
	routes  map[string]route // by pattern
	mux     *http.ServeMux
	metrics metrics

	requests, uploads, followers, benches gate

	changing sync.Mutex // held from the check of If-Match until the change is done

	serving  sync.Mutex // guards server
	server   *http.Server
	draining chan struct{} // closed once: followed logs and watches end, /readyz says no
	drain    func()
}

// New returns an Admin. It reads no token yet and listens nowhere.
func New(c Config) (*Admin, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("configure admin plane: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	l := c.Limits.complete()
	a := &Admin{
		config: c, limits: l, log: c.Log, tokens: &tokens{store: c.Tokens, log: c.Log}, mux: http.NewServeMux(),
		requests: make(gate, l.Requests), uploads: make(gate, l.Uploads),
		followers: make(gate, l.Followers), benches: make(gate, l.Benches),
		draining: make(chan struct{}),
	}
	a.drain = sync.OnceFunc(func() { close(a.draining) })
	a.routes = a.table()
	for pattern := range a.routes {
		a.mux.HandleFunc(pattern, a.serveRoute)
	}
	var err error
	if a.metrics, err = newMetrics(c.Metrics); err != nil {
		return nil, err
	}
	return a, nil
}

func (c Config) validate() error {
	var faults []error
	for _, f := range []struct {
		missing bool
		name    string
	}{
		{c.Modules == nil, "Modules"}, {c.Deployer == nil, "Deployer"}, {c.Registry == nil, "Registry"},
		{c.Changes == nil, "Changes"}, {c.Invoker == nil, "Invoker"}, {c.Bencher == nil, "Bencher"},
		{c.Logs == nil, "Logs"}, {c.Tokens == nil, "Tokens"}, {c.Node == nil, "Node"}, {c.Gatherer == nil, "Gatherer"},
	} {
		if f.missing {
			faults = append(faults, fmt.Errorf("%s is missing", f.name))
		}
	}
	return errors.Join(faults...)
}

// gate lets so many in at once as it has room.
type gate chan struct{}

// enter refuses what would be one too many; who entered leaves.
func (g gate) enter(what string) error {
	select {
	case g <- struct{}{}:
		return nil
	default:
		return abi.WithCode(abi.TooManyRequests, fmt.Errorf("over %d %s at once", cap(g), what))
	}
}

func (g gate) leave() { <-g }
