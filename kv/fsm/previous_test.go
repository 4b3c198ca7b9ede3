package fsm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

func keepPrevious(keep bool) Command {
	return Command{Kind: KeepPrevious, Namespace: "app", Keep: keep}
}

// seen answers the changes after a revision as "key before after", and the newest revision.
func seen(t *testing.T, m *memory, after uint64) (string, uint64) {
	t.Helper()
	changes, next, err := Changes(m, Since{Namespace: "app", After: after, Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range changes {
		before, what := "-", string(c.Value)
		if c.Previous != nil {
			before = string(c.Previous)
		}
		switch {
		case c.Expired:
			what = "EXPIRED"
		case c.Deleted:
			what = "DELETED"
		}
		all = append(all, fmt.Sprintf("%s %.9s %.9s %v", c.Key, before, what, c.Existed))
	}
	return strings.Join(all, ", "), next
}

// TestPrevious has changes with the values before: none below feature level 3, all from then on.
func TestPrevious(t *testing.T) {
	m := newMemory()
	if o := m.entry(t, start, keepPrevious(true)); o[0].Failure != Unavailable {
		t.Errorf("below level 3: %+v", o[0])
	}
	m.entry(t, start, txn(set("a", "1")), txn(set("a", "2")))
	got, next := seen(t, m, 0)
	if want := "a - 1 false, a - 2 false"; got != want {
		t.Errorf("level 1: %s, want %s", got, want)
	}
	m.entry(t, start, Command{Kind: RaiseLevel, Level: 3}, txn(set("a", "3")))
	if got, next = seen(t, m, next); got != "a - 3 true" {
		t.Errorf("not kept: %s", got)
	}
	m.entry(t, start, keepPrevious(true), txn(set("a", "4"), expiring("e", time.Minute)), txn(set("a", ""), del("b")))
	if got, next = seen(t, m, next); got != "a 3 4 true, e - v false, a 4  true" && got != "a 3 4 true, e -  false, a 4  true" {
		t.Errorf("kept: %s", got)
	}
	m.entry(t, start.Add(time.Hour/2), tick(9), txn(op.Op{Kind: op.DeletePrefix, Key: "a"}))
	if got, next = seen(t, m, next); !strings.HasPrefix(got, "e ") || !strings.HasSuffix(got, "EXPIRED true, a  DELETED true") {
		t.Errorf("deleted: %s", got)
	}
	m.check(t)
	m.entry(t, start.Add(time.Hour/2), txn(set("a", "5")), keepPrevious(false), txn(set("a", "6")))
	if got, _ = seen(t, m, next); got != "a - 5 false, a - 6 true" {
		t.Errorf("kept no more: %s", got)
	}
}

// TestPreviousOfMany deletes more than an entry has room for: by a transaction it works, without the values before; when
// it expires it goes in parts, with all of them.
func TestPreviousOfMany(t *testing.T) {
	m := newMemory()
	m.entry(t, start, Command{Kind: RaiseLevel, Level: 3}, keepPrevious(true))
	fill := func(prefix string, ttl time.Duration) {
		for i := range 10 {
			m.entry(t, start, txn(op.Op{Kind: op.Set, Key: fmt.Sprint(prefix, i), Value: make([]byte, op.MaxValueBytes), TTL: ttl}))
		}
	}
	fill("a", 0)
	p, err := ReadProgress(m)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := m.entry(t, start, txn(op.Op{Kind: op.DeletePrefix, Key: "a"}))[0].Result(); err != nil || r.Ops[0].Integer != 10 {
		t.Fatalf("DeletePrefix = %+v, %v", r, err)
	}
	changes, next, err := Changes(m, Since{Namespace: "app", After: LastRevision(p.Index), Limit: 100})
	if err != nil || len(changes) != 10 || changes[0].Previous == nil || changes[9].Previous != nil {
		t.Errorf("%d changes, %v: want the values before of the first few", len(changes), err)
	}
	fill("e", time.Minute)
	later := start.Add(2 * time.Minute)
	for range 10 {
		m.entry(t, later, tick(100))
	}
	m.check(t)
	expired := 0
	for after := next; ; {
		changes, next, err := Changes(m, Since{Namespace: "app", After: after, Limit: 100})
		for _, c := range changes {
			if c.Expired && len(c.Previous) == op.MaxValueBytes && c.PreviousRevision != 0 {
				expired++
			}
		}
		if err != nil || next == after {
			break
		}
		after = next
	}
	if expired != 10 {
		t.Errorf("%d of 10 expired keys have their values", expired)
	}
}
