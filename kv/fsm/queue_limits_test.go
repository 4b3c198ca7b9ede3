package fsm

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// TestQueueLimits holds steps to each limit, and to one above it.
func TestQueueLimits(t *testing.T) {
	with := func(change func(*QueueSettings)) QueueStep {
		s := plain()
		change(&s)
		return put("q", s)
	}
	dead := func(name string, receives int) QueueStep {
		return with(func(s *QueueSettings) { s.DeadLetter, s.MaxReceives = name, receives })
	}
	take := func(limit int, visibility time.Duration) QueueStep {
		return QueueStep{Kind: Receive, Queue: "q", Limit: limit, Visibility: visibility}
	}
	receipts := func(kind StepKind, n int, r Receipt, to ...string) QueueStep {
		s := QueueStep{Kind: kind, Queue: "q", To: to}
		for range n {
			s.Receipts = append(s.Receipts, r)
		}
		return s
	}
	bodies := func(n, size int) QueueStep {
		s := QueueStep{Kind: Send, Queue: "q"}
		for range n {
			s.Messages = append(s.Messages, op.Outgoing{Body: make([]byte, size)})
		}
		return s
	}
	names := make([]string, MaxForwardTo+1)
	for i := range names {
		names[i] = "q"
	}
	for name, c := range map[string]struct {
		steps []QueueStep
		want  error
	}{
		"plain":                    {[]QueueStep{put("q", plain())}, nil},
		"visibility 0":             {[]QueueStep{with(func(s *QueueSettings) { s.Visibility = 0 })}, nil},
		"longest visibility":       {[]QueueStep{with(func(s *QueueSettings) { s.Visibility = op.MaxVisibility })}, nil},
		"too long a visibility":    {[]QueueStep{with(func(s *QueueSettings) { s.Visibility = op.MaxVisibility + 1 })}, op.ErrInvalid},
		"longest delay":            {[]QueueStep{with(func(s *QueueSettings) { s.Delay = op.MaxDelay })}, nil},
		"too long a delay":         {[]QueueStep{with(func(s *QueueSettings) { s.Delay = op.MaxDelay + 1 })}, op.ErrInvalid},
		"negative delay":           {[]QueueStep{with(func(s *QueueSettings) { s.Delay = -1 })}, op.ErrInvalid},
		"shortest retention":       {[]QueueStep{with(func(s *QueueSettings) { s.Retention = op.MinRetention })}, nil},
		"too short a retention":    {[]QueueStep{with(func(s *QueueSettings) { s.Retention = op.MinRetention - 1 })}, op.ErrInvalid},
		"longest retention":        {[]QueueStep{with(func(s *QueueSettings) { s.Retention = op.MaxRetention })}, nil},
		"too long a retention":     {[]QueueStep{with(func(s *QueueSettings) { s.Retention = op.MaxRetention + 1 })}, op.ErrInvalid},
		"longest wait":             {[]QueueStep{with(func(s *QueueSettings) { s.Wait = op.MaxWait })}, nil},
		"too long a wait":          {[]QueueStep{with(func(s *QueueSettings) { s.Wait = op.MaxWait + 1 })}, op.ErrInvalid},
		"smallest messages":        {[]QueueStep{with(func(s *QueueSettings) { s.MaxBytes = op.MinMaxMessageBytes })}, nil},
		"too small messages":       {[]QueueStep{with(func(s *QueueSettings) { s.MaxBytes = op.MinMaxMessageBytes - 1 })}, op.ErrInvalid},
		"too large messages":       {[]QueueStep{with(func(s *QueueSettings) { s.MaxBytes = op.MaxMessageBytes + 1 })}, op.ErrInvalid},
		"dead letters":             {[]QueueStep{dead("dead", op.MaxMaxReceives)}, nil},
		"too many receives":        {[]QueueStep{dead("dead", op.MaxMaxReceives+1)}, op.ErrInvalid},
		"no receives":              {[]QueueStep{dead("dead", 0)}, op.ErrInvalid},
		"no dead-letter queue":     {[]QueueStep{dead("", 3)}, op.ErrInvalid},
		"its own dead letters":     {[]QueueStep{dead("q", 3)}, op.ErrInvalid},
		"dead letters become FIFO": {[]QueueStep{dead("dead.fifo", 3)}, op.ErrInvalid},
		"name of a FIFO queue":     {[]QueueStep{put("q.fifo", plain())}, op.ErrInvalid},
		"name of no FIFO queue":    {[]QueueStep{put("q", fifo())}, op.ErrInvalid},
		"content, not FIFO":        {[]QueueStep{with(func(s *QueueSettings) { s.ContentDedup = true })}, op.ErrInvalid},
		"put is not alone":         {[]QueueStep{put("q", plain()), send("q", "a")}, op.ErrInvalid},
		"no steps":                 {nil, op.ErrInvalid},
		"most steps":               {repeat(send("q", "a"), MaxSteps), nil},
		"too many steps":           {repeat(send("q", "a"), MaxSteps+1), op.ErrInvalid},
		"unknown kind":             {[]QueueStep{{Kind: 11, Queue: "q"}}, op.ErrInvalid},
		"replace nothing":          {[]QueueStep{{Kind: Replace, Queue: "q", Messages: []op.Outgoing{text("a")}}}, op.ErrInvalid},
		"replace by nothing":       {[]QueueStep{receipts(Replace, 1, Receipt{Queue: 1})}, op.ErrInvalid},
		"replace two":              {[]QueueStep{{Kind: Replace, Queue: "q", Receipts: make([]Receipt, 2), Messages: []op.Outgoing{text("a")}}}, op.ErrInvalid},
		"bad name":                 {[]QueueStep{{Kind: DropQueue, Queue: "a b"}}, op.ErrInvalid},
		"no messages":              {[]QueueStep{send("q")}, op.ErrInvalid},
		"most messages":            {[]QueueStep{bodies(op.MaxSend, 1)}, nil},
		"too many messages":        {[]QueueStep{bodies(op.MaxSend, 1), bodies(1, 1)}, op.ErrTooLarge},
		"most bytes":               {[]QueueStep{bodies(op.MaxTxnBytes/op.MaxMessageBytes, op.MaxMessageBytes)}, nil},
		"too many bytes":           {[]QueueStep{bodies(op.MaxTxnBytes/op.MaxMessageBytes, op.MaxMessageBytes), bodies(1, 1)}, op.ErrTooLarge},
		"bad message":              {[]QueueStep{bodies(1, 0)}, op.ErrInvalid},
		"receive none":             {[]QueueStep{take(0, 0)}, op.ErrInvalid},
		"receive most":             {[]QueueStep{take(op.MaxReceive, op.MaxVisibility)}, nil},
		"receive too many":         {[]QueueStep{take(op.MaxReceive+1, 0)}, op.ErrInvalid},
		"receive for too long":     {[]QueueStep{take(1, op.MaxVisibility+1)}, op.ErrInvalid},
		"no receipts":              {[]QueueStep{receipts(DeleteTaken, 0, Receipt{})}, op.ErrInvalid},
		"most receipts":            {[]QueueStep{receipts(DelayTaken, op.MaxReceive, Receipt{Delay: op.MaxVisibility})}, nil},
		"too many receipts":        {[]QueueStep{receipts(DeleteTaken, op.MaxReceive, Receipt{}), receipts(DelayTaken, 1, Receipt{})}, op.ErrTooLarge},
		"delayed for too long":     {[]QueueStep{receipts(DelayTaken, 1, Receipt{Delay: op.MaxVisibility + 1})}, op.ErrInvalid},
		"forward to most":          {[]QueueStep{receipts(Forward, 1, Receipt{To: []int{MaxForwardTo - 1}}, names[1:]...)}, nil},
		"forward to too many":      {[]QueueStep{receipts(Forward, 1, Receipt{}, names...)}, op.ErrInvalid},
		"forward to nobody":        {[]QueueStep{receipts(Forward, 1, Receipt{To: []int{1}}, "r")}, op.ErrInvalid},
		"forward to FIFO":          {[]QueueStep{receipts(Forward, 1, Receipt{}, "r.fifo")}, op.ErrInvalid},
	} {
		c1 := Command{Kind: Queues, Namespace: "app", Steps: c.steps}
		if err := c1.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%s: Validate = %v, want %v", name, err, c.want)
		}
		if size := len(c1.Append(nil)); c.want == nil && size > MaxCommandBytes {
			t.Errorf("%s: the command has %d bytes, at most %d are allowed", name, size, MaxCommandBytes)
		}
	}
	if err := (Command{Kind: Queues, Namespace: "A", Steps: []QueueStep{send("q", "a")}}).Validate(); !errors.Is(err, op.ErrInvalid) {
		t.Errorf("bad namespace: Validate = %v", err)
	}
}

func repeat(s QueueStep, n int) (steps []QueueStep) {
	for range n {
		steps = append(steps, s)
	}
	return steps
}

// TestReceiveBytes has a receive stop before it takes more than its bytes.
func TestReceiveBytes(t *testing.T) {
	for _, name := range []string{"q", "q.fifo"} {
		m := queues(t, map[string]QueueSettings{"q": plain(), "q.fifo": fifo()})
		most := op.MaxReceiveBytes / op.MaxMessageBytes
		for range most + 3 {
			s := send(name, strings.Repeat("x", op.MaxMessageBytes))
			if name == "q.fifo" {
				s.Messages[0].Group, s.Messages[0].Dedup = "g", string(rune('a'+len(m.data)%26))+string(rune('a'+len(m.data)/26))
			}
			m.ok(t, 0, s)
		}
		r, err := DecodeTaken(m.ok(t, 0, receive(name, 100))[0])
		if err != nil || len(r.Taken) < most-1 || len(r.Taken) > most || !r.More {
			t.Errorf("%s: a receive takes %d of %d bytes each, more %v, %v; want at most %d", name, len(r.Taken), op.MaxMessageBytes, r.More, err, most)
		}
	}
}

func FuzzDecodeResults(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1}, int64(0))
	f.Add([]byte{1, 1, 5, 5, 1, 1, 1, 1, 0}, int64(1))
	f.Add([]byte("00"), int64(-17))
	f.Fuzz(func(t *testing.T, b []byte, n int64) {
		r := op.OpResult{Integer: n, Previous: b}
		if taken, err := DecodeTaken(r); err == nil && int64(len(taken.Taken)) != n {
			t.Errorf("DecodeTaken = %+v, want %d", taken, n)
		}
		if sent, err := DecodeSent(r, 1); err == nil && int64(len(sent)) != n {
			t.Errorf("DecodeSent = %+v, want %d", sent, n)
		}
	})
}

func FuzzDecodeQueueRecords(f *testing.F) {
	f.Add(head{number: 1, settings: fifo(), due: never}.append(nil))
	f.Add((&lease{number: 1, received: 5, at: 7, entries: []entry{{1, 7, 1, 5, 90}, {9, 8, 2, 1, 90}}}).append(nil))
	f.Add((&group{first: 1, members: 2, ready: true}).append(nil))
	f.Add(message{arrived: 1, sent: 1, content: appendContent(nil, text("b"))}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeHead(b)
		decodeLease(1, b)
		decodeGroup("g", b)
		if m, err := decodeMessage(b); err == nil {
			m.open()
			m.group()
		}
	})
}

var update = flag.Bool("update", false, "write down what testdata/queues.golden is to say")

// TestQueueFormat pins what is in logs and states that exist: it never changes within a feature level.
func TestQueueFormat(t *testing.T) {
	commands := everyStep()
	m := newMemory()
	m.entry(t, start, Command{Kind: RaiseLevel, Level: 2}, steps(put("q", plain())), steps(put("f.fifo", fifo())))
	delayed := send("q", "b")
	delayed.Messages[0].Delay = time.Second
	m.entry(t, start, steps(send("q", "a"), delayed, sendGrouped("f.fifo", "g:1", "g:2")), steps(receive("q", 1), receive("f.fifo", 1)))
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, "command %x\n", c.Append(nil))
	}
	for _, k := range slices.Sorted(maps.Keys(m.data)) {
		fmt.Fprintf(&b, "%x %x\n", k, m.data[k])
	}
	golden := filepath.Join("testdata", "queues.golden")
	want, err := os.ReadFile(golden)
	if *update {
		err = os.WriteFile(golden, []byte(b.String()), 0o644)
		want = []byte(b.String())
	}
	if err != nil || string(want) != b.String() {
		t.Errorf("%v; got\n%s\nwant\n%s", err, b.String(), want)
	}
}
