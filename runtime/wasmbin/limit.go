package wasmbin

// Limits of a module. They follow what browsers accept, far above what compilers write, and bound what the engine
// would otherwise allocate at a module's word. A higher one lets larger modules in and lets an upload cost more.
//
// Source: WebAssembly JavaScript Interface, "Implementation-defined Limits"; remarks name where it is left.
const (
	MaxTypes        = 1 << 20
	MaxFunctions    = 1 << 20 // imported ones included
	MaxImports      = 100_000
	MaxExports      = 100_000
	MaxGlobals      = 1 << 20
	MaxTags         = 1 << 20
	MaxElements     = 1 << 20   // element segments
	MaxDataSegments = 1 << 20   // browsers: 100,000, and Go's linker has been seen to write 78,000
	MaxParams       = 1000      // of a function, and as many results
	MaxLocals       = 50_000    // of a function, with its parameters
	MaxBodyBytes    = 7_654_321 // of a function
	MaxNesting      = 50_000    // blocks of a function within each other; browsers: none
	MaxTables       = 100       // browsers: 100,000
	MaxTableEntries = 1 << 20   // that tables start with together, and share as they grow; browsers: 10,000,000 each
	MaxMemories     = 16        // that Read tells of; Rewrite takes one
	MaxMemoryPages  = 1 << 16   // of a memory
	PageBytes       = 64 << 10  // a page of linear memory
)
