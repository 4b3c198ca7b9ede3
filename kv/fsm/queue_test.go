package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// plain are the settings of a queue without any.
func plain() QueueSettings {
	return QueueSettings{Visibility: op.DefaultVisibility, Retention: op.DefaultRetention, MaxBytes: op.MaxMessageBytes}
}

func fifo() QueueSettings {
	s := plain()
	s.FIFO = true
	return s
}

func put(name string, s QueueSettings) QueueStep {
	return QueueStep{Kind: PutQueue, Queue: name, Settings: s}
}

func text(body string) op.Outgoing { return op.Outgoing{Body: []byte(body)} }

func send(name string, bodies ...string) QueueStep {
	s := QueueStep{Kind: Send, Queue: name}
	for _, b := range bodies {
		s.Messages = append(s.Messages, text(b))
	}
	return s
}

// sendGrouped sends messages "group:body" with their text as deduplication id.
func sendGrouped(name string, texts ...string) QueueStep {
	s := send(name, texts...)
	for i, text := range texts {
		s.Messages[i].Group, _, _ = strings.Cut(text, ":")
		s.Messages[i].Dedup = text
	}
	return s
}

func receive(name string, limit int) QueueStep {
	return QueueStep{Kind: Receive, Queue: name, Limit: limit}
}

func steps(s ...QueueStep) Command { return Command{Kind: Queues, Namespace: "app", Steps: s} }

// everyStep are commands with every kind of step.
func everyStep() []Command {
	s := fifo()
	s.ContentDedup, s.DeadLetter, s.MaxReceives = true, "dead.fifo", 3
	message := op.Outgoing{Body: []byte("b"), Group: "g", Dedup: "d",
		Attributes: []op.Attribute{{Name: "a", Type: "Number.int", Value: []byte("1")}}}
	r := Receipt{Queue: 4096, Lease: 1, Sequence: 300}
	delayed, forwarded := r, r
	delayed.Delay = time.Second
	forwarded.To, forwarded.Keep = []int{1, 0}, true
	return []Command{
		steps(put("q.fifo", s)), steps(QueueStep{Kind: DropQueue, Queue: "q"}), steps(QueueStep{Kind: PurgeQueue, Queue: "q"}),
		steps(QueueStep{Kind: Send, Queue: "q", Messages: []op.Outgoing{message, text("c")}},
			QueueStep{Kind: Receive, Queue: "q", Limit: 10, Visibility: time.Second},
			QueueStep{Kind: DeleteTaken, Queue: "q", Receipts: []Receipt{r}},
			QueueStep{Kind: DelayTaken, Queue: "q", Receipts: []Receipt{delayed}},
			QueueStep{Kind: Forward, Queue: "q", Receipts: []Receipt{forwarded}, To: []string{"topic/a/b", "r"}},
			QueueStep{Kind: Redrive, Queue: "q", Limit: 7, To: []string{"r"}},
			QueueStep{Kind: Replace, Queue: "q", Receipts: []Receipt{r}, Messages: []op.Outgoing{text("d")}}),
		{Kind: Effects, Namespace: "app", Checks: []op.Check{{Key: "a", Revision: 300}}, Ops: []op.Op{set("k", "v")},
			Steps: []QueueStep{{Kind: DeleteTaken, Queue: "q", Receipts: []Receipt{r}}}, Record: op.Check{Key: "schedule/x", Revision: 5},
			Objects: op.ObjectEffects{Checks: []op.Check{{Kind: op.IsPresent, Key: "b/pics"}}, Ops: []op.Op{{Kind: op.Incr, Key: "n", Delta: 1}}}},
		{Kind: Effects, Namespace: "app", Record: op.Check{Key: "stream/x", Revision: 5}, Becomes: []byte("next")},
	}
}

// someQueues make queues that fuzzed commands may know, with messages.
func someQueues() []Command {
	return []Command{steps(put("q", plain())), steps(put("r", plain())), steps(put("q.fifo", fifo())),
		steps(send("q", "a", "b", "c"), receive("q", 2)), steps(sendGrouped("q.fifo", "g:1", "g:2", "h:1"), receive("q.fifo", 1))}
}

// queues is a state with queues.
func queues(t *testing.T, settings map[string]QueueSettings) *memory {
	t.Helper()
	m := newMemory()
	m.entry(t, start, Command{Kind: RaiseLevel, Level: 2})
	for name, s := range settings {
		m.ok(t, 0, put(name, s))
	}
	return m
}

// ok does steps at a time after start and answers their results.
func (m *memory) ok(t *testing.T, after time.Duration, s ...QueueStep) []op.OpResult {
	t.Helper()
	r, err := m.entry(t, start.Add(after), steps(s...))[0].Result()
	if err != nil {
		t.Fatalf("%+v = %v", s, err)
	}
	m.check(t)
	return r.Ops
}

// receive answers what a receive takes, as "a b", and its receipts.
func (m *memory) receive(t *testing.T, after time.Duration, s QueueStep) (string, []Receipt) {
	t.Helper()
	got, err := DecodeTaken(m.ok(t, after, s)[0])
	if err != nil {
		t.Fatal(err)
	}
	messages, err := Messages(m, got.Taken)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	var receipts []Receipt
	for i, message := range messages {
		all = append(all, string(message.Body))
		receipts = append(receipts, got.Taken[i].Receipt)
	}
	return strings.Join(all, " "), receipts
}

func (m *memory) stats(t *testing.T, after time.Duration, name string) string {
	t.Helper()
	s, err := ReadQueue(m, "app", name, start.Add(after))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d: %d visible, %d in flight, %d delayed", s.Stats.Messages, s.Stats.Visible, s.Stats.InFlight, s.Stats.Delayed)
}

func wantText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestQueueVisibility(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"q": plain()})
	m.ok(t, 0, send("q", "a", "b", "c"))
	got, first := m.receive(t, time.Second, receive("q", 2))
	wantText(t, "receive", got, "a b")
	got, _ = m.receive(t, 2*time.Second, receive("q", 10))
	wantText(t, "the rest", got, "c")
	wantText(t, "stats", m.stats(t, 2*time.Second, "q"), "3: 0 visible, 3 in flight, 0 delayed")
	wantText(t, "stats", m.stats(t, 31*time.Second, "q"), "3: 2 visible, 1 in flight, 0 delayed")

	late := QueueStep{Kind: DeleteTaken, Queue: "q", Receipts: first[:1]}
	if r := m.ok(t, 32*time.Second, late); r[0].Integer != 1 {
		t.Errorf("a receipt that is over, of a message that was not received again, deletes %d, want 1", r[0].Integer)
	}
	got, again := m.receive(t, 33*time.Second, receive("q", 10))
	wantText(t, "after the visibility timeout", got, "b c")
	stale := QueueStep{Kind: DeleteTaken, Queue: "q", Receipts: append(first, again...)}
	r := m.ok(t, 34*time.Second, stale)[0]
	if got := fmt.Sprint(Settled(r, 4)); r.Integer != 2 || got != "[false false true true]" {
		t.Errorf("delete with receipts of old receives = %d, %s", r.Integer, got)
	}
	wantText(t, "stats", m.stats(t, time.Hour, "q"), "0: 0 visible, 0 in flight, 0 delayed")
}

func TestQueueRelease(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"q": plain()})
	m.ok(t, 0, send("q", "a", "b"))
	_, receipts := m.receive(t, 0, receive("q", 2))
	receipts[0].Delay = 10 * time.Second
	receipts[1].Delay = op.MaxVisibility
	m.ok(t, time.Hour, QueueStep{Kind: DelayTaken, Queue: "q", Receipts: receipts})
	got, _ := m.receive(t, time.Hour+9*time.Second, receive("q", 2))
	wantText(t, "before its delay is over", got, "")
	got, _ = m.receive(t, time.Hour+11*time.Second, receive("q", 2))
	wantText(t, "after its delay", got, "a")
	got, _ = m.receive(t, op.MaxVisibility+time.Second, receive("q", 2))
	wantText(t, "12 hours after its receive", got, "a b")
}

func TestQueueDelay(t *testing.T) {
	s := plain()
	s.Delay = time.Minute
	m := queues(t, map[string]QueueSettings{"q": s})
	now := send("q", "now")
	now.Messages[0].Delay = op.NoDelay
	m.ok(t, 0, send("q", "a", "b"), now, send("q", "c"))
	got, _ := m.receive(t, time.Second, receive("q", 10))
	wantText(t, "at once", got, "now")
	wantText(t, "stats", m.stats(t, 2*time.Second, "q"), "4: 0 visible, 1 in flight, 3 delayed")
	g, err := GlanceAt(m, QueueName{"app", "q"}, start.Add(2*time.Second))
	if want := start.Add(time.Second + op.DefaultVisibility); err != nil || g.Ready != 0 || g.Next.Sub(want).Abs() > time.Second {
		t.Errorf("GlanceAt = %+v, %v, want the end of the visibility timeout, %v", g, err, want)
	}
	got, _ = m.receive(t, time.Minute+time.Second, receive("q", 10))
	wantText(t, "after the delay", got, "now a b c")
}

func TestQueueDeadLetters(t *testing.T) {
	s := plain()
	s.DeadLetter, s.MaxReceives, s.Visibility = "dead", 2, time.Second
	m := queues(t, map[string]QueueSettings{"q": s})
	m.ok(t, 0, send("q", "poison"))
	for i := range 4 { // there is no dead-letter queue yet
		got, _ := m.receive(t, time.Duration(2*i)*time.Second, receive("q", 1))
		wantText(t, "receive", got, "poison")
	}
	m.ok(t, 8*time.Second, put("dead", plain()))
	got, _ := m.receive(t, 10*time.Second, receive("q", 1))
	wantText(t, "receive of what is dead", got, "")
	taken, err := DecodeTaken(m.ok(t, 11*time.Second, receive("dead", 1))[0])
	if err != nil || len(taken.Taken) != 1 {
		t.Fatalf("receive from the dead-letter queue: %+v, %v", taken, err)
	}
	messages, err := Messages(m, taken.Taken)
	if err != nil || messages[0].Source != "q" || !messages[0].Sent.Equal(m.sentAt(t, 0)) || messages[0].Receives != 1 {
		t.Errorf("the dead letter is %+v, %v", messages, err)
	}
	r := m.ok(t, time.Minute, QueueStep{Kind: Redrive, Queue: "dead", Limit: 10})[0]
	if r.Integer != 1 {
		t.Errorf("redrive moves %d, want 1", r.Integer)
	}
	again, err := DecodeTaken(m.ok(t, time.Minute, receive("q", 1))[0])
	if err != nil || len(again.Taken) != 1 || again.Taken[0].Receives != 1 {
		t.Fatalf("receive after redrive: %+v, %v", again, err)
	}
	if back, _ := Messages(m, again.Taken); back[0].ID != messages[0].ID || back[0].Source != "" {
		t.Errorf("the message came back as %+v, was %+v", back[0], messages[0])
	}
}

// sentAt is about when entries at a time after start were applied: leader time grows by a nanosecond an entry.
func (m *memory) sentAt(t *testing.T, after time.Duration) time.Time {
	t.Helper()
	at := start.Add(after)
	for k, v := range m.data {
		if k[0] == queueKind && k[9] == messageSub {
			if d, err := decodeMessage(v); err == nil && timeOf(d.sent).Sub(at).Abs() < time.Millisecond {
				return timeOf(d.sent)
			}
		}
	}
	return at
}

func TestRedriveFaults(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"dead": plain(), "q": plain()})
	m.ok(t, 0, send("dead", "a", "b"))
	for to, want := range map[string]error{"": op.ErrInvalid, "gone": op.ErrNoQueue, "dead": op.ErrInvalid, "q.fifo": op.ErrInvalid} {
		s := QueueStep{Kind: Redrive, Queue: "dead", Limit: 1}
		if to != "" {
			s.To = []string{to}
		}
		if _, err := m.entry(t, start, steps(s))[0].Result(); !errors.Is(err, want) {
			t.Errorf("redrive to %q = %v, want %v", to, err, want)
		}
		m.check(t)
	}
	if r := m.ok(t, 0, QueueStep{Kind: Redrive, Queue: "dead", Limit: 1, To: []string{"q"}})[0]; r.Integer != 1 || r.Previous[0] != 1 {
		t.Errorf("redrive of one of two = %+v", r)
	}
}

func TestQueueGroups(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"q.fifo": fifo()})
	m.ok(t, 0, sendGrouped("q.fifo", "a:1", "b:1", "a:2", "a:3", "b:2", "c:1"))
	got, first := m.receive(t, time.Second, receive("q.fifo", 2))
	wantText(t, "first batch", got, "a:1 a:2")
	got, second := m.receive(t, time.Second, receive("q.fifo", 10))
	wantText(t, "the other groups", got, "b:1 b:2 c:1")
	got, _ = m.receive(t, time.Second, receive("q.fifo", 10))
	wantText(t, "all groups are in flight", got, "")
	m.ok(t, 2*time.Second, QueueStep{Kind: DeleteTaken, Queue: "q.fifo", Receipts: first[:1]})
	got, _ = m.receive(t, 3*time.Second, receive("q.fifo", 10))
	wantText(t, "a batch is in flight still", got, "")
	m.ok(t, 4*time.Second, QueueStep{Kind: DelayTaken, Queue: "q.fifo", Receipts: first[1:]})
	m.ok(t, 4*time.Second, sendGrouped("q.fifo", "a:4"))
	got, _ = m.receive(t, 5*time.Second, receive("q.fifo", 10))
	wantText(t, "what was released comes first", got, "a:2 a:3 a:4")
	m.ok(t, 6*time.Second, QueueStep{Kind: DeleteTaken, Queue: "q.fifo", Receipts: second})
	got, _ = m.receive(t, time.Minute, receive("q.fifo", 10))
	wantText(t, "after the visibility timeout", got, "a:2 a:3 a:4")
}

func TestQueueDeduplication(t *testing.T) {
	content := fifo()
	content.ContentDedup = true
	m := queues(t, map[string]QueueSettings{"q.fifo": fifo(), "c.fifo": content})
	body := send("c.fifo", "same", "same", "other")
	for i := range body.Messages {
		body.Messages[i].Group = "g"
	}
	for _, s := range []QueueStep{body, sendGrouped("q.fifo", "g:same", "g:same", "g:other")} {
		for _, c := range []struct {
			after time.Duration
			want  string
		}{
			{0, "1 1+ 2"}, {op.DedupWindow - time.Second, "1+ 1+ 2+"}, {op.DedupWindow + time.Second, "3 3+ 4"},
		} {
			result, err := m.entry(t, start.Add(c.after), steps(s))[0].Result()
			if err != nil {
				t.Fatal(err)
			}
			m.check(t)
			sent, err := DecodeSent(result.Ops[0], result.Revision)
			var all []string
			ids := map[uint64]string{}
			for _, s := range sent {
				text := fmt.Sprint(s.Sequence)
				if id := ULID(s.ID); ids[s.Sequence] == "" {
					ids[s.Sequence] = id
				} else if ids[s.Sequence] != id {
					t.Errorf("a duplicate of message %d has id %s, want %s", s.Sequence, id, ids[s.Sequence])
				}
				if s.Duplicate {
					text += "+"
				}
				all = append(all, text)
			}
			if got := strings.Join(all, " "); err != nil || got != c.want {
				t.Errorf("%s after %v: %s, %v, want %s", s.Queue, c.after, got, err, c.want)
			}
		}
		m = queues(t, map[string]QueueSettings{"q.fifo": fifo()})
	}
}

// TestQueueSweeps has ticks delete what is over, a few records at a time, until nothing is left to do.
func TestQueueSweeps(t *testing.T) {
	short := fifo()
	short.Retention = op.MinRetention
	m := queues(t, map[string]QueueSettings{"q": plain(), "s.fifo": short, "gone": plain()})
	var bodies, grouped []string
	for i := range 30 {
		bodies = append(bodies, fmt.Sprint(i))
		grouped = append(grouped, fmt.Sprintf("g%d:%d", i%3, i))
	}
	m.ok(t, 0, send("q", bodies...), receive("q", 10), send("gone", bodies...), receive("gone", 10))
	m.ok(t, 0, sendGrouped("s.fifo", grouped...), receive("s.fifo", 4))
	m.ok(t, time.Second, QueueStep{Kind: PurgeQueue, Queue: "q"})
	m.ok(t, time.Second, send("q", "new"))
	m.ok(t, time.Second, QueueStep{Kind: DropQueue, Queue: "gone"})
	m.sweep(t, 2*time.Second)
	wantText(t, "purged", m.stats(t, time.Second, "q"), "1: 1 visible, 0 in flight, 0 delayed")
	wantText(t, "within its retention", m.stats(t, time.Second, "s.fifo"), "30: 26 visible, 4 in flight, 0 delayed")
	m.sweep(t, time.Minute+2*time.Second)
	if h, _ := readHead(m, "app", "s.fifo"); h.messages != 0 {
		t.Errorf("over its retention: %+v", h)
	}
	got, _ := m.receive(t, 3*time.Minute, receive("s.fifo", 1))
	wantText(t, "over its retention", got, "")
	m.sweep(t, 10*time.Minute)
	for k := range m.data {
		if h, _ := readHead(m, "app", "q"); k[0] == queueKind && !bytes.HasPrefix([]byte(k), queuePrefix(h.number, messageSub)) {
			t.Errorf("%q stays", k)
		}
	}
	m.sweep(t, op.DefaultRetention+time.Hour)
	for k := range m.data {
		if k[0] == queueKind || k[0] == alarmKind {
			t.Errorf("%q stays", k)
		}
	}
}

// sweep ticks for as long as something is due.
func (m *memory) sweep(t *testing.T, after time.Duration) {
	t.Helper()
	for i := 0; ; i++ {
		now := start.Add(after + time.Duration(i))
		due, err := Due(m, now)
		if err != nil || i > 1000 {
			t.Fatalf("Due = %v, %v", due, err)
		}
		if !due {
			return
		}
		m.entry(t, now, tick(7))
		m.check(t)
	}
}

func TestRetentionWhileInFlight(t *testing.T) {
	s := plain()
	s.Retention = op.MinRetention
	m := queues(t, map[string]QueueSettings{"q": s})
	m.ok(t, 0, send("q", "a", "b"))
	hour := receive("q", 2)
	hour.Visibility = time.Hour
	_, receipts := m.receive(t, 0, hour)
	m.sweep(t, 2*time.Minute)
	m.ok(t, 2*time.Minute, QueueStep{Kind: DeleteTaken, Queue: "q", Receipts: receipts[:1]})
	got, _ := m.receive(t, 2*time.Hour, receive("q", 2))
	wantText(t, "after its retention", got, "")
	wantText(t, "stats", m.stats(t, 2*time.Hour, "q"), "0: 0 visible, 0 in flight, 0 delayed")
}

func TestForward(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"topic/t": plain(), "topic/t/a": plain(), "topic/t/b": plain()})
	m.ok(t, 0, send("topic/t", "1", "2", "3"))
	_, receipts := m.receive(t, 0, receive("topic/t", 3))
	receipts[0].To = []int{0, 1, 2}
	receipts[1].To = []int{2}
	receipts[1].Keep = true
	s := QueueStep{Kind: Forward, Queue: "topic/t", Receipts: receipts, To: []string{"topic/t/a", "topic/t/gone", "topic/t/b"}}
	if r := m.ok(t, time.Second, s)[0]; r.Integer != 3 {
		t.Errorf("forward = %+v", r)
	}
	if r := m.ok(t, time.Second, s)[0]; r.Integer != 1 {
		t.Errorf("forward with receipts that are spent = %+v, want the one that was kept", r)
	}
	got, _ := m.receive(t, time.Second, receive("topic/t/a", 10))
	wantText(t, "a", got, "1")
	got, _ = m.receive(t, time.Second, receive("topic/t/b", 10))
	wantText(t, "b", got, "1 2 2")
	wantText(t, "topic", m.stats(t, time.Second, "topic/t"), "1: 0 visible, 1 in flight, 0 delayed")
}
