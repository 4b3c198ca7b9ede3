package wasmbin

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestRewriteRefuses: errors say what kind of thing is wrong, in which section, and what.
func TestRewriteRefuses(t *testing.T) {
	body := func(parts ...any) *build {
		b := &build{memories: [][]byte{{0, 1}}}
		b.table(0x70, 0, 1)
		b.global(I32, 1, i32(0)...)
		b.function("f", "\x7f", "", "\x01\x7f", code(parts...)...)
		return b
	}
	with := func(f func(*build)) *build { b := body(); f(b); return b }
	env := func(kind byte, rest ...byte) [][]byte {
		return [][]byte{slices.Concat(str("env"), str("x"), []byte{kind}, rest)}
	}
	for _, tt := range []struct {
		name    string
		b       *build
		fault   Fault
		section string
		reason  string
	}{
		{"call of nothing", body(opCall, 1), Malformed, "code", "unknown function 1"},
		{"tail call of nothing", body(opTailCall, 1), Malformed, "code", "unknown function 1"},
		{"type of nothing", body(i32(0), opCallIndirect, 1, 0), Malformed, "code", "unknown type 1"},
		{"table of nothing", body(i32(0), opCallIndirect, 0, 1), Malformed, "code", "unknown table 1"},
		{"our fuel", body(opGlobalGet, 1, opDrop), Malformed, "code", "unknown global 1"},
		{"our stack", body(i64(9), opGlobalSet, 2), Malformed, "code", "unknown global 2"},
		{"our locals", body(opLocalGet, 2, opDrop), Malformed, "code", "unknown local 2"},
		{"our types", body(opBlock, 1, opEnd), Malformed, "code", "block's type is 1"},
		{"label", body(opBr, 1), Malformed, "code", "label 1, but there are 1"},
		{"undeclared reference", with(func(b *build) { b.exports = nil; b.function("g", "", "", "", opRefFunc, 0, opDrop) }), Malformed, "code", "no element segment, global or export names"},
		{"reference to start", with(func(b *build) {
			b.start = 1 + int(b.function("", "", "", "", opRefFunc, 1, opDrop))
		}), Malformed, "code", "ref.func of function 1"},
		{"else without if", body(opElse), Malformed, "code", "else without if"},
		{"two ends", body(opEnd, opNop), Malformed, "code", "bytes behind the end"},
		{"no end", body(opBlock, blockEmpty), Malformed, "code", "truncated"},
		{"unknown instruction", body(0xff), Unsupported, "code", "instruction 0xff"},
		{"old exceptions", body(6), Unsupported, "code", "instruction 0x6"},
		{"relaxed vectors", body(opVector, 0x80, 2), Unsupported, "code", "relaxed SIMD"},
		{"vector instruction cut short", body(opVector, 0xae, 0), Unsupported, "code", "0xfd 0xae 0x0"},
		{"second memory", body(opMemorySize, 1, opDrop), Unsupported, "code", "multi-memory"},
		{"data without count", with(func(b *build) {
			b.passive("x")
			b.noDataCount = true
			b.function("g", "", "", "", opMisc, miscDataDrop, 0)
		}), Malformed, "code", "no data count section"},
		{"data of nothing", body(opMisc, miscDataDrop, 0), Malformed, "code", "unknown data segment 0"},
		{"number", body(opLocalGet, 0x80, 0x80, 0x80, 0x80, 0x10), Malformed, "code", "longer than 32 bits"},
		{"signed number", body(opI32Const, 0x80, 0x80, 0x80, 0x80, 0x10), Malformed, "code", "longer than 32 bits"},
		{"memory of nothing", with(func(b *build) { b.memories = nil; b.function("g", "", "", "", code(opMemorySize, 0, opDrop)...) }), Malformed, "code", "memory 0, but there is none"},
		{"data of no memory", with(func(b *build) { b.memories = nil; b.data(0, "x") }), Malformed, "data", "memory 0, but there is none"},
		{"data kind", with(func(b *build) { b.datas = [][]byte{{3, 0}} }), Malformed, "data", "kind is 3"},
		{"element kind", with(func(b *build) { b.elements = [][]byte{{8, 0}} }), Malformed, "element", "kind is 8"},
		{"element of nothing", with(func(b *build) { b.elements = [][]byte{{1, 0, 1, 5}} }), Malformed, "element", "unknown function 5"},
		{"global's value", with(func(b *build) { b.global(I32, 0, opLocalGet, 0) }), Malformed, "global", "constant expression"},
		{"global's mutability", with(func(b *build) { b.global(I32, 2, i32(0)...) }), Malformed, "global", "mutability is 0x2"},
		{"export of nothing", with(func(b *build) { b.export("x", Global, 1) }), Malformed, "export", "unknown global 1"},
		{"export twice", with(func(b *build) { b.export("f", Global, 0) }), Malformed, "export", "comes twice"},
		{"start with a parameter", with(func(b *build) { b.start = 1 }), Malformed, "start", "has parameters"},
		{"memory's limits", with(func(b *build) { b.memories = [][]byte{{1, 2, 1}} }), Malformed, "memory", "least size is 2"},
		{"memory's size", with(func(b *build) { b.memories = [][]byte{code(1, 0, num(65537))} }), Malformed, "memory", "65537"},
		{"two memories", with(func(b *build) { b.memory(0, 1) }), Unsupported, "memory", "2 memories"},
		{"64-bit memory", with(func(b *build) { b.memories = [][]byte{{4, 1}} }), Unsupported, "memory", "memory64"},
		{"shared table", with(func(b *build) { b.table(0x70, 2, 1) }), Unsupported, "table", "shared"},
		{"table of numbers", with(func(b *build) { b.table(0x7f, 0, 1) }), Malformed, "table", "table of i32"},
		{"garbage collected types", with(func(b *build) { b.types = append(b.types, []byte{0x5f, 0}) }), Unsupported, "type", "garbage collection"},
		{"our import", with(func(b *build) { b.imports = [][]byte{slices.Concat(str("$sett"), str("refill"), []byte{0, 0})} }), Unsupported, "import", "reserved"},
		{"another module's fuel", with(func(b *build) {
			b.imports = [][]byte{slices.Concat(str("i1"), str(FuelGlobal), []byte{3, byte(I64), 1})}
		}), Unsupported, "import", "reserved"},
		{"our export", with(func(b *build) { b.export(FuelGlobal, Global, 0) }), Unsupported, "export", "reserved"},
		{"import's kind", with(func(b *build) { b.imports = env(5) }), Malformed, "import", "unknown kind 5"},
		{"import's type", with(func(b *build) { b.imports = env(0, 9) }), Malformed, "import", "unknown type 9"},
		{"tables", with(func(b *build) { b.table(code(0x70, 0, num(MaxTableEntries))...) }), TooLarge, "table", "more than 1048576 entries"},
		{"many tables", with(func(b *build) { b.tables = slices.Repeat([][]byte{{0x70, 0, 0}}, MaxTables+1) }), TooLarge, "table", "more than 100"},
		{"locals", with(func(b *build) {
			b.function("g", "\x7f", "", "", code()...)
			b.bodies[1] = code(6, 1, num(MaxLocals), 0x7f, opEnd)
		}), TooLarge, "code", "over 50000 locals"},
		{"body", with(func(b *build) { b.function("g", "", "", "", bytes.Repeat([]byte{opNop}, MaxBodyBytes)...) }), TooLarge, "code", "more than 7654321"},
		{"nesting", body(bytes.Repeat([]byte{opBlock, blockEmpty}, MaxNesting)), TooLarge, "code", "over 50000 blocks"},
		{"parameters", with(func(b *build) { b.signature(strings.Repeat("\x7f", MaxParams+1), "") }), TooLarge, "type", "more than 1000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Rewrite(tt.b.bytes())
			var e *Error
			if !errors.As(err, &e) || e.Fault != tt.fault || e.Section != tt.section || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("Rewrite: %v, want %s %s section: %s", err, tt.fault, tt.section, tt.reason)
			}
		})
	}
	if _, err := Rewrite(body(opReturn).bytes()); err != nil {
		t.Errorf("Rewrite of a good module: %v", err)
	}
}

// TestCountLimits: lists are no longer than their limit, nor than the bytes that hold them.
func TestCountLimits(t *testing.T) {
	for id, limit := range map[byte]int{
		typeSection: MaxTypes, importSection: MaxImports, functionSection: MaxFunctions, tableSection: MaxTables,
		memorySection: MaxMemories, tagSection: MaxTags, globalSection: MaxGlobals, exportSection: MaxExports,
		elementSection: MaxElements, codeSection: MaxFunctions, dataSection: MaxDataSegments,
	} {
		for n, want := range map[int]Fault{limit: Malformed, limit + 1: TooLarge} {
			module := appendSection([]byte("\x00asm\x01\x00\x00\x00"), id, num(uint32(n)))
			_, err := Read(module)
			var e *Error
			if !errors.As(err, &e) || e.Fault != want || want == Malformed && !errors.Is(err, ErrTruncated) {
				t.Errorf("%d entries in the %s section: %v, want it %s", n, sectionName(id), err, want)
			}
		}
	}
}
