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

// FuzzRead checks that any bytes have an answer, and that what it tells of can be asked for.
func FuzzRead(f *testing.F) {
	f.Add(sample())
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	shared := new(wasmtest.Module)
	shared.ImportMemory("env", "memory", 3, 1)
	shared.Start(shared.Func("_start", "", wasmtest.Loop()))
	f.Add(shared.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := wasmbin.Read(b)
		if err != nil {
			return
		}
		for _, ex := range m.Exports {
			if _, ok := m.Func(ex.Name); ok != (ex.Kind == wasmbin.Func) {
				t.Fatalf("Func(%q) = %v, want it of a %s", ex.Name, ok, ex.Kind)
			}
		}
	})
}
