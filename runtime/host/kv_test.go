package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/sdk/abi"
)

// asker makes store calls as a guest does: the request at requestAt, room for the answer at answerAt.
type asker struct {
	t    *testing.T
	mod  api.Module
	call *host.Call
	ctx  context.Context
}

const (
	requestAt = 0
	answerAt  = 32 << 10
)

func newAsker(t *testing.T, store host.Store) *asker {
	c := &host.Call{Phase: host.Handling, App: "shop", Store: store, MaxStoreCalls: 1000}
	return &asker{t, guest(t), c, context.WithValue(t.Context(), host.Key{}, c)}
}

// ask answers a call's result, the answer in the guest's memory, and what answer_read then says.
func (a *asker) ask(name string, request []byte, room, timeout uint64) (result int32, answer, kept []byte) {
	a.t.Helper()
	mem := a.mod.Memory()
	mem.Write(requestAt, request)
	out, err := a.mod.ExportedFunction(name).Call(a.ctx, requestAt, uint64(len(request)), answerAt, room, timeout)
	if err != nil {
		a.t.Fatalf("%s: %v", name, err)
	}
	result = api.DecodeI32(out[0])
	if result > 0 && uint64(result) <= room {
		answer, _ = mem.Read(answerAt, uint32(result))
		answer = bytes.Clone(answer)
	}
	return result, answer, a.kept()
}

func (a *asker) kept() []byte {
	a.t.Helper()
	read := a.mod.ExportedFunction(abi.ImportAnswerRead)
	out, err := read.Call(a.ctx, answerAt, 0)
	if err != nil {
		a.t.Fatal(err)
	}
	n := uint32(out[0])
	a.mod.Memory().Grow((n + 1<<16 - 1) >> 16)
	if out, err = read.Call(a.ctx, answerAt, uint64(n)); err != nil || uint32(out[0]) != n {
		a.t.Fatalf("answer_read = %v, %v, want %d again", out, err, n)
	}
	kept, _ := a.mod.Memory().Read(answerAt, n)
	return bytes.Clone(kept)
}

func (a *asker) get(keys ...string) []op.Item {
	a.t.Helper()
	result, answer, kept := a.ask(abi.ImportKVGet, abi.AppendKVGet(nil, keys, op.Session), 1<<15, 0)
	items, err := abi.DecodeKVItems(answer, keys)
	if err != nil {
		a.t.Fatalf("get %q = %d %q, %v", keys, result, kept, err)
	}
	return items
}

func (a *asker) commit(t op.Txn) (int32, op.Result, string) {
	a.t.Helper()
	n, answer, kept := a.ask(abi.ImportKVCommit, abi.AppendKVTxn(nil, &t), 1<<15, 0)
	r, err := abi.DecodeKVResult(answer)
	if err != nil {
		a.t.Fatal(err)
	}
	return n, r, string(kept)
}

func set(key, value string) op.Txn {
	return op.Txn{Ops: []op.Op{{Kind: op.Set, Key: key, Value: []byte(value)}}}
}

func TestStoreCalls(t *testing.T) {
	store := &op.Memory{}
	a := newAsker(t, store)
	n, set1, kept := a.commit(op.Txn{Ops: []op.Op{
		{Kind: op.Set, Key: "a", Value: []byte("1")}, {Kind: op.Incr, Key: "n", Delta: -3}, {Kind: op.Set, Key: "b"}}})
	if n <= 0 || set1.Revision == 0 || set1.Ops[1].Integer != -3 || len(kept) != 0 {
		t.Fatalf("commit = %d %+v %q", n, set1, kept)
	}
	items := a.get("n", "none", "a")
	if len(items) != 3 || string(items[0].Value) != "-3" || items[1].Revision != 0 || string(items[2].Value) != "1" || items[2].Revision != set1.Revision {
		t.Errorf("get = %+v", items)
	}
	if items := a.get("none"); items[0].Revision != 0 {
		t.Errorf("get of an absent key = %+v", items)
	}
	_, answer, _ := a.ask(abi.ImportKVList, abi.AppendKVQuery(nil, &op.Query{Limit: 2}), 4096, 0)
	page, err := abi.DecodeKVPage(answer)
	if err != nil || len(page.Items) != 2 || page.Items[0].Key != "a" || page.Items[1].Key != "b" || page.Cursor == "" {
		t.Errorf("list = %+v, %v", page, err)
	}
	if item, err := store.Get(t.Context(), "shop", "a", op.Read{}); err != nil || string(item.Value) != "1" {
		t.Errorf("the store has %+v, %v in the app's namespace", item, err)
	}
	other := newAsker(t, store)
	other.call.App = "other"
	if items := other.get("a"); items[0].Revision != 0 {
		t.Errorf("another app sees %+v", items)
	}
}

// TestAnswerIsKept asks for more than there is room for: nothing is done twice, and the next call forgets.
func TestAnswerIsKept(t *testing.T) {
	a := newAsker(t, &op.Memory{})
	a.commit(set("long", strings.Repeat("x", 1000)))
	for room := uint64(0); room < 1100; room += 100 {
		n, answer, kept := a.ask(abi.ImportKVGet, abi.AppendKVGet(nil, []string{"long"}, op.Session), room, 0)
		if uint64(n) > room {
			answer = kept
		} else if len(kept) != 0 {
			t.Errorf("room of %d: %d bytes kept beside the answer", room, len(kept))
		}
		if items, err := abi.DecodeKVItems(answer, []string{"long"}); err != nil || len(items[0].Value) != 1000 || int(n) != len(answer) {
			t.Errorf("room of %d: %d, %d items, %v", room, n, len(items), err)
		}
	}
	increment := abi.AppendKVTxn(nil, &op.Txn{Ops: []op.Op{{Kind: op.Incr, Key: "n", Delta: 1}}})
	n, _, kept := a.ask(abi.ImportKVCommit, increment, 1, 0)
	if r, err := abi.DecodeKVResult(kept); err != nil || int(n) != len(kept) || r.Ops[0].Integer != 1 {
		t.Errorf("increment without room = %d %+v, %v, want 1", n, r, err)
	}
	if items := a.get("n"); string(items[0].Value) != "1" || len(a.kept()) != 0 {
		t.Errorf("n = %q, want 1, and %d bytes still kept", items[0].Value, len(a.kept()))
	}
}

func TestStoreErrors(t *testing.T) {
	store := &op.Memory{}
	if err := store.SetQuota(t.Context(), "shop", op.Quota{Keys: 2}); err != nil {
		t.Fatal(err)
	}
	a := newAsker(t, store)
	a.commit(set("text", "x"))
	get := func(keys ...string) []byte { return abi.AppendKVGet(nil, keys, op.Session) }
	txn := func(ops ...op.Op) []byte { return abi.AppendKVTxn(nil, &op.Txn{Ops: ops}) }
	for _, tt := range []struct {
		name    string
		call    string
		request []byte
		want    error
		say     string
	}{
		{"malformed get", abi.ImportKVGet, []byte("\x0a\x05a"), op.ErrInvalid, "malformed message"},
		{"malformed list", abi.ImportKVList, []byte("\xff"), op.ErrInvalid, "malformed message"},
		{"malformed commit", abi.ImportKVCommit, []byte("\x12\x02\x12\x05"), op.ErrInvalid, "malformed message"},
		{"too many keys", abi.ImportKVGet, get(make([]string, 129)...), op.ErrTooLarge, "128 keys"},
		{"too many operations", abi.ImportKVCommit, txn(make([]op.Op, 129)...), op.ErrTooLarge, "128 operations"},
		{"empty key", abi.ImportKVGet, get(""), op.ErrInvalid, "empty key"},
		{"long key", abi.ImportKVGet, get(strings.Repeat("k", op.MaxKeyBytes+1)), op.ErrTooLarge, "at most 2048"},
		{"long prefix", abi.ImportKVList, abi.AppendKVQuery(nil, &op.Query{Prefix: strings.Repeat("k", op.MaxKeyBytes+1)}), op.ErrTooLarge, "at most 2048"},
		{"unknown consistency", abi.ImportKVGet, abi.AppendKVGet(nil, []string{"a"}, 3), op.ErrInvalid, "consistency"},
		{"foreign cursor", abi.ImportKVList, abi.AppendKVQuery(nil, &op.Query{Cursor: "!"}), op.ErrInvalid, "cursor"},
		{"unknown operation", abi.ImportKVCommit, txn(op.Op{Kind: 99, Key: "a"}), op.ErrInvalid, "unknown kind"},
		{"no integer", abi.ImportKVCommit, txn(op.Op{Kind: op.Incr, Key: "text"}), op.ErrNotInteger, "text"},
		{"out of bounds", abi.ImportKVCommit, txn(op.Op{Kind: op.Incr, Key: "n", Delta: 9, Max: 8, Bounded: true}), op.ErrRange, "not within 0 and 8"},
		{"conflict", abi.ImportKVCommit, abi.AppendKVTxn(nil, &op.Txn{Checks: []op.Check{{Key: "text"}}}), op.ErrConflict, "text"},
		{"quota", abi.ImportKVCommit, txn(op.Op{Kind: op.Set, Key: "b"}, op.Op{Kind: op.Set, Key: "c"}), op.ErrQuota, "3 keys"},
	} {
		n, _, kept := a.ask(tt.call, tt.request, 1024, 0)
		if n >= 0 || !errors.Is(abi.KVError(-n), tt.want) || !strings.Contains(string(kept), tt.say) {
			t.Errorf("%s: %d %q, want %v and %q", tt.name, n, kept, tt.want, tt.say)
		}
	}
	if a.call.StoreFault != nil {
		t.Errorf("StoreFault = %v after errors of the guest", a.call.StoreFault)
	}
}

// fake is a store whose answers a test gives.
type fake struct {
	op.Memory
	err  error
	wait bool // until the context ends
	read op.Read
	size int // of each value that GetMany answers
}

func (f *fake) Get(ctx context.Context, namespace, key string, r op.Read) (op.Item, error) {
	f.read = r
	if f.wait {
		<-ctx.Done()
		return op.Item{}, fmt.Errorf("get: %w", ctx.Err())
	}
	if f.err != nil {
		return op.Item{}, f.err
	}
	return f.Memory.Get(ctx, namespace, key, r)
}

func (f *fake) GetMany(ctx context.Context, namespace string, keys []string, r op.Read) ([]op.Item, error) {
	if f.size == 0 {
		return f.Memory.GetMany(ctx, namespace, keys, r)
	}
	items := make([]op.Item, len(keys))
	for i := range items {
		items[i] = op.Item{Revision: 1, Value: make([]byte, f.size)}
	}
	return items, nil
}

func TestReadsCarryWhatWasSeen(t *testing.T) {
	store := &fake{}
	a := newAsker(t, store)
	a.get("a")
	if store.read.Seen != 0 {
		t.Errorf("the first read has seen %d", store.read.Seen)
	}
	_, r, _ := a.commit(set("a", "1"))
	a.get("a")
	if store.read != (op.Read{Seen: r.Revision}) {
		t.Errorf("a read after a write has seen %+v, want %d", store.read, r.Revision)
	}
	other := newAsker(t, store)
	_, later, _ := other.commit(set("b", "1"))
	a.get("b")
	a.get("a")
	if store.read.Seen != later.Revision {
		t.Errorf("a read after one of %d has seen %d", later.Revision, store.read.Seen)
	}
	_, newest, _ := other.commit(set("c", "1"))
	a.ask(abi.ImportKVList, nil, 4096, 0)
	a.get("a")
	if store.read.Seen != newest.Revision {
		t.Errorf("a read after a listing at %d has seen %d", newest.Revision, store.read.Seen)
	}
}

func TestStoreLimits(t *testing.T) {
	a := newAsker(t, &fake{size: op.MaxValueBytes})
	keys := []string{"a", "b", "c", "d"}
	if n, _, kept := a.ask(abi.ImportKVGet, abi.AppendKVGet(nil, keys, 0), 0, 0); n < 4*op.MaxValueBytes || int(n) != len(kept) {
		t.Errorf("get of 4 MiB = %d %.80q", n, kept)
	}
	n, _, kept := a.ask(abi.ImportKVGet, abi.AppendKVGet(nil, append(keys, "e"), 0), 0, 0)
	if n >= 0 || !errors.Is(abi.KVError(-n), op.ErrTooLarge) || !strings.Contains(string(kept), "at most 4194304 are read at once") {
		t.Errorf("get of 5 MiB = %d %.80q", n, kept)
	}
	a.call.MaxStoreCalls = 3
	a.get("a")
	n, _, kept = a.ask(abi.ImportKVGet, abi.AppendKVGet(nil, keys[:1], 0), 0, 0)
	if n >= 0 || !errors.Is(abi.KVError(-n), abi.ErrStoreCalls) || !strings.Contains(string(kept), "3") {
		t.Errorf("the fourth call = %d %q, want %v", n, kept, abi.ErrStoreCalls)
	}
	none := newAsker(t, nil)
	if n, _, kept := none.ask(abi.ImportKVCommit, nil, 0, 0); !errors.Is(abi.KVError(-n), abi.ErrNoStore) || string(kept) != abi.ErrNoStore.Error() {
		t.Errorf("commit without a store = %d %q", n, kept)
	}
}

func TestStoreFaultIsForTheNode(t *testing.T) {
	disk := errors.New("read /secret/path: input/output error")
	a := newAsker(t, &fake{err: disk})
	n, _, kept := a.ask(abi.ImportKVGet, abi.AppendKVGet(nil, []string{"a"}, 0), 512, 0)
	if !errors.Is(abi.KVError(-n), abi.ErrStoreFailed) || strings.Contains(string(kept), "secret") || !errors.Is(a.call.StoreFault, disk) {
		t.Errorf("get = %d %q, StoreFault %v", n, kept, a.call.StoreFault)
	}
	coded := abi.WithCode(abi.InvalidInput, fmt.Errorf("list: %w", op.ErrCompacted))
	a = newAsker(t, &fake{err: coded})
	if n, _, _ := a.ask(abi.ImportKVGet, abi.AppendKVGet(nil, []string{"a"}, 0), 512, 0); !errors.Is(abi.KVError(-n), op.ErrCompacted) {
		t.Errorf("an error with a code is told as %v, want %v", abi.KVError(-n), op.ErrCompacted)
	}
}

// waits counts what a waiter is told.
type waits struct{ began, ended int }

func (w *waits) Waiting() { w.began++ }
func (w *waits) Waited()  { w.ended++ }

func TestStoreCallsEnd(t *testing.T) {
	wantEnds(t, newAsker(t, &fake{wait: true}), abi.ImportKVGet, abi.AppendKVGet(nil, []string{"a"}, 0),
		func(number int32) error { return abi.KVError(number) })
}

func TestStoreCallsTrap(t *testing.T) {
	const page = 1 << 16
	for _, name := range []string{abi.ImportKVGet, abi.ImportKVList, abi.ImportKVCommit} {
		for _, tt := range []struct {
			phase  host.Phase
			params []uint64
			trap   string
		}{
			{host.Initializing, []uint64{0, 0, 0, 0, 0}, "there is no outside world while the module is initialised"},
			{host.Describing, []uint64{0, 0, 0, 0, 0}, "there is no outside world"},
			{host.Drawing, []uint64{0, 0, 0, 0, 0}, "there is no outside world"},
			{host.Handling, []uint64{page - 1, 2, 0, 0, 0}, "2 bytes at 65535 are outside of memory"},
			{host.Handling, []uint64{0, page + 1, 0, 0, 0}, "outside of memory"},
			{host.Handling, []uint64{1<<32 - 1, 1<<32 - 1, 0, 0, 0}, "outside of memory"},
			{host.Handling, []uint64{0, 0, page - 10, 11, 0}, "11 bytes at 65526 are outside of memory"},
			{host.Commanding, []uint64{0, 0, 1<<32 - 1, 1, 0}, "outside of memory"},
		} {
			store := &op.Memory{}
			a := newAsker(t, store)
			a.call.Phase = tt.phase
			_, err := a.mod.ExportedFunction(name).Call(a.ctx, tt.params...)
			var trap *host.Trap
			if !errors.As(err, &trap) || !strings.Contains(trap.Reason, tt.trap) || !strings.HasPrefix(trap.Reason, name) {
				t.Errorf("%s%v while %d: %v, want trap %q", name, tt.params, tt.phase, err, tt.trap)
			}
			if store.Revision() != 0 {
				t.Errorf("%s%v traps and has an effect", name, tt.params)
			}
		}
	}
	a := newAsker(t, nil)
	a.ask(abi.ImportKVGet, nil, 0, 0)
	if _, err := a.mod.ExportedFunction(abi.ImportAnswerRead).Call(a.ctx, 1<<31, 100); err == nil {
		t.Error("answer_read beyond the memory does not trap")
	}
}

// TestOverlap writes the answer over the request.
func TestOverlap(t *testing.T) {
	a := newAsker(t, &op.Memory{})
	request := abi.AppendKVTxn(nil, &op.Txn{Ops: []op.Op{
		{Kind: op.Set, Key: "a", Value: []byte("before")}, {Kind: op.Set, Key: "a", Value: []byte("after"), Previous: true}}})
	a.mod.Memory().Write(0, request)
	out, err := a.mod.ExportedFunction(abi.ImportKVCommit).Call(a.ctx, 0, uint64(len(request)), 0, 1024, 0)
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := a.mod.Memory().Read(0, uint32(out[0]))
	r, err := abi.DecodeKVResult(answer)
	if err != nil || string(r.Ops[1].Previous) != "before" {
		t.Errorf("result = %+v, %v", r, err)
	}
	if items := a.get("a"); string(items[0].Value) != "after" {
		t.Errorf("a = %q, want after", items[0].Value)
	}
}

// FuzzStoreCalls gives the calls any request and any room: each answers, or traps with a reason.
func FuzzStoreCalls(f *testing.F) {
	f.Add(uint8(0), abi.AppendKVGet(nil, []string{"a", "b"}, op.Strong), uint32(100))
	f.Add(uint8(1), abi.AppendKVQuery(nil, &op.Query{Prefix: "a", Limit: 1}), uint32(0))
	f.Add(uint8(2), abi.AppendKVTxn(nil, &op.Txn{Ops: []op.Op{{Kind: op.Set, Key: "a", Value: []byte("1")}}}), uint32(1<<17))
	names := []string{abi.ImportKVGet, abi.ImportKVList, abi.ImportKVCommit}
	f.Fuzz(func(t *testing.T, call uint8, request []byte, room uint32) {
		if len(request) > answerAt {
			return
		}
		store := &op.Memory{}
		a := newAsker(t, store)
		a.fuzz(names[call%3], request, room)
		if u, err := store.Usage(t.Context(), "other"); err != nil || u.Keys != 0 {
			t.Fatalf("another app's usage = %+v, %v", u, err)
		}
	})
}

// BenchmarkStoreCalls measures a guest's call over a store in memory, its reading included.
func BenchmarkStoreCalls(b *testing.B) {
	store := &op.Memory{}
	if _, err := store.Commit(b.Context(), op.Txn{Namespace: "shop", Ops: []op.Op{{Kind: op.Set, Key: "a", Value: make([]byte, 100)}}}); err != nil {
		b.Fatal(err)
	}
	c := &host.Call{Phase: host.Handling, App: "shop", Store: store, MaxStoreCalls: -1}
	ctx := context.WithValue(b.Context(), host.Key{}, c)
	mod := guest(b)
	for _, call := range []struct {
		name    string
		request []byte
	}{
		{abi.ImportKVGet, abi.AppendKVGet(nil, []string{"a"}, op.Session)},
		{abi.ImportKVCommit, abi.AppendKVTxn(nil, &op.Txn{Ops: []op.Op{{Kind: op.Incr, Key: "n", Delta: 1}}})},
	} {
		b.Run(call.name, func(b *testing.B) {
			mod.Memory().Write(0, call.request)
			f := mod.ExportedFunction(call.name)
			stack := make([]uint64, 5)
			b.ReportAllocs()
			for b.Loop() {
				copy(stack, []uint64{0, uint64(len(call.request)), 4096, 512, 0})
				if err := f.CallWithStack(ctx, stack); err != nil || api.DecodeI32(stack[0]) <= 0 {
					b.Fatal(err, stack[0])
				}
			}
		})
	}
}

// wantEnds makes a call that has to wait: it ends with its own timeout, whose number fault reads, and with the invocation.
func wantEnds(t *testing.T, a *asker, name string, request []byte, fault func(number int32) error) {
	t.Helper()
	w := &waits{}
	a.call.Waiter = w
	n, _, kept := a.ask(name, request, 512, 1)
	if !errors.Is(fault(-n), context.DeadlineExceeded) || !strings.Contains(string(kept), "no answer within 1ms") {
		t.Errorf("%s that wants to wait 1 ms = %d %q", name, n, kept)
	}
	for _, timeout := range []uint64{0, 3_600_000} {
		ctx, cancel := context.WithTimeout(a.ctx, 10*time.Millisecond)
		_, err := a.mod.ExportedFunction(name).Call(ctx, requestAt, uint64(len(request)), answerAt, 512, timeout)
		cancel()
		if !errors.Is(err, wasip1.ErrInterrupted) {
			t.Errorf("%s with timeout %d at the deadline: %v, want %v", name, timeout, err, wasip1.ErrInterrupted)
		}
	}
	if *w != (waits{3, 3}) {
		t.Errorf("%s: the waiter was told of %+v, want 3 each", name, *w)
	}
}

// fuzz makes a call with any request and any room: it answers, a fault with a message, or traps with a reason. Negative: it
// did not answer.
func (a *asker) fuzz(name string, request []byte, room uint32) (n int32) {
	a.t.Helper()
	a.mod.Memory().Write(requestAt, request)
	out, err := a.mod.ExportedFunction(name).Call(a.ctx, requestAt, uint64(len(request)), answerAt, uint64(room), 0)
	if err != nil {
		var trap *host.Trap
		if !errors.As(err, &trap) {
			a.t.Fatalf("%s(%x): %v", name, request, err)
		}
		return -1
	}
	n = api.DecodeI32(out[0])
	if n < 0 && len(a.kept()) == 0 {
		a.t.Fatalf("%s(%x) = %d without a message", name, request, n)
	}
	return n
}

// wantTraps calls a function that takes a request while nothing may be asked, and with a request and room for the answer
// that are outside of memory: it traps, with its name and the reason.
func wantTraps(t *testing.T, name string, ask func() *asker) {
	t.Helper()
	for _, tt := range []struct {
		phase  host.Phase
		params []uint64
		trap   string
	}{
		{host.Initializing, []uint64{0, 0, 0, 0, 0}, "there is no outside world"},
		{host.Handling, []uint64{1<<16 - 1, 2, 0, 0, 0}, "outside of memory"},
		{host.Commanding, []uint64{0, 0, 1<<32 - 1, 1, 0}, "outside of memory"},
	} {
		a := ask()
		a.call.Phase = tt.phase
		_, err := a.mod.ExportedFunction(name).Call(a.ctx, tt.params...)
		var trap *host.Trap
		if !errors.As(err, &trap) || !strings.Contains(trap.Reason, tt.trap) || !strings.HasPrefix(trap.Reason, name) {
			t.Errorf("%s%v while %d: %v, want trap %q", name, tt.params, tt.phase, err, tt.trap)
		}
	}
}
