package store

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// MinFreeBytes is the free disk space below which nothing is applied or restored: the engine writes through mapped
// files, where a full disk is a fault that ends the process. A memtable and what compactions write before they
// delete must fit in it. Higher refuses earlier, lower dies sooner.
const MinFreeBytes = 256 << 20

// ReserveBytes is how much more must be free before anything is proposed: what was proposed earlier, and is not applied
// yet, must not come to a disk that has less than MinFreeBytes. Entries on their way take as much as a rule.
const ReserveBytes = 128 << 20

// Apply makes writes, of which no two have the same key, the change of index, after which views see them all. The
// index is above Applied, by any number; without writes it only moves it. It is not durable: see Sync. Applying an
// index again after a stop gives the same state, so long as the writes are the same.
//
// It does not keep the writes. It forgets none by its own clock, since it would answer otherwise when an old entry is
// applied once more after a long stop.
//
// Errors that change nothing are op.ErrTooLarge, op.ErrClosed, and abi.NoSpace below MinFreeBytes of free disk, after
// which it may be tried again. After an error of the engine itself the store refuses every further change until it
// is opened again, at its watermark.
func (s *Store) Apply(index uint64, writes []fsm.Write) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed {
		return closedError("apply")
	}
	if err := s.usable(); err != nil {
		return err
	}
	e := s.engine.Load()
	applied := e.horizon.newest()
	if index <= applied {
		return fmt.Errorf("apply index %d: the newest is %d already", index, applied)
	}
	if err := checkWrites(writes); err != nil {
		return fmt.Errorf("apply index %d: %w", index, err)
	}
	if len(writes) > 0 {
		if err := s.checkSpace(MinFreeBytes); err != nil {
			return fmt.Errorf("apply index %d: %w", index, err)
		}
		e.cache.begun.Store(index)
		if err := s.commit(e, applied, index, writes); err != nil {
			err = fmt.Errorf("apply index %d: %w", index, err)
			s.fail("apply", err)
			return err
		}
		e.cache.apply(writes, index)
	}
	e.horizon.advance(index)
	return nil
}

func checkWrites(writes []fsm.Write) error {
	for _, w := range writes {
		if len(w.Key) > MaxKeyBytes {
			return coded(abi.TooLarge, fmt.Sprintf("key %.40q... has %d bytes, at most %d are allowed",
				w.Key, len(w.Key), MaxKeyBytes), op.ErrTooLarge)
		}
		if len(w.Value) > MaxValueBytes {
			return coded(abi.TooLarge, fmt.Sprintf("%.80q: value has %d bytes, at most %d are allowed",
				w.Key, len(w.Value), MaxValueBytes), op.ErrTooLarge)
		}
	}
	return nil
}

// commit writes an index on the state of applied.
func (s *Store) commit(e *engine, applied, index uint64, writes []fsm.Write) error {
	b := &batch{engine: e, txn: e.db.NewTransactionAt(applied, true), applied: applied, index: index, commit: s.commitAt}
	defer func() { b.txn.Discard() }()
	for _, w := range writes {
		if err := b.add(w); err != nil {
			return err
		}
	}
	return b.commit(b.txn, index)
}

// batch is what an index writes: one commit, or, above what the engine takes in one, several at the same timestamp.
// These cannot be seen in part: nobody reads at the index before it is applied, and after a stop between two of
// them the index is above the watermark and is applied again.
type batch struct {
	engine         *engine
	txn            *badger.Txn
	applied, index uint64
	commit         func(*badger.Txn, uint64) error
}

// add stages a write, and takes away the parts that the key's value had and does not have any more.
func (b *batch) add(w fsm.Write) error {
	had, err := b.takeParts(w.Key)
	if err != nil {
		return fmt.Errorf("%.80q: %w", w.Key, err)
	}
	var parts [][]byte
	switch p := b.engine.passing; {
	case w.Delete:
		err = b.delete(headKey(w.Key))
	case w.Passing && p != nil && len(w.Value) >= passingValueBytes:
		err = b.setPassing(p, w)
	default:
		var head []byte
		if head, parts = split(w.Value); len(parts) > 0 {
			b.engine.split[string(w.Key)] = struct{}{}
		}
		err = b.set(badger.NewEntry(headKey(w.Key), head).WithMeta(byte(len(parts))))
	}
	for i := 0; i < len(parts) && err == nil; i++ {
		err = b.set(badger.NewEntry(partKey(w.Key, i+1), parts[i]))
	}
	for n := len(parts) + 1; n <= had && err == nil; n++ {
		err = b.delete(partKey(w.Key, n))
	}
	if err != nil {
		return fmt.Errorf("%.80q: %w", w.Key, err)
	}
	return nil
}

// setPassing stages where a value is that it writes to the files of those that pass.
func (b *batch) setPassing(p *passing, w fsm.Write) error {
	if err := p.begin(b.index); err != nil {
		return err
	}
	at, err := p.put(w.Value)
	if err != nil {
		return err
	}
	return b.set(badger.NewEntry(headKey(w.Key), at.append(nil)).WithMeta(passingMeta))
}

// takeParts answers how many parts the key's value has so far, and forgets that it has any. When the batch fails, so
// does the store, until it is opened again.
func (b *batch) takeParts(key []byte) (int, error) {
	if _, split := b.engine.split[string(key)]; !split {
		return 0, nil
	}
	delete(b.engine.split, string(key))
	return countParts(b.txn, key)
}

func (b *batch) set(e *badger.Entry) error {
	return b.stage(func() error { return b.txn.SetEntry(e) })
}

func (b *batch) delete(key []byte) error {
	return b.stage(func() error { return b.txn.Delete(key) })
}

// stage does f on the transaction, or on a new one when it is full.
func (b *batch) stage(f func() error) error {
	err := f()
	if !errors.Is(err, badger.ErrTxnTooBig) {
		return err
	}
	if err := b.commit(b.txn, b.index); err != nil {
		return err
	}
	b.txn = b.engine.db.NewTransactionAt(b.applied, true)
	return f()
}

// CheckSpace answers abi.NoSpace when less than MinFreeBytes and ReserveBytes are free: whoever proposes entries asks
// before, since an entry that is in the log must be applied.
func (s *Store) CheckSpace() error { return s.checkSpace(MinFreeBytes + ReserveBytes) }

func (s *Store) checkSpace(least uint64) error {
	if s.dir == nil {
		return nil
	}
	free, err := s.free(s.dir.path)
	if err != nil {
		return fmt.Errorf("read free disk space: %w", err)
	}
	if free < least {
		return abi.WithCode(abi.NoSpace, fmt.Errorf("%d MiB free on the disk of %s, at least %d MiB are needed",
			free>>20, s.dir.path, least>>20))
	}
	return nil
}
