package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/op"
)

// What lies in Badger, all of it:
//
//	d <namespace> 0x00 <key>   a key of a namespace: the data
//	t <namespace> 0x00 <key>   the tail of a value over maxEntryBytes
//	m applied                  empty; written by every commit, so that the newest index is never compacted away
//	m format                   layoutFormat, written when the store is made
//
// Namespaces hold no zero byte, keys hold any bytes. Each entry's version is the index of the change that wrote it:
// 1, 2, ... A transaction's revision, which its keys share, is index * 4096 + position, the place it had among the
// transactions of its index. A data entry's meta byte says what its value is: with hasPosition the position stands
// before it as an unsigned varint (else it is 0), with hasTail the rest of it is in the tail of the same index.
//
// Values are split because Badger puts larger ones in a log of their own, which needs its own collection on disk
// and does not exist in memory.
const (
	layoutFormat  = 1
	hasPosition   = 1 // bits of the meta byte
	hasTail       = 2
	positions     = 4096 // transactions that may share an index
	maxEntryBytes = 1<<20 - 1<<10
)

const (
	appliedKey = "mapplied"
	formatKey  = "mformat"
)

func dataKey(namespace, key string) []byte { return entryKey('d', namespace, key) }
func tailKey(namespace, key string) []byte { return entryKey('t', namespace, key) }

func entryKey(kind byte, namespace, key string) []byte {
	b := make([]byte, 0, 2+len(namespace)+len(key))
	b = append(b, kind)
	b = append(b, namespace...)
	b = append(b, 0)
	return append(b, key...)
}

// encodeValue answers the meta byte, the value and, with hasTail, the tail to store. They may share value's memory.
func encodeValue(position uint16, value []byte) (meta byte, head, tail []byte) {
	if len(value) > maxEntryBytes {
		meta |= hasTail
		value, tail = value[:maxEntryBytes], value[maxEntryBytes:]
	}
	if position == 0 {
		return meta, value, tail
	}
	head = binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen16+len(value)), uint64(position))
	return meta | hasPosition, append(head, value...), tail
}

// decodeHead answers the revision and what of the value stands in stored, in a part of it.
func decodeHead(index uint64, meta byte, stored []byte) (revision uint64, value []byte, err error) {
	if meta&^(hasPosition|hasTail) != 0 {
		return 0, nil, fmt.Errorf("the entry has the unknown meta byte %d; it is damaged or from a newer Sett", meta)
	}
	if meta&hasPosition == 0 {
		return index * positions, stored, nil
	}
	position, n := binary.Uvarint(stored)
	if n <= 0 || position == 0 || position >= positions {
		return 0, nil, errors.New("the entry's position is damaged")
	}
	return index*positions + position, stored[n:], nil
}

// readLayout checks the format of an open database, writes it in a new one, and answers the newest index.
func readLayout(db *badger.DB) (index uint64, err error) {
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	item, err := txn.Get([]byte(formatKey))
	if errors.Is(err, badger.ErrKeyNotFound) {
		if n := db.MaxVersion(); n != 0 {
			return 0, fmt.Errorf("no format stands in a database of %d changes; it is not a store of Sett", n)
		}
		return 1, writeFormat(db)
	}
	if err != nil {
		return 0, fmt.Errorf("read format: %w", err)
	}
	raw, err := item.ValueCopy(nil)
	if err != nil {
		return 0, fmt.Errorf("read format: %w", err)
	}
	if format, n := binary.Uvarint(raw); n <= 0 || format != layoutFormat {
		return 0, fmt.Errorf("the store has format %d and this version of Sett reads format %d", format, layoutFormat)
	}
	return db.MaxVersion(), nil
}

func writeFormat(db *badger.DB) error {
	txn := db.NewTransactionAt(0, true)
	defer txn.Discard()
	if err := txn.Set([]byte(formatKey), binary.AppendUvarint(nil, layoutFormat)); err != nil {
		return fmt.Errorf("write format: %w", err)
	}
	if err := txn.CommitAt(1, nil); err != nil {
		return fmt.Errorf("write format: %w", err)
	}
	return nil
}

// checkNamespace accepts op.System and what an app may be called.
func checkNamespace(ns string) error {
	if ns == op.System {
		return nil
	}
	ok := ns != "" && len(ns) <= maxNamespaceSize
	for _, c := range []byte(ns) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("namespace %.80q is not a name of a-z, 0-9 and -: %w", ns, op.ErrInvalid)
	}
	return nil
}

func checkKey(key string) error {
	if key == "" {
		return fmt.Errorf("empty key: %w", op.ErrInvalid)
	}
	if len(key) > op.MaxKeyBytes {
		return fmt.Errorf("key %.40q... has %d bytes, at most %d are allowed: %w",
			key, len(key), op.MaxKeyBytes, op.ErrTooLarge)
	}
	return nil
}

// explainOpen says what a person can do about the engine's refusal to open.
func explainOpen(err error) error {
	if strings.Contains(err.Error(), "Another process is using") || strings.Contains(err.Error(), "acquire directory lock") {
		return fmt.Errorf("in use by another process: %w", err)
	}
	return err
}
