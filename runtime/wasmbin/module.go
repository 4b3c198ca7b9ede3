// Package wasmbin reads and rewrites WebAssembly core modules: Read answers their types, imports, exports, tables
// and memories, as much as it takes to say what a module is and what it lacks before an engine sees it; Guard
// changes what would let a module escape its limits.
//
// Both answer for any bytes at all, in time and memory proportional to their number, and never panic. They do
// not validate code; the engine does. Nothing here is shared, so everything may be called concurrently.
package wasmbin

import "strings"

// Limits of a module. They follow what browsers accept, far above what compilers write; a higher one would let
// an upload make the node allocate more.
const (
	MaxTypes     = 1 << 20
	MaxFunctions = 1 << 20
	MaxImports   = 100_000
	MaxExports   = 100_000
	MaxParams    = 1000
	MaxTables    = 100
	MaxMemories  = 16
	PageBytes    = 64 << 10 // a page of linear memory
)

// Kind is what an import or export is.
type Kind byte

// Kinds of imports and exports.
const (
	Func   Kind = 0
	Table  Kind = 1
	Memory Kind = 2
	Global Kind = 3
	Tag    Kind = 4
)

// String answers the kind's name, as used in the text format.
func (k Kind) String() string {
	return [...]string{"func", "table", "memory", "global", "tag"}[min(k, Tag)]
}

// ValType is the type of a value.
type ValType byte

// Types of values.
const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	V128      ValType = 0x7b
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6f
)

// String answers the type's name, empty for an unknown one.
func (t ValType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return ""
}

// FuncType is a function's signature.
type FuncType struct {
	Params, Results []ValType
}

// Equal says whether two signatures are the same.
func (t FuncType) Equal(o FuncType) bool {
	return string(valBytes(t.Params)) == string(valBytes(o.Params)) &&
		string(valBytes(t.Results)) == string(valBytes(o.Results))
}

func valBytes(types []ValType) []byte {
	b := make([]byte, len(types))
	for i, t := range types {
		b[i] = byte(t)
	}
	return b
}

// String answers the signature as "(i32, i64) -> i32"; without results as "(i32)".
func (t FuncType) String() string {
	s := "(" + join(t.Params) + ")"
	switch len(t.Results) {
	case 0:
		return s
	case 1:
		return s + " -> " + join(t.Results)
	}
	return s + " -> (" + join(t.Results) + ")"
}

func join(types []ValType) string {
	var s strings.Builder
	for i, t := range types {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(t.String())
	}
	return s.String()
}

// Limits are the bounds of a table, in elements, or of a memory, in pages.
type Limits struct {
	Min, Max uint64 // Max counts only when HasMax
	HasMax   bool
	Shared   bool // between threads
	Is64     bool // addressed by 64 bits
}

// Import is something a module needs from outside.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         FuncType // of a Func
	Memory       Limits   // of a Memory
	typeIndex    uint32
}

// Export is something a module offers.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32 // in the index space of its kind, imports first
}

// Module is the structure of a core module.
type Module struct {
	Types    []FuncType
	Imports  []Import
	Exports  []Export
	Tables   []Limits // defined ones
	Memories []Limits // defined ones

	functions     []uint32 // type of each defined function
	importedFuncs []uint32 // type of each imported function
	bodies        int
}

// Func answers the signature of the exported function with this name; ok is false when there is none.
func (m *Module) Func(name string) (t FuncType, ok bool) {
	for i := range m.Exports {
		ex := &m.Exports[i]
		if ex.Kind != Func || ex.Name != name {
			continue
		}
		if n := uint32(len(m.importedFuncs)); ex.Index < n {
			return m.Types[m.importedFuncs[ex.Index]], true
		} else {
			return m.Types[m.functions[ex.Index-n]], true
		}
	}
	return FuncType{}, false
}
