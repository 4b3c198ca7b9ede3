package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/store"
)

const lastKey = "z-end" // of the last change

// watch watches through a node until the last change, and begins again behind what it has seen whenever it is
// interrupted: by the node's end, or now and then by itself.
func (g *trio) watch(id string, after uint64, interrupt func() bool) (seen []string, err error) {
	last := after
	for {
		s := g.at(id)
		if s == nil {
			time.Sleep(time.Millisecond)
			continue
		}
		for c, err := range s.Watch(context.Background(), "app", "", last) {
			if errors.Is(err, op.ErrClosed) {
				break
			}
			if err != nil {
				return seen, err
			}
			if c.Revision != last && c.Revision > after && interrupt() {
				break // between two transactions
			}
			if c.Revision < last {
				return seen, fmt.Errorf("revision %d after %d", c.Revision, last)
			}
			last = c.Revision
			if seen = append(seen, fmt.Sprintf("%d %s=%s", c.Revision, c.Key, c.Value)); c.Key == lastKey {
				return seen, nil
			}
		}
	}
}

// TestWatchThroughFaults watches through each node while leaders change and nodes are closed and opened again: each
// watch yields every change once.
func TestWatchThroughFaults(t *testing.T) {
	t.Parallel()
	g := startTrio(t, t.TempDir())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	first := g.commit("a", set("first", "")).Revision
	seen := make([][]string, len(g.ids))
	var watches, writers sync.WaitGroup
	for i, id := range g.ids {
		random := rand.New(rand.NewPCG(seed, uint64(100+i)))
		watches.Go(func() {
			var err error
			if seen[i], err = g.watch(id, first, func() bool { return random.IntN(20) == 0 }); err != nil {
				t.Errorf("watch through %s: %v", id, err)
			}
		})
	}
	f := startFaults(g, seed, (*faults).isolate, (*faults).transfer, (*faults).restart, (*faults).restart)
	acknowledged := make([][]string, 4)
	for w := range acknowledged {
		random := rand.New(rand.NewPCG(seed, uint64(10+w)))
		writers.Go(func() {
			for n := range 60 {
				value := fmt.Sprintf("%d-%d", w, n)
				if r, err := g.write(g.ids[random.IntN(3)], somePatience(random), set("x", value), set("y", value)); err == nil {
					acknowledged[w] = append(acknowledged[w], fmt.Sprintf("%d x=%s", r.Revision, value), fmt.Sprintf("%d y=%s", r.Revision, value))
				}
				time.Sleep(time.Duration(random.Int64N(int64(thinking))))
			}
		})
	}
	writers.Wait()
	f.end()
	g.commit("a", set(lastKey, ""))
	watches.Wait()
	whole, err := g.watch("b", first, func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range g.ids {
		if !slices.Equal(seen[i], whole) {
			t.Errorf("watch through %s has %d changes, another one %d:\n%q\n%q", id, len(seen[i]), len(whole), seen[i], whole)
		}
	}
	for _, a := range slices.Concat(acknowledged...) {
		if !slices.Contains(whole, a) {
			t.Errorf("%s was acknowledged and no watch has it", a)
		}
	}
	g.mustBeEqual()
}

// write commits through a node that may be down.
func (g *trio) write(id string, patience time.Duration, ops ...op.Op) (op.Result, error) {
	s := g.at(id)
	if s == nil {
		return op.Result{}, op.ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.Commit(ctx, op.Txn{Namespace: "app", Ops: ops})
}

// TestSnapshotToLagging has a follower be away until the log has forgotten what it lacks: it gets the state, its
// watch misses nothing, and a cursor of before has to begin anew there.
func TestSnapshotToLagging(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := startTrio(t, "")
		away := g.follower()
		leader := g.leader()
		first := g.commit(away, set("a", ""), set("b", "")).Revision
		page, err := g.at(away).List(t.Context(), "app", op.Query{Limit: 1, Read: op.Read{Seen: first}})
		if err != nil || page.Cursor == "" {
			t.Fatalf("first page %+v, %v", page, err)
		}
		watched := make(chan []string, 1)
		go func() {
			seen, err := g.watch(away, first, func() bool { return false })
			if err != nil {
				t.Error(err)
			}
			watched <- seen
		}()
		g.net.Isolate(away)
		stood := g.at(away).replica.Stats()
		n := 0
		for ; g.at(leader).replica.Stats().FirstIndex <= stood.LastIndex; n++ {
			value := bytes.Repeat([]byte{byte('0' + n%10)}, op.MaxValueBytes)
			g.commit(leader, op.Op{Kind: op.Set, Key: fmt.Sprint("large-", n%4), Value: value})
			synctest.Wait()
		}
		g.heal()
		g.commit(away, set(lastKey, ""))
		if seen := <-watched; len(seen) != n+1 {
			t.Errorf("the watch yields %d changes, want %d", len(seen), n+1)
		}
		if s := g.at(away).replica.Stats(); s.SnapshotIndex <= stood.LastIndex {
			t.Errorf("stats %+v: no snapshot was installed", s)
		}
		for _, id := range g.ids {
			_, err := g.at(id).List(t.Context(), "app", op.Query{Cursor: page.Cursor})
			if want := map[bool]error{true: op.ErrCompacted}[id == away]; !errors.Is(err, want) {
				t.Errorf("next page through %s: %v, want %v", id, err, want)
			}
		}
		g.mustBeEqual()
	})
}

// TestCursorElsewhere goes on with a listing on another node for each page, while everything is overwritten, until it
// is too old.
func TestCursorElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := startTrio(t, "")
		var ops []op.Op
		for i := range 100 {
			ops = append(ops, op.Op{Kind: op.Set, Key: fmt.Sprintf("k%02d", i), Value: []byte("old"), TTL: time.Duration(1+i) * time.Second})
		}
		r := g.commit("a", ops...)
		q := op.Query{Limit: 10, Read: op.Read{Seen: r.Revision}}
		var got strings.Builder
		first := op.Page{}
		for i := 0; i == 0 || q.Cursor != ""; i++ {
			page, err := g.at(g.ids[i%3]).List(t.Context(), "app", q)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = page
			}
			for _, item := range page.Items {
				fmt.Fprint(&got, item.Key, string(item.Value), " ")
			}
			if page.Revision != first.Revision {
				t.Errorf("page %d has revision %d, the first %d", i, page.Revision, first.Revision)
			}
			q = op.Query{Limit: 10, Cursor: page.Cursor}
			g.commit("b", op.Op{Kind: op.DeletePrefix, Key: "k"})
			g.commit("c", set(fmt.Sprintf("k%02d", 99-i), "new"), set("k", "new"))
			time.Sleep(store.KeepVersions / 12) // ten pages take a while, in which the keys' time comes, too
		}
		if n := strings.Count(got.String(), "old "); n != 100 || strings.Contains(got.String(), "new") {
			t.Errorf("all pages are %s: want the 100 keys as they were", got.String())
		}
		time.Sleep(store.KeepVersions)
		for _, id := range g.ids {
			if _, err := g.at(id).List(t.Context(), "app", op.Query{Cursor: first.Cursor}); !errors.Is(err, op.ErrCompacted) {
				t.Errorf("a cursor of long ago through %s: %v, want %v", id, err, op.ErrCompacted)
			}
		}
		g.mustBeEqual()
	})
}

// TestWatchOfLargeValues watches changes that stand in files of their own, written before and after a stop.
func TestWatchOfLargeValues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	value := func(i int) string { return strings.Repeat(string(rune('a'+i)), i<<10) }
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var first uint64
	for i := range 8 {
		s := openTest(t, Config{Dir: dir})
		r, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{set("k", value(i))}})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = r.Revision - 1 // nothing else is there
		}
		next := 0
		for c, err := range s.Watch(ctx, "app", "", first) {
			if err != nil || string(c.Value) != value(next) {
				t.Fatalf("change %d of %d = %d bytes, %v, want %d", next, i, len(c.Value), err, len(value(next)))
			}
			if next++; next > i {
				break
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatchTooOld resumes a watch within and after the time for which changes are kept.
func TestWatchTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openTest(t, Config{InMemory: true})
		commit := func(value string) uint64 {
			r, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{set("k", value)}})
			if err != nil {
				t.Fatal(err)
			}
			return r.Revision
		}
		next := func(after uint64) (op.Change, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for c, err := range s.Watch(ctx, "app", "", after) {
				return c, err
			}
			return op.Change{}, ctx.Err()
		}
		first := commit("1")
		second := commit("2")
		time.Sleep(fsm.HistoryRetention - time.Minute)
		if c, err := next(first); err != nil || string(c.Value) != "2" {
			t.Errorf("watch in time = %+v, %v, want the second change", c, err)
		}
		time.Sleep(2 * time.Minute) // nothing is written: the store forgets by itself
		if c, err := next(first); !errors.Is(err, op.ErrCompacted) {
			t.Errorf("watch too late = %+v, %v, want %v", c, err, op.ErrCompacted)
		}
		if c, err := next(second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("watch that has seen everything = %+v, %v, want nothing", c, err)
		}
	})
}
