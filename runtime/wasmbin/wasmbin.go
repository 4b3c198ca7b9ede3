// Package wasmbin reads and rewrites WebAssembly modules. Rewrite turns an uploaded module into one whose
// instances can be imaged, metered and reset from outside: its active data segments, its start function and its
// mutable globals are handed to the host, and its functions charge fuel and stack as they run.
//
// The rewritten module behaves as the original does. Rewrite refuses what it cannot read with an *Error that names
// section, offset and what would be right; what it passes on, the engine still has to validate, and an invalid
// module is never made valid. Everything here is pure and may be called concurrently.
package wasmbin

// Version names what Rewrite does. It changes whenever Rewrite may answer other bytes for the same module, and is
// part of the key of everything derived from them.
const Version = "1"

// Names that Rewrite adds to a module. A module that has such names itself is refused.
const (
	Reserved = "$sett." // prefix of every export that is added

	RefillModule = "$sett"  // module of the function that a rewritten module imports
	RefillName   = "refill" // func(fuel, stack i64) (fuel i64), see Rewrite

	FuelGlobal   = "$sett.fuel"    // export: i64, instructions that may run before the next refill; starts at 0
	StackGlobal  = "$sett.stack"   // export: i64, bytes of call stack left; starts at StackBytes
	WritesGlobal = "$sett.writes"  // export: i64, how often code changed what Counted lists; starts at 0
	MemoryExport = "$sett.memory"  // export: the memory, when there is one
	StartExport  = "$sett.start"   // export: func(), what was the start function
	globalPrefix = "$sett.global." // exports: a mutable global, by its index
)

// StackBytes is how much call stack an instance may use, by the estimate of functions' frames that is charged
// to StackGlobal. More lets guests recurse deeper and costs the host as much memory per running call, outside the
// guest's own limit. A host may set another value with the global.
const StackBytes = 8 << 20

// Options say how to rewrite. The zero value is right for a module that runs alone.
type Options struct {
	// KeepImportedMemory leaves an imported memory and the module's data segments as they are, for a module
	// that shares a memory with others.
	KeepImportedMemory bool
}

// Segment is what an active data segment writes. Bytes are part of the module given to Rewrite.
type Segment struct {
	Offset uint32
	Bytes  []byte
}

// MutableGlobal is a global to save with an image and to restore.
type MutableGlobal struct {
	Name  string // of its export
	Index int    // in the module as it was
	Type  ValType
}

// Rewritten is a module after Rewrite.
type Rewritten struct {
	Bytes    []byte
	Segments []Segment       // to be written in this order, after instantiation and before Start
	Globals  []MutableGlobal // of numeric types, by index; others are only flagged
	Memory   *Limits         // in pages, as the guest knows it, Max always set; nil: none
	Start    string          // StartExport, to be called once after Segments are written; empty: nothing to call
	Flags    Flags
}
