// The function of the naive servers, under an ABI of their own: the server writes a request into buffer, calls handle, and
// reads the reply. A request is a line "METHOD PATH", lines "NAME: VALUE", an empty line and the body; a reply is a line
// with its type, and the body.
package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/sett-run/sett/benchmarks/work/answer"
)

var (
	request, reply []byte
	items          = answer.Items()
)

// get reads a number of the server's, 0 at first.
//
//go:wasmimport store get
func get(key string) uint64

// put writes one.
//
//go:wasmimport store put
func put(key string, value uint64)

// buffer is where the next request goes.
//
//go:wasmexport buffer
func buffer(size uint32) unsafe.Pointer {
	if int(size) > cap(request) {
		request = make([]byte, size)
	}
	request = request[:size]
	return unsafe.Pointer(unsafe.SliceData(request))
}

// handle answers the reply's address and, in the lower half, its length.
//
//go:wasmexport handle
func handle() uint64 {
	head, body, _ := bytes.Cut(request, []byte("\n\n"))
	first, headers, _ := strings.Cut(string(head), "\n")
	method, path, _ := strings.Cut(first, " ")
	kind, text := "text/plain", []byte(answer.Hello)
	switch path {
	case "/hello":
	case "/json":
		var err error
		kind = "application/json"
		if text, err = answer.Inspect(method, items, func(name string) string { return header(headers, name) }); err != nil {
			panic(err)
		}
	case "/sha256":
		text = []byte(answer.Digest(body))
	default:
		next := get(path) + 1
		put(path, next)
		text = strconv.AppendUint(nil, next, 10)
	}
	reply = append(fmt.Appendf(reply[:0], "%s\n", kind), text...)
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(reply))))<<32 | uint64(len(reply))
}

func header(headers, name string) string {
	for line := range strings.Lines(headers) {
		if key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

func main() {}
