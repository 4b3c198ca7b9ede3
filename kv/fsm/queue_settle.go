package fsm

import (
	"fmt"

	"github.com/sett-run/sett/kv/op"
)

// settle deletes, delays or forwards messages that were received. One whose receipt does not hold any more, because
// the message was settled or received again, stays as it is. The result's Integer counts those that were settled, and
// its Previous has a bit for each receipt: see Settled.
func (q *queue) settle(s *QueueStep) (op.OpResult, error) {
	done := make([]byte, (len(s.Receipts)+7)/8)
	r := op.OpResult{Found: true, Previous: done}
	copied := 0
	for i, receipt := range s.Receipts {
		l, at, err := q.holds(receipt)
		if err != nil {
			return op.OpResult{}, err
		}
		if l == nil {
			continue
		}
		switch s.Kind {
		case DelayTaken:
			l.entries[at].until = min(q.now()+int64(receipt.Delay), l.received+int64(op.MaxVisibility))
			q.work.batch.wakeQueue(q.work.space.name, q.name)
		case Forward:
			if err = q.forward(receipt, s.To, &copied); err == nil && !receipt.Keep {
				err = q.deleteTaken(l, at)
			}
		default:
			err = q.deleteTaken(l, at)
		}
		if err != nil {
			return op.OpResult{}, err
		}
		done[i/8] |= 1 << (i % 8)
		r.Integer++
	}
	return r, nil
}

// replace deletes the message of the step's receipt and sends the step's messages, unless the receipt does not hold any
// more: the result says so by Found.
func (q *queue) replace(s *QueueStep) (op.OpResult, error) {
	l, at, err := q.holds(s.Receipts[0])
	if err != nil || l == nil {
		return op.OpResult{}, err
	}
	if err := q.deleteTaken(l, at); err != nil {
		return op.OpResult{}, err
	}
	return q.send(s.Messages)
}

// holds answers the lease of a receipt and where in it the message is; nil when the receipt does not hold.
func (q *queue) holds(r Receipt) (*lease, int, error) {
	if r.Queue != q.number {
		return nil, 0, nil
	}
	l, err := q.lease(r.Lease)
	if err != nil || l == nil {
		return nil, 0, err
	}
	for i, e := range l.entries {
		if e.sequence == r.Sequence && e.receives > 0 {
			return l, i, nil
		}
	}
	return nil, 0, nil
}

// deleteTaken deletes the message of an entry of a lease, without reading it. Those that are over their retention are
// swept away from the oldest on: what is older than the oldest has gone.
func (q *queue) deleteTaken(l *lease, at int) error {
	e := q.take(l, at)
	if q.settings.FIFO {
		g, err := q.groupOf(l.group)
		if err != nil {
			return err
		}
		g.flying--
	}
	if e.sequence < q.first {
		return nil
	}
	q.drop(e.sequence, e.size)
	if q.settings.FIFO {
		return q.leave(l.group, e.sequence)
	}
	return nil
}

// forward gives each of the queues a receipt is To a copy of its message. Queues that are not there any more have none.
func (q *queue) forward(r Receipt, to []string, copied *int) error {
	m, found, err := q.message(r.Sequence)
	if err != nil || !found {
		return err
	}
	for _, i := range r.To {
		target, err := q.work.find(to[i])
		if err != nil {
			return err
		}
		if target == nil {
			continue
		}
		if size := moveBytes(m); *copied > 0 && *copied+size > MaxMoveBytes {
			return refuse(fmt.Errorf("copies of more than %d bytes: %w", MaxMoveBytes, op.ErrTooLarge))
		}
		*copied += moveBytes(m)
		c := message{arrived: q.now(), sent: m.sent, id: m.id, content: m.content}
		if _, err := target.add(c, int64(target.settings.Delay)); err != nil {
			return err
		}
	}
	return nil
}

// CopyBytes is what a copy of a message counts for MaxMoveBytes.
func CopyBytes(m op.Message) int {
	c := op.Outgoing{Body: m.Body, Attributes: m.Attributes, Group: m.Group, Dedup: m.Dedup}
	return moveBytes(message{content: appendContent(nil, c)})
}

// Settled says which of n receipts a step settled.
func Settled(r op.OpResult, n int) []bool {
	done := make([]bool, n)
	for i := range done {
		done[i] = i/8 < len(r.Previous) && r.Previous[i/8]&(1<<(i%8)) != 0
	}
	return done
}

// redrive moves visible messages of a dead-letter queue to where they came from, or to one queue, as new ones. Its
// result's Integer says how many; Previous is one byte, 1 when there may be more.
func (q *queue) redrive(s *QueueStep) (op.OpResult, error) {
	t := &taking{limit: s.Limit, room: op.MaxReceiveBytes, moves: MaxMoveBytes, work: maxTakeWork, redrive: true}
	if len(s.To) > 0 {
		t.to = s.To[0]
	}
	if t.to == q.name {
		return op.OpResult{}, refuse(fmt.Errorf("it cannot be moved to itself: %w", op.ErrInvalid))
	}
	if err := q.takeAll(t); err != nil {
		return op.OpResult{}, err
	}
	return op.OpResult{Found: true, Integer: t.moved, Previous: []byte{bit(t.more)}}, nil
}

// moveBack moves a message of a dead-letter queue.
func (q *queue) moveBack(t *taking, sequence uint64, m message) (verdict, error) {
	name := t.to
	if name == "" {
		name = m.source
	}
	if name == "" {
		return later, refuse(fmt.Errorf("message %d came from no other queue, say where it is to go: %w", sequence, op.ErrInvalid))
	}
	target, err := q.work.find(name)
	if err == nil && target == nil {
		err = refuse(fmt.Errorf("queue %s, where message %d is to go: %w", name, sequence, op.ErrNoQueue))
	}
	if err != nil {
		return later, err
	}
	if !t.moving(m) {
		return later, nil
	}
	t.limit--
	t.moved++
	_, err = target.add(message{arrived: q.now(), sent: q.now(), id: m.id, content: m.content}, 0)
	if err != nil {
		return later, err
	}
	return handled, q.remove(sequence, m)
}
