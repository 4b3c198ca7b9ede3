package fsm

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/sett-run/sett/kv/op"
)

// What queues keep. A queue's records stand under its number, the revision of the command that made it; purging it
// gives it another number, and what stands under the old one is swept away bit by bit.
//
//	n <namespace> 0x00 <name>             head: settings, counts, and where everything begins
//	k <number> m <sequence>               a message, which never changes
//	k <number> l <lease>                  messages that cannot be received for a while: taken together, or delayed
//	k <number> t <time> <lease>           when the first of a lease's messages can be received
//	k <number> s <group>                  FIFO: a group's counts
//	k <number> g <length> <group> <sequence>  FIFO: a message of a group, with its receives
//	k <number> a <ticket>                 FIFO: a group that has messages and none in flight, in the order they take turns
//	k <number> d <deduplication id>       FIFO: time, sequence and id of the message that had it
//	k <number> x <time> <deduplication id>  FIFO: when it was
//	w <time> <number>                     when something of a queue, or of one that is gone, is to be swept away
//
// A message is received without a write of its own. Those that were never received are the ones from head.next on;
// those that were are in leases. A scan begins where the head says, so that it does not pass what was deleted before.
const (
	headKind  = 'n'
	queueKind = 'k'
	alarmKind = 'w'

	messageSub = 'm'
	leaseSub   = 'l'
	timeSub    = 't'
	groupSub   = 's'
	memberSub  = 'g'
	turnSub    = 'a'
	dedupSub   = 'd'
	agedSub    = 'x'
)

const never = math.MaxInt64 // a time

// head is a queue, but for its messages.
type head struct {
	number   uint64
	created  int64
	settings QueueSettings

	tail  uint64 // sequence of the next message; the first is 1
	next  uint64 // not FIFO: messages from here on were never received, or are delayed
	first uint64 // the oldest message; tail: there is none

	messages int64
	bytes    int64 // of messages
	flying   int64 // entries of leases that are received
	delayed  int64 // the other entries of leases

	leases  uint64 // number of the newest lease
	due     int64  // no lease is due before
	turn    uint64 // FIFO: the first ticket
	tickets uint64 // FIFO: the next ticket
	dedup   int64  // FIFO: no deduplication id is older; 0: there is none
	alarm   int64  // its record of alarmKind; 0: there is none
}

func (h head) append(b []byte) []byte {
	b = appendTime(binary.AppendUvarint(b, h.number), h.created)
	b = h.settings.append(b)
	for _, n := range []uint64{h.tail, h.next, h.first, uint64(h.messages), uint64(h.bytes), uint64(h.flying), uint64(h.delayed),
		h.leases, uint64(h.due), h.turn, h.tickets, uint64(h.dedup), uint64(h.alarm)} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func decodeHead(b []byte) (h head, err error) {
	f := fields{rest: b}
	h.number, h.created = f.uvarint(), f.natural()
	h.settings = f.settings()
	h.tail, h.next, h.first = f.uvarint(), f.uvarint(), f.uvarint()
	h.messages, h.bytes, h.flying, h.delayed = f.natural(), f.natural(), f.natural(), f.natural()
	h.leases, h.due = f.uvarint(), f.natural()
	h.turn, h.tickets = f.uvarint(), f.uvarint()
	h.dedup, h.alarm = f.natural(), f.natural()
	if !f.whole() || h.number == 0 {
		return head{}, fmt.Errorf("queue: %w", errDamaged)
	}
	return h, nil
}

func headKey(namespace, name string) []byte { return spaceKey(headKind, namespace, name) }

// queuePrefix is that of a kind of a queue's records.
func queuePrefix(number uint64, sub byte) []byte {
	b := make([]byte, 0, 10)
	return append(binary.BigEndian.AppendUint64(append(b, queueKind), number), sub)
}

// numberKey is the key of a queue's record that has a number: a message, a lease, a turn.
func numberKey(number uint64, sub byte, n uint64) []byte {
	b := make([]byte, 0, 18)
	b = binary.BigEndian.AppendUint64(append(b, queueKind), number)
	return binary.BigEndian.AppendUint64(append(b, sub), n)
}

func timeKey(number uint64, at int64, lease uint64) []byte {
	return binary.BigEndian.AppendUint64(numberKey(number, timeSub, uint64(at)), lease)
}

func groupKey(number uint64, group string) []byte {
	return append(queuePrefix(number, groupSub), group...)
}

func memberPrefix(number uint64, group string) []byte {
	b := make([]byte, 0, 19+len(group))
	b = append(binary.BigEndian.AppendUint64(append(b, queueKind), number), memberSub, byte(len(group)))
	return append(b, group...)
}

func memberKey(number uint64, group string, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(memberPrefix(number, group), sequence)
}

func dedupKey(number uint64, id string) []byte { return append(queuePrefix(number, dedupSub), id...) }

func agedKey(number uint64, at int64, id string) []byte {
	return append(numberKey(number, agedSub, uint64(at)), id...)
}

func alarmKey(at int64, number uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{alarmKind}, uint64(at))
	return binary.BigEndian.AppendUint64(b, number)
}

// message is what a queue keeps of one.
type message struct {
	arrived int64 // in this queue
	sent    int64
	id      [16]byte
	held    bool   // it was delayed: a lease has it from the first
	source  string // of a dead letter: its queue
	content []byte // as appendContent wrote it

	length int // of content
	size   int // of the record; 0 until it is written
}

func (m message) append(b []byte) []byte {
	b = appendTime(appendTime(b, m.arrived), m.sent)
	b = append(append(b, m.id[:]...), bit(m.held))
	return append(appendText(b, m.source), m.content...)
}

// decodeMessage reads what append wrote; the content is a part of b.
func decodeMessage(b []byte) (m message, err error) {
	f := fields{rest: b}
	m.arrived, m.sent = f.natural(), f.natural()
	copy(m.id[:], f.raw(len(m.id)))
	m.held = f.bit()
	m.source = string(f.text())
	m.content = f.rest
	m.length, m.size = len(m.content), len(b)
	if f.bad || m.length == 0 {
		return message{}, fmt.Errorf("message: %w", errDamaged)
	}
	return m, nil
}

// group is that of the message.
func (m message) group() string {
	f := fields{rest: m.content}
	return string(f.text())
}

// lease is messages that were taken, or delayed, at once.
type lease struct {
	number   uint64
	received int64
	group    string // FIFO, of messages that were received
	entries  []entry
	at       int64 // time of its record of timeSub; 0: it has none
}

// entry is a message in a lease.
type entry struct {
	sequence uint64
	until    int64
	receives int   // 0: it is delayed
	first    int64 // time of the first receive
	size     int   // of the message's record: who deletes it need not read it
}

// until is when the first of the messages can be received; never, when there is none.
func (l *lease) until() int64 {
	at := int64(never)
	for _, e := range l.entries {
		at = min(at, e.until)
	}
	return at
}

func (l *lease) append(b []byte) []byte {
	b = appendTime(appendTime(b, l.received), l.at)
	b = appendText(b, l.group)
	b = binary.AppendUvarint(b, uint64(len(l.entries)))
	last := uint64(0)
	for _, e := range l.entries {
		b = binary.AppendVarint(b, int64(e.sequence-last))
		b = binary.AppendVarint(b, e.until-l.at)
		b = binary.AppendUvarint(b, uint64(e.receives))
		b = binary.AppendUvarint(b, uint64(e.size))
		if e.receives > 0 {
			b = binary.AppendVarint(b, l.received-e.first)
		}
		last = e.sequence
	}
	return b
}

func decodeLease(number uint64, b []byte) (*lease, error) {
	f := fields{rest: b}
	l := &lease{number: number, received: f.natural(), at: f.natural(), group: string(f.text())}
	l.entries = make([]entry, f.count(op.MaxReceive))
	last := uint64(0)
	for i := range l.entries {
		e := &l.entries[i]
		e.sequence = last + uint64(f.varint())
		e.until = l.at + f.varint()
		e.receives, e.size = int(f.natural()), int(f.natural())
		if e.receives > 0 {
			e.first = l.received - f.varint()
		}
		last = e.sequence
	}
	if !f.whole() {
		return nil, fmt.Errorf("lease: %w", errDamaged)
	}
	return l, nil
}

// group is a message group of a FIFO queue.
type group struct {
	name    string
	first   uint64 // no message of it is older
	members int64  // of memberSub
	flying  int64  // of them, or of what has gone since: received and not settled
	ready   bool   // it has a ticket
}

func (g *group) append(b []byte) []byte {
	b = binary.AppendUvarint(b, g.first)
	b = binary.AppendUvarint(b, uint64(g.members))
	b = binary.AppendUvarint(b, uint64(g.flying))
	return append(b, bit(g.ready))
}

func decodeGroup(name string, b []byte) (*group, error) {
	f := fields{rest: b}
	g := &group{name: name, first: f.uvarint(), members: f.natural(), flying: f.natural(), ready: f.bit()}
	if !f.whole() {
		return nil, fmt.Errorf("message group: %w", errDamaged)
	}
	return g, nil
}
