package kv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
)

// writeOld makes a store of format 1: plain values, one with a position, and one with a tail.
func writeOld(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	db, err := badger.OpenManaged(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), op.MaxValueBytes/16)
	const head = 1<<20 - 1<<10
	index := uint64(0)
	write := func(entries ...*badger.Entry) {
		index++
		txn := db.NewTransactionAt(index, true)
		defer txn.Discard()
		for _, e := range entries {
			if err := txn.SetEntry(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := txn.SetEntry(badger.NewEntry([]byte("mapplied"), nil)); err != nil {
			t.Fatal(err)
		}
		if err := txn.CommitAt(index, nil); err != nil {
			t.Fatal(err)
		}
	}
	write(badger.NewEntry([]byte("mformat"), binary.AppendUvarint(nil, oldFormat)))
	all := map[string][]byte{"$sett positioned": []byte("p"), "shop large": large, "shop empty": {}}
	for i := range 300 {
		key := fmt.Sprintf("f/default/%03d", i)
		all["$sett "+key] = []byte(fmt.Sprint("record ", i))
		write(badger.NewEntry([]byte("d$sett\x00"+key), all["$sett "+key]))
	}
	write(badger.NewEntry([]byte("d$sett\x00positioned"), append(binary.AppendUvarint(nil, 7), 'p')).WithMeta(oldPosition))
	write(badger.NewEntry([]byte("dshop\x00large"), large[:head]).WithMeta(oldTail), badger.NewEntry([]byte("tshop\x00large"), large[head:]))
	write(badger.NewEntry([]byte("dshop\x00empty"), nil), badger.NewEntry([]byte("dshop\x00gone"), []byte("x")))
	index++
	txn := db.NewTransactionAt(index, true)
	if err := txn.Delete([]byte("dshop\x00gone")); err != nil {
		t.Fatal(err)
	}
	if err := txn.CommitAt(index, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func checkMigrated(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	s := openTest(t, Config{Dir: dir})
	got := 0
	for _, namespace := range []string{op.System, "shop"} {
		for item, err := range op.All(t.Context(), s, namespace, op.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			got++
			if value, ok := want[namespace+" "+item.Key]; !ok || !bytes.Equal(value, item.Value) {
				t.Errorf("%s/%s has %d bytes, want %d", namespace, item.Key, len(item.Value), len(value))
			}
		}
	}
	if got != len(want) {
		t.Errorf("%d keys, want %d", got, len(want))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, suffix := range []string{newSuffix, oldSuffix} {
		if exists(dir + suffix) {
			t.Errorf("%s is left", dir+suffix)
		}
	}
}

// TestMigrate opens a store of format 1, also where a migration was stopped: while the new store was written, and
// between the two renames.
func TestMigrate(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(t *testing.T, dir string){
		"fresh": func(*testing.T, string) {},
		"stopped while writing": func(t *testing.T, dir string) {
			if err := copyOld(t.Context(), dir, Config{Dir: dir + newSuffix, Log: discardLog()}); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(dir+newSuffix, stateDir, "store.json"), 3); err != nil {
				t.Fatal(err)
			}
		},
		"stopped between the renames": func(t *testing.T, dir string) {
			if err := copyOld(t.Context(), dir, Config{Dir: dir + newSuffix, Log: discardLog()}); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(dir, dir+oldSuffix); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			want := writeOld(t, dir)
			stop(t, dir)
			checkMigrated(t, dir, want)
			checkMigrated(t, dir, want) // and nothing is done twice
		})
	}
}

// TestMigrateRefuses sees that what is no store of format 1 is left as it is.
func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	db, err := badger.OpenManaged(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil {
		t.Error("another program's database was opened")
	}
	if !exists(filepath.Join(dir, oldMark)) {
		t.Error("it is gone")
	}
}

// TestMigrateKeepsTheOnly has nothing but the old store be there: it is no leftover.
func TestMigrateKeepsTheOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	writeOld(t, dir)
	if err := os.Rename(dir, dir+oldSuffix); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), oldSuffix) {
		t.Errorf("Open = %v, want an error that names the old store", err)
	}
	if !exists(filepath.Join(dir+oldSuffix, oldMark)) {
		t.Error("it is gone")
	}
}

// TestMigrateLeavesOthers has what a person may keep beside a store: none of it is ours to remove.
func TestMigrateLeavesOthers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	for _, beside := range []string{".old", ".new", ".bak"} {
		if err := os.Mkdir(dir+beside, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeOld(t, dir)
	for range 2 {
		if err := openTest(t, Config{Dir: dir}).Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, beside := range []string{".old", ".new", ".bak"} {
		if !exists(dir + beside) {
			t.Errorf("%s is gone", beside)
		}
	}
}

// TestMigrateMember migrates the store of a node that is to have others: it is a group of one that they can join.
func TestMigrateMember(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	want := writeOld(t, dir)
	transport, err := replica.ListenTCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := openTest(t, Config{Dir: dir, Group: replica.Config{ID: "a", Transport: transport,
		Bootstrap: []replica.Server{{ID: "a", Address: "a", Voter: true}, {ID: "b", Address: "b", Voter: true}}}})
	item, err := s.Get(t.Context(), "shop", "large", strong)
	if err != nil || !bytes.Equal(item.Value, want["shop large"]) {
		t.Errorf("get = %d bytes, %v", len(item.Value), err)
	}
	if members := s.Replica().Servers(); len(members) != 1 || members[0].ID != "a" {
		t.Errorf("the group is %v, want a alone", members)
	}
}
