package wasmbin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const allFeatures = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst |
	experimental.CoreFeaturesExceptionHandling | experimental.CoreFeaturesTypedFunctionReferences |
	experimental.CoreFeaturesThreads

// errFuel ends calls that use more fuel than a test grants.
var (
	errFuel  = errors.New("out of fuel")
	errStack = errors.New("stack overflow")
)

// world is an engine in which modules are rewritten before they run, or not.
type world struct {
	wazero.Runtime
	rewritten bool
	memory    memoryUse
	config    wazero.ModuleConfig
	slice     int64 // fuel given at a refill
	limit     int64 // fuel given in all; 0: no limit

	granted int64
	refills int
}

func newWorld(t testing.TB, features api.CoreFeatures, rewritten bool) *world {
	t.Helper()
	ctx := context.Background()
	config := wazero.NewRuntimeConfigCompiler().WithCoreFeatures(features)
	w := &world{Runtime: wazero.NewRuntimeWithConfig(ctx, config), rewritten: rewritten, config: wazero.NewModuleConfig(), slice: 1000}
	t.Cleanup(func() { w.Close(ctx) })
	refill := func(_ context.Context, _ api.Module, stack []uint64) {
		if int64(stack[1]) < 0 {
			panic(errStack)
		}
		w.refills++
		w.granted += w.slice
		if w.limit > 0 && w.granted > w.limit {
			panic(errFuel)
		}
		stack[0] = uint64(int64(stack[0]) + w.slice)
	}
	if rewritten {
		_, err := w.NewHostModuleBuilder(RefillModule).NewFunctionBuilder().WithGoModuleFunction(
			api.GoModuleFunc(refill), []api.ValueType{api.ValueTypeI64, api.ValueTypeI64},
			[]api.ValueType{api.ValueTypeI64}).Export(RefillName).Instantiate(ctx)
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// used is the fuel that an instance has used, when it is the only one of its world.
func (w *world) used(i *instance) int64 {
	return w.granted - int64(i.ExportedGlobal(FuelGlobal).Get())
}

// instance is a module that runs.
type instance struct {
	api.Module
	rewritten *Rewritten
	memory    *flatMemory
	image     []byte
	globals   []uint64
	written   uint64 // of the image
}

// load instantiates a module as a host would.
func (w *world) load(data []byte, name string) (*instance, error) {
	ctx := context.Background()
	i := &instance{}
	if w.rewritten {
		m, err := rewrite(data, w.memory)
		if err != nil {
			return nil, err
		}
		i.rewritten = m
		data = m.Bytes
	}
	code, err := w.CompileModule(ctx, data)
	if err != nil {
		return nil, err
	}
	memories := &allocator{max: 1 << 31}
	if m := i.rewritten; m != nil && m.Memory != nil {
		memories.max = min(memories.max, uint64(m.Memory.Max)*PageBytes)
	}
	config := w.config.WithName(name).WithStartFunctions()
	mod, err := w.InstantiateModule(experimental.WithMemoryAllocator(ctx, memories), code, config)
	if err != nil {
		return nil, err
	}
	i.Module, i.memory = mod, memories.last
	if i.rewritten == nil {
		return i, nil
	}
	for _, s := range i.rewritten.Segments {
		if !mod.Memory().Write(s.Offset, s.Bytes) {
			return nil, fmt.Errorf("segment at %d does not fit", s.Offset)
		}
	}
	if i.rewritten.Start != "" {
		if _, err := mod.ExportedFunction(i.rewritten.Start).Call(ctx); err != nil {
			mod.Close(ctx)
			return nil, err
		}
	}
	i.takeImage()
	return i, nil
}

func (i *instance) takeImage() {
	if m := i.ownMemory(); m != nil {
		b, _ := m.Read(0, m.Size())
		i.image = append([]byte(nil), b...)
	}
	i.globals = i.values()
	i.written = i.writes()
}

// ownMemory is the memory, nil for none; the engine answers a nil of its own type.
func (i *instance) ownMemory() api.Memory {
	if i.rewritten.Memory == nil {
		return nil
	}
	return i.ExportedMemory(MemoryExport)
}

// writes is how often state was changed that cannot be restored.
func (i *instance) writes() uint64 { return i.ExportedGlobal(WritesGlobal).Get() }

func (i *instance) values() []uint64 {
	var v []uint64
	for _, g := range i.rewritten.Globals {
		v = append(v, i.ExportedGlobal(g.Name).Get())
	}
	return v
}

// reset brings memory and globals back to the image.
func (i *instance) reset(t testing.TB) {
	t.Helper()
	if m := i.ownMemory(); m != nil {
		if int(m.Size()) > len(i.image) {
			i.memory.armed, i.memory.size = true, len(i.image)
			if _, ok := m.Grow(1); !ok {
				t.Fatal("memory does not shrink")
			}
			i.memory.armed = false
		}
		if int(m.Size()) != len(i.image) {
			t.Fatalf("memory has %d bytes after reset, want %d", m.Size(), len(i.image))
		}
		clear(i.memory.buf[len(i.image):cap(i.memory.buf)])
		m.Write(0, i.image)
	}
	for k, g := range i.rewritten.Globals {
		i.ExportedGlobal(g.Name).(api.MutableGlobal).Set(i.globals[k])
	}
	i.restoreStack()
}

// restoreStack gives back what a call that did not return had taken.
func (i *instance) restoreStack() {
	if i.rewritten != nil {
		i.ExportedGlobal(StackGlobal).(api.MutableGlobal).Set(StackBytes)
	}
}

// same says whether memory and globals are those of the image.
func (i *instance) same() bool {
	if m := i.ownMemory(); m != nil {
		b, _ := m.Read(0, m.Size())
		if string(b) != string(i.image) {
			return false
		}
	}
	return fmt.Sprint(i.values()) == fmt.Sprint(i.globals)
}

// allocator hands out memories that can shrink, as a host's slots do.
type allocator struct {
	mu   sync.Mutex
	last *flatMemory
	max  uint64 // bytes
}

func (a *allocator) Allocate(capacity, _ uint64) experimental.LinearMemory {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = &flatMemory{buf: make([]byte, capacity), max: a.max}
	return a.last
}

type flatMemory struct {
	buf   []byte
	armed bool // hand out size, whatever is asked for
	size  int
	max   uint64
}

func (f *flatMemory) Reallocate(size uint64) []byte {
	if f.armed {
		f.buf = f.buf[:f.size]
		return f.buf
	}
	if size > f.max {
		return nil
	}
	if int(size) > cap(f.buf) {
		f.buf = append(make([]byte, 0, size), f.buf...)
	}
	f.buf = f.buf[:size]
	return f.buf
}

func (f *flatMemory) Free() {}

// outcome is what a call did, in a form that is the same in both worlds.
func outcome(results []uint64, types []api.ValueType, err error) string {
	if err != nil {
		return "error: " + class(err)
	}
	var s []string
	k := 0
	for _, t := range types {
		switch t {
		case 0x7b: // v128
			s = append(s, fmt.Sprintf("%x:%x", results[k], results[k+1]))
			k++
		case api.ValueTypeI32, api.ValueTypeF32:
			s = append(s, fmt.Sprintf("%x", uint32(results[k])))
		case api.ValueTypeI64, api.ValueTypeF64, api.ValueTypeExternref:
			s = append(s, fmt.Sprintf("%x", results[k]))
		default: // a pointer into the engine
			s = append(s, fmt.Sprintf("null=%v", results[k] == 0))
		}
		k++
	}
	return strings.Join(s, " ")
}

func class(err error) string {
	if strings.Contains(err.Error(), "stack overflow") {
		return "stack overflow"
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
