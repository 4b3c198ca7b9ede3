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
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sett-run/sett/cluster/peer"
	"github.com/sett-run/sett/cluster/trust"
	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/kv/redis"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/router/admin"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/host"
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
	steps    steps
	store    *kv.Store
	logs     *logs.Logs
	runtime  *runtime.Runtime
	registry *registry.Registry
	router   *router.Router
	admin    *admin.Admin
	redis    *redis.Server // nil: off
	objects  *blob.Objects
	den      den
	toNodes  *http.Transport // to other nodes' admin planes
	client   *host.Client    // of all that functions send out

	queues    *queue.Queues
	delivery  *trigger.Delivery
	scheduler *trigger.Scheduler
	triggers  triggers

	httpListener, adminListener net.Listener
	redisListener               net.Listener // nil: off
	s3Listener                  net.Listener // nil: off

	ctx     context.Context // ends when Close begins; background work stops with it
	stop    context.CancelFunc
	ready   readiness
	closers []closer
	group   sync.WaitGroup // what serves
	failed  chan error     // 1 slot: the first end of a listener or the store that Close did not ask for

	firstToken string

	waiting    waiting
	wake       chan struct{}      // 1 slot: loading has to look at what waits
	refreshing sync.Mutex         // held from reading the store to serving what it says
	swapping   sync.Mutex         // held from reading the registry to swapping the table
	served     *registry.Snapshot // guarded by swapping: the last one; nil: none yet
	next       chan struct{}      // guarded by swapping: closed when served changes
	leaving    atomic.Bool        // it was asked to leave its cluster
	closing    sync.Once
	closeErr   error
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
	n := &Node{config: config, log: config.Log, started: time.Now(), metrics: prometheus.NewRegistry(), failed: make(chan error, 1),
		wake: make(chan struct{}, 1), next: make(chan struct{})}
	n.ctx, n.stop = context.WithCancel(context.Background())
	for _, step := range []func(context.Context) error{
		n.openData, n.openDen, n.openStore, n.openObjects, n.openClient, n.openRuntime, n.openPeers, n.openRegistry, n.openRouter, n.openTriggers, n.openAdmin,
		n.openPlaneForNodes, n.openRedis, n.listen, n.serve,
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
		n.ready.end("draining")
		n.sayGoodbye(ctx)
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

// goodbyeTimeout is how long a node that stops may take to hand over what it leads, and to tell others that it goes.
const goodbyeTimeout = 2 * time.Second

// sayGoodbye spares the others an election and requests to a node that is gone, when there are others.
func (n *Node) sayGoodbye(ctx context.Context) {
	if n.store == nil || n.den.gossip == nil || len(n.living()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, goodbyeTimeout)
	defer cancel()
	if n.den.server != nil {
		n.den.server.Drain()
	}
	another := func(s replica.Server) bool { return s.Voter && s.ID != n.ID() }
	if n.store.Replica().Leading() != 0 && slices.ContainsFunc(n.store.Replica().Servers(), another) {
		if err := n.store.Replica().TransferLeadership(ctx); err != nil {
			n.log.Warn("hand over leadership", "err", err)
		}
	}
	if err := n.den.gossip.Leave(ctx); err != nil {
		n.log.Warn("say goodbye", "err", err)
	}
}

// Failed tells when a listener or the store ends without Close: the node no longer serves and should be closed.
func (n *Node) Failed() <-chan error { return n.failed }

// HTTPAddr is the data plane's address, with the port that was picked.
func (n *Node) HTTPAddr() string { return n.httpListener.Addr().String() }

// AdminAddr is the admin plane's address.
func (n *Node) AdminAddr() string { return n.adminListener.Addr().String() }

// ClusterAddr is gossip's address.
func (n *Node) ClusterAddr() string { return n.den.gossip.Addr() }

// RedisAddr is the Redis protocol's address, empty when it is off.
func (n *Node) RedisAddr() string {
	if n.redisListener == nil {
		return ""
	}
	return n.redisListener.Addr().String()
}

// S3Addr is the address of S3's API, empty when it is off.
func (n *Node) S3Addr() string {
	if n.s3Listener == nil {
		return ""
	}
	return n.s3Listener.Addr().String()
}

// Name is the node's name.
func (n *Node) Name() string { return n.config.Name }

// ID is what the node remains under across restarts: 16 hexadecimal digits.
func (n *Node) ID() string { return n.dir.ID }

func (n *Node) openData(ctx context.Context) error {
	n.metrics.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.steps = newSteps(n.metrics)
	dir, err := openDataDir(n.config.Data)
	if err != nil {
		return err
	}
	n.dir = dir
	n.push("data directory", func(context.Context) error { return dir.close() })
	n.logs, err = logs.Open(logs.Config{Dir: dir.join(logsDir), Log: n.log, Metrics: n.metrics})
	if err != nil {
		return err
	}
	n.push("logs", func(context.Context) error { return n.logs.Close() })
	return nil
}

// openStore opens this node's copy of the store. A node that is its group alone has all of it when it returns.
func (n *Node) openStore(ctx context.Context) (err error) {
	group := replica.Config{ID: n.ID(), Transport: n.den.raft, Resolve: n.resolve}
	if n.den.founding != nil {
		group.Bootstrap = []replica.Server{{ID: n.ID(), Address: n.den.raft.Addr().String(), Voter: true}}
	}
	config := kv.Config{Dir: n.dir.join(storeDir), Group: group, Log: n.log, Metrics: n.metrics}
	if n.config.InMemory {
		config.Dir, config.InMemory = "", true
	}
	if n.store, err = kv.Open(ctx, config); err != nil {
		return err
	}
	n.push("store", func(context.Context) error { return n.store.Close() })
	n.queues = queue.Open(n.store)
	n.den.records = trust.NewRecords(n.store)
	seeded := make(chan struct{})
	go func() { defer close(seeded); n.seed() }()
	n.push("search for the cluster", func(context.Context) error { <-seeded; return nil })
	if !n.alone() {
		if n.den.founding != nil {
			return fmt.Errorf("%s has lost the identity of a node of a cluster, %s: restore it from a copy, or join again with an "+
				"empty --data", n.dir.path, clusterDir)
		}
		return n.finishRecovery(ctx) // which says when it was cut off
	}
	if err := n.store.CaughtUp(ctx); err != nil {
		return err
	}
	if err := n.store.RaiseLevel(ctx, kv.Level); err != nil { // all that there are know it
		return err
	}
	return errors.Join(n.putFounding(ctx), n.finishRecovery(ctx))
}

// openPeers prepares what this node asks of other nodes, and what it answers.
func (n *Node) openPeers(context.Context) (err error) {
	n.toNodes = n.nodeTransport()
	n.push("connections to nodes", func(context.Context) error { n.toNodes.CloseIdleConnections(); return nil })
	dial := func(ctx context.Context, address, id string) (net.Conn, error) {
		return n.den.http.DialNode(ctx, address, id)
	}
	if n.den.client, err = peer.NewClient(peer.ClientConfig{Dial: dial, Self: n.ID(), Log: n.log, Metrics: n.metrics}); err != nil {
		return err
	}
	n.push("client of nodes", func(context.Context) error { n.den.client.Close(); return nil })
	n.den.loader, err = peer.NewLoader(peer.LoaderConfig{Fetcher: n.den.client, Modules: n.runtime.Modules(), Holders: n.holders,
		Arrived: func(string) { n.wakeLoading() }, Log: n.log})
	if err != nil {
		return err
	}
	n.push("loader", func(context.Context) error { n.den.loader.Close(); return nil })
	return nil
}

// alone says whether this node is its group's only member.
func (n *Node) alone() bool {
	servers := n.store.Replica().Servers()
	return len(servers) == 1 && servers[0].ID == n.ID()
}

// openPlaneForNodes prepares what this node answers other nodes.
func (n *Node) openPlaneForNodes(context.Context) (err error) {
	n.den.server, err = peer.NewServer(peer.ServerConfig{Modules: n.runtime.Modules(), Invoker: taken{n}, Fetcher: n.den.client,
		Chunks: n.objects.Chunks(), Codes: n.runtime, Admin: n.admin.ForNodes(), Log: n.log, Metrics: n.metrics})
	return err
}

func (n *Node) openRuntime(ctx context.Context) (err error) {
	n.runtime, err = runtime.New(ctx, runtime.Config{
		Dir: n.dir.join(runtimeDir), Log: n.log, Metrics: n.metrics, Sink: n.logs,
		Store: n.store, Fetcher: n.client, Invoker: outgoing{n}, Queues: n.queues, Events: n,
		Objects: guestObjects{n.objects}, Workers: n.config.CompileWorkers, Name: "sett/" + n.config.Version,
	})
	if err != nil {
		return err
	}
	n.push("runtime", n.runtime.Close)
	return nil
}

func (n *Node) openRegistry(ctx context.Context) (err error) {
	n.registry, err = registry.Open(ctx, n.store)
	return err
}

func (n *Node) openRouter(context.Context) (err error) {
	n.router, err = router.New(router.Config{Invoker: invoker{n}, Spill: spill{n}, Async: n, Log: n.log, Metrics: n.metrics, Sink: n.logs,
		Idle: n.runtime.Clean, FuelHeader: n.config.FuelHeader})
	return err
}
