package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

func snapshotOf(t testing.TB, s *Store, v *View) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.WriteSnapshot(&b, v); err != nil {
		t.Fatalf("WriteSnapshot = %v", err)
	}
	return b.Bytes()
}

func backup(t testing.TB, s *Store, since uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	index, err := s.Backup(&b, since)
	if err != nil || index != s.Applied() {
		t.Fatalf("Backup(%d) = %d, %v, want %d", since, index, err, s.Applied())
	}
	return b.Bytes()
}

func restore(t testing.TB, s *Store, snapshots ...[]byte) {
	t.Helper()
	var readers []io.Reader
	for _, b := range snapshots {
		readers = append(readers, bytes.NewReader(b))
	}
	if err := s.Restore(readers[0], readers[1:]...); err != nil {
		t.Fatalf("Restore = %v", err)
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		large := strings.Repeat("v", 2*entryBytes+7)
		replay(t, s, 90)
		apply(t, s, put("large", large), put("empty", ""), put("", "no key"))
		v := view(t, s)
		replay(t, s, 120)
		snapshot := snapshotOf(t, s, v)

		for name, cfg := range map[string]Config{"memory": {InMemory: true}, "disk": {Dir: t.TempDir()}} {
			other := open(t, cfg)
			replay(t, other, 300)
			old := view(t, other)
			restore(t, other, snapshot)
			if other.Applied() != 91 || other.Durable() != 91 {
				t.Errorf("%s: applied %d, durable %d, want 91", name, other.Applied(), other.Durable())
			}
			model(contents(t, v)).check(t, view(t, other))
			model{}.grow(1, 300).check(t, old)
			if !bytes.Equal(snapshotOf(t, other, view(t, other)), snapshot) {
				t.Errorf("%s: a snapshot of what was restored is another one", name)
			}
			replay(t, other, 120)
			if got, want := hashNow(t, other), hashNow(t, s); got != want {
				t.Errorf("%s: Hash = %x, want %x", name, got, want)
			}
			apply(t, other, put("large", "small"))
			if got, _ := s.Hash(v); got == hashNow(t, other) {
				t.Errorf("%s: states that differ have the hash %x", name, got)
			}
			if n := countAll(other, partKind); n != 0 {
				t.Errorf("%s: %d parts are left", name, n)
			}
			old.Close()
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			if cfg.Dir == "" {
				continue
			}
			if got := names(t, cfg.Dir); !slices.Equal(got, []string{"engine-2", recordName, lockName}) {
				t.Errorf("files after Restore = %v", got)
			}
			other = open(t, cfg)
			if got, found, err := view(t, other).Get([]byte("empty")); err != nil || !found || len(got) != 0 {
				t.Errorf("Get of an empty value after a restore = %q, %v, %v", got, found, err)
			}
			if other.Applied() != 121 {
				t.Errorf("Applied = %d, want 121", other.Applied())
			}
		}
	})
}

// TestRestoreIsDurable takes the power away right after a restore: none of the engine's files is closed.
func TestRestoreIsDurable(t *testing.T) {
	t.Parallel()
	source := open(t, Config{InMemory: true})
	replay(t, source, 200)
	dir, lost := t.TempDir(), t.TempDir()
	s := open(t, Config{Dir: dir})
	replay(t, s, 300)
	restore(t, s, backup(t, source, 0))
	copyDir(t, lost, dir, func(name string) bool { return name == lockName })
	recovered(t, lost, 300, 200)
}

// TestIncrements restores chains of backups, on which deletions have long been forgotten by the engine.
func TestIncrements(t *testing.T) {
	t.Parallel()
	s := opened(t)(openWith(Config{Dir: t.TempDir()}, busy))
	var chain [][]byte
	since := uint64(0)
	for _, to := range []uint64{60, 61, 150, 400} {
		replay(t, s, to)
		forget(t, s)
		chain = append(chain, backup(t, s, since))
		since = to
		if len(chain) == 3 {
			since = 61 // the last one is for what the second made, and so for the third too
		}
	}
	if whole := backup(t, s, 0); len(chain[1]) > len(whole)/8 {
		t.Errorf("an increment of one index has %d bytes, all has %d", len(chain[1]), len(whole))
	}
	other := open(t, Config{InMemory: true})
	for _, c := range []struct {
		chain [][]byte
		index uint64
		ok    bool
	}{
		{chain[:1], 60, true}, {chain[:2], 61, true}, {chain[:3], 150, true}, {chain, 400, true},
		{[][]byte{chain[0], chain[1], chain[3]}, 400, true},
		{[][]byte{chain[0], chain[2]}, 0, false},
		{[][]byte{chain[0], chain[3]}, 0, false},
		{[][]byte{chain[1]}, 0, false},
		{[][]byte{chain[0], chain[0]}, 0, false},
		{[][]byte{chain[0], chain[1], chain[3], chain[2]}, 0, false},
	} {
		var readers []io.Reader
		for _, b := range c.chain {
			readers = append(readers, bytes.NewReader(b))
		}
		before := other.Applied()
		err := other.Restore(readers[0], readers[1:]...)
		if c.ok && err != nil || !c.ok && (!errors.Is(err, ErrSnapshot) || other.Applied() != before) {
			t.Errorf("Restore of %d = %v", len(c.chain), err)
		}
		if c.ok {
			model{}.grow(1, c.index).check(t, view(t, other))
		}
	}
	if _, err := s.Backup(io.Discard, 401); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("Backup since an index to come = %v", err)
	}
}

// forget makes everything durable and lets the engine throw away what nobody may read any more, as if KeepVersions
// had gone by.
func forget(t testing.TB, s *Store) {
	t.Helper()
	e := s.engine.Load()
	syncNow(t, s)
	e.horizon.mu.Lock()
	e.horizon.samples = []sample{{time.Now().Add(-2 * KeepVersions), e.horizon.applied}}
	e.horizon.mu.Unlock()
	syncNow(t, s)
	if err := e.db.Flatten(2); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotDuringCompaction streams a state while all of it is overwritten and compacted away, and reads it after
// that without the hold that the view has, to see that it is the view that kept it.
func TestSnapshotDuringCompaction(t *testing.T) {
	t.Parallel()
	s := opened(t)(openWith(Config{Dir: t.TempDir()}, busy))
	overwrite := func(c string) {
		for i := range 60 {
			apply(t, s, put(fmt.Sprintf("key-%02d", i), strings.Repeat(c, 32<<10)))
		}
	}
	overwrite("o")
	want := model(contents(t, view(t, s)))
	held, loose := view(t, s), view(t, s)
	reader, writer := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := s.WriteSnapshot(writer, held)
		writer.CloseWithError(err)
		written <- err
	}()
	var snapshot bytes.Buffer
	for {
		n, err := io.CopyN(&snapshot, reader, 400<<10)
		if n == 0 && errors.Is(err, io.EOF) {
			break
		}
		overwrite("n")
		forget(t, s)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	other := open(t, Config{InMemory: true})
	restore(t, other, snapshot.Bytes())
	want.check(t, view(t, other))
	want.check(t, held)

	for _, v := range []*View{held, loose} {
		v.engine.horizon.mu.Lock()
		clear(v.engine.horizon.open)
		v.engine.horizon.mu.Unlock()
		v.closed.Store(false)
	}
	overwrite("m")
	forget(t, s)
	overwrite("l")
	forget(t, s)
	if want.diff(contents(t, loose)) == "" {
		t.Error("the state is still there without a hold: the test does not test")
	}
	held.closed.Store(true) // there is nothing to let go
	loose.closed.Store(true)
	if _, err := s.ViewAt(held.Index()); !errors.Is(err, op.ErrCompacted) {
		t.Errorf("ViewAt what was forgotten = %v, want %v", err, op.ErrCompacted)
	}
}

// TestSnapshotMemory holds what a snapshot has live to a part of the state's size.
func TestSnapshotMemory(t *testing.T) {
	s := open(t, Config{InMemory: true}) // and all of it in one memtable: nothing else takes memory
	for i := range 32 {
		apply(t, s, put(fmt.Sprint("key-", i), strings.Repeat("v", 1<<20)))
	}
	base, meter := liveBytes(), &heapMeter{}
	if err := s.WriteSnapshot(meter, view(t, s)); err != nil {
		t.Fatal(err)
	}
	if most := meter.most - base; meter.bytes < 32<<20 || most > 10<<20 {
		t.Errorf("a snapshot of %d bytes had %d live", meter.bytes, most)
	}
}

// heapMeter looks at the heap each few megabytes that go through it.
type heapMeter struct{ bytes, looked, most int64 }

func (m *heapMeter) Write(b []byte) (int, error) {
	m.bytes += int64(len(b))
	if m.bytes-m.looked >= 8<<20 {
		m.looked = m.bytes
		m.most = max(m.most, liveBytes())
	}
	return len(b), nil
}

func liveBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestDamagedSnapshots(t *testing.T) {
	t.Parallel()
	source := open(t, Config{InMemory: true})
	apply(t, source, put("a", "1"), put("b", "2"), put("c", ""))
	apply(t, source, put("b", "3"))
	whole := backup(t, source, 0)
	s := open(t, Config{Dir: t.TempDir()})
	apply(t, s, put("k", "v"))
	refused := func(what string, b []byte) {
		t.Helper()
		if err := s.Restore(bytes.NewReader(b)); !errors.Is(err, ErrSnapshot) {
			t.Errorf("Restore of %s = %v, want %v", what, err, ErrSnapshot)
		}
	}
	for i := range whole {
		if i%5 != 0 && i < len(whole)-34 {
			continue // each makes and removes an engine
		}
		refused(fmt.Sprint("its first ", i, " bytes"), whole[:i])
	}
	for i := len(whole) - 34; i < len(whole); i += 3 {
		flipped := slices.Clone(whole)
		flipped[i] ^= 1
		refused(fmt.Sprint("a flipped bit at ", i), flipped)
	}
	broken := errors.New("connection lost")
	if err := s.Restore(io.MultiReader(bytes.NewReader(whole[:20]), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("Restore = %v, want %v", err, broken)
	}
	if err := source.WriteSnapshot(failing{broken}, view(t, source)); !errors.Is(err, broken) {
		t.Errorf("WriteSnapshot = %v, want %v", err, broken)
	}
	model{"k": "v"}.check(t, view(t, s))
	if got := names(t, s.dir.path); !slices.Equal(got, []string{"engine-1", recordName, lockName}) {
		t.Errorf("files after failed restores = %v", got)
	}
	restore(t, s, whole)
	model{"a": "1", "b": "3", "c": ""}.check(t, view(t, s))
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestRestoreCannotBeNamed fails when the record is written: which engine it names is unknown, and nothing may
// change until the store is opened again, which either engine allows.
func TestRestoreCannotBeNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := open(t, Config{InMemory: true})
	replay(t, source, 30)
	s := open(t, Config{Dir: dir})
	apply(t, s, put("k", "v"))
	syncNow(t, s)
	block := filepath.Join(dir, recordName+".new")
	if err := os.Mkdir(block, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(bytes.NewReader(backup(t, source, 0))); err == nil {
		t.Fatal("Restore = nil")
	}
	if _, err := s.Sync(t.Context()); err == nil {
		t.Error("Sync = nil")
	}
	if err := s.Apply(2, nil); err == nil {
		t.Error("Apply = nil")
	}
	model{"k": "v"}.check(t, view(t, s))
	if err := errors.Join(s.Close(), os.Remove(block)); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	model{"k": "v"}.check(t, view(t, s))
	restore(t, s, backup(t, source, 0))
	model{}.grow(1, 30).check(t, view(t, s))
}

func FuzzSnapshot(f *testing.F) {
	var b bytes.Buffer
	w := newSnapshotWriter(&b)
	w.begin(9, 3)
	w.value([]byte("a"), 7, []byte("value"))
	w.kept([]byte("b"), 2)
	w.end()
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:20])
	f.Add(binary.AppendUvarint([]byte(snapshotMagic+"\x01\x09\x00\x01"), MaxKeyBytes+1))
	f.Add(binary.AppendUvarint([]byte(snapshotMagic+"\x01\x09\x00\x01\x01a\x02"), MaxValueBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := newSnapshotReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		w := newSnapshotWriter(&again)
		w.begin(r.index, r.since)
		for {
			e, more, err := r.next()
			if err != nil {
				if !errors.Is(err, ErrSnapshot) {
					t.Fatalf("next = %v", err)
				}
				return
			}
			if !more {
				break
			}
			if e.kept {
				w.kept(e.key, e.version)
			} else {
				w.value(e.key, e.version, e.value)
			}
		}
		w.end()
		if r2, err := newSnapshotReader(&again); err != nil || r2.index != r.index || r2.since != r.since {
			t.Fatalf("written again: %v", err)
		}
	})
}
