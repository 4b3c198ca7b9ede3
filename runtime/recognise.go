package runtime

import (
	"errors"
	"fmt"

	"github.com/sett-run/sett/runtime/component"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// traits are what serving needs to know of a module. They are kept beside its compiled code.
type traits struct {
	Kind        registry.Kind           `json:"kind"`
	MemoryBytes int64                   `json:"memory_bytes"` // that it starts with
	MaxBytes    uint64                  `json:"max_bytes"`    // of memory that it declares to use at most
	Describes   bool                    `json:"describes"`    // it has a sett_describe
	Warms       bool                    `json:"warms"`        // it has a sett_warmup
	Draws       bool                    `json:"draws"`        // it has a sett_random
	Globals     []wasmbin.MutableGlobal `json:"globals"`      // to restore
	Start       string                  `json:"start"`        // what was the start function; empty: none
	Flags       wasmbin.Flags           `json:"flags"`
	Component   *component.Traits       `json:"component,omitempty"` // of a component
}

// recognise says what binary is, as it was uploaded. Errors are coded abi.InvalidModule, or abi.Unsupported or
// abi.TooLarge for what is known and not offered, and name what is wrong.
func recognise(binary []byte) (traits, error) {
	if component.Is(binary) {
		return recogniseComponent(binary)
	}
	m, err := wasmbin.Read(binary)
	if err != nil {
		return traits{}, moduleError(err)
	}
	memories, err := checkMemory(m)
	if err != nil {
		return traits{}, err
	}
	if err := checkImports(m); err != nil {
		return traits{}, err
	}
	t := traits{}
	if t.Kind, err = entryPoint(m); err != nil {
		return traits{}, err
	}
	if len(memories) == 0 {
		return traits{}, invalid("module has no memory")
	}
	t.MemoryBytes, t.MaxBytes = int64(memories[0].Min)*wasmbin.PageBytes, wasmbin.MaxMemoryPages*wasmbin.PageBytes
	if memories[0].HasMax {
		t.MaxBytes = memories[0].Max * wasmbin.PageBytes
	}
	_, t.Describes = m.Func(abi.ExportDescribe)
	_, t.Warms = m.Func(abi.ExportWarmup)
	_, t.Draws = m.Func(abi.ExportRandom)
	return t, nil
}

// rewrite recognises binary and answers it as it is run.
func rewrite(binary []byte) (traits, *wasmbin.Rewritten, error) {
	var t traits
	var err error
	if component.Is(binary) {
		t, binary, err = linkComponent(binary)
	} else {
		t, err = recognise(binary)
	}
	if err != nil {
		return t, nil, err
	}
	m, err := wasmbin.Rewrite(binary)
	if err != nil {
		return t, nil, moduleError(err)
	}
	if m.Flags.Has(wasmbin.Threads) {
		return t, nil, unsupported("module uses " + (m.Flags & wasmbin.Threads).String() + ": threads and shared memory are not offered")
	}
	t.Globals, t.Start, t.Flags = m.Globals, m.Start, m.Flags
	return t, m, nil
}

// moduleError gives what is wrong with a module its code.
func moduleError(err error) error {
	if errors.Is(err, wasmbin.ErrComponent) {
		return unsupported("module is a WebAssembly component of a version of the format that this node does not read")
	}
	if errors.Is(err, wasmbin.ErrNotWasm) {
		return invalid("%w", wasmbin.ErrNotWasm)
	}
	var e *wasmbin.Error
	if errors.As(err, &e) {
		switch e.Fault {
		case wasmbin.Unsupported:
			return abi.WithCode(abi.Unsupported, err)
		case wasmbin.TooLarge:
			return abi.WithCode(abi.TooLarge, err)
		}
	}
	return invalid("%w", err)
}

func invalid(format string, args ...any) error {
	return abi.WithCode(abi.InvalidModule, fmt.Errorf(format, args...))
}

func unsupported(text string) error { return abi.WithCode(abi.Unsupported, errors.New(text)) }

// checkMemory looks at memories and tables, and answers the memories, an imported one included.
func checkMemory(m *wasmbin.Module) ([]wasmbin.Limits, error) {
	memories := m.Memories
	for i := range m.Imports {
		if m.Imports[i].Kind == wasmbin.Memory {
			memories = append(memories, m.Imports[i].Memory)
		}
	}
	for _, l := range memories {
		if l.Shared {
			return nil, unsupported("module has a shared memory: threads and shared memory are not offered")
		}
		if l.Is64 {
			return nil, unsupported("module has a 64-bit memory: memory64 is not offered")
		}
	}
	if len(memories) > 1 {
		return nil, unsupported(fmt.Sprintf("module has %d memories: more than one is not offered", len(memories)))
	}
	var entries uint64
	for _, t := range m.Tables {
		if t.Shared || t.Is64 {
			return nil, unsupported("module has a shared or 64-bit table, which is not offered")
		}
		if entries += t.Min; entries > wasmbin.MaxTableEntries {
			return nil, abi.WithCode(abi.TooLarge, fmt.Errorf("module's tables start with more than %d elements", wasmbin.MaxTableEntries))
		}
	}
	return memories, nil
}

// offered answers the signature of every function guests may import, by "module.name".
func offered() map[string]wasmbin.FuncType {
	all := make(map[string]wasmbin.FuncType)
	for _, f := range wasip1.Functions() {
		all[wasip1.ModuleName+"."+f.Name] = signature(f.Params, f.Results)
	}
	for _, f := range host.Functions() {
		all[abi.HostModule+"."+f.Name] = signature(f.Params, f.Results)
	}
	return all
}

func signature(params, results []api.ValueType) wasmbin.FuncType {
	convert := func(types []api.ValueType) []wasmbin.ValType {
		out := make([]wasmbin.ValType, len(types))
		for i, t := range types {
			out[i] = wasmbin.ValType(t)
		}
		return out
	}
	return wasmbin.FuncType{Params: convert(params), Results: convert(results)}
}

// checkImports names every import that no host offers, and every one offered with another signature.
func checkImports(m *wasmbin.Module) error {
	all := offered()
	var unknown, different []string
	for i := range m.Imports {
		im := &m.Imports[i]
		name := im.Module + "." + im.Name
		t, ok := all[name]
		switch {
		case im.Kind == wasmbin.Memory: // becomes the module's own
		case im.Kind != wasmbin.Func:
			unknown = append(unknown, im.Kind.String()+" "+name)
		case !ok:
			unknown = append(unknown, name)
		case !t.Equal(im.Type):
			different = append(different, fmt.Sprintf("%s as %s, which the host offers as %s", name, im.Type, t))
		}
	}
	var errs []error
	if len(unknown) > 0 {
		errs = append(errs, fmt.Errorf("module imports %s, which no host offers", wasmbin.Enumerate(unknown)))
	}
	if len(different) > 0 {
		errs = append(errs, fmt.Errorf("module imports %s", wasmbin.Enumerate(different)))
	}
	return abi.WithCode(abi.InvalidModule, errors.Join(errs...))
}

// entryPoint says from its exports what kind of module m is.
func entryPoint(m *wasmbin.Module) (registry.Kind, error) {
	start, isCommand := m.Func(abi.ExportStart)
	_, hasInit := m.Func(abi.ExportInitialize)
	_, hasHandle := m.Func(abi.ExportHandle)
	switch {
	case hasInit && hasHandle:
		return registry.KindSett, checkSett(m)
	case hasHandle && !isCommand: // a command of the Go SDK exports it too
		return "", invalid("module exports %s but not %s: link it as a WASI reactor", abi.ExportHandle, abi.ExportInitialize)
	case hasInit && !isCommand:
		return "", invalid("module is a WASI reactor without %s: it answers no events", abi.ExportHandle)
	case !isCommand:
		return "", invalid("module has no entry point: it exports neither %s (a command) nor %s and %s (a sett module)",
			abi.ExportStart, abi.ExportInitialize, abi.ExportHandle)
	}
	if !start.Equal(wasmbin.FuncType{}) {
		return "", invalid("module exports %s as %s, want ()", abi.ExportStart, start)
	}
	if importsSett, marked := settImports(m); importsSett && !marked {
		return "", invalid("module uses the sett SDK and was built as a command; add -buildmode=c-shared")
	}
	return registry.KindCommand, nil
}

// checkSett checks the signatures of a sett module's exports.
func checkSett(m *wasmbin.Module) error {
	var noValues wasmbin.FuncType
	i32 := []wasmbin.ValType{wasmbin.I32}
	for _, want := range []struct {
		name     string
		t        wasmbin.FuncType
		optional bool
	}{
		{abi.ExportInitialize, noValues, false},
		{abi.ExportVersion, wasmbin.FuncType{Results: i32}, false},
		{abi.ExportHandle, wasmbin.FuncType{Params: i32, Results: i32}, false},
		{abi.ExportDescribe, noValues, true},
		{abi.ExportWarmup, noValues, true},
		{abi.ExportRandom, noValues, true},
	} {
		t, ok := m.Func(want.name)
		if !ok && !want.optional {
			return invalid("module exports %s but not %s", abi.ExportHandle, want.name)
		}
		if ok && !t.Equal(want.t) {
			return invalid("module exports %s as %s, want %s", want.name, t, want.t)
		}
	}
	return nil
}

// settImports says whether m imports from the host module, and whether the run marker is among the imports.
func settImports(m *wasmbin.Module) (some, marked bool) {
	for i := range m.Imports {
		if im := &m.Imports[i]; im.Module == abi.HostModule {
			some = true
			marked = marked || im.Name == abi.ImportRunMarker
		}
	}
	return some, marked
}
