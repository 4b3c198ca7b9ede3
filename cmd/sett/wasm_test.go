package main

import (
	"fmt"
	"slices"
	"strconv"
)

// The modules of scripts, written byte by byte so that a script needs no compiler.
// Source: WebAssembly Core Specification 2.0, section 5.

func uleb(n int) (b []byte) {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func sleb(n int) (b []byte) {
	for n >= 0x40 {
		b = append(b, byte(n&0x7f)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func vec(items ...[]byte) []byte { return append(uleb(len(items)), slices.Concat(items...)...) }

func name(s string) []byte { return append(uleb(len(s)), s...) }

func section(id byte, body []byte) []byte {
	return slices.Concat([]byte{id}, uleb(len(body)), body)
}

func i32(n int) []byte { return append([]byte{0x41}, sleb(n)...) }

// command is a WASI command: _start runs code. Functions 0 and 1 are fd_write and proc_exit; data lies at 64, the
// memory's first page is free otherwise.
type command struct {
	code         []byte // of _start, without its end
	data         string
	foreign      string // one more import, "MODULE.NAME"
	sharedMemory bool
	noEntry      bool
}

func (c command) bytes() []byte {
	imports := [][]byte{
		slices.Concat(name("wasi_snapshot_preview1"), name("fd_write"), []byte{0, 0}),
		slices.Concat(name("wasi_snapshot_preview1"), name("proc_exit"), []byte{0, 1}),
	}
	if c.foreign != "" {
		imports = append(imports, slices.Concat(name("env"), name(c.foreign), []byte{0, 2}))
	}
	memory := []byte{0, 1}
	if c.sharedMemory {
		memory = []byte{3, 1, 1}
	}
	entry := "_start"
	if c.noEntry {
		entry = "go"
	}
	body := slices.Concat([]byte{0}, c.code, []byte{0x0b})
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vec([]byte{0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f}, []byte{0x60, 1, 0x7f, 0}, []byte{0x60, 0, 0})),
		section(2, vec(imports...)),
		section(3, vec([]byte{2})),
		section(5, vec(memory)),
		section(7, vec(slices.Concat(name("memory"), []byte{2, 0}), slices.Concat(name(entry), []byte{0}, uleb(len(imports))))),
		section(10, vec(slices.Concat(uleb(len(body)), body))),
		section(11, vec(slices.Concat([]byte{0}, i32(64), []byte{0x0b}, name(c.data)))))
}

// write is the code that writes n bytes at address from to a file descriptor.
func write(fd, from, n int) []byte {
	store := func(at, value int) []byte { return slices.Concat(i32(at), i32(value), []byte{0x36, 2, 0}) }
	return slices.Concat(store(0, from), store(4, n), i32(fd), i32(0), i32(1), i32(8), []byte{0x10, 0, 0x1a})
}

// testModule is the module a script asks for by its kind.
func testModule(kind, text string) ([]byte, error) {
	reply := "Content-Type: text/plain\n\n" + text + "\n"
	answer := command{code: write(1, 64, len(reply)), data: reply}
	switch kind {
	case "text": // answers text
	case "stderr": // answers text and writes it to stderr
		answer.code = append(answer.code, write(2, 64+len(reply)-len(text)-1, len(text)+1)...)
	case "loop":
		answer.code = []byte{0x03, 0x40, 0x0c, 0, 0x0b}
	case "trap":
		answer.code = []byte{0x00}
	case "exit":
		status, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		answer.code = slices.Concat(i32(status), []byte{0x10, 1})
	case "unknown-import":
		answer.foreign = text
	case "no-entry":
		answer.noEntry = true
	case "shared-memory":
		answer.sharedMemory = true
	case "truncated":
		whole := answer.bytes()
		return whole[:len(whole)-20], nil
	case "component":
		return []byte("\x00asm\x0d\x00\x01\x00"), nil
	case "large": // valid, and padded with a custom section of so many bytes
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		return append(answer.bytes(), section(0, append(name("pad"), make([]byte, n)...))...), nil
	default:
		return nil, fmt.Errorf("no module of kind %q", kind)
	}
	return answer.bytes(), nil
}
