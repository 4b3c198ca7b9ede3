package kv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
	var d disk
	d.free.Store(1 << 40)
	g := newTrio(t, t.TempDir())
	g.adjust = func(c *Config) {
		if c.Group.ID == "a" {
			c.free = d.look
			return
		}
		c.Group.HeartbeatTimeout, c.Group.LeaseTimeout = time.Second, time.Second // so that a leads
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

// TestSmallDisk fills a real disk, of about 1.2 GB, that SETT_TEST_SMALL_DISK names the directory of: by writes alone
// at first, and then by somebody else while clients write. What was acknowledged is there afterwards.
//
//	mount -t tmpfs -o size=1200m tmpfs /mnt && SETT_TEST_SMALL_DISK=/mnt go test ./kv -run SmallDisk -v
func TestSmallDisk(t *testing.T) {
	root := os.Getenv("SETT_TEST_SMALL_DISK")
	if root == "" {
		t.Skip("SETT_TEST_SMALL_DISK names no directory on a small disk")
	}
	dir, ballast := filepath.Join(root, "store"), filepath.Join(root, "ballast")
	t.Cleanup(func() { os.RemoveAll(dir); os.Remove(ballast) })
	s := openTest(t, Config{Dir: dir})
	var counts [16]int64
	full := make(chan struct{})
	close(full)
	if err := fillBy(t, s, &counts, full); abi.CodeOf(err) != abi.NoSpace || s.Err() != nil {
		t.Fatalf("on a full disk: %v, the store says %v", err, s.Err())
	}
	t.Log("refused after", counts)
	checkCounts(t, s, &counts)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	clear(counts[:])
	s = openTest(t, Config{Dir: dir})
	full = make(chan struct{})
	go func() {
		defer close(full)
		for s.state.Applied() < 50 {
			time.Sleep(time.Millisecond)
		}
		zeros := make([]byte, 1<<20)
		f, _ := os.Create(ballast)
		for err := error(nil); err == nil; {
			_, err = f.Write(zeros)
		}
		f.Close()
	}()
	t.Log("somebody else fills the disk:", fillBy(t, s, &counts, full), counts, s.Err())
	<-full
	t.Log("close", s.Close())
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, Config{Dir: dir})
	checkCounts(t, s, &counts)
	if _, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{set("k", "v")}}); err != nil {
		t.Errorf("commit when there is room again: %v", err)
	}
}

// fillBy has clients count and write until each has failed, and those that were refused have been so after full.
func fillBy(t *testing.T, s *Store, counts *[16]int64, full <-chan struct{}) error {
	stopped := make(chan error, len(counts))
	for i := range counts {
		go func() {
			value := make([]byte, 256<<10)
			for {
				_, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{
					{Kind: op.Incr, Key: fmt.Sprint("n", i), Delta: 1},
					{Kind: op.Set, Key: fmt.Sprint("k", i, "-", counts[i]%8), Value: value}}})
				if err == nil {
					counts[i]++
					continue
				}
				select {
				case <-full:
				default:
					if abi.CodeOf(err) == abi.NoSpace {
						continue
					}
				}
				stopped <- err
				return
			}
		}()
	}
	first := <-stopped
	for range len(counts) - 1 {
		<-stopped
	}
	return first
}

// checkCounts sees that what was acknowledged is there, and nothing but what may have been on its way.
func checkCounts(t *testing.T, s *Store, counts *[16]int64) {
	t.Helper()
	for i, want := range counts {
		item, err := s.Get(t.Context(), "app", fmt.Sprint("n", i), strong)
		if got, _ := strconv.ParseInt(string(item.Value), 10, 64); err != nil || got != want && got != want+1 {
			t.Errorf("n%d = %d, %v, want %d", i, got, err, want)
		}
	}
}
