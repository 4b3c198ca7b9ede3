package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// How long what entries did is kept, in leader time. Longer takes disk for every write.
const (
	// HistoryRetention is how long changes can be read, at least: a watch that was away for longer begins anew. They
	// take as much disk as the writes of that time.
	HistoryRetention = time.Hour
	// RequestWindow is how long a request is remembered, at least: one that is proposed again answers its first
	// outcome and changes nothing. Each takes some 100 bytes of disk.
	RequestWindow = 5 * time.Minute

	forgetEvery = time.Second // what is old stays for so much longer, so that many go at once
	forgetKeys  = 1000        // keys an entry forgets of each kind, and those of one older entry
)

// history is what an entry leaves for later ones and for watches. All that is old is deleted by entries, at points of
// the log that are the same on all nodes and at every replay. Expiry by the engine would go by each node's clock, and
// what an entry finds would depend on when it is applied.
type history struct {
	requests []byte // namespaces and ids of those that are remembered
	changed  uint64 // the newest revision that changed a key; 0: none
}

// remember writes down a request's outcome, without its text: that may differ from build to build.
func (b *batch) remember(c Command, key []byte, o Outcome) {
	o.Text = ""
	b.requests[string(key)] = o
	b.write(Write{Key: key, Value: o.Append(make([]byte, 0, 32))})
	b.history.requests = append(appendText(b.history.requests, c.Namespace), c.Request[:]...)
}

// change writes down the change that the command of a revision made to a cell.
func (b *batch) change(c *cell, revision uint64, flags byte) {
	c.space.changes = c.appendChange(c.space.changes, revision, flags)
	b.history.changed = revision
}

// flushHistory forgets what is old and writes down what the entry did.
func (b *batch) flushHistory() error {
	if err := b.forgetOld(); err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	p := &b.progress
	if len(b.history.requests) > 0 {
		record := append(appendTime(nil, p.time), b.history.requests...)
		b.keep(requestsKind, &p.requests, record)
	}
	if b.history.changed == 0 {
		return nil
	}
	record := binary.AppendUvarint(appendTime(nil, p.time), b.history.changed)
	for _, s := range b.order {
		if len(s.changes) > 0 {
			b.write(Write{Key: changesKey(s.name, p.index), Value: s.changes, Passing: true})
			record = appendText(record, s.name)
		}
	}
	b.keep(historyKind, &p.history, record)
	return nil
}

// keep writes a record of the entry that a later one forgets.
func (b *batch) keep(kind byte, oldest *mark, record []byte) {
	b.write(Write{Key: indexKey(kind, b.progress.index), Value: record})
	if oldest.time == 0 {
		*oldest = mark{b.progress.index, b.progress.time}
	}
}

// forgetOld deletes what has been kept for long enough.
func (b *batch) forgetOld() error {
	p := &b.progress
	err := b.forget(historyKind, &p.history, HistoryRetention, func(index uint64, f *fields) {
		p.compacted = f.uvarint()
		for len(f.rest) > 0 {
			b.write(Write{Key: changesKey(string(f.text()), index), Delete: true})
		}
	})
	return errors.Join(err, b.forget(requestsKind, &p.requests, RequestWindow, func(_ uint64, f *fields) {
		for len(f.rest) > 0 {
			namespace := string(f.text())
			b.write(Write{Key: requestKey(namespace, f.request()), Delete: true})
		}
	}))
}

// old says whether an entry at now forgets records that are kept for a while.
func (m mark) old(keep time.Duration, now int64) bool {
	return m.time != 0 && m.time+int64(keep+forgetEvery) <= now
}

// forget deletes records of one kind, and with drop what they stand for, when the oldest is old.
func (b *batch) forget(kind byte, oldest *mark, keep time.Duration, drop func(index uint64, f *fields)) (err error) {
	if !oldest.old(keep, b.now()) {
		return nil
	}
	var next mark
	before := len(b.writes)
	scanned := b.view.Scan([]byte{kind}, indexKey(kind, oldest.index), func(k, v []byte) bool {
		f := fields{rest: v}
		m := mark{index: indexOf(k), time: f.natural()}
		if m.time+int64(keep) > b.now() || len(b.writes)-before >= forgetKeys {
			next = m
			return false
		}
		b.write(Write{Key: indexKey(kind, m.index), Delete: true})
		if drop(m.index, &f); !f.whole() {
			err = fmt.Errorf("record of entry %d: %w", m.index, errDamaged)
		}
		return err == nil
	})
	*oldest = next
	return errors.Join(err, scanned)
}
