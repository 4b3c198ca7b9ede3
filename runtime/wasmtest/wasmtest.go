// Package wasmtest assembles small WebAssembly modules for tests, where a guest of a few instructions says more
// than one of a compiler, and is compiled in less time. Its main type is Module; the order of calls is the order
// of indexes. It checks nothing: a test may want a module that is wrong.
package wasmtest

import "slices"

// Module is a module being assembled. The zero value is empty. Signatures are written "ii:l": two i32 in, an i64
// out; the letters are i, l, f and d.
type Module struct {
	types, imports, funcs, tables, memories, exports, codes, data [][]byte
	start                                                         []byte
	importedFuncs                                                 uint32
}

func (m *Module) typeOf(sig string) []byte {
	params, results, _ := cut(sig)
	t := slices.Concat([]byte{0x60}, vector(valTypes(params)), vector(valTypes(results)))
	for i := range m.types {
		if string(m.types[i]) == string(t) {
			return U32(uint32(i))
		}
	}
	m.types = append(m.types, t)
	return U32(uint32(len(m.types) - 1))
}

func cut(sig string) (params, results string, ok bool) {
	for i := range sig {
		if sig[i] == ':' {
			return sig[:i], sig[i+1:], true
		}
	}
	return sig, "", false
}

func valTypes(s string) [][]byte {
	var out [][]byte
	for _, c := range s {
		out = append(out, []byte{map[rune]byte{'i': 0x7f, 'l': 0x7e, 'f': 0x7d, 'd': 0x7c}[c]})
	}
	return out
}

// Import imports a function and answers its index. All imports come before the first Func.
func (m *Module) Import(module, name, sig string) uint32 {
	m.imports = append(m.imports, slices.Concat(text(module), text(name), []byte{0}, m.typeOf(sig)))
	m.importedFuncs++
	return m.importedFuncs - 1
}

// ImportMemory imports a memory with these flags and minimum, and 1000 as the maximum where the flags want one.
func (m *Module) ImportMemory(module, name string, flags byte, pages uint32) {
	m.imports = append(m.imports, slices.Concat(text(module), text(name), []byte{2}, limits(flags, pages)))
}

// Func defines a function with two locals of type i32 behind its parameters, exports it when it has a name, and
// answers its index.
func (m *Module) Func(name, sig string, code ...[]byte) uint32 {
	index := m.importedFuncs + uint32(len(m.funcs))
	m.funcs = append(m.funcs, m.typeOf(sig))
	body := slices.Concat([]byte{1, 2, 0x7f}, slices.Concat(code...), []byte{0x0b})
	m.codes = append(m.codes, slices.Concat(U32(uint32(len(body))), body))
	if name != "" {
		m.exports = append(m.exports, slices.Concat(text(name), []byte{0}, U32(index)))
	}
	return index
}

// Memory defines a memory with these flags (1: with a maximum, 1000; 2: shared; 4: 64-bit), and exports the first.
func (m *Module) Memory(flags byte, pages uint32) {
	if len(m.memories) == 0 {
		m.exports = append(m.exports, slices.Concat(text("memory"), []byte{2, 0}))
	}
	m.memories = append(m.memories, limits(flags, pages))
}

// Table defines a table of functions with this many elements.
func (m *Module) Table(elements uint32) {
	m.tables = append(m.tables, slices.Concat([]byte{0x70}, limits(0, elements)))
}

func limits(flags byte, minimum uint32) []byte {
	b := append([]byte{flags}, U32(minimum)...)
	if flags&1 != 0 {
		b = append(b, U32(1000)...)
	}
	return b
}

// Start names the start function.
func (m *Module) Start(index uint32) { m.start = U32(index) }

// Data puts bytes into memory at an offset.
func (m *Module) Data(offset int32, b string) {
	m.data = append(m.data, slices.Concat([]byte{0}, I32(offset), []byte{0x0b}, text(b)))
}

// Bytes answers the module.
func (m *Module) Bytes() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content []byte) {
		b = slices.Concat(b, []byte{id}, U32(uint32(len(content))), content)
	}
	list := func(id byte, all [][]byte) {
		if len(all) > 0 {
			section(id, vector(all))
		}
	}
	list(1, m.types)
	list(2, m.imports)
	list(3, m.funcs)
	list(4, m.tables)
	list(5, m.memories)
	list(7, m.exports)
	if m.start != nil {
		section(8, m.start)
	}
	list(10, m.codes)
	list(11, m.data)
	return b
}

func vector(all [][]byte) []byte { return append(U32(uint32(len(all))), slices.Concat(all...)...) }

func text(s string) []byte { return append(U32(uint32(len(s))), s...) }

// U32 encodes a number of the binary format, such as an index.
func U32(v uint32) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func signed(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// I32 is i32.const.
func I32(v int32) []byte { return append([]byte{0x41}, signed(int64(v))...) }

// I64 is i64.const.
func I64(v int64) []byte { return append([]byte{0x42}, signed(v)...) }

// Call is call.
func Call(index uint32) []byte { return append([]byte{0x10}, U32(index)...) }

// Get is local.get.
func Get(index uint32) []byte { return append([]byte{0x20}, U32(index)...) }

// Set is local.set.
func Set(index uint32) []byte { return append([]byte{0x21}, U32(index)...) }

// Load32 is i32.load at the address on the stack.
func Load32() []byte { return []byte{0x28, 2, 0} }

// Store32 is i32.store of a value at an address, both on the stack.
func Store32() []byte { return []byte{0x36, 2, 0} }

// Loop repeats code for ever, unless the code leaves the function.
func Loop(code ...[]byte) []byte {
	return slices.Concat([]byte{0x03, 0x40}, slices.Concat(code...), []byte{0x0c, 0, 0x0b})
}

// If runs code when the value on the stack is not zero.
func If(code ...[]byte) []byte {
	return slices.Concat([]byte{0x04, 0x40}, slices.Concat(code...), []byte{0x0b})
}

// Unreachable traps.
func Unreachable() []byte { return []byte{0x00} }

// Return is return.
func Return() []byte { return []byte{0x0f} }

// Drop is drop.
func Drop() []byte { return []byte{0x1a} }

// Add is i32.add.
func Add() []byte { return []byte{0x6a} }

// Grow is memory.grow.
func Grow() []byte { return []byte{0x40, 0} }

// Write is the code that writes n bytes of memory at ptr to a descriptor with fdWrite, by a vector at address 8.
func Write(fdWrite uint32, fd, ptr, n int32) []byte {
	return slices.Concat(I32(8), I32(ptr), Store32(), I32(12), I32(n), Store32(),
		I32(fd), I32(8), I32(1), I32(4), Call(fdWrite), Drop())
}

// Answer is a command that answers with a text, as a CGI program does.
func Answer(text string) []byte {
	reply := "Content-Type: text/plain\n\n" + text
	var m Module
	fdWrite := m.Import("wasi_snapshot_preview1", "fd_write", "iiii:i")
	m.Memory(0, 1)
	m.Data(64, reply)
	m.Func("_start", "", Write(fdWrite, 1, 64, int32(len(reply))))
	return m.Bytes()
}
