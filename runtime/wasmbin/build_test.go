package wasmbin

import (
	"encoding/binary"
	"slices"
)

// build assembles a module for a test. The zero value is empty; what is added gets the next index of its kind, and
// imports come before what is defined. Nothing is checked: a test may want a module that is wrong.
type build struct {
	types, imports, functions, tables, memories, tags, globals, exports, elements, bodies, datas [][]byte
	customs                                                                                      []byte
	start                                                                                        int // function + 1
	noDataCount                                                                                  bool
	importedFunctions                                                                            uint32
}

// num is an unsigned number.
func num(v uint32) []byte { return binary.AppendUvarint(nil, uint64(v)) }

func str(s string) []byte { return appendName(nil, s) }

func vec(items [][]byte) []byte { return append(num(uint32(len(items))), slices.Concat(items...)...) }

// signature answers the index of a type. Values are written as their bytes: "\x7f" is an i32.
func (b *build) signature(params, results string) uint32 {
	t := slices.Concat([]byte{formFunction}, str(params), str(results))
	for i, have := range b.types {
		if string(have) == string(t) {
			return uint32(i)
		}
	}
	b.types = append(b.types, t)
	return uint32(len(b.types) - 1)
}

func (b *build) importFunction(module, name, params, results string) uint32 {
	b.imports = append(b.imports, slices.Concat(str(module), str(name), []byte{0}, num(b.signature(params, results))))
	b.importedFunctions++
	return b.importedFunctions - 1
}

// function defines a function, exports it when it has a name, and answers its index. Locals are groups: "\x02\x7f"
// are two of type i32. The code lacks only its last end.
func (b *build) function(name, params, results, locals string, code ...byte) uint32 {
	i := b.importedFunctions + uint32(len(b.functions))
	b.functions = append(b.functions, num(b.signature(params, results)))
	body := slices.Concat(num(uint32(len(locals)/2)), []byte(locals), code, []byte{opEnd})
	b.bodies = append(b.bodies, append(num(uint32(len(body))), body...))
	if name != "" {
		b.export(name, Func, i)
	}
	return i
}

func (b *build) export(name string, kind Kind, index uint32) {
	b.exports = append(b.exports, slices.Concat(str(name), []byte{byte(kind)}, num(index)))
}

// memory defines a memory, of limits as they are written: {0, 1} starts with a page.
func (b *build) memory(limits ...byte) { b.memories = append(b.memories, limits) }

func (b *build) table(entry ...byte) { b.tables = append(b.tables, entry) }

// global defines a global of a type, mutable or not, with an initial expression that lacks its end.
func (b *build) global(t ValType, mutable byte, init ...byte) uint32 {
	b.globals = append(b.globals, slices.Concat([]byte{byte(t), mutable}, init, []byte{opEnd}))
	return uint32(len(b.globals) - 1)
}

// data is an active segment at a constant offset.
func (b *build) data(offset int64, content string) {
	b.datas = append(b.datas, slices.Concat([]byte{0}, i32(offset), []byte{opEnd}, str(content)))
}

func (b *build) passive(content string) {
	b.datas = append(b.datas, append([]byte{1}, str(content)...))
}

func (b *build) bytes() []byte {
	out := append([]byte(magic), 1, 0, 0, 0)
	add := func(id byte, items [][]byte) {
		if len(items) > 0 {
			out = appendSection(out, id, vec(items))
		}
	}
	add(typeSection, b.types)
	add(importSection, b.imports)
	add(functionSection, b.functions)
	add(tableSection, b.tables)
	add(memorySection, b.memories)
	add(tagSection, b.tags)
	add(globalSection, b.globals)
	add(exportSection, b.exports)
	if b.start > 0 {
		out = appendSection(out, startSection, num(uint32(b.start-1)))
	}
	add(elementSection, b.elements)
	if len(b.datas) > 0 && !b.noDataCount {
		out = appendSection(out, dataCountSection, num(uint32(len(b.datas))))
	}
	add(codeSection, b.bodies)
	add(dataSection, b.datas)
	return append(out, b.customs...)
}

func i32(v int64) []byte { return appendS64([]byte{opI32Const}, v) }

func i64(v int64) []byte { return appendS64([]byte{opI64Const}, v) }

// code joins instructions: bytes and slices of them.
func code(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			out = append(out, byte(p))
		case []byte:
			out = append(out, p...)
		}
	}
	return out
}

// sectionAt is the section at a place in a module, counted from 1.
func sectionAt(place byte) byte {
	for id := range byte(sections) {
		if sectionOrder[id] == place {
			return id
		}
	}
	return customSection
}
