package component

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

func TestHandles(t *testing.T) {
	w := newWorld(t)
	a, b := w.do("[constructor]fields"), w.do("[constructor]fields")
	if a != 3 || b != 4 { // behind the request and the outparam
		t.Errorf("the first handles are %d and %d, want 3 and 4", a, b)
	}
	w.do(drop+"fields", a)
	if c := w.do("[constructor]fields"); c != a {
		t.Errorf("the handle behind %d dropped is %d, want the same", a, c)
	}
	w.traps("stands for nothing, want a fields", drop+"fields", 99)
	w.traps("stands for nothing", drop+"fields", 0)
	w.traps("stands for nothing", drop+"fields", 1<<31)
	w.traps("handle 4 stands for a fields, want a pollable", "[method]pollable.ready", b)
	w.traps("handle 1 stands for a incoming-request, want a fields", drop+"fields", 1)
	w.do(drop+"fields", b)
	w.traps("stands for nothing", drop+"fields", b)
}

func TestHandleParts(t *testing.T) {
	w := newWorld(t)
	request, _ := w.begin(&abi.Event{Method: "POST", Body: []byte("hello")})
	w.do("[method]incoming-request.consume", request, result)
	body := w.u32(result + 4)
	w.do("[method]incoming-body.stream", body, result)
	stream := w.u32(result + 4)
	p := w.do("[method]input-stream.subscribe", stream)
	w.traps("1 of its parts", drop+"incoming-body", body)
	w.traps("1 of its parts", "[static]incoming-body.finish", body)
	w.traps("1 of its parts", drop+"input-stream", stream)
	w.do(drop+"pollable", p)
	w.do(drop+"input-stream", stream)
	w.do("[static]incoming-body.finish", body)
}

func TestMaxHandles(t *testing.T) {
	w := newWorld(t)
	for range MaxHandles - 2 {
		w.call.own(new(pollable), 0)
	}
	w.traps("more than 16384 handles", "[constructor]fields")
	w.do(drop+"pollable", 3)
	w.do("[constructor]fields")
}

// TestMemory hands the host what is not the guest's to hand.
func TestMemory(t *testing.T) {
	w := newWorld(t)
	end := uint64(w.module.Memory().Size())
	fields := w.do("[constructor]fields")
	w.traps("are outside of memory", "[method]fields.has", fields, end-1, 2)
	w.traps("are outside of memory", "[method]fields.has", fields, 1<<32-1, 1)
	w.traps("a list of 4294967295 elements", "[static]fields.from-list", 0, 1<<32-1, result)
	w.traps("not aligned", "[static]fields.from-list", 2, 1, result)
	w.traps("not aligned", "[method]fields.entries", fields, result+2)
	w.traps("is outside of memory", "[method]fields.entries", fields, end)
	w.traps("poll of 0 things", "poll", 0, 0, result)
	w.traps("poll of 4097 things", "poll", 0, MaxPolled+1, result)
	w.traps("65537 random bytes", "get-random-bytes", MaxRandomBytes+1, result)
	ptr, n := w.text(first, "a\xff")
	w.traps("not UTF-8", "[method]fields.has", fields, ptr, n)
	// The upper half of a 32-bit number is garbage, which must not matter.
	ptr, n = w.text(first, "a")
	if got := w.do("[method]fields.has", fields, ptr|0xabc<<32, n|1<<40); got != 0 {
		t.Errorf("has = %d, want 0", got)
	}
}

// TestRealloc has a guest give memory that is none, and call the host while it is to give some.
func TestRealloc(t *testing.T) {
	list := functions()
	for reason, code := range map[string][]byte{
		"gave 3 bytes at 2147483647":  wasmtest.I32(1<<31 - 1),
		"gave 3 bytes at 6553598":     wasmtest.I32(100<<16 - 2),
		"wasm error: unreachable":     wasmtest.Unreachable(),
		"wasm error: integer divide ": append(append(wasmtest.I32(1), wasmtest.I32(0)...), 0x6d),
	} {
		m := new(wasmtest.Module)
		m.Memory(0, 100)
		m.Func("realloc", "iiii:i", code)
		w := newWorldOf(t, fixture(list, m.Bytes(), driver(list)))
		w.call.Process.Env = []string{"abc=d"}
		_, err := w.try("get-random-bytes", 3, result)
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("get-random-bytes: %v, want %q", err, reason)
		}
		if w.call.inside {
			t.Error("the guest counts as inside behind a trap")
		}
	}
	w := newWorld(t)
	w.call.After()
	w.traps("called the host while", "get-random-u64")
}

// TestReentrance has a guest call the host while it is asked for memory, whose call is not done.
func TestReentrance(t *testing.T) {
	list := functions()
	random := slices.IndexFunc(list, func(f function) bool { return strings.HasSuffix(f.name, "random@0.2#get-random-u64") })
	w := newWorldOf(t, fixture(list, wasmtest.Libc(), driver(list, func(m *wasmtest.Module) {
		m.Func("reenter", "iiii:i", wasmtest.Call(uint32(random)), wasmtest.Drop(), wasmtest.I32(first))
	})), "reenter")
	for i := range w.call.Guest.reallocs {
		w.call.Guest.reallocs[i] = w.module.ExportedFunction("reenter")
	}
	w.traps("called the host while it was giving it memory", "get-random-bytes", 3, result)
	if w.call.inside {
		t.Error("the guest counts as inside behind a trap")
	}
	w.do("get-random-u64")
}

// TestGiantLengths hands the host lengths that no memory has: they trap, or mean as much as there is.
func TestGiantLengths(t *testing.T) {
	const most, all = 1<<32 - 1, 1<<64 - 1
	w := newWorld(t)
	request, _ := w.begin(&abi.Event{Method: "POST", Body: []byte("hello")})
	w.call.Store = new(state)
	bucket, out := w.bucket("@0.2"), w.do("get-stdout")
	w.traps("4294967295 bytes at 0 are outside of memory", "[method]output-stream.write", out, 0, most, result)
	w.traps("4294967295 bytes at 8 are outside of memory", "[method]output-stream.blocking-write-and-flush", out, 8, most, result)
	w.traps("zeros, more than", "[method]output-stream.blocking-write-zeroes-and-flush", out, all, result)
	w.traps("are outside of memory", "wasi:keyvalue/store@0.2#[method]bucket.get", bucket, 0, most, result)
	w.traps("are outside of memory", "wasi:logging/logging#log", 1, 0, most, 0, most)
	w.traps("a list of 2147483648 elements", "[static]fields.from-list", 0, 1<<31, result)
	w.traps("random bytes at once", "get-random-bytes", all, result)
	w.traps("poll of 4294967295 things", "poll", 0, most, result)
	w.do("[method]incoming-request.consume", request, result)
	w.do("[method]incoming-body.stream", w.u32(result+4), result)
	in := w.u32(result + 4)
	w.do("[method]input-stream.read", in, all, result)
	if w.u8(result) != 0 || w.string(result+4) != "hello" {
		t.Errorf("a read of all there can be = %d, %q", w.u8(result), w.string(result+4))
	}
	for _, name := range []string{"[method]input-stream.skip", "[method]input-stream.blocking-read"} {
		if w.do(name, in, all, result); w.u8(result) != 1 {
			t.Errorf("%s behind the end succeeds", name)
		}
	}
}

func TestStreams(t *testing.T) {
	w := newWorld(t)
	request, _ := w.begin(&abi.Event{Method: "POST", Body: []byte("hello, world")})
	w.do("[method]incoming-request.consume", request, result)
	body := w.u32(result + 4)
	w.do("[method]incoming-body.stream", body, result)
	in := w.u32(result + 4)
	if w.do("[method]incoming-body.stream", body, result); w.u8(result) != 1 {
		t.Error("a body gives its stream away twice")
	}
	if w.do("[method]input-stream.read", in, 0, result); w.u8(result) != 0 || w.string(result+4) != "" {
		t.Errorf("read of nothing: %d %q", w.u8(result), w.string(result+4))
	}
	if w.do("[method]input-stream.blocking-read", in, 5, result); w.u8(result) != 0 || w.string(result+4) != "hello" {
		t.Errorf("read: %d %q, want hello", w.u8(result), w.string(result+4))
	}
	if w.do("[method]input-stream.skip", in, 2, result); w.u8(result) != 0 || w.u64(result+8) != 2 {
		t.Errorf("skip: %d %d, want 2", w.u8(result), w.u64(result+8))
	}
	out := w.do("get-stdout")
	if w.do("[method]output-stream.check-write", out, result); w.u8(result) != 0 || w.u64(result+8) != maxRoom {
		t.Errorf("check-write: %d %d, want %d", w.u8(result), w.u64(result+8), maxRoom)
	}
	if w.do("[method]output-stream.splice", out, in, 1<<40, result); w.u8(result) != 0 || w.u64(result+8) != 5 {
		t.Errorf("splice: %d %d, want 5", w.u8(result), w.u64(result+8))
	}
	if w.do("[method]input-stream.blocking-read", in, 5, result); w.u8(result) != 1 || w.u8(result+4) != 1 {
		t.Errorf("read at the end: %d %d, want closed", w.u8(result), w.u8(result+4))
	}
	ptr, n := w.text(first, "!\n")
	w.do("[method]output-stream.write", out, ptr, n, result)
	w.do("[method]output-stream.blocking-write-and-flush", out, ptr, n, result)
	w.do("[method]output-stream.write-zeroes", out, 3, result)
	w.do("[method]output-stream.blocking-flush", out, result)
	if got, want := w.out.String(), "world!\n!\n\x00\x00\x00"; got != want {
		t.Errorf("written: %q, want %q", got, want)
	}
	w.traps("more than 4096", "[method]output-stream.blocking-write-and-flush", out, 0, 4097, result)
	w.traps("where the stream takes 65536", "[method]output-stream.write", out, 0, maxRoom+1, result)
	w.traps("write of 9223372036854775807 zeros", "[method]output-stream.write-zeroes", out, 1<<63-1, result)
}

var errBroken = errors.New("broken")

// broken is a stream that breaks.
type broken struct{}

func (broken) read(int) ([]byte, error)  { return nil, errBroken }
func (broken) ready() bool               { return true }
func (broken) room() (int, error)        { return 10, nil }
func (broken) write(*Call, []byte) error { return errBroken }
func (broken) flush() error              { return errBroken }

func TestStreamErrors(t *testing.T) {
	w := newWorld(t)
	in, out := uint64(w.call.own(&inputStream{source: broken{}}, 0)), uint64(w.call.own(&outputStream{sink: broken{}}, 0))
	look := func(payload uint32) {
		t.Helper()
		if w.u8(result) != 1 || w.u8(result+payload) != 0 {
			t.Fatalf("result %d %d, want a failed operation", w.u8(result), w.u8(result+payload))
		}
		e := w.u32(result + payload + 4)
		w.do("[method]error.to-debug-string", e, second)
		if got := w.string(second); got != "broken" {
			t.Errorf("the error is %q, want broken", got)
		}
		w.do("http-error-code", e, second)
		w.do("filesystem-error-code", e, second)
		w.do(drop+"error", e)
	}
	w.do("[method]input-stream.read", in, 1, result)
	look(4)
	w.do("[method]output-stream.write", out, first, 1, result)
	look(4)
	if w.do("[method]output-stream.check-write", out, result); w.u8(result) != 1 || w.u8(result+8) != 1 {
		t.Errorf("check-write of a broken stream: %d %d, want closed", w.u8(result), w.u8(result+8))
	}
	for name, h := range map[string]uint64{"[method]input-stream.subscribe": in, "[method]output-stream.subscribe": out} {
		if p := w.do(name, h); w.do("[method]pollable.ready", p) != 1 {
			t.Errorf("%s: a broken stream is not ready", name)
		}
	}
}

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.cancel()
		start := time.Now()
		hour, minute := w.do("subscribe-duration", uint64(time.Hour)), w.do("subscribe-duration", uint64(time.Minute))
		for i, h := range []uint64{hour, minute} {
			w.module.Memory().WriteUint32Le(first+uint32(4*i), uint32(h))
		}
		w.do("poll", first, 2, result)
		if took := time.Since(start); took != time.Minute || w.u32(result+4) != 1 || w.u32(uint32(w.u32(result))) != 1 {
			t.Errorf("poll answered %d things, the first %d, after %v; want the second after a minute", w.u32(result+4), w.u32(uint32(w.u32(result))), took)
		}
		if ready := w.do("[method]pollable.ready", hour); ready != 0 {
			t.Error("an hour is over after a minute")
		}
		w.do("[method]pollable.block", hour)
		if took := time.Since(start); took != time.Hour {
			t.Errorf("block took %v, want an hour", took)
		}
		past := w.do("subscribe-instant", 1)
		w.do("[method]pollable.block", past)
		// The end of the invocation ends a poll.
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		w.ctx = ctx
		_, err := w.try("[method]pollable.block", w.do("subscribe-duration", 1<<64-1))
		if !errors.Is(err, wasip1.ErrInterrupted) {
			t.Errorf("block behind the deadline: %v, want %v", err, wasip1.ErrInterrupted)
		}
	})
}

// TestLooks has a guest call the host on and on behind its end.
func TestLooks(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	w.ctx = ctx
	for n := range lookEvery {
		if _, err := w.try("get-random-u64"); err != nil {
			if !errors.Is(err, wasip1.ErrInterrupted) {
				t.Errorf("call %d: %v, want %v", n, err, wasip1.ErrInterrupted)
			}
			return
		}
	}
	t.Errorf("%d calls behind the end", lookEvery)
}

func TestWorld(t *testing.T) {
	w := newWorld(t)
	w.call.Process.Env, w.call.Process.Args = []string{"A=b", "C=d=e"}, []string{"f"}
	w.call.Settings = map[string]string{"k": "v", "a": ""}
	w.do("get-environment", result)
	if got := strings.Join(w.strings(result, 2), " "); got != "A b C d=e" {
		t.Errorf("environment %q", got)
	}
	w.do("get-arguments", result)
	if got := strings.Join(w.strings(result, 1), " "); got != "f" {
		t.Errorf("arguments %q", got)
	}
	w.do("get-directories", result)
	if n := w.u32(result + 4); n != 0 {
		t.Errorf("%d directories", n)
	}
	w.do("get-random-bytes", 32, result)
	a := w.string(result)
	w.do("get-insecure-random-bytes", 32, result)
	if b := w.string(result); len(a) != 32 || len(b) != 32 || a == b {
		t.Errorf("random bytes %x and %x", a, b)
	}
	if w.do("get-random-u64") == w.do("get-insecure-random-u64") {
		t.Error("two random numbers are the same")
	}
	w.call.Process.Random = bytes.NewReader(make([]byte, 16))
	if w.do("insecure-seed", result); w.u64(result) != 0 || w.u64(result+8) != 0 {
		t.Error("random numbers are not those of the process")
	}
	k, n := w.text(first, "k")
	for _, at := range []string{"wasi:config/store@0.2", "wasi:config/runtime@0.2"} {
		if w.do(at+"#get", k, n, result); w.u8(result) != 0 || w.u8(result+4) != 1 || w.string(result+8) != "v" {
			t.Errorf("%s: %d %d %q, want v", at, w.u8(result), w.u8(result+4), w.string(result+8))
		}
		if w.do(at+"#get", k, 0, result); w.u8(result) != 0 || w.u8(result+4) != 0 {
			t.Errorf("%s: an unknown key has a value", at)
		}
		w.do(at+"#get-all", result)
		if got := strings.Join(w.strings(result+4, 2), "|"); got != "a||k|v" {
			t.Errorf("%s: all are %q", at, got)
		}
	}
	text, m := w.text(second, "hello")
	w.do("wasi:logging/logging#log", 4, k, n, text, m)
	w.do("wasi:logging/logging@0.1#log", 99, k, 0, text, m)
	if got := strings.Join(w.logged, " "); got != `{"attrs":{"context":"k"},"msg":"hello"} {"msg":"hello"}` {
		t.Errorf("logged %s", got)
	}
	w.traps("a record of 1048577 bytes", "wasi:logging/logging#log", 4, k, n, 1<<20, MaxRecordBytes)
	w.do("wasi:clocks/wall-clock@0.2#now", result)
	if got := time.Unix(int64(w.u64(result)), int64(w.u32(result+8))); time.Since(got).Abs() > time.Hour {
		t.Errorf("the wall clock shows %v", got)
	}
	if a, b := w.do("wasi:clocks/monotonic-clock@0.2#now"), w.do("wasi:clocks/monotonic-clock@0.2#now"); a > b || a < uint64(time.Second) {
		t.Errorf("the monotonic clock shows %d, then %d", a, b)
	}
}

func TestExit(t *testing.T) {
	w := newWorld(t)
	if _, err := w.try("exit", 1); err == nil || !w.call.Process.Exited || w.call.Process.ExitCode != 1 {
		t.Errorf("exit: %v, %+v", err, w.call.Process)
	}
}

func TestSocketsRefuse(t *testing.T) {
	w := newWorld(t)
	network := w.do("instance-network")
	for _, f := range []struct {
		name string
		args []uint64
	}{
		{"create-tcp-socket", []uint64{0, result}}, {"create-udp-socket", []uint64{0, result}},
		{"resolve-addresses", []uint64{network, first, 3, result}},
	} {
		w.do(f.name, f.args...)
		if w.u8(result) != 1 || w.u8(result+4) != accessDenied {
			t.Errorf("%s: %d %d, want access denied", f.name, w.u8(result), w.u8(result+4))
		}
	}
	w.traps("stands for nothing, want a tcp-socket", "[method]tcp-socket.accept", 7, result)
}
