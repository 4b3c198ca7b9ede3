package component

import (
	"context"
	"slices"
	"strings"

	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// function is one the host offers to components.
type function struct {
	name      string // interface, without its version's last number, # and the function's name
	sig       string // core parameters and results: "ii:l" are two i32 in, an i64 out
	allocates bool   // it asks the guest for memory
	run       func(c *Call, p []uint64)
}

// signature is what sig says.
func (f *function) signature() wasmbin.FuncType {
	params, results, _ := strings.Cut(f.sig, ":")
	return wasmbin.FuncType{Params: types(params), Results: types(results)}
}

func types(s string) []wasmbin.ValType {
	list := make([]wasmbin.ValType, len(s))
	for i := range list {
		list[i] = wasmbin.I32
		if s[i] == 'l' {
			list[i] = wasmbin.I64
		}
	}
	return list
}

// group makes functions of an interface.
func group(name string, list ...function) []function {
	for i := range list {
		list[i].name = name + "#" + list[i].name
	}
	return list
}

// functions answers every function the host offers.
func functions() []function {
	return slices.Concat(ioFunctions(), clockFunctions(), randomFunctions(), commandFunctions(), fileFunctions(),
		socketFunctions(), fieldFunctions(), incomingFunctions(), outgoingFunctions(), platformFunctions(), stateFunctions())
}

// offered answers every function the host offers, by its name.
func offered() map[string]*function {
	list := functions()
	all := make(map[string]*function, len(list))
	for i := range list {
		all[list[i].name] = &list[i]
	}
	return all
}

// Instantiate makes the host module in r. Call it once a runtime, before the first component.
func Instantiate(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(HostModule)
	list := functions()
	for i := range list {
		f := &list[i]
		if !f.allocates {
			f.export(b, f.name, 0)
			continue
		}
		for i := range MaxReallocs {
			f.export(b, f.name+variant(i), i)
		}
	}
	_, err := b.Instantiate(ctx)
	return err
}

func (f *function) export(b wazero.HostModuleBuilder, name string, realloc int) {
	run := f.run
	adapt := api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
		c := ctx.Value(Key{}).(*Call)
		c.enter(ctx, mod, f, realloc)
		run(c, stack)
	})
	t := f.signature()
	b.NewFunctionBuilder().WithGoModuleFunction(adapt, values(t.Params), values(t.Results)).Export(name)
}

func values(types []wasmbin.ValType) []api.ValueType {
	list := make([]api.ValueType, len(types))
	for i, t := range types {
		list[i] = api.ValueType(t)
	}
	return list
}
