package wasmbin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Errors of Read. What is merely wrong inside is described with its offset instead.
var (
	ErrNotWasm   = errors.New("not a WebAssembly binary")
	ErrTruncated = errors.New("WebAssembly binary is truncated")
	ErrComponent = errors.New("WebAssembly component, not a core module")
)

// Sections of a module, in the order they must come in.
// Source: WebAssembly Core Specification 2.0, 5.5.2 "Sections"; tags: the exception handling proposal.
const (
	sectionCustom    = 0
	sectionType      = 1
	sectionImport    = 2
	sectionFunction  = 3
	sectionTable     = 4
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionStart     = 8
	sectionElement   = 9
	sectionCode      = 10
	sectionData      = 11
	sectionDataCount = 12
	sectionTag       = 13
)

// place is where a section stands among the others; zero for an unknown one.
func place(id byte) int {
	switch id {
	case sectionDataCount:
		return sectionElement*2 + 1
	case sectionTag:
		return sectionMemory*2 + 1
	}
	if id > sectionTag {
		return 0
	}
	return int(id) * 2
}

// Read reads the structure of a module. Names and types in the answer are copies, so binary may change after.
// Errors: ErrNotWasm, ErrTruncated, ErrComponent, or a text that names the offset of what is malformed.
func Read(binary []byte) (*Module, error) {
	if err := checkHeader(binary); err != nil {
		return nil, err
	}
	m := new(Module)
	r := &reader{b: binary, at: 8}
	last := 0
	for r.at < len(r.b) && r.err == nil {
		start := r.at
		id, size := r.byte(), r.u32()
		body := r.bytes(int(size))
		if r.err != nil {
			break
		}
		if id != sectionCustom {
			p := place(id)
			if p <= last {
				return nil, fmt.Errorf("section %d at offset %d is unknown, repeated or out of order", id, start)
			}
			last = p
		}
		if err := m.section(id, &reader{b: body, base: r.at - len(body)}); err != nil {
			return nil, err
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, m.check()
}

func checkHeader(b []byte) error {
	const magic = "\x00asm"
	if len(b) < 4 || string(b[:4]) != magic {
		return ErrNotWasm
	}
	if len(b) < 8 {
		return ErrTruncated
	}
	version, layer := binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:])
	switch {
	case layer == 1:
		return ErrComponent
	case layer != 0 || version != 1:
		return fmt.Errorf("WebAssembly version %d, layer %d is not known", version, layer)
	}
	return nil
}

// section reads one section. Sections whose content does not matter here are left to the engine's validation.
func (m *Module) section(id byte, r *reader) error {
	switch id {
	case sectionCustom:
		r.name()
		return r.err // what follows the name is free
	case sectionType:
		m.Types = list(r, MaxTypes, "types", (*reader).funcType)
	case sectionImport:
		m.Imports = list(r, MaxImports, "imports", (*reader).imported)
	case sectionFunction:
		m.functions = list(r, MaxFunctions, "functions", (*reader).u32)
	case sectionTable:
		m.Tables = list(r, MaxTables, "tables", (*reader).table)
	case sectionMemory:
		m.Memories = list(r, MaxMemories, "memories", (*reader).limits)
	case sectionExport:
		m.Exports = list(r, MaxExports, "exports", (*reader).exported)
	case sectionStart:
		r.u32()
	case sectionCode:
		m.bodies = int(r.u32())
		return r.err
	default:
		return nil
	}
	if r.err == nil && r.at != len(r.b) {
		r.fail("section %d has %d bytes too many", id, len(r.b)-r.at)
	}
	return r.err
}

// check looks at what several sections say together.
func (m *Module) check() error {
	if m.bodies != len(m.functions) {
		return fmt.Errorf("%d functions are declared and %d have code", len(m.functions), m.bodies)
	}
	for i := range m.Imports {
		if im := &m.Imports[i]; im.Kind == Func {
			if im.typeIndex >= uint32(len(m.Types)) {
				return fmt.Errorf("import %s.%s has unknown type %d", im.Module, im.Name, im.typeIndex)
			}
			im.Type = m.Types[im.typeIndex]
			m.importedFuncs = append(m.importedFuncs, im.typeIndex)
		}
	}
	for _, t := range m.functions {
		if t >= uint32(len(m.Types)) {
			return fmt.Errorf("a function has unknown type %d", t)
		}
	}
	seen := make(map[string]bool, len(m.Exports))
	for i := range m.Exports {
		if ex := &m.Exports[i]; seen[ex.Name] {
			return fmt.Errorf("export %s comes twice", ex.Name)
		} else if seen[ex.Name] = true; ex.Kind == Func && int(ex.Index) >= len(m.importedFuncs)+len(m.functions) {
			return fmt.Errorf("export %s names unknown function %d", ex.Name, ex.Index)
		}
	}
	return nil
}

// reader reads primitive values and keeps the first error; after one, every read answers zero.
type reader struct {
	b    []byte
	at   int
	base int // offset of b in the whole binary
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format+" at offset %d", append(args, r.base+r.at)...)
	}
}

func (r *reader) truncated() {
	if r.err == nil {
		r.err = fmt.Errorf("%w at offset %d", ErrTruncated, r.base+r.at)
	}
}

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.at >= len(r.b) {
		r.truncated()
		return 0
	}
	c := r.b[r.at]
	r.at++
	return c
}

func (r *reader) bytes(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b)-r.at {
		r.truncated()
		return nil
	}
	b := r.b[r.at : r.at+n]
	r.at += n
	return b
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) u32() uint32 {
	v := r.leb(32)
	return uint32(v)
}

func (r *reader) leb(bits uint) uint64 {
	var v uint64
	for shift := uint(0); ; shift += 7 {
		c := r.byte()
		if r.err != nil {
			return 0
		}
		if shift+7 > bits && c>>(bits-shift) != 0 {
			r.fail("number is longer than %d bits", bits)
			return 0
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
}

func (r *reader) name() string {
	b := r.bytes(int(r.u32()))
	if r.err == nil && !utf8.Valid(b) {
		r.fail("name is not UTF-8")
	}
	return string(b)
}

// list reads a vector. Each element takes at least a byte, so the count cannot ask for more room than the
// binary's size times an element.
func list[T any](r *reader, limit int, what string, element func(*reader) T) []T {
	n := int(r.u32())
	if r.err != nil {
		return nil
	}
	if n > limit {
		r.fail("module has %d %s, more than %d", n, what, limit)
		return nil
	}
	if n > len(r.b)-r.at {
		r.truncated()
		return nil
	}
	all := make([]T, 0, n)
	for range n {
		all = append(all, element(r))
		if r.err != nil {
			return nil
		}
	}
	return all
}

func (r *reader) funcType() FuncType {
	if form := r.byte(); r.err == nil && form != 0x60 {
		r.fail("type form 0x%02x is not offered", form)
	}
	return FuncType{Params: r.valTypes(), Results: r.valTypes()}
}

func (r *reader) valTypes() []ValType {
	return list(r, MaxParams, "parameters", func(r *reader) ValType {
		t := ValType(r.byte())
		if r.err == nil && t.String() == "" {
			r.fail("value type 0x%02x is not offered", byte(t))
		}
		return t
	})
}

func (r *reader) imported() Import {
	im := Import{Module: r.name(), Name: r.name(), Kind: Kind(r.byte())}
	if r.err != nil {
		return im
	}
	switch im.Kind {
	case Func:
		im.typeIndex = r.u32()
	case Table:
		r.table()
	case Memory:
		im.Memory = r.limits()
	case Global:
		r.byte()
		r.byte()
	case Tag:
		r.byte()
		r.u32()
	default:
		r.fail("import %s.%s is of unknown kind %d", im.Module, im.Name, im.Kind)
	}
	return im
}

func (r *reader) exported() Export {
	ex := Export{Name: r.name(), Kind: Kind(r.byte()), Index: r.u32()}
	if r.err == nil && ex.Kind > Tag {
		r.fail("export %s is of unknown kind %d", ex.Name, ex.Kind)
	}
	return ex
}

func (r *reader) table() Limits {
	if t := r.byte(); r.err == nil && t != byte(FuncRef) && t != byte(ExternRef) {
		r.fail("table of type 0x%02x is not offered", t)
	}
	return r.limits()
}

// Flags of limits. Source: the threads and memory64 proposals.
const (
	flagMax    = 1
	flagShared = 2
	flag64     = 4
)

func (r *reader) limits() Limits {
	flags := r.byte()
	if r.err == nil && flags > flagMax|flagShared|flag64 {
		r.fail("limits have unknown flags 0x%02x", flags)
	}
	l := Limits{Shared: flags&flagShared != 0, Is64: flags&flag64 != 0, HasMax: flags&flagMax != 0}
	bits := uint(32)
	if l.Is64 {
		bits = 64
	}
	l.Min = r.leb(bits)
	if l.HasMax {
		l.Max = r.leb(bits)
	}
	return l
}
