// Package sim runs a cluster of whole nodes in one process, in virtual time (testing/synctest), over a network in memory
// that loses, delays and parts (cluster/simnet). Its main type is Cluster. Nodes are those of cluster/node, with nothing
// replaced but the network and, as a rule, the store's disk; a test uses them as clients do, over their HTTP planes.
//
// Virtual time goes on when all goroutines wait, so that minutes of a cluster take seconds, and what takes no waiting
// takes no time. Runs are not repeatable to the bit: a test asserts bounds. Seeds decide about packets only.
package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/cluster/simnet"
	"github.com/sett-run/sett/sdk/client"
)

// Times of a cluster, virtual ones.
const (
	defaultLatency = 2 * time.Millisecond
	readyWithin    = time.Minute      // until a node that was started is ready
	stopWithin     = 10 * time.Second // for requests in flight when a node is stopped
	// lastTimers is what timers need that nobody waits for: fasthttp's pool of workers sleeps up to 10 s past its end,
	// memberlist's last probes end within 10 s.
	lastTimers = 11 * time.Second
)

// Ports of every node, on its own host.
const (
	httpPort   = ":8080"
	adminPort  = ":8081"
	gossipPort = ":7946"
)

// Config says what a cluster is like. The zero value has no nodes.
type Config struct {
	Nodes   int           // how many Run starts
	Seed    uint64        // of the network's losses and delays
	Regions []string      // node i stands in region i modulo their number; none: nowhere
	Latency time.Duration // of the network, from host to host; 0 means 2 ms. Jitter of the same size is added
	Loss    float64       // the probability that a packet of gossip is lost, from when all of Nodes are ready
	Disk    bool          // stores are on disk, so that a node comes back as the one it was. Slower
}

// Cluster is nodes, numbered from 0, on hosts called n0, n1 and so on. Its methods may be called concurrently, but for
// those that start or end the same node. All of them fail the test when what they do cannot be done.
type Cluster struct {
	t      testing.TB
	config Config
	net    *simnet.Network
	dir    string
	log    *record

	mu      sync.Mutex         // guards what follows
	nodes   map[int]*node.Node // those that run
	clients map[int]clients
	parted  map[int]int    // the group a node was put in by Partition
	down    map[int]bool   // nodes that crashed and were not started again
	starts  int            // names data directories
	dirs    map[int]string // of nodes that can come back
	ending  map[int]chan struct{}
}

// Run runs a test in a bubble of virtual time, with all of the configuration's nodes started and ready. It ends the
// nodes, and what they logged is in the test's log when it has failed.
func Run(t *testing.T, c Config, test func(t *testing.T, c *Cluster)) {
	t.Helper()
	warm(t)
	synctest.Test(t, func(t *testing.T) {
		s := New(t, c)
		defer s.Close()
		s.StartAll(c.Nodes)
		s.net.Loss(c.Loss)
		test(t, s)
	})
}

// warm starts what a process has once, as fasthttp's clock, which must not be of a bubble.
func warm(t *testing.T) {
	t.Helper()
	c := New(t, Config{})
	c.StartAll(1)
	c.Get(0, "/")
	c.end()
}

// New makes a cluster without nodes. Inside a bubble, Close it before that ends.
func New(t testing.TB, c Config) *Cluster {
	if c.Latency == 0 {
		c.Latency = defaultLatency
	}
	s := &Cluster{t: t, config: c, net: simnet.New(c.Seed), dir: t.TempDir(), log: new(record), nodes: map[int]*node.Node{}, clients: map[int]clients{},
		parted: map[int]int{}, down: map[int]bool{}, dirs: map[int]string{}, ending: map[int]chan struct{}{}}
	s.net.Latency(c.Latency)
	s.net.Jitter(c.Latency)
	return s
}

// Close ends all nodes and lets their last timers go off.
func (c *Cluster) Close() {
	c.Heal()
	c.end()
	time.Sleep(lastTimers)
	if c.t.Failed() {
		c.t.Log(c.log.String())
	}
}

func (c *Cluster) end() {
	c.mu.Lock()
	var closing sync.WaitGroup
	for i := range c.nodes {
		closing.Go(func() { c.Stop(i) })
	}
	ending := slices.Collect(maps.Values(c.ending))
	c.mu.Unlock()
	closing.Wait()
	for _, e := range ending {
		<-e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range c.clients {
		of.transport.CloseIdleConnections()
	}
}

// StartAll starts the first so many nodes, and returns when all are ready.
func (c *Cluster) StartAll(nodes int) {
	c.t.Helper()
	for i := range nodes {
		c.Start(i)
	}
	for i := range nodes {
		c.AwaitReady(i)
	}
}

// Start starts a node: the first one of all makes the cluster, others join through a living one. Where the store is on
// disk, a node that was there before comes back with what it had. Otherwise it is a new one, under a new id.
func (c *Cluster) Start(i int) {
	c.t.Helper()
	c.mu.Lock()
	ending := c.ending[i]
	dir, again := c.dirs[i]
	if !again {
		c.starts++
		dir = filepath.Join(c.dir, strconv.Itoa(c.starts))
	}
	founds := c.starts == 1
	c.mu.Unlock()
	if ending != nil {
		<-ending // the old one, whose directory may still be locked
	}
	c.back(i)
	config := c.nodeConfig(i, dir)
	if !founds && !again {
		config.Join = c.Invite(client.RoleVoter)
	}
	n, err := node.Start(context.Background(), config)
	if err != nil {
		c.t.Fatalf("start node %d: %v", i, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i] = n
	if c.config.Disk {
		c.dirs[i] = dir
	}
}

func (c *Cluster) nodeConfig(i int, dir string) node.Config {
	host := Host(i)
	config := node.Config{Data: dir, Name: host, HTTP: host + httpPort, Admin: "127.0.0.1" + adminPort, Cluster: host + gossipPort,
		Network: c.net.Host(host), InMemory: !c.config.Disk,
		Log: slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelInfo})).With("at", host)}
	if n := len(c.config.Regions); n > 0 {
		config.Region = c.config.Regions[i%n]
	}
	return config
}

// Stop ends a node as SIGTERM does. It answers requests in flight before.
func (c *Cluster) Stop(i int) {
	c.t.Helper()
	n := c.take(i)
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	c.clientsOf(i).transport.CloseIdleConnections()
	if err := n.Close(ctx); err != nil {
		c.t.Errorf("stop node %d: %v", i, err)
	}
}

// Crash ends a node as a power loss does: from now on nothing comes from it, and nobody is told.
func (c *Cluster) Crash(i int) {
	c.t.Helper()
	n := c.take(i)
	ended := make(chan struct{})
	c.mu.Lock()
	c.down[i], c.ending[i] = true, ended
	c.mu.Unlock()
	c.part()
	c.net.Crash(Host(i))
	go func() {
		defer close(ended)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = n.Close(ctx) // what it says comes of the crash
	}()
}

// take has a node count as one that does not run.
func (c *Cluster) take(i int) *node.Node {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[i]
	if n == nil {
		c.t.Fatalf("node %d does not run", i)
	}
	delete(c.nodes, i)
	return n
}

// Host is the name of a node and of its host.
func Host(i int) string { return fmt.Sprintf("n%d", i) }

// Node is one that runs.
func (c *Cluster) Node(i int) *node.Node {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[i]
	if n == nil {
		c.t.Fatalf("node %d does not run", i)
	}
	return n
}

// Running are the numbers of the nodes that run, ascending.
func (c *Cluster) Running() (numbers []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; len(numbers) < len(c.nodes); i++ {
		if c.nodes[i] != nil {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// record keeps the newest of what nodes log.
type record struct {
	mu    sync.Mutex // guards lines
	lines [][]byte
}

const maxLines = 2000

var _ io.Writer = (*record)(nil)

func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines = append(r.lines, bytes.Clone(line)); len(r.lines) > maxLines {
		r.lines = r.lines[1:]
	}
	return len(line), nil
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(bytes.Join(r.lines, nil))
}
