package wasmbin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"
)

func mustRewrite(t testing.TB, data []byte) *Rewritten {
	t.Helper()
	m, err := Rewrite(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// call runs an exported function and answers its first result.
func (i *instance) call(t testing.TB, name string, args ...uint64) (uint64, error) {
	t.Helper()
	f := i.ExportedFunction(name)
	if f == nil {
		t.Fatalf("no function %s", name)
	}
	r, err := f.Call(context.Background(), args...)
	if err != nil || len(r) == 0 {
		return 0, err
	}
	return r[0], nil
}

func mustLoad(t testing.TB, w *world, data []byte) *instance {
	t.Helper()
	i, err := w.load(data, "")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestSegments(t *testing.T) {
	fromGlobal := func(content string) []byte {
		return slices.Concat([]byte{0, opGlobalGet, 0, opEnd}, str(content))
	}
	explicit := slices.Concat([]byte{2, 0}, i32(9), []byte{opEnd}, str("x"))
	for _, tt := range []struct {
		name  string
		data  func(*build)
		taken string // offset:bytes of what is handed to the host
		flags Flags
	}{
		{"none", func(b *build) {}, "", 0},
		{"constant", func(b *build) { b.data(3, "abc"); b.data(65535, "d") }, "3:abc 65535:d", 0},
		{"overlapping", func(b *build) { b.data(3, "abc"); b.data(4, "z") }, "3:abc 4:z", 0},
		{"empty at the end", func(b *build) { b.data(65536, "") }, "", 0},
		{"with a memory's index", func(b *build) { b.datas = append(b.datas, explicit) }, "9:x", 0},
		{"passive", func(b *build) { b.passive("abc"); b.data(1, "d") }, "1:d", 0},
		{"computed, then constant", func(b *build) { b.datas = append(b.datas, fromGlobal("abc")); b.data(8, "z") }, "8:z", 0},
		{"constant, then computed", func(b *build) { b.data(8, "z"); b.datas = append(b.datas, fromGlobal("abc")) }, "", 0},
		{"between", func(b *build) {
			b.data(0, "a")
			b.datas = append(b.datas, fromGlobal("b"))
			b.data(7, "c")
		}, "7:c", 0},
		{"out of bounds", func(b *build) { b.data(1, "a"); b.data(65535, "bc"); b.data(2, "d") }, "2:d", OutOfBounds},
		{"beyond all", func(b *build) { b.data(-1, "") }, "", OutOfBounds},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &build{memories: [][]byte{{0, 1}}}
			b.imports = [][]byte{slices.Concat(str("spectest"), str("global_i32"), []byte{3, byte(I32), 0})} // 666
			b.function("f", "", "", "")
			tt.data(b)
			m := mustRewrite(t, b.bytes())
			var taken []string
			for _, s := range m.Segments {
				taken = append(taken, fmt.Sprintf("%d:%s", s.Offset, s.Bytes))
			}
			if got := strings.Join(taken, " "); got != tt.taken {
				t.Errorf("Segments = %q, want %q", got, tt.taken)
			}
			if m.Flags != tt.flags {
				t.Errorf("Flags = %v, want %v", m.Flags, tt.flags)
			}
			compareMemories(t, b.bytes())
		})
	}
}

// compareMemories instantiates a module as it is and rewritten, and compares what is in memory then.
func compareMemories(t *testing.T, data []byte) {
	t.Helper()
	folder := specFolder(t) + "/v2/testdata"
	plain, rewritten := newPlay(t, folder, api.CoreFeaturesV2, false), newPlay(t, folder, api.CoreFeaturesV2, true)
	want, wantErr := plain.load(data, "")
	got, err := rewritten.load(data, "")
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("instantiated: %v, want %v", err, wantErr)
	}
	if err == nil && string(got.memory.buf) != string(want.memory.buf) {
		t.Error("memories differ")
	}
}

// TestMemoryInit: a segment that was taken out is dropped for memory.init, as the specification says; passive ones
// stay what they were.
func TestMemoryInit(t *testing.T) {
	b := &build{memories: [][]byte{{0, 1}}}
	b.data(0, "active")
	b.passive("passive")
	for i, name := range []string{"active", "passive"} {
		b.function(name, "\x7f", "", "",
			code(i32(100), i32(0), opLocalGet, 0, opMisc, miscMemoryInit, i, 0)...)
	}
	b.function("drop", "", "", "", code(opMisc, miscDataDrop, 1)...)
	i := mustLoad(t, newWorld(t, api.CoreFeaturesV2, true), b.bytes())
	if s, _ := i.Memory().Read(0, 6); string(s) != "active" {
		t.Errorf("memory starts with %q", s)
	}
	for _, tt := range []struct {
		name string
		n    uint64
		want string // error, or what is at 100 then
	}{
		{"active", 0, "\x00"}, {"active", 1, "out of bounds"}, {"passive", 7, "passive"}, {"passive", 8, "out of bounds"},
	} {
		_, err := i.call(t, tt.name, tt.n)
		got, _ := i.Memory().Read(100, uint32(len(tt.want)))
		if err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && string(got) != tt.want {
			t.Errorf("memory.init of %d %s bytes: %q, %v, want %q", tt.n, tt.name, got, err, tt.want)
		}
	}
	if i.writes() != 0 {
		t.Errorf("%d changes counted before data.drop", i.writes())
	}
	if _, err := i.call(t, "drop"); err != nil || i.writes() != 1 {
		t.Errorf("data.drop: %v, %d changes counted, want 1", err, i.writes())
	}
	if _, err := i.call(t, "passive", 1); err == nil {
		t.Error("a dropped segment is still there")
	}
}

func TestStart(t *testing.T) {
	b := &build{memories: [][]byte{{0, 1}}}
	b.data(5, "\x2a")
	b.global(I32, 1, i32(1)...)
	// start reads the data segment: it must be called after that is written.
	b.start = 1 + int(b.function("", "", "", "", code(i32(5), opFirstLoad, 0, 0, opGlobalSet, 0)...))
	b.function("get", "", "\x7f", "", opGlobalGet, 0)
	m := mustRewrite(t, b.bytes())
	if m.Start != StartExport {
		t.Fatalf("Start = %q, want %q", m.Start, StartExport)
	}
	w := newWorld(t, api.CoreFeaturesV2, true)
	mod, err := w.Instantiate(context.Background(), m.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if got := mod.ExportedGlobal(m.Globals[0].Name).Get(); got != 1 {
		t.Errorf("start has run at instantiation: global is %d", got)
	}
	i := mustLoad(t, w, b.bytes())
	if got, err := i.call(t, "get"); err != nil || got != 42 {
		t.Errorf("get = %d, %v, want 42", got, err)
	}
	imported := &build{}
	imported.start = 1 + int(imported.importFunction("spectest", "print", "", ""))
	if m := mustRewrite(t, imported.bytes()); m.Start == "" {
		t.Error("an imported start function is lost")
	}
}

func TestGlobals(t *testing.T) {
	b := &build{}
	b.global(I32, 1, i32(1)...)
	b.global(I32, 0, i32(2)...)
	b.global(I64, 1, i64(3)...)
	b.global(F32, 1, opF32Const, 0, 0, 0x80, 0x3f)
	b.global(F64, 1, code(opF64Const, make([]byte, 8))...)
	b.export("mine", Global, 2)
	m := mustRewrite(t, b.bytes())
	want := []MutableGlobal{{"$sett.global.0", 0, I32}, {"$sett.global.2", 2, I64}, {"$sett.global.3", 3, F32}, {"$sett.global.4", 4, F64}}
	if !slices.Equal(m.Globals, want) {
		t.Errorf("Globals = %v, want %v", m.Globals, want)
	}
	if m.Flags != 0 {
		t.Errorf("Flags = %v, want none", m.Flags)
	}
	i := mustLoad(t, newWorld(t, api.CoreFeaturesV2, true), b.bytes())
	for _, g := range append(m.Globals, MutableGlobal{Name: "mine"}) {
		if i.ExportedGlobal(g.Name) == nil {
			t.Errorf("no global %s", g.Name)
		}
	}
	if got := i.ExportedGlobal(StackGlobal).Get(); got != StackBytes {
		t.Errorf("stack starts at %d, want %d", got, StackBytes)
	}
}

// TestMemoryLimits: the guest grows up to what it declares; the host has a page more, for its reset.
func TestMemoryLimits(t *testing.T) {
	env := slices.Concat(str("env"), str("memory"), []byte{2, 1, 1, 3})
	for _, tt := range []struct {
		name   string
		limits []byte // nil: imported
		grow   uint64
		want   int32
	}{
		{"to its limit", []byte{1, 1, 3}, 2, 1},
		{"over it", []byte{1, 1, 3}, 3, -1},
		{"far over it", []byte{1, 1, 3}, 0xffffffff, -1},
		{"imported, to its limit", nil, 2, 1},
		{"imported, over it", nil, 3, -1},
		{"no limit", []byte{0, 1}, 30, 1},
		{"all there is", []byte{1, 1, 0x80, 0x80, 4}, 0xffff, -1}, // the test's allocator refuses
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &build{}
			if tt.limits == nil {
				b.imports = [][]byte{env}
			} else {
				b.memory(tt.limits...)
			}
			b.function("grow", "\x7f", "\x7f", "", opLocalGet, 0, opMemoryGrow, 0)
			b.data(1, "x")
			i := mustLoad(t, newWorld(t, api.CoreFeaturesV2, true), b.bytes())
			if s, _ := i.Memory().Read(1, 1); string(s) != "x" {
				t.Errorf("memory has %q at 1", s)
			}
			i.memory.max = 40 * PageBytes // the guest's limit is for its code to keep
			got, err := i.call(t, "grow", tt.grow)
			if err != nil || int32(got) != tt.want {
				t.Errorf("memory.grow %d = %d, %v, want %d", tt.grow, int32(got), err, tt.want)
			}
			i.reset(t) // grows by a page, at the limit too
			if got := i.ownMemory().Size(); got != PageBytes {
				t.Errorf("%d bytes after a reset, want a page", got)
			}
		})
	}
}

func TestSharedMemory(t *testing.T) {
	b := &build{imports: [][]byte{slices.Concat(str("env"), str("memory"), []byte{2, 1, 1, 3})}}
	b.data(0, "abc")
	b.function("grow", "\x7f", "\x7f", "", opLocalGet, 0, opMemoryGrow, 0)
	m, err := rewrite(b.bytes(), sharedMemory)
	if err != nil {
		t.Fatal(err)
	}
	if m.Flags != ImportedMemory || m.Segments != nil {
		t.Errorf("Flags = %v, Segments = %v, want %v and none", m.Flags, m.Segments, ImportedMemory)
	}
	again, err := Read(m.Bytes)
	if err != nil || again.Imports[0].Kind != Memory || again.Imports[0].Memory.Max != 3 {
		t.Errorf("imports = %+v, %v", again.Imports, err)
	}
}

func TestFlags(t *testing.T) {
	one := func(f func(*build)) *build {
		b := &build{memories: [][]byte{{0, 1}}}
		b.table(0x70, 0, 4)
		f(b)
		return b
	}
	run := func(instructions ...any) *build {
		return one(func(b *build) {
			b.elements = [][]byte{slices.Concat([]byte{1, 0}, num(1), num(0))} // passive
			b.passive("x")
			b.function("f", "", "", "", code(instructions...)...)
		})
	}
	null := []byte{opRefNull, 0x70}
	for _, tt := range []struct {
		name string
		b    *build
		want Flags
	}{
		{"table.set", run(i32(0), null, opTableSet, 0), TableSet},
		{"table.grow", run(null, i32(0), opMisc, miscTableGrow, 0, opDrop), TableGrow},
		{"table.fill", run(i32(0), null, i32(0), opMisc, miscTableFill, 0), TableFill},
		{"table.init", run(i32(0), i32(0), i32(0), opMisc, miscTableInit, 0, 0), TableInit},
		{"table.copy", run(i32(0), i32(0), i32(0), opMisc, miscTableCopy, 0, 0), TableCopy},
		{"elem.drop", run(opMisc, miscElemDrop, 0), ElementDrop},
		{"data.drop", run(opMisc, miscDataDrop, 0), DataDrop},
		{"mutable v128 global", one(func(b *build) {
			b.global(V128, 1, code(opVector, vectorConst, make([]byte, 16))...)
			b.function("f", "", "", "", code(opVector, vectorConst, make([]byte, 16), opGlobalSet, 0)...)
		}), VectorGlobal},
		{"mutable reference global", one(func(b *build) {
			b.global(FuncRef, 1, null...)
			b.function("f", "", "", "", code(null, opGlobalSet, 0)...)
		}), ReferenceGlobal},
		{"table.get and table.size", run(i32(0), opTableGet, 0, opDrop, opMisc, miscTableSize, 0, opDrop), 0},
		{"constant reference global", one(func(b *build) { b.global(FuncRef, 0, null...); b.function("f", "", "", "") }), 0},
		{"exported table", one(func(b *build) { b.export("t", Table, 0); b.function("f", "", "", "") }), ExportedTable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := mustRewrite(t, tt.b.bytes())
			if m.Flags != tt.want {
				t.Errorf("Flags = %v, want %v", m.Flags, tt.want)
			}
			if tt.want != 0 && m.Flags.String() != tt.name {
				t.Errorf("Flags.String = %q, want %q", m.Flags, tt.name)
			}
			i := mustLoad(t, newWorld(t, api.CoreFeaturesV2, true), tt.b.bytes())
			if _, err := i.call(t, "f"); err != nil {
				t.Fatal(err)
			}
			if want := uint64(1); tt.want.Has(Counted) && i.writes() != want || !tt.want.Has(Counted) && i.writes() != 0 {
				t.Errorf("%d changes counted", i.writes())
			}
		})
	}
}

func TestFlagsOfImports(t *testing.T) {
	for name, tt := range map[string]struct {
		entry []byte
		want  Flags
	}{
		"imported mutable global": {[]byte{3, byte(I32), 1}, ImportedGlobal},
		"constant global":         {[]byte{3, byte(I32), 0}, 0},
		"imported table":          {[]byte{1, 0x70, 0, 1}, ImportedTable},
		"shared memory":           {[]byte{2, 3, 1, 1}, SharedMemory},
	} {
		b := &build{imports: [][]byte{slices.Concat(str("env"), str("x"), tt.entry)}}
		if m := mustRewrite(t, b.bytes()); m.Flags != tt.want || tt.want != 0 && m.Flags.String() != name {
			t.Errorf("%s: Flags = %v, want %v", name, m.Flags, tt.want)
		} else if m.Globals != nil {
			t.Errorf("%s: Globals = %v, want none", name, m.Globals)
		}
	}
	atomic := &build{memories: [][]byte{{3, 1, 1}}}
	atomic.function("f", "", "", "", opAtomic, 3, 0)
	if m := mustRewrite(t, atomic.bytes()); m.Flags != Threads {
		t.Errorf("Flags = %v, want %v", m.Flags, Threads)
	}
	throw := &build{tags: [][]byte{{0, 0}}}
	throw.function("f", "", "", "", opThrow, 0)
	if m := mustRewrite(t, throw.bytes()); m.Flags != Exceptions {
		t.Errorf("Flags = %v, want %v", m.Flags, Exceptions)
	}
}

// TestTables: tables cannot outgrow the limit, in all together.
func TestTables(t *testing.T) {
	b := &build{}
	b.table(0x70, 0, 10)                              // no maximum
	b.table(code(0x70, 1, 1, num(1<<30))...)          // a large one
	b.table(code(0x6f, 1, 1, num(7))...)              // a small one
	b.table(code(0x70, 0, num(MaxTableEntries/2))...) // starts over its share
	m, err := Read(mustRewrite(t, b.bytes()).Bytes)
	if err != nil {
		t.Fatal(err)
	}
	share := uint64(MaxTableEntries / 4)
	want := []Limits{{10, share, true, false, false}, {1, share, true, false, false}, {1, 7, true, false, false},
		{MaxTableEntries / 2, MaxTableEntries / 2, true, false, false}}
	if !slices.Equal(m.Tables, want) {
		t.Errorf("Tables = %v, want %v", m.Tables, want)
	}
}

// TestNames: traces name the functions of the module as it was.
func TestNames(t *testing.T) {
	b := &build{}
	b.importFunction("spectest", "print", "", "")
	inner := b.function("", "", "", "", opUnreachable)
	b.function("run", "", "", "", code(opCall, num(inner))...)
	names := slices.Concat(num(3), num(0), str("host_print"), num(1), str("inner_function"), num(2), str("outer_function"))
	section := slices.Concat(str("name"), []byte{0}, num(4), str("mod"), []byte{1}, num(uint32(len(names))), names)
	b.customs = appendSection(nil, customSection, section)
	b.customs = appendSection(b.customs, customSection, slices.Concat(str(".debug_info"), make([]byte, 1000)))
	w := newPlay(t, specFolder(t)+"/v2/testdata", api.CoreFeaturesV2, true)
	_, err := mustLoad(t, w.world, b.bytes()).call(t, "run")
	for _, want := range []string{"inner_function", "outer_function"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %s: %v", want, err)
		}
	}
	m := mustRewrite(t, b.bytes())
	if strings.Contains(string(m.Bytes), ".debug_info") {
		t.Error("debug information is still there")
	}
	again, fault := decode(m.Bytes)
	if fault != nil {
		t.Fatal(fault)
	}
	list, own := again.functionNames()
	var got []string
	for _, n := range list {
		got = append(got, fmt.Sprintf("%d:%s", n.function, again.text(n.at)))
	}
	if want := "0:host_print 1:$sett.refill 2:inner_function 3:outer_function 4:$sett.refill"; strings.Join(got, " ") != want || again.text(own) != "mod" {
		t.Errorf("names = %v of %q, want %s of mod", got, again.text(own), want)
	}
}

// TestMalformedNames: a name section is for people; what is wrong with it is left out.
func TestMalformedNames(t *testing.T) {
	for _, names := range []string{"\x01\x05\x02\x01\x01a\x00", "\x01\xff", "\x01\x03\xff\xff\xff", "\x01\x04\x01\x00\x01\xff", "\x02\x09"} {
		b := &build{}
		b.function("f", "", "", "")
		b.function("g", "", "", "")
		b.customs = appendSection(nil, customSection, append(str("name"), names...))
		mustLoad(t, newWorld(t, api.CoreFeaturesV2, true), b.bytes())
	}
}
