package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// Functions of the host that the components of these tests import, by their place.
const (
	newFields = iota
	newResponse
	responseBody
	setResponse
	bodyWrite
	writeAll
	dropStream
	finishBody
	requestPath
	sleepFor
	block
	exit
	randomNumber
	getStdout
	consumeBody
	readBody
	spliceAll
	appendField
	endBody
	awaitTrailers
	getTrailers
)

// componentImports answers their names and signatures.
func componentImports() []struct{ name, sig string } {
	return []struct{ name, sig string }{
		newFields:    {"wasi:http/types@0.2.4#[constructor]fields", ":i"},
		newResponse:  {"wasi:http/types@0.2.4#[constructor]outgoing-response", "i:i"},
		responseBody: {"wasi:http/types@0.2.4#[method]outgoing-response.body", "ii:"},
		setResponse:  {"wasi:http/types@0.2.4#[static]response-outparam.set", "iiiiliiii:"},
		bodyWrite:    {"wasi:http/types@0.2.4#[method]outgoing-body.write", "ii:"},
		writeAll:     {"wasi:io/streams@0.2.1#[method]output-stream.blocking-write-and-flush", "iiii:"},
		dropStream:   {"[resource-drop]output-stream", "i:"},
		finishBody:   {"wasi:http/types@0.2.4#[static]outgoing-body.finish", "iiii:"},
		requestPath:  {"wasi:http/types@0.2.4#[method]incoming-request.path-with-query", "ii:"},
		sleepFor:     {"wasi:clocks/monotonic-clock@0.2.0#subscribe-duration", "l:i"},
		block:        {"wasi:io/poll@0.2.0#[method]pollable.block", "i:"},
		exit:         {"wasi:cli/exit@0.2.0#exit", "i:"},
		randomNumber: {"wasi:random/random@0.2.0#get-random-u64", ":l"},
		getStdout:    {"wasi:cli/stdout@0.2.0#get-stdout", ":i"},
		consumeBody:  {"wasi:http/types@0.2.4#[method]incoming-request.consume", "ii:"},
		readBody:     {"wasi:http/types@0.2.4#[method]incoming-body.stream", "ii:"},
		spliceAll:    {"wasi:io/streams@0.2.1#[method]output-stream.blocking-splice", "iili:"},
		appendField:  {"wasi:http/types@0.2.4#[method]fields.append", "iiiiii:"},

		endBody:       {"wasi:http/types@0.2.4#[static]incoming-body.finish", "i:i"},
		awaitTrailers: {"wasi:http/types@0.2.4#[method]future-trailers.subscribe", "i:i"},
		getTrailers:   {"wasi:http/types@0.2.4#[method]future-trailers.get", "ii:"},
	}
}

// counts is a component that answers how often its instance was asked, which must be once, unless the path's first letter
// has it do what a key of wild says. Start is the code of a start function; nil: it has none.
func counts(wild map[byte][]byte, start []byte) []byte {
	m := new(wasmtest.Module)
	imports := componentImports()
	names := make([]string, len(imports))
	for i, f := range imports {
		names[i] = f.name
		m.Import("host", f.name, f.sig)
	}
	m.ImportMemory("libc", "memory", 0, 1)
	load8, store8 := []byte{0x2d, 0, 0}, []byte{0x3a, 0, 0}
	handle := [][]byte{
		wasmtest.I32(600), wasmtest.I32(600), load8, wasmtest.I32(1), wasmtest.Add(), store8,
		wasmtest.Get(0), wasmtest.I32(1024), wasmtest.Call(requestPath),
	}
	for _, letter := range slices.Sorted(func(yield func(byte) bool) {
		for k := range wild {
			if !yield(k) {
				return
			}
		}
	}) {
		handle = append(handle, wasmtest.I32(1028), wasmtest.Load32(), wasmtest.I32(1), wasmtest.Add(), load8,
			wasmtest.I32(int32(letter)), []byte{0x46}, wasmtest.If(wild[letter]))
	}
	m.Func("handle", "ii:", append(handle, beginResponse(), writeCount(), endResponse())...)
	if start != nil {
		m.Start(m.Func("", ":", start))
	}
	m.Data(600, "0")
	return wasmtest.Proxy(wasmtest.Libc(), m.Bytes(), names...)
}

// beginResponse is the code that sets a response whose body is being written, writeCount that which writes how often
// the instance was asked, and endResponse that which ends the body.
func beginResponse() []byte {
	return slices.Concat(wasmtest.Call(newFields), wasmtest.Call(newResponse), wasmtest.Set(2),
		wasmtest.Get(2), wasmtest.I32(1040), wasmtest.Call(responseBody),
		wasmtest.Get(1), wasmtest.I32(0), wasmtest.Get(2), wasmtest.I32(0), wasmtest.I64(0), wasmtest.I32(0), wasmtest.I32(0),
		wasmtest.I32(0), wasmtest.I32(0), wasmtest.Call(setResponse),
		wasmtest.I32(1044), wasmtest.Load32(), wasmtest.I32(1056), wasmtest.Call(bodyWrite))
}

func writeCount() []byte {
	return slices.Concat(wasmtest.I32(1060), wasmtest.Load32(), wasmtest.I32(600), wasmtest.I32(1), wasmtest.I32(1072), wasmtest.Call(writeAll))
}

func endResponse() []byte {
	return slices.Concat(wasmtest.I32(1060), wasmtest.Load32(), wasmtest.Call(dropStream),
		wasmtest.I32(1044), wasmtest.Load32(), wasmtest.I32(0), wasmtest.I32(0), wasmtest.I32(1088), wasmtest.Call(finishBody))
}

// wildly is what a hostile or an unlucky component does, by the letter of its path, and how that ends.
func wildly() (code map[byte][]byte, want map[byte]string) {
	sleep := slices.Concat(wasmtest.I64(3600e9), wasmtest.Call(sleepFor), wasmtest.Call(block))
	return map[byte][]byte{
			't': wasmtest.Unreachable(),
			'l': wasmtest.Loop(),
			'p': sleep,
			'x': slices.Concat(wasmtest.I32(1), wasmtest.Call(exit)),
			'h': slices.Concat(wasmtest.I32(77), wasmtest.Call(block)),
			'w': slices.Concat(wasmtest.I32(1), wasmtest.Call(block)),
			'g': wasmtest.Loop(wasmtest.I32(100), wasmtest.Grow(), wasmtest.I32(-1), []byte{0x46}, wasmtest.If(wasmtest.Unreachable())),
			'm': wasmtest.Loop(wasmtest.Call(newFields), wasmtest.Drop()),
			'n': wasmtest.Return(),
			'o': slices.Concat(wasmtest.Get(0), wasmtest.I32(-4), wasmtest.Call(requestPath)),
			'b': slices.Concat(wasmtest.Call(getStdout), wasmtest.I32(0), wasmtest.I32(-1), wasmtest.I32(1072), wasmtest.Call(writeAll)),
			'q': slices.Concat(wasmtest.I64(0), wasmtest.Call(sleepFor), wasmtest.Set(2), wasmtest.Loop(wasmtest.Get(2), wasmtest.Call(block))),
		}, map[byte]string{
			't': "unreachable",
			'l': "timeout",
			'p': "timeout",
			'x': "exit code 1",
			'h': "wasi:io/poll@0.2#[method]pollable.block: handle 77 stands for nothing, want a pollable",
			'w': "handle 1 stands for a incoming-request, want a pollable",
			'g': "memory limit of 128 MB was hit",
			'm': "more than 16384 handles",
			'n': "the component set no response",
			'o': "outside of memory",
			'b': "4294967295 bytes at 0 are outside of memory",
			'q': "timeout",
		}
}

func askPath(path string) *abi.Event {
	e := event()
	e.Path = path
	return e
}

func TestComponent(t *testing.T) {
	r, _ := open(t, Config{})
	v := deploy(t, r, counts(nil, nil))
	if v.Module.Kind != registry.KindComponent || v.Module.Isolation != registry.IsolationReset || v.Module.IsolationReason != "" {
		t.Errorf("Prepare: %+v", v.Module)
	}
	if !slices.Contains(v.Module.Interfaces, "wasi:http/types@0.2.4") {
		t.Errorf("Prepare: interfaces %v", v.Module.Interfaces)
	}
	for range 3 {
		res, err := r.Invoke(context.Background(), v, askPath("/"))
		if err != nil || res.Status != 200 || string(res.Body) != "1" {
			t.Fatalf("Invoke: %d %q, %v", res.Status, res.Body, err)
		}
		checkIdle(t, r) // else the next one may find no clean instance, and take a new one
	}
	if n := checkImages(t, r); n != 1 {
		t.Errorf("%d instances answered one after the other, want 1", n)
	}
	strict := *v
	strict.Settings.Isolation = registry.IsolationStrict
	for range 2 {
		if res, err := r.Invoke(context.Background(), &strict, askPath("/")); err != nil || string(res.Body) != "1" {
			t.Errorf("Invoke with an instance of its own: %q, %v", res.Body, err)
		}
	}
	r.Evict(v)
	if res, err := r.Invoke(context.Background(), v, askPath("/")); err != nil || string(res.Body) != "1" {
		t.Errorf("Invoke from disk: %q, %v", res.Body, err)
	}
}

// TestComponentFails has components end in every way there is, and answers between them, on eight workers.
func TestComponentFails(t *testing.T) {
	code, ends := wildly()
	r, s := open(t, Config{})
	v := deploy(t, r, counts(code, nil))
	for letter, want := range ends {
		if v.Settings.TimeoutMS = 0; want == "timeout" { // others end by themselves, however busy the machine is
			v.Settings.TimeoutMS = 50
		}
		before := s.stream(abi.StreamPlatform)
		if _, err := r.Invoke(context.Background(), v, askPath("/"+string(letter))); err == nil {
			t.Errorf("/%c answers", letter)
		}
		if got := strings.TrimPrefix(s.stream(abi.StreamPlatform), before); !strings.Contains(got, want) {
			t.Errorf("/%c ends with %.300q, want %q", letter, got, want)
		}
	}
	v.Settings.TimeoutMS = 5
	letters := "thwxmnob////lpgq"
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 60 {
				letter := letters[(g+n)%len(letters)]
				res, err := r.Invoke(context.Background(), v, askPath("/"+string(letter)))
				if _, fails := ends[letter]; !fails && err == nil && string(res.Body) != "1" {
					t.Errorf("an instance was asked %q times", res.Body)
				}
			}
		})
	}
	wg.Wait()
	checkImages(t, r)
	checkNothingLeft(t, r)
}

// TestIsolationComponent proves that nothing of a request is left in the next, whatever it did.
func TestIsolationComponent(t *testing.T) {
	code, _ := wildly()
	r, s := open(t, Config{})
	proveIsolation(t, r, s, deploy(t, r, counts(code, nil)), "1", func(n int) *abi.Event {
		if n%7 == 0 || n%11 == 0 {
			return askPath("/" + "txhwgno"[n%7:n%7+1])
		}
		return askPath("/")
	})
}

// TestComponentStarts has start functions draw random numbers, and take handles: both run again in every request.
func TestComponentStarts(t *testing.T) {
	for want, start := range map[string][]byte{
		"draws random numbers": slices.Concat(wasmtest.Call(randomNumber), wasmtest.Drop()),
		"holds handles":        slices.Concat(wasmtest.Call(getStdout), wasmtest.Drop()),
	} {
		r, _ := open(t, Config{})
		v := deploy(t, r, counts(nil, start))
		if !strings.Contains(v.Module.IsolationReason, want) {
			t.Errorf("Prepare: reason %q, want %q", v.Module.IsolationReason, want)
		}
		for range 3 {
			if res, err := r.Invoke(context.Background(), v, askPath("/")); err != nil || string(res.Body) != "1" {
				t.Errorf("Invoke: %q, %v", res.Body, err)
			}
		}
		checkImages(t, r)
	}
}

func BenchmarkComponent(b *testing.B) {
	r, _ := open(b, Config{})
	v := deploy(b, r, counts(nil, nil))
	e := askPath("/")
	for b.Loop() {
		if res, err := r.Invoke(context.Background(), v, e); err != nil || string(res.Body) != "1" {
			b.Fatal(fmt.Errorf("%q: %w", res.Body, err))
		}
		r.Clean()
	}
}
