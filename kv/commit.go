package kv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Commit applies t whole when all its checks hold, and answers its revision, which every key it set now has. It is
// durable when Commit returns. A failed check answers op.ErrConflict and changes nothing; a transaction without
// operations only checks and answers the newest revision. Other errors are op.ErrTooLarge and op.ErrInvalid, each
// naming what and which limit, op.ErrClosed, and abi.NoSpace below MinFreeBytes of free disk.
//
// After an error of the engine itself it is unknown whether t happened, and all later commits are refused until
// the store is opened again.
func (s *Store) Commit(ctx context.Context, t op.Txn) (revision uint64, err error) {
	start := time.Now()
	defer func() { s.metrics.committed(start, err) }()
	if err := checkTxn(t); err != nil {
		return 0, withCode(fmt.Errorf("commit: %w", err))
	}
	if err := s.enter(ctx); err != nil {
		return 0, withCode(fmt.Errorf("commit: %w", err))
	}
	defer s.life.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, coded(abi.Unavailable, "commit: an earlier commit failed, restart the node", s.failed)
	}
	if len(t.Ops) > 0 {
		if err := s.checkSpace(); err != nil {
			return 0, err
		}
	}
	revision, err = s.apply(t)
	if err != nil {
		return 0, withCode(fmt.Errorf("commit: %w", err))
	}
	return revision, nil
}

// apply does what Commit says, under s.mu.
func (s *Store) apply(t op.Txn) (revision uint64, err error) {
	at := s.horizon.begin()
	defer s.horizon.end(at)
	txn := s.db.NewTransactionAt(at, true)
	defer txn.Discard()
	for _, c := range t.Checks {
		if err := checkRevision(txn, t.Namespace, c); err != nil {
			return 0, err
		}
	}
	if len(t.Ops) == 0 {
		return at * positions, nil
	}
	for _, o := range t.Ops {
		if err := stage(txn, t.Namespace, o); err != nil {
			return 0, fmt.Errorf("%.80q: %w", o.Key, err)
		}
	}
	if err := txn.Set([]byte(appliedKey), nil); err != nil {
		return 0, err
	}
	index := at + 1
	if err := s.commitAt(txn, index); err != nil {
		// Part of it may be in memory at this index, where the next commit would make it visible.
		s.failed = err
		s.log.Error("commit", "index", index, "err", err)
		return 0, err
	}
	s.db.SetDiscardTs(s.horizon.advance(index))
	return index * positions, nil
}

// stage writes o into txn, and takes away the tail that the key's value has had.
func stage(txn *badger.Txn, namespace string, o op.Op) error {
	key, tail := dataKey(namespace, o.Key), tailKey(namespace, o.Key)
	old, err := txn.Get(key)
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
		return err
	}
	if err == nil && old.UserMeta()&hasTail != 0 {
		if err := txn.Delete(tail); err != nil {
			return err
		}
	}
	if o.Kind == op.Delete {
		return txn.Delete(key)
	}
	meta, head, rest := encodeValue(0, o.Value)
	if meta&hasTail != 0 {
		if err := txn.Set(tail, rest); err != nil {
			return err
		}
	}
	return txn.SetEntry(badger.NewEntry(key, head).WithMeta(meta))
}

func commitAt(txn *badger.Txn, index uint64) error { return txn.CommitAt(index, nil) }

func checkRevision(txn *badger.Txn, namespace string, c op.Check) error {
	item, err := get(txn, namespace, c.Key)
	if err != nil && !errors.Is(err, op.ErrNotFound) {
		return err
	}
	if item.Revision != c.Revision {
		return fmt.Errorf("%.80q has revision %d, not %d: %w", c.Key, item.Revision, c.Revision, op.ErrConflict)
	}
	return nil
}

// checkTxn holds t to the limits of package op.
func checkTxn(t op.Txn) error {
	if err := checkNamespace(t.Namespace); err != nil {
		return err
	}
	if len(t.Checks) > op.MaxChecks {
		return fmt.Errorf("%d checks, at most %d are allowed: %w", len(t.Checks), op.MaxChecks, op.ErrTooLarge)
	}
	if len(t.Ops) > op.MaxOps {
		return fmt.Errorf("%d operations, at most %d are allowed: %w", len(t.Ops), op.MaxOps, op.ErrTooLarge)
	}
	size := 0
	for _, c := range t.Checks {
		if err := checkKey(c.Key); err != nil {
			return err
		}
		size += len(c.Key)
	}
	for _, o := range t.Ops {
		if err := checkOp(o); err != nil {
			return err
		}
		size += len(o.Key) + len(o.Value)
	}
	if size > op.MaxTxnBytes {
		return fmt.Errorf("transaction has %d bytes, at most %d are allowed: %w", size, op.MaxTxnBytes, op.ErrTooLarge)
	}
	return nil
}

func checkOp(o op.Op) error {
	if err := checkKey(o.Key); err != nil {
		return err
	}
	switch o.Kind {
	case op.Set:
	case op.Delete:
		if len(o.Value) > 0 {
			return fmt.Errorf("%.80q: a delete has no value: %w", o.Key, op.ErrInvalid)
		}
	default:
		return fmt.Errorf("%.80q: unknown kind of operation %d: %w", o.Key, o.Kind, op.ErrInvalid)
	}
	if len(o.Value) > op.MaxValueBytes {
		return fmt.Errorf("%.80q: value has %d bytes, at most %d are allowed: %w",
			o.Key, len(o.Value), op.MaxValueBytes, op.ErrTooLarge)
	}
	return nil
}

// checkSpace refuses before the disk is full: the engine writes through mapped files, where a full disk is a fault
// that ends the process.
func (s *Store) checkSpace() error {
	if s.dir == "" {
		return nil
	}
	free, err := s.free(s.dir)
	if err != nil {
		return fmt.Errorf("commit: read free disk space: %w", err)
	}
	if free < MinFreeBytes {
		return abi.WithCode(abi.NoSpace, fmt.Errorf("commit: %d MiB free on the disk of %s, at least %d MiB are needed",
			free>>20, s.dir, MinFreeBytes>>20))
	}
	return nil
}

// withCode gives an error that wraps one of package op the code that says the same.
func withCode(err error) error {
	switch {
	case errors.Is(err, op.ErrNotFound):
		return abi.WithCode(abi.NotFound, err)
	case errors.Is(err, op.ErrConflict):
		return abi.WithCode(abi.Conflict, err)
	case errors.Is(err, op.ErrTooLarge):
		return abi.WithCode(abi.TooLarge, err)
	case errors.Is(err, op.ErrInvalid):
		return abi.WithCode(abi.InvalidInput, err)
	case errors.Is(err, op.ErrClosed):
		return abi.WithCode(abi.Unavailable, err)
	}
	return err
}
