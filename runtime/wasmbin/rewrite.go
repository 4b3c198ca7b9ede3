package wasmbin

import "strconv"

// rewriter rewrites one module.
type rewriter struct {
	m        *module
	keep     bool // an imported memory stays imported
	flags    Flags
	usesData bool   // instructions name data segments
	taken    []bool // data segments that are taken out; nil: none

	signatures  [][]byte           // types that are added
	signatureOf map[string]uint32  // their indices
	routines    []routine          // functions that are added
	routineOf   map[routine]uint32 // their indices

	code []byte // content of the code section, without its count
}

// Rewrite answers the module with these changes:
//
//   - Active data segments at constant offsets are taken out. Where memory.init or data.drop name them, empty
//     passive ones stand in their place, which is what the specification makes of an active segment once it is
//     applied. Segments before one that cannot be taken out stay, so that the order of writes does; so do those
//     that are out of bounds, so that instantiation still fails.
//   - The start function is not called but exported.
//   - The memory and every mutable global are exported. An imported memory becomes the module's own.
//   - A declared maximum of the memory is raised by a page, for the host; memory.grow keeps to the old one.
//     Tables get a maximum, of MaxTableEntries between them.
//   - Fuel. Each instruction that runs takes 1 from FuelGlobal; block, loop, else, end, nop and drop are free; one that
//     works on a range of memory or of a table takes 1 more for 8 bytes or an entry, and memory.grow 1,024 for a page.
//     Where a loop starts, or a function that calls others, and FuelGlobal is below zero, RefillName is called with what
//     it holds; what that answers becomes its value. RefillName may wait, and it may panic to end the call. Ranges of
//     memory above 1 MiB are worked on in parts, with such a look between them.
//   - Stack. A function that calls others takes an estimate of its frame from StackGlobal while it runs. RefillName is
//     called when that is below zero, with any amount of fuel, and must end the call.
//   - Instructions that change a table, drop a segment, or set a global that is no number, count in WritesGlobal.
//   - Custom sections are dropped, but for the names of functions.
//
// After a call that returns, FuelGlobal is exact, but that an exception charges what it skipped to the end of a block,
// and StackGlobal is what it was before. After one that does not, the host sets StackGlobal again, and FuelGlobal lacks
// what ran since the last refill or the last call of a function.
//
// Errors are of type *Error.
func Rewrite(data []byte) (*Rewritten, error) { return rewrite(data, ownMemory) }

// memoryUse is what becomes of an imported memory.
type memoryUse int

const (
	ownMemory memoryUse = iota // it becomes the module's own
	// sharedMemory stays imported, with the module's data segments in it, for the specification's tests, whose modules share
	// one. They do not know the limit of the module that defines it, which has a page more.
	sharedMemory
)

func rewrite(data []byte, use memoryUse) (*Rewritten, error) {
	m, err := decode(data)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	w := &rewriter{m: m, keep: use == sharedMemory, signatureOf: map[string]uint32{}, routineOf: map[routine]uint32{}}
	w.flags = m.findFlags(use == sharedMemory)
	if w.refills() {
		w.routine(routineRefill, 0)
	}
	if err := w.rewriteBodies(); err != nil {
		return nil, err
	}
	out := &Rewritten{Segments: w.takeSegments(), Globals: m.mutableGlobals(), Memory: m.memory()}
	if m.start >= 0 {
		out.Start = StartExport
	}
	out.Bytes = w.encode()
	out.Flags = w.flags
	return out, nil
}

// newIndex is a function's index behind the import that is added.
func (w *rewriter) newIndex(function uint32) uint32 {
	if int(function) < w.m.importedFunctions || !w.refills() {
		return function
	}
	return function + 1
}

// refills says whether the module gets the import, as every one does that has functions of its own.
func (w *rewriter) refills() bool { return len(w.m.bodies) > 0 }

// Indices of what is added.
func (w *rewriter) refillImport() uint32 { return uint32(w.m.importedFunctions) }
func (w *rewriter) fuelGlobal() uint32   { return uint32(len(w.m.globals)) }
func (w *rewriter) stackGlobal() uint32  { return uint32(len(w.m.globals) + 1) }
func (w *rewriter) writesGlobal() uint32 { return uint32(len(w.m.globals) + 2) }

// signature answers the index of a function type that is added. Results may be typed references of several bytes,
// hence their count.
func (w *rewriter) signature(params string, count int, results []byte) uint32 {
	s := appendName([]byte{formFunction}, params)
	s = appendU32(s, uint32(count))
	s = append(s, results...)
	i, ok := w.signatureOf[string(s)]
	if !ok {
		i = uint32(len(w.m.types) + len(w.signatures))
		w.signatureOf[string(s)] = i
		w.signatures = append(w.signatures, s)
	}
	return i
}

// takeSegments decides which data segments are taken out, and answers them.
func (w *rewriter) takeSegments() []Segment {
	m := w.m
	if len(m.memories) == 0 || m.importedMemories > 0 && w.keep {
		return nil
	}
	size := m.memories[0].Min * PageBytes
	first := 0 // behind the last segment that must stay
	for i, s := range m.segments {
		if s.passive {
			continue
		}
		outside := s.constant && uint64(s.offset)+uint64(s.bytes.len()) > size
		if outside {
			w.flags |= OutOfBounds
		}
		if outside || !s.constant {
			first = i + 1
		}
	}
	w.taken = make([]bool, len(m.segments))
	out := make([]Segment, 0, len(m.segments)-first)
	for i := first; i < len(m.segments); i++ {
		s := m.segments[i]
		if s.passive {
			continue
		}
		w.taken[i] = true
		if s.bytes.len() > 0 {
			out = append(out, Segment{Offset: s.offset, Bytes: m.data[s.bytes.from:s.bytes.to:s.bytes.to]})
		}
	}
	return out
}

func (m *module) mutableGlobals() []MutableGlobal {
	var out []MutableGlobal
	for i, g := range m.globals {
		if i >= m.importedGlobals && g.mutable && !g.IsReference() && g.ValType != V128 {
			out = append(out, MutableGlobal{Name: globalName(i), Index: i, Type: g.ValType})
		}
	}
	return out
}

func globalName(i int) string { return globalPrefix + strconv.Itoa(i) }

// memory is the module's memory as its code knows it.
func (m *module) memory() *Limits {
	if len(m.memories) == 0 {
		return nil
	}
	l := m.memories[0]
	l.Max, l.HasMax = l.most(MaxMemoryPages), true
	return &l
}
