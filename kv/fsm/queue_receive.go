package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// taking is a Receive or a Redrive at work.
type taking struct {
	limit      int // messages it may yet take
	room       int // bytes it may yet take
	moves      int // bytes it may yet move to other queues
	work       int // messages it may yet look at
	visibility int64
	taken      []entry
	groups     []string // FIFO: of each of taken
	more       bool     // it stopped before it had seen all that is visible

	redrive bool
	to      string // where a redrive goes; empty: to where each message came from
	moved   int64
}

// maxTakeWork is how many messages a step looks at: what it takes, and those it finds dead or over their retention.
const maxTakeWork = op.MaxReceive

// verdict is what becomes of a visible message.
type verdict uint8

const (
	later   verdict = iota // it stays as it is, and so do those behind it
	handled                // it is gone from the queue
	taken                  // it is in flight
)

// receive takes visible messages. Its result's Previous says which: see DecodeTaken.
func (q *queue) receive(s *QueueStep) (op.OpResult, error) {
	t := &taking{limit: s.Limit, room: op.MaxReceiveBytes, moves: MaxMoveBytes, work: maxTakeWork, visibility: int64(s.Visibility)}
	if t.visibility == 0 {
		t.visibility = int64(q.settings.Visibility)
	}
	if err := q.takeAll(t); err != nil {
		return op.OpResult{}, err
	}
	return op.OpResult{Found: true, Integer: int64(len(t.taken)), Previous: q.lend(t)}, nil
}

// lend puts what was taken into leases and says so.
func (q *queue) lend(t *taking) []byte {
	b := appendTime(binary.AppendUvarint([]byte{bit(t.more)}, q.number), q.now())
	b = binary.AppendUvarint(b, uint64(q.now()+t.visibility))
	for i := 0; i < len(t.taken); {
		group, end := "", i+1
		if q.settings.FIFO {
			group = t.groups[i]
		}
		for end < len(t.taken) && end-i < leaseMessages && (group == "" || t.groups[end] == group) {
			end++
		}
		l := q.newLease(group, t.taken[i:end:end])
		b = binary.AppendUvarint(b, l.number)
		b = binary.AppendUvarint(b, uint64(end-i))
		for _, e := range l.entries {
			b = binary.AppendUvarint(b, e.sequence)
			b = binary.AppendUvarint(b, uint64(e.receives))
			b = binary.AppendUvarint(b, uint64(q.now()-e.first))
		}
		i = end
	}
	return b
}

// takeAll takes what is visible: first what was received or delayed before, then what was not, as far as that many may
// be in flight.
func (q *queue) takeAll(t *taking) error {
	if err := q.takeDue(t); err != nil {
		return err
	}
	if room := int(op.MaxInFlight - q.flying); !t.redrive && room < t.limit {
		if t.limit = max(0, room); t.limit == 0 && len(t.taken) == 0 {
			return refuse(op.ErrInFlight)
		}
	}
	if q.settings.FIFO {
		return q.takeTurns(t)
	}
	return q.takeFresh(t)
}

// dueLeases answers the leases that are due, up to a number, and moves q.due to the first that is not among them.
func (q *queue) dueLeases(limit int) (due []uint64, err error) {
	if q.due > q.now() {
		return nil, nil
	}
	beyond := int64(never)
	err = q.work.batch.records.scan(q.table(timeSub), timeKey(q.number, q.due, 0), func(k, _ []byte) bool {
		at := int64(indexOf(k[:len(k)-8]))
		if at > q.now() || len(due) == limit {
			beyond = at
			return false
		}
		due = append(due, indexOf(k))
		return true
	})
	q.due = beyond
	return due, err
}

// takeDue takes messages of leases that are due. Those of a FIFO queue join their groups instead.
func (q *queue) takeDue(t *taking) error {
	limit := op.MaxReceive / leaseMessages
	if !q.settings.FIFO {
		limit = min(limit, t.limit)
	}
	due, err := q.dueLeases(limit)
	if err != nil {
		return err
	}
	t.more = q.due <= q.now()
	for _, number := range due {
		l, err := q.lease(number)
		if err == nil && l == nil {
			err = fmt.Errorf("lease: %w", errDamaged)
		}
		if err == nil {
			err = q.takeLease(t, l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (q *queue) takeLease(t *taking, l *lease) error {
	for i := 0; i < len(l.entries); {
		e := l.entries[i]
		if e.until > q.now() {
			i++
			continue
		}
		if q.settings.FIFO {
			if err := q.rejoin(l, q.take(l, i)); err != nil {
				return err
			}
			continue
		}
		v, err := q.judge(t, e, "")
		if err != nil {
			return err
		}
		if v == later {
			t.more = true
			break
		}
		q.take(l, i)
	}
	q.due = min(q.due, l.until())
	return nil
}

// judge decides what becomes of a visible message, and does it, but for what holds it.
func (q *queue) judge(t *taking, e entry, group string) (verdict, error) {
	if t.limit == 0 || t.work == 0 {
		return later, nil
	}
	m, found, err := q.message(e.sequence)
	if err != nil || !found {
		return handled, err
	}
	return q.judgeMessage(t, e, group, m)
}

// judgeMessage is judge when the message was read. The content is asked for when it is to move.
func (q *queue) judgeMessage(t *taking, e entry, group string, m message) (verdict, error) {
	if t.limit == 0 || t.work == 0 {
		return later, nil
	}
	t.work--
	e.size = m.size
	switch {
	case m.arrived+int64(q.settings.Retention) <= q.now():
		return handled, q.remove(e.sequence, m)
	case t.redrive:
		return q.moveBack(t, e.sequence, m)
	case q.settings.MaxReceives > 0 && e.receives >= q.settings.MaxReceives:
		target, err := q.work.find(q.settings.DeadLetter)
		if err != nil {
			return later, err
		}
		if target != nil {
			return q.bury(t, target, e.sequence, m)
		}
	}
	if m.length > t.room && len(t.taken) > 0 {
		return later, nil
	}
	t.limit--
	t.room -= m.length
	q.flying++
	if e.until, e.receives = q.now()+t.visibility, e.receives+1; e.first == 0 {
		e.first = q.now()
	}
	t.taken = append(t.taken, e)
	if group != "" {
		t.groups = append(t.groups, group)
	}
	return taken, nil
}

// moveBytes is at least what moving a message writes.
func moveBytes(m message) int { return 512 + len(m.content) }

// moving says whether a message may move, and counts it.
func (t *taking) moving(m message) bool {
	size := moveBytes(m)
	if size > t.moves && t.moves < MaxMoveBytes {
		t.more = true
		return false
	}
	t.moves = max(0, t.moves-size)
	return true
}

// bury moves a message to a dead-letter queue. From feature level 3 on no quota keeps it back: the others behind it, which
// could be deleted then, could not be received either.
func (q *queue) bury(t *taking, target *queue, sequence uint64, m message) (verdict, error) {
	if !t.moving(m) {
		return later, nil
	}
	dead := message{arrived: q.now(), sent: m.sent, id: m.id, source: q.name, content: m.content}
	before := q.work.space.usage.Bytes
	_, err := target.add(dead, 0)
	err = errors.Join(err, q.remove(sequence, m))
	if q.work.batch.progress.level >= Effects.level() {
		q.work.buried += max(0, q.work.space.usage.Bytes-before)
	}
	return handled, err
}

// takeFresh takes messages that were never received.
func (q *queue) takeFresh(t *taking) error {
	if q.next == q.tail {
		return nil
	}
	if t.limit == 0 || t.work == 0 {
		t.more = true
		return nil
	}
	found, end, err := q.fresh(t)
	if err != nil {
		return err
	}
	for _, m := range found {
		v, err := q.judgeMessage(t, entry{sequence: m.sequence}, "", m.message)
		if err != nil {
			return err
		}
		if v == later {
			end = m.sequence
			break
		}
	}
	q.next = end
	t.more = t.more || end != q.tail
	return nil
}

// numbered is a message and its sequence.
type numbered struct {
	message
	sequence uint64
}

// fresh answers the messages that takeFresh may take, without those that are delayed, which leases have, and where it
// stopped to look. They have content only when they are to move.
func (q *queue) fresh(t *taking) (found []numbered, end uint64, err error) {
	room, seen := t.room, 0
	end = q.tail
	scanned := q.work.batch.records.scan(q.table(messageSub), numberKey(q.number, messageSub, q.next), func(k, v []byte) bool {
		var m message
		if m, err = decodeMessage(v); err != nil {
			return false
		}
		if len(found) == t.limit || seen == t.work || len(found) > 0 && m.length > room {
			end = indexOf(k)
			return false
		}
		seen++
		if !m.held {
			room -= m.length
			if m.content = nil; t.redrive {
				m.content = bytes.Clone(v[len(v)-m.length:])
			}
			found = append(found, numbered{m, indexOf(k)})
		}
		return true
	})
	return found, end, errors.Join(err, scanned)
}

// Taken is a message that a Receive took.
type Taken struct {
	Receipt  Receipt // its Queue is the number under which the message is found
	Receives int
	First    time.Time
}

// Receipts is what a Receive took.
type Receipts struct {
	Taken   []Taken
	Visible time.Time // when all of it can be received again
	More    bool      // there may be more that is visible
}

// DecodeTaken reads the result of a Receive.
func DecodeTaken(r op.OpResult) (Receipts, error) {
	f := fields{rest: r.Previous}
	taken := Receipts{More: f.bit()}
	number, now := f.uvarint(), f.natural()
	taken.Visible = timeOf(f.natural())
	for len(f.rest) > 0 {
		lease := f.uvarint()
		for range f.count(leaseMessages) {
			t := Taken{Receipt: Receipt{Queue: number, Lease: lease, Sequence: f.uvarint()}, Receives: int(f.natural())}
			t.First = timeOf(now - f.natural())
			taken.Taken = append(taken.Taken, t)
		}
	}
	if !f.whole() || int64(len(taken.Taken)) != r.Integer {
		return Receipts{}, fmt.Errorf("result of receive: %w", errDamaged)
	}
	return taken, nil
}
