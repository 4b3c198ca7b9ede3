package wasmbin

// Sections of a module, by their number in the binary format.
const (
	customSection    = 0
	typeSection      = 1
	importSection    = 2
	functionSection  = 3
	tableSection     = 4
	memorySection    = 5
	globalSection    = 6
	exportSection    = 7
	startSection     = 8
	elementSection   = 9
	codeSection      = 10
	dataSection      = 11
	dataCountSection = 12
	tagSection       = 13
	sections         = 14
)

// sectionOrder holds, by section number, the place of each section in a module.
const sectionOrder = "\x00\x01\x02\x03\x04\x05\x07\x08\x09\x0a\x0c\x0d\x0b\x06"

func sectionName(id byte) string {
	switch id {
	case customSection:
		return "custom"
	case typeSection:
		return "type"
	case importSection:
		return "import"
	case functionSection:
		return "function"
	case tableSection:
		return "table"
	case memorySection:
		return "memory"
	case globalSection:
		return "global"
	case exportSection:
		return "export"
	case startSection:
		return "start"
	case elementSection:
		return "element"
	case codeSection:
		return "code"
	case dataSection:
		return "data"
	case dataCountSection:
		return "data count"
	case tagSection:
		return "tag"
	}
	return "module"
}

const (
	magic       = "\x00asm"
	coreVersion = 1
)

// split finds the sections of a module. What stands in them is not looked at, except for the names of custom
// sections.
func (m *module) split() *Error {
	r := &reader{data: m.data, end: len(m.data), section: "module"}
	r.readHeader()
	last := byte(0)
	for r.left() > 0 {
		at := r.at
		id := r.byte()
		size := r.length("bytes of a section")
		s := span{r.at, r.at + size}
		r.skip(size)
		if r.failed() {
			break
		}
		if id == customSection {
			m.readCustom(r, s)
			continue
		}
		switch {
		case id >= sections:
			r.failAt(at, Malformed, "section %d is unknown", id)
		case sectionOrder[id] <= last:
			r.failAt(at, Malformed, "%s section is repeated or out of order", sectionName(id))
		default:
			last = sectionOrder[id]
			m.sections[id] = s
			m.has[id] = true
		}
	}
	return r.err
}

// readHeader reads the bytes that every binary starts with: a version and a layer, which is 1 for components.
func (r *reader) readHeader() {
	if r.left() < 4 || string(r.data[:4]) != magic {
		r.fail("%v: starts with %q, want %q", ErrNotWasm, r.data[:min(4, r.left())], magic)
		r.err.Err = ErrNotWasm
		return
	}
	r.skip(4)
	at := r.at
	version, layer := uint16(r.byte())|uint16(r.byte())<<8, uint16(r.byte())|uint16(r.byte())<<8
	switch {
	case r.failed():
	case layer == 1:
		r.failAt(at, Unsupported, "%v", ErrComponent)
		r.err.Err = ErrComponent
	case version != coreVersion || layer != 0:
		r.failAt(at, Unsupported, "WebAssembly version %d, layer %d, want version 1, layer 0", version, layer)
	}
}

// readCustom notes where the name section is. A second one is malformed, as for the engine.
func (m *module) readCustom(outer *reader, s span) {
	r := &reader{data: m.data, at: s.from, end: s.to, section: "custom"}
	name := r.name()
	if r.failed() {
		outer.err = r.err
		return
	}
	if name == "name" {
		if m.names.to != 0 {
			outer.failAt(s.from, Malformed, "there are two name sections")
		}
		m.names = span{r.at, s.to}
	}
	m.customs = append(m.customs, name)
}

// in runs read over the content of a section, when there is one, and sees that all of it is read.
func (m *module) in(id byte, read func(*reader)) *Error {
	if !m.has[id] {
		return nil
	}
	s := m.sections[id]
	r := &reader{data: m.data, at: s.from, end: s.to, section: sectionName(id)}
	read(r)
	if !r.failed() && r.left() > 0 {
		r.fail("%d bytes too many", r.left())
	}
	return r.err
}
