package fsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sett-run/sett/kv/op"
)

// TestModel compares the machine with op.Memory under random commands, in entries of several, in virtual time.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var failure any // of rapid, which stops a run by a panic
		synctest.Test(t, func(*testing.T) {
			defer func() { failure = recover() }()
			m := model{state: newMemory(), revisions: map[uint64]uint64{0: 0}, prompt: rapid.Bool().Draw(r, "ticks in time")}
			m.want.History = 1 << 20
			m.state.entry(r, time.Now(), Command{Kind: RaiseLevel, Level: Level})
			if m.keeps = rapid.Bool().Draw(r, "keeps"); m.keeps {
				for _, namespace := range []string{"app", "ap", op.System} {
					time.Sleep(time.Nanosecond)
					m.state.entry(r, time.Now(), Command{Kind: KeepPrevious, Namespace: namespace, Keep: true})
				}
			}
			for range rapid.IntRange(1, 12).Draw(r, "entries") {
				m.step(r)
			}
			m.compareChanges(r)
		})
		if failure != nil {
			panic(failure)
		}
	})
}

// model is the machine's state beside the store that says what it should be.
type model struct {
	state     *memory
	want      op.Memory
	revisions map[uint64]uint64 // of the machine, by those of want
	requests  []request         // that were done
	keeps     bool              // changes have the values before
	prompt    bool              // keys that are due are deleted before anything else happens; else now and then
}

type request struct {
	command Command
	at      time.Time
	outcome Outcome
}

var (
	namespaces = rapid.SampledFrom([]string{"app", "ap", op.System})
	someKeys   = rapid.SampledFrom([]string{"a", "ab", "abc", "b", "b\x00", "\xff"})
	values     = rapid.SampledFrom([]string{"", "1", "-7", "9223372036854775807", "text", "01"})
	ttls       = rapid.SampledFrom([]time.Duration{0, 0, 0, op.MinTTL, time.Second, time.Hour})
	waits      = rapid.SampledFrom([]time.Duration{1, 1, 1, op.MinTTL, time.Second, RequestWindow, time.Hour})
)

// step does an entry of some commands and compares what became of it.
func (m *model) step(t *rapid.T) {
	time.Sleep(waits.Draw(t, "wait"))
	now := time.Now()
	due, err := Due(m.state, now)
	if err != nil {
		t.Fatalf("Due = %v", err)
	}
	if due && (m.prompt || rapid.IntRange(0, 3).Draw(t, "tick") == 0) {
		m.state.entry(t, now, Command{Kind: Tick, Limit: MaxTickKeys})
		if due, _ := Due(m.state, now); due {
			t.Fatalf("Due after a tick = true")
		}
		time.Sleep(time.Nanosecond)
		now = time.Now()
	}
	var commands []Command
	for range rapid.IntRange(1, 4).Draw(t, "commands") {
		commands = append(commands, m.command(t))
	}
	for i, got := range m.state.entry(t, now, commands...) {
		m.compare(t, commands[i], got)
	}
	m.state.check(t)
	for _, ns := range []string{"app", "ap", op.System} {
		m.compareContent(t, ns)
	}
}

// command answers one that was done before, or a new one.
func (m *model) command(t *rapid.T) Command {
	kind := rapid.IntRange(0, 9).Draw(t, "command")
	switch {
	case kind == 0 && len(m.requests) > 0:
		return rapid.SampledFrom(m.requests).Draw(t, "again").command
	case kind == 1 && m.prompt:
		return Command{Kind: SetQuota, Namespace: namespaces.Draw(t, "namespace"), Quota: op.Quota{
			Keys: rapid.Int64Range(0, 4).Draw(t, "keys"), Bytes: rapid.Int64Range(0, 40).Draw(t, "bytes")}}
	}
	c := Command{Kind: Transact, Namespace: namespaces.Draw(t, "namespace")}
	if rapid.Bool().Draw(t, "named") {
		c.Request = Request{byte(len(m.requests)), byte(len(m.requests) >> 8), 1}
		for _, r := range m.requests {
			if r.command.Request == c.Request {
				t.Fatalf("request %v comes twice", c.Request)
			}
		}
		m.requests = append(m.requests, request{command: c}) // its outcome follows
	}
	for range rapid.IntRange(0, 2).Draw(t, "checks") {
		c.Checks = append(c.Checks, m.check(t, c.Namespace))
	}
	for range rapid.IntRange(0, 4).Draw(t, "ops") {
		c.Ops = append(c.Ops, someOp(t))
	}
	if c.Request != (Request{}) {
		m.requests[len(m.requests)-1].command = c
	}
	return c
}

// check answers one of a key as it was before the entry, or a wrong one.
func (m *model) check(t *rapid.T, namespace string) op.Check {
	c := op.Check{Key: someKeys.Draw(t, "checked"), Kind: op.CheckKind(rapid.IntRange(0, 2).Draw(t, "check"))}
	item, err := Get(m.state, namespace, c.Key, time.Now())
	if err != nil && !errors.Is(err, op.ErrNotFound) {
		t.Fatalf("Get = %v", err)
	}
	switch wrong := rapid.IntRange(0, 5).Draw(t, "wrong") == 0; {
	case c.Kind == op.HasRevision && wrong:
		c.Revision = 1
	case c.Kind == op.HasRevision:
		c.Revision = item.Revision
	case c.Kind == op.HasValue && !wrong:
		c.Value = item.Value
	}
	return c
}

func someOp(t *rapid.T) op.Op {
	o := op.Op{Kind: op.Kind(rapid.IntRange(1, 6).Draw(t, "op")), Key: someKeys.Draw(t, "key")}
	switch o.Kind {
	case op.Set, op.Append:
		o.Value = []byte(values.Draw(t, "value"))
	case op.Incr:
		o.Delta = rapid.Int64Range(-2, 2).Draw(t, "delta")
		if o.Bounded = rapid.Bool().Draw(t, "bounded"); o.Bounded {
			o.Min, o.Max = -3, 3
		}
	case op.DeletePrefix:
		o.Key = rapid.SampledFrom([]string{"a", "b", "ab", "c", "\xff", "x"}).Draw(t, "prefix")
	}
	if o.Kind != op.Delete && o.Kind != op.DeletePrefix {
		o.TTL = ttls.Draw(t, "ttl")
	}
	if o.Kind == op.Set || o.Kind == op.Delete || o.Kind == op.Append {
		o.Previous = rapid.Bool().Draw(t, "previous")
	}
	return o
}

// compare does a command in the model, if it is new, and compares its outcome.
func (m *model) compare(t *rapid.T, c Command, got Outcome) {
	t.Helper()
	for i, r := range m.requests {
		if c.Request != r.command.Request || c.Request == (Request{}) {
			continue
		}
		inWindow := r.outcome.Revision != 0 && time.Now().Before(r.at.Add(RequestWindow))
		if inWindow || got.Revision == r.outcome.Revision { // it may be remembered longer
			if fmt.Sprint(got.Revision, got.Failure, got.Ops) != fmt.Sprint(r.outcome.Revision, r.outcome.Failure, r.outcome.Ops) {
				t.Fatalf("%+v done again = %+v, want its first outcome %+v", c, got, r.outcome)
			}
			return
		}
		m.requests[i].at, m.requests[i].outcome = time.Now(), got
	}
	if c.Kind == SetQuota {
		if err := m.want.SetQuota(context.Background(), c.Namespace, c.Quota); err != nil || got.Failure != None {
			t.Fatalf("SetQuota = %v, %+v", err, got)
		}
		return
	}
	result, err := m.want.Commit(context.Background(), op.Txn{Namespace: c.Namespace, Checks: m.checks(c.Checks), Ops: c.Ops})
	have, haveErr := got.Result()
	if err == nil {
		m.revisions[result.Revision] = have.Revision
	}
	if err == nil && haveErr != nil || err != nil && !errors.Is(haveErr, sentinel(err)) {
		t.Fatalf("%+v = %v, want %v", c, haveErr, err)
	}
	if err == nil && fmt.Sprintf("%v", have.Ops) != fmt.Sprintf("%v", result.Ops) {
		t.Fatalf("%+v = %v, want %v", c, have.Ops, result.Ops)
	}
}

// checks answers checks with the model's revisions.
func (m *model) checks(checks []op.Check) []op.Check {
	var all []op.Check
	for _, c := range checks {
		if c.Revision != 0 {
			revision := uint64(1)
			for theirs, ours := range m.revisions {
				if ours == c.Revision {
					revision = theirs
				}
			}
			c.Revision = revision
		}
		all = append(all, c)
	}
	return all
}

func sentinel(err error) error {
	for f := Invalid; f <= Unavailable; f++ {
		if errors.Is(err, f.err()) {
			return f.err()
		}
	}
	return err
}

// compareContent compares what a namespace holds: page by page, key by key, and in sum.
func (m *model) compareContent(t *rapid.T, namespace string) {
	t.Helper()
	q := op.Query{Prefix: rapid.SampledFrom([]string{"", "", "a", "ab", "b"}).Draw(t, "prefix"),
		Limit: rapid.IntRange(1, 4).Draw(t, "limit"), KeysOnly: rapid.Bool().Draw(t, "keys only")}
	mine, now := q, time.Now()
	for {
		want, err := m.want.List(context.Background(), namespace, q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := List(m.state, namespace, mine, now)
		if err != nil || len(got.Items) != len(want.Items) || (got.Cursor == "") != (want.Cursor == "") {
			t.Fatalf("List(%q, %+v) = %+v, %v, want %+v", namespace, mine, got, err, want)
		}
		for i, w := range want.Items {
			if g := got.Items[i]; !m.same(g.Item, w.Item) || g.Size != w.Size {
				t.Fatalf("List(%q, %+v) = %+v, want %+v at %d", namespace, mine, g, w, i)
			}
		}
		if q.Cursor, mine.Cursor = want.Cursor, got.Cursor; q.Cursor == "" {
			break
		}
	}
	keys := []string{"a", "ab", "abc", "b", "b\x00", "\xff"}
	want, _ := m.want.GetMany(context.Background(), namespace, keys, op.Read{})
	got, err := GetMany(m.state, namespace, keys, now)
	for i := range want {
		if err != nil || !m.same(got[i], want[i]) {
			t.Fatalf("GetMany(%q) = %+v, %v, want %+v", namespace, got, err, want)
		}
	}
	usage, _ := m.want.Usage(context.Background(), namespace)
	if have, err := Usage(m.state, namespace); err != nil || m.prompt && have != usage {
		t.Fatalf("Usage(%q) = %+v, %v, want %+v", namespace, have, err, usage)
	}
}

func (m *model) same(got, want op.Item) bool {
	return got.Key == want.Key && bytes.Equal(got.Value, want.Value) && got.Revision == m.revisions[want.Revision] &&
		got.Expires.Equal(want.Expires)
}

// compareChanges compares all that was changed, when nothing was late and nothing is forgotten.
func (m *model) compareChanges(t *rapid.T) {
	t.Helper()
	m.state.entry(t, time.Now(), Command{Kind: Tick, Limit: MaxTickKeys})
	p, err := readProgress(m.state)
	if err != nil || !m.prompt || p.compacted > 0 {
		return
	}
	for _, namespace := range []string{"app", "ap", op.System} {
		for _, prefix := range []string{"", "a"} {
			ctx, cancel := context.WithTimeout(context.Background(), 1)
			var want []string
			for c, err := range m.want.Watch(ctx, namespace, prefix, 1) {
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, m.describe(c))
			}
			cancel()
			if got := m.changes(t, Since{Namespace: namespace, Prefix: prefix, Limit: rapid.IntRange(1, 3).Draw(t, "limit")}); got != strings.Join(want, "\n") {
				t.Fatalf("Changes(%q, %q) =\n%s\nwant\n%s", namespace, prefix, got, strings.Join(want, "\n"))
			}
		}
	}
}

// changes answers all of them, by as many calls as it takes.
func (m *model) changes(t *rapid.T, q Since) string {
	t.Helper()
	var all []string
	p, _ := ReadProgress(m.state)
	for q.After < LastRevision(p.Index) {
		changes, next, err := Changes(m.state, q)
		if err != nil || next <= q.After {
			t.Fatalf("Changes(%+v) = %v, %d, %v", q, changes, next, err)
		}
		for _, c := range changes {
			if c.Revision <= q.After || c.Revision > next {
				t.Fatalf("Changes(%+v) answers %+v, next %d", q, c, next)
			}
			all = append(all, m.describe(c))
		}
		q.After = next
	}
	return strings.Join(all, "\n")
}

func (m *model) describe(c op.Change) string {
	text := fmt.Sprintf("%q %q deleted=%v expires=%v existed=%v expired=%v at=%v", c.Key, c.Value, c.Deleted, c.Expires.UnixNano(),
		c.Existed, c.Expired, c.Time.Unix())
	if m.keeps {
		text += fmt.Sprintf(" previous=%q", c.Previous)
	}
	return text
}
