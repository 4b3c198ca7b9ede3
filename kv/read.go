package kv

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/op"
)

// Get answers the newest value of key, which the caller owns, or op.ErrNotFound.
func (s *Store) Get(ctx context.Context, namespace, key string) (item op.Item, err error) {
	err = s.read(ctx, namespace, func(txn *badger.Txn) error {
		if err := checkKey(key); err != nil {
			return err
		}
		item, err = get(txn, namespace, key)
		return err
	})
	if err != nil {
		return op.Item{}, withCode(fmt.Errorf("get: %w", err))
	}
	return item, nil
}

// List answers all keys of a namespace that start with prefix, ascending by their bytes, as they were at one
// moment. The empty prefix lists the namespace. More than MaxListBytes answer op.ErrTooLarge.
func (s *Store) List(ctx context.Context, namespace, prefix string) (items []op.Item, err error) {
	err = s.read(ctx, namespace, func(txn *badger.Txn) error {
		if len(prefix) > op.MaxKeyBytes {
			return checkKey(prefix)
		}
		items, err = s.list(ctx, txn, namespace, prefix)
		return err
	})
	if err != nil {
		return nil, withCode(fmt.Errorf("list: %w", err))
	}
	return items, nil
}

// read runs f on the newest index, which stays readable meanwhile.
func (s *Store) read(ctx context.Context, namespace string, f func(*badger.Txn) error) error {
	if err := checkNamespace(namespace); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	s.metrics.reads.Inc()
	at := s.horizon.begin()
	defer s.horizon.end(at)
	txn := s.db.NewTransactionAt(at, false)
	defer txn.Discard()
	return f(txn)
}

func get(txn *badger.Txn, namespace, key string) (op.Item, error) {
	entry, err := txn.Get(dataKey(namespace, key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return op.Item{}, fmt.Errorf("%.80q: %w", key, op.ErrNotFound)
	}
	if err != nil {
		return op.Item{}, fmt.Errorf("%.80q: %w", key, err)
	}
	return decodeItem(txn, entry, namespace, key)
}

func decodeItem(txn *badger.Txn, entry *badger.Item, namespace, key string) (op.Item, error) {
	revision, value, err := readValue(txn, entry, namespace, key)
	if err != nil {
		return op.Item{}, fmt.Errorf("%.80q: %w", key, err)
	}
	return op.Item{Key: key, Value: value, Revision: revision}, nil
}

func readValue(txn *badger.Txn, entry *badger.Item, namespace, key string) (uint64, []byte, error) {
	stored, err := entry.ValueCopy(nil)
	if err != nil {
		return 0, nil, err
	}
	revision, value, err := decodeHead(entry.Version(), entry.UserMeta(), stored)
	if err != nil || entry.UserMeta()&hasTail == 0 {
		return revision, value, err
	}
	tail, err := txn.Get(tailKey(namespace, key))
	if err == nil && tail.Version() != entry.Version() {
		err = fmt.Errorf("its index is %d, not %d", tail.Version(), entry.Version())
	}
	if err == nil {
		err = tail.Value(func(rest []byte) error { value = append(value, rest...); return nil })
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read tail of value: %w", err)
	}
	return revision, value, nil
}

func (s *Store) list(ctx context.Context, txn *badger.Txn, namespace, prefix string) (items []op.Item, err error) {
	skip := len(dataKey(namespace, ""))
	opts := badger.DefaultIteratorOptions
	opts.Prefix = dataKey(namespace, prefix)
	it := txn.NewIterator(opts)
	defer it.Close()
	size := 0
	for it.Rewind(); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		item, err := decodeItem(txn, it.Item(), namespace, string(it.Item().Key()[skip:]))
		if err != nil {
			return nil, err
		}
		if size += len(item.Key) + len(item.Value); size > s.listBytes {
			return nil, fmt.Errorf("prefix %.80q: more than %d bytes: %w", prefix, s.listBytes, op.ErrTooLarge)
		}
		items = append(items, item)
	}
	return items, nil
}
