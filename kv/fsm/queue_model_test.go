package fsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sett-run/sett/kv/op"
)

// TestQueueModel compares queues with a simple model under random steps: who is received when, how often, from which
// group, and that no message goes but for a reason.
func TestQueueModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := queueModel{state: newMemory(), now: start, queues: map[string]*modelQueue{}}
		m.state.entry(t, start, Command{Kind: RaiseLevel, Level: 2})
		retention := rapid.SampledFrom([]time.Duration{2 * time.Minute, time.Hour, time.Hour}).Draw(t, "retention")
		for _, name := range []string{"dead", "dead.fifo", "q", "q.fifo"} {
			s := plain()
			s.Visibility, s.Retention = 10*time.Second, retention
			if s.FIFO = strings.HasSuffix(name, ".fifo"); s.FIFO {
				s.ContentDedup = true
			}
			if strings.HasPrefix(name, "q") && rapid.IntRange(0, 3).Draw(t, "dead letters") > 0 {
				s.DeadLetter, s.MaxReceives = strings.Replace(name, "q", "dead", 1), 2
			}
			m.queues[name] = &modelQueue{name: name, settings: s, twins: map[string]twin{}}
			m.do(t, put(name, s))
		}
		for range rapid.IntRange(20, 60).Draw(t, "steps") {
			m.step(t)
		}
	})
}

type queueModel struct {
	state  *memory
	now    time.Time
	queues map[string]*modelQueue
	sent   int
}

type modelQueue struct {
	name     string
	settings QueueSettings
	messages []*modelMessage // ascending by sequence
	receipts []modelReceipt
	twins    map[string]twin
}

type modelMessage struct {
	sequence uint64
	body     string
	group    string
	arrived  int64
	visible  int64 // when it can be received
	receives int
}

type modelReceipt struct {
	receipt  Receipt
	message  *modelMessage
	receives int // of the message, with this one
	received int64
	lost     bool // FIFO: it was due when somebody received
}

type twin struct {
	sequence uint64
	at       int64
}

// do does a step in an entry of its own and answers its result, with the leader time at which it was done.
func (m *queueModel) do(t *rapid.T, s QueueStep) (op.OpResult, uint64, int64) {
	o := m.state.entry(t, m.now, steps(s))[0]
	if o.Failure != None {
		t.Fatalf("%+v = %+v", s, o)
	}
	p, _ := ReadProgress(m.state)
	m.now = p.Time
	return o.Ops[0], o.Revision, p.Time.UnixNano()
}

func (m *queueModel) step(t *rapid.T) {
	m.now = m.now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, 11 * time.Second, 11 * time.Second, 5 * time.Second, 11 * time.Second, time.Minute, 6 * time.Minute}).Draw(t, "wait"))
	q := m.queues[rapid.SampledFrom([]string{"q", "q", "q", "q.fifo", "q.fifo", "q.fifo", "dead", "dead.fifo"}).Draw(t, "queue")]
	switch kind := rapid.IntRange(0, 11).Draw(t, "step"); {
	case kind < 3:
		m.send(t, q)
	case kind < 8:
		m.take(t, q)
	case kind < 10 && !strings.HasPrefix(q.name, "dead"):
		m.settle(t, q)
	case kind < 10:
		m.redrive(t, q)
	case kind == 10:
		m.state.entry(t, m.now, tick(rapid.IntRange(1, 5).Draw(t, "limit")))
	case kind == 11 && rapid.IntRange(0, 5).Draw(t, "purge") == 0:
		m.do(t, QueueStep{Kind: PurgeQueue, Queue: q.name})
		q.messages, q.twins = nil, map[string]twin{}
		for i := range q.receipts {
			q.receipts[i].lost = true
		}
	}
	p, _ := ReadProgress(m.state)
	m.now = p.Time
	m.state.check(t)
	for _, q := range m.queues {
		m.compare(t, q)
	}
}

func (m *queueModel) send(t *rapid.T, q *modelQueue) {
	s := QueueStep{Kind: Send, Queue: q.name}
	for range rapid.IntRange(1, 4).Draw(t, "messages") {
		m.sent++
		o := text(fmt.Sprint("m", m.sent))
		if q.settings.FIFO {
			o.Group = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "group")
			o.Dedup = rapid.SampledFrom([]string{"", "d", "e"}).Draw(t, "deduplication")
		} else {
			o.Delay = rapid.SampledFrom([]time.Duration{op.NoDelay, 0, 0, 7 * time.Second}).Draw(t, "delay")
		}
		s.Messages = append(s.Messages, o)
	}
	r, revision, now := m.do(t, s)
	sent, err := DecodeSent(r, revision)
	if err != nil || len(sent) != len(s.Messages) {
		t.Fatalf("DecodeSent = %v, %v", sent, err)
	}
	for i, o := range s.Messages {
		known, had := q.twins[o.Dedup]
		if duplicate := o.Dedup != "" && had && known.at+int64(op.DedupWindow) > now; duplicate != sent[i].Duplicate {
			t.Fatalf("%+v is %+v, a duplicate is %v", o, sent[i], duplicate)
		} else if duplicate {
			if sent[i].Sequence != known.sequence {
				t.Fatalf("a duplicate is %d, want %d", sent[i].Sequence, known.sequence)
			}
			continue
		}
		if o.Dedup != "" {
			q.twins[o.Dedup] = twin{sent[i].Sequence, now}
		}
		q.messages = append(q.messages, &modelMessage{sequence: sent[i].Sequence, body: string(o.Body), group: o.Group,
			arrived: now, visible: now + max(0, int64(o.Delay))})
	}
}

// fate is what a take may do with a message.
type fate int

const (
	stays fate = iota
	comes
	dies
	ages
)

func (q *modelQueue) fate(mm *modelMessage, now int64) fate {
	switch {
	case mm.arrived+int64(q.settings.Retention) <= now:
		return ages
	case mm.visible > now:
		return stays
	case q.settings.MaxReceives > 0 && mm.receives >= q.settings.MaxReceives:
		return dies
	}
	return comes
}

// blocked are the groups of a FIFO queue with a message in flight.
func (q *modelQueue) blocked(now int64) map[string]bool {
	blocked := map[string]bool{}
	for _, mm := range q.messages {
		if q.settings.FIFO && mm.receives > 0 && mm.visible > now {
			blocked[mm.group] = true
		}
	}
	for _, r := range q.receipts { // what has aged in flight blocks, too, until its receipt is over or settled
		if q.settings.FIFO && !r.lost && r.message.receives == r.receives && r.message.visible > now {
			blocked[r.message.group] = true
		}
	}
	return blocked
}

func (m *queueModel) take(t *rapid.T, q *modelQueue) {
	s := receive(q.name, rapid.SampledFrom([]int{1, 2, 5, 100}).Draw(t, "limit"))
	r, _, now := m.do(t, s)
	got, err := DecodeTaken(r)
	if err != nil || len(got.Taken) > s.Limit {
		t.Fatalf("DecodeTaken = %+v, %v", got, err)
	}
	blocked := q.blocked(now)
	q.lose(now)
	taken := map[uint64]Taken{}
	for _, g := range got.Taken {
		taken[g.Receipt.Sequence] = g
	}
	all := len(got.Taken) < s.Limit && !got.More
	open := map[string]bool{} // groups of which a message that should come did not
	for _, mm := range slices.Clone(q.messages) {
		g, came := taken[mm.sequence]
		delete(taken, mm.sequence)
		f := q.fate(mm, now)
		if blocked[mm.group] && f != ages {
			f = stays
		}
		switch {
		case came && (f != comes || open[mm.group]):
			t.Fatalf("message %+v was received at %d, its group %v %v", mm, now, blocked[mm.group], open[mm.group])
		case came:
			mm.receives++
			mm.visible = now + int64(q.settings.Visibility)
			if g.Receives != mm.receives {
				t.Fatalf("message %+v says %d receives", mm, g.Receives)
			}
			q.receipts = append(q.receipts, modelReceipt{g.Receipt, mm, mm.receives, now, false})
		case f == comes && all:
			t.Fatalf("message %+v was not received, with room for it, at %d", mm, now)
		case f == comes:
			open[mm.group] = q.settings.FIFO
		case f == dies && m.at(q.settings.DeadLetter, mm.body) != nil:
			m.moved(t, q, m.queues[q.settings.DeadLetter], mm, now)
		case f == dies && all:
			t.Fatalf("message %+v is not in the dead-letter queue", mm)
		}
	}
	if len(taken) > 0 {
		t.Fatalf("received, and not there: %+v", taken)
	}
}

// lose spends the receipts of a FIFO queue that are due when somebody receives.
func (q *modelQueue) lose(now int64) {
	for i := range q.receipts {
		if r := &q.receipts[i]; q.settings.FIFO && r.message.visible <= now {
			r.lost = true
		}
	}
}

// at answers the message of the state with a body.
func (m *queueModel) at(queue, body string) *modelMessage {
	h, err := readHead(m.state, "app", queue)
	if err != nil {
		return nil
	}
	var found *modelMessage
	m.state.Scan(queuePrefix(h.number, messageSub), nil, func(k, v []byte) bool {
		d, _ := decodeMessage(v)
		if o, err := d.open(); err == nil && string(o.Body) == body {
			found = &modelMessage{sequence: indexOf(k), body: body, group: o.Group, arrived: d.arrived, visible: d.arrived}
		}
		return found == nil
	})
	return found
}

// moved has a message go to another queue.
func (m *queueModel) moved(t *rapid.T, from, to *modelQueue, mm *modelMessage, now int64) {
	there := m.at(to.name, mm.body)
	if there == nil || there.arrived != now || there.group != mm.group {
		t.Fatalf("message %+v is %+v in %s", mm, there, to.name)
	}
	to.messages = append(to.messages, there)
	slices.SortFunc(to.messages, func(a, b *modelMessage) int { return int(int64(a.sequence - b.sequence)) })
	from.remove(mm)
}

func (q *modelQueue) remove(mm *modelMessage) {
	q.messages = slices.DeleteFunc(q.messages, func(other *modelMessage) bool { return other == mm })
}

func (m *queueModel) settle(t *rapid.T, q *modelQueue) {
	s := QueueStep{Kind: rapid.SampledFrom([]StepKind{DeleteTaken, DeleteTaken, DelayTaken}).Draw(t, "settle"), Queue: q.name}
	var used []modelReceipt
	for _, r := range q.receipts {
		if rapid.IntRange(0, 3).Draw(t, "use") == 0 {
			receipt := r.receipt
			if s.Kind == DelayTaken {
				receipt.Delay = rapid.SampledFrom([]time.Duration{0, 3 * time.Second, time.Minute}).Draw(t, "delay")
			}
			s.Receipts = append(s.Receipts, receipt)
			used = append(used, r)
		}
	}
	if len(used) == 0 {
		return
	}
	result, _, now := m.do(t, s)
	for i, held := range Settled(result, len(used)) {
		r := used[i]
		there := slices.Contains(q.messages, r.message)
		if want := there && !r.lost && r.message.receives == r.receives; held != want && there {
			t.Fatalf("receipt %+v of %+v holds: %v, want %v", r, r.message, held, want)
		}
		switch {
		case !held:
		case s.Kind == DelayTaken:
			r.message.visible = min(now+int64(s.Receipts[i].Delay), r.received+int64(op.MaxVisibility))
		default:
			q.remove(r.message)
			r.message.receives = -1 // no receipt holds any more
		}
	}
}

func (m *queueModel) redrive(t *rapid.T, q *modelQueue) {
	to := m.queues[strings.Replace(q.name, "dead", "q", 1)]
	limit := rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "limit")
	r, _, now := m.do(t, QueueStep{Kind: Redrive, Queue: q.name, Limit: limit, To: []string{to.name}})
	blocked := q.blocked(now)
	q.lose(now)
	moved := 0
	for _, mm := range slices.Clone(q.messages) {
		f := q.fate(mm, now)
		if f != comes || blocked[mm.group] {
			continue
		}
		if m.at(to.name, mm.body) != nil {
			m.moved(t, q, to, mm, now)
			moved++
		} else if r.Integer < int64(limit) && r.Previous[0] == 0 {
			t.Fatalf("message %+v did not move", mm)
		}
	}
	if int64(moved) != r.Integer {
		t.Fatalf("redrive says %d, %d moved", r.Integer, moved)
	}
}

// compare holds a queue's messages to the model's: none is missing that is not over its retention.
func (m *queueModel) compare(t *rapid.T, q *modelQueue) {
	h, err := readHead(m.state, "app", q.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, mm := range slices.Clone(q.messages) {
		d, found, err := readMessage(m.state, h.number, mm.sequence)
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			if mm.arrived+int64(q.settings.Retention) > m.now.UnixNano() {
				t.Fatalf("%s has lost message %+v", q.name, mm)
			}
			q.remove(mm)
			continue
		}
		if o, err := d.open(); err != nil || string(o.Body) != mm.body {
			t.Fatalf("message %+v is %+v, %v", mm, o, err)
		}
	}
	if h.messages != int64(len(q.messages)) {
		t.Fatalf("%s has %d messages, want %d", q.name, h.messages, len(q.messages))
	}
}
