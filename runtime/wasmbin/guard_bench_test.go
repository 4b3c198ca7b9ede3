package wasmbin_test

import (
	"context"
	"testing"

	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/tetratelabs/wazero"
)

// BenchmarkGuard measures what the check at the start of functions costs where it costs most: a million calls of
// a function that does nothing else.
func BenchmarkGuard(b *testing.B) {
	m := new(wasmtest.Module)
	m.Memory(0, 1)
	m.Func("run", "i", wasmtest.Get(0), wasmtest.If(
		wasmtest.Get(0), wasmtest.I32(-1), wasmtest.Add(), wasmtest.Call(0),
		wasmtest.Get(0), wasmtest.I32(-1), wasmtest.Add(), wasmtest.Call(0)))
	guarded, err := wasmbin.Guard(m.Bytes(), 1000)
	if err != nil {
		b.Fatal(err)
	}
	for name, binary := range map[string][]byte{"plain": m.Bytes(), "guarded": guarded} {
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCloseOnContextDone(true))
			defer r.Close(ctx)
			mod, err := r.Instantiate(ctx, binary)
			if err != nil {
				b.Fatal(err)
			}
			run := mod.ExportedFunction("run")
			for b.Loop() {
				if _, err := run.Call(ctx, 19); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
