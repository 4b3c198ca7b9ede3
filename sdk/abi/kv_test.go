package abi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sett-run/sett/kv/op"
)

// kvMessage is a message of a host call: how it is written, how it is read, and how the protobuf library reads it. All
// answer what they read in the same shape.
type kvMessage struct {
	name   string
	append func(v any) []byte
	decode func(data []byte) (any, error)
	oracle func(o oracle) any
	sample any // written and read it is the same
}

// kvGetRequest is what kv_get asks.
type kvGetRequest struct {
	Keys        []string
	Consistency op.Consistency
}

// itemKeys are those that sample answers of kv_get are for.
var itemKeys = []string{"a", "", "b"}

func kvMessages() []kvMessage {
	at := time.UnixMilli(1795400000123).UTC()
	long := bytes.Repeat([]byte("value"), 100)
	return []kvMessage{
		{"KvGet", func(v any) []byte { r := v.(kvGetRequest); return AppendKVGet(nil, r.Keys, r.Consistency) },
			func(data []byte) (any, error) {
				keys, c, err := DecodeKVGet(data)
				return kvGetRequest{keys, c}, err
			},
			func(o oracle) any { return kvGetRequest{o.texts("keys"), o.consistency()} },
			kvGetRequest{[]string{"a", "", "b\xff\x00"}, op.Strong}},
		{"KvQuery", func(v any) []byte { q := v.(op.Query); return AppendKVQuery(nil, &q) },
			func(data []byte) (any, error) { return DecodeKVQuery(data) },
			func(o oracle) any {
				return op.Query{Prefix: o.text("prefix"), Cursor: o.text("cursor"), Limit: min(o.uint("limit"), op.MaxPageKeys),
					KeysOnly: o.flag("keys_only"), Read: op.Read{Consistency: o.consistency()}}
			},
			op.Query{Prefix: "a/", Cursor: "c", Limit: 7, KeysOnly: true, Read: op.Read{Consistency: op.Local}}},
		{"KvTxn", func(v any) []byte { t := v.(op.Txn); return AppendKVTxn(nil, &t) },
			func(data []byte) (any, error) { return DecodeKVTxn(data) }, func(o oracle) any { return o.txn() },
			op.Txn{
				Checks: []op.Check{{}, {Kind: op.HasRevision, Key: "k", Revision: math.MaxUint64}, {Kind: op.HasValue, Key: "l", Value: long}},
				Ops: []op.Op{{}, {Kind: op.Set, Key: "k", Value: long, TTL: time.Minute, Previous: true},
					{Kind: op.Incr, Key: "n", Delta: math.MinInt64, Min: -1, Max: math.MaxInt64, Bounded: true}},
			}},
		{"KvItems", func(v any) []byte { return AppendKVItems(nil, v.([]op.Item)) },
			func(data []byte) (any, error) { return DecodeKVItems(data, itemKeys) },
			func(o oracle) any {
				var items []op.Item
				for i, m := range o.messages("items") {
					l := m.listed()
					l.Key = itemKeys[min(i, len(itemKeys)-1)]
					items = append(items, l.Item)
				}
				return items
			},
			[]op.Item{{Key: "a", Value: long, Revision: 4097, Expires: at}, {Key: ""}, {Key: "b", Revision: 1}}},
		{"KvPage", func(v any) []byte { p := v.(op.Page); return AppendKVPage(nil, &p) },
			func(data []byte) (any, error) { return DecodeKVPage(data) },
			func(o oracle) any {
				p := op.Page{Cursor: o.text("cursor"), Revision: o.uint64("revision")}
				for _, m := range o.messages("items") {
					p.Items = append(p.Items, m.listed())
				}
				return p
			},
			op.Page{Cursor: "next", Revision: 9, Items: []op.Listed{{}, {Item: op.Item{Key: strings.Repeat("k", op.MaxKeyBytes), Revision: 1}, Size: 500},
				{Item: op.Item{Key: "b", Value: []byte("v"), Revision: math.MaxUint64, Expires: at}, Size: 1}}}},
		{"KvResult", func(v any) []byte { r := v.(op.Result); return AppendKVResult(nil, &r) },
			func(data []byte) (any, error) { return DecodeKVResult(data) },
			func(o oracle) any {
				r := op.Result{Revision: o.uint64("revision")}
				for _, m := range o.messages("ops") {
					r.Ops = append(r.Ops, op.OpResult{Found: m.flag("found"), Integer: m.int("integer"), Previous: m.bytes("previous")})
				}
				return r
			},
			op.Result{Revision: 5, Ops: []op.OpResult{{}, {Found: true, Integer: -7, Previous: long}}}},
	}
}

func (o oracle) flag(name string) bool     { return o.Get(o.field(name)).Bool() }
func (o oracle) int(name string) int64     { return o.Get(o.field(name)).Int() }
func (o oracle) uint64(name string) uint64 { return o.Get(o.field(name)).Uint() }

func (o oracle) consistency() op.Consistency { return op.Consistency(min(o.uint("consistency"), 255)) }

func (o oracle) messages(name string) []oracle {
	var all []oracle
	list := o.Get(o.field(name)).List()
	for i := range list.Len() {
		all = append(all, oracle{list.Get(i).Message().Interface().(*dynamicpb.Message)})
	}
	return all
}

func (o oracle) listed() op.Listed {
	return op.Listed{Item: op.Item{Key: o.text("key"), Value: o.bytes("value"), Revision: o.uint64("revision"),
		Expires: moment(o.int("expires_unix_ms"))}, Size: o.uint("size")}
}

func (o oracle) txn() (t op.Txn) {
	for _, m := range o.messages("checks") {
		t.Checks = append(t.Checks, op.Check{Kind: op.CheckKind(min(m.uint("kind"), 255)), Key: m.text("key"), Revision: m.uint64("revision"), Value: m.bytes("value")})
	}
	for _, m := range o.messages("ops") {
		t.Ops = append(t.Ops, op.Op{Kind: op.Kind(min(m.uint("kind"), 255)), Key: m.text("key"), Value: m.bytes("value"),
			TTL: duration(m.int("ttl_ms")), Delta: m.int("delta"), Min: m.int("min"), Max: m.int("max"),
			Bounded: m.flag("bounded"), Previous: m.flag("previous")})
	}
	return t
}

// said prints v so that an empty list and none look the same.
func said(v any) string { return strings.ReplaceAll(fmt.Sprintf("%+v", v), "<nil>", "[]") }

func TestKVMessages(t *testing.T) { checkMessages(t, kvMessages()) }

// checkMessages checks that a sample and the zero value are read as they were written, by us and by the protobuf library.
func checkMessages(t *testing.T, messages []kvMessage) {
	t.Helper()
	file := schema(t)
	for _, m := range messages {
		t.Run(m.name, func(t *testing.T) {
			for _, want := range []any{m.sample, reflect.Zero(reflect.TypeOf(m.sample)).Interface()} {
				data := m.append(want)
				if len(data) == 0 && m.name == "KvItems" {
					continue // no keys are no request
				}
				if got, err := m.decode(data); err != nil || said(got) != said(want) {
					t.Errorf("decode(encode(v)) = %v, %v, want %v", said(got), err, said(want))
				}
				o := newOracle(t, file, m.name)
				if err := proto.Unmarshal(data, o); err != nil {
					t.Fatal(err)
				}
				if m.name == "KvItems" {
					want = m.sample
				}
				if got := m.oracle(o); said(got) != said(want) {
					t.Errorf("protobuf reads %v, want %v", said(got), said(want))
				}
				data, err := proto.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := m.decode(data); err != nil || said(got) != said(want) {
					t.Errorf("decode of protobuf's bytes = %v, %v, want %v", said(got), err, said(want))
				}
			}
		})
	}
}

// many repeats an empty message of a list.
func many(field protowire.Number, n int) []byte {
	return bytes.Repeat(protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), nil), n)
}

func TestKVDecodeRefuses(t *testing.T) {
	over := make([]byte, MaxKVRequestBytes+1)
	for _, tt := range []struct {
		name   string
		data   []byte
		decode func([]byte) error
		code   Code
		say    string
	}{
		{"keys", many(getKeys, op.MaxGets+1), decodeGet, TooLarge, "128 keys"},
		{"checks", many(txnChecks, op.MaxChecks+1), decodeTxn, TooLarge, "128 checks"},
		{"operations", many(txnOps, op.MaxOps+1), decodeTxn, TooLarge, "128 operations"},
		{"long get", over, decodeGet, TooLarge, "2162688 bytes"},
		{"long query", over, decodeQuery, TooLarge, "2162688 bytes"},
		{"long transaction", over, decodeTxn, TooLarge, "2162688 bytes"},
		{"cut get", []byte("\x0a\x05a"), decodeGet, InvalidInput, "malformed"},
		{"cut query", []byte("\x18"), decodeQuery, InvalidInput, "malformed"},
		{"cut operation", []byte(field(txnOps, "\x12\x05a")), decodeTxn, InvalidInput, "malformed"},
		{"cut check", []byte(field(txnChecks, "\x12\x05a")), decodeTxn, InvalidInput, "malformed"},
		{"too few items", many(itemsItems, len(itemKeys)-1), decodeItems, InvalidInput, "malformed"},
		{"too many items", many(itemsItems, len(itemKeys)+1), decodeItems, InvalidInput, "malformed"},
	} {
		err := tt.decode(tt.data)
		if CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.say) {
			t.Errorf("%s: %v (%s), want %q (%s)", tt.name, err, CodeOf(err), tt.say, tt.code)
		}
	}
}

func decodeGet(b []byte) error   { _, _, err := DecodeKVGet(b); return err }
func decodeQuery(b []byte) error { _, err := DecodeKVQuery(b); return err }
func decodeTxn(b []byte) error   { _, err := DecodeKVTxn(b); return err }
func decodeItems(b []byte) error { _, err := DecodeKVItems(b, itemKeys); return err }

// TestKVNumbersThatNameNothing checks that a number too large for its field is not taken for another one.
func TestKVNumbersThatNameNothing(t *testing.T) {
	data := protowire.AppendVarint(protowire.AppendTag(nil, opKind, protowire.VarintType), 256+uint64(op.Set))
	txn, err := DecodeKVTxn([]byte(field(txnOps, string(data))))
	if err != nil || txn.Ops[0].Kind != 255 {
		t.Errorf("kind 257 is read as %+v, %v, want kind 255", txn, err)
	}
	data = protowire.AppendVarint(protowire.AppendTag(nil, getConsistency, protowire.VarintType), 256)
	if _, c, err := DecodeKVGet(data); err != nil || c != 255 {
		t.Errorf("consistency 256 is read as %d, %v, want 255", c, err)
	}
}

func TestKVLivesAreWholeMilliseconds(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		0: 0, 1: time.Millisecond, -1: -time.Millisecond, time.Millisecond + 1: 2 * time.Millisecond,
		op.MaxTTL: op.MaxTTL, math.MaxInt64: 9223372036854 * time.Millisecond, math.MinInt64: -9223372036854 * time.Millisecond,
	} {
		txn, err := DecodeKVTxn(AppendKVTxn(nil, &op.Txn{Ops: []op.Op{{TTL: ttl}}}))
		if got := txn.Ops[0].TTL; err != nil || got != want {
			t.Errorf("a life of %d is read as %d, %v, want %d", ttl, got, err, want)
		}
	}
}

// numbers are errors that cross the wire as numbers: how they are told, and read.
type numbers struct {
	of   func(error) (int32, bool)
	read func(int32) error
	last int32 // of what has no number
}

// check checks that all of own come back as they are, whatever their code, and others as what they are to be told as.
// The last of own is what has no number.
func (n numbers) check(t *testing.T, own []error, others map[error]error) {
	t.Helper()
	for _, err := range own {
		number, ok := n.of(WithCode(NotFound, fmt.Errorf("call: %w", err)))
		if got := n.read(number); !ok || number < 1 || !errors.Is(got, err) {
			t.Errorf("%v has the number %d, which is %v", err, number, got)
		}
	}
	for err, want := range others {
		if number, ok := n.of(err); !ok || !errors.Is(n.read(number), want) {
			t.Errorf("%v is told as %v, %v, want %v", err, n.read(number), ok, want)
		}
	}
	failed := own[len(own)-1]
	for _, err := range []error{errors.New("disk"), WithCode(Internal, errors.New("disk"))} {
		if number, ok := n.of(err); ok || !errors.Is(n.read(number), failed) {
			t.Errorf("an unknown error is told as %v, %v", n.read(number), ok)
		}
	}
	for _, number := range []int32{0, -1, n.last + 1} {
		if !errors.Is(n.read(number), failed) {
			t.Errorf("error %d is %v", number, n.read(number))
		}
	}
}

// coded are errors that have nothing but a code.
func coded(codes map[Code]error) map[error]error {
	others := map[error]error{}
	for code, want := range codes {
		others[WithCode(code, errors.New("x"))] = want
	}
	return others
}

func TestKVErrors(t *testing.T) {
	numbers{KVErrorNumber, KVError, lastKVError}.check(t, []error{
		op.ErrInvalid, op.ErrTooLarge, op.ErrNotInteger, op.ErrConflict, op.ErrRange, op.ErrQuota,
		op.ErrCompacted, op.ErrUnavailable, op.ErrUnknown, ErrNoStore, ErrStoreCalls, context.DeadlineExceeded, ErrStoreFailed,
	}, map[error]error{op.ErrClosed: op.ErrUnavailable})
}

// TestKVNumbersAreOps: consistencies and kinds stand on the wire as package op numbers them.
func TestKVNumbersAreOps(t *testing.T) {
	got := []int{int(op.Session), int(op.Local), int(op.Strong), int(op.HasRevision), int(op.HasValue), int(op.IsPresent),
		int(op.Set), int(op.Delete), int(op.Incr), int(op.Append), int(op.Touch), int(op.DeletePrefix)}
	if want := []int{0, 1, 2, 0, 1, 2, 1, 2, 3, 4, 5, 6}; !reflect.DeepEqual(got, want) {
		t.Errorf("numbers of package op = %v, want those of docs/ABI.md, %v", got, want)
	}
}

func TestKVAllocations(t *testing.T) {
	room := make([]byte, 0, 4096)
	items := []op.Item{{Key: "k", Value: make([]byte, 200), Revision: 1, Expires: time.Now()}}
	page := op.Page{Items: []op.Listed{{Item: items[0]}}, Cursor: "c"}
	result := op.Result{Revision: 1, Ops: []op.OpResult{{Found: true}}}
	txn := op.Txn{Ops: []op.Op{{Kind: op.Incr, Key: "k", Delta: 1}}}
	request := AppendKVTxn(nil, &txn)
	for _, tt := range []struct {
		name string
		want float64
		run  func()
	}{
		{"AppendKVItems into room", 0, func() { AppendKVItems(room, items) }},
		{"AppendKVPage into room", 0, func() { AppendKVPage(room, &page) }},
		{"AppendKVResult into room", 0, func() { AppendKVResult(room, &result) }},
		{"AppendKVTxn into nothing", 1, func() { AppendKVTxn(nil, &txn) }},
		{"AppendKVGet into nothing", 1, func() { AppendKVGet(nil, itemKeys, op.Strong) }},
		{"DecodeKVTxn", 2, func() { DecodeKVTxn(request) }}, // the ops and a key
	} {
		if got := testing.AllocsPerRun(100, tt.run); got > tt.want {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.want)
		}
	}
}

// fuzzKV fuzzes one message: our decoder and the protobuf library read the same of the same bytes, and what was read
// is written and read again unchanged.
func fuzzKV(f *testing.F, name string) {
	file := schema(f)
	var m kvMessage
	for _, m = range slices.Concat(kvMessages(), outgoingMessages(), queueMessages(), objectMessages()) {
		f.Add(m.append(m.sample))
		if m.name == name {
			break
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := m.decode(data)
		o := newOracle(t, file, name)
		if name == "KvItems" && err != nil {
			return // it may be the number of items
		}
		if !agree(t, o, data, err) {
			return
		}
		if want := m.oracle(o); said(got) != said(want) {
			t.Fatalf("decode(%x) = %v, protobuf reads %v", data, said(got), said(want))
		}
		again, err := m.decode(m.append(got))
		if err != nil || said(again) != said(got) {
			t.Fatalf("decode(encode(v)) = %v, %v, want %v", said(again), err, said(got))
		}
	})
}

func FuzzDecodeKVGet(f *testing.F)    { fuzzKV(f, "KvGet") }
func FuzzDecodeKVQuery(f *testing.F)  { fuzzKV(f, "KvQuery") }
func FuzzDecodeKVTxn(f *testing.F)    { fuzzKV(f, "KvTxn") }
func FuzzDecodeKVItems(f *testing.F)  { fuzzKV(f, "KvItems") }
func FuzzDecodeKVPage(f *testing.F)   { fuzzKV(f, "KvPage") }
func FuzzDecodeKVResult(f *testing.F) { fuzzKV(f, "KvResult") }
