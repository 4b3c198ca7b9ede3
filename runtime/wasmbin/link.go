package wasmbin

import (
	"encoding/binary"
	"fmt"
)

// MaxParts is how many modules are linked at most. Compilers of components write two to forty. More lets a small file
// name one module many times and grow with each.
const MaxParts = 128

// Part is a module that is linked with others.
type Part struct {
	Binary  []byte
	Imports []Source // where each of its imports comes from, in their order
}

// Source is where an import or an export comes from.
type Source struct {
	Part   int    // number of the part that exports it; Host: none does
	Module string // of the import that stays, where Part is Host
	Name   string // of the part's export, or of the import that stays
}

// Host is the Part of a Source that stays an import.
const Host = -1

// Offer is an export of a linked module.
type Offer struct {
	Name string
	Source
}

// Link answers one module that does what instances of the parts do that are made one after the other and import from
// each other: it has everything the parts define, with new indices, and exports what it is told to and nothing else. A
// part imports from those before it alone. Start functions run one after the other, behind the segments of all parts.
//
// Imports must fit what they come from. Several memories, host's memories, tables and globals, and types that name types
// are refused. What is linked the engine still has to validate. Errors are of type *Error.
func Link(parts []Part, offers []Offer) ([]byte, error) {
	l := &linker{hosts: make(map[Source]uint32), named: make(map[uint32]bool)}
	if len(parts) > MaxParts {
		return nil, linkError(TooLarge, "%d modules, more than %d", len(parts), MaxParts)
	}
	for i := range parts {
		if err := l.add(i, &parts[i]); err != nil {
			return nil, err
		}
	}
	if l.memories > 1 {
		return nil, linkError(Unsupported, "modules have %d memories (multi-memory), want one", l.memories)
	}
	if err := l.place(); err != nil {
		return nil, err
	}
	return l.encode(offers)
}

func linkError(fault Fault, format string, args ...any) *Error {
	return &Error{Fault: fault, Section: "module", Reason: fmt.Sprintf(format, args...)}
}

// linker links parts. Index spaces of the whole are: imports of the host, then what each part defines, by part.
type linker struct {
	parts    []*linked
	hosts    map[Source]uint32 // functions of the host, by where they come from
	imports  []hostImport      // in the order of their indices
	memories int
	terms    int             // of the constant expression that is written
	named    map[uint32]bool // functions that ref.func names in a body, and which a segment must name for that
}

// hostImport is a function that stays imported.
type hostImport struct {
	Source
	kind uint32 // its type, in the whole
	t    FuncType
}

// linked is a part, with the place of its own in the whole. Maps are from the part's indices to the whole's.
type linked struct {
	*module
	sources   []Source
	typeBase  uint32
	functions []uint32
	tables    []uint32
	globals   []uint32
	tags      []uint32
	dataBase  uint32
	elemBase  uint32
	elements  int
	offered   map[string]entity // what it exports
	imported  [Tag + 1][]entity // what its imports are, by kind
}

// entity is something a part or the host defines.
type entity struct {
	part  int // Host, or which defines it
	kind  Kind
	index uint32 // in the part, or among the host's functions
}

// add reads a part and finds what it imports.
func (l *linker) add(number int, p *Part) error {
	m, err := decode(p.Binary)
	if err != nil {
		return err
	}
	if err := m.checkLinkable(); err != nil {
		return err
	}
	if len(p.Imports) != len(m.imports) {
		return linkError(Malformed, "module %d has %d imports, %d are given", number, len(m.imports), len(p.Imports))
	}
	n := &linked{module: m, sources: p.Imports}
	for _, before := range l.parts {
		n.typeBase += uint32(len(before.types))
		n.dataBase += uint32(len(before.segments))
		n.elemBase += uint32(before.elements)
	}
	if m.has[elementSection] {
		_, k := binary.Uvarint(m.content(elementSection))
		count, _ := binary.Uvarint(m.content(elementSection)[:k])
		n.elements = int(count)
	}
	l.memories += len(m.memories) - m.importedMemories
	for i := range m.imports {
		e, err := l.bind(n, number, i)
		if err != nil {
			return err
		}
		n.imported[e.kind] = append(n.imported[e.kind], e)
	}
	n.offered = make(map[string]entity, len(m.exports))
	for _, x := range m.exports {
		n.offered[x.Name] = n.entity(number, x.Kind, x.Index)
	}
	l.parts = append(l.parts, n)
	return nil
}

// bind answers what import i of a part is, and sees that it fits.
func (l *linker) bind(n *linked, number, i int) (entity, error) {
	im, from := &n.imports[i], n.sources[i]
	if from.Part == Host {
		if im.kind != Func {
			return entity{}, linkError(Unsupported, "%s %q %q is imported from the host, which has functions alone", im.kind, im.module, im.name)
		}
		return l.bindHost(n, im, from)
	}
	if from.Part < 0 || from.Part >= number {
		return entity{}, linkError(Malformed, "module %d imports from module %d, which is not before it", number, from.Part)
	}
	e, err := l.find(from)
	if err != nil {
		return entity{}, err
	}
	if why := l.fits(n, im, e); why != "" {
		return entity{}, linkError(Malformed, "import %q %q: %s", im.module, im.name, why)
	}
	return e, nil
}

func (l *linker) bindHost(n *linked, im *imported, from Source) (entity, error) {
	local := n.module.functions[im.index]
	t := n.types[local].FuncType
	at, ok := l.hosts[from]
	if !ok {
		at = uint32(len(l.imports))
		l.hosts[from] = at
		l.imports = append(l.imports, hostImport{from, n.typeBase + local, t})
	} else if !l.imports[at].t.Equal(t) {
		return entity{}, linkError(Malformed, "%q %q is imported as %s and as %s", from.Module, from.Name, l.imports[at].t, t)
	}
	return entity{Host, Func, at}, nil
}

// find answers what a part exports under a name.
func (l *linker) find(from Source) (entity, error) {
	e, ok := l.parts[from.Part].offered[from.Name]
	if !ok {
		return entity{}, linkError(Malformed, "module %d does not export %q", from.Part, from.Name)
	}
	return e, nil
}

// entity answers what a part's index stands for: its own, or what it imports.
func (n *linked) entity(part int, kind Kind, index uint32) entity {
	if list := n.imported[kind]; int(index) < len(list) {
		return list[index]
	}
	return entity{part, kind, index}
}

// fits says why an import is not met by e, or nothing when it is.
func (l *linker) fits(n *linked, im *imported, e entity) string {
	if im.kind != e.kind {
		return fmt.Sprintf("want a %s, have a %s", im.kind, e.kind)
	}
	if e.part == Host {
		if want, have := n.types[n.module.functions[im.index]].FuncType, l.imports[e.index].t; !want.Equal(have) {
			return fmt.Sprintf("want %s, have %s", want, have)
		}
		return ""
	}
	p := l.parts[e.part].module
	switch im.kind {
	case Func:
		want, have := n.types[n.module.functions[im.index]].FuncType, p.types[p.functions[e.index]].FuncType
		if !want.Equal(have) {
			return fmt.Sprintf("want %s, have %s", want, have)
		}
	case Table:
		want, have := n.module.tables[im.index], p.tables[e.index]
		if want.element != have.element || !have.within(want.Limits) {
			return "the table's type or limits differ"
		}
	case Memory:
		if !p.memories[e.index].within(n.memories[im.index]) {
			return "the memory's limits differ"
		}
	case Global:
		want, have := n.module.globals[im.index], p.globals[e.index]
		if want.ValType != have.ValType || want.mutable != have.mutable {
			return "the global's type differs"
		}
	}
	return ""
}

// within says whether what has limits l may be imported as o.
func (l Limits) within(o Limits) bool {
	return l.Min >= o.Min && l.Shared == o.Shared && l.Is64 == o.Is64 && (!o.HasMax || l.HasMax && l.Max <= o.Max)
}

// place gives everything its index in the whole.
func (l *linker) place() error {
	var next [Tag + 1]uint32
	next[Func] = uint32(len(l.imports))
	for _, n := range l.parts {
		n.functions = make([]uint32, 0, len(n.module.functions))
		n.globals = make([]uint32, 0, len(n.module.globals))
		for kind, to := range map[Kind]*[]uint32{Func: &n.functions, Table: &n.tables, Global: &n.globals, Tag: &n.tags} {
			for _, e := range n.imported[kind] {
				*to = append(*to, l.indexOf(e))
			}
		}
		n.functions = number(n.functions, len(n.module.functions), &next[Func])
		n.tables = number(n.tables, len(n.module.tables), &next[Table])
		n.globals = number(n.globals, len(n.module.globals), &next[Global])
		n.tags = number(n.tags, n.module.tags, &next[Tag])
	}
	if int64(next[Func]) > MaxFunctions || int64(next[Global]) > MaxGlobals {
		return linkError(TooLarge, "%d functions and %d globals, more than %d", next[Func], next[Global], MaxFunctions)
	}
	return nil
}

// number gives what a part defines, behind its imports, the next indices.
func number(list []uint32, n int, next *uint32) []uint32 {
	for len(list) < n {
		list = append(list, *next)
		*next++
	}
	return list
}

// indexOf answers where in the whole something stands, of a part that is placed.
func (l *linker) indexOf(e entity) uint32 {
	if e.part == Host {
		return e.index
	}
	n := l.parts[e.part]
	switch e.kind {
	case Func:
		return n.functions[e.index]
	case Table:
		return n.tables[e.index]
	case Global:
		return n.globals[e.index]
	case Tag:
		return n.tags[e.index]
	}
	return 0
}

// checkLinkable refuses what the linker does not give new indices to.
func (m *module) checkLinkable() error {
	for _, l := range m.memories {
		if l.Is64 {
			return m.refuse(Unsupported, memorySection, "memory is 64-bit (memory64)")
		}
	}
	if m.typeEntries != len(m.types) {
		return m.refuse(Unsupported, typeSection, "types that name each other")
	}
	for _, t := range m.types {
		if err := m.plainTypes(typeSection, t.Params, t.Results); err != nil {
			return err
		}
	}
	for _, t := range m.tables {
		if err := m.plainTypes(tableSection, []ValType{t.element}); err != nil {
			return err
		}
		if t.at.len() > 0 && m.data[t.at.from] == 0x40 {
			return m.refuse(Unsupported, tableSection, "a table with a value for its entries")
		}
	}
	for _, g := range m.globals {
		if err := m.plainTypes(globalSection, []ValType{g.ValType}); err != nil {
			return err
		}
	}
	return nil
}

func (m *module) plainTypes(section byte, lists ...[]ValType) error {
	for _, list := range lists {
		for _, t := range list {
			if t == RefNull || t == Ref {
				return m.refuse(Unsupported, section, "a reference to a type (typed function references)")
			}
		}
	}
	return nil
}
