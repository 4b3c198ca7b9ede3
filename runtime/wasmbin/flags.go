package wasmbin

import "strings"

// Flags say what a module has that a host must know before it resets an instance, or runs one at all.
type Flags uint32

const (
	TableSet        Flags = 1 << iota // instruction table.set
	TableGrow                         // instruction table.grow
	TableFill                         // instruction table.fill
	TableInit                         // instruction table.init
	TableCopy                         // instruction table.copy
	ElementDrop                       // instruction elem.drop
	DataDrop                          // instruction data.drop
	VectorGlobal                      // a mutable global of type v128
	ReferenceGlobal                   // a mutable global that holds a reference
	ImportedGlobal                    // a mutable global that belongs to another instance
	ImportedTable                     // a table that belongs to another instance
	ImportedMemory                    // a memory that belongs to another instance
	ExportedTable                     // a table that others may write
	SharedMemory                      // memory for several threads
	Atomics                           // atomic instructions
	Exceptions                        // exception handling
	OutOfBounds                       // an active data segment outside its memory: instantiation fails
)

// Counted are the flags of state that setting memory and globals does not bring back, and whose changes are counted
// in WritesGlobal: an instance may be reset as long as that has the value it had when the image was taken.
const Counted = TableSet | TableGrow | TableFill | TableInit | TableCopy | ElementDrop | DataDrop | VectorGlobal |
	ReferenceGlobal

// Shared are the flags of state that others may change as well, so that one instance alone cannot be reset.
const Shared = ImportedGlobal | ImportedTable | ImportedMemory | SharedMemory

// Threads are the flags of modules that ask for threads.
const Threads = SharedMemory | Atomics

// Has says whether any of these flags is set.
func (f Flags) Has(any Flags) bool { return f&any != 0 }

// Names answers a name for each flag that is set: "table.set", "imported memory", ...
func (f Flags) Names() []string {
	var names []string
	for i, name := range [...]string{
		"table.set", "table.grow", "table.fill", "table.init", "table.copy", "elem.drop", "data.drop",
		"mutable v128 global", "mutable reference global", "imported mutable global", "imported table",
		"imported memory", "exported table", "shared memory", "atomic instructions", "exceptions",
		"data segment out of bounds",
	} {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String joins the names.
func (f Flags) String() string { return strings.Join(f.Names(), ", ") }

// findFlags looks at what the structure of the module tells; reading its bodies adds more.
func (m *module) findFlags(keepMemory bool) Flags {
	var f Flags
	for i, g := range m.globals {
		switch {
		case !g.mutable:
		case i < m.importedGlobals:
			f |= ImportedGlobal
		case g.ValType == V128:
			f |= VectorGlobal
		case g.IsReference():
			f |= ReferenceGlobal
		}
	}
	if m.importedTables > 0 {
		f |= ImportedTable
	}
	if m.importedMemories > 0 && keepMemory {
		f |= ImportedMemory
	}
	for _, l := range m.memories {
		if l.Shared {
			f |= SharedMemory
		}
	}
	for _, e := range m.exports {
		if e.Kind == Table {
			f |= ExportedTable
		}
	}
	return f
}
