//go:build unix

package kv

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// What a load does: each of its clients sets all its keys to the next number, and counts in a common key, in one
// transaction.
const (
	loadClients = 6
	loadKeys    = 4
	loadSync    = 60 // transactions between two times that the state is made durable
)

func loadKey(client, key int) string { return fmt.Sprintf("load-%d-%d", client, key) }

// load says what it finds, "start" and the numbers of its clients, and then every number that was acknowledged, until
// it is killed.
func load(dir string, out io.Writer) error {
	s, err := openReady(context.Background(), Config{Dir: dir})
	if err != nil {
		return err
	}
	numbers, err := loaded(s)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "start", strings.Trim(fmt.Sprint(numbers), "[]"))
	var done atomic.Int64
	var mu sync.Mutex // keeps lines whole
	failed := make(chan error, loadClients)
	for client, n := range numbers {
		go func() {
			for {
				n++
				if err := loadCommit(s, client, n); err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Fprintln(out, "done", client, n)
				mu.Unlock()
				if done.Add(1)%loadSync == 0 {
					if _, err := s.state.Sync(context.Background()); err != nil {
						failed <- err
						return
					}
				}
			}
		}()
	}
	return <-failed
}

func loadCommit(s *Store, client, n int) error {
	value := strconv.Itoa(n) + strings.Repeat(".", 8<<10)
	txn := op.Txn{Namespace: "app", Ops: []op.Op{{Kind: op.Incr, Key: "total", Delta: 1}}}
	for key := range loadKeys {
		txn.Ops = append(txn.Ops, set(loadKey(client, key), value))
	}
	_, err := s.Commit(context.Background(), txn)
	return err
}

// loaded answers the numbers of a load's clients, or what is half there.
func loaded(s *Store) (numbers [loadClients]int, err error) {
	keys := []string{"total"}
	for client := range loadClients {
		for key := range loadKeys {
			keys = append(keys, loadKey(client, key))
		}
	}
	items, err := s.GetMany(context.Background(), "app", keys, op.Read{Consistency: op.Strong})
	if err != nil {
		return numbers, err
	}
	sum := 0
	for client := range loadClients {
		its := items[1+client*loadKeys:][:loadKeys]
		for _, i := range its {
			if string(i.Value) != string(its[0].Value) || i.Revision != its[0].Revision {
				err = errors.Join(err, fmt.Errorf("half a transaction: %s %.9s %d, %s %.9s %d",
					its[0].Key, its[0].Value, its[0].Revision, i.Key, i.Value, i.Revision))
			}
		}
		numbers[client], _ = strconv.Atoi(strings.TrimRight(string(its[0].Value), "."))
		sum += numbers[client]
	}
	if total, _ := strconv.Atoi(string(items[0].Value)); total != sum {
		err = errors.Join(err, fmt.Errorf("total is %d, the numbers %v are %d together", total, numbers, sum))
	}
	return numbers, err
}

// acknowledged are the numbers that a load's clients were told.
type acknowledged [loadClients]int

// check sees that nothing of it is missing, and nothing there that nobody asked for.
func (a acknowledged) check(t *testing.T, numbers [loadClients]int) {
	t.Helper()
	for client, n := range numbers {
		if n != a[client] && n != a[client]+1 { // one may have been under way
			t.Fatalf("client %d finds %d, was told %d", client, n, a[client])
		}
	}
}

// run has a child load the store in dir, and kills it after so many acknowledgements.
func (a *acknowledged) run(t *testing.T, dir string, after int) {
	t.Helper()
	p := spawn(t, planLoad, dir, "")
	defer p.ended()
	var found [loadClients]int
	started, killed := false, false
	for p.out.Scan() {
		line := p.out.Text()
		var client, n int
		switch {
		case strings.HasPrefix(line, "start"):
			for i, text := range strings.Fields(line)[1:] {
				found[i], _ = strconv.Atoi(text)
			}
			a.check(t, found)
			*a, started = found, true
		case started:
			if _, err := fmt.Sscanf(line, "done %d %d", &client, &n); err != nil {
				t.Fatalf("child says %q", line)
			}
			a[client] = n
			after--
		default:
			t.Fatalf("child says %q", line)
		}
		if after <= 0 && started && !killed {
			killed = true
			_ = p.cmd.Process.Kill() // and what it had written is read
		}
	}
	if !killed {
		t.Fatal("the child ended by itself")
	}
}

// checkAll opens the store here.
func (a *acknowledged) checkAll(t *testing.T, dir string) {
	t.Helper()
	s := openTest(t, Config{Dir: dir})
	numbers, err := loaded(s)
	if err != nil {
		t.Fatal(err)
	}
	a.check(t, numbers)
	*a = numbers
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestKill kills a node alone under load, again and again: SETT_KV_KILLS times, else a few. In between the machine
// loses its power now and then: what was not made durable of the state is lost, and the log has a torn end.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var all acknowledged
	damages := append(damages(), damage{"nothing", func(*testing.T, string) {}}, damage{"nothing", func(*testing.T, string) {}})
	for i := range sized(t, "SETT_KV_KILLS", 5) {
		all.run(t, dir, 1+random.IntN(200))
		d := damages[random.IntN(len(damages))]
		if i == 0 {
			d = damages[0] // of a state that was never made durable, as a rule
		}
		d.do(t, dir)
		if t.Failed() {
			t.Fatalf("after kill %d, then lost was %s", i, d.name)
		}
	}
	all.checkAll(t, dir)
	t.Logf("acknowledged %v", all)
}

// TestPowerLoss has every kind of damage once.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	crashed := t.TempDir()
	var all acknowledged
	all.run(t, crashed, 5*loadSync/2)
	if durable := watermark(t, crashed); durable == 0 {
		t.Error("nothing was made durable: the test does not test")
	}
	for _, d := range damages() {
		t.Run(d.name, func(t *testing.T) {
			dir := t.TempDir()
			copyTree(t, dir, crashed)
			d.do(t, dir)
			all := all
			all.checkAll(t, dir)
			all.checkAll(t, dir) // and after a clean stop
		})
	}
}

// damage is what a machine that loses its power leaves of a store.
type damage struct {
	name string
	do   func(t *testing.T, dir string)
}

func damages() []damage {
	behindLog := func(garbage []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) { tearLog(t, dir, garbage) }
	}
	return []damage{
		{"all that was not synced of the state", func(t *testing.T, dir string) { loseState(t, dir, 0) }},
		{"half of it", func(t *testing.T, dir string) { loseState(t, dir, 0.5) }},
		{"its last entry", func(t *testing.T, dir string) { loseState(t, dir, 1) }},
		{"what was on its way to the log, garbage instead", behindLog(bytes.Repeat([]byte{1, 0xFF, 0x33}, 100))},
		{"half of what was on its way to the log", behindLog([]byte{1, 0, 0, 0, 100, 0, 0, 0, 'x'})},
		{"both", func(t *testing.T, dir string) {
			loseState(t, dir, 0)
			tearLog(t, dir, []byte{1, 0, 0, 0, 100, 0, 0, 0, 'x'})
		}},
	}
}

// tearLog writes garbage behind what is in the log.
func tearLog(t *testing.T, dir string, garbage []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, logDir, "log", "*.wal"))
	if err != nil || len(names) == 0 {
		t.Fatalf("log files %v, %v", names, err)
	}
	name := slices.Max(names)
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	end := (len(bytes.TrimRight(content, "\x00")) + 7) / 8 * 8 // frames begin at multiples of 8
	if end > len(content)-len(garbage) {
		return // the file is full
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(garbage, int64(end)); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// watermark answers how much of the state is durable.
func watermark(t *testing.T, dir string) uint64 {
	t.Helper()
	var record struct{ Durable uint64 }
	raw, err := os.ReadFile(filepath.Join(dir, stateDir, "store.json"))
	if err == nil {
		err = json.Unmarshal(raw, &record)
	}
	if err != nil {
		t.Fatal(err)
	}
	return record.Durable
}

// loseState takes away what each log of Badger holds above the watermark, but for a part.
func loseState(t *testing.T, dir string, part float64) {
	t.Helper()
	durable := watermark(t, dir)
	names, err := filepath.Glob(filepath.Join(dir, stateDir, "engine-*", "*.mem"))
	if err != nil || len(names) == 0 {
		t.Fatalf("Badger's logs %v, %v", names, err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		unsynced := entriesAbove(raw, durable)
		if len(unsynced) == 0 {
			continue
		}
		at := unsynced[min(int(part*float64(len(unsynced))), len(unsynced)-1)]
		if err := errors.Join(os.Truncate(name, int64(at)), os.Truncate(name, int64(len(raw)))); err != nil {
			t.Fatal(err)
		}
	}
}

// entriesAbove answers where the entries of a Badger log begin whose version is above a watermark. An entry is two
// bytes of meta, the lengths of key and value, expiry, key, value, checksum; one without a key is the end.
func entriesAbove(raw []byte, durable uint64) (offsets []int) {
	for offset := 20; offset+2 < len(raw); { // behind the log's header
		var numbers [3]uint64
		size := 2
		for i := range numbers {
			n := 0
			numbers[i], n = binary.Uvarint(raw[offset+size:])
			size += n
		}
		if numbers[0] == 0 {
			break
		}
		key := raw[offset+size:][:numbers[0]]
		if math.MaxUint64-binary.BigEndian.Uint64(key[len(key)-8:]) > durable {
			offsets = append(offsets, offset)
		}
		offset += size + int(numbers[0]+numbers[1]) + 4
	}
	return offsets
}

// TestSmallDisk fills a real disk, of about 1 GB, that SETT_TEST_SMALL_DISK names the directory of: by a load alone,
// and by somebody else at the same time. What was acknowledged is there when there is room again.
//
//	mount -t tmpfs -o size=1000m tmpfs /mnt && SETT_TEST_SMALL_DISK=/mnt go test ./kv -run SmallDisk -v
func TestSmallDisk(t *testing.T) {
	t.Parallel()
	root := os.Getenv("SETT_TEST_SMALL_DISK")
	if root == "" {
		t.Skip("SETT_TEST_SMALL_DISK names no directory on a small disk")
	}
	dir, ballast := filepath.Join(root, "store"), filepath.Join(root, "ballast")
	var all acknowledged
	for i, rival := range []bool{true, true, true, false} {
		if rival {
			go func() {
				time.Sleep(time.Duration(i+1) * 300 * time.Millisecond)
				fillDisk(t, ballast)
			}()
		}
		p := spawn(t, planLoad, dir, "")
		end := ""
		for p.out.Scan() {
			var client, n int
			end = p.out.Text()
			if _, err := fmt.Sscanf(end, "done %d %d", &client, &n); err == nil {
				all[client] = n
			}
		}
		p.ended()
		t.Logf("acknowledged %v, then %s", all, end)
		if !strings.Contains(end, "MiB are needed") {
			t.Error("want a word about the disk")
		}
		for rival && !exists(ballast) {
			time.Sleep(time.Millisecond)
		}
		os.Remove(ballast)
		all.checkAll(t, dir)
	}
	os.RemoveAll(dir)
}

// fillDisk leaves no room, and then a file named name.
func fillDisk(t *testing.T, name string) {
	f, err := os.Create(name + ".new")
	if err != nil {
		t.Error(err)
		return
	}
	zeros := make([]byte, 1<<20)
	for err == nil {
		_, err = f.Write(zeros)
	}
	f.Close()
	if err := os.Rename(f.Name(), name); err != nil {
		t.Error(err)
	}
}
