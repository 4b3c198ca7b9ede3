package wasmbin

import (
	"encoding/binary"
	"math"
)

// encode answers the rewritten module. The bodies of its functions have been rewritten before.
func (w *rewriter) encode() []byte {
	// What the sections add to each other: routines have types, and so has the import.
	code := w.codes()
	functions := w.functionTypes()
	imports := w.imports()

	out := make([]byte, 0, len(code)+w.rest())
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, coreVersion)
	out = appendSection(out, typeSection, w.types())
	out = appendSection(out, importSection, imports)
	out = appendSection(out, functionSection, functions)
	if w.m.has[tableSection] {
		out = appendSection(out, tableSection, w.tables())
	}
	if l := w.ownMemory(); l != nil {
		out = appendSection(out, memorySection, appendLimits([]byte{1}, *l))
	}
	if w.m.has[tagSection] {
		out = appendSection(out, tagSection, w.m.content(tagSection))
	}
	out = appendSection(out, globalSection, w.globals())
	out = appendSection(out, exportSection, w.exports())
	if w.m.has[elementSection] {
		out = appendSection(out, elementSection, w.elements())
	}
	if w.usesData {
		out = appendSection(out, dataCountSection, appendU32(nil, uint32(len(w.m.segments))))
	}
	out = appendSection(out, codeSection, code)
	out = w.appendData(out)
	return w.appendNames(out)
}

// rest estimates the bytes of all sections but the code.
func (w *rewriter) rest() int {
	n := 1 << 10
	for id, s := range w.m.sections {
		if id != codeSection && id != dataSection {
			n += s.len()
		}
	}
	if len(w.taken) == 0 {
		n += w.m.sections[dataSection].len()
	}
	return n + w.m.names.len() + 24*len(w.m.globals)
}

// content is a section as it was.
func (m *module) content(id byte) []byte {
	s := m.sections[id]
	return m.data[s.from:s.to]
}

// behindCount is a section as it was, behind the count of its entries.
func (w *rewriter) behindCount(id byte) []byte {
	c := w.m.content(id)
	if len(c) == 0 {
		return nil
	}
	_, n := binary.Uvarint(c)
	return c[n:]
}

func (w *rewriter) types() []byte {
	dst := appendU32(nil, uint32(w.m.typeEntries+len(w.signatures)))
	dst = append(dst, w.behindCount(typeSection)...)
	for _, s := range w.signatures {
		dst = append(dst, s...)
	}
	return dst
}

// imports writes all imports but a memory that becomes the module's own, and the one that is added.
func (w *rewriter) imports() []byte {
	m := w.m
	n := len(m.imports)
	if w.refills() {
		n++
	}
	if !w.keep {
		n -= m.importedMemories
	}
	dst := appendU32(nil, uint32(n))
	for _, im := range m.imports {
		if im.kind != Memory || w.keep {
			dst = append(dst, m.data[im.at.from:im.at.to]...)
		}
	}
	if !w.refills() {
		return dst
	}
	dst = appendName(dst, RefillModule)
	dst = appendName(dst, RefillName)
	return appendU32(append(dst, byte(Func)), w.importType())
}

func (w *rewriter) functionTypes() []byte {
	dst := appendU32(nil, uint32(len(w.m.bodies)+len(w.routines)))
	dst = append(dst, w.behindCount(functionSection)...)
	for _, r := range w.routines {
		dst = appendU32(dst, w.routineType(r.kind))
	}
	return dst
}

// codes writes the bodies that were rewritten and those that are added.
func (w *rewriter) codes() []byte {
	// A routine may call another that was not asked for before: bodies first, then the count.
	var added []byte
	for i := 0; i < len(w.routines); i++ {
		body := w.body(w.routines[i])
		added = appendU32(added, uint32(len(body)))
		added = append(added, body...)
	}
	dst := make([]byte, 0, 5+len(w.code)+len(added))
	dst = appendU32(dst, uint32(len(w.m.bodies)+len(w.routines)))
	dst = append(dst, w.code...)
	return append(dst, added...)
}

// tables writes the tables, each with a maximum.
func (w *rewriter) tables() []byte {
	m := w.m
	own := m.tables[m.importedTables:]
	dst := appendU32(nil, uint32(len(own)))
	for _, t := range own {
		l := t.Limits
		if share := uint64(MaxTableEntries / len(own)); l.most(math.MaxUint32) > share {
			l.Max, l.HasMax = max(share, l.Min), true
		}
		dst = append(dst, m.data[t.at.from:t.bounds.from]...)
		dst = appendLimits(dst, l)
		dst = w.appendConstants(dst, span{t.bounds.to, t.at.to}, tableSection)
	}
	return dst
}

// ownMemory is the memory that the rewritten module defines, nil for none.
func (w *rewriter) ownMemory() *Limits {
	m := w.m
	if len(m.memories) == 0 || m.importedMemories > 0 && w.keep {
		return nil
	}
	l := m.memories[0]
	if w.raised(l) {
		l.Max++
	}
	return &l
}

// raised says whether a memory gets a page more than it declares.
func (w *rewriter) raised(l Limits) bool {
	return l.HasMax && l.Max < MaxMemoryPages && !l.Shared && !(w.keep && w.m.importedMemories > 0)
}

func appendLimits(dst []byte, l Limits) []byte {
	flags := byte(0)
	if l.HasMax {
		flags |= flagMax
	}
	if l.Shared {
		flags |= flagShared
	}
	dst = appendU32(append(dst, flags), uint32(l.Min))
	if l.HasMax {
		dst = appendU32(dst, uint32(l.Max))
	}
	return dst
}

func (w *rewriter) globals() []byte {
	m := w.m
	own := m.globals[m.importedGlobals:]
	dst := appendU32(nil, uint32(len(own)+3))
	for _, g := range own {
		dst = append(dst, m.data[g.at.from:g.at.to]...)
		dst = w.appendConstants(dst, g.init, globalSection)
	}
	dst = append(dst, byte(I64), 1, opI64Const, 0, opEnd)
	dst = appendS64(append(dst, byte(I64), 1, opI64Const), StackBytes)
	dst = append(dst, opEnd)
	return append(dst, byte(I64), 1, opI64Const, 0, opEnd)
}

// appendConstants appends a constant expression, or nothing for an empty one, with functions' new indices.
func (w *rewriter) appendConstants(dst []byte, s span, section byte) []byte {
	if s.len() == 0 {
		return dst
	}
	from := s.from
	r := &reader{data: w.m.data, at: s.from, end: s.to, section: sectionName(section)}
	w.m.constant(r, w.renumber(&dst, &from))
	return append(dst, w.m.data[from:s.to]...)
}

// renumber copies what stands from *from up to each function's index to *dst, and writes its new index there.
func (w *rewriter) renumber(dst *[]byte, from *int) found {
	return func(at span, function uint32) {
		*dst = append(*dst, w.m.data[*from:at.from]...)
		*dst = appendU32(*dst, w.newIndex(function))
		*from = at.to
	}
}

func (w *rewriter) elements() []byte {
	s := w.m.sections[elementSection]
	dst := make([]byte, 0, s.len()+s.len()/8)
	from := s.from
	r := &reader{data: w.m.data, at: s.from, end: s.to, section: sectionName(elementSection)}
	w.m.elementSegments(r, w.renumber(&dst, &from))
	return append(dst, w.m.data[from:s.to]...)
}

// exports writes the exports as they were, and those that are added.
func (w *rewriter) exports() []byte {
	m := w.m
	var added []byte
	n := 0
	add := func(name string, kind Kind, index uint32) {
		added = appendName(added, name)
		added = appendU32(append(added, byte(kind)), index)
		n++
	}
	add(FuelGlobal, Global, w.fuelGlobal())
	add(StackGlobal, Global, w.stackGlobal())
	add(WritesGlobal, Global, w.writesGlobal())
	if len(m.memories) > 0 {
		add(MemoryExport, Memory, 0)
	}
	if m.start >= 0 {
		add(StartExport, Func, w.newIndex(uint32(m.start)))
	}
	for _, g := range m.mutableGlobals() {
		add(g.Name, Global, uint32(g.Index))
	}
	dst := appendU32(nil, uint32(len(m.exports)+n))
	for _, e := range m.exports {
		dst = appendName(dst, e.Name)
		index := e.Index
		if e.Kind == Func {
			index = w.newIndex(index)
		}
		dst = appendU32(append(dst, byte(e.Kind)), index)
	}
	return append(dst, added...)
}

// appendData appends the data section, when anything is left of it.
func (w *rewriter) appendData(dst []byte) []byte {
	m := w.m
	n := 0
	var content []byte
	for i, s := range m.segments {
		switch taken := w.taken != nil && w.taken[i]; {
		case !w.usesData && (taken || s.passive):
		case taken:
			content = append(content, 1, 0) // passive, empty
			n++
		default:
			content = append(content, m.data[s.at.from:s.at.to]...)
			n++
		}
	}
	if n == 0 {
		return dst
	}
	return appendSection(dst, dataSection, append(appendU32(nil, uint32(n)), content...))
}
