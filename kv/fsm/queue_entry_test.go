package fsm

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sett-run/sett/kv/op"
)

// TestQueueEntries does the same commands in one entry and each in its own: nothing is different but times and ids. And
// it applies the log once more, from a state in its middle, as after a stop.
func TestQueueEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, many := newMemory(), newMemory()
		for _, m := range []*memory{one, many} {
			m.entry(t, start, append([]Command{{Kind: RaiseLevel, Level: 2}}, someQueueSettings()...)...)
		}
		now := start
		log := [][]Command{}
		states := []*memory{one.clone()}
		for range rapid.IntRange(1, 5).Draw(t, "entries") {
			now = now.Add(rapid.SampledFrom([]time.Duration{1500 * time.Millisecond, 31500 * time.Millisecond, 6 * time.Minute}).Draw(t, "wait"))
			var commands []Command
			if rapid.Bool().Draw(t, "tick") { // one for an entry, and for all queues: which is first goes by nanoseconds
				commands = append(commands, tick(MaxTickKeys))
			}
			for range rapid.IntRange(1, 8).Draw(t, "commands") {
				commands = append(commands, someSteps(t, len(commands)))
			}
			together := one.entry(t, now, commands...)
			one.check(t)
			for i, c := range commands {
				alone := many.entry(t, now, c)[0]
				if got, want := outcomeText(t, together[i]), outcomeText(t, alone); got != want {
					t.Fatalf("%+v in an entry of %d is %s, alone %s", c, len(commands), got, want)
				}
			}
			many.check(t)
			log, states = append(log, commands), append(states, one.clone())
		}
		from := rapid.IntRange(0, len(log)-1).Draw(t, "from")
		again := states[from].clone()
		for i, commands := range log[from:] {
			again.entry(t, one.timeOf(t, states[from+i+1]), commands...)
			if !maps.EqualFunc(again.data, states[from+i+1].data, func(a, b []byte) bool { return string(a) == string(b) }) {
				t.Fatalf("entry %d applied once more gives another state", from+i)
			}
		}
	})
}

// timeOf is the leader's clock of the newest entry in a state.
func (m *memory) timeOf(t fataler, at *memory) time.Time {
	p, err := ReadProgress(at)
	if err != nil {
		t.Fatalf("ReadProgress = %v", err)
	}
	return p.Time
}

func someQueueSettings() []Command {
	s, f := plain(), fifo()
	s.DeadLetter, s.MaxReceives, s.Retention = "dead", 2, 5*time.Minute
	f.ContentDedup = true
	return []Command{steps(put("q", s)), steps(put("dead", plain())), steps(put("q.fifo", f))}
}

func someSteps(t *rapid.T, number int) Command {
	var all []QueueStep
	for range rapid.IntRange(1, 3).Draw(t, "steps") {
		all = append(all, someStep(t, number*10+len(all)))
	}
	return steps(all...)
}

// someStep answers a step. Its number orders messages that are released in one entry, which else their leases do.
func someStep(t *rapid.T, number int) QueueStep {
	s := QueueStep{Queue: rapid.SampledFrom([]string{"q", "q", "q.fifo", "q.fifo", "dead", "none"}).Draw(t, "queue")}
	grouped := strings.HasSuffix(s.Queue, ".fifo")
	switch s.Kind = rapid.SampledFrom([]StepKind{Send, Send, Send, Receive, Receive, Receive, DeleteTaken, DelayTaken, Forward, Redrive, Replace}).Draw(t, "kind"); s.Kind {
	case Send:
		for range rapid.IntRange(1, 4).Draw(t, "messages") {
			o := text(fmt.Sprint(rapid.IntRange(0, 30).Draw(t, "body")))
			if grouped {
				o.Group = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "group")
			} else if rapid.Bool().Draw(t, "delayed") {
				o.Delay = time.Minute
			}
			s.Messages = append(s.Messages, o)
		}
	case Receive, Redrive:
		s.Limit = rapid.SampledFrom([]int{1, 2, 100}).Draw(t, "limit")
		if s.Kind == Redrive && !grouped {
			s.To = []string{"q"}
		}
	default:
		if s.To = []string{"dead", "none"}; grouped || s.Kind != Forward {
			s.To = nil
		}
		receipts := rapid.IntRange(1, 4).Draw(t, "receipts")
		if s.Kind == Replace {
			receipts, s.Messages = 1, []op.Outgoing{text(fmt.Sprint("instead ", number))}
			if grouped {
				s.Messages[0].Group = "a"
			}
		}
		for range receipts {
			r := Receipt{Queue: queueNumber(s.Queue), Lease: rapid.Uint64Range(1, 4).Draw(t, "lease"), Sequence: rapid.Uint64Range(1, 6).Draw(t, "sequence")}
			if s.Kind == DelayTaken {
				r.Delay = rapid.SampledFrom([]time.Duration{0, 20 * time.Second}).Draw(t, "delay") + time.Duration(number)*time.Millisecond
			} else if len(s.To) > 0 {
				r.To = []int{rapid.IntRange(0, 1).Draw(t, "to")}
			}
			s.Receipts = append(s.Receipts, r)
		}
	}
	return s
}

// queueNumber is that of a queue of someQueueSettings in the first entry.
func queueNumber(name string) uint64 {
	return map[string]uint64{"q": Revision(1, 1), "dead": Revision(1, 2), "q.fifo": Revision(1, 3)}[name]
}

// outcomeText is an outcome without times and ids.
func outcomeText(t *rapid.T, o Outcome) string {
	text := fmt.Sprint(o.Failure)
	for _, r := range o.Ops {
		text += fmt.Sprintf(" %v %d", r.Found, r.Integer)
		if taken, err := DecodeTaken(r); err == nil {
			for _, g := range taken.Taken {
				text += fmt.Sprintf(" %d/%d:%d", g.Receipt.Lease, g.Receipt.Sequence, g.Receives)
			}
		} else if sent, err := DecodeSent(r, o.Revision); err == nil {
			for _, s := range sent {
				text += fmt.Sprintf(" %d:%v", s.Sequence, s.Duplicate)
			}
		}
	}
	return text
}
