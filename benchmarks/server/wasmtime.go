package server

import (
	"path/filepath"
	"slices"
)

// wasmtimes are "wasmtime serve" with components that Sett runs too. What it offers of wasi:keyvalue begins empty in each
// instance, so that it cannot do the work kv.
func wasmtimes() []Kind {
	const fresh, dirty = "a new instance for each request, as is its default", "instances that are not reset, each for a million requests"
	return []Kind{
		wasmtime("wasmtime rust", fresh, rust()),
		wasmtime("wasmtime js", fresh, javaScript()),
		wasmtime("wasmtime dirty", dirty+"; in Rust", rust(), "--max-instance-reuse-count=1000000"),
	}
}

// wasmtime is a kind of it. Keeping memory resident and other options of the pooling allocator make it no faster here.
func wasmtime(name, how string, l language, options ...string) Kind {
	return Kind{
		Name: name, Program: "wasmtime", Version: []string{"--version"}, Get: "cargo install wasmtime-cli; " + l.get,
		How:     "wasmtime serve, pooling allocator, the wasi:http component that Sett runs; " + how + "; no kv, as its store begins empty in each instance",
		Works:   []string{"hello", "json", "sha256"},
		Prepare: l.prepare("work"),
		Arguments: func(at Site) []string {
			return slices.Concat([]string{"serve", "-Scli", "-Opooling-allocator=y"}, options,
				[]string{"--addr", at.Address, filepath.Join(at.Dir, "work.wasm")})
		},
	}
}
