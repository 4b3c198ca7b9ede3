package fsm

import (
	"errors"
	"fmt"

	"github.com/sett-run/sett/kv/op"
)

// sweepEvery is how far apart a queue's sweeps are, so that much goes at once.
const sweepEvery = int64(forgetEvery)

// alarm is a record of alarmKind.
type alarm struct {
	key       []byte
	number    uint64
	namespace string
	name      string // empty: the number is that of a queue that is gone
	from      []byte // of one that is gone: where its records go on
}

// sweepQueues looks after queues whose time has come: it deletes up to limit records of what is over its retention, of
// old deduplication ids, and of queues that are gone. A sweep that does not fit in the entry is left to the next.
func (b *batch) sweepQueues(revision uint64, limit int) (swept int, err error) {
	if limit == 0 {
		return 0, nil
	}
	alarms, err := b.dueAlarms(limit)
	if err != nil {
		return 0, err
	}
	for _, a := range alarms {
		if swept >= limit {
			break
		}
		n, err := b.sweep(revision, a, limit-swept)
		if err != nil && !isRefusal(err) {
			return swept, fmt.Errorf("sweep queue %d: %w", a.number, err)
		}
		swept += n
	}
	return swept, nil
}

// maxAlarms is how many queues one tick looks after.
const maxAlarms = 100

func (b *batch) dueAlarms(limit int) (due []alarm, err error) {
	t := b.records.table([]byte{alarmKind})
	scanned := b.records.scan(t, nil, func(k, v []byte) bool {
		if len(k) != 17 || int64(indexOf(k[:9])) > b.now() || len(due) == min(limit, maxAlarms) {
			return false
		}
		f := fields{rest: v}
		a := alarm{key: append([]byte{}, k...), number: indexOf(k), namespace: string(f.text()), name: string(f.text())}
		a.from = append([]byte{}, f.rest...)
		if f.bad {
			err = fmt.Errorf("alarm: %w", errDamaged)
			return false
		}
		due = append(due, a)
		return true
	})
	return due, errors.Join(err, scanned)
}

func (b *batch) sweep(revision uint64, a alarm, limit int) (swept int, err error) {
	b.records.begin()
	var before op.Usage
	var s *space
	if a.name == "" {
		swept, err = b.sweepGone(a, limit)
	} else {
		if s, err = b.space(a.namespace); err != nil {
			return 0, err
		}
		before = s.usage
		w := &queueWork{batch: b, space: s, revision: revision}
		swept, err = w.sweep(a, limit)
	}
	if err == nil {
		err = b.fit(nil)
	}
	if err != nil {
		b.records.rollBack()
		if s != nil {
			s.usage = before
		}
		return 0, err
	}
	return swept, nil
}

// sweepGone deletes records of a queue that is gone.
func (b *batch) sweepGone(a alarm, limit int) (int, error) {
	t := b.records.table(queuePrefix(a.number, 0)[:9])
	var keys [][]byte
	var next []byte
	err := b.records.scan(t, a.from, func(k, _ []byte) bool {
		if len(keys) == limit {
			next = append(next, k...)
			return false
		}
		keys = append(keys, append([]byte{}, k...))
		return true
	})
	if err != nil {
		return 0, err
	}
	for _, k := range keys {
		b.records.delete(t, k)
	}
	alarms := b.records.table([]byte{alarmKind})
	if next == nil {
		b.records.delete(alarms, a.key)
	} else {
		b.records.put(alarms, a.key, append(appendText(appendText(nil, ""), ""), next...))
	}
	return len(keys), nil
}

// sweep deletes what a queue keeps no more, and has the next tick come when there is more.
func (w *queueWork) sweep(a alarm, limit int) (swept int, err error) {
	q, err := w.find(a.name)
	if err != nil {
		return 0, err
	}
	if q == nil || q.number != a.number {
		w.batch.records.delete(w.alarms(), a.key)
		return 0, nil
	}
	q.dirty = true
	removed, oldest, err := q.sweepMessages(limit)
	if err != nil {
		return 0, err
	}
	forgotten, err := q.sweepTwins(limit - removed)
	if err != nil {
		return 0, err
	}
	if err := w.finishStep(); err != nil {
		return 0, err
	}
	next := int64(never)
	if q.messages > 0 {
		next = oldest + int64(q.settings.Retention)
	}
	if q.dedup != 0 {
		next = min(next, q.dedup+int64(op.DedupWindow))
	}
	if next != never {
		next = max(next, w.batch.now()+sweepEvery)
		if removed+forgotten >= limit {
			next = w.batch.now() + 1
		}
	}
	q.wake(next)
	w.save()
	return removed + forgotten, nil
}

// sweepMessages deletes messages that are over their retention, and answers when the oldest of the others came.
func (q *queue) sweepMessages(limit int) (removed int, oldest int64, err error) {
	var old []uint64
	var damaged error
	err = q.work.batch.records.scan(q.table(messageSub), numberKey(q.number, messageSub, q.first), func(k, v []byte) bool {
		var m message
		if m, damaged = decodeMessage(v); damaged != nil {
			return false
		}
		oldest = m.arrived
		if len(old) == limit || m.arrived+int64(q.settings.Retention) > q.now() {
			return false
		}
		old = append(old, indexOf(k))
		return true
	})
	if err = errors.Join(damaged, err); err != nil {
		return 0, 0, err
	}
	for _, sequence := range old {
		m, found, err := q.message(sequence)
		if err == nil && found {
			err = q.remove(sequence, m)
		}
		if err != nil {
			return 0, 0, err
		}
		q.next = max(q.next, sequence+1)
	}
	return len(old), oldest, nil
}

// sweepTwins forgets deduplication ids whose window is over.
func (q *queue) sweepTwins(limit int) (forgotten int, err error) {
	if q.dedup == 0 || limit <= 0 || q.dedup+int64(op.DedupWindow) > q.now() {
		return 0, nil
	}
	var old [][]byte
	next := int64(0)
	err = q.work.batch.records.scan(q.table(agedSub), numberKey(q.number, agedSub, uint64(q.dedup)), func(k, _ []byte) bool {
		at := int64(indexOf(k[:18]))
		if len(old) == limit || at+int64(op.DedupWindow) > q.now() {
			next = at
			return false
		}
		old = append(old, append([]byte{}, k...))
		return true
	})
	if err != nil {
		return 0, err
	}
	for _, k := range old {
		at, id := int64(indexOf(k[:18])), string(k[18:])
		q.delete(agedSub, k)
		raw, err := q.get(dedupSub, dedupKey(q.number, id))
		if err != nil {
			return 0, err
		}
		if f := (fields{rest: raw}); raw != nil && f.natural() == at {
			q.delete(dedupSub, dedupKey(q.number, id))
		}
	}
	q.dedup = next
	return len(old), nil
}

// dueQueues says whether a tick has something to do for queues.
func dueQueues(v View, now int64) (due bool, err error) {
	err = v.Scan([]byte{alarmKind}, nil, func(k, _ []byte) bool {
		due = len(k) == 17 && int64(indexOf(k[:9])) <= now
		return false
	})
	return due, err
}
