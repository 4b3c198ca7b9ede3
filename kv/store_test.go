package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/kvtest"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(committerDir); dir != "" {
		commitForever(dir)
	}
	os.Exit(m.Run())
}

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
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

func TestConformanceInMemory(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kvtest.Store { return open(t, Config{InMemory: true}) })
}

func TestConformanceOnDisk(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kvtest.Store { return open(t, Config{Dir: t.TempDir()}) })
}

func put(t testing.TB, s *Store, key, value string) uint64 {
	t.Helper()
	r, err := s.Commit(context.Background(), op.Txn{Namespace: "app", Ops: []op.Op{{Kind: op.Set, Key: key, Value: []byte(value)}}})
	if err != nil {
		t.Fatalf("Commit = %v", err)
	}
	return r
}

func TestReopenKeepsDataAndRevisions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "store")
	s := open(t, Config{Dir: dir})
	first := put(t, s, "k", "v")
	last, err := s.Commit(context.Background(), op.Txn{Namespace: "app", Ops: []op.Op{{Kind: op.Delete, Key: "gone"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	item, err := s.Get(context.Background(), "app", "k")
	if err != nil || string(item.Value) != "v" || item.Revision != first {
		t.Errorf("Get after reopening = %+v, %v, want revision %d", item, err, first)
	}
	if next := put(t, s, "k", "w"); next <= last {
		t.Errorf("revision after reopening = %d, want above %d, that of a delete", next, last)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory = %v, %v, want 0700", info.Mode(), err)
	}
}

// eager opens a store whose engine flushes and compacts early.
func eager(t *testing.T, dir string) *Store {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg := Config{Dir: dir}
	s, err := openEngine(cfg, log, engineOptions(cfg, log).WithSyncWrites(false).WithMemTableSize(1<<20).
		WithValueThreshold(128<<10).WithNumLevelZeroTables(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestRevisionsSurviveCompaction deletes everything and compacts it away: the newest index must still be known.
func TestRevisionsSurviveCompaction(t *testing.T) {
	dir := t.TempDir()
	var last uint64
	for range 3 { // each Close leaves a table
		s := eager(t, dir)
		put(t, s, "k", "v")
		var err error
		if last, err = s.Commit(context.Background(), op.Txn{Namespace: "app", Ops: []op.Op{{Kind: op.Delete, Key: "k"}}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := eager(t, dir)
	s.db.SetDiscardTs(s.horizon.newest())
	if err := s.db.Flatten(2); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if next := put(t, eager(t, dir), "k", "w"); next <= last {
		t.Errorf("revision after compaction = %d, want above %d", next, last)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used := t.TempDir()
	open(t, Config{Dir: used})
	for _, c := range []struct {
		name, want string
		cfg        Config
	}{
		{"nothing", "either a directory or InMemory", Config{}},
		{"both", "either a directory or InMemory", Config{Dir: used, InMemory: true}},
		{"below a file", "make directory", Config{Dir: filepath.Join(file, "store")}},
		{"in use", "in use by another process", Config{Dir: used}},
		{"read-only", "cannot be written", Config{Dir: readOnlyDir(t)}},
		{"newer", "has format 2 and this version of Sett reads format 1", Config{Dir: dirWith(t, formatKey, "\x02")}},
		{"foreign", "not a store of Sett", Config{Dir: dirWith(t, "k", "v")}},
	} {
		if c.cfg.Dir == "" && c.name == "read-only" {
			continue // this user may write everywhere
		}
		s, err := Open(c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "open store") {
			t.Errorf("%s: Open = %v, want %q", c.name, err, c.want)
		}
		if err == nil {
			s.Close()
		}
	}
}

// readOnlyDir answers a directory that cannot be written, or "" for a user who can write everywhere.
func readOnlyDir(t *testing.T) string {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.WriteFile(filepath.Join(dir, "probe"), nil, 0o600) == nil {
		return ""
	}
	return dir
}

// dirWith answers a database that holds just one entry.
func dirWith(t *testing.T, key, value string) string {
	dir := t.TempDir()
	db, err := badger.OpenManaged(engineOptions(Config{Dir: dir}, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	txn := db.NewTransactionAt(0, true)
	if err := errors.Join(txn.Set([]byte(key), []byte(value)), txn.CommitAt(1, nil), db.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestClosed(t *testing.T) {
	s := open(t, Config{InMemory: true})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, getErr := s.Get(context.Background(), "app", "k")
	_, listErr := s.List(context.Background(), "app", "")
	_, commitErr := s.Commit(context.Background(), op.Txn{Namespace: "app"})
	for _, err := range []error{getErr, listErr, commitErr, s.Close()} {
		if !errors.Is(err, op.ErrClosed) || abi.CodeOf(err) != abi.Unavailable {
			t.Errorf("after Close: %v (%s), want %v", err, abi.CodeOf(err), op.ErrClosed)
		}
	}
}

func TestDiskAlmostFull(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "k", "v")
	s.free = func(string) (uint64, error) { return MinFreeBytes - 1, nil }
	_, err := s.Commit(context.Background(), op.Txn{Namespace: "app", Ops: []op.Op{{Kind: op.Delete, Key: "k"}}})
	if abi.CodeOf(err) != abi.NoSpace || !strings.Contains(err.Error(), "63 MiB free") {
		t.Errorf("Commit = %v, want %s", err, abi.NoSpace)
	}
	if item, err := s.Get(context.Background(), "app", "k"); err != nil || string(item.Value) != "v" {
		t.Errorf("Get = %+v, %v, want it unharmed", item, err)
	}
	s.free = freeBytes
	put(t, s, "k", "w")
}

// TestEngineFailureStopsCommits checks that after an unknown outcome nothing is written over it, and that reads go on.
func TestEngineFailureStopsCommits(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	put(t, s, "k", "v")
	broken := errors.New("the disk is gone")
	s.commitAt = func(*badger.Txn, uint64) error { return broken }
	for range 2 {
		_, err := s.Commit(context.Background(), op.Txn{Namespace: "app", Ops: []op.Op{{Kind: op.Delete, Key: "k"}}})
		if !errors.Is(err, broken) {
			t.Errorf("Commit = %v, want %v", err, broken)
		}
		s.commitAt = commitAt
	}
	if item, err := s.Get(context.Background(), "app", "k"); err != nil || string(item.Value) != "v" {
		t.Errorf("Get = %+v, %v", item, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, open(t, Config{Dir: dir}), "k", "w")
}

func TestListLimit(t *testing.T) {
	s := open(t, Config{InMemory: true})
	s.listBytes = 4
	put(t, s, "a", "1")
	put(t, s, "b", "2")
	if items, err := s.List(context.Background(), "app", ""); err != nil || len(items) != 2 {
		t.Errorf("List at its limit = %v, %v", items, err)
	}
	put(t, s, "c", "")
	if _, err := s.List(context.Background(), "app", ""); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("List over its limit = %v, want %v", err, op.ErrTooLarge)
	}
}

// TestReadersHoldTheHorizon overwrites until memtables are flushed, and compacts, under an open read: what it sees
// must stay.
func TestReadersHoldTheHorizon(t *testing.T) {
	const keys, rounds = 50, 16
	s := eager(t, t.TempDir())
	write := func(c string) {
		for i := range keys {
			put(t, s, fmt.Sprint("k", i), strings.Repeat(c, 16<<10))
		}
	}
	write("o")
	at := s.horizon.begin()
	txn := s.db.NewTransactionAt(at, false)
	for range rounds {
		write("n")
	}
	if err := s.db.Flatten(2); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		item, err := get(txn, "app", fmt.Sprint("k", i))
		if err != nil || item.Value[0] != 'o' {
			t.Fatalf("open read of k%d = %.1q, %v, want what was there", i, item.Value, err)
		}
	}
	txn.Discard()
	if got := s.horizon.advance(s.horizon.newest()); got != at {
		t.Errorf("discard = %d with a read open at %d", got, at)
	}
	s.horizon.end(at)
	if got, want := s.horizon.advance(s.horizon.newest()), s.horizon.newest(); got != want {
		t.Errorf("discard = %d without a read, want %d", got, want)
	}
}

func TestMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	s := open(t, Config{InMemory: true, Metrics: r})
	put(t, s, "k", "v")
	s.Get(context.Background(), "app", "k")
	s.Commit(context.Background(), op.Txn{Namespace: "app", Checks: []op.Check{{Key: "k"}}})
	s.Commit(context.Background(), op.Txn{})
	values := map[string]float64{}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		m := f.GetMetric()[0]
		values[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	for name, want := range map[string]float64{"sett_kv_reads_total": 1, "sett_kv_commit_duration_seconds": 1,
		"sett_kv_conflicts_total": 1, "sett_kv_failures_total": 1, "sett_kv_index": 2, "sett_kv_size_bytes": 0} {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s = %v, %v, want %v", name, got, ok, want)
		}
	}
	if _, err := Open(Config{InMemory: true, Metrics: r}); err == nil {
		t.Error("a second store registered the same metrics")
	}
	s.Close()
	open(t, Config{InMemory: true, Metrics: r})
}

// TestInBubble checks that a store lives in virtual time, as whole-node tests need.
func TestInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Config{InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, "k", "v")
		time.Sleep(time.Hour)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTails checks that the tail of a large value comes and goes with it.
func TestTails(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	tails := func() (n int) {
		txn := s.db.NewTransactionAt(s.horizon.newest(), false)
		defer txn.Discard()
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte("t")})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return n
	}
	large := func(c string) string { return strings.Repeat(c, op.MaxValueBytes) }
	for _, c := range []struct {
		value string
		tails int
	}{
		{large("a"), 1}, {large("b"), 1}, {"small", 0}, {large("a")[:maxEntryBytes], 0}, {large("c")[:maxEntryBytes+1], 1},
	} {
		put(t, s, "k", c.value)
		item, err := s.Get(context.Background(), "app", "k")
		if err != nil || string(item.Value) != c.value || tails() != c.tails {
			t.Errorf("after Set of %d bytes: %d bytes, %v, %d tails, want %d", len(c.value), len(item.Value), err, tails(), c.tails)
		}
	}
	ops := []op.Op{{Kind: op.Set, Key: "k", Value: []byte(large("d"))}, {Kind: op.Set, Key: "k", Value: []byte("e")}, {Kind: op.Delete, Key: "k"}}
	for i := 1; i <= len(ops); i++ {
		if _, err := s.Commit(context.Background(), op.Txn{Namespace: "app", Ops: ops[:i]}); err != nil {
			t.Fatal(err)
		}
		if want := max(0, 2-i); tails() != want {
			t.Errorf("after %d operations on one key in a transaction: %d tails, want %d", i, tails(), want)
		}
	}
}

func FuzzDecodeHead(f *testing.F) {
	f.Add(byte(0), []byte("v"))
	f.Add(byte(hasPosition), []byte("\x01v"))
	f.Add(byte(hasPosition|hasTail), []byte("\xff\x1fv"))
	f.Add(byte(hasPosition), []byte("\x80\x20"))
	f.Add(byte(hasPosition), []byte("\x80"))
	f.Add(byte(4), []byte("v"))
	f.Fuzz(func(t *testing.T, meta byte, b []byte) {
		revision, value, err := decodeHead(7, meta, b)
		if err != nil {
			return
		}
		meta, head, _ := encodeValue(uint16(revision%positions), value)
		if r, v, err := decodeHead(7, meta, head); revision/positions != 7 || r != revision || !bytes.Equal(v, value) || err != nil {
			t.Fatalf("decodeHead(%x) = %d, %x; encoded and decoded again %d, %x, %v", b, revision, value, r, v, err)
		}
	})
}
