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

var start = time.Unix(1_700_000_000, 0).UTC()

func set(key, value string) op.Op { return op.Op{Kind: op.Set, Key: key, Value: []byte(value)} }
func del(key string) op.Op        { return op.Op{Kind: op.Delete, Key: key} }

func expiring(key string, ttl time.Duration) op.Op {
	return op.Op{Kind: op.Set, Key: key, TTL: ttl}
}

func txn(ops ...op.Op) Command { return Command{Kind: Transact, Namespace: "app", Ops: ops} }

func named(request byte, ops ...op.Op) Command {
	c := txn(ops...)
	c.Request = Request{request}
	return c
}

func tick(limit int) Command { return Command{Kind: Tick, Limit: limit} }

// failures answers the numbers of outcomes' failures, as "[0 5]".
func failures(outcomes []Outcome) string {
	var all []int
	for _, o := range outcomes {
		all = append(all, int(o.Failure))
	}
	return fmt.Sprint(all)
}

func TestRevisions(t *testing.T) {
	m := newMemory()
	first := m.entry(t, start, txn(set("a", "")), txn(set("b", "")), txn(del("none")))
	second := m.entry(t, start, txn(set("a", "")))
	for i, o := range append(first, second...) {
		if want := []uint64{4096, 4097, 4098, 8192}[i]; o.Revision != want || Index(o.Revision) != uint64(1+i/3) {
			t.Errorf("revision %d is %d, want %d", i, o.Revision, want)
		}
	}
	if b, err := Get(m, "app", "b", start); err != nil || b.Revision != 4097 {
		t.Errorf("Get = %+v, %v, want revision 4097", b, err)
	}
	if got := LastRevision(1); got != 8191 {
		t.Errorf("LastRevision(1) = %d, want 8191", got)
	}
}

func TestCommandsSeeThoseBefore(t *testing.T) {
	m := newMemory()
	m.entry(t, start, txn(set("a", "1"), set("ab", "1"), set("b", "1")))
	incr := op.Op{Kind: op.Incr, Key: "n", Delta: 1}
	got := m.entry(t, start,
		txn(incr), txn(incr, incr),
		txn(op.Op{Kind: op.DeletePrefix, Key: "a"}),
		txn(set("ab", "2"), op.Op{Kind: op.Incr, Key: "b", Delta: 1, Max: 1, Bounded: true}), // fails, and changes nothing
		txn(set("ac", "3")),
		txn(op.Op{Kind: op.DeletePrefix, Key: "a"}),
		txn(op.Op{Kind: op.DeletePrefix, Key: "a"}, set("x", "")),
	)
	if want := "[0 0 0 5 0 0 0]"; failures(got) != want {
		t.Errorf("failures %v, want %s", failures(got), want)
	}
	for i, want := range map[int]int64{0: 1, 1: 2, 2: 2, 5: 1, 6: 0} {
		if n := got[i].Ops[0].Integer; n != want {
			t.Errorf("command %d answers %d, want %d", i, n, want)
		}
	}
	if got, want := m.content(t, "app", start), "b=1 n=3 x="; got != want {
		t.Errorf("state %q, want %q", got, want)
	}
	m.check(t)
}

func TestFailures(t *testing.T) {
	m := newMemory()
	m.entry(t, start, txn(set("a", "1"), set("text", "x")), txn(set("big", string(make([]byte, op.MaxValueBytes)))),
		Command{Kind: SetQuota, Namespace: "app", Quota: op.Quota{Keys: 3}})
	m.entry(t, start, txn(set("big2", "")), Command{Kind: SetQuota, Namespace: "app"})
	m.entry(t, start, txn(set("big2", string(make([]byte, op.MaxValueBytes)))))
	before := m.content(t, "app", start)
	for _, c := range []struct {
		command Command
		want    error
	}{
		{txn(set("", "")), op.ErrInvalid},
		{Command{Kind: 9}, op.ErrInvalid},
		{Command{Kind: Transact, Namespace: "A"}, op.ErrInvalid},
		{Command{Kind: SetQuota, Namespace: "app", Quota: op.Quota{Keys: -1}}, op.ErrInvalid},
		{Command{Kind: RaiseLevel}, op.ErrInvalid},
		{Command{Kind: RaiseLevel, Namespace: "app", Level: 1}, op.ErrInvalid},
		{tick(0), op.ErrInvalid},
		{tick(MaxTickKeys + 1), op.ErrInvalid},
		{txn(set(strings.Repeat("k", op.MaxKeyBytes+1), "")), op.ErrTooLarge},
		{txn(op.Op{Kind: op.Append, Key: "big", Value: []byte("x")}), op.ErrTooLarge},
		{txn(op.Op{Kind: op.Touch, Key: "big"}, op.Op{Kind: op.Touch, Key: "big2"}), op.ErrTooLarge},
		{txn(op.Op{Kind: op.Delete, Key: "big", Previous: true}, op.Op{Kind: op.Delete, Key: "a", Previous: true}), op.ErrTooLarge},
		{txn(op.Op{Kind: op.Incr, Key: "text"}), op.ErrNotInteger},
		{txn(op.Op{Kind: op.Incr, Key: "a", Min: 2, Max: 2, Bounded: true}), op.ErrRange},
		{Command{Kind: Transact, Namespace: "app", Checks: []op.Check{{Key: "a"}}}, op.ErrConflict},
		{Command{Kind: Transact, Namespace: "app", Checks: []op.Check{{Key: "a", Kind: op.HasValue}}}, op.ErrConflict},
		{Command{Kind: Transact, Namespace: "app", Checks: []op.Check{{Key: "b", Kind: op.IsPresent}}}, op.ErrConflict},
	} {
		c.command.Ops = append([]op.Op{set("other", "changed")}, c.command.Ops...)
		o := m.entry(t, start, c.command)[0]
		if _, err := o.Result(); !errors.Is(err, c.want) || o.Revision == 0 {
			t.Errorf("%+v = %v, want %v", c.command, err, c.want)
		} else if len(err.Error()) > 400 {
			t.Errorf("%+v: the error has %d bytes", c.command, len(err.Error()))
		}
		if got := m.content(t, "app", start); got != before {
			t.Errorf("%+v changes the state to %.80q", c.command, got)
		}
	}
	m.check(t)
}

func TestQuotaIsApplied(t *testing.T) {
	m := newMemory()
	quota := op.Quota{Keys: 2, Bytes: 10}
	got := m.entry(t, start, txn(set("a", "1"), set("b", "1"), set("c", "1")),
		Command{Kind: SetQuota, Namespace: "app", Quota: quota}, // less than there is
		txn(set("d", "")), txn(set("a", "2")), txn(del("a"), del("b")), txn(set("d", "12345678")), txn(set("d", "1234567")))
	if want := "[0 0 6 0 0 6 0]"; failures(got) != want {
		t.Errorf("failures %v, want %s", failures(got), want)
	}
	want := op.Usage{Keys: 2, Bytes: 10, Quota: quota}
	if u, err := Usage(m, "app"); err != nil || u != want {
		t.Errorf("Usage = %+v, %v, want %+v", u, err, want)
	}
	m.entry(t, start, txn(op.Op{Kind: op.DeletePrefix}), Command{Kind: SetQuota, Namespace: "app"})
	if _, found := m.data[string(usageKey("app"))]; found {
		t.Error("a namespace that holds nothing leaves a record")
	}
}

func TestRequestActsOnce(t *testing.T) {
	m := newMemory()
	incr := op.Op{Kind: op.Incr, Key: "n", Delta: 1}
	other := named(1, incr)
	other.Namespace = "other"
	first := m.entry(t, start, named(1, incr), named(1, incr), named(2, set("k", ""), op.Op{Kind: op.Incr, Key: "k"}), other, txn(incr), txn(incr))
	again := m.entry(t, start.Add(RequestWindow-1), named(1, incr), named(2, del("n"))) // even when it is another command
	for i, c := range []struct{ got, want Outcome }{{first[1], first[0]}, {again[0], first[0]}, {again[1], first[2]}} {
		c.want.Text = ""
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("repetition %d = %+v, want %+v", i, c.got, c.want)
		}
	}
	if got, want := m.content(t, "app", start)+" / "+m.content(t, "other", start), "n=3 / n=1"; got != want {
		t.Errorf("state %q, want %q", got, want)
	}
	m.entry(t, start.Add(RequestWindow+forgetEvery), txn())
	late := m.entry(t, start.Add(RequestWindow+forgetEvery), named(1, incr), named(1, incr))
	if late[0].Ops[0].Integer != 4 || late[1].Ops[0].Integer != 4 {
		t.Errorf("after the window: %+v, want 4 and the same again", late)
	}
	m.check(t)
}

func TestOldIsForgotten(t *testing.T) {
	m := newMemory()
	const entries, each = 60, 100
	commands := func(i int) (all []Command) {
		for n := range each {
			c := named(byte(i+1), set(fmt.Sprint(n), ""))
			c.Request[1] = byte(n)
			all = append(all, c)
		}
		return all
	}
	for i := range entries {
		m.entry(t, start.Add(time.Duration(i)), commands(i)...)
	}
	count := func() (requests, changes int) {
		m.check(t)
		for k := range m.data {
			switch k[0] {
			case requestKind:
				requests++
			case changesKind:
				changes++
			}
		}
		return requests, changes
	}
	if due, err := Due(m, start.Add(RequestWindow+forgetEvery-1)); err != nil || due {
		t.Errorf("Due within the window = %v, %v", due, err)
	}
	m.entry(t, start.Add(RequestWindow+forgetEvery-1), txn())
	if r, _ := count(); r != entries*each {
		t.Errorf("%d requests are remembered within the window, want %d", r, entries*each)
	}
	now := start.Add(RequestWindow + forgetEvery)
	m.entry(t, now, txn())
	if r, _ := count(); r < entries*each-forgetKeys-each || r > entries*each-forgetKeys+each {
		t.Errorf("%d requests are left after one entry, want some %d forgotten", r, forgetKeys)
	}
	now = now.Add(2 * forgetEvery)
	ticks := 0
	for due, _ := Due(m, now); due; due, _ = Due(m, now) {
		m.entry(t, now, tick(1))
		ticks++
	}
	if r, c := count(); r != 0 || c != entries || ticks > 6 {
		t.Errorf("%d requests and %d changes are left after %d ticks, want none and %d", r, c, ticks, entries)
	}
	now = start.Add(HistoryRetention + 2*forgetEvery)
	for due, _ := Due(m, now); due; due, _ = Due(m, now) {
		m.entry(t, now, tick(1))
	}
	if _, c := count(); c != 0 || len(m.data) != each+2 {
		t.Errorf("%d changes and %d keys are left, want only data", c, len(m.data))
	}
	m.entry(t, now, commands(0)...) // and all begins anew
	if r, c := count(); r != each || c != 1 {
		t.Errorf("%d requests and %d changes, want %d and 1", r, c, each)
	}
}

func TestLeaderTimeGrows(t *testing.T) {
	m := newMemory()
	last := time.Time{}
	for _, now := range []time.Time{start, start, start.Add(-time.Hour), start.Add(time.Second), start, {}} {
		m.entry(t, now, txn(expiring("k", time.Minute)))
		p, err := ReadProgress(m)
		if err != nil || !p.Time.After(last) || p.Time.Before(now) {
			t.Errorf("leader time of an entry at %v is %v, %v, after %v", now, p.Time, err, last)
		}
		if k, err := Get(m, "app", "k", start); err != nil || !k.Expires.Equal(p.Time.Add(time.Minute)) {
			t.Errorf("the key expires at %v, %v, want a minute after leader time %v", k.Expires, err, p.Time)
		}
		last = p.Time
	}
}

func TestExpiry(t *testing.T) {
	m := newMemory()
	m.entry(t, start, txn(expiring("a", time.Minute), expiring("b", time.Minute), expiring("c", time.Hour), set("d", "")),
		Command{Kind: Transact, Namespace: "b", Ops: []op.Op{expiring("a", time.Minute)}})
	end := start.Add(time.Minute)
	for now, want := range map[time.Time]string{end.Add(-1): "a= b= c= d=", end: "c= d="} {
		if got := m.content(t, "app", now); got != want {
			t.Errorf("at %v: %q, want %q", now.Sub(start), got, want)
		}
		if due, err := Due(m, now); err != nil || due != now.Equal(end) {
			t.Errorf("Due at %v = %v, %v", now.Sub(start), due, err)
		}
	}
	if u, _ := Usage(m, "app"); u.Keys != 4 {
		t.Errorf("Usage before the tick = %+v, want 4 keys", u)
	}
	got := m.entry(t, end,
		txn(op.Op{Kind: op.Touch, Key: "a", TTL: time.Hour}, op.Op{Kind: op.Delete, Key: "b", Previous: true}), // both are absent
		txn(expiring("a", time.Hour)), // a new life, before the tick
		tick(2), tick(1), tick(10))
	if fmt.Sprint(got[0].Ops) != "[{false 0 []} {false 0 []}]" {
		t.Errorf("ops on expired keys answer %+v", got[0].Ops)
	}
	var ticked int64
	for _, o := range got[2:] {
		ticked += o.Ops[0].Integer
	}
	if ticked != 2 || m.content(t, "app", end) != "a= c= d=" || m.content(t, "b", end) != "" {
		t.Errorf("ticks deleted %d keys and left %q and %q", ticked, m.content(t, "app", end), m.content(t, "b", end))
	}
	if due, err := Due(m, end); err != nil || due {
		t.Errorf("Due after the ticks = %v, %v", due, err)
	}
	m.check(t)
	changes, _, err := Changes(m, Since{Namespace: "app", After: LastRevision(1), Limit: 10})
	if err != nil || len(changes) != 2 || changes[0].Key != "a" || changes[0].Deleted || changes[1].Key != "b" || !changes[1].Deleted {
		t.Errorf("Changes = %+v, %v, want a's new life and b's end", changes, err)
	}
}

func TestDeletedInOneCommandIsReadInTheNext(t *testing.T) {
	m := newMemory()
	m.entry(t, start, txn(set("a", "old"), set("b", "old"), expiring("c", time.Minute)))
	fail := op.Op{Kind: op.Incr, Key: "x", Delta: 1, Bounded: true}
	got := m.entry(t, start.Add(time.Hour),
		txn(op.Op{Kind: op.DeletePrefix, Key: "a"}, fail), // fails: a must be read whole afterwards
		txn(op.Op{Kind: op.Append, Key: "a", Value: []byte("er"), Previous: true}),
		txn(op.Op{Kind: op.DeletePrefix, Key: "b"}), txn(set("b", "new"), fail), // b stays deleted
		txn(op.Op{Kind: op.Append, Key: "b", Value: []byte("young"), Previous: true}),
		tick(1), txn(set("c", "new"), fail), txn(op.Op{Kind: op.Touch, Key: "c"}))
	if want := "[5 0 0 5 0 0 5 0]"; failures(got) != want {
		t.Errorf("failures %v, want %s", failures(got), want)
	}
	if a, b := string(got[1].Ops[0].Previous), got[4].Ops[0].Previous; a != "old" || b != nil {
		t.Errorf("previous values %q and %q, want old and none", a, b)
	}
	if got, want := m.content(t, "app", start), "a=older b=young"; got != want {
		t.Errorf("state %q, want %q", got, want)
	}
	m.check(t)
}

func TestMalformedCommandFailsAlone(t *testing.T) {
	m := newMemory()
	whole := txn(set("k", "v")).Append(nil)
	bad := [][]byte{{}, {0}, {1}, whole[:len(whole)-1], append(bytes.Clone(whole), 0), {255}}
	entry := AppendEntry(nil, start, append(bad, whole)...)
	a, err := Apply(m, 1, entry, Level)
	if err != nil || len(a.Outcomes) != len(bad)+1 {
		t.Fatalf("Apply = %+v, %v", a, err)
	}
	for i, o := range a.Outcomes {
		want := Invalid
		switch i {
		case len(bad) - 1:
			want = Unavailable // of a later feature level
		case len(bad):
			want = None
		}
		if o.Failure != want {
			t.Errorf("command %d = %+v, want failure %d", i, o, want)
		}
	}
	m.write(a.Writes)
	for i, entry := range [][]byte{nil, {0}, {1, 0}, entry[:len(entry)-1], make([]byte, MaxEntryBytes+1),
		AppendEntry(nil, start, make([][]byte, MaxCommands+1)...), AppendEntry(nil, time.Unix(0, latest+1))} {
		a, err := Apply(m, uint64(2+i), entry, Level)
		if err != nil || len(a.Outcomes) != 0 || len(a.Writes) != 1 {
			t.Errorf("Apply of malformed entry %d = %+v, %v, want progress only", i, a, err)
		}
		m.write(a.Writes)
	}
	if p, err := ReadProgress(m); err != nil || p.Index != 8 || p.Time.After(start.Add(time.Second)) {
		t.Errorf("ReadProgress = %+v, %v", p, err)
	}
}

func TestFeatureLevels(t *testing.T) {
	old, young := newMemory(), newMemory()
	feature := txn(set("k", "new"))
	encoded := feature.Append(nil)
	encoded[0] = 2 // what it does is the same; what counts is when
	raise := Command{Kind: RaiseLevel, Level: 2}.Append(nil)
	lower := Command{Kind: RaiseLevel, Level: 1}.Append(nil)
	plain := txn(set("k", "old")).Append(nil)

	entry := AppendEntry(nil, start, encoded, plain, encoded, lower)
	a, err := Apply(old, 1, entry, 1)
	b, errYoung := Apply(young, 1, entry, 2)
	if err != nil || errYoung != nil || !sameWrites(a.Writes, b.Writes) || fmt.Sprint(a.Outcomes) != fmt.Sprint(b.Outcomes) {
		t.Fatalf("below the level, nodes of two versions differ:\n%+v, %v\n%+v, %v", a, err, b, errYoung)
	}
	if want := "[7 0 7 0]"; fmt.Sprint(failures(a.Outcomes)) != want {
		t.Errorf("failures %v, want %s", failures(a.Outcomes), want)
	}
	old.write(a.Writes)
	young.write(b.Writes)

	entry = AppendEntry(nil, start, encoded, raise, encoded, lower, encoded)
	if _, err := Apply(old, 2, entry, 1); !errors.Is(err, ErrTooNew) {
		t.Errorf("a level that is not known = %v, want %v", err, ErrTooNew)
	}
	b, err = Apply(young, 2, entry, 2)
	if want := "[7 0 0 0 0]"; err != nil || fmt.Sprint(failures(b.Outcomes)) != want {
		t.Errorf("failures %v, %v, want %s", failures(b.Outcomes), err, want)
	}
	young.write(b.Writes)
	if p, err := ReadProgress(young); err != nil || p.Level != 2 {
		t.Errorf("ReadProgress = %+v, %v, want level 2: it never falls", p, err)
	}
	if _, err := Apply(young, 3, AppendEntry(nil, start), 1); !errors.Is(err, ErrTooNew) {
		t.Errorf("a state of a level that is not known = %v, want %v", err, ErrTooNew)
	}
}

func TestApplyStops(t *testing.T) {
	m := newMemory()
	m.entry(t, start, named(1, set("k", ""), expiring("e", time.Minute)), Command{Kind: SetQuota, Namespace: "app", Quota: op.Quota{Keys: 9}})
	entry := AppendEntry(nil, start.Add(2*time.Hour), named(1).Append(nil), txn(del("k")).Append(nil), tick(9).Append(nil))
	if _, err := Apply(m, 1, entry, Level); err == nil {
		t.Error("Apply of an entry that was applied succeeded")
	}
	m.fail = errView
	if _, err := Apply(m, 2, entry, Level); !errors.Is(err, errView) {
		t.Errorf("Apply on a broken view = %v, want %v", err, errView)
	}
	m.fail = nil
	for k, v := range m.data {
		if k[0] == changesKind || k == string(dataKey("app", "e")) {
			continue // only reads look at them
		}
		damaged := m.clone()
		damaged.data[k] = []byte{0}
		if k[0] == expiryKind || k[0] == historyKind || k[0] == requestsKind {
			damaged.data[k] = v[:len(v)-1]
		}
		if _, err := Apply(damaged, 2, entry, Level); !errors.Is(err, errDamaged) {
			t.Errorf("Apply with damage at %q = %v, want %v", k, err, errDamaged)
		}
	}
}

// TestWritesAreBounded applies what makes most of few bytes: every command writes a large value again.
func TestWritesAreBounded(t *testing.T) {
	m := newMemory()
	var touches []Command
	for i := range 20 {
		key := strings.Repeat("k", op.MaxKeyBytes-2) + fmt.Sprintf("%02d", i)
		c := txn(op.Op{Kind: op.Set, Key: key, Value: make([]byte, op.MaxValueBytes), TTL: time.Hour})
		c.Namespace = strings.Repeat("n", op.MaxNamespaceBytes)
		m.entry(t, start, c)
		c.Ops = []op.Op{{Kind: op.Touch, Key: key, TTL: time.Minute}}
		c.Request = Request{byte(i + 1)}
		touches = append(touches, c)
	}
	done := 0
	for i, o := range m.entry(t, start, touches...) { // which checks the size of the writes
		if _, err := o.Result(); err == nil {
			done++
		} else if !errors.Is(err, op.ErrUnavailable) || done == 0 {
			t.Errorf("touch %d = %v", i, err)
		}
	}
	if done == 0 || done == len(touches) {
		t.Errorf("%d of %d touches were done in one entry", done, len(touches))
	}
	m.check(t)
}

// TestAnyCommandFits applies the commands that write most, each alone.
func TestAnyCommandFits(t *testing.T) {
	m := newMemory()
	long := func(i int) string { return fmt.Sprintf("%04d", i) + strings.Repeat("k", op.MaxKeyBytes-4) }
	c := Command{Kind: Transact, Request: Request{1}, Namespace: strings.Repeat("n", op.MaxNamespaceBytes)}
	one := func(name string, ops ...op.Op) (first op.OpResult) {
		t.Helper()
		c.Request[0]++
		c.Ops = ops
		if size := len(c.Append(nil)); size > MaxCommandBytes {
			t.Errorf("%s: the command has %d bytes, at most %d are allowed", name, size, MaxCommandBytes)
		}
		r, err := m.entry(t, start, c)[0].Result()
		if err != nil {
			t.Fatalf("%s = %v", name, err)
		}
		return r.Ops[0]
	}
	var ops []op.Op
	room := op.MaxTxnBytes
	for i := range op.MaxOps {
		ops = append(ops, op.Op{Kind: op.Set, Key: long(i), TTL: time.Hour, Previous: true})
		room -= op.MaxKeyBytes
	}
	ops[0].Value = make([]byte, op.MaxValueBytes)
	ops[1].Value = make([]byte, room-op.MaxValueBytes)
	one("largest", ops...)
	ops[0].Value, ops[1].Value = ops[1].Value, ops[0].Value
	for i := range ops {
		ops[i].TTL, ops[i].Previous = time.Minute, i == 0
	}
	one("largest again, with a previous value", ops...)
	for at := op.MaxOps; at < op.MaxDeleteKeys; at += op.MaxOps {
		var more []op.Op
		for i := range op.MaxOps {
			more = append(more, op.Op{Kind: op.Set, Key: long(at + i), TTL: time.Hour})
		}
		one("fill", more...)
	}
	page, err := List(m, c.Namespace, op.Query{}, start)
	if err != nil || len(page.Items) != op.MaxPageKeys || page.Cursor == "" {
		t.Fatalf("List = %d items, %q, %v, want a full page", len(page.Items), page.Cursor, err)
	}
	all := op.Op{Kind: op.DeletePrefix}
	got := m.entry(t, start, Command{Kind: Transact, Namespace: c.Namespace, Ops: []op.Op{all, all}})[0]
	if _, err := got.Result(); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("deletion of more than op.MaxDeleteKeys = %v, want %v", err, op.ErrTooLarge)
	}
	entry := AppendEntry(nil, start.Add(2*time.Hour), tick(MaxTickKeys).Append(nil))
	if a, err := Apply(m.clone(), 1000, entry, Level); err != nil || a.Outcomes[0].Ops[0].Integer != MaxTickKeys {
		t.Errorf("longest tick = %+v, %v", a.Outcomes, err)
	} else {
		checkWrites(t, m, a)
	}
	for _, want := range []int64{op.MaxDeleteKeys, 24, 0} {
		if r := one("longest deletion", all); r.Integer != want {
			t.Errorf("DeletePrefix = %+v, want %d keys", r, want)
		}
	}
	m.check(t)
}
