package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hashicorp/raft"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica/replicatest"
)

func TestMain(m *testing.M) {
	if dir := childDir(); dir != "" {
		childMain(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// group is three replicas in one process, in memory or on disk.
type group struct {
	t        *testing.T
	disk     string // directory; empty: in memory
	net      *replicatest.Network
	ids      []string
	machines map[string]*toy
	replicas map[string]*Replica
	counter  atomic.Int64
}

func startGroup(t *testing.T, adjust func(*Config)) *group {
	t.Helper()
	g := newGroup(t, "")
	for _, id := range g.ids {
		g.start(id, g.members(), adjust)
	}
	return g
}

// newGroup is one whose replicas are not started.
func newGroup(t *testing.T, disk string) *group {
	g := &group{t: t, disk: disk, net: replicatest.New(), ids: []string{"a", "b", "c"},
		machines: map[string]*toy{}, replicas: map[string]*Replica{}}
	t.Cleanup(g.close)
	return g
}

func (g *group) members() (servers []Server) {
	for _, id := range g.ids {
		servers = append(servers, Server{ID: id, Address: id, Voter: true})
	}
	return servers
}

// start starts a replica, in memory an empty one.
func (g *group) start(id string, bootstrap []Server, adjust func(*Config)) *Replica {
	g.t.Helper()
	transport, err := g.net.Listen(id)
	if err != nil {
		g.t.Fatal(err)
	}
	c := Config{ID: id, InMemory: true, Pack: toyPack, Transport: transport, Bootstrap: bootstrap, Log: testLog(g.t)}
	if g.machines[id] = newToy(); g.disk != "" {
		c.InMemory, c.Dir = false, filepath.Join(g.disk, id)
		if g.machines[id], err = openToy(c.Dir); err != nil {
			g.t.Fatal(err)
		}
	}
	c.Machine = g.machines[id]
	if adjust != nil {
		adjust(&c)
	}
	r, err := Open(c)
	if err != nil {
		g.t.Fatal(err)
	}
	g.replicas[id] = r
	return r
}

func testLog(t *testing.T) *slog.Logger {
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (g *group) close() {
	for id := range g.replicas {
		g.stop(id)
	}
}

func (g *group) stop(id string) {
	if err := g.replicas[id].Close(); err != nil {
		g.t.Errorf("close %s: %v", id, err)
	}
	delete(g.replicas, id)
}

// leader waits for one among the replicas given by name; none: all.
func (g *group) leader(among ...string) string {
	g.t.Helper()
	if len(among) == 0 {
		among = g.ids
	}
	var found string
	eventually(g.t, "a leader", func() bool {
		for _, id := range among {
			if r := g.replicas[id]; r != nil && r.Leading() != 0 {
				found = id
				return true
			}
		}
		return false
	})
	return found
}

func (g *group) others(id string) (others []string) {
	for _, o := range g.ids {
		if o != id {
			others = append(others, o)
		}
	}
	return others
}

// incr adds one to a counter through a replica.
func (g *group) incr(id, key string) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return g.incrCtx(ctx, id, key)
}

func (g *group) incrCtx(ctx context.Context, id, key string) (int64, error) {
	reply, _, err := g.replicas[id].Propose(ctx, fmt.Appendf(nil, "%d %s 1", g.counter.Add(1), key))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(reply), 10, 64)
}

func (g *group) mustIncr(id, key string, want int64) {
	g.t.Helper()
	if got, err := g.incr(id, key); err != nil || got != want {
		g.t.Fatalf("incr %s through %s = %d, %v, want %d", key, id, got, err, want)
	}
}

// read reads a counter linearizably through a replica.
func (g *group) read(ctx context.Context, id, key string) (int64, error) {
	index, err := g.replicas[id].ReadIndex(ctx)
	if err == nil {
		err = g.replicas[id].Wait(ctx, index)
	}
	return g.machines[id].get(key), err
}

func (g *group) mustRead(id, key string, want int64) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if got, err := g.read(ctx, id, key); err != nil || got != want {
		g.t.Fatalf("read %s through %s = %d, %v, want %d", key, id, got, err, want)
	}
}

const patience = time.Minute // until something that must happen is missing

func eventually(t *testing.T, what string, happens func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !happens(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) { test(t) })
}

func TestLeaderLoss(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		first := g.leader()
		g.mustIncr(first, "k", 1)
		g.stop(first)
		began := time.Now()
		second := g.leader()
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("another leader after %v, want 1.5 s at most", took)
		}
		g.mustRead(second, "k", 1)
		g.mustIncr(second, "k", 2)
	})
}

func TestFollower(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader()
		for i, id := range g.others(leader) {
			g.mustIncr(id, "k", int64(i+1))
			g.mustRead(id, "k", int64(i+1))
		}
		for _, id := range g.ids {
			eventually(t, "leader's name on "+id, func() bool { l, _ := g.replicas[id].Leader(); return l.ID == leader })
			g.mustRead(id, "k", 2)
		}
	})
}

func TestMinority(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		old := g.leader()
		g.mustIncr(old, "k", 1)
		g.net.Isolate(old)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := g.incrCtx(ctx, old, "k"); !errors.Is(err, op.ErrUnknown) {
			t.Errorf("propose through the isolated leader: %v, want %v", err, op.ErrUnknown)
		}
		if _, err := g.replicas[old].ReadIndex(ctx); !errors.Is(err, op.ErrUnavailable) {
			t.Errorf("read index of the isolated leader: %v, want %v", err, op.ErrUnavailable)
		}
		next := g.leader(g.others(old)...)
		g.mustIncr(next, "k", 2)
		ctx2, cancel2 := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel2()
		if _, err := g.incrCtx(ctx2, old, "k"); !errors.Is(err, op.ErrUnavailable) {
			t.Errorf("propose through the isolated replica: %v, want %v", err, op.ErrUnavailable)
		}
		g.net.Heal()
		g.mustRead(old, "k", 2) // and not 3: what the isolated leader had proposed is gone
		g.mustIncr(old, "k", 3)
	})
}

// TestOneWay has everything to, then everything from the leader held back.
func TestOneWay(t *testing.T) {
	t.Parallel()
	for _, heard := range []bool{false, true} {
		t.Run(fmt.Sprintf("heard=%v", heard), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := startGroup(t, nil)
				old := g.leader()
				g.mustIncr(old, "k", 1)
				for _, o := range g.others(old) {
					if heard {
						g.net.Hold(o, old)
					} else {
						g.net.Hold(old, o)
					}
				}
				next := g.leader(g.others(old)...)
				g.mustIncr(next, "k", 2)
				g.net.Heal()
				g.mustRead(old, "k", 2)
			})
		})
	}
}

// TestStaleLeader has a leader receive answers that its followers gave before they elected another one: they must not
// count for a reader who came after. The leader's clock is slow, as that of a process that was stopped is, so that its
// lease does not help.
func TestStaleLeader(t *testing.T) {
	t.Parallel()
	for range 5 {
		bubble(t, testStaleLeader)
	}
}

func testStaleLeader(t *testing.T) {
	g := newGroup(t, "")
	slow := func(c *Config) { c.HeartbeatTimeout, c.LeaseTimeout = time.Second, time.Second }
	g.start("a", []Server{{"a", "a", true}}, slow)
	g.leader()
	for _, id := range g.others("a") {
		g.start(id, nil, nil)
		if err := g.replicas["a"].AddVoter(t.Context(), id, id); err != nil {
			t.Fatal(err)
		}
	}
	g.mustIncr("a", "k", 1)
	g.mustRead("b", "k", 1)
	for _, o := range g.others("a") {
		g.net.Delay(o, "a", 700*time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // what is answered now arrives after an election
	for _, o := range g.others("a") {
		g.net.Hold("a", o)
	}
	next := g.leader("b", "c")
	g.mustIncr(next, "k", 2)
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if got, err := g.read(ctx, "a", "k"); err == nil && got != 2 {
			t.Errorf("read through the stale leader = %d, want 2", got)
		}
		cancel()
	}
	g.net.Heal()
	g.mustRead("a", "k", 2)
}

func TestPause(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader()
		paused := g.others(leader)[0]
		g.net.Isolate(paused)
		for i := range 100 {
			g.mustIncr(leader, "k", int64(i+1))
		}
		time.Sleep(10 * time.Second)
		if got := g.machines[paused].get("k"); got != 0 {
			t.Errorf("the paused replica has %d, want 0", got)
		}
		g.net.Heal()
		g.mustRead(paused, "k", 100)
	})
}

// TestStalledMachine has one replica's machine stand still while the others go on.
func TestStalledMachine(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader()
		slow := g.others(leader)[0]
		gate := make(chan struct{})
		g.machines[slow].stall(gate)
		for i := range 10 {
			g.mustIncr(leader, "k", int64(i+1))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.read(ctx, slow, "k"); !errors.Is(err, op.ErrUnavailable) {
			t.Errorf("read through the stalled replica: %v, want %v", err, op.ErrUnavailable)
		}
		close(gate)
		g.mustRead(slow, "k", 10)
	})
}

func smallLog(c *Config) { c.limits.snapshotEntries, c.limits.trailingEntries = 20, 5 }

func TestSnapshotToLagging(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, smallLog)
		leader := g.leader()
		behind := g.others(leader)[0]
		g.mustIncr(behind, "k", 1)
		g.mustRead(behind, "k", 1)
		g.net.Isolate(behind)
		for i := range 100 {
			g.mustIncr(leader, "k", int64(i+2))
		}
		eventually(t, "a log that forgets", func() bool { return g.replicas[leader].Stats().FirstIndex > 50 })
		g.net.Heal()
		g.mustRead(behind, "k", 101)
		if s := g.replicas[behind].Stats(); s.SnapshotIndex == 0 {
			t.Errorf("stats %+v: no snapshot was installed", s)
		}
		g.mustIncr(behind, "k", 102)
	})
}

func TestSnapshotToWiped(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, smallLog)
		leader := g.leader()
		for i := range 100 {
			g.mustIncr(leader, "k", int64(i+1))
		}
		eventually(t, "a log that forgets", func() bool { return g.replicas[leader].Stats().FirstIndex > 50 })
		wiped := g.others(leader)[0]
		g.stop(wiped)
		if err := g.replicas[leader].RemoveServer(t.Context(), wiped); err != nil {
			t.Fatal(err)
		}
		// It comes back under a new id, at the address it had.
		transport, err := g.net.Listen(wiped)
		if err != nil {
			t.Fatal(err)
		}
		g.machines["d"] = newToy()
		c := Config{ID: "d", InMemory: true, Machine: g.machines["d"], Pack: toyPack, Transport: transport, Log: testLog(t)}
		smallLog(&c)
		if g.replicas["d"], err = Open(c); err != nil {
			t.Fatal(err)
		}
		if err := g.replicas[leader].AddVoter(t.Context(), "d", wiped); err != nil {
			t.Fatal(err)
		}
		g.mustRead("d", "k", 100)
		g.mustIncr("d", "k", 101)
		if got := len(g.replicas["d"].Servers()); got != 3 {
			t.Errorf("%d servers, want 3", got)
		}
	})
}

// TestSnapshotOfNoCommand takes a snapshot whose last entry is none of the machine's. Who has it from another replica, and
// who restarts with it, has all up to that entry, too.
func TestSnapshotOfNoCommand(t *testing.T) {
	t.Parallel()
	t.Run("received", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			g := startGroup(t, smallLog)
			leader := g.leader()
			g.snapshotOfNoCommand(leader)
			eventually(t, "a log that forgets", func() bool { return g.replicas[leader].Stats().FirstIndex > 50 })
			g.start("d", nil, smallLog)
			g.mustRead("d", "k", 100)
			if s := g.replicas["d"].Stats(); s.SnapshotIndex == 0 {
				t.Errorf("stats %+v: no snapshot was installed", s)
			}
		})
	})
	t.Run("own", func(t *testing.T) {
		disk := t.TempDir()
		bubble(t, func(t *testing.T) {
			g := newGroup(t, disk)
			for _, id := range g.ids {
				g.start(id, g.members(), smallLog)
			}
			leader := g.leader()
			follower := g.others(leader)[0]
			g.snapshotOfNoCommand(follower)
			g.stop(follower)
			g.start(follower, nil, smallLog)
			g.mustRead(follower, "k", 100)
			if now := g.leader(); now != leader {
				t.Errorf("%s leads, want %s still: a new one says how far it is", now, leader)
			}
		})
	})
}

// snapshotOfNoCommand has the group count, and agree on a member d that is not there yet, before id takes a snapshot.
func (g *group) snapshotOfNoCommand(id string) {
	g.t.Helper()
	leader := g.leader()
	for i := range 100 {
		g.mustIncr(leader, "k", int64(i+1))
	}
	if err := g.replicas[leader].AddVoter(g.t.Context(), "d", "d"); err != nil {
		g.t.Fatal(err)
	}
	g.mustRead(id, "k", 100)
	r := g.replicas[id]
	if err := r.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		g.t.Fatal(err)
	}
	eventually(g.t, "a snapshot", func() bool { return r.storage.snapshots.index() == r.raft.AppliedIndex() })
	if n := r.storage.snapshots.note(); n.Applied >= n.Index {
		g.t.Fatalf("snapshot of %s reaches entry %d, of the machine's %d, want an older one", id, n.Index, n.Applied)
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader()
		follower := g.others(leader)[0]
		if err := g.replicas[follower].AddVoter(t.Context(), "d", "d"); !errors.Is(err, ErrNotLeader) {
			t.Errorf("add voter through a follower: %v, want %v", err, ErrNotLeader)
		}
		g.start("d", nil, nil)
		if err := g.replicas[leader].AddReader(t.Context(), "d", "d"); err != nil {
			t.Fatal(err)
		}
		g.mustIncr("d", "k", 1)
		g.mustRead("d", "k", 1)
		if err := g.replicas[leader].TransferLeadership(t.Context()); err != nil {
			t.Fatal(err)
		}
		next := g.leader()
		if next == leader {
			t.Errorf("%s still leads", next)
		}
		if err := g.replicas[next].RemoveServer(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		g.stop(next)
		g.mustIncr(g.leader(), "k", 2)
	})
}
