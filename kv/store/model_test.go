package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

var _ fsm.View = (*View)(nil)

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	return opened(t)(Open(cfg))
}

func opened(t testing.TB) func(*Store, error) *Store {
	return func(s *Store, err error) *Store {
		t.Helper()
		if err != nil {
			t.Fatalf("Open = %v", err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil && !errors.Is(err, op.ErrClosed) {
				t.Errorf("Close = %v", err)
			}
		})
		return s
	}
}

// busy makes the engine write memtables out and compact early.
func busy(o badger.Options) badger.Options {
	return o.WithMemTableSize(1 << 20).WithValueThreshold(128 << 10).WithNumLevelZeroTables(1)
}

// stalled makes the engine keep memtables that are full, and their logs, after the third.
func stalled(o badger.Options) badger.Options {
	return busy(o).WithNumCompactors(0).WithNumLevelZeroTablesStall(2).WithNumMemtables(12)
}

// history is what the tests' log says about an index: always the same.
func history(index uint64) (writes []fsm.Write) {
	if index%7 == 0 {
		return nil
	}
	rnd := rand.New(rand.NewPCG(index, 1))
	set := func(key string, size int) {
		value := append(fmt.Append(nil, index, " "), bytes.Repeat([]byte{byte(index)}, size)...)
		writes = append(writes, fsm.Write{Key: []byte(key), Value: value})
	}
	set(fmt.Sprintf("own-%06d", index), 0)
	writes = append(writes, passingWrites(index, rnd)...)
	for range 1 + rnd.IntN(3) {
		key := fmt.Sprintf("shared-%03d", rnd.IntN(200))
		if rnd.IntN(5) == 0 {
			writes = append(writes, fsm.Write{Key: []byte(key), Delete: true})
			continue
		}
		set(key, rnd.IntN(8<<10))
	}
	return writes
}

const (
	passingPrefix  = "passing-"
	passingIndices = 100 // for which a key that passes stays
)

func passingKey(index uint64, n int) string { return fmt.Sprintf("%s%06d-%d", passingPrefix, index, n) }

// passingWrites are an index's writes of keys that pass, and the deletions of old ones, which no index is without.
func passingWrites(index uint64, rnd *rand.Rand) (writes []fsm.Write) {
	for n := range int(index % 4) {
		value := bytes.Repeat([]byte{byte(index), byte(n)}, rnd.IntN(2*passingValueBytes))
		writes = append(writes, fsm.Write{Key: []byte(passingKey(index, n)), Value: value, Passing: true})
	}
	for i := index - passingIndices - 1; i <= index-passingIndices && index > passingIndices; i++ {
		if i%7 != 0 && (i == index-passingIndices || (index-1)%7 == 0) {
			for n := range int(i % 4) {
				writes = append(writes, del(passingKey(i, n)))
			}
		}
	}
	return writes
}

// passed is the store's Config.Passed. Without any key that passes it answers more than can be.
func passed(v fsm.View) (index uint64, err error) {
	index = math.MaxUint64
	err = v.Scan([]byte(passingPrefix), nil, func(key, _ []byte) bool {
		_, err := fmt.Sscanf(string(key), passingPrefix+"%d", &index)
		return err != nil
	})
	return index, err
}

type model map[string]string

// grow applies history to the model from one index to another, both included.
func (m model) grow(from, to uint64) model {
	for i := from; i <= to; i++ {
		m.apply(history(i))
	}
	return m
}

func (m model) apply(writes []fsm.Write) {
	for _, w := range writes {
		if w.Delete {
			delete(m, string(w.Key))
		} else {
			m[string(w.Key)] = string(w.Value)
		}
	}
}

// check compares what v sees with the model.
func (m model) check(t testing.TB, v *View) {
	t.Helper()
	if diff := m.diff(contents(t, v)); diff != "" {
		t.Fatalf("state at index %d: %s", v.Index(), diff)
	}
}

func (m model) diff(got map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if value, ok := got[key]; !ok || value != m[key] {
			return fmt.Sprintf("%s = %.20q, %v, want %.20q", key, value, ok, m[key])
		}
	}
	for key := range got {
		if _, ok := m[key]; !ok {
			return fmt.Sprintf("%s = %.20q, want it absent", key, got[key])
		}
	}
	return ""
}

func contents(t testing.TB, v *View) map[string]string {
	t.Helper()
	got := map[string]string{}
	if err := v.Scan(nil, nil, func(key, value []byte) bool { got[string(key)] = string(value); return true }); err != nil {
		t.Fatal(err)
	}
	return got
}

// replay applies history up to an index.
func replay(t testing.TB, s *Store, to uint64) {
	t.Helper()
	for i := s.Applied() + 1; i <= to; i++ {
		if err := s.Apply(i, history(i)); err != nil {
			t.Fatalf("Apply(%d) = %v", i, err)
		}
	}
}

func apply(t testing.TB, s *Store, writes ...fsm.Write) (index uint64) {
	t.Helper()
	index = s.Applied() + 1
	if err := s.Apply(index, writes); err != nil {
		t.Fatalf("Apply(%d) = %v", index, err)
	}
	return index
}

func put(key, value string) fsm.Write { return fsm.Write{Key: []byte(key), Value: []byte(value)} }
func del(key string) fsm.Write        { return fsm.Write{Key: []byte(key), Delete: true} }

func view(t testing.TB, s *Store) *View {
	t.Helper()
	v, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func syncNow(t testing.TB, s *Store) uint64 {
	t.Helper()
	d, err := s.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func hashNow(t testing.TB, s *Store) [32]byte {
	t.Helper()
	v, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	sum, err := s.Hash(v)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
