package wasmtest

import (
	"slices"
	"strings"
)

// Component is a component being assembled, section by section. It checks nothing.
type Component struct{ b []byte }

// NewComponent is a component without sections.
func NewComponent() *Component { return &Component{[]byte("\x00asm\x0d\x00\x01\x00")} }

// Section appends a section of entries.
func (c *Component) Section(id byte, entries ...[]byte) *Component {
	return c.Raw(id, vector(entries))
}

// Raw appends a section as it is.
func (c *Component) Raw(id byte, content []byte) *Component {
	c.b = slices.Concat(c.b, []byte{id}, U32(uint32(len(content))), content)
	return c
}

// Bytes answers the component.
func (c *Component) Bytes() []byte { return c.b }

// Entry joins the parts of an entry: a byte is itself, an int a number, a string a name.
func Entry(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case byte:
			out = append(out, p)
		case int:
			out = append(out, U32(uint32(p))...)
		case string:
			out = append(out, text(p)...)
		case []byte:
			out = append(out, p...)
		}
	}
	return out
}

// FunctionType and InstanceType are the simplest of their kind.
func FunctionType() []byte { return []byte{0x40, 0, 1, 0} }

// InstanceType is FunctionType's of instances.
func InstanceType() []byte { return []byte{0x42, 0} }

// Sections of a component.
const (
	SectionCoreModule   = 1
	SectionCoreInstance = 2
	SectionComponent    = 4
	SectionInstance     = 5
	SectionAlias        = 6
	SectionType         = 7
	SectionCanon        = 8
	SectionStart        = 9
	SectionImport       = 10
	SectionExport       = 11
)

// dropPrefix is what the names of imports start with that drop handles.
const dropPrefix = "[resource-drop]"

// Libc is a module with memory of 100 pages and a realloc that gives out what is behind the first page, once.
func Libc() []byte {
	m := new(Module)
	m.Memory(0, 100)
	m.Func("realloc", "iiii:i", I32(16), Load32(), Get(2), Add(), I32(1), []byte{0x6b}, I32(0), Get(2), []byte{0x6b, 0x71}, Set(4),
		I32(16), Get(4), Get(3), Add(), Store32(), Get(4))
	m.Data(16, "\x00\x00\x01\x00")
	return m.Bytes()
}

// Proxy is a component that answers requests by function handle of module guest, which imports memory from libc and
// from host the functions with these names: an interface, # and a function, or [resource-drop] and a resource. They are
// wasi:http's handler's and other components' as compilers write them: libc gives the host memory, and the handler is
// exported through a component inside.
func Proxy(libc, guest []byte, names ...string) []byte {
	c := NewComponent().
		Raw(SectionCoreModule, libc).
		Section(SectionCoreInstance, Entry(byte(0), 0, 0)).
		Section(SectionAlias, Entry(byte(0), byte(0), byte(1), 0, "realloc")).
		Section(SectionType, InstanceType(), FunctionType())
	interfaces := map[string]int{}
	var imports, aliases, canons, bag [][]byte
	functions, types := 0, 2
	for i, full := range names {
		if resource, ok := strings.CutPrefix(full, dropPrefix); ok {
			aliases = append(aliases, Entry(byte(3), byte(0), 0, resource))
			canons = append(canons, Entry(byte(3), types))
			types++
		} else {
			path, name, _ := strings.Cut(full, "#")
			if _, ok := interfaces[path]; !ok {
				interfaces[path] = len(interfaces)
				imports = append(imports, Entry(byte(0), path, byte(5), 0))
			}
			aliases = append(aliases, Entry(byte(1), byte(0), interfaces[path], name))
			canons = append(canons, Entry(byte(1), byte(0), functions, 1, byte(4), 0))
			functions++
		}
		bag = append(bag, Entry(full, byte(0), i+1))
	}
	inner := NewComponent().Section(SectionType, FunctionType()).
		Section(SectionImport, Entry(byte(0), "f", byte(1), 0)).
		Section(SectionExport, Entry(byte(0), "handle", byte(1), 0, byte(0)))
	return c.Section(SectionImport, imports...).
		Section(SectionAlias, aliases...).
		Section(SectionCanon, canons...).
		Section(SectionCoreInstance, Entry(byte(1), vector(bag))).
		Raw(SectionCoreModule, guest).
		Section(SectionCoreInstance, Entry(byte(0), 1, 2, "host", byte(0x12), 1, "libc", byte(0x12), 0)).
		Section(SectionAlias, Entry(byte(0), byte(0), byte(1), 2, "handle")).
		Section(SectionCanon, Entry(byte(0), byte(0), len(names)+1, 0, 1)).
		Raw(SectionComponent, inner.Bytes()).
		Section(SectionInstance, Entry(byte(0), 0, 1, "f", byte(1), functions)).
		Section(SectionExport, Entry(byte(0), "wasi:http/incoming-handler@0.2.3", byte(5), len(interfaces), byte(0))).
		Bytes()
}
