package store

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// The test binary as a child applies history to the store in childDir until it is killed, and says on its output
// what it has done: "applied 7", "durable 5".
const (
	childDir  = "SETT_TEST_STORE_DIR"
	childPlan = "SETT_TEST_STORE_PLAN"

	planKill  = "kill"  // a busy engine and a Sync now and then
	planPower = "power" // a Sync between memtables that wait to be written out, then more of them, then "full"
)

func child(dir, plan string) {
	tune := map[string]func(badger.Options) badger.Options{planKill: busy, planPower: stalled}[plan]
	s, err := openWith(Config{Dir: dir, Passed: passed}, tune)
	if err != nil {
		childFails("open", err)
	}
	s.engine.Load().passing.limit = smallPassingFile
	for index := s.Applied() + 1; ; index++ {
		if err := s.Apply(index, history(index)); err != nil {
			childFails("apply", err)
		}
		fmt.Println("applied", index)
		logs := 0
		if plan == planPower {
			logs = len(logFiles(s.engine.Load().dir))
		}
		if plan == planKill && index%40 == 0 || logs == 5 && s.Durable() == 0 {
			if _, err := s.Sync(context.Background()); err != nil {
				childFails("sync", err)
			}
			fmt.Println("durable", s.Durable())
		}
		if logs == 8 {
			fmt.Println("full", index)
			select {}
		}
	}
}

func childFails(what string, err error) {
	fmt.Println(what, err)
	os.Exit(1)
}

func logFiles(dir string) []string {
	names, _ := filepath.Glob(filepath.Join(dir, "*.mem"))
	slices.Sort(names)
	return names
}

// runChild runs a child, kills it once until answers true, and answers what it has applied and made durable.
func runChild(t *testing.T, dir, plan string, until func(word string, n int) bool) (applied, durable uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childPlan+"="+plan)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed, n := false, 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var word string
		var index uint64
		if _, err := fmt.Sscan(lines.Text(), &word, &index); err != nil {
			t.Errorf("child: %s", lines.Text())
			break
		}
		switch word {
		case "applied":
			applied = index
		case "durable":
			durable = index
		}
		if n++; !killed && until(word, n) {
			killed = true
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if !killed {
		t.Fatal("the child ended by itself")
	}
	return applied, durable
}

// recovered opens a store after a crash, checks that it is whole at its watermark, and that the log makes the newest
// state of it again.
func recovered(t *testing.T, dir string, applied, durable uint64) {
	t.Helper()
	s := openSmall(t, dir)
	if s.Durable() < durable || s.Applied() != s.Durable() {
		t.Fatalf("after a crash: applied %d, durable %d; %d was durable", s.Applied(), s.Durable(), durable)
	}
	t.Logf("watermark %d of %d", s.Durable(), applied)
	model{}.grow(1, s.Applied()).check(t, view(t, s))
	replay(t, s, applied/2) // in two steps, the second after a clean stop
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSmall(t, dir)
	want := model{}
	for i := uint64(1); i <= applied; i++ {
		want.grow(i, i)
		if i <= s.Applied() {
			continue
		}
		if err := s.Apply(i, history(i)); err != nil {
			t.Fatal(err)
		}
		if i%150 == 0 { // every state on the way is whole, whatever later ones lie there already
			want.check(t, view(t, s))
		}
	}
	want.check(t, view(t, s))
	syncNow(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSmall(t, dir)
	want.check(t, view(t, s))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSmall(t, dir)
	settleAt(s)
	syncNow(t, s)
	want.check(t, view(t, s))
}

// openSmall opens a busy store as the child does.
func openSmall(t *testing.T, dir string) *Store {
	t.Helper()
	s := opened(t)(openWith(Config{Dir: dir, Passed: passed}, busy))
	s.engine.Load().passing.limit = smallPassingFile
	return s
}

// TestKill kills an applying process again and again.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var applied, durable uint64
	for _, count := range []int{1, 300, 39, 41, 700, 120} {
		a, d := runChild(t, dir, planKill, func(_ string, n int) bool { return n == count })
		applied, durable = max(applied, a), max(durable, d)
	}
	recovered(t, dir, applied+20, durable) // the child was further than its output
}

// TestPowerLoss kills an applying process and takes away what was not synced of a memtable's log, as a power loss
// would. The engine does not notice, which is why there is a watermark.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	crashed := t.TempDir()
	applied, durable := runChild(t, crashed, planPower, func(word string, _ int) bool { return word == "full" })
	if durable == 0 || applied <= durable {
		t.Fatalf("child: applied %d, durable %d", applied, durable)
	}
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, logs []memLog)
	}{
		{"all that was not synced of the oldest log", func(t *testing.T, ls []memLog) { ls[0].cut(t, 0, os.Truncate) }},
		{"the same, zeroed", func(t *testing.T, ls []memLog) { ls[0].cut(t, 0, zeroFrom) }},
		{"half of it", func(t *testing.T, ls []memLog) { ls[0].cut(t, len(ls[0].after)/2, os.Truncate) }},
		{"the middle of an entry to the end", func(t *testing.T, ls []memLog) {
			if err := zeroFrom(ls[1].path, ls[1].after[len(ls[1].after)/2]+3); err != nil {
				t.Fatal(err)
			}
		}},
		{"every log's last entry", func(t *testing.T, ls []memLog) {
			for _, l := range ls {
				l.cut(t, len(l.after)-1, zeroFrom)
			}
		}},
		{"a whole log", func(t *testing.T, ls []memLog) {
			if err := os.Truncate(ls[1].path, 0); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			copyDir(t, dir, crashed, nil)
			engine := filepath.Join(dir, firstEngine)
			c.damage(t, unsynced(t, engine, durable))
			control := t.TempDir()
			copyDir(t, control, engine, nil)
			if err := removeEmptyLogs(control); err != nil { // the engine would not open at all
				t.Fatal(err)
			}
			mustHaveHole(t, control, durable)
			recovered(t, dir, applied+20, durable)
		})
	}
}

// mustHaveHole reads everything as the engine has it, and checks that the newest index is there and one above the
// watermark, before it, is not: whoever trusts that newest index has lost data and does not know.
func mustHaveHole(t *testing.T, dir string, durable uint64) {
	t.Helper()
	db, err := badger.OpenManaged(stalled(engineOptions(dir, nil)).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	newest := db.MaxVersion()
	got := rawContents(t, db)
	if newest <= durable || (model{}).grow(1, newest).diff(got) == "" {
		t.Fatalf("the engine has everything up to %d: the test does not test", newest)
	}
}

func rawContents(t *testing.T, db *badger.DB) map[string]string {
	t.Helper()
	p, err := openPassing(db.Opts().Dir, math.MaxUint64)
	if err != nil {
		t.Fatal(err)
	}
	v := &View{engine: &engine{db: db, gate: newGate(), passing: p}, txn: db.NewTransactionAt(math.MaxUint64, false)}
	return contents(t, v)
}

// memLog is a log of a memtable of which something was not synced.
type memLog struct {
	path  string
	after []int64 // where the entries above the watermark begin
}

// cut takes away everything from an unsynced entry on.
func (l memLog) cut(t *testing.T, entry int, away func(string, int64) error) {
	t.Helper()
	if err := away(l.path, l.after[entry]); err != nil {
		t.Fatal(err)
	}
}

func zeroFrom(path string, offset int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return errors.Join(os.Truncate(path, offset), os.Truncate(path, info.Size()))
}

// unsynced answers the logs that hold something above the watermark, but for the newest one.
func unsynced(t *testing.T, dir string, durable uint64) (logs []memLog) {
	t.Helper()
	for _, path := range logFiles(dir) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		l := memLog{path: path}
		for offset := 20; ; { // behind the log's header
			version, size := logEntry(raw[offset:])
			if size == 0 {
				break
			}
			if version > durable {
				l.after = append(l.after, int64(offset))
			}
			offset += size
		}
		if len(l.after) > 0 {
			logs = append(logs, l)
		}
	}
	if len(logs) < 3 {
		t.Fatalf("%d logs hold what was not synced, want 3", len(logs))
	}
	return logs[:len(logs)-1]
}

// logEntry reads an entry of a Badger log: two bytes of meta, lengths of key and value, expiry, key, value, checksum.
// The end is an entry without a key.
func logEntry(b []byte) (version uint64, size int) {
	var numbers [3]uint64
	size = 2
	for i := range numbers {
		n := 0
		numbers[i], n = binary.Uvarint(b[size:])
		size += n
	}
	if numbers[0] == 0 {
		return 0, 0
	}
	key := b[size : size+int(numbers[0])]
	return math.MaxUint64 - binary.BigEndian.Uint64(key[len(key)-8:]), size + int(numbers[0]+numbers[1]) + 4
}

// copyDir copies a tree, but for what skip names.
func copyDir(t *testing.T, to, from string, skip func(name string) bool) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && skip != nil && skip(e.Name()) {
			return nil // a store that runs removes files
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(target, raw, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSyncIsWhole takes the power away right after a Sync: of every log, and of every file of values that pass, what was
// synced is left and nothing else.
func TestSyncIsWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := opened(t)(openWith(Config{Dir: dir}, stalled))
	s.engine.Load().passing.limit = smallPassingFile
	engine := s.engine.Load().dir
	synced := map[string][]byte{}
	s.syncFile = func(path string) error {
		raw, err := os.ReadFile(path)
		synced[filepath.Base(path)] = raw
		return errors.Join(err, syncFile(path))
	}
	for len(logFiles(engine)) < 5 {
		replay(t, s, s.Applied()+10)
	}
	durable := syncNow(t, s)
	replay(t, s, durable+100)
	isLog := func(name string) bool { return filepath.Ext(name) == ".mem" }
	lost := t.TempDir()
	copyDir(t, lost, dir, func(name string) bool { return isLog(name) || filepath.Ext(name) == passingExtension })
	for name, raw := range synced {
		if err := os.WriteFile(filepath.Join(lost, firstEngine, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	recovered(t, lost, durable+100, durable)

	// Synced was the newest log alone, as the engine does it:
	hole := t.TempDir()
	copyDir(t, hole, engine, isLog)
	maps.DeleteFunc(synced, func(name string, _ []byte) bool { return !isLog(name) })
	newest := slices.Max(slices.Collect(maps.Keys(synced)))
	if err := os.WriteFile(filepath.Join(hole, newest), synced[newest], 0o600); err != nil {
		t.Fatal(err)
	}
	mustHaveHole(t, hole, 0)
}

// TestSyncUnderIterator syncs while an iterator keeps full memtables, and so their logs, from going.
func TestSyncUnderIterator(t *testing.T) {
	t.Parallel()
	s := opened(t)(openWith(Config{Dir: t.TempDir()}, busy))
	replay(t, s, 20)
	v := view(t, s)
	err := v.Scan(nil, nil, func(_, _ []byte) bool {
		replay(t, s, s.Applied()+400)
		if d := syncNow(t, s); d != s.Applied() {
			t.Errorf("Sync = %d, want %d", d, s.Applied())
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
}
