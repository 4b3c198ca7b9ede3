package wasmbin

import (
	"slices"
	"strings"
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

// FuncType is a function's signature.
type FuncType struct {
	Params, Results []ValType
}

// Equal says whether two signatures are the same.
func (t FuncType) Equal(o FuncType) bool {
	return slices.Equal(t.Params, o.Params) && slices.Equal(t.Results, o.Results)
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
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.String()
	}
	return strings.Join(names, ", ")
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
	Customs  []string // names of the custom sections
	Start    bool     // it has a start function

	functions []uint32 // type of each function, imported ones first
}

// Func answers the signature of the exported function with this name; ok is false when there is none.
func (m *Module) Func(name string) (t FuncType, ok bool) {
	for i := range m.Exports {
		if e := &m.Exports[i]; e.Kind == Func && e.Name == name {
			return m.Types[m.functions[e.Index]], true
		}
	}
	return FuncType{}, false
}

// Read reads the structure of a module: everything but the code of its functions. Names and types in the answer are
// copies, so binary may change after. It tells of more than Rewrite takes, so that a caller may name what is not
// offered: several memories, 64-bit ones. Errors are of type *Error.
func Read(binary []byte) (*Module, error) {
	d, err := decode(binary)
	if err != nil {
		return nil, err
	}
	m := &Module{Customs: d.customs, Start: d.start >= 0, functions: d.functions}
	m.Types = make([]FuncType, len(d.types))
	for i, t := range d.types {
		m.Types[i] = t.FuncType
	}
	m.Imports = make([]Import, len(d.imports))
	for i, im := range d.imports {
		x := Import{Module: im.module, Name: im.name, Kind: im.kind}
		switch im.kind {
		case Func:
			x.Type = m.Types[d.functions[im.index]]
		case Memory:
			x.Memory = d.memories[im.index]
		}
		m.Imports[i] = x
	}
	m.Exports = d.exports
	for _, t := range d.tables[d.importedTables:] {
		m.Tables = append(m.Tables, t.Limits)
	}
	m.Memories = d.memories[d.importedMemories:]
	return m, nil
}
