package kv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
)

// A store of format 1 is a Badger database alone, right in the store's directory, of which these are keys:
//
//	d <namespace> 0x00 <key>   a key's value
//	t <namespace> 0x00 <key>   the tail of a value that is too large for one entry
//	m format                   1, as unsigned varint
//
// A data entry's meta byte says what its value is: with oldPosition an unsigned varint stands before it, with oldTail
// the rest of it is in the tail.
const (
	oldFormat   = 1
	oldPosition = 1
	oldTail     = 2
	oldMark     = "MANIFEST" // a file that such a directory has, and one of the present format has not
)

// What migration puts beside the directory. The names are such that nobody else has them.
const (
	newSuffix = ".migration-new" // the store being made
	oldSuffix = ".migration-old" // the store of format 1, until the new one has its place
)

// migrate makes a store of format 1 in cfg.Dir one of the present format, and does nothing to any other. It reads the
// old store and writes a new one beside it, which then takes its place: a stop at any moment leaves the old one or
// the new one.
func migrate(ctx context.Context, cfg Config) error {
	dir := filepath.Clean(cfg.Dir)
	fresh, old := dir+newSuffix, dir+oldSuffix
	if !exists(dir) && exists(old) { // stopped between two renames
		if err := os.Rename(fresh, dir); err != nil {
			return fmt.Errorf("migrate %s: it is only at %s: %w", dir, old, err)
		}
	}
	if !exists(filepath.Join(dir, oldMark)) {
		return os.RemoveAll(old)
	}
	cfg.Log.Info("migrate store", "dir", dir)
	if err := os.RemoveAll(fresh); err != nil { // of a migration that was stopped
		return err
	}
	cfg.Dir = fresh
	if err := copyOld(ctx, dir, cfg); err != nil {
		return fmt.Errorf("migrate %s: %w", dir, err)
	}
	if err := errors.Join(os.Rename(dir, old), os.Rename(fresh, dir), syncDir(filepath.Dir(dir))); err != nil {
		return fmt.Errorf("migrate %s: %w", dir, err)
	}
	return os.RemoveAll(old)
}

// copyOld writes what the store of format 1 in dir holds into a new one.
func copyOld(ctx context.Context, dir string, cfg Config) (err error) {
	db, err := badger.OpenManaged(badger.DefaultOptions(dir).WithLogger(nil).WithReadOnly(false).
		WithNumVersionsToKeep(1).WithDetectConflicts(false).WithMetricsEnabled(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	cfg.Metrics = nil                            // the store that takes its place has them
	cfg.Group = replica.Config{ID: cfg.Group.ID} // a group of one, which others can join
	s, err := openParts(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	if err := checkOldFormat(txn); err != nil {
		return err
	}
	o := badger.DefaultIteratorOptions
	o.Prefix = []byte("d")
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		namespace, key, found := strings.Cut(string(it.Item().Key()[1:]), "\x00")
		if !found {
			return fmt.Errorf("key %.80q has no namespace", it.Item().Key())
		}
		value, err := oldValue(txn, it.Item())
		if err != nil {
			return fmt.Errorf("read %s/%.80q: %w", namespace, key, err)
		}
		_, err = s.Commit(ctx, op.Txn{Namespace: namespace, Ops: []op.Op{{Kind: op.Set, Key: key, Value: value}}})
		if err != nil {
			return fmt.Errorf("write %s/%.80q: %w", namespace, key, err)
		}
	}
	return nil
}

func checkOldFormat(txn *badger.Txn) error {
	item, err := txn.Get([]byte("mformat"))
	if err != nil {
		return fmt.Errorf("read format: %w", err)
	}
	b, err := item.ValueCopy(nil)
	if err != nil {
		return fmt.Errorf("read format: %w", err)
	}
	if format, n := binary.Uvarint(b); n <= 0 || format != oldFormat {
		return fmt.Errorf("it has format %d, which this version of Sett does not read", format)
	}
	return nil
}

func oldValue(txn *badger.Txn, item *badger.Item) ([]byte, error) {
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, err
	}
	if item.UserMeta()&oldPosition != 0 {
		_, n := binary.Uvarint(value)
		if n <= 0 {
			return nil, errors.New("its position is damaged")
		}
		value = value[n:]
	}
	if item.UserMeta()&oldTail == 0 {
		return value, nil
	}
	tail, err := txn.Get(append([]byte("t"), item.Key()[1:]...))
	if err == nil {
		err = tail.Value(func(rest []byte) error { value = append(value, rest...); return nil })
	}
	return value, err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// syncDir makes renames in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
