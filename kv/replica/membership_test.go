package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// startAlone starts a as a group of its own and the others as nobody's members yet.
func startAlone(t *testing.T, disk string, adjust func(*Config)) *group {
	t.Helper()
	g := newGroup(t, disk)
	g.start("a", []Server{{"a", "a", true}}, adjust)
	for _, id := range g.others("a") {
		g.start(id, nil, adjust)
	}
	return g
}

// asLeader has whoever leads do what only the leader can.
func (g *group) asLeader(do func(*Replica) error) {
	g.t.Helper()
	for {
		err := do(g.replicas[g.leader()])
		if err == nil {
			return
		}
		if !errors.Is(err, ErrNotLeader) {
			g.t.Fatal(err)
		}
	}
}

// joinAll makes all replicas voters.
func (g *group) joinAll() {
	g.t.Helper()
	for _, id := range g.others("a") {
		g.asLeader(func(r *Replica) error { return r.AddReader(g.t.Context(), id, id) })
		g.mustJoin(id)
	}
	for _, id := range g.others("a") {
		g.asLeader(func(r *Replica) error { return r.AddVoter(g.t.Context(), id, id) })
	}
}

func (g *group) mustJoin(id string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.replicas[id].Joined(ctx); err != nil {
		g.t.Fatalf("%s: %v", id, err)
	}
}

// TestGrow adds members to a lone node while it is written to, and takes it away.
func TestGrow(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startAlone(t, "", smallLog)
		stop := make(chan struct{})
		var acknowledged atomic.Int64
		var writers sync.WaitGroup
		for i := range 8 {
			through := []string{"b", "c"}[i%2] // they wait until they have joined
			writers.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
					if _, err := g.incr(through, "k"); err != nil {
						t.Errorf("incr through %s: %v", through, err)
						return
					}
					acknowledged.Add(1)
				}
			})
		}
		for i := range 50 {
			g.mustIncr("a", "own", int64(i+1))
		}
		g.joinAll()
		time.Sleep(time.Second)
		if n := acknowledged.Load(); n < 100 {
			t.Errorf("%d increments in a second", n)
		}
		g.net.Isolate("a")
		next := g.leader("b", "c")
		time.Sleep(time.Second)
		close(stop)
		writers.Wait()
		g.mustRead(next, "k", acknowledged.Load())
		g.net.Heal()
		for _, id := range g.ids {
			g.mustRead(id, "k", acknowledged.Load())
			g.mustRead(id, "own", 50)
		}
	})
}

// TestShrink takes voters away one after the other, leaders by what each can do about itself, down to one.
func TestShrink(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startAlone(t, "", nil)
		g.joinAll()
		first := g.leader()
		if err := g.replicas[g.others(first)[0]].DemoteVoter(t.Context(), first); !errors.Is(err, ErrNotLeader) {
			t.Errorf("demote through a follower: %v, want %v", err, ErrNotLeader)
		}
		g.asLeader(func(r *Replica) error { return r.DemoteVoter(t.Context(), r.cfg.ID) }) // itself
		next := g.leader(g.others(first)...)
		for _, s := range g.replicas[next].Servers() {
			if s.Voter == (s.ID == first) {
				t.Errorf("%+v after %s demoted itself", s, first)
			}
		}
		g.mustIncr(first, "k", 1) // as a reader
		g.mustRead(first, "k", 1)
		time.Sleep(time.Minute)
		if now := g.leader(); now != next || g.replicas[first].Removed() {
			t.Errorf("%s leads and %s is a removed one, want %s to lead and a reader", now, first, next)
		}
		g.asLeader(func(r *Replica) error { return r.AddVoter(t.Context(), first, first) })

		g.asLeader(func(r *Replica) error { return r.TransferLeadership(t.Context()) })
		g.asLeader(func(r *Replica) error { return r.RemoveServer(t.Context(), next) })
		eventually(t, "that it is removed", g.replicas[next].Removed)
		g.asLeader(func(r *Replica) error { return r.RemoveServer(t.Context(), r.cfg.ID) }) // the leader itself
		var last string
		eventually(t, "the last one leads", func() bool {
			for _, id := range g.ids {
				if r := g.replicas[id]; r.Leading() != 0 && len(r.Servers()) == 1 {
					last = id
				}
			}
			return last != ""
		})
		g.mustIncr(last, "k", 2)
		if err := g.replicas[last].RemoveServer(t.Context(), last); err == nil {
			t.Error("the last voter was removed")
		}
		if err := g.replicas[last].DemoteVoter(t.Context(), last); err == nil {
			t.Error("the last voter was demoted")
		}
		g.mustIncr(last, "k", 3)
	})
}

// TestLoneAgain restarts what was a group of three in between: it elects itself at once.
func TestLoneAgain(t *testing.T) {
	t.Parallel()
	slow := func(c *Config) {
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaseTimeout = time.Hour, time.Hour, time.Second
	}
	g := newGroup(t, t.TempDir())
	g.start("a", []Server{{"a", "a", true}}, slow)
	for _, id := range g.others("a") {
		g.start(id, nil, slow)
	}
	g.joinAll()
	g.mustIncr("c", "k", 1)
	for _, id := range g.others("a") {
		if err := g.replicas["a"].RemoveServer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		g.stop(id)
	}
	g.mustIncr("a", "k", 2)
	g.stop("a")
	g.start("a", nil, slow)
	g.mustIncr("a", "k", 3)
}

// counting is a log that counts its lines.
type counting struct {
	slog.Handler
	lines *atomic.Int64
}

func (c counting) Handle(context.Context, slog.Record) error {
	c.lines.Add(1)
	return nil
}

func (c counting) Enabled(context.Context, slog.Level) bool { return true }

// TestWaits has a replica that nobody has added wait without a word, and then join.
func TestWaits(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var lines atomic.Int64
		g := newGroup(t, "")
		b := g.start("b", nil, func(c *Config) { c.Log = slog.New(counting{slog.DiscardHandler, &lines}) })
		time.Sleep(time.Hour)
		if s := b.Stats(); s.State != "Follower" || s.Term != 0 || s.LastIndex != 0 || s.Removed {
			t.Errorf("stats %+v of one that waits", s)
		}
		if n := lines.Load(); n > 5 {
			t.Errorf("%d lines in the log of an hour of waiting", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Joined(ctx); !errors.Is(err, op.ErrUnavailable) {
			t.Errorf("joined: %v, want %v", err, op.ErrUnavailable)
		}
		g.start("a", []Server{{"a", "a", true}}, nil)
		g.mustIncr("a", "k", 1)
		joined := make(chan error, 1)
		go func() { joined <- b.Joined(t.Context()) }()
		if err := g.replicas["a"].AddReader(t.Context(), "b", "b"); err != nil {
			t.Fatal(err)
		}
		if err := <-joined; err != nil {
			t.Error(err)
		}
		g.mustRead("b", "k", 1)
	})
}

// TestRemoved removes a voter, a reader, and one that cannot be reached meanwhile: each notices, none disturbs the
// others, and each can come back.
func TestRemoved(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"voter", "reader", "away"} {
		t.Run(role, func(t *testing.T) { bubble(t, func(t *testing.T) { testRemoved(t, role) }) })
	}
}

func testRemoved(t *testing.T, role string) {
	g := startAlone(t, "", nil)
	g.joinAll()
	g.mustIncr("c", "k", 1)
	leader := g.leader()
	gone := g.others(leader)[0]
	switch role {
	case "reader":
		if err := g.replicas[leader].DemoteVoter(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	case "away":
		g.net.Isolate(gone)
	}
	if err := g.replicas[leader].RemoveServer(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if role == "away" {
		time.Sleep(time.Minute)
		if g.replicas[gone].Removed() {
			t.Error("it knows, though nobody can have told it")
		}
		g.net.Heal()
	}
	term := g.replicas[leader].Stats().Term
	eventually(t, "that it is removed", func() bool { return g.replicas[gone].Stats().Removed })
	for what, err := range map[string]error{
		"joined":     g.replicas[gone].Joined(t.Context()),
		"read index": second(g.replicas[gone].ReadIndex(t.Context())),
		"incr":       second(g.incrCtx(t.Context(), gone, "k")),
	} {
		if !errors.Is(err, ErrRemoved) {
			t.Errorf("%s: %v, want %v", what, err, ErrRemoved)
		}
	}
	time.Sleep(time.Minute)
	if s := g.replicas[leader].Stats(); s.Term != term || s.State != "Leader" {
		t.Errorf("stats %+v a minute later, want the leader of term %d", s, term)
	}
	if err := g.replicas[leader].AddVoter(t.Context(), gone, gone); err != nil {
		t.Fatal(err)
	}
	eventually(t, "that it is back", func() bool { return !g.replicas[gone].Removed() })
	g.mustIncr(gone, "k", 2)
	g.mustRead(gone, "k", 2)
}

func second[T any](_ T, err error) error { return err }

// TestRemovedWhileDown removes a member that is down: it notices when it comes back, whatever its log says.
func TestRemovedWhileDown(t *testing.T) {
	t.Parallel()
	g := newGroup(t, t.TempDir())
	g.start("a", []Server{{"a", "a", true}}, smallDisk)
	for _, id := range g.others("a") {
		g.start(id, nil, smallDisk)
	}
	g.joinAll()
	leader := g.leader()
	gone := g.others(leader)[0]
	g.mustIncr(gone, "k", 1)
	g.stop(gone)
	g.asLeader(func(r *Replica) error { return r.RemoveServer(t.Context(), gone) })
	for range 2 {
		g.start(gone, nil, smallDisk)
		eventually(t, "that it is removed", g.replicas[gone].Removed)
		g.stop(gone)
	}
}

// TestNotRemoved has members without a leader ask each other for a while: none takes itself for removed.
func TestNotRemoved(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startAlone(t, "", nil)
		g.joinAll()
		for _, from := range g.ids { // they can ask, and no answer of an election arrives
			g.net.Isolate(from)
		}
		time.Sleep(30 * time.Second)
		g.net.Heal()
		g.stop(g.leader())
		g.stop(g.leader())
		time.Sleep(30 * time.Second)
		for id, r := range g.replicas {
			if r.Removed() {
				t.Errorf("%s takes itself for removed", id)
			}
		}
	})
}

// unfit is a machine that takes no state from others.
type unfit struct{ *toy }

func (u unfit) Restore(r io.Reader) error {
	if err := u.toy.Restore(r); err != nil {
		return err
	}
	return fmt.Errorf("from the future: %w", ErrUnfit)
}

// TestUnfit has a member get a state with which it cannot go on: it stops, and the others do without.
func TestUnfit(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := newGroup(t, "")
		g.start("a", []Server{{"a", "a", true}}, smallLog)
		for i := range 100 {
			g.mustIncr("a", "k", int64(i+1))
		}
		eventually(t, "a log that forgets", func() bool { return g.replicas["a"].Stats().FirstIndex > 50 })
		b := g.start("b", nil, func(c *Config) { c.Machine = unfit{g.machines["b"]} })
		if err := g.replicas["a"].AddReader(t.Context(), "b", "b"); err != nil {
			t.Fatal(err)
		}
		<-b.Failed()
		if !errors.Is(b.Err(), ErrUnfit) {
			t.Errorf("Err() = %v, want %v", b.Err(), ErrUnfit)
		}
		g.mustIncr("a", "k", 101)
	})
}

// TestAddresses has members whose addresses in the configuration lead nowhere, and then such whose addresses nobody but
// the configuration knows.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for name, resolve := range map[string]func(string) (string, error){
		"moved":   func(id string) (string, error) { return "at-" + id, nil },
		"unknown": func(id string) (string, error) { return "", fmt.Errorf("who is %s", id) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newGroup(t, "")
				members := g.members()
				for i := range members {
					if members[i].Address = "at-" + members[i].ID; name == "moved" {
						members[i].Address = "nowhere-" + members[i].ID
					}
				}
				for _, id := range g.ids {
					g.start(id, members, func(c *Config) {
						c.Transport.Close()
						var err error
						if c.Transport, err = g.net.Listen("at-" + id); err != nil {
							t.Fatal(err)
						}
						c.Resolve = resolve
					})
				}
				leader := g.leader()
				for i, id := range g.others(leader) {
					g.mustIncr(id, "k", int64(i+1))
					g.mustRead(id, "k", int64(i+1))
				}
			})
		})
	}
}
