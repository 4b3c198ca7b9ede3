package kv

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/kv/replica/replicatest"
)

const patience = time.Minute // until something that must happen is missing

// trio is three stores in one process: in memory, or on disk when it has a directory.
type trio struct {
	t    *testing.T
	dir  string
	net  *replicatest.Network // nil: real TCP
	book *addresses           // of TCP
	ids  []string

	adjust  func(*Config) // nil: configurations as they are
	latency time.Duration // of the network with faults, when it has none

	stores map[string]*atomic.Pointer[Store] // nil in it: the node is down
}

// startTrio starts three nodes on a network with faults, in memory when dir is empty.
func startTrio(t *testing.T, dir string) *trio {
	t.Helper()
	g := newTrio(t, dir)
	g.net = replicatest.New()
	g.startAll()
	return g
}

func newTrio(t *testing.T, dir string) *trio {
	g := &trio{t: t, dir: dir, book: &addresses{at: map[string]string{}}, ids: []string{"a", "b", "c"}, stores: map[string]*atomic.Pointer[Store]{}}
	for _, id := range g.ids {
		g.stores[id] = new(atomic.Pointer[Store])
	}
	t.Cleanup(g.close)
	return g
}

// startAll starts all nodes that are down, at once: none of them opens alone.
func (g *trio) startAll() {
	g.t.Helper()
	var starting sync.WaitGroup
	for _, id := range g.ids {
		if g.stores[id].Load() == nil {
			starting.Go(func() { g.start(id) })
		}
	}
	starting.Wait()
	if g.t.Failed() {
		g.t.FailNow()
	}
}

// start opens a node's store and fails the test when it does not.
func (g *trio) start(id string) {
	s, err := g.open(id, g.config(id, g.members()))
	if err != nil {
		g.t.Errorf("open %s: %v", id, err)
		return
	}
	g.stores[id].Store(s)
}

func (g *trio) open(id string, c Config) (*Store, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if g.net != nil {
		c.Group.Transport, err = g.net.Listen(c.Group.ID)
	} else {
		c.Group.Transport, err = g.book.listen(c.Group.ID)
		c.Group.Resolve = g.book.resolve
	}
	if err != nil {
		return nil, err
	}
	s, err := openReady(ctx, c)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// config is that of a node; the members are those of a group that begins.
func (g *trio) config(id string, members []replica.Server) Config {
	c := Config{InMemory: g.dir == "", Log: testLog(g.t), Group: replica.Config{ID: id, Bootstrap: members}}
	if g.dir != "" {
		c.Dir = filepath.Join(g.dir, id)
	}
	if g.adjust != nil {
		g.adjust(&c)
	}
	return c
}

func (g *trio) members() (servers []replica.Server) {
	for _, id := range g.ids {
		servers = append(servers, replica.Server{ID: id, Address: id, Voter: true})
	}
	return servers
}

func testLog(t *testing.T) *slog.Logger {
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})).With("test", t.Name())
}

// heal ends all faults of the network.
func (g *trio) heal() {
	g.net.Heal()
	for _, from := range g.ids {
		for _, to := range g.ids {
			g.net.Delay(from, to, g.latency)
		}
	}
}

// stop closes a node's store. A node that is down stays so.
func (g *trio) stop(id string) {
	if s := g.stores[id].Swap(nil); s != nil {
		if err := s.Close(); err != nil {
			g.t.Errorf("close %s: %v", id, err)
		}
	}
}

func (g *trio) close() {
	for id := range g.stores {
		g.stop(id)
	}
}

// at answers a node's store.
func (g *trio) at(id string) *Store { return g.stores[id].Load() }

// leader waits for a node that leads.
func (g *trio) leader() string {
	g.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, id := range g.ids {
			if s := g.at(id); s != nil && s.replica.Leading() != 0 {
				return id
			}
		}
	}
	g.t.Fatalf("nobody leads after %v", patience)
	return ""
}

func (g *trio) follower() string {
	g.t.Helper()
	leader := g.leader()
	for _, id := range g.ids {
		if id != leader && g.at(id) != nil {
			return id
		}
	}
	g.t.Fatal("nobody follows")
	return ""
}

// commit does ops in namespace "app" through a node.
func (g *trio) commit(id string, ops ...op.Op) op.Result {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := g.at(id).Commit(ctx, op.Txn{Namespace: "app", Ops: ops})
	if err != nil {
		g.t.Fatalf("commit through %s: %v", id, err)
	}
	return r
}

// mustBeEqual checks that all nodes have the same state at an index.
func (g *trio) mustBeEqual() {
	g.t.Helper()
	index := uint64(0)
	for _, id := range g.ids {
		if err := g.at(id).CaughtUp(context.Background()); err != nil {
			g.t.Fatalf("catch up on %s: %v", id, err)
		}
		index = max(index, g.at(id).state.Applied())
	}
	want, err := hashAt(g.at(g.ids[0]), index)
	if err != nil {
		g.t.Fatalf("hash of %s: %v", g.ids[0], err)
	}
	for _, id := range g.ids[1:] {
		if got, err := hashAt(g.at(id), index); err != nil || got != want {
			g.t.Errorf("at index %d %s has hash %.8s, %v; %s has %.8s", index, id, got, err, g.ids[0], want)
		}
	}
}

// hashAt waits for an index and answers the hash of a store's state there.
func hashAt(s *Store, index uint64) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.replica.Wait(ctx, index); err != nil {
		return "", err
	}
	view, err := s.state.ViewAt(index)
	if err != nil {
		return "", err
	}
	defer view.Close()
	sum, err := s.state.Hash(view)
	return fmt.Sprintf("%x", [sha256.Size]byte(sum)), err
}

// addresses is where nodes are on real TCP: at another port after each start.
type addresses struct {
	mu sync.Mutex // guards at
	at map[string]string
}

func (a *addresses) listen(id string) (replica.Transport, error) {
	transport, err := replica.ListenTCP(context.Background(), "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at[id] = transport.Addr().String()
	return transport, nil
}

func (a *addresses) resolve(id string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if address := a.at[id]; address != "" {
		return address, nil
	}
	return "", &net.AddrError{Err: "not started yet", Addr: id}
}

// do has a node make a call, for as long as a client is patient.
func (g *trio) do(id string, c call, patience time.Duration) answer {
	s := g.at(id)
	if s == nil {
		return answer{Outcome: refused, Text: "the node is down"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.do(ctx, s)
}

// somePatience is a client's, below and above what an election takes.
func somePatience(random *rand.Rand) time.Duration {
	return 50*time.Millisecond + time.Duration(random.Int64N(int64(time.Second)))
}

// clients make calls on all nodes until there are enough, and answer how to wait for them.
func (g *trio) clients(t *testing.T, h *history, seed uint64, enough int, read op.Read) (wait func()) {
	var running sync.WaitGroup
	for i := range 12 {
		c := newClient(i, seed, h, read)
		running.Go(func() {
			c.run(t, enough, func(random *rand.Rand, next call) answer {
				return g.do(g.ids[random.IntN(len(g.ids))], next, somePatience(random))
			})
		})
	}
	return running.Wait
}

// readAll reads every key strongly through every node, as a client of its own.
func (g *trio) readAll(h *history) {
	g.t.Helper()
	for i, id := range g.ids {
		for key := range keys {
			c := call{Kind: callGet, Key: fmt.Sprint("key-", key), Read: op.Read{Consistency: op.Strong}}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			if a := h.do(100+i, c, func() answer { return c.do(ctx, g.at(id)) }); a.Outcome != happened {
				g.t.Errorf("strong read through %s when all is well: %s", id, a.Text)
			}
			cancel()
		}
	}
}
