package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	wal "github.com/hashicorp/raft-wal"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// fill has a replica of its own on disk count to n; synced says whether its machine has flushed that.
func fill(t *testing.T, dir string, n int, synced bool) {
	t.Helper()
	m, r, err := openOne(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, _, err := r.Propose(t.Context(), fmt.Appendf(nil, "%d-%d k 1", n, i)); err != nil {
			t.Fatal(err)
		}
	}
	if synced {
		if _, err := m.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// count reads what fill has counted, from a replica that is opened for it.
func count(t *testing.T, dir string) int64 {
	t.Helper()
	m, r, err := openOne(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	index, err := r.ReadIndex(t.Context())
	if err == nil {
		err = r.Wait(t.Context(), index)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m.get("k")
}

func TestRestart(t *testing.T) {
	t.Parallel()
	for _, synced := range []bool{true, false} {
		t.Run(fmt.Sprintf("synced=%v", synced), func(t *testing.T) {
			dir := t.TempDir()
			for i := range 3 { // with snapshots from the second time on
				fill(t, dir, 30+i, synced)
			}
			if got := count(t, dir); got != 93 {
				t.Errorf("count after restarts = %d, want 93", got)
			}
		})
	}
}

func TestTornTail(t *testing.T) {
	t.Parallel()
	for name, tear := range map[string]func(f *os.File, end int64) error{
		"cut behind":     func(f *os.File, end int64) error { return f.Truncate(end) },
		"half a header":  func(f *os.File, end int64) error { return f.Truncate(end + 3) },
		"garbage behind": overwrite(bytes.Repeat([]byte{1, 0xFF, 0x33}, 100)),
		"half a frame":   overwrite([]byte{1, 0, 0, 0, 100, 0, 0, 0, 'x'}),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, 40, false)
			tearTail(t, dir, tear)
			if got := count(t, dir); got != 40 {
				t.Errorf("count = %d, want 40", got)
			}
			fill(t, dir, 5, false)
			if got := count(t, dir); got != 45 {
				t.Errorf("count after more = %d, want 45", got)
			}
		})
	}
}

func overwrite(with []byte) func(f *os.File, end int64) error {
	return func(f *os.File, end int64) error {
		_, err := f.WriteAt(with, end)
		return err
	}
}

// spoilLast makes the last batch of the log unreadable, although it was acknowledged.
func spoilLast(f *os.File, end int64) error {
	_, err := f.WriteAt([]byte("spoiled!"), end-8)
	return err
}

// TestLostEntry has the disk lose what it had flushed: a replica alone must see that its state is ahead of its log,
// since it would hand out the lost index again and skip the command that gets it.
func TestLostEntry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fill(t, dir, 10, true)
	tearTail(t, dir, spoilLast)
	_, r, err := openOne(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	<-r.Failed()
	if !errors.Is(r.Err(), ErrBehind) {
		t.Errorf("Err() = %v, want %v", r.Err(), ErrBehind)
	}
	if _, _, err := r.Propose(t.Context(), []byte("x k 1")); !errors.Is(err, op.ErrClosed) {
		t.Errorf("propose: %v, want %v", err, op.ErrClosed)
	}
}

// tearTail changes the log's last file at the end of its data.
func tearTail(t *testing.T, dir string, tear func(f *os.File, end int64) error) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, logDir, "*.wal"))
	if err != nil || len(names) == 0 {
		t.Fatalf("log files %v, %v", names, err)
	}
	slices.Sort(names)
	f, err := os.OpenFile(names[len(names)-1], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	end := int64(len(bytes.TrimRight(content, "\x00")))
	if err := tear(f, (end+7)/8*8); err != nil { // frames begin at multiples of 8
		t.Fatal(err)
	}
}

// TestFullDisk has no new log file come about when one is due.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, r, err := openOne(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.RemoveAll(filepath.Join(dir, logDir)); err != nil {
		t.Fatal(err)
	}
	for i := 0; r.Err() == nil; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		r.Propose(ctx, append(fmt.Appendf(nil, "%d k 1", i), bytes.Repeat([]byte{' '}, 4<<10)...))
		cancel()
	}
	if err := r.Err(); !errors.Is(err, wal.ErrSealed) {
		t.Errorf("Err() = %v, want %v", err, wal.ErrSealed)
	}
}

func TestHoles(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]string{"state": "toy.json", "note": noteFile} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for range 3 {
				fill(t, dir, 100, true)
			}
			if err := os.Remove(filepath.Join(dir, remove)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := openOne(dir); !errors.Is(err, ErrBehind) {
				t.Errorf("open without %s: %v, want %v", remove, err, ErrBehind)
			}
		})
	}
}

// startDiskGroup starts three replicas on disk whose logs forget early.
func startDiskGroup(t *testing.T) *group {
	g := newGroup(t, t.TempDir())
	for _, id := range g.ids {
		g.start(id, g.members(), smallDisk)
	}
	return g
}

func smallDisk(c *Config) {
	c.limits = limits{snapshotEntries: 20, trailingEntries: 5, segmentBytes: 4 << 10}
	c.HeartbeatTimeout, c.LeaseTimeout = time.Second, time.Second // the disk may be slow
}

// TestSnapshotOnDisk installs a snapshot on a follower that was away, and restarts it: once as it left, and once as
// if it had died between noting the snapshot and removing its old log.
func TestSnapshotOnDisk(t *testing.T) {
	t.Parallel()
	g := startDiskGroup(t)
	leader := g.leader()
	g.mustIncr(leader, "k", 1)
	away := g.others(leader)[0]
	g.mustRead(away, "k", 1)
	g.stop(away)
	oldLog := filepath.Join(t.TempDir(), "log")
	if err := os.CopyFS(oldLog, os.DirFS(filepath.Join(g.disk, away, logDir))); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		g.mustIncr(leader, "k", int64(i+2))
	}
	eventually(t, "a log that forgets", func() bool { return g.replicas[leader].Stats().FirstIndex > 50 })
	g.start(away, g.members(), smallDisk)
	g.mustRead(away, "k", 101)
	if s := g.replicas[away].Stats(); s.SnapshotIndex < 50 {
		t.Errorf("stats %+v: no snapshot was installed", s)
	}
	g.stop(away)
	g.start(away, g.members(), smallDisk)
	g.mustRead(away, "k", 101)

	g.stop(away)
	log := filepath.Join(g.disk, away, logDir)
	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(log, os.DirFS(oldLog)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.disk, away, spoolName+"left"), []byte("left"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(away, g.members(), smallDisk)
	g.mustRead(away, "k", 101)
	g.mustIncr(away, "k", 102)
	eventually(t, "nothing is left of a snapshot", func() bool { // that the leader may be sending once more
		left, err := filepath.Glob(filepath.Join(g.disk, away, spoolName+"*"))
		return err == nil && len(left) == 0
	})
}

// TestSnapshotOnFullDisk has a follower need a snapshot for which the leader's disk has no room.
func TestSnapshotOnFullDisk(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	var asked atomic.Int64 // while it was full
	g := newGroup(t, t.TempDir())
	adjust := func(c *Config) {
		smallDisk(c)
		c.Admit = func() error {
			if !full.Load() {
				return nil
			}
			asked.Add(1)
			return abi.WithCode(abi.NoSpace, errors.New("little is free"))
		}
	}
	for _, id := range g.ids {
		g.start(id, g.members(), adjust)
	}
	leader := g.leader()
	away := g.others(leader)[0]
	g.stop(away)
	for i := range 100 {
		g.mustIncr(leader, "k", int64(i+1))
	}
	eventually(t, "a log that forgets", func() bool { return g.replicas[leader].Stats().FirstIndex > 50 })
	full.Store(true)
	g.start(away, g.members(), adjust)
	eventually(t, "a snapshot that is refused", func() bool { return asked.Load() > 0 })
	if s := g.replicas[away].Stats(); s.SnapshotIndex > 50 || g.machines[away].get("k") == 100 {
		t.Errorf("stats %+v: a snapshot was installed", s)
	}
	full.Store(false)
	g.mustRead(away, "k", 100)
	eventually(t, "nothing is left of a snapshot", func() bool {
		left, err := filepath.Glob(filepath.Join(g.disk, "*", spoolName+"*"))
		return err == nil && len(left) == 0
	})
}

// TestFollowerTornTail has a follower lose its newest entries, which its machine has: the leader sends them again.
func TestFollowerTornTail(t *testing.T) {
	t.Parallel()
	g := startDiskGroup(t)
	leader := g.leader()
	for i := range 10 {
		g.mustIncr(leader, "k", int64(i+1))
	}
	torn := g.others(leader)[0]
	g.mustRead(torn, "k", 10)
	if _, err := g.machines[torn].Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.stop(torn)
	tearTail(t, filepath.Join(g.disk, torn), spoilLast)
	g.start(torn, g.members(), smallDisk)
	g.mustIncr(torn, "k", 11)
	g.mustRead(torn, "k", 11)
}

func TestTCP(t *testing.T) {
	t.Parallel()
	transports, servers := []Transport{}, []Server{}
	for i := range 3 {
		tr, err := ListenTCP(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		transports = append(transports, tr)
		servers = append(servers, Server{ID: fmt.Sprint(i), Address: tr.Addr().String(), Voter: true})
	}
	g := newGroup(t, "")
	g.ids = nil
	for i, tr := range transports {
		id := servers[i].ID
		g.ids = append(g.ids, id)
		g.machines[id] = newToy()
		r, err := Open(Config{ID: id, InMemory: true, Machine: g.machines[id], Pack: toyPack, Transport: tr,
			Bootstrap: servers, Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		g.replicas[id] = r
	}
	leader := g.leader()
	g.hammer(20, 24, g.ids...)
	// Strangers do no harm.
	for _, hello := range [][]byte{{}, {99}, {streamCalls, 0xFF, 0xFF, 0xFF, 0xFF}, {streamCalls, 0, 0, 0, 1, 7},
		{streamRaft, 77}} {
		conn, err := net.Dial("tcp", servers[0].Address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(hello)
		conn.(*net.TCPConn).CloseWrite()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("a stream that begins with %v is answered", hello)
		}
		conn.Close()
	}
	for _, id := range g.ids {
		g.mustRead(id, "k", 480)
	}
	g.stop(leader)
	next := g.leader()
	g.mustRead(next, "k", 480)
	for id := range g.replicas {
		g.mustRead(id, "k", 480)
	}
	g.mustIncr(next, "k", 481)
}
