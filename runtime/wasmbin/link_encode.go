package wasmbin

import (
	"encoding/binary"
	"maps"
	"slices"
)

// entries are a section's, encoded.
type entries struct {
	bytes []byte
	count int
}

// encode writes the whole.
func (l *linker) encode(offers []Offer) ([]byte, error) {
	var all [sections]entries
	var err error
	starts := l.starts()
	all[typeSection] = l.types(starts)
	all[importSection] = l.importEntries()
	all[functionSection] = l.functionEntries(starts)
	all[tableSection] = l.tables()
	all[memorySection] = l.memory()
	all[tagSection] = l.tags()
	for _, s := range []struct {
		id    byte
		write func() (entries, error)
	}{
		{globalSection, l.globals},
		{exportSection, func() (entries, error) { return l.exports(offers) }},
		{codeSection, func() (entries, error) { return l.code(starts) }},
		{elementSection, l.elements}, // behind code, which names functions
		{dataSection, l.data},
	} {
		if all[s.id], err = s.write(); err != nil {
			return nil, err
		}
	}
	return l.appendNames(l.join(&all, starts)), nil
}

// join writes the sections one behind the other.
func (l *linker) join(all *[sections]entries, starts []uint32) []byte {
	size := 1 << 10
	for _, e := range all {
		size += len(e.bytes) + 16
	}
	out := append(make([]byte, 0, size), magic...)
	out = binary.LittleEndian.AppendUint32(out, coreVersion)
	for _, id := range []byte{typeSection, importSection, functionSection, tableSection, memorySection, tagSection, globalSection,
		exportSection, startSection, elementSection, dataCountSection, codeSection, dataSection} {
		e := all[id]
		switch {
		case id == startSection && len(starts) > 0:
			out = appendSection(out, id, appendU32(nil, l.startIndex(starts)))
		case id == dataCountSection && l.counted():
			out = appendSection(out, id, appendU32(nil, uint32(all[dataSection].count)))
		case e.count > 0:
			count := appendU32(nil, uint32(e.count))
			out = appendU32(append(out, id), uint32(len(count)+len(e.bytes)))
			out = append(append(out, count...), e.bytes...)
		}
	}
	return out
}

func (l *linker) total(of func(*linked) int) (sum int) {
	for _, n := range l.parts {
		sum += of(n)
	}
	return sum
}

func (l *linker) bodies() int { return l.total(func(n *linked) int { return len(n.module.bodies) }) }

// counted says whether a part counts its data segments, as those must that name them.
func (l *linker) counted() bool {
	return l.total(func(n *linked) int { return n.dataCount + 1 }) > 0
}

func (l *linker) types(starts []uint32) (e entries) {
	for _, n := range l.parts {
		if c := n.content(typeSection); len(c) > 0 {
			_, k := binary.Uvarint(c)
			e.bytes = append(e.bytes, c[k:]...)
		}
		e.count += len(n.types)
	}
	if len(starts) > 1 { // of the function that calls them all
		e.bytes, e.count = append(e.bytes, formFunction, 0, 0), e.count+1
	}
	return e
}

func (l *linker) importEntries() (e entries) {
	for _, im := range l.imports {
		e.bytes = appendName(appendName(e.bytes, im.Module), im.Name)
		e.bytes = appendU32(append(e.bytes, byte(Func)), im.kind)
		e.count++
	}
	return e
}

func (l *linker) functionEntries(starts []uint32) (e entries) {
	types := 0
	for _, n := range l.parts {
		for _, t := range n.module.functions[n.importedFunctions:] {
			e.bytes = appendU32(e.bytes, n.typeBase+t)
		}
		types += len(n.types)
	}
	if e.count = l.bodies(); len(starts) > 1 {
		e.bytes, e.count = appendU32(e.bytes, uint32(types)), e.count+1
	}
	return e
}

func (l *linker) tables() (e entries) {
	for _, n := range l.parts {
		for _, t := range n.module.tables[n.importedTables:] {
			e.bytes = append(e.bytes, n.data[t.at.from:t.at.to]...)
			e.count++
		}
	}
	return e
}

func (l *linker) memory() (e entries) {
	for _, n := range l.parts {
		for _, m := range n.memories[n.importedMemories:] {
			e.bytes = appendLimits(e.bytes, m)
			e.count++
		}
	}
	return e
}

func (l *linker) tags() (e entries) {
	for _, n := range l.parts {
		if !n.has[tagSection] {
			continue
		}
		r := n.reader(tagSection)
		for range r.u32() {
			r.byte()
			e.bytes = appendU32(append(e.bytes, 0), n.typeBase+r.u32())
			e.count++
		}
	}
	return e
}

// reader reads a section's content.
func (m *module) reader(id byte) *reader {
	s := m.sections[id]
	return &reader{data: m.data, at: s.from, end: s.to, section: sectionName(id)}
}

func (l *linker) globals() (e entries, err error) {
	for _, n := range l.parts {
		for _, g := range n.module.globals[n.importedGlobals:] {
			e.bytes = append(e.bytes, n.data[g.at.from:g.at.to]...)
			if e.bytes, err = l.appendConstant(e.bytes, n, g.init); err != nil {
				return e, err
			}
			e.count++
		}
	}
	return e, nil
}

func (l *linker) exports(offers []Offer) (e entries, err error) {
	for _, o := range offers {
		if o.Part < 0 || o.Part >= len(l.parts) {
			return e, linkError(Malformed, "export %q comes from module %d, there are %d", o.Name, o.Part, len(l.parts))
		}
		x, err := l.find(o.Source)
		if err != nil {
			return e, err
		}
		e.bytes = appendName(e.bytes, o.Name)
		e.bytes = appendU32(append(e.bytes, byte(x.kind)), l.indexOf(x))
		e.count++
	}
	return e, nil
}

// starts answers the parts' start functions.
func (l *linker) starts() (list []uint32) {
	for _, n := range l.parts {
		if n.start >= 0 {
			list = append(list, n.functions[n.start])
		}
	}
	return list
}

// startIndex is the start function: the only one, or the one that calls all, which is the last function.
func (l *linker) startIndex(starts []uint32) uint32 {
	if len(starts) == 1 {
		return starts[0]
	}
	return uint32(len(l.imports) + l.bodies())
}

func (l *linker) code(starts []uint32) (e entries, err error) {
	e.bytes = make([]byte, 0, l.total(func(n *linked) int { return n.module.sections[codeSection].len() })*17/16)
	for _, n := range l.parts {
		if e.bytes, err = n.appendBodies(e.bytes, l.named); err != nil {
			return e, err
		}
	}
	if e.count = l.bodies(); len(starts) > 1 {
		body := []byte{0}
		for _, f := range starts {
			body = appendU32(append(body, opCall), f)
		}
		body = append(body, opEnd)
		e.bytes = append(appendU32(e.bytes, uint32(len(body))), body...)
		e.count++
	}
	return e, nil
}

func (l *linker) data() (e entries, err error) {
	for _, n := range l.parts {
		for _, s := range n.segments {
			if s.passive {
				e.bytes = append(e.bytes, 1)
			} else {
				e.bytes = append(e.bytes, 0)
				if e.bytes, err = l.appendConstant(e.bytes, n, n.offsetOf(s)); err != nil {
					return e, err
				}
			}
			e.bytes = append(appendU32(e.bytes, uint32(s.bytes.len())), n.data[s.bytes.from:s.bytes.to]...)
			e.count++
		}
	}
	return e, nil
}

// offsetOf is where a segment's offset stands.
func (m *module) offsetOf(s segment) span {
	r := &reader{data: m.data, at: s.at.from, end: s.at.to, section: "data"}
	if r.u32() == 2 {
		r.u32()
	}
	from := r.at
	m.constant(r, nil)
	return span{from, r.at}
}

func (l *linker) elements() (e entries, err error) {
	for _, n := range l.parts {
		if n.elements == 0 {
			continue
		}
		r := n.reader(elementSection)
		for range r.u32() {
			if e.bytes, err = l.appendElement(e.bytes, n, r); err != nil {
				return e, err
			}
			e.count++
		}
	}
	if len(l.named) > 0 { // a segment that only names them: those that exports named are not exported any more
		e.bytes = appendU32(append(e.bytes, 3, 0), uint32(len(l.named)))
		for _, f := range slices.Sorted(maps.Keys(l.named)) {
			e.bytes = appendU32(e.bytes, f)
		}
		e.count++
	}
	return e, nil
}

// appendElement appends an element segment; one of table 0 without an index gets one.
func (l *linker) appendElement(dst []byte, n *linked, r *reader) ([]byte, error) {
	flags := r.u32()
	active, expressions := flags&1 == 0, flags&4 != 0
	table := uint32(0)
	if active {
		if flags&2 != 0 {
			table = r.u32()
		}
		if int(table) >= len(n.tables) {
			return nil, n.refuse(Malformed, elementSection, "segment of table %d, there are %d", table, len(n.tables))
		}
		dst = appendU32(appendU32(dst, flags|2), n.tables[table])
		offset := r.at
		n.constant(r, nil)
		var err error
		if dst, err = l.appendConstant(dst, n, span{offset, r.at}); err != nil {
			return nil, err
		}
	} else {
		dst = appendU32(dst, flags)
	}
	switch {
	case flags&3 != 0:
		b := r.byte()
		if t := ValType(b); t == RefNull || t == Ref {
			return nil, n.refuse(Unsupported, elementSection, "a reference to a type (typed function references)")
		}
		dst = append(dst, b)
	case expressions:
		dst = append(dst, byte(FuncRef))
	default:
		dst = append(dst, 0)
	}
	return l.appendEntries(dst, n, r, expressions)
}

func (l *linker) appendEntries(dst []byte, n *linked, r *reader, expressions bool) (_ []byte, err error) {
	count := r.u32()
	dst = appendU32(dst, count)
	for range count {
		if !expressions {
			dst = appendU32(dst, n.functions[r.index("function", len(n.functions))])
			continue
		}
		from := r.at
		n.constant(r, nil)
		if dst, err = l.appendConstant(dst, n, span{from, r.at}); err != nil {
			return nil, err
		}
	}
	if r.failed() {
		return nil, r.err
	}
	return dst, nil
}

// appendNames appends the name section with the names of the parts' functions.
func (l *linker) appendNames(dst []byte) []byte {
	var names []byte
	count := 0
	for i, im := range l.imports {
		names = appendName(appendU32(names, uint32(i)), im.Name)
		count++
	}
	for _, n := range l.parts {
		list, _ := n.functionNames()
		for _, f := range list {
			if int(f.function) >= n.importedFunctions {
				names = appendName(appendU32(names, n.functions[f.function]), n.text(f.at))
				count++
			}
		}
	}
	content := appendName(make([]byte, 0, len(names)+32), "name")
	content = appendSection(content, namesOfFunctions, append(appendU32(nil, uint32(count)), names...))
	return appendSection(dst, customSection, content)
}
