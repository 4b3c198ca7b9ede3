package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/dgraph-io/badger/v4"
)

// What lies in Badger, all of it:
//
//	d <key>              the value's first entryBytes; the meta byte counts the parts that follow. With passingMeta
//	                     it is where the value is instead: see passing
//	t <key> <n, 2 bytes> part n of the value, n = 1, 2, ..., in big-endian order
//
// Each entry's version is the index that wrote it, and a value's parts have the index of the value. Nothing else is
// here: what belongs to this node alone is in files beside the engine.
//
// Values are split because Badger puts larger ones in a log of their own, which needs its own collection on disk
// and does not exist in memory.
const (
	entryBytes = 1<<20 - 1<<10
	maxParts   = 15
)

// Limits of what is written at an index. They are far above those of package op.
const (
	MaxKeyBytes   = 32 << 10                    // a key, in bytes
	MaxValueBytes = (1 + maxParts) * entryBytes // a value, in bytes
)

const (
	headKind = 'd'
	partKind = 't'
)

func headKey(key []byte) []byte {
	b := make([]byte, 0, 1+len(key))
	b = append(b, headKind)
	return append(b, key...)
}

func partKey(key []byte, n int) []byte {
	b := make([]byte, 0, 3+len(key))
	b = append(b, partKind)
	b = append(b, key...)
	return binary.BigEndian.AppendUint16(b, uint16(n))
}

// split answers what of a value stands in its first entry and its parts. They share its memory.
func split(value []byte) (head []byte, parts [][]byte) {
	if len(value) <= entryBytes {
		return value, nil
	}
	head, value = value[:entryBytes], value[entryBytes:]
	for len(value) > 0 {
		n := min(len(value), entryBytes)
		parts = append(parts, value[:n])
		value = value[n:]
	}
	return head, parts
}

// join answers the value whose first entry is head, in buf's memory where it fits.
func (e *engine) join(txn *badger.Txn, head *badger.Item, buf []byte) (value []byte, err error) {
	if head.UserMeta() == passingMeta {
		err = head.Value(func(at []byte) error { value, err = e.passing.get(at, buf); return err })
		return value, err
	}
	value, err = head.ValueCopy(buf)
	if err != nil || head.UserMeta() == 0 {
		return value, err
	}
	key := head.Key()[1:]
	for n := 1; n <= int(head.UserMeta()); n++ {
		part, err := txn.Get(partKey(key, n))
		if err == nil && part.Version() != head.Version() {
			err = fmt.Errorf("its index is %d, not %d", part.Version(), head.Version())
		}
		if err == nil {
			err = part.Value(func(b []byte) error { value = append(value, b...); return nil })
		}
		if err != nil {
			return nil, fmt.Errorf("read part %d of value: %w", n, err)
		}
	}
	return value, nil
}

// findSplit answers the keys whose values have parts. There are as few as there are values of more than entryBytes,
// so that knowing them spares every write a look at what it replaces.
func findSplit(db *badger.DB) map[string]struct{} {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	o.Prefix = []byte{partKind}
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	it := txn.NewIterator(o)
	defer it.Close()
	keys := make(map[string]struct{})
	for it.Rewind(); it.Valid(); it.Next() {
		if k := it.Item().Key(); len(k) >= 3 {
			keys[string(k[1:len(k)-2])] = struct{}{}
		}
	}
	return keys
}

// countParts answers how many parts the value of key has, 0 when there is none.
func countParts(txn *badger.Txn, key []byte) (int, error) {
	head, err := txn.Get(headKey(key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if head.UserMeta() == passingMeta {
		return 0, nil
	}
	return int(head.UserMeta()), nil
}
