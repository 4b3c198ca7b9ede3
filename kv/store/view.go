package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// View reads the state as it was after one index. It holds that state until it is closed, through any number of
// changes and restores, and costs disk space meanwhile. Its methods may be called concurrently, but for Close,
// which comes last. It is a fsm.View.
type View struct {
	engine *engine
	txn    *badger.Txn // never discarded, which in managed mode does nothing
	index  uint64
	closed atomic.Bool
}

// View opens a view of the newest index, which the caller closes.
func (s *Store) View() (*View, error) {
	return s.view(func(h *horizon) (uint64, error) { return h.beginNewest() })
}

// ViewAt opens a view of an index, which the caller closes. An index that is not applied yet is ErrAhead; one that
// was overwritten too long ago, or before the store was opened or restored, is op.ErrCompacted.
func (s *Store) ViewAt(index uint64) (*View, error) {
	return s.view(func(h *horizon) (uint64, error) { return index, h.beginAt(index) })
}

func (s *Store) view(begin func(*horizon) (uint64, error)) (*View, error) {
	for {
		e := s.engine.Load()
		index, err := begin(e.horizon)
		if errors.Is(err, errRetired) {
			continue // the one that replaced it is in its place already
		}
		if err != nil {
			return nil, fmt.Errorf("open view: %w", err)
		}
		if !e.gate.enter() {
			e.horizon.end(index)
			return nil, closedError("open view")
		}
		v := &View{engine: e, txn: e.db.NewTransactionAt(index, false), index: index}
		e.gate.leave()
		return v, nil
	}
}

// Index is what the view reads at.
func (v *View) Index() uint64 { return v.index }

// Close lets the state go. Closing again does nothing.
func (v *View) Close() {
	if !v.closed.Swap(true) {
		v.engine.horizon.end(v.index)
	}
}

// enter holds the engine open for a call; the caller leaves its gate when it answered nil.
func (v *View) enter(what string) error {
	if v.closed.Load() || !v.engine.gate.enter() {
		return closedError(what)
	}
	return nil
}

// Get answers a key's value, which the caller owns.
func (v *View) Get(key []byte) (value []byte, found bool, err error) {
	if err := v.enter("get"); err != nil {
		return nil, false, err
	}
	defer v.engine.gate.leave()
	slot := v.engine.cache.slot(key)
	if value, found := slot.get(key, v.index); found {
		return value, true, nil
	}
	item, err := v.txn.Get(headKey(key))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err == nil {
		value, err = v.engine.join(v.txn, item, nil)
	}
	if err != nil {
		return nil, false, fmt.Errorf("get %.80q: %w", key, err)
	}
	v.engine.cache.keep(slot, key, value, item.Version(), v.index)
	return value, true, nil
}

// Scan visits the keys that start with prefix and are not below from, ascending by their bytes, until visit answers
// false. What visit is given is valid until it returns; it may use the view.
func (v *View) Scan(prefix, from []byte, visit func(key, value []byte) (more bool)) error {
	var value []byte
	return v.walk(prefix, from, func(item *badger.Item) (more bool, err error) {
		if value, err = v.engine.join(v.txn, item, value[:0]); err != nil {
			return false, fmt.Errorf("scan %.80q: %w", item.Key()[1:], err)
		}
		return visit(item.Key()[1:], value), nil
	})
}

// walk visits the first entries of values, whose keys have one byte more before them.
func (v *View) walk(prefix, from []byte, visit func(*badger.Item) (more bool, err error)) error {
	if err := v.enter("scan"); err != nil {
		return err
	}
	defer v.engine.gate.leave()
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false // they are where the key is, or in no table
	o.Prefix = headKey(prefix)
	it := v.txn.NewIterator(o)
	defer it.Close()
	start := prefix
	if bytes.Compare(from, prefix) > 0 {
		start = from
	}
	for it.Seek(headKey(start)); it.Valid(); it.Next() {
		if v.engine.gate.closing() {
			return closedError("scan")
		}
		if more, err := visit(it.Item()); !more || err != nil {
			return err
		}
	}
	return nil
}
