package wasmbin

import (
	"fmt"
	"strings"
)

// refuse is an error about a whole section.
func (m *module) refuse(fault Fault, section byte, format string, args ...any) *Error {
	return &Error{
		Fault: fault, Section: sectionName(section), Offset: m.sections[section].from, Reason: fmt.Sprintf(format, args...),
	}
}

// check refuses what Read tells of and Rewrite does not take.
func (m *module) check() *Error {
	if n := len(m.memories); n > 1 {
		return m.refuse(Unsupported, memorySection, "%d memories (multi-memory), want one at most", n)
	}
	for _, l := range m.memories {
		if l.Is64 {
			return m.refuse(Unsupported, memorySection, "memory is 64-bit (memory64)")
		}
	}
	for _, t := range m.tables {
		if t.Is64 || t.Shared {
			return m.refuse(Unsupported, tableSection, "table is 64-bit or shared")
		}
	}
	entries := uint64(0)
	for _, t := range m.tables[m.importedTables:] {
		if entries += t.Min; entries > MaxTableEntries {
			return m.refuse(TooLarge, tableSection, "tables start with more than %d entries", MaxTableEntries)
		}
	}
	return m.checkNames()
}

// checkNames refuses names that are ours to give.
func (m *module) checkNames() *Error {
	for _, im := range m.imports {
		if im.module == RefillModule || strings.HasPrefix(im.name, Reserved) {
			return m.refuse(Unsupported, importSection, "import of %q from %q: the name is reserved", im.name, im.module)
		}
	}
	for _, e := range m.exports {
		if strings.HasPrefix(e.Name, Reserved) {
			return m.refuse(Unsupported, exportSection, "export %q: names that start with %q are reserved", e.Name, Reserved)
		}
	}
	return nil
}
