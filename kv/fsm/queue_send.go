package fsm

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/sett-run/sett/kv/op"
)

// send appends messages. Its result's Previous says which sequences and ids they got: see DecodeSent.
func (q *queue) send(messages []op.Outgoing) (op.OpResult, error) {
	b := binary.AppendUvarint(nil, uint64(q.now()/1e6))
	b = binary.AppendUvarint(b, uint64(q.work.numbered))
	for i, m := range messages {
		dedup, err := q.accept(m)
		if err != nil {
			return op.OpResult{}, refuse(fmt.Errorf("message %d: %w", i, err))
		}
		if dedup != "" {
			sent, err := q.twin(dedup)
			if err != nil {
				return op.OpResult{}, err
			}
			if sent != nil {
				b = append(append(b, 1), sent...)
				continue
			}
		}
		delay := cmp.Or(m.Delay, q.settings.Delay) // none is below 0
		new := message{arrived: q.now(), sent: q.now(), id: q.work.id(),
			content: appendContent(make([]byte, 0, contentBytes(m)), m)}
		sequence, err := q.add(new, int64(delay))
		if err != nil {
			return op.OpResult{}, err
		}
		b = binary.AppendUvarint(append(b, 0), sequence)
		if dedup != "" {
			q.rememberTwin(dedup, sequence, new.id)
		}
	}
	return op.OpResult{Found: true, Integer: int64(len(messages)), Previous: b}, nil
}

// accept holds a message to what the queue takes, and answers its deduplication id.
func (q *queue) accept(m op.Outgoing) (dedup string, err error) {
	if size := m.Bytes(); size > q.settings.MaxBytes {
		return "", fmt.Errorf("%d bytes, at most %d are allowed: %w", size, q.settings.MaxBytes, op.ErrTooLarge)
	}
	if !q.settings.FIFO {
		if m.Dedup != "" {
			return "", fmt.Errorf("only FIFO queues take a deduplication id: %w", op.ErrInvalid)
		}
		return "", nil
	}
	switch {
	case m.Group == "":
		return "", fmt.Errorf("a FIFO queue asks for a message group: %w", op.ErrInvalid)
	case m.Delay != 0:
		return "", fmt.Errorf("a FIFO queue takes no delay of a message: %w", op.ErrInvalid)
	case m.Dedup != "":
		return m.Dedup, nil
	case !q.settings.ContentDedup:
		return "", fmt.Errorf("a FIFO queue that does not deduplicate by content asks for a deduplication id: %w", op.ErrInvalid)
	}
	sum := sha256.Sum256(m.Body)
	return hex.EncodeToString(sum[:]), nil
}

// twin answers sequence and id, as in a result, of a message that had a deduplication id within the window.
func (q *queue) twin(dedup string) ([]byte, error) {
	raw, err := q.get(dedupSub, dedupKey(q.number, dedup))
	if err != nil || raw == nil {
		return nil, err
	}
	f := fields{rest: raw}
	if at := f.natural(); at+int64(op.DedupWindow) <= q.now() {
		return nil, nil
	}
	return f.rest, nil
}

func (q *queue) rememberTwin(dedup string, sequence uint64, id [16]byte) {
	value := binary.AppendUvarint(appendTime(nil, q.now()), sequence)
	q.put(dedupSub, dedupKey(q.number, dedup), append(value, id[:]...))
	q.put(agedSub, agedKey(q.number, q.now(), dedup), []byte{})
	if q.dedup == 0 {
		q.dedup = q.now()
	}
}

// Sent is what became of a message of a Send.
type Sent struct {
	Sequence  uint64
	ID        [16]byte // a ULID
	Duplicate bool
}

// DecodeSent reads the result of a Send in a command of a revision.
func DecodeSent(r op.OpResult, revision uint64) ([]Sent, error) {
	f := fields{rest: r.Previous}
	millis, position := f.natural(), int(f.natural())
	if r.Integer < 0 || r.Integer > op.MaxSend {
		return nil, fmt.Errorf("result of send: %w", errDamaged)
	}
	sent := make([]Sent, r.Integer)
	for i := range sent {
		s := &sent[i]
		s.Duplicate = f.bit()
		s.Sequence = f.uvarint()
		if s.Duplicate {
			copy(s.ID[:], f.raw(len(s.ID)))
			continue
		}
		s.ID = messageID(millis, revision, position)
		position++
	}
	if !f.whole() {
		return nil, fmt.Errorf("result of send: %w", errDamaged)
	}
	return sent, nil
}
