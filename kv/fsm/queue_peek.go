package fsm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sett-run/sett/kv/op"
)

// Peek answers a queue's messages above a sequence, the oldest first and at most limit of them, without receiving them:
// they have no Receipt, and Visible is zero, or past, for those that can be received.
func Peek(v View, q QueueName, after uint64, limit int) (messages []op.Message, err error) {
	h, err := readHead(v, q.Namespace, q.Name)
	if err != nil {
		return nil, err
	}
	leased, err := h.leased(v)
	if err != nil {
		return nil, err
	}
	from := numberKey(h.number, messageSub, max(after+1, h.first))
	scanned := v.Scan(queuePrefix(h.number, messageSub), from, func(k, raw []byte) bool {
		var m op.Message
		if m, err = peek(v, h.number, indexOf(k), bytes.Clone(raw), leased); err != nil {
			err = fmt.Errorf("queue %s: message %d: %w", q.Name, indexOf(k), err)
			return false
		}
		messages = append(messages, m)
		return len(messages) < limit
	})
	return messages, errors.Join(err, scanned)
}

// leased answers the entries of all leases by their message's sequence.
func (h head) leased(v View) (map[uint64]entry, error) {
	all := map[uint64]entry{}
	var err error
	scanned := v.Scan(queuePrefix(h.number, leaseSub), nil, func(k, raw []byte) bool {
		var l *lease
		if l, err = decodeLease(indexOf(k), raw); err != nil {
			return false
		}
		for _, e := range l.entries {
			all[e.sequence] = e
		}
		return true
	})
	return all, errors.Join(err, scanned)
}

func peek(v View, number, sequence uint64, raw []byte, leased map[uint64]entry) (op.Message, error) {
	stored, err := decodeMessage(raw)
	if err != nil {
		return op.Message{}, err
	}
	m, err := stored.open()
	if err != nil {
		return op.Message{}, err
	}
	e, held := leased[sequence]
	if !held && m.Group != "" {
		if e, err = readMember(v, memberKey(number, m.Group, sequence)); err != nil {
			return op.Message{}, err
		}
	}
	m.Sequence, m.Receives = sequence, e.receives
	if e.receives > 0 {
		m.First = timeOf(e.first)
	}
	if held {
		m.Visible = timeOf(e.until)
	}
	return m, nil
}

// readMember answers how often a message of a group that can be received was.
func readMember(v View, key []byte) (e entry, err error) {
	raw, found, err := v.Get(key)
	if err != nil || !found {
		return entry{}, err
	}
	f := fields{rest: raw}
	e.receives, e.first = int(f.natural()), f.natural()
	if !f.whole() {
		err = errDamaged
	}
	return e, err
}
