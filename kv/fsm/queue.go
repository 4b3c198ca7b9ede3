package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/sett-run/sett/kv/op"
)

// leaseMessages is how many messages share a lease. More make larger records, which are written anew when one of the
// messages is settled; fewer make more records.
const leaseMessages = 100

// queueWork is a command at work on queues.
type queueWork struct {
	batch    *batch
	space    *space
	revision uint64
	queues   []*queue // that it came upon; few
	numbered int      // messages that got an id
	buried   int64    // bytes that messages got longer by as they died, which no quota refuses
}

// queue is a queue while a command is at work.
type queue struct {
	head
	work   *queueWork
	name   string
	dirty  bool
	leased map[uint64]*lease // that the step came upon
	groups map[string]*group // that the step came upon
	order  []*lease
	turns  []*group // groups, in order
	gone   bool     // the step took messages away
}

// doQueues does the steps of a command, all of them or none.
func (b *batch) doQueues(revision uint64, c Command) ([]op.OpResult, error) {
	results, _, err := b.tryQueues(revision, c)
	return results, err
}

// tryQueues is doQueues, which undo takes back until something else is done to queues.
func (b *batch) tryQueues(revision uint64, c Command) (results []op.OpResult, undo func(), err error) {
	s, err := b.space(c.Namespace)
	if err != nil {
		return nil, nil, err
	}
	before, woken, bytes := s.usage, len(b.woken), b.bytes
	undo = func() {
		b.records.rollBack()
		s.usage, b.woken, b.bytes = before, b.woken[:woken], bytes
	}
	w := &queueWork{batch: b, space: s, revision: revision}
	b.records.begin()
	results, err = w.run(c.Steps)
	if err == nil {
		had := before
		had.Bytes += w.buried
		err = refuse(s.usage.Quota.Refuses(had, s.usage))
	}
	if err == nil {
		err = b.fit(results)
	}
	if err != nil {
		undo()
		return nil, nil, err
	}
	return results, undo, nil
}

// fit counts what a command on queues wrote and answers, or refuses it.
func (b *batch) fit(results []op.OpResult) error {
	size := b.records.bytes
	for _, r := range results {
		size += resultBytes + len(r.Previous)
	}
	switch {
	case size > maxChangeBytes:
		return refuse(fmt.Errorf("the steps write %d bytes, at most %d are allowed: %w", size, maxChangeBytes, op.ErrTooLarge))
	case b.bytes+size > maxChangeBytes:
		return refuse(fmt.Errorf("its log entry does too much already: %w", op.ErrUnavailable))
	}
	b.bytes += size
	return nil
}

func (w *queueWork) run(steps []QueueStep) ([]op.OpResult, error) {
	results := make([]op.OpResult, len(steps))
	for i := range steps {
		var err error
		if results[i], err = w.step(&steps[i]); err == nil {
			err = w.finishStep()
		}
		if err != nil {
			err = fmt.Errorf("queue %s: %w", steps[i].Queue, err)
			if isRefusal(err) {
				err = refuse(err)
			}
			return nil, err
		}
	}
	w.save()
	return results, nil
}

func (w *queueWork) step(s *QueueStep) (op.OpResult, error) {
	q, err := w.find(s.Queue)
	if err != nil {
		return op.OpResult{}, err
	}
	if s.Kind == PutQueue {
		return w.putQueue(q, s)
	}
	if q == nil {
		return op.OpResult{}, refuse(op.ErrNoQueue)
	}
	q.dirty = true
	switch s.Kind {
	case DropQueue:
		return op.OpResult{Found: true, Integer: w.drop(q)}, nil
	case PurgeQueue:
		return op.OpResult{Found: true, Integer: w.purge(q)}, nil
	case Send:
		return q.send(s.Messages)
	case Receive:
		return q.receive(s)
	case DeleteTaken, DelayTaken, Forward:
		return q.settle(s)
	case Replace:
		return q.replace(s)
	default:
		return q.redrive(s)
	}
}

// find answers a queue, nil when there is none.
func (w *queueWork) find(name string) (*queue, error) {
	for _, q := range w.queues {
		if q.name == name {
			if q.number == 0 {
				return nil, nil
			}
			return q, nil
		}
	}
	raw, err := w.batch.records.get(w.heads(), headKey(w.space.name, name))
	if err != nil || raw == nil {
		return nil, err
	}
	h, err := decodeHead(raw)
	if err != nil {
		return nil, err
	}
	return w.attach(name, h), nil
}

func (w *queueWork) attach(name string, h head) *queue {
	q := &queue{head: h, work: w, name: name}
	w.queues = append(w.queues, q)
	return q
}

func (w *queueWork) heads() *table { return w.batch.records.table(headKey(w.space.name, "")) }

func (w *queueWork) putQueue(q *queue, s *QueueStep) (op.OpResult, error) {
	found := q != nil
	if !found {
		q = w.attach(s.Queue, head{number: w.revision, created: w.batch.now(), tail: 1, next: 1, first: 1, due: never})
	}
	if found && q.settings.Retention != s.Settings.Retention && q.messages > 0 {
		q.wake(w.batch.now() + 1)
	}
	q.settings, q.dirty = s.Settings, true
	w.batch.wakeQueue(w.space.name, q.name)
	w.batch.wakeQueue("", "")
	return op.OpResult{Found: found}, nil
}

// purge gives the queue another number, leaves what stands under the old one to ticks, and answers how many messages
// that is.
func (w *queueWork) purge(q *queue) (messages int64) {
	messages = q.messages
	w.space.usage.Keys -= q.messages
	w.space.usage.Bytes -= q.bytes
	q.wake(never)
	w.batch.records.put(w.alarms(), alarmKey(w.batch.now()+1, q.number), appendText(appendText(nil, ""), ""))
	q.head = head{number: w.revision, created: q.created, settings: q.settings, tail: 1, next: 1, first: 1, due: never}
	return messages
}

// drop takes the queue away, and answers how many messages it had.
func (w *queueWork) drop(q *queue) (messages int64) {
	messages = w.purge(q)
	w.batch.records.delete(w.heads(), headKey(w.space.name, q.name))
	q.head, q.dirty = head{}, false
	w.batch.wakeQueue(w.space.name, q.name)
	w.batch.wakeQueue("", "")
	return messages
}

func (w *queueWork) alarms() *table { return w.batch.records.table([]byte{alarmKind}) }

// wake has a tick look after the queue at a time; never: not any more.
func (q *queue) wake(at int64) {
	r, alarms := q.work.batch.records, q.work.alarms()
	if q.alarm != 0 {
		r.delete(alarms, alarmKey(q.alarm, q.number))
	}
	if q.alarm = 0; at != never {
		q.alarm = at
		r.put(alarms, alarmKey(at, q.number), appendText(appendText(nil, q.work.space.name), q.name))
	}
}

// finishStep writes what a step left.
func (w *queueWork) finishStep() error {
	for _, q := range w.queues {
		for _, l := range q.order {
			q.saveLease(l)
		}
		for _, g := range q.turns {
			q.saveGroup(g)
		}
		q.leased, q.groups, q.order, q.turns = nil, nil, nil, nil
		if q.gone {
			if err := q.findFirst(); err != nil {
				return err
			}
		}
	}
	return nil
}

// save writes the heads.
func (w *queueWork) save() {
	for _, q := range w.queues {
		if !q.dirty {
			continue
		}
		want := int64(never)
		if q.messages > 0 && q.alarm == 0 {
			want = w.batch.now() + int64(q.settings.Retention)
		}
		if q.dedup != 0 {
			want = min(want, q.dedup+int64(op.DedupWindow+forgetEvery))
		}
		if want < never && (q.alarm == 0 || want < q.alarm) {
			q.wake(want)
		}
		w.batch.records.put(w.heads(), headKey(w.space.name, q.name), q.head.append(nil))
	}
}

func (q *queue) now() int64 { return q.work.batch.now() }

func (q *queue) table(sub byte) *table { return q.work.batch.records.table(queuePrefix(q.number, sub)) }

func (q *queue) get(sub byte, key []byte) ([]byte, error) {
	return q.work.batch.records.get(q.table(sub), key)
}

func (q *queue) put(sub byte, key, value []byte) { q.work.batch.records.put(q.table(sub), key, value) }

func (q *queue) delete(sub byte, key []byte) { q.work.batch.records.delete(q.table(sub), key) }

// message answers one, found false when it has gone.
func (q *queue) message(sequence uint64) (m message, found bool, err error) {
	raw, err := q.get(messageSub, numberKey(q.number, messageSub, sequence))
	if err != nil || raw == nil {
		return message{}, false, err
	}
	m, err = decodeMessage(raw)
	return m, err == nil, err
}

// add appends a message to the queue.
func (q *queue) add(m message, delay int64) (sequence uint64, err error) {
	sequence = q.tail
	if q.messages == 0 {
		q.first = sequence
	}
	m.held = delay > 0
	value := m.append(make([]byte, 0, 64+len(m.source)+len(m.content)))
	q.put(messageSub, numberKey(q.number, messageSub, sequence), value)
	q.tail++
	q.count(1, len(value))
	q.dirty = true
	q.work.batch.wakeQueue(q.work.space.name, q.name)
	switch {
	case m.held:
		if q.next == sequence {
			q.next++
		}
		q.hold(entry{sequence: sequence, until: q.now() + delay, size: len(value)})
	case q.settings.FIFO:
		return sequence, q.join(m.group(), sequence, entry{})
	}
	return sequence, nil
}

// count counts messages that come or go.
func (q *queue) count(messages int64, size int) {
	bytes := messages * int64(size)
	q.messages += messages
	q.bytes += bytes
	q.work.space.usage.Keys += messages
	q.work.space.usage.Bytes += bytes
}

// hold puts a delayed message in a lease that ends when its delay does.
func (q *queue) hold(e entry) {
	q.delayed++
	if n := len(q.order); n > 0 {
		l := q.order[n-1]
		if l.number == q.leases && l.at == 0 && l.entries[0].until == e.until && l.entries[0].receives == 0 && len(l.entries) < leaseMessages {
			l.entries = append(l.entries, e)
			return
		}
	}
	q.newLease("", []entry{e})
}

// remove takes a message away, wherever it is but in a lease.
func (q *queue) remove(sequence uint64, m message) error {
	q.drop(sequence, m.size)
	if q.settings.FIFO {
		return q.leave(m.group(), sequence)
	}
	return nil
}

// drop takes a message away, but not out of its lease or group.
func (q *queue) drop(sequence uint64, size int) {
	q.delete(messageSub, numberKey(q.number, messageSub, sequence))
	q.count(-1, size)
	q.gone = true
}

// firstProbes is how many sequences are looked up one by one before a scan looks for the oldest message.
const firstProbes = 4

// findFirst moves the queue's beginning to its oldest message.
func (q *queue) findFirst() error {
	q.gone = false
	if q.messages == 0 {
		q.first = q.tail
		return nil
	}
	t := q.table(messageSub)
	for probes := 0; probes < firstProbes; q.first++ {
		key := numberKey(q.number, messageSub, q.first)
		if _, known := t.find(key); !known {
			probes++
		}
		raw, err := q.work.batch.records.get(t, key)
		if err != nil || raw != nil {
			return err
		}
	}
	return q.work.batch.records.scan(t, numberKey(q.number, messageSub, q.first), func(k, _ []byte) bool {
		q.first = indexOf(k)
		return false
	})
}

// lease answers one, nil when it has gone.
func (q *queue) lease(number uint64) (*lease, error) {
	if l, known := q.leased[number]; known {
		return l, nil
	}
	raw, err := q.get(leaseSub, numberKey(q.number, leaseSub, number))
	if err != nil || raw == nil {
		return nil, err
	}
	l, err := decodeLease(number, raw)
	if err == nil {
		q.keepLease(l)
	}
	return l, err
}

func (q *queue) newLease(group string, entries []entry) *lease {
	q.leases++
	l := &lease{number: q.leases, received: q.now(), group: group, entries: entries}
	q.keepLease(l)
	return l
}

func (q *queue) keepLease(l *lease) {
	if q.leased == nil {
		q.leased = make(map[uint64]*lease)
	}
	q.leased[l.number] = l
	q.order = append(q.order, l)
}

// saveLease writes a lease and when it is due.
func (q *queue) saveLease(l *lease) {
	at := l.until()
	if l.at != 0 && l.at != at {
		q.delete(timeSub, timeKey(q.number, l.at, l.number))
	}
	if len(l.entries) == 0 {
		if l.at != 0 {
			q.delete(leaseSub, numberKey(q.number, leaseSub, l.number))
		}
		return
	}
	if l.at != at {
		q.put(timeSub, timeKey(q.number, at, l.number), []byte{})
	}
	l.at = at
	q.due = min(q.due, at)
	q.put(leaseSub, numberKey(q.number, leaseSub, l.number), l.append(nil))
}

// take takes an entry out of its lease.
func (q *queue) take(l *lease, i int) entry {
	e := l.entries[i]
	l.entries = slices.Delete(l.entries, i, i+1)
	if e.receives > 0 {
		q.flying--
	} else {
		q.delayed--
	}
	return e
}

// id is that of the next message that a command makes: a ULID of leader time, revision and position.
func (w *queueWork) id() (id [16]byte) {
	id = messageID(w.batch.now()/1e6, w.revision, w.numbered)
	w.numbered++
	return id
}

func messageID(millis int64, revision uint64, position int) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], uint64(millis)<<16)
	binary.BigEndian.PutUint64(id[6:14], revision)
	binary.BigEndian.PutUint16(id[14:], uint16(position))
	return id
}

// wakeQueue has those look who wait for a queue's messages. That of no name stands for which queues there are.
func (b *batch) wakeQueue(namespace, name string) {
	if n := len(b.woken); n > 0 && b.woken[n-1] == (QueueName{namespace, name}) {
		return
	}
	b.woken = append(b.woken, QueueName{namespace, name})
}

// QueueName names a queue.
type QueueName struct{ Namespace, Name string }

// isRefusal says whether an error fails a command only.
func isRefusal(err error) bool {
	var r refusal
	return errors.As(err, &r)
}
