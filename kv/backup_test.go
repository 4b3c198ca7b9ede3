package kv

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/kv/replica/replicatest"
	"github.com/sett-run/sett/sdk/abi"
)

const theSecret = "-----the key of the old cluster-----"

// fillBackup writes some of everything into a store.
func fillBackup(t *testing.T, s *Store) {
	t.Helper()
	for _, txn := range []op.Txn{
		{Namespace: op.System, Ops: []op.Op{set("cluster/ca", "old"), set("apps/shop", "{}")}},
		{Namespace: op.System, Ops: []op.Op{{Kind: op.Set, Key: "cluster/ca", Value: []byte(theSecret), Previous: true}}},
		{Namespace: op.System, Ops: []op.Op{{Kind: op.Set, Key: "cluster/invites/1", Value: []byte(theSecret), TTL: time.Hour}}},
		{Namespace: "shop", Ops: []op.Op{{Kind: op.Set, Key: "large", Value: bytes.Repeat([]byte("large "), op.MaxValueBytes/6)}}},
		{Namespace: "shop", Ops: []op.Op{set("cluster/ca", "an app's own"), {Kind: op.Set, Key: "soon", Value: []byte("x"), TTL: time.Hour}}},
		{Namespace: "shop", Ops: []op.Op{set("gone", "x"), {Kind: op.Delete, Key: "gone"}}},
		{Namespace: "app", Ops: []op.Op{set("k", "v"), {Kind: op.Incr, Key: "n", Delta: 7}}},
	} {
		if _, err := s.Commit(t.Context(), txn); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetQuota(t.Context(), "shop", op.Quota{Keys: 4, Bytes: 10 << 20}); err != nil {
		t.Fatal(err)
	}
}

// contentOf answers all that reads of a store can find.
func contentOf(t *testing.T, s *Store) (content map[string]any) {
	t.Helper()
	content = map[string]any{}
	for _, namespace := range []string{op.System, "shop", "app"} {
		page, err := s.List(t.Context(), namespace, op.Query{})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.Items {
			content[namespace+" "+i.Key] = i
		}
		usage, err := s.Usage(t.Context(), namespace)
		if err != nil {
			t.Fatal(err)
		}
		content[namespace] = usage
	}
	return content
}

// backupOf answers a store's backup.
func backupOf(t *testing.T, s *Store) ([]byte, BackupInfo) {
	t.Helper()
	var b bytes.Buffer
	info, err := s.Backup(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	if info.Bytes != int64(b.Len()) || info.Index != s.state.Applied() || time.Since(info.Time) > time.Hour {
		t.Errorf("%+v of a backup of %d bytes at %d", info, b.Len(), s.state.Applied())
	}
	return b.Bytes(), info
}

func TestBackup(t *testing.T) {
	t.Parallel()
	old := openTest(t, Config{Dir: t.TempDir()})
	fillBackup(t, old)
	want := contentOf(t, old)
	backup, info := backupOf(t, old)
	newest, err := old.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{set("later", "x")}})
	if err != nil {
		t.Fatal(err)
	}
	g := newTrio(t, t.TempDir())
	g.net = replicatest.New()
	dir := filepath.Join(g.dir, "a")
	got, err := Restore(t.Context(), dir, iotest.HalfReader(bytes.NewReader(backup)), RestoreConfig{ID: "a", Drop: []string{"cluster/"}})
	if err != nil || got != info {
		t.Fatalf("restore = %+v, %v, want %+v", got, err, info)
	}
	s := g.open1("a", g.members())
	if err := s.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	usage := want[op.System].(op.Usage)
	for _, key := range []string{"cluster/ca", "cluster/invites/1"} {
		usage.Keys--
		usage.Bytes -= int64(len(key) + len(theSecret))
		delete(want, op.System+" "+key)
	}
	want[op.System] = usage
	now := contentOf(t, s)
	for key, value := range want {
		if !reflect.DeepEqual(now[key], value) {
			t.Errorf("%s is %.200v, want %.200v", key, now[key], value)
		}
		delete(now, key)
	}
	for key, value := range now {
		t.Errorf("%s is %.200v, want nothing", key, value)
	}
	testRestored(t, g, newest.Revision)
}

// testRestored checks a restored store whose old revisions end with newest.
func testRestored(t *testing.T, g *trio, newest uint64) {
	s := g.at("a")
	for _, err := range s.Watch(t.Context(), "app", "", 1) {
		if !errors.Is(err, op.ErrCompacted) {
			t.Errorf("watch of an old revision: %v, want %v", err, op.ErrCompacted)
		}
	}
	changes := s.Watch(t.Context(), "app", "", 0)
	over := g.commit("a", set("new", "x"), op.Op{Kind: op.Incr, Key: "n", Delta: 1})
	if over.Revision < newest { // that one came after the backup
		t.Errorf("revision %d after %d", over.Revision, newest)
	}
	for c, err := range changes {
		if err != nil || c.Revision != over.Revision {
			t.Errorf("change %+v, %v, want one of %d", c, err, over.Revision)
		}
		break
	}
	if _, err := s.Commit(t.Context(), op.Txn{Namespace: "shop", Ops: []op.Op{set("x", ""), set("y", "")}}); !errors.Is(err, op.ErrQuota) {
		t.Errorf("commit over the quota: %v, want %v", err, op.ErrQuota)
	}
	for _, id := range []string{"b", "c"} {
		other := g.open1(id, nil)
		g.asLeader(func(r *replica.Replica) error { return r.AddReader(t.Context(), id, id) })
		if err := other.CaughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.asLeader(func(r *replica.Replica) error { return r.AddVoter(t.Context(), id, id) })
	}
	g.mustBeEqual()
	for _, id := range g.ids {
		view, err := g.at(id).state.View()
		if err != nil {
			t.Fatal(err)
		}
		err = view.Scan(nil, nil, func(key, value []byte) bool {
			if strings.Contains(string(value), theSecret) {
				t.Errorf("on %s record %q holds what was dropped", id, key)
			}
			return true
		})
		view.Close()
		if err != nil {
			t.Error(err)
		}
	}
	g.stop("a")
	g.commit("b", op.Op{Kind: op.Incr, Key: "n", Delta: 1})
	g.start("a")
	g.mustBeEqual()
	if i, err := g.at("a").Get(t.Context(), "app", "n", strong); err != nil || string(i.Value) != "9" {
		t.Errorf("n = %q, %v, want 9", i.Value, err)
	}
}

// TestBackupOfNothing restores the backup of a store that nobody has written to.
func TestBackupOfNothing(t *testing.T) {
	t.Parallel()
	backup, _ := backupOf(t, openTest(t, Config{InMemory: true}))
	g := newTrio(t, t.TempDir())
	g.net = replicatest.New()
	if _, err := Restore(t.Context(), filepath.Join(g.dir, "a"), bytes.NewReader(backup), RestoreConfig{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	s := g.open1("a", nil)
	g.commit("a", set("k", "v"))
	b := g.open1("b", nil)
	if err := s.Replica().AddVoter(t.Context(), "b", "b"); err != nil {
		t.Fatal(err)
	}
	if err := b.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.ids = []string{"a", "b"}
	g.mustBeEqual()
}

// TestBackupOfMinority takes a backup of one node of three, when the others are gone, and goes on with it.
func TestBackupOfMinority(t *testing.T) {
	t.Parallel()
	g := newTrio(t, t.TempDir())
	g.net = replicatest.New()
	g.startAll()
	r := g.commit("a", set("k", "v"))
	g.mustBeEqual()
	g.stop("a")
	g.stop("b")
	backup, _ := backupOf(t, g.at("c"))
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := Restore(t.Context(), dir, bytes.NewReader(backup), RestoreConfig{ID: "d"}); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, Config{Dir: dir, Group: replica.Config{ID: "d"}})
	if i, err := s.Get(t.Context(), "app", "k", strong); err != nil || i.Revision != r.Revision {
		t.Errorf("get = %+v, %v, want revision %d", i, err, r.Revision)
	}
}

// mustLeaveNothing restores what cannot be restored.
func mustLeaveNothing(t *testing.T, what string, r io.Reader, c RestoreConfig) error {
	t.Helper()
	parent := t.TempDir()
	c.ID = "a"
	_, err := Restore(t.Context(), filepath.Join(parent, "store"), r, c)
	if err == nil {
		t.Errorf("%s: it was restored", what)
	}
	left, dirErr := os.ReadDir(parent)
	if dirErr != nil || len(left) != 0 {
		t.Errorf("%s: %v is left, %v", what, left, dirErr)
	}
	return err
}

// TestDamagedBackup cuts backups off, changes bytes of them and appends some: each is refused and leaves nothing.
func TestDamagedBackup(t *testing.T) {
	t.Parallel()
	s := openTest(t, Config{InMemory: true})
	for range 20 {
		if _, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{set("k", "v"), {Kind: op.Incr, Key: "n", Delta: 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	backup, _ := backupOf(t, s)
	for n := 0; n < len(backup); n += 1 + len(backup)/20 {
		if err := mustLeaveNothing(t, "cut off", bytes.NewReader(backup[:n]), RestoreConfig{}); !errors.Is(err, ErrBackup) {
			t.Errorf("cut off after %d of %d bytes: %v, want %v", n, len(backup), err, ErrBackup)
		}
	}
	for range 30 {
		at, bad := rand.IntN(len(backup)), bytes.Clone(backup)
		bad[at] ^= 1 << rand.IntN(8)
		if err := mustLeaveNothing(t, "changed", bytes.NewReader(bad), RestoreConfig{}); err == nil {
			t.Errorf("byte %d of %d changed", at, len(backup))
		}
	}
	longer := append(bytes.Clone(backup), 0)
	if err := mustLeaveNothing(t, "longer", bytes.NewReader(longer), RestoreConfig{}); !errors.Is(err, ErrBackup) {
		t.Errorf("a byte too many: %v, want %v", err, ErrBackup)
	}
	failing := io.MultiReader(bytes.NewReader(backup[:len(backup)/2]), iotest.ErrReader(errors.New("the tape broke")))
	if err := mustLeaveNothing(t, "broken off", failing, RestoreConfig{}); err == nil || !strings.Contains(err.Error(), "tape") {
		t.Errorf("a reader that fails: %v", err)
	}
	newer := backupHeader{level: fsm.Level + 1, index: 5, time: time.Unix(1, 0)}.append(nil)
	if err := mustLeaveNothing(t, "newer", bytes.NewReader(newer), RestoreConfig{}); !errors.Is(err, fsm.ErrTooNew) {
		t.Errorf("a backup of a newer Sett: %v, want %v", err, fsm.ErrTooNew)
	}
	for fullAt := range 2 { // at once, and when it is looked at again
		looks := 0
		full := RestoreConfig{free: func(string) (uint64, error) {
			if looks++; looks == fullAt+1 {
				return 1 << 20, nil
			}
			return 1 << 40, nil
		}}
		if err := mustLeaveNothing(t, "full disk", bytes.NewReader(backup), full); abi.CodeOf(err) != abi.NoSpace {
			t.Errorf("a disk that is full at look %d: %v, want %s", fullAt, err, abi.NoSpace)
		}
	}
}

// TestRestoreRefuses restores into what is there, without an id, and when nobody waits any more.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	backup, _ := backupOf(t, openTest(t, Config{InMemory: true}))
	there := t.TempDir()
	if _, err := Restore(t.Context(), there, bytes.NewReader(backup), RestoreConfig{ID: "a"}); abi.CodeOf(err) != abi.Conflict {
		t.Errorf("restore over a directory: %v, want %s", err, abi.Conflict)
	}
	if left, err := os.ReadDir(there); err != nil || len(left) != 0 {
		t.Errorf("%v is in it, %v", left, err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := Restore(t.Context(), dir, bytes.NewReader(backup), RestoreConfig{}); !errors.Is(err, op.ErrInvalid) {
		t.Errorf("restore without an id: %v, want %v", err, op.ErrInvalid)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Restore(ctx, dir, bytes.NewReader(backup), RestoreConfig{ID: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("restore when nobody waits: %v", err)
	}
	if exists(dir) {
		t.Error("a directory is left")
	}
	if err := os.MkdirAll(filepath.Join(dir+restoreSuffix, logDir), 0o700); err != nil { // of one that was killed
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), dir, bytes.NewReader(backup), RestoreConfig{ID: "a"}); err != nil {
		t.Errorf("restore after one that was killed: %v", err)
	}
	s := openTest(t, Config{InMemory: true})
	if _, err := s.Backup(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("backup when nobody waits: %v", err)
	}
}

// TestBackupUnderLoad takes backups while keys change together: each has them at one moment.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	s := openTest(t, Config{Dir: t.TempDir()})
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan struct{})
	go func() {
		defer close(written)
		for ctx.Err() == nil {
			_, err := s.Commit(ctx, op.Txn{Namespace: "app", Ops: []op.Op{
				{Kind: op.Incr, Key: "a", Delta: 1}, {Kind: op.Append, Key: "m", Value: []byte("x")}, {Kind: op.Incr, Key: "z", Delta: 1}}})
			if err != nil && ctx.Err() == nil {
				t.Errorf("commit: %v", err)
				return
			}
		}
	}()
	for range 5 {
		time.Sleep(20 * time.Millisecond)
		var b bytes.Buffer
		if _, err := s.Backup(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "new")
		if _, err := Restore(t.Context(), dir, &b, RestoreConfig{ID: "a"}); err != nil {
			t.Fatal(err)
		}
		restored := openTest(t, Config{Dir: dir, Group: replica.Config{ID: "a"}})
		items, err := restored.GetMany(t.Context(), "app", []string{"a", "z"}, op.Read{})
		if err != nil || string(items[0].Value) != string(items[1].Value) || items[0].Revision != items[1].Revision {
			t.Errorf("a backup of two moments: %v, %v", items, err)
		}
	}
	stop()
	<-written
}

func FuzzBackupHeader(f *testing.F) {
	f.Add(backupHeader{level: 1, index: 7, time: time.Unix(1, 2)}.append(nil))
	f.Add([]byte(backupMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseBackupHeader(b)
		if err != nil {
			if !errors.Is(err, ErrBackup) && !errors.Is(err, fsm.ErrTooNew) {
				t.Errorf("parseBackupHeader(%q) = %v", b, err)
			}
			return
		}
		if again := h.append(nil); !bytes.Equal(again, b) {
			t.Errorf("%q is written as %q", b, again)
		}
	})
}
