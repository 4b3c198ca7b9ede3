package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// Due says whether a Tick that is proposed at now finds something to delete in v: keys whose time has come, or changes
// and requests of entries that nobody asks for any more. A group whose leader proposes none while nothing is due is
// silent when it is idle.
func Due(v View, now time.Time) (due bool, err error) {
	p, err := readProgress(v)
	if err != nil {
		return false, err
	}
	if p.history.old(HistoryRetention, now.UnixNano()) || p.requests.old(RequestWindow, now.UnixNano()) {
		return true, nil
	}
	scanned := v.Scan([]byte{expiryKind}, expiryKey(p.expired, "", ""), func(k, _ []byte) bool {
		var at int64
		at, _, _, err = splitExpiry(k)
		due = err == nil && at <= now.UnixNano()
		return false
	})
	if err = errors.Join(err, scanned); err == nil && !due && p.level >= Queues.level() {
		due, err = dueQueues(v, now.UnixNano())
	}
	if err != nil {
		return false, fmt.Errorf("find what is due: %w", err)
	}
	return due, nil
}

// splitExpiry answers what a key of the expiry index says.
func splitExpiry(k []byte) (at int64, namespace, key string, err error) {
	if len(k) > 9 {
		if name, rest, found := bytes.Cut(k[9:], []byte{0}); found {
			return int64(binary.BigEndian.Uint64(k[1:9])), string(name), string(rest), nil
		}
	}
	return 0, "", "", fmt.Errorf("expiry: %w", errDamaged)
}

// tick deletes the first limit keys whose time has come, and as much of queues as is left of the limit, one record at
// least. Its result's Integer says how many. What else is due, the entry deletes anyway.
func (b *batch) tick(revision uint64, limit int) ([]op.OpResult, error) {
	d := draft{batch: b, revision: revision, expires: true}
	due, expired, err := b.due(limit)
	if err != nil {
		return nil, fmt.Errorf("find what is due: %w", err)
	}
	for _, c := range due {
		if c.now.present && !c.now.live(b.now()) {
			c.space.cells[c.key] = c
			d.put(c, state{})
		}
	}
	if err := d.commit(0); err != nil {
		d.rollBack()
		return nil, err
	}
	b.progress.expired = expired
	n := len(d.touched)
	if b.progress.level >= Queues.level() {
		swept, err := b.sweepQueues(revision, max(1, limit-n))
		if err != nil {
			return nil, err
		}
		n += swept
	}
	return []op.OpResult{{Found: n > 0, Integer: int64(n)}}, nil
}

// due answers the cells of the first limit keys whose time had come in the view, or fewer when changes keep the values of
// them, and the time before which there are no others. Cells that the entry has not come upon are hollow and not in
// their space yet.
func (b *batch) due(limit int) (due []*cell, expired int64, err error) {
	type entry struct{ key, value []byte }
	var entries []entry
	expired = b.now() + 1
	scanned := b.view.Scan([]byte{expiryKind}, expiryKey(b.progress.expired, "", ""), func(k, v []byte) bool {
		var at int64
		if at, _, _, err = splitExpiry(k); err != nil || at > b.now() {
			return false
		}
		if len(entries) == limit {
			expired = at
			return false
		}
		entries = append(entries, entry{bytes.Clone(k), bytes.Clone(v)})
		return true
	})
	if err = errors.Join(err, scanned); err != nil {
		return nil, 0, err
	}
	images := 0
	for i, e := range entries {
		c, err := b.dueCell(e.key, e.value)
		if err != nil {
			return nil, 0, err
		}
		if c.space.keeps {
			images += c.stored.size
		}
		if images > maxImageBytes && i > 0 {
			expired, _, _, err = splitExpiry(e.key)
			return due, expired, err
		}
		due = append(due, c)
	}
	return due, expired, nil
}

// dueCell answers the cell of an entry of the expiry index.
func (b *batch) dueCell(k, v []byte) (*cell, error) {
	at, namespace, key, err := splitExpiry(k)
	if err != nil {
		return nil, err
	}
	s, err := b.space(namespace)
	if err != nil {
		return nil, err
	}
	if c := s.cells[key]; c != nil {
		return c, nil
	}
	if s.keeps {
		return b.cell(s, key) // its value is kept in the change
	}
	f := fields{rest: v}
	stored := state{present: true, expires: at, size: int(f.natural())}
	if !f.whole() {
		return nil, fmt.Errorf("expiry: %w", errDamaged)
	}
	return &cell{space: s, key: key, stored: stored, now: stored, hollow: true}, nil
}
