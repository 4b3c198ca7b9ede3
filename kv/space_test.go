package kv

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// disk is one that can be filled.
type disk struct {
	free   atomic.Int64
	shrink atomic.Int64 // by so much whenever somebody looks
}

func (d *disk) look(string) (uint64, error) { return uint64(max(0, d.free.Add(-d.shrink.Load()))), nil }

// TestFullDisk fills the disk little by little: at some point writes are refused, and nothing else happens.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	var d disk
	d.free.Store(601 << 20)
	s := openTest(t, Config{Dir: t.TempDir(), free: d.look})
	d.shrink.Store(1 << 20)
	commits := 0
	for ; ; commits++ {
		_, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{{Kind: op.Incr, Key: "n", Delta: 1}}})
		if abi.CodeOf(err) == abi.NoSpace {
			break
		}
		if err != nil {
			t.Fatalf("commit %d: %v", commits, err)
		}
	}
	if commits == 0 {
		t.Error("nothing was committed: the test does not test")
	}
	if err := s.Err(); err != nil {
		t.Fatalf("the store has failed: %v", err)
	}
	if i, err := s.Get(t.Context(), "app", "n", strong); err != nil || string(i.Value) != strconv.Itoa(commits) {
		t.Errorf("get = %q, %v, want %d", i.Value, err, commits)
	}
	d.shrink.Store(0)
	d.free.Store(1 << 30)
	if _, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{set("k", "v")}}); err != nil {
		t.Errorf("commit when there is room again: %v", err)
	}
}

// TestFullDiskOfLeader fills the leader's disk: whoever writes through another node learns of it.
func TestFullDiskOfLeader(t *testing.T) {
	t.Parallel()
	var d disk
	d.free.Store(1 << 40)
	g := newTrio(t, t.TempDir())
	g.adjust = func(c *Config) {
		if c.Group.ID == "a" {
			c.free = d.look
			return
		}
		c.Group.HeartbeatTimeout, c.Group.LeaseTimeout = patience, time.Second // so that a leads, however slow it is
	}
	g.startAll()
	for g.leader() != "a" {
		if err := g.at(g.leader()).replica.TransferLeadership(t.Context()); err != nil {
			t.Log(err)
		}
	}
	before := g.commit("b", set("k", "v")).Revision
	d.free.Store(300 << 20)
	for _, id := range g.ids {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := g.at(id).Commit(ctx, op.Txn{Namespace: "app", Ops: []op.Op{set("k", "w")}})
		cancel()
		if abi.CodeOf(err) != abi.NoSpace {
			t.Errorf("commit through %s = %v, want %s", id, err, abi.NoSpace)
		}
		if i, err := g.at(id).Get(t.Context(), "app", "k", strong); err != nil || i.Revision != before {
			t.Errorf("get through %s = %+v, %v, want revision %d", id, i, err, before)
		}
	}
	d.free.Store(1 << 40)
	g.commit("c", set("k", "w"))
	g.mustBeEqual()
}
