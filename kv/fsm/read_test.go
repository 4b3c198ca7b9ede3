package fsm

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

func TestChangesInParts(t *testing.T) {
	m := newMemory()
	m.entry(t, start, txn(set("b", "1"), set("a", "1")), txn(set("a", "2")))
	m.entry(t, start, txn(del("b"), set("c", "1"), set("d", "1"), set("d", "2"), set("gone", ""), del("gone")))
	m.entry(t, start, Command{Kind: Transact, Namespace: "other", Ops: []op.Op{set("a", "")}})
	for _, c := range []struct {
		after   uint64
		limit   int
		want    string
		next    uint64
		changed string
	}{
		{0, 1, "a=1 b=1", Revision(1, 0), ""},
		{0, 2, "a=1 b=1", Revision(1, 0), ""},
		{Revision(1, 0), 1, "a=2", Revision(1, 1), ""},
		{Revision(1, 1), 1, "-b c=1 d=2", LastRevision(3), ""},
		{0, 100, "a=1 b=1 a=2 -b c=1 d=2", LastRevision(3), ""},
		{LastRevision(3), 1, "", LastRevision(3), ""},
		{LastRevision(9), 1, "", LastRevision(9), ""},
	} {
		changes, next, err := Changes(m, Since{Namespace: "app", After: c.after, Limit: c.limit})
		got := ""
		for _, x := range changes {
			if got != "" {
				got += " "
			}
			if x.Deleted {
				got += "-" + x.Key
			} else {
				got += fmt.Sprintf("%s=%s", x.Key, x.Value)
			}
		}
		if err != nil || got != c.want || next != c.next {
			t.Errorf("Changes after %d, limit %d = %q, %d, %v, want %q, %d", c.after, c.limit, got, next, err, c.want, c.next)
		}
	}
}

func TestChangesEndByBytes(t *testing.T) {
	m := newMemory()
	for range 6 {
		m.entry(t, start, txn(set("k", string(make([]byte, op.MaxValueBytes)))))
	}
	changes, next, err := Changes(m, Since{Namespace: "app", Limit: 100})
	if err != nil || len(changes) != 4 || next != Revision(4, 0) {
		t.Errorf("Changes = %d, %d, %v, want 4 and where to go on", len(changes), next, err)
	}
}

func TestChangesAreCompacted(t *testing.T) {
	m := newMemory()
	if _, next, err := Changes(m, Since{Namespace: "app", Limit: 1}); err != nil || next != LastRevision(0) {
		t.Errorf("Changes of a new state = %d, %v", next, err)
	}
	m.entry(t, start, txn(set("a", "")))                                            // entry 1
	m.entry(t, start.Add(time.Minute), txn(set("b", "")), txn(set("c", "")), txn()) // 2
	m.entry(t, start.Add(time.Hour), txn(set("d", "")))                             // 3
	try := func(when string, after uint64, want error) {
		t.Helper()
		if _, _, err := Changes(m, Since{Namespace: "app", After: after, Limit: 1}); !errors.Is(err, want) {
			t.Errorf("%s: Changes after %d = %v, want %v", when, after, err, want)
		}
	}
	try("at first", 0, nil)
	m.entry(t, start.Add(HistoryRetention+forgetEvery-1), txn())
	try("within retention", 0, nil)
	m.entry(t, start.Add(HistoryRetention+time.Minute+forgetEvery), txn())
	try("without a and b", 0, op.ErrCompacted)
	try("without a and b", Revision(2, 0), op.ErrCompacted)
	try("without a and b", Revision(2, 1), nil)
	m.entry(t, start.Add(1000*time.Hour), txn())
	try("without all", Revision(2, 1), op.ErrCompacted)
	try("without all", Revision(3, 0), nil) // whoever has seen what there is goes on, however late
}

func TestReadsStop(t *testing.T) {
	m := newMemory()
	m.entry(t, start, txn(expiring("k", time.Hour)))
	read := map[string]func(v View) error{
		"Get":      func(v View) error { _, err := Get(v, "app", "k", start); return err },
		"GetMany":  func(v View) error { _, err := GetMany(v, "app", []string{"k"}, start); return err },
		"List":     func(v View) error { _, err := List(v, "app", op.Query{}, start); return err },
		"Usage":    func(v View) error { _, err := Usage(v, "app"); return err },
		"Changes":  func(v View) error { _, _, err := Changes(v, Since{Namespace: "app", Limit: 1}); return err },
		"Due":      func(v View) error { _, err := Due(v, start); return err },
		"Progress": func(v View) error { _, err := ReadProgress(v); return err },
	}
	damaged := m.clone()
	for k := range damaged.data {
		damaged.data[k] = []byte{}
	}
	damaged.data[string(expiryKind)] = nil
	broken := m.clone()
	broken.fail = errView
	for name, f := range read {
		if err := f(m); err != nil {
			t.Errorf("%s = %v", name, err)
		}
		if err := f(damaged); !errors.Is(err, errDamaged) {
			t.Errorf("%s of a damaged state = %v, want %v", name, err, errDamaged)
		}
		if err := f(broken); !errors.Is(err, errView) {
			t.Errorf("%s of a broken view = %v, want %v", name, err, errView)
		}
	}
	if _, err := Get(m, "app", "none", start); !errors.Is(err, op.ErrNotFound) {
		t.Errorf("Get of an absent key = %v, want %v", err, op.ErrNotFound)
	}
}

func TestListEndsByBytes(t *testing.T) {
	m := newMemory()
	for i := range 5 {
		m.entry(t, start, txn(set(fmt.Sprint(i), string(make([]byte, op.MaxValueBytes)))))
	}
	page, err := List(m, "app", op.Query{}, start)
	if err != nil || len(page.Items) != 3 || page.Cursor != "3" || page.Revision != LastRevision(5) {
		t.Errorf("List = %d items, cursor %q, revision %d, %v", len(page.Items), page.Cursor, page.Revision, err)
	}
	page, err = List(m, "app", op.Query{KeysOnly: true, Cursor: "3"}, start)
	if err != nil || len(page.Items) != 2 || page.Items[0].Size != op.MaxValueBytes || page.Items[0].Value != nil {
		t.Errorf("List of keys only = %d items, %v", len(page.Items), err)
	}
}
