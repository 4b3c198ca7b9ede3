package abi

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// queueMessages are those of queue calls.
func queueMessages() []kvMessage {
	return []kvMessage{
		{"QueueSend", func(v any) []byte { s := v.(QueueSend); return AppendQueueSend(nil, &s) },
			func(data []byte) (any, error) { return DecodeQueueSend(data) },
			func(o oracle) any {
				s := QueueSend{To: o.text("to")}
				for _, m := range o.messages("messages") {
					s.Messages = append(s.Messages, op.Outgoing{Body: m.bytes("body"), Attributes: m.attributes(), Group: m.text("group"),
						Dedup: m.text("dedup"), Delay: delay(m.int("delay_ms"))})
				}
				return s
			},
			QueueSend{"orders.fifo", []op.Outgoing{{}, {Body: bytes.Repeat([]byte("body"), 100), Group: "g", Dedup: "d", Delay: time.Minute,
				Attributes: []op.Attribute{{}, {Name: "kind", Type: "String", Value: []byte("a\xff")}}}, {Body: []byte("b"), Delay: op.NoDelay}}}},
		{"QueueReceive", func(v any) []byte { r := v.(QueueReceive); return AppendQueueReceive(nil, &r) },
			func(data []byte) (any, error) { return DecodeQueueReceive(data) },
			func(o oracle) any {
				return QueueReceive{o.text("queue"), o.uint("max"), duration(o.int("visibility_ms")), duration(o.int("wait_ms"))}
			},
			QueueReceive{"orders", 10, time.Minute, 20 * time.Second}},
		{"QueueSettle", func(v any) []byte { s := v.(QueueSettle); return AppendQueueSettle(nil, &s) },
			func(data []byte) (any, error) { return DecodeQueueSettle(data) },
			func(o oracle) any {
				s := QueueSettle{o.text("queue"), op.Settlement{Delete: o.texts("delete")}}
				for _, m := range o.messages("release") {
					s.Release = append(s.Release, op.Release{Receipt: m.text("receipt"), Delay: duration(m.int("delay_ms"))})
				}
				return s
			},
			QueueSettle{"orders", op.Settlement{Delete: []string{"a", "", "b"}, Release: []op.Release{{}, {Receipt: "c", Delay: time.Second}}}}},
		{"QueueName", func(v any) []byte { return AppendQueueName(nil, v.(string)) },
			func(data []byte) (any, error) { return DecodeQueueName(data) },
			func(o oracle) any { return o.text("queue") }, "orders"},
		{"QueueSent", func(v any) []byte { return AppendQueueSent(nil, v.([]op.Sent)) },
			func(data []byte) (any, error) { return DecodeQueueSent(data) },
			func(o oracle) any {
				var sent []op.Sent
				for _, m := range o.messages("messages") {
					sent = append(sent, op.Sent{ID: m.text("id"), Sequence: m.uint64("sequence"), Duplicate: m.flag("duplicate")})
				}
				return sent
			},
			[]op.Sent{{}, {ID: "01J", Sequence: math.MaxUint64}, {ID: "01K", Sequence: 7, Duplicate: true}}},
		{"QueueMessages", func(v any) []byte { return AppendQueueMessages(nil, v.([]op.Message)) },
			func(data []byte) (any, error) { return DecodeQueueMessages(data) },
			func(o oracle) any {
				var received []op.Message
				for _, m := range o.messages("messages") {
					received = append(received, m.received())
				}
				return received
			},
			[]op.Message{{}, sampleReceived()}},
		{"QueueSettled", func(v any) []byte { s := v.(op.Settled); return AppendQueueSettled(nil, &s) },
			func(data []byte) (any, error) { return DecodeQueueSettled(data) },
			func(o oracle) any {
				return op.Settled{Delete: decodeHeld(o.bytes("delete")), Release: decodeHeld(o.bytes("release"))}
			},
			op.Settled{Delete: []bool{true, false, true}, Release: []bool{false}}},
		{"QueueStats", func(v any) []byte { s := v.(op.QueueStats); return AppendQueueStats(nil, &s) },
			func(data []byte) (any, error) { return DecodeQueueStats(data) },
			func(o oracle) any {
				return op.QueueStats{Messages: o.int("messages"), Bytes: o.int("bytes"), Visible: o.int("visible"),
					InFlight: o.int("in_flight"), Delayed: o.int("delayed"), Oldest: moment(o.int("oldest_unix_ms"))}
			},
			op.QueueStats{Messages: 6, Bytes: 1 << 40, Visible: 3, InFlight: 2, Delayed: 1, Oldest: time.UnixMilli(1795400000123).UTC()}},
	}
}

func sampleReceived() op.Message {
	at := time.UnixMilli(1795400000123).UTC()
	return op.Message{ID: "01J", Sequence: 9, Body: bytes.Repeat([]byte("body"), 100), Group: "g", Dedup: "d", Sent: at,
		Attributes: []op.Attribute{{Name: "n", Type: "Number", Value: []byte("1")}}, First: at.Add(time.Second), Receives: 3,
		Source: "orders", Receipt: "AQID", Visible: at.Add(time.Minute)}
}

func (o oracle) attributes() (all []op.Attribute) {
	for _, m := range o.messages("attributes") {
		all = append(all, op.Attribute{Name: m.text("name"), Type: m.text("type"), Value: m.bytes("value")})
	}
	return all
}

func (o oracle) received() op.Message {
	return op.Message{ID: o.text("id"), Sequence: o.uint64("sequence"), Body: o.bytes("body"), Attributes: o.attributes(),
		Group: o.text("group"), Dedup: o.text("dedup"), Sent: moment(o.int("sent_unix_ms")), First: moment(o.int("first_unix_ms")),
		Receives: o.uint("receives"), Source: o.text("source"), Receipt: o.text("receipt"), Visible: moment(o.int("visible_unix_ms"))}
}

func TestQueueMessages(t *testing.T) { checkMessages(t, queueMessages()) }

func FuzzDecodeQueueSend(f *testing.F)     { fuzzKV(f, "QueueSend") }
func FuzzDecodeQueueReceive(f *testing.F)  { fuzzKV(f, "QueueReceive") }
func FuzzDecodeQueueSettle(f *testing.F)   { fuzzKV(f, "QueueSettle") }
func FuzzDecodeQueueName(f *testing.F)     { fuzzKV(f, "QueueName") }
func FuzzDecodeQueueSent(f *testing.F)     { fuzzKV(f, "QueueSent") }
func FuzzDecodeQueueMessages(f *testing.F) { fuzzKV(f, "QueueMessages") }
func FuzzDecodeQueueSettled(f *testing.F)  { fuzzKV(f, "QueueSettled") }
func FuzzDecodeQueueStats(f *testing.F)    { fuzzKV(f, "QueueStats") }

func decodeSend(b []byte) error    { _, err := DecodeQueueSend(b); return err }
func decodeReceive(b []byte) error { _, err := DecodeQueueReceive(b); return err }
func decodeSettle(b []byte) error  { _, err := DecodeQueueSettle(b); return err }
func decodeName(b []byte) error    { _, err := DecodeQueueName(b); return err }

func TestQueueDecodeLimits(t *testing.T) {
	most, over := []byte(field(15, strings.Repeat("x", MaxQueueRequestBytes-5))), make([]byte, MaxQueueRequestBytes+1)
	attributes := func(n int) []byte {
		return AppendQueueSend(nil, &QueueSend{Messages: []op.Outgoing{{Attributes: make([]op.Attribute, n)}}})
	}
	receipts := func(n, m int) []byte { return append(many(settleDelete, n), many(settleRelease, m)...) }
	for _, tt := range []struct {
		name   string
		data   []byte
		decode func([]byte) error
		code   Code // empty: it is read
		say    string
	}{
		{"messages", many(sendMessages, op.MaxSend), decodeSend, "", ""},
		{"many messages", many(sendMessages, op.MaxSend+1), decodeSend, TooLarge, "1000 messages"},
		{"attributes", attributes(op.MaxAttributes), decodeSend, "", ""},
		{"many attributes", attributes(op.MaxAttributes + 1), decodeSend, TooLarge, "10 attributes"},
		{"receipts", receipts(op.MaxReceive-1, 1), decodeSettle, "", ""},
		{"many receipts", receipts(op.MaxReceive, 1), decodeSettle, TooLarge, "10000 receipts"},
		{"longest send", most, decodeSend, "", ""},
		{"long send", over, decodeSend, TooLarge, "3145728 bytes"},
		{"long receive", over, decodeReceive, TooLarge, "3145728 bytes"},
		{"long settlement", over, decodeSettle, TooLarge, "3145728 bytes"},
		{"long name", over, decodeName, TooLarge, "3145728 bytes"},
		{"cut send", []byte("\x0a\x05a"), decodeSend, InvalidInput, "malformed"},
		{"cut message", []byte(field(sendMessages, "\x2a\x05a")), decodeSend, InvalidInput, "malformed"},
		{"cut attribute", []byte(field(sendMessages, field(outgoingAttributes, "\x0a\x05a"))), decodeSend, InvalidInput, "malformed"},
		{"cut receive", []byte("\x10"), decodeReceive, InvalidInput, "malformed"},
		{"cut release", []byte(field(settleRelease, "\x0a\x05a")), decodeSettle, InvalidInput, "malformed"},
		{"cut name", []byte("\x0a\x05a"), decodeName, InvalidInput, "malformed"},
	} {
		err := tt.decode(tt.data)
		if CodeOf(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.say) {
			t.Errorf("%s: %v (%s), want %q (%s)", tt.name, err, CodeOf(err), tt.say, tt.code)
		}
	}
}

// TestQueueRequestsHold: what a queue takes at once, at its longest, is a request.
func TestQueueRequestsHold(t *testing.T) {
	s := QueueSend{To: strings.Repeat("q", op.MaxQueueNameBytes)}
	for range op.MaxSend {
		m := op.Outgoing{Body: make([]byte, op.MaxTxnBytes/op.MaxSend-op.MaxAttributes*3), Group: strings.Repeat("g", op.MaxGroupBytes),
			Dedup: strings.Repeat("d", op.MaxGroupBytes), Delay: op.MaxDelay}
		for range op.MaxAttributes {
			m.Attributes = append(m.Attributes, op.Attribute{Name: "n", Type: "t", Value: []byte("v")})
		}
		s.Messages = append(s.Messages, m)
	}
	if err := decodeSend(AppendQueueSend(nil, &s)); err != nil {
		t.Errorf("the longest send: %v", err)
	}
	var settle QueueSettle
	for range op.MaxReceive {
		settle.Release = append(settle.Release, op.Release{Receipt: strings.Repeat("r", 64), Delay: op.MaxVisibility})
	}
	if err := decodeSettle(AppendQueueSettle(nil, &settle)); err != nil {
		t.Errorf("the longest settlement: %v", err)
	}
}

func TestQueueErrors(t *testing.T) {
	numbers{QueueErrorNumber, QueueError, lastQueueError}.check(t, []error{
		op.ErrInvalid, op.ErrTooLarge, op.ErrNoQueue, op.ErrInFlight, op.ErrQuota, op.ErrUnavailable,
		op.ErrUnknown, ErrNoQueues, ErrQueueCalls, context.DeadlineExceeded, ErrQueueFailed,
	}, coded(map[Code]error{
		InvalidInput: op.ErrInvalid, TooLarge: op.ErrTooLarge, NotFound: op.ErrNoQueue,
		TooManyRequests: op.ErrInFlight, NoSpace: op.ErrQuota, Unavailable: op.ErrUnavailable, Unsupported: ErrNoQueues,
	}))
}

func TestQueueAllocations(t *testing.T) {
	room := make([]byte, 0, 4096)
	s := QueueSend{To: "orders", Messages: []op.Outgoing{{Body: make([]byte, 200), Attributes: []op.Attribute{{Name: "n", Type: "String", Value: make([]byte, 200)}}}}}
	received, stats := []op.Message{sampleReceived()}, op.QueueStats{Messages: 1}
	for _, tt := range []struct {
		name string
		want float64
		run  func()
	}{
		{"AppendQueueSend into nothing", 1, func() { AppendQueueSend(nil, &s) }},
		{"AppendQueueMessages into room", 0, func() { AppendQueueMessages(room, received) }},
		{"AppendQueueStats into room", 0, func() { AppendQueueStats(room, &stats) }},
	} {
		if got := testing.AllocsPerRun(100, tt.run); got > tt.want {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.want)
		}
	}
}
