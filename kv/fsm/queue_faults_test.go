package fsm

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

func TestQueueFaultsChangeNothing(t *testing.T) {
	short := plain()
	short.MaxBytes = op.MinMaxMessageBytes
	m := queues(t, map[string]QueueSettings{"q": plain(), "short": short, "q.fifo": fifo()})
	m.ok(t, 0, send("q", "a"))
	long := strings.Repeat("x", op.MinMaxMessageBytes+1)
	grouped := sendGrouped("q.fifo", "g:1")
	without, delayed := sendGrouped("q.fifo", "g:1"), sendGrouped("q.fifo", "g:1")
	without.Messages[0].Dedup = ""
	delayed.Messages[0].Delay = op.NoDelay
	named := send("q", "b")
	named.Messages[0].Dedup = "d"
	before := fmt.Sprint(m.stats(t, 0, "q"), m.stats(t, 0, "short"), m.stats(t, 0, "q.fifo"))
	for name, c := range map[string]struct {
		last QueueStep
		want error
	}{
		"no such queue":       {send("none", "b"), op.ErrNoQueue},
		"over the queue's":    {send("short", long), op.ErrTooLarge},
		"no group":            {send("q.fifo", "b"), op.ErrInvalid},
		"no deduplication":    {without, op.ErrInvalid},
		"delay of a message":  {delayed, op.ErrInvalid},
		"deduplication":       {named, op.ErrInvalid},
		"forward in a circle": {QueueStep{Kind: Redrive, Queue: "q", Limit: 1, To: []string{"q"}}, op.ErrInvalid},
	} {
		o := m.entry(t, start, steps(send("q", "x", "y"), receive("q", 10), grouped, receive("q.fifo", 1), c.last))[0]
		_, err := o.Result()
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "queue "+c.last.Queue) {
			t.Errorf("%s = %v, want %v", name, err, c.want)
		}
		m.check(t)
		if after := fmt.Sprint(m.stats(t, 0, "q"), m.stats(t, 0, "short"), m.stats(t, 0, "q.fifo")); after != before {
			t.Errorf("%s changes the queues to %s, from %s", name, after, before)
		}
	}
}

func TestQueueQuota(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"q": plain()})
	m.entry(t, start, Command{Kind: SetQuota, Namespace: "app", Quota: op.Quota{Keys: 2}})
	m.ok(t, 0, send("q", "a", "b"))
	if _, err := m.entry(t, start, steps(send("q", "c")))[0].Result(); !errors.Is(err, op.ErrQuota) {
		t.Errorf("send over the quota = %v, want %v", err, op.ErrQuota)
	}
	_, receipts := m.receive(t, 0, receive("q", 1))
	m.ok(t, 0, QueueStep{Kind: DeleteTaken, Queue: "q", Receipts: receipts}, send("q", "c"))
}

// TestDeadLetterOverQuota has a queue go on whose app holds all that it may: that a dead letter says where it was is no
// reason to give out no message, since only what is received can be deleted.
func TestDeadLetterOverQuota(t *testing.T) {
	s := plain()
	s.DeadLetter, s.MaxReceives = "dead", 1
	m := queues(t, map[string]QueueSettings{"q": s, "dead": plain()})
	m.entry(t, start, Command{Kind: RaiseLevel, Level: 3})
	m.ok(t, 0, send("q", "a"))
	m.receive(t, 0, receive("q", 1))
	m.ok(t, 0, send("q", "long"))
	held, err := Usage(m, "app")
	if err != nil {
		t.Fatal(err)
	}
	m.entry(t, start, Command{Kind: SetQuota, Namespace: "app", Quota: op.Quota{Bytes: held.Bytes}})

	after := op.DefaultVisibility + time.Second
	got, receipts := m.receive(t, after, receive("q", 10))
	if dead := m.stats(t, after, "dead"); got != "long" || dead != "1: 1 visible, 0 in flight, 0 delayed" {
		t.Fatalf("received %q, and dead are %s; want long, and 1", got, dead)
	}
	if _, err := m.entry(t, start.Add(after), steps(send("q", "c")))[0].Result(); !errors.Is(err, op.ErrQuota) {
		t.Errorf("send over the quota = %v, want %v", err, op.ErrQuota)
	}
	m.ok(t, after, QueueStep{Kind: DeleteTaken, Queue: "q", Receipts: receipts})
	m.ok(t, after, send("q", "c"))
}

// TestQueuesAreLevel2 has a group of level 1 refuse them, on nodes of both builds.
func TestQueuesAreLevel2(t *testing.T) {
	entry := AppendEntry(nil, start, steps(put("q", plain())).Append(nil), tick(5).Append(nil))
	for known := uint8(1); known <= 2; known++ {
		a, err := Apply(newMemory(), 1, entry, known)
		if err != nil || fmt.Sprint(failures(a.Outcomes)) != "[7 0]" || len(a.Writes) != 1 {
			t.Errorf("build of level %d: %v, %v, %d writes", known, failures(a.Outcomes), err, len(a.Writes))
		}
	}
}

func TestMaxInFlight(t *testing.T) {
	if testing.Short() {
		t.Skip("120,000 messages")
	}
	m := queues(t, map[string]QueueSettings{"q": plain()})
	bodies := make([]string, op.MaxSend)
	for i := range bodies {
		bodies[i] = "x"
	}
	taken := 0
	for taken < op.MaxInFlight {
		var batch []Command
		for range 10 {
			batch = append(batch, steps(send("q", bodies...)))
		}
		r := m.entry(t, start, append(batch, steps(receive("q", op.MaxReceive)))...)[10]
		if r.Failure != None {
			t.Fatalf("receive after %d = %+v", taken, r)
		}
		taken += int(r.Ops[0].Integer)
	}
	m.entry(t, start, steps(send("q", "one more")))
	if _, err := m.entry(t, start, steps(receive("q", 1)))[0].Result(); !errors.Is(err, op.ErrInFlight) {
		t.Errorf("receive with %d in flight = %v, want %v", taken, err, op.ErrInFlight)
	}
	if r, err := m.entry(t, start.Add(time.Minute), steps(receive("q", 3)))[0].Result(); err != nil || r.Ops[0].Integer != 3 {
		t.Errorf("receive after the visibility timeout = %+v, %v", r, err)
	}
	m.check(t)
}

// TestLargestQueueCommands does what writes most, each alone in its entry, whose bytes entry checks.
func TestLargestQueueCommands(t *testing.T) {
	s := fifo()
	s.DeadLetter, s.MaxReceives, s.Visibility = "d.fifo", 1, time.Second
	m := queues(t, map[string]QueueSettings{"q.fifo": s, "d.fifo": fifo(), "big": plain(), "to": plain()})
	for n := range 10 {
		long := QueueStep{Kind: Send, Queue: "q.fifo"}
		for i := range op.MaxSend {
			name := fmt.Sprintf("%05d", n*op.MaxSend+i) + strings.Repeat("g", op.MaxGroupBytes-5)
			long.Messages = append(long.Messages, op.Outgoing{Body: make([]byte, 1800), Group: name, Dedup: name})
		}
		m.ok(t, 0, long)
	}
	_, receipts := m.receive(t, time.Second, receive("q.fifo", op.MaxReceive))
	if len(receipts) < 3000 {
		t.Fatalf("%d messages of 1,800 bytes received, want 6 MiB", len(receipts))
	}
	m.ok(t, 2*time.Second, QueueStep{Kind: DeleteTaken, Queue: "q.fifo", Receipts: receipts[:2000]})
	m.ok(t, time.Minute, receive("q.fifo", op.MaxReceive)) // moves dead letters
	m.ok(t, time.Hour, QueueStep{Kind: Redrive, Queue: "d.fifo", Limit: op.MaxReceive})

	big := send("big", strings.Repeat("x", op.MaxMessageBytes))
	m.ok(t, 0, big, big, big, big, big, big, big)
	_, receipts = m.receive(t, time.Hour, receive("big", 1))
	for range 9 {
		receipts[0].To = append(receipts[0].To, 0)
	}
	copies := QueueStep{Kind: Forward, Queue: "big", Receipts: receipts, To: []string{"to"}}
	if _, err := m.entry(t, start, steps(copies))[0].Result(); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("copies of more than %d bytes = %v, want %v", MaxMoveBytes, err, op.ErrTooLarge)
	}
	receipts[0].To = receipts[0].To[:7]
	m.ok(t, time.Hour, copies)
	if _, got := m.receive(t, time.Hour, receive("to", 100)); len(got) != 7 {
		t.Errorf("%d copies, want 7", len(got))
	}
}

func TestQueueStepRoundTrip(t *testing.T) {
	for _, c := range everyStep() {
		got, err := decodeCommand(c.Append(nil), Level)
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c) {
			t.Errorf("decodeCommand(Append(%+v)) = %+v, %v", c, got, err)
		}
		b := c.Append(nil)
		b[0] = 1
		if _, err := decodeCommand(b, Level); !errors.Is(err, op.ErrInvalid) {
			t.Errorf("a command on queues that says level 1 = %v, want %v", err, op.ErrInvalid)
		}
	}
}

func TestReplace(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"q": plain()})
	m.ok(t, 0, send("q", "a"))
	_, got := m.receive(t, 0, receive("q", 1))
	next := QueueStep{Kind: Replace, Queue: "q", Receipts: got, Messages: []op.Outgoing{text("b")}}
	if r := m.ok(t, time.Second, next); !r[0].Found {
		t.Error("the receipt does not hold")
	}
	if r := m.ok(t, time.Second, next); r[0].Found {
		t.Error("the receipt holds still")
	}
	if bodies, _ := m.receive(t, time.Hour, receive("q", 9)); bodies != "b" {
		t.Errorf("the queue holds %q, want b alone", bodies)
	}
}

func TestPeek(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"q": plain(), "q.fifo": fifo()})
	late := text("late")
	late.Delay = time.Minute
	m.ok(t, 0, send("q", "a", "b"), QueueStep{Kind: Send, Queue: "q", Messages: []op.Outgoing{late}}, sendGrouped("q.fifo", "g:1", "g:2"))
	_, taken := m.receive(t, time.Second, receive("q", 1))
	if len(taken) != 1 {
		t.Fatal("nothing was received")
	}
	_, taken = m.receive(t, 0, receive("q.fifo", 1))
	m.ok(t, time.Second, QueueStep{Kind: DelayTaken, Queue: "q.fifo", Receipts: taken})
	m.receive(t, time.Hour, receive("q.fifo", 1)) // the first again
	for name, want := range map[string]string{"q": "a 1 true, b 0 false, late 0 true", "q.fifo": "g:1 2 true, g:2 0 false"} {
		messages, err := Peek(m, QueueName{"app", name}, 0, 10)
		var got []string
		for _, p := range messages {
			got = append(got, fmt.Sprintf("%s %d %v", p.Body, p.Receives, !p.Visible.IsZero()))
		}
		if text := strings.Join(got, ", "); err != nil || text != want {
			t.Errorf("Peek(%s) = %s, %v, want %s", name, text, err, want)
		}
		rest, err := Peek(m, QueueName{"app", name}, messages[0].Sequence, 1)
		if err != nil || len(rest) != 1 || rest[0].Sequence != messages[1].Sequence {
			t.Errorf("Peek(%s) after the first = %+v, %v", name, rest, err)
		}
	}
	if _, err := Peek(m, QueueName{"app", "none"}, 0, 1); !errors.Is(err, op.ErrNoQueue) {
		t.Errorf("Peek() of no queue = %v", err)
	}
}

func TestAllQueues(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"a": plain(), "topic/a": plain()})
	names, err := AllQueues(m)
	if want := []QueueName{{"app", "a"}, {"app", "topic/a"}}; err != nil || !slices.Equal(names, want) {
		t.Errorf("AllQueues() = %v, %v, want %v", names, err, want)
	}
}

func TestListQueues(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"a": plain(), "ab": plain(), "b": plain(), "topic/a": plain()})
	for _, c := range []struct {
		q    QueueQuery
		want string
	}{
		{QueueQuery{Limit: 9}, "a ab b topic/a"}, {QueueQuery{Limit: 2}, "a ab"}, {QueueQuery{After: "ab", Limit: 9}, "b topic/a"},
		{QueueQuery{Prefix: "a", Limit: 9}, "a ab"}, {QueueQuery{Prefix: "a", After: "a", Limit: 9}, "ab"},
		{QueueQuery{Prefix: "b", After: "a", Limit: 9}, "b"}, {QueueQuery{Prefix: "a", After: "b", Limit: 9}, ""},
	} {
		list, err := ListQueues(m, "app", c.q, start)
		var names []string
		for _, s := range list {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("ListQueues(%+v) = %q, %v, want %q", c.q, got, err, c.want)
		}
	}
}

func TestULID(t *testing.T) {
	for _, c := range []struct {
		id   [16]byte
		want string
	}{
		{[16]byte{}, "00000000000000000000000000"},
		{[16]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"},
		{messageID(1469918176385, 0, 1), "01ARYZ6S410000000000000001"}, // the time of the specification's example
	} {
		if got := ULID(c.id); got != c.want {
			t.Errorf("ULID(%x) = %s, want %s", c.id, got, c.want)
		}
	}
}

// TestMessagesTogether reads messages that lie together, of which some have gone, as it reads them one by one.
func TestMessagesTogether(t *testing.T) {
	m := queues(t, map[string]QueueSettings{"q": plain()})
	var bodies []string
	for i := range 3 * minScan {
		bodies = append(bodies, fmt.Sprint("message ", i))
	}
	m.ok(t, 0, send("q", bodies...))
	taken, err := DecodeTaken(m.ok(t, time.Second, receive("q", 2*minScan))[0])
	if err != nil || !adjacent(taken.Taken) {
		t.Fatalf("%+v, %v, want messages that lie together", taken, err)
	}
	for _, gone := range []int{0, 7, 2*minScan - 1} {
		m.ok(t, time.Second, QueueStep{Kind: DeleteTaken, Queue: "q", Receipts: []Receipt{taken.Taken[gone].Receipt}})
	}
	together, err := Messages(m, taken.Taken)
	if err != nil {
		t.Fatal(err)
	}
	for i := range together {
		alone, err := Messages(m, taken.Taken[i:i+1])
		if err != nil || !reflect.DeepEqual(alone[0], together[i]) {
			t.Errorf("message %d: %+v together, %+v, %v alone", i, together[i], alone, err)
		}
	}
	if together[1].Body == nil || together[7].Body != nil {
		t.Errorf("bodies %q, %q, want the first one only", together[1].Body, together[7].Body)
	}
	if taken.Taken[1], taken.Taken[2] = taken.Taken[2], taken.Taken[1]; adjacent(taken.Taken) {
		t.Error("messages in another order are said to lie together")
	}
}
