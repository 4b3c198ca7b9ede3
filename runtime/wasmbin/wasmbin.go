// Package wasmbin reads and rewrites WebAssembly core modules. Read answers their structure, as much as it takes to say
// what a module is and what it lacks before an engine sees it. Rewrite turns a module into one whose instances can be
// imaged, metered and reset from outside, and otherwise behave as before. Link makes one module of several that import from
// each other, as those of a component do.
//
// All of them answer for any bytes at all, in time and memory proportional to their number, and never panic. What
// they accept the engine still has to validate, but an invalid module is never made valid. Nothing here is shared, so
// everything may be called concurrently.
package wasmbin

// Version names what Rewrite does. It changes whenever Rewrite may answer other bytes for the same module, and is
// part of the key of everything derived from them.
const Version = "1"

// Names that Rewrite adds to a module. A module that has such names itself, or asks others for them, is refused.
const (
	Reserved = "$sett." // prefix of every export that is added

	RefillModule = "$sett"  // module of the function that a rewritten module imports, if it has code
	RefillName   = "refill" // func(fuel, stack i64) (fuel i64): see Rewrite

	FuelGlobal   = "$sett.fuel"    // export: i64, instructions that may run before the next refill; starts at 0
	StackGlobal  = "$sett.stack"   // export: i64, bytes of call stack left; starts at StackBytes
	WritesGlobal = "$sett.writes"  // export: i64, how often code changed what Counted lists; starts at 0
	MemoryExport = "$sett.memory"  // export: the memory, when there is one
	StartExport  = "$sett.start"   // export: func(), what was the start function
	globalPrefix = "$sett.global." // exports: a mutable global, by its index
)

// StackBytes is how much call stack an instance may use, by the estimate of functions' frames that is taken from
// StackGlobal: what a native program gets. More lets guests recurse deeper, and costs the host that much memory or a
// few times more while a call runs, outside of the guest's own limit. A host may set the global to another value.
const StackBytes = 8 << 20

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
