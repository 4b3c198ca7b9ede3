package fsm

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// worker is a state in which a message of queue q was received, with a key and a record.
func worker(t *testing.T) (m *memory, taken []Receipt, key, record uint64) {
	t.Helper()
	m = queues(t, map[string]QueueSettings{"q": plain(), "out": plain()})
	m.entry(t, start, Command{Kind: RaiseLevel, Level: 3})
	m.ok(t, 0, send("q", "a"))
	_, taken = m.receive(t, time.Second, receive("q", 1))
	for _, c := range []struct {
		namespace string
		revision  *uint64
	}{{"app", &key}, {op.System, &record}} {
		r, err := m.entry(t, start.Add(time.Second), Command{Kind: Transact, Namespace: c.namespace, Ops: []op.Op{set("k", "1")}})[0].Result()
		if err != nil {
			t.Fatal(err)
		}
		*c.revision = r.Revision
	}
	return m, taken, key, record
}

func TestEffects(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *Command)
		after  time.Duration
		err    error
	}{
		"whole":                   {func(*Command) {}, 2 * time.Second, nil},
		"a key has changed":       {func(c *Command) { c.Checks[0].Revision++ }, 2 * time.Second, op.ErrConflict},
		"the record is gone":      {func(c *Command) { c.Record.Revision++ }, 2 * time.Second, op.ErrConflict},
		"received again":          {func(c *Command) { c.Steps[1].Receipts[0].Lease++ }, 2 * time.Second, op.ErrConflict},
		"no such queue":           {func(c *Command) { c.Steps[0].Queue = "none" }, 2 * time.Second, op.ErrNoQueue},
		"a key too long":          {func(c *Command) { c.Ops[0].Key = "" }, 2 * time.Second, op.ErrInvalid},
		"an object has changed":   {func(c *Command) { c.Objects.Checks[0].Revision++ }, 2 * time.Second, op.ErrConflict},
		"over a bound of objects": {func(c *Command) { c.Objects.Ops[1].Max = 0 }, 2 * time.Second, op.ErrRange},
		"no number":               {func(c *Command) { c.Ops = append(c.Ops, set("n", "x"), op.Op{Kind: op.Incr, Key: "n", Delta: 1}) }, 2 * time.Second, op.ErrNotInteger},
		"the record goes on":      {func(c *Command) { c.Becomes = []byte("next") }, 2 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, taken, key, record := worker(t)
			e := Command{Kind: Effects, Namespace: "app", Record: op.Check{Key: "k", Revision: record},
				Checks: []op.Check{{Key: "k", Revision: key}}, Ops: []op.Op{set("k", "2"), set("new", "x")},
				Objects: op.ObjectEffects{Checks: []op.Check{{Key: "o/pics/a"}}, Ops: []op.Op{set("o/pics/a", "x"),
					{Kind: op.Incr, Key: "n", Delta: 1, Bounded: true, Max: 1}}},
				Steps: []QueueStep{send("out", "sent"), {Kind: DeleteTaken, Queue: "q", Receipts: taken}}}
			c.change(&e)
			_, err := m.entry(t, start.Add(c.after), e)[0].Result()
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Fatalf("effects = %v, want %v", err, c.err)
			}
			m.check(t)
			done := err == nil
			value, _ := Get(m, "app", "k", start.Add(c.after))
			_, added := Get(m, "app", "new", start.Add(c.after))
			kept, _ := Get(m, op.System, "k", start.Add(c.after))
			_, put := Get(m, op.ObjectsOf("app"), "o/pics/a", start.Add(c.after))
			_, counted := Get(m, op.ObjectsOf("app"), "n", start.Add(c.after))
			if (put == nil) != done || (counted == nil) != done {
				t.Errorf("objects: %v, %v", put, counted)
			}
			got := fmt.Sprintf("%s %v %q %s %s", value.Value, added == nil, kept.Value, m.stats(t, c.after, "q"), m.stats(t, c.after, "out"))
			want := `1 false "1" 1: 0 visible, 1 in flight, 0 delayed 0: 0 visible, 0 in flight, 0 delayed`
			if done {
				want = fmt.Sprintf("2 true %q 0: 0 visible, 0 in flight, 0 delayed 1: 1 visible, 0 in flight, 0 delayed", e.Becomes)
			}
			wantText(t, "state", got, want)
		})
	}
}

func TestEffectsLimits(t *testing.T) {
	ops := func(n, size int) (all []op.Op) {
		for i := range n {
			all = append(all, set(fmt.Sprint("k", i), string(make([]byte, size))))
		}
		return all
	}
	for name, c := range map[string]struct {
		command Command
		err     error
	}{
		"most ops":                   {Command{Ops: ops(MaxEffects, 1), Objects: op.ObjectEffects{Ops: ops(MaxEffects, 1)}}, nil},
		"too many objects":           {Command{Objects: op.ObjectEffects{Ops: ops(MaxEffects+1, 1)}}, op.ErrTooLarge},
		"too many checks of objects": {Command{Objects: op.ObjectEffects{Checks: make([]op.Check, MaxEffects+1)}}, op.ErrTooLarge},
		"too many bytes together":    {Command{Ops: ops(130, 8000), Objects: op.ObjectEffects{Ops: ops(140, 8000)}}, op.ErrTooLarge},
		"an object's key too long":   {Command{Objects: op.ObjectEffects{Ops: []op.Op{set("", "")}}}, op.ErrInvalid},
		"too many ops":               {Command{Ops: ops(MaxEffects+1, 1)}, op.ErrTooLarge},
		"too many checks":            {Command{Checks: make([]op.Check, MaxEffects+1)}, op.ErrTooLarge},
		"too many bytes":             {Command{Ops: ops(300, 8000)}, op.ErrTooLarge},
		"nothing":                    {Command{}, nil},
		"a put":                      {Command{Steps: []QueueStep{put("q", plain())}}, op.ErrInvalid},
		"a record of none":           {Command{Record: op.Check{Key: "k"}}, op.ErrInvalid},
		"a long record":              {Command{Record: op.Check{Key: "k", Revision: 1}, Becomes: make([]byte, op.MaxValueBytes+1)}, op.ErrTooLarge},
	} {
		c.command.Kind, c.command.Namespace = Effects, "app"
		if err := c.command.Validate(); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: Validate() = %v, want %v", name, err, c.err)
		}
	}
}
