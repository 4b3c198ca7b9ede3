package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/fsm"
)

const smallPassingFile = 16 << 10

// passingFiles answers the files of values that pass.
func passingFiles(t *testing.T, s *Store) []string {
	t.Helper()
	return passingFilesIn(t, s.engine.Load().dir)
}

// settleAt makes the store believe that what it holds now has been so for as long as it keeps what is overwritten.
func settleAt(s *Store) {
	h := s.engine.Load().horizon
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = []sample{{time.Now().Add(-KeepVersions), h.applied}}
}

// TestPassing writes what passes to files, which go when nobody can read any more what is in them, and not sooner.
func TestPassing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, Passed: passed})
	s.engine.Load().passing.limit = smallPassingFile
	replay(t, s, 300)
	early := view(t, s)
	want := model{}.grow(1, 300)
	want.check(t, early)
	files := passingFiles(t, s)
	if len(files) < 10 {
		t.Fatalf("%d files hold what passes", len(files))
	}
	replay(t, s, 600)
	settleAt(s)
	syncNow(t, s)
	want.check(t, early) // a view holds its state
	oldestBegan(t, s, 300-passingIndices)
	early.Close()
	settleAt(s)
	syncNow(t, s)
	oldestBegan(t, s, 600-passingIndices)
	want = model{}.grow(1, 600)
	want.check(t, view(t, s))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, Config{Dir: dir, Passed: passed})
	s.engine.Load().passing.limit = smallPassingFile
	want.check(t, view(t, s))
	var b bytes.Buffer
	if _, err := s.Backup(&b, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(&b); err != nil {
		t.Fatal(err)
	}
	want.check(t, view(t, s))
	replay(t, s, 800) // some of it on what is restored, which is in no file
	settleAt(s)
	syncNow(t, s)
	model{}.grow(1, 800).check(t, view(t, s))
}

// oldestBegan checks that the oldest file is that of the oldest value that can be read, of the index after one.
func oldestBegan(t *testing.T, s *Store, index uint64) {
	t.Helper()
	files := passingFiles(t, s)
	for i, want := range []bool{true, false} {
		name := filepath.Base(files[i])
		if before := name < fmt.Sprintf("%020d", index+2); before != want {
			t.Fatalf("of %d files number %d is %s, the oldest value of index %d", len(files), i, name, index+1)
		}
	}
}

// TestPassingBelowLimit keeps small values, and what does not pass, in the engine.
func TestPassingBelowLimit(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	small := fsm.Write{Key: []byte("small"), Value: make([]byte, passingValueBytes-1), Passing: true}
	apply(t, s, small, fsm.Write{Key: []byte("stays"), Value: make([]byte, 1<<20)})
	if files := passingFiles(t, s); len(files) > 0 {
		t.Fatalf("%v", files)
	}
	least := fsm.Write{Key: []byte("least"), Value: make([]byte, passingValueBytes), Passing: true}
	most := fsm.Write{Key: []byte("most"), Value: bytes.Repeat([]byte("m"), MaxValueBytes), Passing: true}
	apply(t, s, least, most)
	info, err := os.Stat(passingFiles(t, s)[0])
	if err != nil || info.Size() != passingValueBytes+MaxValueBytes+2*passingHeadBytes {
		t.Fatalf("%+v, %v", info, err)
	}
	v := view(t, s)
	for _, w := range []fsm.Write{small, least, most} {
		if value, found, err := v.Get(w.Key); err != nil || !found || !bytes.Equal(value, w.Value) {
			t.Errorf("Get(%s) = %d bytes, %v, %v", w.Key, len(value), found, err)
		}
	}
}

// TestPassingReplacesParts writes a key whose value had parts before.
func TestPassingReplacesParts(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	apply(t, s, fsm.Write{Key: []byte("k"), Value: make([]byte, 3*entryBytes)})
	w := fsm.Write{Key: []byte("k"), Value: bytes.Repeat([]byte("w"), 2*entryBytes), Passing: true}
	apply(t, s, w)
	model{"k": string(w.Value)}.check(t, view(t, s))
	apply(t, s, put("k", "small"))
	model{"k": "small"}.check(t, view(t, s))
	apply(t, s, del("k"))
	model{}.check(t, view(t, s))
}

// TestPassingDamaged says which file is damaged or lost, and answers nothing else.
func TestPassingDamaged(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	apply(t, s, fsm.Write{Key: []byte("k"), Value: make([]byte, 2*passingValueBytes), Passing: true})
	path := passingFiles(t, s)[0]
	v := view(t, s)
	for _, c := range []struct {
		want   string
		damage func() error
	}{
		{"checksum of 2048 bytes at 16 is wrong", func() error { return os.WriteFile(path, bytes.Repeat([]byte{1}, 4<<10), 0o600) }},
		{"EOF", func() error { return os.Truncate(path, passingValueBytes) }},
		{"no such file", func() error { return os.Remove(path) }},
	} {
		if err := c.damage(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.Get([]byte("k")); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `get "k"`) {
			t.Errorf("Get = %v, want %q", err, c.want)
		}
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // to be synced at the end
		t.Fatal(err)
	}
}

// TestPassingRefuses refuses a file that is not one of those.
func TestPassingRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	apply(t, s, put("k", "v"))
	foreign := filepath.Join(s.engine.Load().dir, "7"+passingExtension)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "7.passing is not the name") {
		t.Errorf("Open = %v, %v", s, err)
	}
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	model{"k": "v"}.check(t, view(t, open(t, Config{Dir: dir})))
}

// TestPassingPowerLoss takes away what was written to the files after the watermark, and the files that were begun
// after it.
func TestPassingPowerLoss(t *testing.T) {
	t.Parallel()
	crashed := t.TempDir()
	applied, _ := runChild(t, crashed, planKill, func(_ string, n int) bool { return n == 430 })
	raw, err := os.ReadFile(filepath.Join(crashed, recordName))
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRecord(raw)
	if err != nil {
		t.Fatal(err)
	}
	durable := r.Durable // the child was further than its output
	ends := passingEnds(t, filepath.Join(crashed, firstEngine), durable)
	if len(ends) < 5 {
		t.Fatalf("values that pass are in %d files, up to the watermark %d", len(ends), durable)
	}
	for _, c := range []struct {
		name   string
		damage func(path string, end int64) error
	}{
		{"zeroed", zeroFrom},
		{"cut", os.Truncate},
		{"removed", func(path string, end int64) error {
			if end == 0 {
				return os.Remove(path)
			}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			copyDir(t, dir, crashed, nil)
			damaged := 0
			for _, path := range passingFilesIn(t, filepath.Join(dir, firstEngine)) {
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if end := ends[filepath.Base(path)]; end < info.Size() {
					damaged++
					if err := c.damage(path, end); err != nil {
						t.Fatal(err)
					}
				}
			}
			if damaged == 0 {
				t.Fatal("everything was durable: the test does not test")
			}
			recovered(t, dir, applied+20, durable)
		})
	}
}

func passingFilesIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+passingExtension))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// passingEnds answers up to where each file has what was written at the watermark or before.
func passingEnds(t *testing.T, dir string, durable uint64) map[string]int64 {
	t.Helper()
	ends := map[string]int64{}
	for at, p := range pointersOf(t, dir) {
		if at.index <= durable {
			name := filepath.Base((&passing{}).path(p.first))
			ends[name] = max(ends[name], int64(p.offset+p.size))
		}
	}
	return ends
}

// keyAt is a key as an index wrote it.
type keyAt struct {
	key   string
	index uint64
}

// pointersOf answers where an engine, which is not open, has what passes.
func pointersOf(t *testing.T, dir string) map[keyAt]pointer {
	t.Helper()
	copied := t.TempDir()
	copyDir(t, copied, dir, nil)
	db, err := badger.OpenManaged(engineOptions(copied, nil).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	o := badger.DefaultIteratorOptions
	o.AllVersions = true
	it := db.NewTransactionAt(math.MaxUint64, false).NewIterator(o)
	defer it.Close()
	all := map[keyAt]pointer{}
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if item.UserMeta() != passingMeta || item.IsDeletedOrExpired() {
			continue
		}
		err := item.Value(func(b []byte) (err error) {
			all[keyAt{string(item.Key()), item.Version()}], err = decodePointer(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestPassingSync syncs each file that was written to since, once.
func TestPassingSync(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	synced := map[string]int{}
	s.syncFile = func(path string) error {
		synced[filepath.Base(path)]++
		return syncFile(path)
	}
	s.engine.Load().passing.limit = smallPassingFile
	replay(t, s, 40)
	files := passingFiles(t, s)
	syncNow(t, s)
	for _, f := range files {
		if synced[filepath.Base(f)] != 1 {
			t.Errorf("%s was synced %d times", f, synced[filepath.Base(f)])
		}
	}
	apply(t, s, put("k", "v"))
	syncNow(t, s)
	apply(t, s, fsm.Write{Key: []byte("p"), Value: make([]byte, passingValueBytes), Passing: true})
	syncNow(t, s)
	for i, f := range files {
		if want := 1 + i/(len(files)-1); synced[filepath.Base(f)] != want {
			t.Errorf("%s was synced %d times, want %d", f, synced[filepath.Base(f)], want)
		}
	}
}

// TestPassingManyAtOnce keeps all that an index writes in one file, however much it is, and until its last is gone.
func TestPassingManyAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir(), Passed: passed})
	s.engine.Load().passing.limit = smallPassingFile
	want := model{}
	commit := func(writes ...fsm.Write) {
		t.Helper()
		apply(t, s, writes...)
		want.apply(writes)
	}
	write := func(index uint64, n, size int) fsm.Write {
		return fsm.Write{Key: []byte(passingKey(index, n)), Value: bytes.Repeat([]byte{byte(n)}, size), Passing: true}
	}
	commit(write(1, 0, smallPassingFile-1-passingHeadBytes))
	commit(write(2, 0, smallPassingFile), write(2, 1, smallPassingFile)) // the first file has room for one more
	commit(write(3, 0, smallPassingFile), write(3, 1, smallPassingFile))
	commit(del(passingKey(1, 0)))
	if files := passingFiles(t, s); len(files) != 2 {
		t.Fatalf("%v", files)
	}
	for range 2 {
		settleAt(s)
		syncNow(t, s)
		v := view(t, s)
		want.check(t, v)
		v.Close()
	}
	commit(del(passingKey(2, 0)), del(passingKey(2, 1)))
	settleAt(s)
	syncNow(t, s)
	if files := passingFiles(t, s); len(files) != 1 {
		t.Fatalf("%v", files)
	}
	want.check(t, view(t, s))
}

// TestPassingBeyondTheFloor: of a state without anything that passes it may be said that all has passed. What came after
// that state has not.
func TestPassingBeyondTheFloor(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir(), Passed: passed})
	s.engine.Load().passing.limit = 1
	apply(t, s, put("k", "v"))
	before := view(t, s) // the floor is here
	want := model{"k": "v"}
	for index := uint64(2); index < 5; index++ {
		w := fsm.Write{Key: []byte(passingKey(index, 0)), Value: make([]byte, passingValueBytes), Passing: true}
		apply(t, s, w)
		want.apply([]fsm.Write{w})
	}
	settleAt(s)
	syncNow(t, s)
	want.check(t, view(t, s))
	model{"k": "v"}.check(t, before)
}

// TestPassingAppliedAgain: after a stop at any moment the engine is given entries that it has already. The two must be
// equal, as it may answer either.
func TestPassingAppliedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, count := range []int{200, 333} {
		runChild(t, dir, planKill, func(_ string, n int) bool { return n == count })
	}
	again, tries := 0, 0 // values that will be written again; few where all had just been synced
	var before map[keyAt]pointer
	var applied uint64
	for ; again < 10 && tries < 20; tries++ {
		var durable uint64
		applied, durable = runChild(t, dir, planKill, func(_ string, n int) bool { return n == 150+tries })
		before, again = pointersOf(t, filepath.Join(dir, firstEngine)), 0
		for at := range before {
			if at.index > durable {
				again++
			}
		}
	}
	if again < 10 {
		t.Fatalf("%d of %d values are to be written again after %d kills: the test does not test", again, len(before), tries)
	}
	s := openSmall(t, dir)
	replay(t, s, applied+20)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := pointersOf(t, filepath.Join(dir, firstEngine))
	for at, p := range before {
		if after[at] != p {
			t.Errorf("%+v was at %+v, applied again it is at %+v", at, p, after[at])
		}
	}
}

// TestOldFormat: a directory that an older Sett has left is of this format from when it is opened, before anything is in it
// that the older one does not read.
func TestOldFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	apply(t, s, put("k", "v"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, recordName)
	if err := os.WriteFile(name, []byte(`{"format":2,"engine":"engine-1","durable":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir})
	model{"k": "v"}.check(t, view(t, s))
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := parseRecord(raw); err != nil || r != (record{layoutFormat, firstEngine, 1}) {
		t.Errorf("the record is %+v, %v", r, err)
	}
}

func FuzzPassingEnd(f *testing.F) {
	head := func(index uint64, size uint32) []byte {
		b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, index), size)
		return binary.BigEndian.AppendUint32(b, checksum(b))
	}
	f.Add(append(append(head(1, 3), "abc"...), head(2, 0)...), uint64(1))
	f.Add(head(1, math.MaxUint32), uint64(1))
	f.Add(make([]byte, 100), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, durable uint64) {
		end, err := passingEnd(bytes.NewReader(b), int64(len(b)), durable)
		if err != nil || end < 0 || end > int64(len(b)) {
			t.Fatalf("%d of %d, %v", end, len(b), err)
		}
		if again, err := passingEnd(bytes.NewReader(b[:end]), end, durable); err != nil || again != end {
			t.Fatalf("%d, then %d, %v", end, again, err)
		}
	})
}

func FuzzPointer(f *testing.F) {
	f.Add(pointer{first: 7, offset: 1 << 40, size: 1 << 20, sum: 0xfedcba98}.append(nil))
	f.Add(pointer{}.append(nil))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePointer(b)
		if err != nil {
			return
		}
		if again, err := decodePointer(p.append(nil)); err != nil || again != p || p.size > MaxValueBytes {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
		if value, err := (&passing{dir: t.TempDir()}).get(b, nil); err == nil {
			t.Fatalf("a value of %d bytes came from nowhere", len(value))
		}
	})
}
