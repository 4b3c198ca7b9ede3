package component

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// driver is a module that imports functions and exports each of them, for a test to call. More adds functions of its own;
// the imported ones have the places they have in the list.
func driver(list []function, more ...func(*wasmtest.Module)) []byte {
	m := new(wasmtest.Module)
	for _, f := range list {
		m.Import("host", imported(f), f.sig)
	}
	for i, f := range list {
		var code [][]byte
		params, _, _ := strings.Cut(f.sig, ":")
		for k := range len(params) {
			code = append(code, wasmtest.Get(uint32(k)))
		}
		m.Func(f.name, f.sig, append(code, wasmtest.Call(uint32(i)))...)
	}
	m.Func("handle", "ii:")
	for _, add := range more {
		add(m)
	}
	return m.Bytes()
}

// fixture is a component whose guest is a test: it imports all of list.
func fixture(list []function, libc, driver []byte) []byte {
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = imported(f)
	}
	return wasmtest.Proxy(libc, driver, names...)
}

// imported is the name by which the fixture imports a function.
func imported(f function) string {
	return strings.Replace(f.name, "@0.2#", "@0.2.7#", 1) // any version will do
}

// world is a component whose guest is a test.
type world struct {
	t      testing.TB
	module api.Module
	call   *Call
	base   context.Context
	ctx    context.Context // of the call, below base
	cancel context.CancelFunc
	out    bytes.Buffer
	logged []string
}

// newWorld makes a world of all functions there are.
func newWorld(t testing.TB) *world {
	return newWorldOf(t, fixture(functions(), wasmtest.Libc(), driver(functions())))
}

// newWorldOf makes a world of a component that exports more of its driver's functions.
func newWorldOf(t testing.TB, component []byte, more ...string) *world {
	t.Helper()
	p, err := evaluate(component)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range functions() {
		p.offers = append(p.offers, wasmbin.Offer{Name: f.name, Source: wasmbin.Source{Part: 1, Name: f.name}})
	}
	for _, name := range more {
		p.offers = append(p.offers, wasmbin.Offer{Name: name, Source: wasmbin.Source{Part: 1, Name: name}})
	}
	linked, err := wasmbin.Link(p.parts, p.offers)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t}
	w.base, w.cancel = context.WithCancel(context.Background())
	w.ctx = w.base
	r := wazero.NewRuntimeWithConfig(w.ctx, wazero.NewRuntimeConfigInterpreter())
	if err := Instantiate(w.ctx, r); err != nil {
		t.Fatal(err)
	}
	if w.module, err = r.Instantiate(w.ctx, linked); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.cancel()
		w.call.Close()
		r.Close(context.Background())
	})
	w.begin(&abi.Event{Method: "GET", Scheme: "http", Path: "/"})
	return w
}

// begin starts a new call, for an event.
func (w *world) begin(e *abi.Event) (request, outparam uint64) {
	if w.call != nil {
		w.call.Close()
	}
	w.call = &Call{Guest: NewGuest(w.module), MaxReply: 1 << 20, Log: func(level int32, b []byte) {
		w.logged = append(w.logged, string(b))
	}}
	w.call.Process = &wasip1.Process{Stdout: &w.out, Stderr: &w.out, Started: time.Now()}
	w.ctx = context.WithValue(w.base, Key{}, w.call)
	stack := w.call.Begin(e)
	return stack[0], stack[1]
}

// name completes the name of a function that there is one of.
func (w *world) name(short string) string {
	found := ""
	for name := range w.module.ExportedFunctionDefinitions() {
		if name == short || strings.HasSuffix(name, "#"+short) {
			if found != "" {
				w.t.Fatalf("there are %s and %s", name, found)
			}
			found = name
		}
	}
	if found == "" {
		w.t.Fatalf("there is no function %s", short)
	}
	return found
}

func (w *world) try(name string, args ...uint64) (uint64, error) {
	results, err := w.module.ExportedFunction(w.name(name)).Call(w.ctx, args...)
	if err != nil || len(results) == 0 {
		return 0, err
	}
	return results[0], nil
}

// do calls a function.
func (w *world) do(name string, args ...uint64) uint64 {
	w.t.Helper()
	v, err := w.try(name, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	return v
}

// traps calls a function, which must trap with this reason.
func (w *world) traps(reason, name string, args ...uint64) {
	w.t.Helper()
	_, err := w.try(name, args...)
	var trap *Trap
	if !errors.As(err, &trap) || !strings.Contains(trap.Reason, reason) {
		w.t.Errorf("%s%v: %v, want the trap %q", name, args, err, reason)
	}
}

// Places in the guest's memory.
const (
	result = 1024
	first  = 2048
	second = 4096
)

// text puts a string into memory, and answers where.
func (w *world) text(at uint32, s string) (ptr, n uint64) {
	w.module.Memory().WriteString(at, s)
	return uint64(at), uint64(len(s))
}

func (w *world) u8(at uint32) byte {
	b, _ := w.module.Memory().ReadByte(at)
	return b
}

func (w *world) u32(at uint32) uint64 {
	v, _ := w.module.Memory().ReadUint32Le(at)
	return uint64(v)
}

func (w *world) u64(at uint32) uint64 {
	v, _ := w.module.Memory().ReadUint64Le(at)
	return v
}

// string reads a string whose pointer and length stand at at.
func (w *world) string(at uint32) string {
	b, ok := w.module.Memory().Read(uint32(w.u32(at)), uint32(w.u32(at+4)))
	if !ok {
		w.t.Fatalf("a string at %d is outside of memory", w.u32(at))
	}
	return string(b)
}

// strings reads a list whose entries hold n strings each.
func (w *world) strings(at uint32, n int) (list []string) {
	for i := range uint32(w.u32(at+4)) * uint32(n) {
		list = append(list, w.string(uint32(w.u32(at))+8*i))
	}
	return list
}
