package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A FIFO queue's groups take turns: one that has messages, and none in flight, has a ticket, and a receive takes the
// groups of the first tickets, of each as many messages as it may.

// groupOf answers a group, which may have no messages.
func (q *queue) groupOf(name string) (*group, error) {
	if g := q.groups[name]; g != nil {
		return g, nil
	}
	raw, err := q.get(groupSub, groupKey(q.number, name))
	if err != nil {
		return nil, err
	}
	g := &group{name: name}
	if raw != nil {
		if g, err = decodeGroup(name, raw); err != nil {
			return nil, err
		}
	}
	if q.groups == nil {
		q.groups = make(map[string]*group)
	}
	q.groups[name] = g
	q.turns = append(q.turns, g)
	return g, nil
}

// saveGroup writes a group.
func (q *queue) saveGroup(g *group) {
	q.queueUp(g)
	key := groupKey(q.number, g.name)
	if g.members == 0 && g.flying == 0 && !g.ready {
		q.delete(groupSub, key)
		return
	}
	q.put(groupSub, key, g.append(nil))
}

// queueUp gives a group a ticket when it has none and should.
func (q *queue) queueUp(g *group) {
	if g.members == 0 || g.flying > 0 || g.ready {
		return
	}
	q.put(turnSub, numberKey(q.number, turnSub, q.tickets), []byte(g.name))
	q.tickets++
	g.ready = true
	q.work.batch.wakeQueue(q.work.space.name, q.name)
}

func (q *queue) members(name string) *table {
	return q.work.batch.records.table(memberPrefix(q.number, name))
}

// join puts a message into its group: a new one, or one that comes back.
func (q *queue) join(name string, sequence uint64, e entry) error {
	g, err := q.groupOf(name)
	if err != nil {
		return err
	}
	r, t, key := q.work.batch.records, q.members(name), memberKey(q.number, name, sequence)
	had, err := r.get(t, key)
	if err != nil {
		return err
	}
	if had == nil {
		if g.members == 0 || sequence < g.first {
			g.first = sequence
		}
		g.members++
	}
	r.put(t, key, appendTime(binary.AppendUvarint(nil, uint64(e.receives)), e.first))
	return nil
}

// rejoin puts a message whose lease has ended, or whose delay is over, into its group, unless it has gone since.
func (q *queue) rejoin(l *lease, e entry) error {
	m, found, err := q.message(e.sequence)
	if err != nil {
		return err
	}
	if e.receives > 0 {
		g, err := q.groupOf(l.group)
		if err != nil {
			return err
		}
		g.flying--
	}
	if !found {
		return nil
	}
	return q.join(m.group(), e.sequence, e)
}

// leave takes a message out of its group, if it is in it.
func (q *queue) leave(name string, sequence uint64) error {
	r, t, key := q.work.batch.records, q.members(name), memberKey(q.number, name, sequence)
	raw, err := r.get(t, key)
	if err != nil || raw == nil {
		return err
	}
	g, err := q.groupOf(name)
	if err != nil {
		return err
	}
	r.delete(t, key)
	g.members--
	if sequence == g.first {
		g.first++
	}
	return nil
}

// takeTurns takes messages of the groups whose turn it is.
func (q *queue) takeTurns(t *taking) error {
	for _, g := range q.turns { // whose messages were just due
		q.queueUp(g)
	}
	for t.limit > 0 && t.work > 0 && q.turn < q.tickets {
		key := numberKey(q.number, turnSub, q.turn)
		raw, err := q.get(turnSub, key)
		if err != nil {
			return err
		}
		q.turn++
		if raw == nil {
			return fmt.Errorf("turn: %w", errDamaged)
		}
		g, err := q.groupOf(string(raw))
		if err != nil {
			return err
		}
		q.delete(turnSub, key)
		g.ready = false
		stopped, err := q.takeGroup(t, g)
		if err != nil {
			return err
		}
		q.queueUp(g) // it had more than it was looked at for
		if stopped {
			break
		}
	}
	t.more = t.more || q.turn < q.tickets
	return nil
}

// takeGroup takes messages of a group in their order. It says whether it stopped before the step's limit, for bytes.
func (q *queue) takeGroup(t *taking, g *group) (stopped bool, err error) {
	for from := g.first; t.limit > 0 && t.work > 0; {
		members, whole, err := q.membersFrom(g.name, from, min(t.limit, t.work))
		if err != nil {
			return false, err
		}
		if from == g.first && len(members) > 0 {
			g.first = members[0].sequence
		}
		for _, m := range members {
			v, err := q.judge(t, m, g.name)
			switch {
			case err != nil:
				return false, err
			case v == later:
				t.more = true
				return true, nil
			case v == taken:
				g.flying++
			}
			from = m.sequence + 1
		}
		if whole {
			break
		}
	}
	return false, nil
}

// membersFrom answers up to limit messages of a group, and whether those were all.
func (q *queue) membersFrom(group string, from uint64, limit int) (members []entry, whole bool, err error) {
	whole = true
	scanned := q.work.batch.records.scan(q.members(group), memberKey(q.number, group, from), func(k, v []byte) bool {
		f := fields{rest: v}
		e := entry{sequence: indexOf(k), receives: int(f.natural()), first: f.natural()}
		switch {
		case !f.whole():
			err = fmt.Errorf("message group: %w", errDamaged)
		case len(members) == limit:
			whole = false
		default:
			members = append(members, e)
			return true
		}
		return false
	})
	return members, whole, errors.Join(err, scanned)
}
