package kv

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
)

// TestLevels is a group on its way to a newer Sett: of three nodes, two know feature level 2.
func TestLevels(t *testing.T) {
	t.Parallel()
	g := newTrio(t, t.TempDir())
	old := "a"
	g.adjust = func(c *Config) {
		if c.level = 2; c.Group.ID == old {
			c.level = 1
		}
	}
	g.startAll()
	for _, id := range g.ids {
		g.commit(id, set("k", id), op.Op{Kind: op.Incr, Key: "n", Delta: 1})
		if f := g.propose(id, feature()); f != fsm.Unavailable {
			t.Errorf("a command of level 2 through %s: failure %d, want %d", id, f, fsm.Unavailable)
		}
	}
	g.mustBeEqual()

	raise := fsm.Command{Kind: fsm.RaiseLevel, Level: 2}.Append(nil)
	if f := g.propose("b", raise); f != fsm.None {
		t.Fatalf("raise level: failure %d", f)
	}
	<-g.at(old).Failed()
	if err := g.at(old).Err(); !errors.Is(err, fsm.ErrTooNew) {
		t.Errorf("the old node says %v, want %v", err, fsm.ErrTooNew)
	}
	for _, id := range []string{"b", "c"} {
		if f := g.propose(id, feature()); f != fsm.None {
			t.Errorf("a command of level 2 through %s: failure %d", id, f)
		}
	}
	g.stop(old)
	if s, err := g.open(old, g.config(old, g.members())); !errors.Is(err, fsm.ErrTooNew) {
		t.Errorf("the old node opens again: %v, %v, want %v", s, err, fsm.ErrTooNew)
	}
	old = "none" // it is made newer
	g.start("a")
	if i, err := g.at("a").Get(t.Context(), "app", "feature", strong); err != nil || string(i.Value) != "on" {
		t.Errorf("get = %q, %v", i.Value, err)
	}
	g.mustBeEqual()
}

// feature is a command of level 2. What it does is known at level 1, too.
func feature() []byte {
	b := fsm.Command{Kind: fsm.Transact, Namespace: "app", Ops: []op.Op{set("feature", "on")}}.Append(nil)
	b[0] = 2
	return b
}

// propose has a node propose an encoded command.
func (g *trio) propose(id string, command []byte) fsm.Failure {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, _, err := g.at(id).replica.Propose(ctx, command)
	if err != nil {
		g.t.Fatalf("propose through %s: %v", id, err)
	}
	o, err := fsm.DecodeOutcome(b)
	if err != nil {
		g.t.Fatal(err)
	}
	return o.Failure
}

// TestWiped has a node lose its disk: it comes back as a new one.
func TestWiped(t *testing.T) {
	t.Parallel()
	g := startTrio(t, t.TempDir())
	wiped := g.follower()
	for range 20 {
		g.commit(wiped, set("k", "v"), op.Op{Kind: op.Incr, Key: "n", Delta: 1})
	}
	c := g.config(wiped, nil)
	g.stop(wiped)
	if err := os.RemoveAll(c.Dir); err != nil {
		t.Fatal(err)
	}
	c.Group.ID = "d"
	g.asLeader(func(r *replica.Replica) error { return r.RemoveServer(t.Context(), wiped) })
	g.asLeader(func(r *replica.Replica) error { return r.AddVoter(t.Context(), "d", "d") })
	s, err := g.open("d", c)
	if err != nil {
		t.Fatal(err)
	}
	g.stores[wiped].Store(s)
	if i, err := s.Get(t.Context(), "app", "n", op.Read{}); err != nil || string(i.Value) != "20" {
		t.Errorf("get = %q, %v, want 20", i.Value, err)
	}
	g.commit(wiped, op.Op{Kind: op.Incr, Key: "n", Delta: 1})
	g.mustBeEqual()
}

// asLeader does what only the leader can, on whichever node that is.
func (g *trio) asLeader(do func(*replica.Replica) error) {
	g.t.Helper()
	for {
		err := do(g.at(g.leader()).replica)
		if err == nil {
			return
		}
		if !errors.Is(err, replica.ErrNotLeader) {
			g.t.Fatal(err)
		}
	}
}
