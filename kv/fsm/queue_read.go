package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// QueueState is a queue as reads see it.
type QueueState struct {
	Name     string
	Settings QueueSettings
	Created  time.Time
	Stats    op.QueueStats
}

// How many leases that are due a read looks through: more make counts exact, and reads slower.
const (
	maxCounted = 1000 // for what a queue holds
	maxGlanced = 10   // for whether to receive
)

// ReadQueue answers a queue, or op.ErrNoQueue.
func ReadQueue(v View, namespace, name string, now time.Time) (QueueState, error) {
	h, err := readHead(v, namespace, name)
	if err != nil {
		return QueueState{}, err
	}
	return h.state(v, name, now.UnixNano())
}

func readHead(v View, namespace, name string) (head, error) {
	raw, found, err := v.Get(headKey(namespace, name))
	if err == nil && !found {
		err = op.ErrNoQueue
	}
	if err != nil {
		return head{}, fmt.Errorf("queue %s: %w", name, err)
	}
	return decodeHead(raw)
}

func (h head) state(v View, name string, now int64) (QueueState, error) {
	s := QueueState{Name: name, Settings: h.settings, Created: timeOf(h.created)}
	flying, delayed, err := h.dueCounts(v, now, maxCounted)
	if err != nil {
		return QueueState{}, err
	}
	s.Stats = op.QueueStats{Messages: h.messages, Bytes: h.bytes, InFlight: h.flying - flying, Delayed: h.delayed - delayed, Arrived: int64(h.tail - 1)}
	s.Stats.Visible = max(0, h.messages-s.Stats.InFlight-s.Stats.Delayed)
	if h.messages == 0 {
		return s, nil
	}
	m, found, err := readMessage(v, h.number, h.first)
	if err == nil && !found {
		err = fmt.Errorf("queue %s: oldest message: %w", name, errDamaged)
	}
	s.Stats.Oldest = timeOf(m.arrived)
	return s, err
}

// dueCounts answers how many entries of leases are due, received and delayed ones, of as many leases at most.
func (h head) dueCounts(v View, now int64, most int) (flying, delayed int64, err error) {
	if h.due > now {
		return 0, 0, nil
	}
	seen := 0
	scanned := v.Scan(queuePrefix(h.number, timeSub), timeKey(h.number, h.due, 0), func(k, _ []byte) bool {
		if seen++; int64(indexOf(k[:len(k)-8])) > now || seen > most {
			return false
		}
		var raw []byte
		var l *lease
		if raw, _, err = v.Get(numberKey(h.number, leaseSub, indexOf(k))); err == nil {
			l, err = decodeLease(indexOf(k), raw)
		}
		if err != nil {
			return false
		}
		for _, e := range l.entries {
			switch {
			case e.until > now:
			case e.receives > 0:
				flying++
			default:
				delayed++
			}
		}
		return true
	})
	return flying, delayed, errors.Join(err, scanned)
}

func readMessage(v View, number, sequence uint64) (message, bool, error) {
	raw, found, err := v.Get(numberKey(number, messageSub, sequence))
	if err != nil || !found {
		return message{}, false, err
	}
	m, err := decodeMessage(raw)
	return m, err == nil, err
}

// Glance is what a look at a queue finds.
type Glance struct {
	Ready int64         // so many messages a Receive may find, or some more
	Next  time.Time     // when one is visible by itself, if none is Ready; zero: not before something is sent or released
	Wait  time.Duration // the queue's
}

// GlanceAt looks at a queue, or answers op.ErrNoQueue.
func GlanceAt(v View, q QueueName, now time.Time) (Glance, error) {
	h, err := readHead(v, q.Namespace, q.Name)
	if err != nil {
		return Glance{}, err
	}
	g := Glance{Wait: h.settings.Wait, Ready: int64(h.tail - h.next)}
	if h.settings.FIFO {
		g.Ready = int64(h.tickets - h.turn) // groups
	}
	if h.due <= now.UnixNano() {
		flying, delayed, err := h.dueCounts(v, now.UnixNano(), maxGlanced)
		g.Ready += max(1, flying+delayed)
		return g, err
	}
	if g.Ready == 0 && h.due != never {
		g.Next = timeOf(h.due)
	}
	return g, nil
}

// Messages answers the messages of receipts, in order; one that has gone has no Body. What else a receive knows of
// them is the caller's to fill in.
func Messages(v View, taken []Taken) ([]op.Message, error) {
	records, err := readMessages(v, taken)
	if err != nil {
		return nil, err
	}
	messages := make([]op.Message, len(taken))
	for i, t := range taken {
		if records[i] != nil {
			m, err := decodeMessage(records[i])
			if err == nil {
				messages[i], err = m.open()
			}
			if err != nil {
				return nil, fmt.Errorf("message %d: %w", t.Receipt.Sequence, err)
			}
		}
		messages[i].Sequence, messages[i].Receives, messages[i].First = t.Receipt.Sequence, t.Receives, t.First
	}
	return messages, nil
}

// minScan is how many messages that lie together are read by one scan: to begin one costs as much as to get a few.
const minScan = 16

// readMessages reads the records of messages; nil: it has gone.
func readMessages(v View, taken []Taken) (records [][]byte, err error) {
	records = make([][]byte, len(taken))
	if n := len(taken); n >= minScan && adjacent(taken) {
		first := taken[0].Receipt
		err = v.Scan(queuePrefix(first.Queue, messageSub), numberKey(first.Queue, messageSub, first.Sequence), func(k, value []byte) bool {
			i := indexOf(k) - first.Sequence
			if i < uint64(n) {
				records[i] = bytes.Clone(value)
			}
			return i < uint64(n-1)
		})
		return records, err
	}
	for i, t := range taken {
		if records[i], _, err = v.Get(numberKey(t.Receipt.Queue, messageSub, t.Receipt.Sequence)); err != nil {
			return nil, fmt.Errorf("message %d: %w", t.Receipt.Sequence, err)
		}
	}
	return records, nil
}

// adjacent says whether messages of a receive follow one another, as they do when they were not received before.
func adjacent(taken []Taken) bool {
	for i, t := range taken {
		if t.Receipt.Queue != taken[0].Receipt.Queue || t.Receipt.Sequence != taken[0].Receipt.Sequence+uint64(i) {
			return false
		}
	}
	return true
}

// open answers m in the store's words. Its slices are parts of m.
func (m message) open() (op.Message, error) {
	f := fields{rest: m.content}
	c := f.content()
	if !f.whole() {
		return op.Message{}, fmt.Errorf("content: %w", errDamaged)
	}
	return op.Message{ID: ULID(m.id), Body: c.Body, Attributes: c.Attributes, Group: c.Group, Dedup: c.Dedup,
		Sent: timeOf(m.sent), Source: m.source}, nil
}

// ULID is an id as text.
// Source: github.com/ulid/spec, "Encoding": Crockford's base 32, the first digit of 3 bits.
func ULID(id [16]byte) string {
	const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var text [26]byte
	bits, have, next := uint(0), 0, len(id)
	for i := len(text) - 1; i >= 0; i-- {
		if have < 5 && next > 0 {
			next--
			bits |= uint(id[next]) << have
			have += 8
		}
		text[i] = digits[bits&31]
		bits >>= 5
		have -= 5
	}
	return string(text[:])
}

// QueueQuery asks for queues by name.
type QueueQuery struct {
	Prefix string
	After  string // a name; those above it are answered
	Limit  int    // queues, at most op.MaxQueuePage
}

// ListQueues answers queues in the order of their names.
func ListQueues(v View, namespace string, query QueueQuery, now time.Time) (queues []QueueState, err error) {
	from, skip := headKey(namespace, query.Prefix), len(headKey(namespace, ""))
	if after := append(headKey(namespace, query.After), 0); query.After != "" && bytes.Compare(after, from) > 0 {
		from = after
	}
	scanned := v.Scan(headKey(namespace, query.Prefix), from, func(k, raw []byte) bool {
		var h head
		var s QueueState
		if h, err = decodeHead(raw); err == nil {
			s, err = h.state(v, string(k[skip:]), now.UnixNano())
		}
		queues = append(queues, s)
		return err == nil && len(queues) < query.Limit
	})
	return queues, errors.Join(err, scanned)
}

// AllQueues answers the names of all queues of all namespaces.
func AllQueues(v View) (names []QueueName, err error) {
	err = v.Scan([]byte{headKind}, nil, func(k, _ []byte) bool {
		namespace, name, _ := bytes.Cut(k[1:], []byte{0})
		names = append(names, QueueName{string(namespace), string(name)})
		return true
	})
	return names, err
}
