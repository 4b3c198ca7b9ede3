package fsm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// everything is a command with every kind of check and op.
func everything() Command {
	return Command{Kind: Transact, Request: Request{1, 2, 15: 16}, Namespace: "app",
		Checks: []op.Check{{Key: "a", Revision: 300}, {Key: "b", Kind: op.HasValue, Value: []byte("v")}, {Key: "c", Kind: op.IsPresent}},
		Ops: []op.Op{
			{Kind: op.Set, Key: "k", Value: []byte("v"), TTL: time.Second, Previous: true},
			{Kind: op.Delete, Key: "k", Previous: true},
			{Kind: op.Incr, Key: "n", Delta: -2, Min: -100, Max: 7, Bounded: true, TTL: 1},
			{Kind: op.Append, Key: "k", Value: []byte{}},
			{Kind: op.Touch, Key: "k"},
			{Kind: op.DeletePrefix},
		}}
}

// TestFormat pins what is in logs and states that exist: it never changes within a feature level.
func TestFormat(t *testing.T) {
	m := newMemory()
	m.entry(t, start, named(1, op.Op{Kind: op.Set, Key: "k", Value: []byte("v"), TTL: time.Second}, del("x")))
	for _, c := range []struct {
		name, want string
		got        []byte
	}{
		{"transaction", "01010102000000000000000000000000001003617070030001" + "61ac02" + "0101620176" + "020163" +
			"06" + "0105016b01768094ebdc03" + "0201016b" + "030e016e0103c7010e" + "0400016b00" + "0500016b" + "060000", everything().Append(nil)},
		{"quota", "01020000000000000000000000000000000003617070" + "07ac02", Command{Kind: SetQuota, Namespace: "app", Quota: op.Quota{Keys: 7, Bytes: 300}}.Append(nil)},
		{"level", "010300000000000000000000000000000000" + "00" + "02", Command{Kind: RaiseLevel, Level: 2}.Append(nil)},
		{"tick", "010400000000000000000000000000000000" + "00" + "e807", tick(1000).Append(nil)},
		{"entry", "01" + "8080a8b1e39fe7cb17" + "02" + "0161" + "00", AppendEntry(nil, start, []byte("a"), nil)},
		{"outcome", "04" + "8020" + "026e6f" + "03" + "00" + "0302" + "050176", Outcome{Failure: Conflict, Revision: 4096, Text: "no",
			Ops: []op.OpResult{{}, {Found: true, Integer: 1}, {Found: true, Previous: []byte("v")}}}.Append(nil)},
		{"data", "8020" + "8094938ee79fe7cb17" + "76", m.data["dapp\x00k"]},
		{"changes", "00" + "02" + "8094938ee79fe7cb17" + "016b" + "0176", m.data["capp\x00\x00\x00\x00\x00\x00\x00\x00\x01"]},
		{"deletion", "ac02" + "01" + "016b", (&cell{key: "k"}).appendChange(nil, Revision(7, 300), 0)},
		{"history", "8080a8b1e39fe7cb17" + "8020" + "03617070", m.data["h\x00\x00\x00\x00\x00\x00\x00\x01"]},
		{"expiry", "01", m.data["e"+"\x17\x97\x9c\xfe\x71\xc4\xca\x00"+"app\x00k"]},
		{"usage", "01020000", m.data["uapp"]},
		{"request", "00" + "8020" + "00" + "02" + "0000", m.data["rapp\x00\x01"+strings.Repeat("\x00", 15)]},
		{"requests", "8080a8b1e39fe7cb17" + "03617070" + "01000000000000000000000000000000", m.data["q\x00\x00\x00\x00\x00\x00\x00\x01"]},
		{"progress", "01" + "8080a8b1e39fe7cb17" + "01" + "00" + "00" + "01" + "8080a8b1e39fe7cb17" + "01" + "8080a8b1e39fe7cb17", m.data["mapplied"]},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is\n%s, want\n%s", c.name, got, c.want)
		}
	}
	if len(m.data) != 8 {
		t.Errorf("the state has %d keys, want 8", len(m.data))
	}
}

func TestCommandRoundTrip(t *testing.T) {
	objects := Command{Kind: Transact, Namespace: op.ObjectsOf("app")}
	if b := objects.Append(nil); b[0] != 3 {
		t.Errorf("a command on objects needs level %d, want 3", b[0])
	} else if _, err := decodeCommand(append([]byte{1}, b[1:]...), Level); err == nil {
		t.Error("a command on objects of level 1 is read")
	}
	for _, c := range []Command{everything(), objects, {Kind: Transact, Namespace: op.System}, tick(5), {Kind: RaiseLevel, Level: 255},
		{Kind: SetQuota, Namespace: "app", Quota: op.Quota{Keys: 1 << 62, Bytes: 1}}} {
		got, err := decodeCommand(c.Append(nil), Level)
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c) {
			t.Errorf("decodeCommand(Append(%+v)) = %+v, %v", c, got, err)
		}
	}
}

func TestOutcomeErrors(t *testing.T) {
	for f := Invalid; f <= Unavailable; f++ {
		o, err := DecodeOutcome(Outcome{Failure: f, Text: "it is so"}.Append(nil))
		if _, result := o.Result(); err != nil || !errors.Is(result, f.err()) || result.Error() != "it is so" {
			t.Errorf("failure %d becomes %v, %v", f, result, err)
		}
	}
	if _, err := (Outcome{Failure: Conflict}).Result(); !errors.Is(err, op.ErrConflict) || err.Error() == "" {
		t.Errorf("a failure without text becomes %v", err)
	}
	if _, err := (Outcome{Failure: 99}).Result(); err == nil {
		t.Error("an unknown failure becomes no error")
	}
	long := refusal{errors.New(strings.Repeat("x", maxTextBytes+1))}.outcome(1)
	if _, err := DecodeOutcome(long.Append(nil)); err != nil || long.Failure != Invalid {
		t.Errorf("DecodeOutcome of a long text = %v", err)
	}
}

func FuzzDecodeCommand(f *testing.F) {
	f.Add(everything().Append(nil))
	f.Add(Command{Kind: SetQuota, Namespace: "app", Quota: op.Quota{Keys: 7}}.Append(nil))
	f.Add(tick(9).Append(nil))
	for _, c := range everyStep() {
		f.Add(c.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCommand(b, Level)
		if err != nil {
			if !errors.Is(err, op.ErrInvalid) {
				t.Errorf("decodeCommand = %v, want %v", err, op.ErrInvalid)
			}
			return
		}
		if again := c.Append(nil); b[0] < again[0] || !bytes.Equal(again[1:], b[1:]) {
			t.Errorf("Append(decodeCommand(%x)) = %x", b, again)
		}
		if c.Kind == RaiseLevel && c.Level > Level {
			return
		}
		m := newMemory()
		m.entry(t, start, Command{Kind: RaiseLevel, Level: 2}, txn(set("a", "1"), expiring("k", time.Second)), c)
		m.entry(t, start, append(someQueues(), c)...)
		m.entry(t, start.Add(time.Minute), c, tick(10), c)
		m.check(t)
	})
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(AppendEntry(nil, start, everything().Append(nil), nil, txn().Append(nil)))
	f.Add(AppendEntry(nil, time.Unix(0, latest)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newMemory()
		a, err := Apply(m, 1, b, Level)
		if err != nil && !errors.Is(err, ErrTooNew) {
			t.Fatalf("Apply = %v", err)
		}
		now, commands, err := decodeEntry(b)
		if err != nil {
			return
		}
		if again := AppendEntry(nil, now, commands...); !bytes.Equal(again, b) {
			t.Errorf("AppendEntry(decodeEntry(%x)) = %x", b, again)
		}
		checkWrites(t, m, a)
	})
}

func FuzzDecodeOutcome(f *testing.F) {
	f.Add(Outcome{Failure: Conflict, Revision: 4096, Text: "no", Ops: []op.OpResult{{Found: true, Integer: 1, Previous: []byte("v")}}}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := DecodeOutcome(b)
		if err != nil {
			return
		}
		if again := o.Append(nil); !bytes.Equal(again, b) {
			t.Errorf("Append(DecodeOutcome(%x)) = %x", b, again)
		}
		if _, err := o.Result(); (err == nil) != (o.Failure == None) {
			t.Errorf("Result of %+v = %v", o, err)
		}
	})
}

// FuzzChanges has any record of changes: what is read is written, and read the same.
func FuzzChanges(f *testing.F) {
	c := cell{key: "k", now: state{present: true, value: []byte("v"), expires: 7}, before: state{revision: 300, value: []byte("old")}}
	f.Add(c.appendChange(nil, Revision(7, 300), hasExisted|hasBefore))
	f.Add((&cell{key: "k"}).appendChange(nil, Revision(7, 3), hasExisted|hasExpired))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := fields{rest: b}
		change := r.change(7)
		if r.bad || len(r.rest) > 0 {
			return
		}
		c := cell{key: change.Key, now: state{present: !change.Deleted, value: change.Value}}
		if !change.Expires.IsZero() {
			c.now.expires = change.Expires.UnixNano()
		}
		var flags byte
		if change.Existed {
			flags |= hasExisted
		}
		if change.Expired {
			flags |= hasExpired
		}
		if change.Previous != nil {
			flags |= hasBefore
			c.before = state{revision: change.PreviousRevision, value: change.Previous}
		}
		again := fields{rest: c.appendChange(nil, change.Revision, flags)}
		if got := again.change(7); !again.whole() || !reflect.DeepEqual(got, change) {
			t.Errorf("%+v is read again as %+v", change, got)
		}
	})
}
