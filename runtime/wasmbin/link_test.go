package wasmbin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// importEntry is an import of another kind than a function; entry is its type.
func (b *build) importEntry(module, name string, kind Kind, entry ...byte) {
	b.imports = append(b.imports, slices.Concat(str(module), str(name), []byte{byte(kind)}, entry))
}

// library defines what the modules of these tests share: a memory, a table, globals and functions.
func library() *build {
	b := new(build)
	b.memory(0, 1)
	b.table(byte(FuncRef), 0, 8)
	b.global(I32, 0, i32(64)...)
	b.global(I32, 1, i32(7)...)
	b.function("seven", "", "\x7f", "", i32(7)...)
	b.function("next", "", "\x7f", "", code(opGlobalGet, 1, opGlobalGet, 1, i32(1), opI32Add, opGlobalSet, 1)...)
	b.export("memory", Memory, 0)
	b.export("table", Table, 0)
	b.export("base", Global, 0)
	b.export("counter", Global, 1)
	b.data(0, "library")
	b.datas[0] = slices.Concat([]byte{0}, []byte{opGlobalGet, 0}, []byte{opEnd}, str("library"))
	return b
}

// user imports all of library, and answers by it.
func user() *build {
	b := new(build)
	b.importFunction("lib", "seven", "", "\x7f")
	b.importFunction("lib", "next", "", "\x7f")
	b.importFunction("host", "double", "\x7f", "\x7f")
	b.importEntry("lib", "memory", Memory, 0, 1)
	b.importEntry("lib", "table", Table, byte(FuncRef), 0, 1)
	b.importEntry("lib", "base", Global, byte(I32), 0)
	b.importEntry("lib", "counter", Global, byte(I32), 1)
	own := b.function("", "", "\x7f", "", i32(100)...)
	b.function("sum", "", "\x7f", "", code(opCall, 0, opCall, 2, opGlobalGet, 1, opI32Add, opGlobalGet, 0, opI32Add)...)
	b.function("through", "\x7f", "\x7f", "", code(opLocalGet, 0, opCallIndirect, b.signatureByte("", "\x7f"), 0)...)
	b.function("byte", "\x7f", "\x7f", "", code(opLocalGet, 0, 0x2d, 0, 0)...)
	b.function("again", "", "\x7f", "", code(opCall, 1)...)
	b.function("taken", "", "\x7f", "", code(opRefFunc, 7, opDrop, i32(1))...)
	b.export("seven", Func, 0)
	b.datas = append(b.datas, slices.Concat([]byte{0}, code(opGlobalGet, 0, i32(16), opI32Add, opEnd), str("user")))
	// Functions of both modules at 2 and 3 of the table, by a segment without and one with expressions.
	b.elements = append(b.elements, slices.Concat([]byte{0}, i32(2), []byte{opEnd}, vec([][]byte{num(own), num(0)})),
		slices.Concat([]byte{4}, i32(5), []byte{opEnd, 1, opRefFunc, 1, opEnd}))
	return b
}

func (b *build) signatureByte(params, results string) int { return int(b.signature(params, results)) }

func from(part int, names ...string) (list []Source) {
	for _, n := range names {
		list = append(list, Source{Part: part, Name: n})
	}
	return list
}

func ofUser() []Source {
	list := from(0, "seven", "next")
	list = append(list, Source{Part: Host, Module: "env", Name: "twice"})
	return append(list, from(0, "memory", "table", "base", "counter")...)
}

func offerAll(part int, names ...string) (list []Offer) {
	for _, s := range from(part, names...) {
		list = append(list, Offer{Name: s.Name, Source: s})
	}
	return list
}

// engineFor makes an engine whose host doubles numbers.
func engineFor(t *testing.T) wazero.Runtime {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(allFeatures))
	t.Cleanup(func() { r.Close(ctx) })
	double := func(_ context.Context, v uint32) uint32 { return 2 * v }
	if _, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(double).Export("twice").Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

func run(t *testing.T, m api.Module, name string, args ...uint64) uint64 {
	t.Helper()
	results, err := m.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func TestLink(t *testing.T) {
	offers := offerAll(1, "sum", "through", "byte", "again", "seven", "taken")
	linked, err := Link([]Part{{Binary: library().bytes()}, {user().bytes(), ofUser()}}, offers)
	if err != nil {
		t.Fatal(err)
	}
	m, err := engineFor(t).Instantiate(context.Background(), linked)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		arg, want uint64
	}{
		{"sum", 0, 2*7 + 7 + 64}, {"through", 2, 100}, {"through", 3, 7}, {"through", 5, 7}, {"again", 0, 8},
		{"sum", 0, 2*7 + 9 + 64}, {"byte", 64, 'l'}, {"byte", 80, 'u'}, {"seven", 0, 7}, {"taken", 0, 1},
	} {
		args := []uint64{c.arg}[:len(m.ExportedFunction(c.name).Definition().ParamTypes())]
		if got := run(t, m, c.name, args...); got != c.want {
			t.Errorf("%s(%d) = %d, want %d", c.name, c.arg, got, c.want)
		}
	}
	rewritten, err := Rewrite(linked)
	if err != nil {
		t.Fatal(err)
	}
	if s := rewritten.Segments; len(s) != 2 || s[0].Offset != 64 || s[1].Offset != 80 || len(rewritten.Globals) != 1 {
		t.Errorf("segments %v, globals %v: want those of both modules, at 64 and 80, and one global", s, rewritten.Globals)
	}
}

// TestLinkTerms links globals each of which is twice the one before it.
func TestLinkTerms(t *testing.T) {
	b := new(build)
	b.global(I64, 0, i64(1)...)
	for i := range 64 {
		b.global(I64, 0, code(opGlobalGet, i, opGlobalGet, i, opI64Add)...)
	}
	if _, err := Link([]Part{{Binary: b.bytes()}}, nil); !tooLarge(err) {
		t.Errorf("Link: %v, want too large", err)
	}
}

// TestLinkTwice links a module twice: each copy has globals of its own.
func TestLinkTwice(t *testing.T) {
	b := new(build)
	b.global(I32, 1, i32(1)...)
	b.function("next", "", "\x7f", "", code(opGlobalGet, 0, opGlobalGet, 0, i32(1), opI32Add, opGlobalSet, 0)...)
	parts := []Part{{Binary: b.bytes()}, {Binary: b.bytes()}}
	offers := []Offer{{"a", Source{Part: 0, Name: "next"}}, {"b", Source{Part: 1, Name: "next"}}}
	linked, err := Link(parts, offers)
	if err != nil {
		t.Fatal(err)
	}
	m, err := engineFor(t).Instantiate(context.Background(), linked)
	if err != nil {
		t.Fatal(err)
	}
	if a, again, b := run(t, m, "a"), run(t, m, "a"), run(t, m, "b"); a != 1 || again != 2 || b != 1 {
		t.Errorf("a, a, b = %d, %d, %d, want 1, 2, 1", a, again, b)
	}
}

// TestLinkStarts links modules with start functions: they run in their order, behind all segments.
func TestLinkStarts(t *testing.T) {
	lib := library()
	lib.start = 1 + int(lib.function("", "", "", "", code(i32(0), i32(0), 0x2d, 0, 80, i32(1), opI32Add, 0x3a, 0, 0)...))
	use := user()
	use.start = 1 + int(use.function("", "", "", "", code(i32(0), i32(0), 0x2d, 0, 0, i32(2), opI32Mul, 0x3a, 0, 0)...))
	linked, err := Link([]Part{{Binary: lib.bytes()}, {use.bytes(), ofUser()}}, offerAll(1, "byte"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := engineFor(t).Instantiate(context.Background(), linked)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := run(t, m, "byte", 0), uint64(('u'+1)*2); got != want {
		t.Errorf("byte 0 is %d behind the start functions, want %d", got, want)
	}
}

func TestLinkRefuses(t *testing.T) {
	change := func(f func(*build)) Part {
		b := user()
		f(b)
		return Part{b.bytes(), ofUser()}
	}
	lib := Part{Binary: library().bytes()}
	for _, c := range []struct {
		name  string
		parts []Part
		want  string
	}{
		{"too few imports", []Part{lib, {Binary: user().bytes()}}, "has 7 imports, 0 are given"},
		{"imports of itself", []Part{{user().bytes(), ofUser()}}, "which is not before it"},
		{"two memories", []Part{lib, lib}, "2 memories"},
		{"other signature", []Part{lib, change(func(b *build) {
			b.imports[0] = slices.Concat(str("lib"), str("seven"), []byte{0}, num(b.signature("\x7f", "\x7f")))
		})}, "want (i32) -> i32, have () -> i32"},
		{"other kind", []Part{lib, {user().bytes(), slices.Concat(from(0, "memory"), ofUser()[1:])}}, "want a func, have a memory"},
		{"unknown export", []Part{lib, {user().bytes(), slices.Concat(from(0, "eight"), ofUser()[1:])}}, `does not export "eight"`},
		{"larger memory", []Part{lib, change(func(b *build) {
			b.imports[3] = slices.Concat(str("lib"), str("memory"), []byte{2, 0, 2})
		})}, "memory's limits differ"},
		{"immutable global", []Part{lib, change(func(b *build) {
			b.imports[6] = slices.Concat(str("lib"), str("counter"), []byte{3, byte(I32), 0})
		})}, "global's type differs"},
		{"memory of the host", []Part{lib, {user().bytes(), slices.Concat(ofUser()[:3], []Source{{Part: Host}}, ofUser()[4:])}}, "host, which has functions alone"},
		{"too many", make([]Part, MaxParts+1), "more than 128"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Link(c.parts, nil)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Reason, c.want) {
				t.Errorf("Link: %v, want %q", err, c.want)
			}
		})
	}
	if _, err := Link([]Part{lib}, offerAll(0, "nothing")); err == nil {
		t.Error("Link exports what is not there")
	}
}

// FuzzLink links a module alone: what the engine accepts, it accepts linked, and what it refuses never becomes valid.
func FuzzLink(f *testing.F) {
	addSpecs(f, 7)
	f.Add(library().bytes())
	f.Add(user().bytes())
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(allFeatures))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Read(data)
		if err != nil {
			return
		}
		part, offers := Part{Binary: data}, make([]Offer, 0, len(m.Exports))
		for _, im := range m.Imports {
			part.Imports = append(part.Imports, Source{Part: Host, Module: im.Module, Name: im.Name})
		}
		for _, e := range m.Exports {
			offers = append(offers, Offer{e.Name, Source{Part: 0, Name: e.Name}})
		}
		linked, err := Link([]Part{part}, offers)
		if err != nil {
			return
		}
		if _, err := Read(linked); err != nil && !tooLarge(err) {
			t.Fatalf("a linked module cannot be read: %v", err)
		}
		before, after := compile(r, withoutCustoms(data)), compile(r, withoutCustoms(linked))
		switch {
		case before == nil && after != nil:
			t.Fatalf("the engine refuses the linked module: %v", after)
		case before != nil && after == nil && !lenient(before):
			t.Fatalf("the engine refuses the module, and accepts it linked: %v", before)
		}
	})
}

func tooLarge(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Fault == TooLarge
}

// lenient says whether the engine refuses a module for what linking makes right: globals of its own in constant
// expressions, which become their values.
func lenient(err error) bool { return strings.Contains(err.Error(), "global") }
