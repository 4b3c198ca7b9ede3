package server

import (
	"path/filepath"
	"slices"
)

// wasmtime is "wasmtime serve" with the component that Sett runs. What it offers of wasi:keyvalue begins empty in each
// instance, so that it cannot do the work kv.
func wasmtime(name, how string, options ...string) Kind {
	return Kind{
		Name: name, Program: "wasmtime", Version: []string{"--version"}, Get: "cargo install wasmtime-cli; " + getRust,
		How:     "wasmtime serve, pooling allocator, the component in Rust that sett rust runs; " + how,
		Works:   []string{"hello", "json", "sha256"},
		Prepare: prepareRust("work"),
		Arguments: func(at Site) []string {
			return slices.Concat([]string{"serve", "-Scli", "-Opooling-allocator=y"}, options,
				[]string{"--addr", at.Address, filepath.Join(at.Dir, "work.wasm")})
		},
	}
}
