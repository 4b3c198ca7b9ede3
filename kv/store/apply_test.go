package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	s := open(t, Config{InMemory: true})
	key, value := strings.Repeat("k", MaxKeyBytes), strings.Repeat("v", MaxValueBytes)
	apply(t, s, put(key, "v"), put("k", value))
	model{key: "v", "k": value}.check(t, view(t, s))
	for _, w := range []fsm.Write{put(key+"k", "v"), put("k", value+"v"), del(key + "k")} {
		if err := s.Apply(2, []fsm.Write{put("other", ""), w}); !errors.Is(err, op.ErrTooLarge) || abi.CodeOf(err) != abi.TooLarge {
			t.Errorf("Apply of %d + %d bytes = %v, want %v", len(w.Key), len(w.Value), err, op.ErrTooLarge)
		}
	}
	apply(t, s, del("k"))
	model{key: "v"}.check(t, view(t, s))
}

// TestLargestTransaction checks that what the largest transaction makes of itself is one commit of the engine.
func TestLargestTransaction(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	commits, commit := 0, s.commitAt
	s.commitAt = func(txn *badger.Txn, index uint64) error { commits++; return commit(txn, index) }
	var writes []fsm.Write
	for i := range op.MaxOps { // in the state, in the log of changes, the value before it; an index entry each
		value := strings.Repeat("v", op.MaxTxnBytes/op.MaxOps)
		key := strings.Repeat("k", op.MaxKeyBytes) + string(rune(i))
		writes = append(writes, put("d"+key, value), put("c"+key, value), put("p"+key, value), put("x"+key, ""))
	}
	apply(t, s, writes...)
	if commits != 1 {
		t.Errorf("%d commits, want 1", commits)
	}
	large := strings.Repeat("v", 2*op.MaxValueBytes)
	apply(t, s, put("a", large), put("b", large), put("c", large))
	if commits != 2 {
		t.Errorf("%d commits, want 2", commits)
	}
}

// TestManyCommits checks that an index of more than one commit is there whole or not at all.
func TestManyCommits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	before := model{"a": "before"}
	apply(t, s, put("a", "before"))
	syncNow(t, s)
	after := model{}
	var writes []fsm.Write
	for i := range 20 {
		writes = append(writes, put(string(rune('a'+i)), strings.Repeat(string(rune('a'+i)), op.MaxValueBytes)))
	}
	after.apply(writes)
	commits, commit, broken := 0, s.commitAt, errors.New("the power is gone")
	s.commitAt = func(txn *badger.Txn, index uint64) error {
		if commits++; commits == 3 {
			return broken
		}
		before.check(t, view(t, s))
		return commit(txn, index)
	}
	if err := s.Apply(2, writes); !errors.Is(err, broken) {
		t.Fatalf("Apply = %v, want %v", err, broken)
	}
	before.check(t, view(t, s))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	before.check(t, view(t, s))
	apply(t, s, writes...)
	after.check(t, view(t, s))
}

// TestParts checks that the parts of a large value come and go with it.
func TestParts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		value := func(c string, size int) string { return strings.Repeat(c, size) }
		for _, c := range []struct {
			writes []fsm.Write
			want   model
			parts  int
		}{
			{[]fsm.Write{put("k", value("a", 3*entryBytes)), put("k\x00", "other")}, model{"k": value("a", 3*entryBytes), "k\x00": "other"}, 2},
			{[]fsm.Write{put("k", value("b", 2*entryBytes+1))}, model{"k": value("b", 2*entryBytes+1), "k\x00": "other"}, 2},
			{[]fsm.Write{put("k", value("c", 2*entryBytes))}, model{"k": value("c", 2*entryBytes), "k\x00": "other"}, 1},
			{[]fsm.Write{put("k", value("d", entryBytes))}, model{"k": value("d", entryBytes), "k\x00": "other"}, 0},
			{[]fsm.Write{put("k", value("e", entryBytes+1))}, model{"k": value("e", entryBytes+1), "k\x00": "other"}, 1},
			{[]fsm.Write{put("k", "small")}, model{"k": "small", "k\x00": "other"}, 0},
			{[]fsm.Write{put("k", value("g", entryBytes+9))}, model{"k": value("g", entryBytes+9), "k\x00": "other"}, 1},
			{[]fsm.Write{del("k")}, model{"k\x00": "other"}, 0},
		} {
			before := view(t, s)
			was := contents(t, before)
			apply(t, s, c.writes...)
			c.want.check(t, view(t, s))
			model(was).check(t, before)
			if got := countAll(s, partKind); got != c.parts {
				t.Errorf("after %.20q: %d parts, want %d", c.writes[0].Value, got, c.parts)
			}
		}
	})
}

// TestPartsReopened has a store find out which values have parts that were written before it was opened.
func TestPartsReopened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	apply(t, s, put("a", strings.Repeat("v", 3*entryBytes)), put("b", strings.Repeat("v", 2*entryBytes)), put("c", "small"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	apply(t, s, put("a", "small"), del("b"), put("c", "small"))
	if n := countAll(s, partKind); n != 0 {
		t.Errorf("%d parts are left", n)
	}
	model{"a": "small", "c": "small"}.check(t, view(t, s))
}

// countAll counts the newest entries of a kind.
func countAll(s *Store, kind byte) (n int) {
	txn := s.engine.Load().db.NewTransactionAt(s.Applied(), false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		n++
	}
	return n
}
