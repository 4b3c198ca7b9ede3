package store

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir, os.Getenv(childPlan))
	}
	os.Exit(m.Run())
}

// each runs a test on a store in memory and on one on disk.
func each(t *testing.T, test func(*testing.T, *Store)) {
	t.Run("memory", func(t *testing.T) { test(t, open(t, Config{InMemory: true})) })
	t.Run("disk", func(t *testing.T) { test(t, open(t, Config{Dir: t.TempDir()})) })
}

func TestViews(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		m := model{}
		m.check(t, view(t, s))
		var views []*View
		var models []model
		for i := uint64(1); i <= 60; i++ {
			if err := s.Apply(i, history(i)); err != nil {
				t.Fatal(err)
			}
			m = model{}.grow(1, i)
			models = append(models, m)
			views = append(views, view(t, s))
		}
		for i, v := range views {
			if want := uint64(i + 1); v.Index() != want {
				t.Fatalf("Index = %d, want %d", v.Index(), want)
			}
			models[i].check(t, v)
			for key, value := range m {
				got, found, err := v.Get([]byte(key))
				if want, ok := models[i][key]; err != nil || found != ok || string(got) != want {
					t.Fatalf("Get(%s) at %d = %.20q, %v, %v, want %.20q", key, v.Index(), got, found, err, value)
				}
			}
		}
		at, err := s.ViewAt(30)
		if err != nil {
			t.Fatal(err)
		}
		defer at.Close()
		models[29].check(t, at)
		if _, err := s.ViewAt(61); !errors.Is(err, ErrAhead) || abi.CodeOf(err) != abi.Unavailable {
			t.Errorf("ViewAt(61) = %v, want %v", err, ErrAhead)
		}
	})
}

func TestScan(t *testing.T) {
	t.Parallel()
	s := open(t, Config{InMemory: true})
	apply(t, s, put("", "empty"), put("a", "1"), put("a\x00", "2"), put("a\xff\xff", "3"), put("b", ""), put("b1", "5"), put("d", "6"))
	v := view(t, s)
	for _, c := range []struct {
		prefix, from string
		limit        int
		want         string
	}{
		{"", "", 9, " a a\x00 a\xff\xff b b1 d"},
		{"a", "", 9, "a a\x00 a\xff\xff"},
		{"a", "a\x00", 9, "a\x00 a\xff\xff"},
		{"a", "a\x00\x00", 9, "a\xff\xff"},
		{"a", "b", 9, ""},
		{"b", "a", 9, "b b1"},
		{"b", "b", 1, "b"},
		{"", "b0", 9, "b1 d"},
		{"c", "", 9, ""},
	} {
		var got []string
		err := v.Scan([]byte(c.prefix), []byte(c.from), func(key, _ []byte) bool {
			got = append(got, string(key))
			return len(got) < c.limit
		})
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("Scan(%q, %q) = %q, %v, want %q", c.prefix, c.from, got, err, c.want)
		}
	}
	if value, found, err := v.Get([]byte("b")); err != nil || !found || len(value) != 0 {
		t.Errorf("Get of an empty value = %q, %v, %v", value, found, err)
	}
}

func TestApplyOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		apply(t, s, put("k", "1"), put("gone", "1"), del("k"), put("k", "2"), del("gone"), del("never"))
		model{"k": "2"}.check(t, view(t, s))
		if err := s.Apply(9, nil); err != nil || s.Applied() != 9 {
			t.Errorf("Apply(9) = %v, applied %d", err, s.Applied())
		}
		for _, index := range []uint64{0, 1, 9} {
			if err := s.Apply(index, []fsm.Write{put("k", "3")}); err == nil {
				t.Errorf("Apply(%d) after 9 = nil", index)
			}
		}
		apply(t, s, put("k", "4"))
		model{"k": "4"}.check(t, view(t, s))
	})
}

func TestReopen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "store")
	s := open(t, Config{Dir: dir})
	replay(t, s, 50)
	if s.Durable() != 0 {
		t.Errorf("Durable = %d before Sync", s.Durable())
	}
	if d := syncNow(t, s); d != 50 || s.Durable() != 50 {
		t.Errorf("Sync = %d, Durable = %d, want 50", d, s.Durable())
	}
	replay(t, s, 69) // Close makes the rest durable
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	if s.Applied() != 69 || s.Durable() != 69 {
		t.Errorf("after reopening: applied %d, durable %d, want 69", s.Applied(), s.Durable())
	}
	model{}.grow(1, 69).check(t, view(t, s))
	if _, err := s.ViewAt(68); !errors.Is(err, op.ErrCompacted) || abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("ViewAt before reopening = %v, want %v", err, op.ErrCompacted)
	}
	replay(t, s, 99)
	model{}.grow(1, 99).check(t, view(t, s))
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory = %v, %v, want 0700", info.Mode(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
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
		{"newer", "has format 4 and this version of Sett reads format 3", Config{Dir: dirWith(t, `{"format":4,"engine":"x"}`)}},
		{"damaged", "read store.json", Config{Dir: dirWith(t, `{"format":2,`)}},
		{"elsewhere", "not the name of an engine", Config{Dir: dirWith(t, `{"format":2,"engine":"../engine-1"}`)}},
		{"lost", "names an engine that is not there", Config{Dir: dirWith(t, `{"format":2,"engine":"engine-1"}`)}},
		{"foreign", "not a store of Sett", Config{Dir: databaseWith(t, "k", "v")}},
		{"unknown", "unknown format", Config{Dir: databaseWith(t, "mformat", "\x02")}},
		{"first format", "must be migrated", Config{Dir: databaseWith(t, "mformat", "\x01")}},
	} {
		if c.cfg.Dir == "" && c.name == "read-only" {
			continue // this user may write everywhere
		}
		for range 2 { // the refusal changes nothing
			s, err := Open(c.cfg)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "open store") {
				t.Errorf("%s: Open = %v, want %q", c.name, err, c.want)
			}
			if err == nil {
				s.Close()
			}
			var migration *MigrationError
			if got, want := errors.As(err, &migration), c.name == "first format"; got != want {
				t.Errorf("%s: Open = %v is a MigrationError: %v", c.name, err, got)
			} else if got && (migration.Format != 1 || migration.Dir != c.cfg.Dir) {
				t.Errorf("%s: %+v", c.name, migration)
			}
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

func dirWith(t *testing.T, record string) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, recordName), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// databaseWith answers a database that holds just one entry, where the first format had it.
func databaseWith(t *testing.T, key, value string) string {
	dir := t.TempDir()
	db, err := badger.OpenManaged(engineOptions(dir, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	txn := db.NewTransactionAt(0, true)
	if err := errors.Join(txn.Set([]byte(key), []byte(value)), txn.CommitAt(1, nil), db.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestLeftovers checks that what a crash leaves beside the record's engine goes, and the engine stays.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	apply(t, s, put("k", "v"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"engine-7", "engine-x", "mine"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, Config{Dir: dir})
	model{"k": "v"}.check(t, view(t, s))
	if got, want := names(t, dir), []string{"engine-1", "engine-x", "mine", lockName, recordName}; !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("files = %v, want %v", got, want)
	}
}

func names(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestClosed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		apply(t, s, put("k", "v"))
		v, ended := view(t, s), view(t, s)
		ended.Close()
		ended.Close()
		_, _, endedErr := ended.Get([]byte("k"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, _, getErr := v.Get([]byte("k"))
		_, viewErr := s.View()
		_, syncErr := s.Sync(t.Context())
		_, backupErr := s.Backup(nil, 0)
		_, hashErr := s.Hash(v)
		for _, err := range []error{endedErr, getErr, viewErr, syncErr, backupErr, hashErr, s.WriteSnapshot(nil, v),
			s.Apply(9, nil), s.Restore(nil), s.Close(), v.Scan(nil, nil, nil)} {
			if !errors.Is(err, op.ErrClosed) || abi.CodeOf(err) != abi.Unavailable {
				t.Errorf("after Close: %v (%s), want %v", err, abi.CodeOf(err), op.ErrClosed)
			}
		}
	})
}

// TestCloseEndsScans checks that Close does not wait for a long scan's end, and that a visit may use the view.
func TestCloseEndsScans(t *testing.T) {
	t.Parallel()
	s := open(t, Config{InMemory: true})
	replay(t, s, 20)
	closed := make(chan error)
	var getErr error
	visited := 0
	v := view(t, s)
	err := v.Scan(nil, nil, func(key, _ []byte) bool {
		visited++
		if _, found, err := v.Get(key); err != nil || !found {
			t.Errorf("Get within Scan = %v, %v", found, err)
		}
		go func() { closed <- s.Close() }()
		for !v.engine.gate.closing() {
			runtime.Gosched()
		}
		_, _, getErr = v.Get(key)
		return true
	})
	if visited != 1 || !errors.Is(err, op.ErrClosed) || !errors.Is(getErr, op.ErrClosed) {
		t.Errorf("Scan = %v after %d keys, Get within it = %v", err, visited, getErr)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close = %v", err)
	}
}

func TestDiskAlmostFull(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	apply(t, s, put("k", "v"))
	var snapshot strings.Builder
	if _, err := s.Backup(&snapshot, 0); err != nil {
		t.Fatal(err)
	}
	s.free = func(string) (uint64, error) { return MinFreeBytes - 1, nil }
	for _, err := range []error{s.Apply(2, []fsm.Write{del("k")}), s.CheckSpace(), s.Restore(strings.NewReader(snapshot.String()))} {
		if abi.CodeOf(err) != abi.NoSpace || !strings.Contains(err.Error(), "255 MiB free") {
			t.Errorf("on a full disk: %v, want %s", err, abi.NoSpace)
		}
	}
	if s.Applied() != 1 {
		t.Errorf("Applied = %d, want 1", s.Applied())
	}
	model{"k": "v"}.check(t, view(t, s))
	if err := s.Apply(2, nil); err != nil {
		t.Errorf("Apply without writes = %v", err)
	}
	s.free = func(string) (uint64, error) { return MinFreeBytes + ReserveBytes - 1, nil }
	apply(t, s, put("k", "w")) // it was proposed when there was more
	if err := s.CheckSpace(); abi.CodeOf(err) != abi.NoSpace {
		t.Errorf("CheckSpace below the reserve = %v, want %s", err, abi.NoSpace)
	}
	s.free = func(string) (uint64, error) { return MinFreeBytes + ReserveBytes, nil }
	if err := s.CheckSpace(); err != nil {
		t.Errorf("CheckSpace above the reserve = %v", err)
	}
	model{"k": "w"}.check(t, view(t, s))
}

// TestEngineFailure checks that after an unknown outcome nothing is written over it, and that reads go on.
func TestEngineFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	apply(t, s, put("k", "v"))
	d := syncNow(t, s)
	commit, broken := s.commitAt, errors.New("the disk is gone")
	s.commitAt = func(txn *badger.Txn, index uint64) error { return errors.Join(commit(txn, index), broken) }
	for range 2 {
		if err := s.Apply(2, []fsm.Write{put("k", "half")}); !errors.Is(err, broken) {
			t.Errorf("Apply = %v, want %v", err, broken)
		}
		s.commitAt = commit
	}
	if _, err := s.Sync(t.Context()); !errors.Is(err, broken) || s.Durable() != d {
		t.Errorf("Sync = %v, want %v", err, broken)
	}
	model{"k": "v"}.check(t, view(t, s))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	if s.Applied() != d {
		t.Errorf("Applied after reopening = %d, want %d", s.Applied(), d)
	}
	model{"k": "v"}.check(t, view(t, s))
	apply(t, s, put("k", "w"))
	model{"k": "w"}.check(t, view(t, s))
}

func TestSyncFailure(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	apply(t, s, put("k", "v"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.syncing <- struct{}{}
	if _, err := s.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Sync behind another one = %v, want %v", err, context.Canceled)
	}
	<-s.syncing
	broken := errors.New("the disk is gone")
	s.syncFile = func(string) error { return broken }
	if _, err := s.Sync(t.Context()); !errors.Is(err, broken) || s.Durable() != 0 {
		t.Errorf("Sync = %v, durable %d, want %v", err, s.Durable(), broken)
	}
	s.syncFile = syncFile // the data may be lost all the same
	if _, err := s.Sync(t.Context()); !errors.Is(err, broken) || s.Durable() != 0 {
		t.Errorf("Sync after a failed one = %v, durable %d, want %v", err, s.Durable(), broken)
	}
	if err := s.Apply(2, nil); !errors.Is(err, broken) {
		t.Errorf("Apply after a failed Sync = %v, want %v", err, broken)
	}
}

// TestSyncAnywhere has logs synced in a directory whose name is, as a pattern, that of others, or of none.
func TestSyncAnywhere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"data [1]", "a[b", `a\b*`} {
		s := open(t, Config{Dir: filepath.Join(t.TempDir(), name)})
		apply(t, s, put("k", "v"))
		synced := 0
		s.syncFile = func(path string) error {
			synced++
			return syncFile(path)
		}
		if d, err := s.Sync(t.Context()); err != nil || d != 1 || synced != 1 {
			t.Errorf("%s: Sync = %d, %v, with %d logs, want 1 with 1", name, d, err, synced)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := prometheus.NewPedanticRegistry()
	cfg := Config{Dir: t.TempDir(), Metrics: r}
	s := open(t, cfg)
	apply(t, s, put("k", "v"))
	syncNow(t, s)
	apply(t, s, put("k", "w"))
	if err := s.WriteSnapshot(&strings.Builder{}, view(t, s)); err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		m := f.GetMetric()[0]
		values[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	for name, want := range map[string][2]float64{
		"sett_kv_applied_index": {2, 2}, "sett_kv_durable_index": {1, 1},
		"sett_kv_snapshot_seconds": {1, 1}, "sett_kv_snapshot_bytes_total": {50, 60},
		"sett_kv_lsm_bytes": {0, 0}, "sett_kv_value_log_bytes": {1, 8 << 20}, "sett_kv_free_disk_bytes": {1, math.MaxFloat64},
		"sett_kv_passing_bytes": {0, 0}} {
		if got, ok := values[name]; !ok || got < want[0] || got > want[1] {
			t.Errorf("%s = %v, %v, want %v", name, got, ok, want)
		}
	}
	if _, err := Open(Config{InMemory: true, Metrics: r}); err == nil {
		t.Error("a second store registered the same metrics")
	}
	s.Close()
	open(t, cfg)
}

// TestInBubble checks that a store lives in virtual time, as whole-node tests need, and how long it keeps what was
// overwritten.
func TestInBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Config{InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		index := apply(t, s, put("k", "v"))
		for at := time.Duration(0); at < 2*KeepVersions; at += time.Second {
			apply(t, s, put("k", at.String()))
			if d := syncNow(t, s); d != s.Applied() || s.Durable() != d {
				t.Fatalf("Sync = %d, durable %d, want %d", d, s.Durable(), s.Applied())
			}
			v, err := s.ViewAt(index)
			if err == nil {
				v.Close()
			}
			if at < KeepVersions && err != nil || at > KeepVersions+2*sampleEvery && !errors.Is(err, op.ErrCompacted) {
				t.Fatalf("ViewAt(%d) after %v = %v", index, at, err)
			}
			time.Sleep(time.Second)
		}
		if n := len(s.engine.Load().horizon.samples); n > int(KeepVersions/sampleEvery)+2 {
			t.Errorf("%d samples are kept", n)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"format":2,"engine":"engine-1","durable":7}`))
	f.Add([]byte(`{"format":3,"engine":"engine-1","durable":7}`))
	f.Add([]byte(`{"format":2,"engine":"engine-01"}`))
	f.Add(binary.AppendUvarint(nil, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err == nil && (r.Format != layoutFormat && r.Format != oldestFormat || filepath.Base(r.Engine) != r.Engine) {
			t.Fatalf("parseRecord(%q) = %+v", b, r)
		}
	})
}

// TestCloseOnFullDisk leaves the engine as a kill does: it would write to files that the disk has no room for, which
// ends the process.
func TestCloseOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var full atomic.Bool
	free := func(string) (uint64, error) {
		if full.Load() {
			return MinFreeBytes - 1, nil
		}
		return 1 << 40, nil
	}
	s, err := Open(Config{Dir: dir, Free: free})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, put("k", "v"))
	d := syncNow(t, s)
	apply(t, s, put("k", "w"))
	full.Store(true)
	e := s.engine.Load()
	if err := s.Close(); abi.CodeOf(err) != abi.NoSpace || !strings.Contains(err.Error(), "255 MiB free") {
		t.Errorf("Close on a full disk = %v, want %s", err, abi.NoSpace)
	}
	if e.db.IsClosed() {
		t.Error("the engine was closed")
	}
	if err := s.Apply(9, nil); !errors.Is(err, op.ErrClosed) {
		t.Errorf("Apply after Close = %v, want %v", err, op.ErrClosed)
	}
	if _, err := s.View(); !errors.Is(err, op.ErrClosed) {
		t.Errorf("View after Close = %v, want %v", err, op.ErrClosed)
	}
	if err := e.db.Close(); err != nil { // in the place of the process's end
		t.Fatal(err)
	}
	full.Store(false)
	s = open(t, Config{Dir: dir, Free: free})
	if s.Applied() != d {
		t.Errorf("Applied = %d, want the watermark %d", s.Applied(), d)
	}
	model{"k": "v"}.check(t, view(t, s))
}
