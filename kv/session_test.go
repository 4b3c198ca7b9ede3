package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// session is somebody who asks another node each time, and passes on the newest revision that any of them told.
type session struct {
	t      *testing.T
	group  *trio
	random *rand.Rand
	own    string // a key that only this session writes
	seen   uint64

	attempted    int               // numbers written to own
	acknowledged int               // the newest of which is known that it was written
	unknown      map[int]bool      // those that may be written yet
	revisions    map[string]uint64 // of keys, as last read
	reads        int
}

func (s *session) saw(revision uint64) { s.seen = max(s.seen, revision) }

// step writes, reads or lists through some node.
func (s *session) step() {
	store := s.group.at(s.group.ids[s.random.IntN(len(s.group.ids))])
	ctx, cancel := context.WithTimeout(context.Background(), somePatience(s.random))
	defer cancel()
	var err error
	switch s.random.IntN(4) {
	case 0:
		err = s.write(ctx, store)
	case 1:
		err = s.list(ctx, store)
	default:
		err = s.get(ctx, store)
	}
	if err != nil && !errors.Is(err, op.ErrUnavailable) && !errors.Is(err, op.ErrUnknown) {
		s.t.Errorf("session %s: %v", s.own, err)
	}
}

func (s *session) write(ctx context.Context, store *Store) error {
	s.attempted++
	r, err := store.Commit(ctx, op.Txn{Namespace: "app", Ops: []op.Op{
		set(s.own, strconv.Itoa(s.attempted)), {Kind: op.Incr, Key: "shared", Delta: 1}}})
	if err == nil {
		s.acknowledged = s.attempted
		s.saw(r.Revision)
	}
	s.unknown[s.attempted] = errors.Is(err, op.ErrUnknown)
	return err
}

func (s *session) get(ctx context.Context, store *Store) error {
	items, err := store.GetMany(ctx, "app", []string{s.own, "shared"}, op.Read{Seen: s.seen})
	if err == nil {
		s.check(items)
	}
	return err
}

func (s *session) list(ctx context.Context, store *Store) error {
	page, err := store.List(ctx, "app", op.Query{Read: op.Read{Seen: s.seen}})
	if err != nil {
		return err
	}
	if page.Revision < s.seen {
		s.t.Errorf("session %s has seen revision %d and gets a page of %d", s.own, s.seen, page.Revision)
	}
	s.saw(page.Revision)
	var items []op.Item
	for _, i := range page.Items {
		items = append(items, i.Item)
	}
	s.check(items)
	return nil
}

// check sees that what was read is not older than what was written or read before.
func (s *session) check(items []op.Item) {
	s.reads++
	for _, i := range items {
		if i.Revision < s.revisions[i.Key] {
			s.t.Errorf("session %s has read revision %d of %s, and then %d", s.own, s.revisions[i.Key], i.Key, i.Revision)
		}
		s.revisions[i.Key] = i.Revision
		s.saw(i.Revision)
		if i.Key != s.own {
			continue
		}
		if n, _ := strconv.Atoi(string(i.Value)); n != s.acknowledged && !s.unknown[n] {
			s.t.Errorf("session %s has written %d and reads %q", s.own, s.acknowledged, i.Value)
		}
	}
}

// TestSessions has sessions wander between nodes that lag behind each other.
func TestSessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := startTrio(t, "")
		g.latency = 5 * time.Millisecond
		g.heal()
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		f := startFaults(g, seed, (*faults).isolate, (*faults).delay, (*faults).delay, (*faults).transfer)
		var running sync.WaitGroup
		reads := make([]int, 8)
		for i := range reads {
			s := &session{t: t, group: g, random: rand.New(rand.NewPCG(seed, uint64(10+i))),
				own: fmt.Sprint("own-", i), unknown: map[int]bool{}, revisions: map[string]uint64{}}
			running.Go(func() {
				for range operations(t) / 4 {
					s.step()
				}
				reads[i] = s.reads
			})
		}
		running.Wait()
		f.end()
		for i, n := range reads {
			if n < operations(t)/20 {
				t.Errorf("session %d could read only %d times", i, n)
			}
		}
		g.mustBeEqual()
	})
}
