package fsm

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/sett-run/sett/kv/op"
)

// queueRecords is what stands under a queue's number.
type queueRecords struct {
	messages map[uint64]message
	leases   map[uint64]*lease
	times    map[uint64]int64
	groups   map[string]*group
	members  map[string][]uint64
	turns    map[string]uint64
	twins    map[string]int64
	aged     map[string]int64
	bytes    int64
}

// readQueueRecords sorts the records of all queues by number.
func (m *memory) readQueueRecords(t fataler) map[uint64]*queueRecords {
	t.Helper()
	all := map[uint64]*queueRecords{}
	for _, k := range slices.Sorted(maps.Keys(m.data)) {
		if k[0] != queueKind {
			continue
		}
		number := binary.BigEndian.Uint64([]byte(k[1:9]))
		q := all[number]
		if q == nil {
			q = &queueRecords{map[uint64]message{}, map[uint64]*lease{}, map[uint64]int64{}, map[string]*group{}, map[string][]uint64{},
				map[string]uint64{}, map[string]int64{}, map[string]int64{}, 0}
			all[number] = q
		}
		if err := q.read(k[9], []byte(k[10:]), m.data[k]); err != nil {
			t.Fatalf("%q: %v", k, err)
		}
	}
	return all
}

func (q *queueRecords) read(sub byte, rest, v []byte) (err error) {
	switch sub {
	case messageSub:
		q.messages[indexOf(rest)], err = decodeMessage(bytes.Clone(v))
		q.bytes += int64(len(v))
	case leaseSub:
		q.leases[indexOf(rest)], err = decodeLease(indexOf(rest), v)
	case timeSub:
		q.times[indexOf(rest)] = int64(indexOf(rest[:8]))
	case groupSub:
		q.groups[string(rest)], err = decodeGroup(string(rest), v)
	case memberSub:
		name := string(rest[1 : 1+rest[0]])
		q.members[name] = append(q.members[name], indexOf(rest))
	case turnSub:
		q.turns[string(v)] = indexOf(rest)
	case dedupSub:
		q.twins[string(rest)] = (&fields{rest: v}).natural()
	case agedSub:
		q.aged[string(rest[8:])] = max(q.aged[string(rest[8:])], int64(indexOf(rest[:8])))
	default:
		err = errDamaged
	}
	return err
}

// checkQueues holds the state of queues together, and answers what namespaces have in them.
func (m *memory) checkQueues(t fataler, p progress) map[string]op.Usage {
	t.Helper()
	records := m.readQueueRecords(t)
	alarms := map[uint64]int64{}
	for k := range m.data {
		if k[0] == alarmKind {
			if _, twice := alarms[indexOf([]byte(k))]; twice {
				t.Fatalf("two alarms of queue %d", indexOf([]byte(k)))
			}
			alarms[indexOf([]byte(k))] = int64(indexOf([]byte(k[:9])))
		}
	}
	usages := map[string]op.Usage{}
	for k, v := range m.data {
		if k[0] != headKind {
			continue
		}
		namespace, name, _ := strings.Cut(k[1:], "\x00")
		h, err := decodeHead(v)
		if err != nil {
			t.Fatalf("queue %s: %v", name, err)
		}
		q := records[h.number]
		if q == nil {
			q = &queueRecords{}
		}
		checkQueue(t, name, h, q)
		if at, there := alarms[h.number]; there != (h.alarm != 0) || at != h.alarm || h.alarm == 0 && (h.messages > 0 || h.dedup > 0) {
			t.Fatalf("queue %s: alarm at %d, want %d: %+v", name, at, h.alarm, h)
		}
		usages[namespace] = op.Usage{Keys: usages[namespace].Keys + h.messages, Bytes: usages[namespace].Bytes + h.bytes}
		delete(records, h.number)
	}
	for number := range records {
		if alarms[number] == 0 {
			t.Fatalf("records of queue %d, which is gone, stay", number)
		}
	}
	maps.DeleteFunc(usages, func(_ string, u op.Usage) bool { return u == op.Usage{} })
	return usages
}

func checkQueue(t fataler, name string, h head, q *queueRecords) {
	t.Helper()
	if int64(len(q.messages)) != h.messages || q.bytes != h.bytes {
		t.Fatalf("queue %s has %d messages of %d bytes, its head says %+v", name, len(q.messages), q.bytes, h)
	}
	first := h.tail
	for sequence := range q.messages {
		if first = min(first, sequence); sequence >= h.tail {
			t.Fatalf("queue %s: message %d is not before the tail %d", name, sequence, h.tail)
		}
	}
	if first != h.first {
		t.Fatalf("queue %s: the oldest message is %d, its head says %d", name, first, h.first)
	}
	leased := checkLeases(t, name, h, q)
	if h.settings.FIFO {
		checkGroups(t, name, h, q)
		return
	}
	for sequence, m := range q.messages {
		if fresh := sequence >= h.next && !m.held; fresh == leased[sequence] {
			t.Fatalf("queue %s: message %d: fresh %v, in a lease %v", name, sequence, fresh, leased[sequence])
		}
	}
}

func checkLeases(t fataler, name string, h head, q *queueRecords) (leased map[uint64]bool) {
	t.Helper()
	leased = map[uint64]bool{}
	var flying, delayed int64
	for number, l := range q.leases {
		if l.at != l.until() || q.times[number] != l.at || l.at < h.due || number > h.leases {
			t.Fatalf("queue %s: lease %+v is due at %d, the queue at %d", name, l, q.times[number], h.due)
		}
		for _, e := range l.entries {
			if leased[e.sequence] {
				t.Fatalf("queue %s: message %d is in two leases", name, e.sequence)
			}
			leased[e.sequence] = true
			if m, there := q.messages[e.sequence]; there != (e.sequence >= h.first) || there && m.size != e.size {
				t.Fatalf("queue %s: message %d is there: %v, of %d bytes; its lease says %d, and the oldest is %d", name, e.sequence, there,
					m.size, e.size, h.first)
			}
			if e.receives > 0 {
				flying++
			} else {
				delayed++
			}
		}
	}
	if flying != h.flying || delayed != h.delayed || len(q.times) != len(q.leases) {
		t.Fatalf("queue %s: %d in flight, %d delayed, its head says %+v", name, flying, delayed, h)
	}
	return leased
}

func checkGroups(t fataler, name string, h head, q *queueRecords) {
	t.Helper()
	flying := map[string]int64{}
	delayed := map[uint64]bool{}
	for _, l := range q.leases {
		for _, e := range l.entries {
			if delayed[e.sequence] = e.receives == 0; e.receives > 0 {
				flying[l.group]++
			}
		}
	}
	for sequence, m := range q.messages {
		if slices.Contains(q.members[m.group()], sequence) == delayed[sequence] {
			t.Fatalf("queue %s: message %d is delayed: %v, and in its group: %v", name, sequence, delayed[sequence], !delayed[sequence])
		}
	}
	for group, g := range q.groups {
		ticket, ready := q.turns[group]
		if g.members != int64(len(q.members[group])) || g.flying != flying[group] || g.ready != ready ||
			ready && (ticket < h.turn || ticket >= h.tickets) || !ready && g.flying == 0 {
			t.Fatalf("queue %s: group %+v has members %v, %d in flight, ticket %d of %+v", name, g, q.members[group], flying[group], ticket, h)
		}
		for _, sequence := range q.members[group] {
			if _, found := q.messages[sequence]; !found || sequence < g.first {
				t.Fatalf("queue %s: group %+v has member %d: %v", name, g, sequence, found)
			}
		}
	}
	for group := range q.members {
		if q.groups[group] == nil {
			t.Fatalf("queue %s: members of group %q, which is not there", name, group)
		}
	}
	for id, at := range q.twins {
		if q.aged[id] < at || at < h.dedup {
			t.Fatalf("queue %s: deduplication id %q of %d, aged %d, the oldest is %d", name, id, at, q.aged[id], h.dedup)
		}
	}
	if len(q.aged) > 0 && h.dedup == 0 {
		t.Fatalf("queue %s: deduplication ids, and none is the oldest", name)
	}
}
