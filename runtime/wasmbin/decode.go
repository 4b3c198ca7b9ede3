package wasmbin

import "math"

// module is what is read of a module: every index space, and where each part stands.
type module struct {
	data     []byte
	sections [sections]span
	has      [sections]bool
	names    span // content of the name section behind its name; zero: none
	customs  []string

	types       []signature
	typeEntries int // entries of the type section: a group of types is one

	imports           []imported
	importedFunctions int
	importedTables    int
	importedMemories  int
	importedGlobals   int
	importedTags      int

	functions []uint32 // type of every function, imported ones first
	tables    []table  // imported ones first
	memories  []Limits
	globals   []global
	tags      int
	exports   []Export
	start     int // function; -1: none
	dataCount int // -1: none
	segments  []segment
	bodies    []span // of defined functions, without their size

	declared []uint64 // bit set of functions named outside bodies and start: those ref.func may name
}

type imported struct {
	module, name string
	kind         Kind
	index        int  // in the index space of its kind
	at           span // the whole entry
}

type table struct {
	Limits
	element ValType
	at      span // the whole entry, of a defined table
	bounds  span // its limits
}

type global struct {
	ValType
	mutable bool
	at      span // type and mutability, of a defined global
	init    span // its initial value's expression
}

// decode reads the structure of a module: everything but the instructions of its functions.
func decode(data []byte) (*module, *Error) {
	m := &module{data: data, start: -1, dataCount: -1}
	if err := m.split(); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		id   byte
		read func(*reader)
	}{
		{typeSection, m.readTypes},
		{importSection, m.readImports},
		{functionSection, m.readFunctions},
		{tableSection, m.readTables},
		{memorySection, m.readMemories},
		{tagSection, m.readTags},
		{globalSection, m.readGlobals},
		{exportSection, m.readExports},
		{startSection, m.readStart},
		{elementSection, m.readElements},
		{dataCountSection, m.readDataCount},
		{codeSection, m.readBodies},
		{dataSection, m.readData},
	} {
		if err := m.in(s.id, s.read); err != nil {
			return nil, err
		}
	}
	return m, m.checkWhole()
}

// checkWhole looks at what concerns several sections.
func (m *module) checkWhole() *Error {
	r := &reader{data: m.data, at: len(m.data), end: len(m.data), section: "module"}
	switch {
	case len(m.functions)-m.importedFunctions != len(m.bodies):
		r.fail("%d functions are declared and %d have code", len(m.functions)-m.importedFunctions, len(m.bodies))
	case m.dataCount >= 0 && m.dataCount != len(m.segments):
		r.fail("%d data segments are announced, there are %d", m.dataCount, len(m.segments))
	}
	return r.err
}

func (m *module) readImports(r *reader) {
	m.imports = make([]imported, r.count("imports", 1, MaxImports))
	for i := range m.imports {
		at := r.at
		im := &m.imports[i]
		im.module, im.name = r.name(), r.name()
		kindAt := r.at
		im.kind = Kind(r.byte())
		switch im.kind {
		case Func:
			im.index = len(m.functions)
			m.functions = append(m.functions, r.index("type", len(m.types)))
		case Table:
			im.index = len(m.tables)
			m.tables = append(m.tables, m.readTableType(r))
		case Memory:
			im.index = len(m.memories)
			m.memories = append(m.memories, r.limits(MaxMemoryPages))
		case Global:
			im.index = len(m.globals)
			m.globals = append(m.globals, m.readGlobalType(r))
		case Tag:
			im.index = m.tags
			m.readTag(r)
		default:
			r.failAt(kindAt, Malformed, "import %q %q is of unknown kind %d, want 0 to 4", im.module, im.name, byte(im.kind))
		}
		im.at = span{at, r.at}
		if r.failed() {
			return
		}
	}
	m.importedFunctions, m.importedTables = len(m.functions), len(m.tables)
	m.importedMemories, m.importedGlobals, m.importedTags = len(m.memories), len(m.globals), m.tags
}

func (m *module) readFunctions(r *reader) {
	n := r.count("functions", 1, MaxFunctions-len(m.functions))
	list := make([]uint32, 0, m.importedFunctions+n)
	list = append(list, m.functions...)
	for range n {
		list = append(list, r.index("type", len(m.types)))
	}
	m.functions = list
}

func (m *module) readTables(r *reader) {
	for range r.count("tables", 3, MaxTables) {
		at := r.at
		t := m.readTable(r)
		t.at = span{at, r.at}
		m.tables = append(m.tables, t)
		if r.failed() {
			return
		}
	}
}

// readTable reads a defined table, which may start with an expression for its entries' initial value.
func (m *module) readTable(r *reader) table {
	if r.left() < 2 || r.data[r.at] != 0x40 {
		return m.readTableType(r)
	}
	r.byte()
	if b := r.byte(); b != 0 {
		r.fail("table starts with 0x40 %#x, want 0x40 0x00", b)
	}
	t := m.readTableType(r)
	m.constant(r, nil)
	return t
}

func (m *module) readTableType(r *reader) table {
	at := r.at
	t := table{element: r.valType(len(m.types))}
	if !t.element.IsReference() && !r.failed() {
		r.failAt(at, Malformed, "table of %s, want a reference type", t.element)
	}
	t.bounds.from = r.at
	t.Limits = r.limits(math.MaxUint32)
	t.bounds.to = r.at
	return t
}

func (m *module) readMemories(r *reader) {
	for range r.count("memories", 2, MaxMemories) {
		m.memories = append(m.memories, r.limits(MaxMemoryPages))
	}
}

// Flags of limits.
const (
	flagMax    = 1
	flagShared = 2
	flag64     = 4
)

// limits reads the least and greatest size of a memory or table, which may be up to bound unless it is 64-bit.
func (r *reader) limits(bound uint64) Limits {
	at := r.at
	flags := r.byte()
	if flags > flagMax|flagShared|flag64 {
		r.failAt(at, Unsupported, "limits have unknown flags %#02x", flags)
		return Limits{}
	}
	l := Limits{HasMax: flags&flagMax != 0, Shared: flags&flagShared != 0, Is64: flags&flag64 != 0}
	bits := 32
	if l.Is64 {
		bits, bound = 64, math.MaxUint64
	}
	l.Min = r.unsigned(bits)
	most := bound
	if l.HasMax {
		l.Max = r.unsigned(bits)
		most = l.Max
	}
	switch {
	case most > bound:
		r.failAt(at, Malformed, "greatest size is %d, want %d at most", most, bound)
	case l.Min > most:
		r.failAt(at, Malformed, "least size is %d, want %d at most", l.Min, most)
	}
	return l
}

// most is the greatest size, bound when none is declared.
func (l Limits) most(bound uint64) uint64 {
	if l.HasMax {
		return l.Max
	}
	return bound
}

func (m *module) readTags(r *reader) {
	for range r.count("tags", 2, MaxTags-m.tags) {
		m.readTag(r)
	}
}

func (m *module) readTag(r *reader) {
	if b := r.byte(); b != 0 {
		r.fail("tag's attribute is %#x, want 0", b)
	}
	r.index("type", len(m.types))
	m.tags++
}

func (m *module) readGlobals(r *reader) {
	n := r.count("globals", 4, MaxGlobals-len(m.globals))
	for range n {
		at := r.at
		g := m.readGlobalType(r)
		g.at = span{at, r.at}
		g.init.from = r.at
		m.constant(r, m.declare)
		g.init.to = r.at
		m.globals = append(m.globals, g)
		if r.failed() {
			return
		}
	}
}

func (m *module) readGlobalType(r *reader) global {
	g := global{ValType: r.valType(len(m.types))}
	switch b := r.byte(); b {
	case 0:
	case 1:
		g.mutable = true
	default:
		r.fail("global's mutability is %#x, want 0 or 1", b)
	}
	return g
}

func (m *module) readExports(r *reader) {
	m.exports = make([]Export, r.count("exports", 1, MaxExports))
	seen := make(map[string]bool, len(m.exports))
	for i := range m.exports {
		e := &m.exports[i]
		at := r.at
		e.Name = r.name()
		if seen[e.Name] && !r.failed() {
			r.failAt(at, Malformed, "export %q comes twice", e.Name)
		}
		seen[e.Name] = true
		kindAt := r.at
		e.Kind = Kind(r.byte())
		switch e.Kind {
		case Func:
			e.Index = r.index("function", len(m.functions))
			if !r.failed() {
				m.declare(span{}, e.Index)
			}
		case Table:
			e.Index = r.index("table", len(m.tables))
		case Memory:
			e.Index = r.index("memory", len(m.memories))
		case Global:
			e.Index = r.index("global", len(m.globals))
		case Tag:
			e.Index = r.index("tag", m.tags)
		default:
			r.failAt(kindAt, Malformed, "export %q is of unknown kind %d, want 0 to 4", e.Name, byte(e.Kind))
		}
		if r.failed() {
			return
		}
	}
}

func (m *module) readStart(r *reader) {
	at := r.at
	m.start = int(r.index("function", len(m.functions)))
	if r.failed() {
		return
	}
	if t := m.types[m.functions[m.start]]; len(t.Params)+len(t.Results) > 0 {
		r.failAt(at, Malformed, "start function %d has parameters or results, want none", m.start)
	}
}

func (m *module) readDataCount(r *reader) { m.dataCount = int(r.u32()) }

func (m *module) readBodies(r *reader) {
	m.bodies = make([]span, r.count("functions", 3, MaxFunctions))
	for i := range m.bodies {
		n := r.count("bytes of a function", 1, MaxBodyBytes)
		at := r.skip(n)
		m.bodies[i] = span{at, at + n}
		if r.failed() {
			return
		}
	}
}

// declare notes that a function is named outside the bodies, so that ref.func may name it.
func (m *module) declare(_ span, function uint32) {
	if m.declared == nil {
		m.declared = make([]uint64, len(m.functions)/64+1)
	}
	m.declared[function/64] |= 1 << (function % 64)
}

func (m *module) isDeclared(function uint32) bool {
	return m.declared != nil && m.declared[function/64]&(1<<(function%64)) != 0
}
