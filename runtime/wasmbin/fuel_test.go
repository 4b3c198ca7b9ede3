package wasmbin

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero/api"
)

// counted answers a module that counts its instructions one by one in a global exported as "count": what fuel is
// checked against. ok is false when the module has instructions that cost more than 1, or no functions.
func counted(t testing.TB, data []byte) (out []byte, ok bool) {
	t.Helper()
	m, err := decode(data)
	if err != nil || len(m.bodies) == 0 {
		return nil, false
	}
	counter := uint32(len(m.globals))
	one := code(opGlobalGet, num(counter), i64(1), opI64Add, opGlobalSet, num(counter))
	p := &plan{rewriter: &rewriter{m: m, signatureOf: map[string]uint32{}, routineOf: map[routine]uint32{}}}
	bodies := num(uint32(len(m.bodies)))
	for i := range m.bodies {
		if err := p.read(i); err != nil {
			return nil, false
		}
		body := append([]byte(nil), data[m.bodies[i].from:p.code]...)
		end := p.end
		p.at, p.frames, p.site = p.code, []frame{{live: true}}, 0
		for p.at < end {
			at := p.at
			before := p.sites[0].cost
			p.site = 0 // as if all code could be reached
			p.instruction()
			switch p.sites[0].cost - before {
			case 0:
			case 1:
				body = append(body, one...)
			default:
				return nil, false
			}
			p.site = 0
			body = append(body, data[at:p.at]...)
		}
		bodies = append(append(bodies, num(uint32(len(body)))...), body...)
	}
	if len(p.routines) > 0 {
		return nil, false
	}
	return m.withCounter(bodies, counter), true
}

// withCounter answers the module with other bodies, and a global more.
func (m *module) withCounter(bodies []byte, counter uint32) []byte {
	w := &rewriter{m: m}
	globals := append(num(counter-uint32(m.importedGlobals)+1), w.behindCount(globalSection)...)
	globals = append(globals, byte(I64), 1, opI64Const, 0, opEnd)
	exports := append(num(uint32(len(m.exports)+1)), w.behindCount(exportSection)...)
	exports = append(append(append(exports, str("count")...), byte(Global)), num(counter)...)
	out := append([]byte(nil), m.data[:8]...)
	for place := byte(1); place < sections; place++ {
		id := sectionAt(place)
		switch {
		case id == globalSection:
			out = appendSection(out, id, globals)
		case id == exportSection:
			out = appendSection(out, id, exports)
		case id == codeSection:
			out = appendSection(out, id, bodies)
		case m.has[id]:
			out = appendSection(out, id, m.content(id))
		}
	}
	return out
}

// TestFuelIsExact plays the specification's scripts with modules that count their instructions one by one: a call that
// returns has used as much fuel.
func TestFuelIsExact(t *testing.T) {
	folder := specFolder(t)
	compared := 0
	for _, name := range []string{"v1", "v2", "tail-call"} {
		scripts, _ := filepath.Glob(filepath.Join(folder, name, "testdata", "*.json"))
		for _, s := range scripts {
			compared += compareFuel(t, s, specs()[name]|api.CoreFeaturesV2)
		}
	}
	t.Logf("%d calls compared", compared)
	if compared < 50_000 {
		t.Errorf("%d calls compared, want 50,000", compared)
	}
}

func compareFuel(t *testing.T, file string, features api.CoreFeatures) (compared int) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	rewritten, naive := newPlay(t, filepath.Dir(file), features, true), newPlay(t, filepath.Dir(file), features, false)
	for _, c := range s.Commands {
		switch c.Type {
		case "register":
			return compared // calls between modules are charged to both
		case "module":
			rewritten.last, naive.last = nil, nil
			data, err := os.ReadFile(filepath.Join(naive.folder, c.Filename))
			if err != nil {
				t.Fatal(err)
			}
			if m, ok := counted(t, data); ok && rewritten.module(t, c, "") == "accepted" {
				if naive.last, err = naive.load(m, ""); err != nil {
					rewritten.last = nil
				}
			}
		case "assert_return", "action":
			if rewritten.last == nil || naive.last == nil || c.Action.Type != "invoke" || c.Action.Module != "" {
				continue
			}
			rewritten.granted = int64(rewritten.last.ExportedGlobal(FuelGlobal).Get())
			before := naive.last.ExportedGlobal("count").Get()
			rewritten.action(t, c)
			naive.action(t, c)
			want := int64(naive.last.ExportedGlobal("count").Get() - before)
			compared++
			if got := rewritten.used(rewritten.last); got != want {
				t.Errorf("%s:%d %s: %d fuel used, want %d", filepath.Base(file), c.Line, c.Action.Field, got, want)
			}
		}
	}
	return compared
}

// fuelOf is what a call of function f costs.
func fuelOf(t *testing.T, w *world, i *instance, args ...uint64) int64 {
	t.Helper()
	before := w.used(i)
	if _, err := i.call(t, "f", args...); err != nil {
		t.Fatal(err)
	}
	return w.used(i) - before
}

// countdown is a loop of as many rounds as local 0 says, at least one, of 6 instructions and what is in it.
func countdown(body ...byte) []byte {
	return code(opLoop, blockEmpty, body, opLocalGet, 0, i32(1), opI32Sub, opLocalTee, 0, opBrIf, 0, opEnd)
}

func TestFuel(t *testing.T) {
	zeros := func(n int64) []byte { return code(i32(0), i32(0), i32(n)) }
	for _, tt := range []struct {
		name string
		code []byte
		arg  uint64
		want int64
	}{
		{"nothing", nil, 0, 0},
		{"free instructions", code(opNop, opBlock, blockEmpty, opEnd, opLoop, blockEmpty, opEnd), 0, 0},
		{"straight", code(i32(1), i32(2), opI32Add, opDrop), 0, 3},
		{"one round", countdown(), 1, 5},
		{"100 rounds", countdown(), 100, 500},
		{"200 rounds", countdown(), 200, 1000},
		{"then", code(opLocalGet, 0, opIf, blockEmpty, i32(1), opDrop, opElse, i32(1), opDrop, i32(1), opDrop, opEnd), 1, 3},
		{"else", code(opLocalGet, 0, opIf, blockEmpty, i32(1), opDrop, opElse, i32(1), opDrop, i32(1), opDrop, opEnd), 0, 4},
		{"return", code(opLocalGet, 0, opIf, blockEmpty, opReturn, opEnd, i32(1), opDrop), 1, 3},
		{"no return", code(opLocalGet, 0, opIf, blockEmpty, opReturn, opEnd, i32(1), opDrop), 0, 3},
		{"branch over code", code(opBlock, blockEmpty, opLocalGet, 0, opBrIf, 0, i32(1), opDrop, opEnd), 1, 2},
		{"branch not taken", code(opBlock, blockEmpty, opLocalGet, 0, opBrIf, 0, i32(1), opDrop, opEnd), 0, 3},
		{"branch out of two", code(opBlock, blockEmpty, opBlock, blockEmpty, opLocalGet, 0, opBrIf, 1, opEnd, i32(1), opDrop, opEnd, i32(1), opDrop), 1, 3},
		{"table of branches", code(opBlock, blockEmpty, opBlock, blockEmpty, opLocalGet, 0, opBrTable, 1, 0, 1, opEnd, i32(1), opDrop, opEnd), 0, 3},
		{"its default", code(opBlock, blockEmpty, opBlock, blockEmpty, opLocalGet, 0, opBrTable, 1, 0, 1, opEnd, i32(1), opDrop, opEnd), 7, 2},
		{"out of the function", code(opLocalGet, 0, opBrIf, 0, i32(1), opDrop), 1, 2},
		{"dead code", code(opReturn, i32(1), i32(2), opI32Add, opDrop), 0, 1},
		{"memory.fill of a constant", code(zeros(800), opMisc, miscMemoryFill, 0), 0, 4 + 100},
		{"memory.fill", code(i32(0), i32(0), opLocalGet, 0, opMisc, miscMemoryFill, 0), 8000, 4 + 1000},
		{"memory.fill of nothing", code(i32(0), i32(0), opLocalGet, 0, opMisc, miscMemoryFill, 0), 0, 4},
		{"memory.copy", code(i32(8), i32(0), opLocalGet, 0, opMisc, miscMemoryCopy, 0, 0), 8000, 4 + 1000},
		{"large memory.copy", code(i32(8), i32(0), opLocalGet, 0, opMisc, miscMemoryCopy, 0, 0), 5 << 20, 4 + 5<<17},
		{"large memory.fill", code(i32(8), i32(0), opLocalGet, 0, opMisc, miscMemoryFill, 0), 5<<20 + 8, 4 + 5<<17 + 1},
		{"memory.init", code(i32(8), i32(0), opLocalGet, 0, opMisc, miscMemoryInit, 0, 0), 80, 4 + 10},
		{"large memory.init", code(i32(8), i32(0), opLocalGet, 0, opMisc, miscMemoryInit, 1, 0), 2 << 20, 4 + 2<<17},
		{"part of a large segment", code(i32(8), i32(0), opLocalGet, 0, opMisc, miscMemoryInit, 1, 0), 80, 4 + 10},
		{"memory.grow", code(opLocalGet, 0, opMemoryGrow, 0, opDrop), 3, 2 + 3<<growShift},
		{"memory.grow that fails", code(opLocalGet, 0, opMemoryGrow, 0, opDrop), 3000, 2},
		{"table.fill", code(i32(0), opRefNull, 0x70, opLocalGet, 0, opMisc, miscTableFill, 0), 1000, 4 + 1000},
		{"table.grow", code(opRefNull, 0x70, opLocalGet, 0, opMisc, miscTableGrow, 0, opDrop), 1000, 3 + 1000},
		{"table.grow that fails", code(opRefNull, 0x70, opLocalGet, 0, opMisc, miscTableGrow, 0, opDrop), 1 << 30, 3},
		{"table.copy", code(i32(0), i32(1), opLocalGet, 0, opMisc, miscTableCopy, 0, 0), 1000, 4 + 1000},
		{"call", code(opLocalGet, 0, opCall, 1, opDrop), 0, 2 + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &build{memories: [][]byte{code(1, num(128), num(200))}}
			b.table(code(0x70, 0, num(2000))...)
			b.passive(string(make([]byte, 100)))
			b.passive(string(make([]byte, 2<<20)))
			b.function("f", "\x7f", "", "", tt.code...)
			b.function("", "\x7f", "\x7f", "", opLocalGet, 0)
			w := newWorld(t, api.CoreFeaturesV2, true)
			i := mustLoad(t, w, b.bytes())
			for range 2 { // the same each time, but for growth
				if got := fuelOf(t, w, i, tt.arg); got != tt.want {
					t.Errorf("%d fuel used, want %d", got, tt.want)
				}
				i.reset(t)
			}
			w.refills = 0
			i.ExportedGlobal(FuelGlobal).(api.MutableGlobal).Set(uint64(tt.want))
			if fuelOf(t, w, i, tt.arg); w.refills != 0 {
				t.Errorf("the host is asked for more than %d", tt.want)
			}
		})
	}
}

// TestFuelStops: nothing runs on without asking for fuel.
func TestFuelStops(t *testing.T) {
	b := &build{memories: [][]byte{code(1, num(128), num(200))}}
	b.table(code(0x70, 0, num(2000))...)
	b.elements = [][]byte{code(0, i32(0), opEnd, 1, 0)}
	host := b.importFunction("spectest", "print", "", "")
	self := func() int { return int(b.importedFunctions) + len(b.functions) }
	var names []string
	add := func(name string, parts ...any) {
		names = append(names, name)
		b.function(name, "", "", "", code(parts...)...)
	}
	add("loop", opLoop, blockEmpty, opBr, 0, opEnd)
	add("loop of loops", opLoop, blockEmpty, opLoop, blockEmpty, opBr, 1, opEnd, opEnd)
	add("br_if", opLoop, blockEmpty, i32(1), opBrIf, 0, opEnd)
	add("br_table", opLoop, blockEmpty, i32(1), opBrTable, 1, 0, 0, opEnd)
	add("if in a loop", opLoop, blockEmpty, i32(1), opIf, blockEmpty, opBr, 1, opEnd, opEnd)
	add("loop of calls", opLoop, blockEmpty, opCall, num(host), opBr, 0, opEnd)
	add("loop of memory.copy", opLoop, blockEmpty, i32(0), i32(9), i32(5<<20), opMisc, miscMemoryCopy, 0, 0, opBr, 0, opEnd)
	add("loop of memory.fill", opLoop, blockEmpty, i32(0), i32(9), i32(5<<20), opMisc, miscMemoryFill, 0, opBr, 0, opEnd)
	add("loop of table.fill", opLoop, blockEmpty, i32(0), opRefNull, 0x70, i32(9), opMisc, miscTableFill, 0, opBr, 0, opEnd)
	add("tail call", opTailCall, num(uint32(self())))
	// A tree of 2^60 calls that is never deep.
	tree := self()
	b.function("", "\x7f", "", "", code(opLocalGet, 0, opIf, blockEmpty,
		opLocalGet, 0, i32(1), opI32Sub, opCall, num(uint32(tree)), opLocalGet, 0, i32(1), opI32Sub, opCall, num(uint32(tree)), opEnd)...)
	add("tree of calls", i32(60), opCall, num(uint32(tree)))
	p := newPlay(t, specFolder(t)+"/v2/testdata", allFeatures, true)
	p.slice, p.limit = 100_000, 2_000_000
	i := mustLoad(t, p.world, b.bytes())
	for _, name := range names {
		p.granted, p.refills = 0, 0
		i.ExportedGlobal(FuelGlobal).(api.MutableGlobal).Set(0)
		i.restoreStack()
		if _, err := i.call(t, name); !errors.Is(err, errFuel) {
			t.Errorf("%s: %v, want %v", name, err, errFuel)
		}
		if p.refills < 2 {
			t.Errorf("%s: %d refills, want some", name, p.refills)
		}
	}
}

// TestStackStops: recursion ends where the stack does, and what returned has given all of it back.
func TestStackStops(t *testing.T) {
	b := &build{}
	b.table(0x70, 0, 4)
	b.elements = [][]byte{code(0, i32(0), opEnd, 1, 0)}
	b.function("self", "", "", "", opCall, 0)
	b.function("one", "", "", "", opCall, 2)
	b.function("other", "", "", "", opCall, 1)
	b.function("table", "", "", "", code(i32(0), opCallIndirect, 0, 0)...)
	b.function("results", "", "\x7f\x7e\x7d", "", opCall, 4)
	b.function("many locals", "", "", "\x7f\x7e", opCall, 5)
	w := newWorld(t, api.CoreFeaturesV2, true)
	w.slice = 1 << 50 // the host is not asked for fuel
	i := mustLoad(t, w, b.bytes())
	for _, name := range []string{"self", "one", "other", "table", "results", "many locals"} {
		i.restoreStack()
		if _, err := i.call(t, name); !errors.Is(err, errStack) {
			t.Errorf("%s: %v, want %v", name, err, errStack)
		}
	}
}

func TestStackIsGivenBack(t *testing.T) {
	b := &build{tags: [][]byte{{0, 0}}}
	b.function("leaf", "", "", "")
	b.function("thrower", "", "", "", opCall, 0, opThrow, 0)
	again := code(opCall, 0)
	add := func(name, results string, parts ...any) {
		b.function(name, "\x7f", results, "", code(again, code(parts...))...)
	}
	add("end", "")
	add("return", "", opReturn)
	add("return a value", "\x7f", i32(1), opReturn)
	add("return in a block", "\x7f", opBlock, 0x7f, i32(1), opReturn, opEnd)
	add("two results", "\x7f\x7f", i32(1), i32(2), opLocalGet, 0, opBrIf, 0)
	add("branch out", "\x7f", i32(1), opBr, 0)
	add("branch out of blocks", "", opBlock, blockEmpty, opLoop, blockEmpty, opLocalGet, 0, opBrIf, 2, opEnd, opEnd)
	add("table out", "", opBlock, blockEmpty, opLocalGet, 0, opBrTable, 1, 0, 1, opEnd)
	add("if", "\x7f", opLocalGet, 0, opIf, 0x7f, i32(1), opReturn, opElse, i32(2), opEnd)
	add("tail call", "", opTailCall, 0)
	add("tail call of a caller", "", opLocalGet, 0, opTailCall, 2)
	caught := code(opTryTable, blockEmpty, 1, 2, 0, opCall, 1, opEnd)
	add("catch", "", opBlock, blockEmpty, caught, opEnd)
	add("catch and return", "", opBlock, blockEmpty, caught, opEnd, opReturn)
	add("catch in a loop", "", opLoop, blockEmpty, opBlock, blockEmpty, caught, opEnd,
		opLocalGet, 0, i32(1), opI32Sub, opLocalTee, 0, opBrIf, 0, opEnd)
	i := mustLoad(t, newWorld(t, allFeatures, true), b.bytes())
	const little = 2000 // less than 100 frames that are not given back
	for name := range i.ExportedFunctionDefinitions() {
		args := []uint64{0, 1}
		switch name {
		case "leaf", "thrower":
			continue
		case "catch in a loop":
			args = []uint64{500}
		}
		for _, arg := range args {
			i.ExportedGlobal(StackGlobal).(api.MutableGlobal).Set(little)
			if _, err := i.ExportedFunction(name).Call(t.Context(), arg); err != nil {
				t.Fatalf("%s(%d): %v", name, arg, err)
			}
			if got := i.ExportedGlobal(StackGlobal).Get(); got != little {
				t.Errorf("%s(%d): %d bytes of stack are left, want %d", name, arg, got, little)
			}
		}
	}
}

// TestBulk compares large copies and fills with Go's own.
func TestBulk(t *testing.T) {
	const pages = 100
	b := &build{memories: [][]byte{{0, pages}}}
	large := bytes.Repeat([]byte("0123456789abcde"), 100_000)
	b.passive(string(large))
	three := "\x7f\x7f\x7f"
	b.function("copy", three, "", "", opLocalGet, 0, opLocalGet, 1, opLocalGet, 2, opMisc, miscMemoryCopy, 0, 0)
	b.function("fill", three, "", "", opLocalGet, 0, opLocalGet, 1, opLocalGet, 2, opMisc, miscMemoryFill, 0)
	b.function("init", three, "", "", opLocalGet, 0, opLocalGet, 1, opLocalGet, 2, opMisc, miscMemoryInit, 0, 0)
	i := mustLoad(t, newWorld(t, api.CoreFeaturesV2, true), b.bytes())
	mem, _ := i.Memory().Read(0, i.Memory().Size())
	want := make([]byte, len(mem))
	size := uint64(len(mem))
	for _, tt := range []struct {
		name    string
		a, b, n uint64
		ok      bool
	}{
		{"copy", 0, 1, 3 << 20, true}, {"copy", 1, 0, 3 << 20, true}, {"copy", 0, 3 << 20, 3 << 20, true},
		{"copy", 12345, 777, 3<<20 + 17, true}, {"copy", 777, 12345, 3<<20 + 17, true}, {"copy", 5, 5, 2 << 20, true},
		{"copy", 0, size - 2<<20, 2 << 20, true}, {"copy", size - 2<<20, 0, 2 << 20, true}, {"copy", 3, 1 << 20, 1 << 20, true},
		{"copy", 0, size - 2<<20 + 1, 2 << 20, false}, {"copy", size - 2<<20 + 1, 0, 2 << 20, false},
		{"copy", 1, 0, 0xffffffff, false}, {"copy", 0xffffffff, 0, 2 << 20, false}, {"copy", size, size, 0, true},
		{"fill", 10, 7, 3<<20 + 1, true}, {"fill", size - 3<<20, 9, 3 << 20, true}, {"fill", size - 3<<20 + 1, 9, 3 << 20, false},
		{"fill", 0, 1, 0xffffffff, false}, {"fill", 0, 0x1ff, 1 << 20, true},
		{"init", 5, 0, 1_500_000, true}, {"init", 5, 100_000, 1_400_000, true}, {"init", 5, 1, 1_500_000, false},
		{"init", size - 1_100_000, 9, 1_100_000, true}, {"init", size - 1_099_999, 9, 1_100_000, false}, {"init", 9, 3, 100, true},
	} {
		for k := range mem { // something to move
			mem[k] = byte(k ^ k>>8 ^ k>>16)
		}
		copy(want, mem)
		_, err := i.call(t, tt.name, tt.a, tt.b, tt.n)
		if (err == nil) != tt.ok {
			t.Errorf("%s(%d, %d, %d): %v, want success: %v", tt.name, tt.a, tt.b, tt.n, err, tt.ok)
		}
		if tt.ok {
			to := want[tt.a : tt.a+tt.n]
			switch tt.name {
			case "copy":
				copy(to, want[tt.b:])
			case "fill":
				copy(to, bytes.Repeat([]byte{byte(tt.b)}, int(tt.n)))
			case "init":
				copy(to, large[tt.b:])
			}
		}
		if !bytes.Equal(mem, want) {
			t.Errorf("%s(%d, %d, %d): memory differs", tt.name, tt.a, tt.b, tt.n)
		}
	}
}
