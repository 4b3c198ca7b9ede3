package wasmbin_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/runtime/wasmtest"
)

func sample() []byte {
	m := new(wasmtest.Module)
	m.Import("env", "f", "il:d")
	m.Memory(1, 3)
	m.Table(7)
	m.Func("run", "i:ii", wasmtest.I32(1), wasmtest.I32(2))
	m.Data(0, "hello")
	return m.Bytes()
}

func TestRead(t *testing.T) {
	m, err := wasmbin.Read(sample())
	if err != nil {
		t.Fatal(err)
	}
	if im := m.Imports[0]; im.Module != "env" || im.Name != "f" || im.Type.String() != "(i32, i64) -> f64" {
		t.Errorf("Imports[0] = %+v, type %s", im, im.Type)
	}
	if l := m.Memories[0]; l.Min != 3 || !l.HasMax || l.Max != 1000 || l.Shared || l.Is64 {
		t.Errorf("Memories[0] = %+v", l)
	}
	if m.Tables[0].Min != 7 {
		t.Errorf("Tables[0] = %+v", m.Tables[0])
	}
	if f, ok := m.Func("run"); !ok || f.String() != "(i32) -> (i32, i32)" {
		t.Errorf("Func(run) = %s, %v", f, ok)
	}
	if _, ok := m.Func("memory"); ok {
		t.Error("Func(memory) is a function")
	}
}

func TestReadRefuses(t *testing.T) {
	good := sample()
	change := func(at int, b ...byte) []byte {
		c := slices.Clone(good)
		copy(c[at:], b)
		return c
	}
	for _, test := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "not a WebAssembly binary"},
		{"ELF", []byte("\x7fELF\x02\x01\x01\x00"), "not a WebAssembly binary"},
		{"magic alone", []byte("\x00asm"), "truncated"},
		{"component", change(4, 0x0d, 0, 1, 0), "component"},
		{"version 2", change(4, 2, 0, 0, 0), "version 2"},
		{"no content", good[:9], "truncated"},
		{"unknown section", append(slices.Clone(good), 99, 0), "section 99"},
		{"section twice", append(slices.Clone(good), 1, 1, 0), "out of order"},
		{"section size", append(good[:8:8], 1, 0x80, 0x80, 0x80, 0x80, 0x7f), "longer than 32 bits"},
		{"too many bytes", append(good[:8:8], 1, 2, 0, 0), "1 bytes too many"},
		{"huge count", append(good[:8:8], 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f), "more than 1048576"},
		{"count over size", append(good[:8:8], 1, 2, 100, 0x60), "truncated"},
		{"type form", append(good[:8:8], 1, 2, 1, 0x5f), "type form 0x5f"},
		{"value type", append(good[:8:8], 1, 4, 1, 0x60, 1, 0x40), "value type 0x40"},
		{"import kind", append(good[:8:8], 2, 4, 1, 0, 0, 9), "unknown kind 9"},
		{"import type", append(good[:8:8], 2, 5, 1, 0, 0, 0, 5), "unknown type 5"},
		{"name", append(good[:8:8], 2, 3, 1, 1, 0xff), "not UTF-8"},
		{"memory flags", append(good[:8:8], 5, 3, 1, 8, 1), "unknown flags 0x08"},
		{"functions without code", append(good[:8:8], 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0), "1 functions are declared and 0 have code"},
	} {
		_, err := wasmbin.Read(test.b)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Read: %v, want %q", test.name, err, test.want)
		}
	}
}

// TestReadTruncated cuts a module everywhere. Only the cut between its last two sections leaves a module.
func TestReadTruncated(t *testing.T) {
	b := sample()
	for n := 8; n < len(b); n++ {
		m, err := wasmbin.Read(b[:n])
		if err == nil {
			if _, ok := m.Func("run"); ok && n != len(b)-len("\x0b\x0b\x01\x00\x41\x00\x0b\x05hello") {
				t.Errorf("Read of %d of %d bytes succeeds with its export", n, len(b))
			}
		} else if !errors.Is(err, wasmbin.ErrTruncated) && !strings.Contains(err.Error(), "have code") {
			t.Errorf("Read of %d of %d bytes: %v, want truncated", n, len(b), err)
		}
	}
}

func TestGuard(t *testing.T) {
	b := sample()
	g, err := wasmbin.Guard(b, 100)
	if err != nil {
		t.Fatal(err)
	}
	m, err := wasmbin.Read(g)
	if err != nil {
		t.Fatal(err)
	}
	if l := m.Tables[0]; l.Min != 7 || !l.HasMax || l.Max != 100 {
		t.Errorf("guarded table = %+v, want 7 to 100 elements", l)
	}
	if !strings.HasSuffix(string(g), "hello") {
		t.Error("the section behind the code is lost")
	}
	if again, _ := wasmbin.Guard(b[:8], 1); string(again) != string(b[:8]) {
		t.Errorf("Guard of an empty module = %q", again)
	}
}

// TestGuardedFunctions guards functions of which the last, run, calls the others; the check's place is right
// behind the declaration of locals.
func TestGuardedFunctions(t *testing.T) {
	call := wasmtest.Call
	simd := func(op byte, rest ...byte) []byte { return append([]byte{0xfd, op}, rest...) }
	for _, test := range []struct {
		name      string
		functions [][]byte // their indexes count from 1, behind an import
		want      string   // which are guarded
	}{
		{"leaf", [][]byte{wasmtest.I32(1)}, "-"},
		{"calls a leaf", [][]byte{wasmtest.I32(-1000000), slices.Concat(call(1), call(1), call(1))}, "--"},
		{"calls the host", [][]byte{call(0)}, "-"},
		{"calls nothing that is", [][]byte{call(99)}, "-"},
		{"itself", [][]byte{call(1)}, "x"},
		{"a cycle, one who calls it, one it calls", [][]byte{call(2), slices.Concat(call(1), call(4)), call(1), nil}, "xxx-"},
		{"through a table", [][]byte{slices.Concat(wasmtest.I32(0), []byte{0x11, 0, 0}), call(1), nil}, "xx-"},
		{"an unknown instruction", [][]byte{{0xff}, call(1), nil}, "xx-"},
		{"an unknown bulk instruction", [][]byte{{0xfc, 99}}, "x"},
		{"cut off", [][]byte{{0x41}}, "-"}, // the end of the function is taken for a number
		{"a call behind every form of operand", [][]byte{slices.Concat(
			[]byte{0x02, 0x40, 0x0c, 0, 0x0e, 2, 0, 0, 0, 0x0b},             // block, br, br_table
			[]byte{0x43, 0x10, 1, 0x10, 1, 0x44, 0x10, 1, 2, 3, 4, 5, 6, 7}, // constants that look like calls
			wasmtest.I64(-1<<60), wasmtest.Load32(), wasmtest.Grow(), []byte{0x1c, 1, 0x7f, 0xd0, 0x70, 0xd2, 1},
			[]byte{0xfc, 10, 0, 0, 0xfc, 11, 0, 0xfc, 0, 0xfc, 17, 0},
			simd(0, 4, 0x10), simd(12, make([]byte, 16)...), simd(21, 0x10), simd(84, 0, 0, 0x10), simd(92, 0, 0x10),
			simd(0xae, 1), call(1))}, "x"},
		{"no call in such operands", [][]byte{slices.Concat(
			[]byte{0x43, 0x10, 1, 0x10, 1, 0x44, 0x10, 1, 0x10, 1, 0x10, 1, 0x10, 1},
			simd(12, slices.Repeat([]byte{0x10, 1}, 8)...), simd(13, slices.Repeat([]byte{0x10, 1}, 8)...),
			simd(22, 0x10), simd(85, 0x10, 0x10, 0x10), simd(93, 0x10, 0x10), []byte{0x28, 0x10, 0x10, 0xfc, 8, 0x10, 0x10})}, "-"},
	} {
		m := new(wasmtest.Module)
		m.Import("env", "f", "")
		for _, code := range test.functions {
			m.Func("", "", []byte("\x01\x01"), code) // two nops, to find it
		}
		g, err := wasmbin.Guard(m.Bytes(), 1000)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, part := range strings.Split(string(g), "\x01\x02\x7f")[1:] {
			switch {
			case strings.HasPrefix(part, "\x03\x40\x0b\x01\x01"):
				got += "x"
			case strings.HasPrefix(part, "\x01\x01"):
				got += "-"
			}
		}
		if got != test.want {
			t.Errorf("%s: guarded %q, want %q", test.name, got, test.want)
		}
	}
}

// FuzzRead checks that any bytes have an answer, and that what Read accepts Guard can rewrite into what Read
// accepts, or refuses with an error.
func FuzzRead(f *testing.F) {
	f.Add(sample())
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	shared := new(wasmtest.Module)
	shared.ImportMemory("env", "memory", 3, 1)
	shared.Start(shared.Func("_start", "", wasmtest.Loop()))
	f.Add(shared.Bytes())
	recursive := new(wasmtest.Module)
	recursive.Func("", "", wasmtest.Call(1), wasmtest.I64(9), wasmtest.Drop())
	recursive.Func("run", "", wasmtest.Call(0))
	f.Add(recursive.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := wasmbin.Read(b)
		if err != nil {
			return
		}
		for _, ex := range m.Exports {
			m.Func(ex.Name)
		}
		g, err := wasmbin.Guard(b, 1000)
		if err != nil {
			return
		}
		again, err := wasmbin.Read(g)
		if err != nil {
			t.Fatalf("Read of a guarded module: %v", err)
		}
		if len(again.Exports) != len(m.Exports) || len(again.Tables) != len(m.Tables) {
			t.Fatalf("guarded module has %d exports and %d tables, want %d and %d",
				len(again.Exports), len(again.Tables), len(m.Exports), len(m.Tables))
		}
	})
}
