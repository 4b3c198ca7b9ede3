package kv

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/kv/replica/replicatest"
)

// lone is the group of a node that begins one.
func lone(id string, transport replica.Transport) replica.Config {
	return replica.Config{ID: id, Transport: transport,
		Bootstrap: []replica.Server{{ID: id, Address: id, Voter: true}}}
}

// TestRename opens what a lone node without an id left as a node of a cluster.
func TestRename(t *testing.T) {
	t.Parallel()
	net := replicatest.New()
	dir := filepath.Join(t.TempDir(), "store")
	s := openTest(t, Config{Dir: dir})
	before, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{set("k", "v")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		transport, err := net.Listen("at-n1")
		if err != nil {
			t.Fatal(err)
		}
		s = openTest(t, Config{Dir: dir, Group: lone("n1", transport)})
		if i, err := s.Get(t.Context(), "app", "k", strong); err != nil || string(i.Value) != "v" || i.Revision != before.Revision {
			t.Errorf("get = %+v, %v, want v of %d", i, err, before.Revision)
		}
		if m := s.Replica().Servers(); len(m) != 1 || m[0] != (replica.Server{ID: "n1", Address: "at-n1", Voter: true}) {
			t.Errorf("members %v", m)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openReady(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), `"n1"`) || !strings.Contains(err.Error(), `"sole"`) {
		t.Errorf("open without an id: %v, want an error that names both", err)
	}
}

// TestNoQuorum opens one node of three alone: it answers what needs no leader.
func TestNoQuorum(t *testing.T) {
	t.Parallel()
	g := newTrio(t, t.TempDir())
	g.net = replicatest.New()
	g.startAll()
	r := g.commit("a", set("k", "v"))
	g.mustBeEqual()
	for _, id := range g.ids {
		g.stop(id)
	}
	transport, err := g.net.Listen("b")
	if err != nil {
		t.Fatal(err)
	}
	c := g.config("b", g.members())
	c.Group.Transport = transport
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	g.stores["b"].Store(s)
	for name, read := range map[string]op.Read{"local": {Consistency: op.Local}, "session": {}, "seen": {Seen: r.Revision}} {
		if i, err := s.Get(t.Context(), "app", "k", read); err != nil || string(i.Value) != "v" {
			t.Errorf("%s read without a quorum = %q, %v", name, i.Value, err)
		}
	}
	if p, err := s.List(t.Context(), "app", op.Query{}); err != nil || len(p.Items) != 1 {
		t.Errorf("list without a quorum = %v, %v", p, err)
	}
	if u, err := s.Usage(t.Context(), "app"); err != nil || u.Keys != 1 {
		t.Errorf("usage without a quorum = %+v, %v", u, err)
	}
	if level, err := s.Level(); err != nil || level != 1 {
		t.Errorf("level without a quorum = %d, %v", level, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, later := s.Get(ctx, "app", "k", op.Read{Seen: r.Revision << 1})
	_, strongly := s.Get(ctx, "app", "k", strong)
	_, write := s.Commit(ctx, op.Txn{Namespace: "app", Ops: []op.Op{set("k", "w")}})
	for name, err := range map[string]error{"catch up": s.CaughtUp(ctx), "later": later, "strong": strongly, "write": write} {
		if !errors.Is(err, op.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s without a quorum: %v", name, err)
		}
	}
	g.startAll()
	if err := s.CaughtUp(t.Context()); err != nil {
		t.Error(err)
	}
	g.mustBeEqual()
}

// TestCaughtUpOfJoiner has a new node wait until it is added, and then have everything.
func TestCaughtUpOfJoiner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTrio(t, "")
		g.net = replicatest.New()
		a := g.open1("a", []replica.Server{{ID: "a", Address: "a", Voter: true}})
		for range 100 {
			g.commit("a", op.Op{Kind: op.Incr, Key: "n", Delta: 1})
		}
		b := g.open1("b", nil)
		caught := make(chan error, 1)
		go func() { caught <- b.CaughtUp(context.Background()) }()
		time.Sleep(time.Minute)
		select {
		case err := <-caught:
			t.Fatalf("a node that nobody has added has caught up: %v", err)
		default:
		}
		if err := a.Replica().AddReader(t.Context(), "b", "b"); err != nil {
			t.Fatal(err)
		}
		if err := <-caught; err != nil {
			t.Fatal(err)
		}
		if i, err := b.Get(t.Context(), "app", "n", op.Read{Consistency: op.Local}); err != nil || string(i.Value) != "100" {
			t.Errorf("get = %q, %v, want 100", i.Value, err)
		}
		if err := a.Replica().RemoveServer(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		for !b.Replica().Removed() {
			time.Sleep(time.Second)
		}
		if err := b.CaughtUp(t.Context()); !errors.Is(err, replica.ErrRemoved) {
			t.Errorf("catch up of a removed node: %v, want %v", err, replica.ErrRemoved)
		}
	})
}

// open1 opens a node on the network without waiting for a group.
func (g *trio) open1(id string, bootstrap []replica.Server) *Store {
	g.t.Helper()
	transport, err := g.net.Listen(id)
	if err != nil {
		g.t.Fatal(err)
	}
	c := g.config(id, bootstrap)
	c.Group.Transport = transport
	s, err := Open(context.Background(), c)
	if err != nil {
		g.t.Fatal(err)
	}
	g.stores[id].Store(s)
	return s
}

// TestGrowUnderLoad makes three of a lone node, on TCP and disk, while it is written to; then the first one goes.
func TestGrowUnderLoad(t *testing.T) {
	t.Parallel()
	g := newTrio(t, t.TempDir())
	for _, id := range g.ids {
		var err error
		c := g.config(id, nil)
		if c.Group.Transport, err = g.book.listen(id); err != nil {
			t.Fatal(err)
		}
		c.Group.Resolve = g.book.resolve
		if id == "a" {
			c.Group.Bootstrap = lone(id, nil).Bootstrap
		}
		s, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		g.stores[id].Store(s)
	}
	stop := make(chan struct{})
	var acknowledged, unknown atomic.Int64
	var writers sync.WaitGroup
	for _, id := range []string{"b", "c"} {
		s := g.at(id)
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				_, err := s.Commit(ctx, op.Txn{Namespace: "app", Ops: []op.Op{{Kind: op.Incr, Key: "n", Delta: 1}}})
				cancel()
				switch {
				case err == nil:
					acknowledged.Add(1)
				case errors.Is(err, op.ErrUnknown):
					unknown.Add(1)
				default:
					t.Errorf("commit: %v", err)
					return
				}
			}
		})
	}
	for _, id := range []string{"b", "c"} {
		g.asLeader(func(r *replica.Replica) error { return r.AddReader(t.Context(), id, id) })
	}
	for _, id := range []string{"b", "c"} {
		if err := g.at(id).CaughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.asLeader(func(r *replica.Replica) error { return r.AddVoter(t.Context(), id, id) })
	}
	grew := acknowledged.Load()
	for acknowledged.Load() < grew+50 {
		time.Sleep(time.Millisecond)
	}
	g.stop("a")
	went := acknowledged.Load()
	for acknowledged.Load() < went+50 {
		time.Sleep(time.Millisecond)
	}
	close(stop)
	writers.Wait()
	for _, id := range []string{"b", "c"} {
		i, err := g.at(id).Get(t.Context(), "app", "n", strong)
		n, _ := strconv.ParseInt(string(i.Value), 10, 64)
		if low := acknowledged.Load(); err != nil || n < low || n > low+unknown.Load() {
			t.Errorf("%s counts %d, %v, want %d and at most %d more", id, n, err, low, unknown.Load())
		}
	}
	if unknown.Load() > 0 {
		t.Errorf("the outcome of %d increments is unknown", unknown.Load())
	}
}

// TestRaiseLevel raises the level of a group of three whose builds all know it.
func TestRaiseLevel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTrio(t, "")
		g.net = replicatest.New()
		g.adjust = func(c *Config) { c.level = 2 }
		g.startAll()
		for _, id := range g.ids {
			for _, level := range []uint8{1, 2, 1} {
				if err := g.at(id).RaiseLevel(t.Context(), level); err != nil {
					t.Errorf("raise level to %d through %s: %v", level, id, err)
				}
			}
		}
		for _, level := range []uint8{0, 3} {
			if err := g.at("a").RaiseLevel(t.Context(), level); !errors.Is(err, op.ErrInvalid) {
				t.Errorf("raise level to %d: %v, want %v", level, err, op.ErrInvalid)
			}
		}
		g.mustBeEqual()
		for _, id := range g.ids {
			if level, err := g.at(id).Level(); err != nil || level != 2 {
				t.Errorf("level on %s = %d, %v, want 2", id, level, err)
			}
		}
		if Level != fsm.Level {
			t.Error("this build knows two levels")
		}
	})
}

// TestTooNew opens a state whose level a build does not know.
func TestTooNew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openTest(t, Config{Dir: dir, level: 2})
	if err := s.RaiseLevel(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{Dir: dir, level: 1})
	if !errors.Is(err, fsm.ErrTooNew) || !strings.Contains(err.Error(), "upgrade") {
		t.Errorf("open with an older build: %v, want a word about an upgrade", err)
	}
	s = openTest(t, Config{Dir: dir, level: 2})
	snapshot, err := s.machine.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	var stream bytes.Buffer
	if _, err := snapshot.WriteTo(&stream); err != nil {
		t.Fatal(err)
	}
	older := openTest(t, Config{InMemory: true, level: 1})
	if err := older.machine.Restore(&stream); !errors.Is(err, fsm.ErrTooNew) || !errors.Is(err, replica.ErrUnfit) {
		t.Errorf("restore with an older build: %v, want %v", err, fsm.ErrTooNew)
	}
	if level, err := s.Level(); err != nil || level != 2 {
		t.Errorf("level = %d, %v, want 2", level, err)
	}
}
