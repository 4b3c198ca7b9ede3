// Package node assembles a node from the rooms, which know nothing of each other: store, registry, runtime,
// router, admin plane and listeners. Its main type is Node. It guarantees that Start returns a whole node or an
// error with nothing left open, that the data plane listens last, and that Close drains requests before it takes
// anything away from under them.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/redis"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/router/admin"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/logs"
	"github.com/sett-run/sett/runtime/registry"
)

// Node is a running node. Its methods may be called concurrently.
type Node struct {
	config   Config
	log      *slog.Logger
	started  time.Time
	dir      *dataDir
	metrics  *prometheus.Registry
	store    *kv.Store
	logs     *logs.Logs
	runtime  *runtime.Runtime
	registry *registry.Registry
	router   *router.Router
	admin    *admin.Admin
	redis    *redis.Server // nil: off

	httpListener, adminListener, clusterListener net.Listener
	redisListener                                net.Listener // nil: off

	ctx     context.Context // ends when Close begins; background work stops with it
	stop    context.CancelFunc
	ready   readiness
	closers []closer
	group   sync.WaitGroup // what serves
	failed  chan error     // the end of a listener or the store that Close did not ask for

	firstToken string

	swapping sync.Mutex // held from reading the registry to swapping the table
	closing  sync.Once
	closeErr error
}

// closer gives back one thing that Start opened.
type closer struct {
	name  string
	close func(context.Context) error
}

// Start runs a node until Close. The context bounds starting only.
func Start(ctx context.Context, config Config) (*Node, error) {
	config = config.complete()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	n := &Node{config: config, log: config.Log, started: time.Now(), metrics: prometheus.NewRegistry(), failed: make(chan error, 5)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	for _, step := range []func(context.Context) error{
		n.openData, n.openRuntime, n.openRegistry, n.openRouter, n.openAdmin, n.openRedis, n.listen, n.serve,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, n.Close(context.Background()))
		}
	}
	return n, nil
}

// push registers what Close gives back, in reverse order.
func (n *Node) push(name string, close func(context.Context) error) {
	n.closers = append(n.closers, closer{name, close})
}

// Close stops accepting, waits for requests in flight until ctx ends, and gives everything back. Further calls
// answer the first one's error.
func (n *Node) Close(ctx context.Context) error {
	n.closing.Do(func() {
		n.ready.set("draining")
		n.stop()
		var errs []error
		for i := len(n.closers) - 1; i >= 0; i-- {
			if err := n.closers[i].close(ctx); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", n.closers[i].name, err))
			}
		}
		n.closeErr = errors.Join(errs...)
	})
	return n.closeErr
}

// Failed tells when a listener or the store ends without Close: the node no longer serves and should be closed.
func (n *Node) Failed() <-chan error { return n.failed }

// HTTPAddr is the data plane's address, with the port that was picked.
func (n *Node) HTTPAddr() string { return n.httpListener.Addr().String() }

// AdminAddr is the admin plane's address.
func (n *Node) AdminAddr() string { return n.adminListener.Addr().String() }

// ClusterAddr is the address kept for other nodes.
func (n *Node) ClusterAddr() string { return n.clusterListener.Addr().String() }

// RedisAddr is the Redis protocol's address, empty when it is off.
func (n *Node) RedisAddr() string {
	if n.redisListener == nil {
		return ""
	}
	return n.redisListener.Addr().String()
}

// Name is the node's name; ID is what it remains under across restarts.
func (n *Node) Name() string { return n.config.Name }

// ID is the node's stable id: 16 hexadecimal digits.
func (n *Node) ID() string { return n.dir.ID }

func (n *Node) openData(ctx context.Context) error {
	n.metrics.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	dir, err := openDataDir(n.config.Data)
	if err != nil {
		return err
	}
	n.dir = dir
	n.push("data directory", func(context.Context) error { return dir.close() })
	n.store, err = kv.Open(ctx, kv.Config{Dir: dir.join(storeDir), Log: n.log, Metrics: n.metrics})
	if err != nil {
		return err
	}
	n.push("store", func(context.Context) error { return n.store.Close() })
	if err := n.store.CaughtUp(ctx); err != nil {
		return err
	}
	n.logs, err = logs.Open(logs.Config{Dir: dir.join(logsDir), Log: n.log, Metrics: n.metrics})
	if err != nil {
		return err
	}
	n.push("logs", func(context.Context) error { return n.logs.Close() })
	return nil
}

func (n *Node) openRuntime(ctx context.Context) (err error) {
	n.runtime, err = runtime.New(ctx, runtime.Config{
		Dir: n.dir.join(runtimeDir), Log: n.log, Metrics: n.metrics, Sink: n.logs,
		Store: n.store, Name: "sett/" + n.config.Version,
	})
	if err != nil {
		return err
	}
	n.push("runtime", n.runtime.Close)
	return nil
}

func (n *Node) openRegistry(ctx context.Context) (err error) {
	if n.registry, err = registry.Open(ctx, n.store); err != nil {
		return err
	}
	n.collectModules()
	return nil
}

func (n *Node) openRouter(context.Context) (err error) {
	if n.router, err = router.New(router.Config{Invoker: n.runtime, Log: n.log, Metrics: n.metrics, Sink: n.logs,
		Idle: n.runtime.Clean, FuelHeader: n.config.FuelHeader}); err != nil {
		return err
	}
	return n.swap()
}
