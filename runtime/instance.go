package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sett-run/sett/runtime/component"
	"github.com/sett-run/sett/runtime/memory"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/sdk/abi"
)

// instance is a module's memory, globals and functions. It answers one invocation and is then reset to its image
// before it answers another. It belongs to one goroutine at a time.
type instance struct {
	r        *Runtime
	code     *code
	image    *image       // nil while one is built
	resident *resident    // keeps code and image; nil while an image is built
	slot     *memory.Slot // nil while an image is built
	module   api.Module
	memory   api.Memory
	entry    api.Function        // what answers an event
	guest    *component.Guest    // nil where the module is no component
	fuel     api.MutableGlobal   // nil where the module has no code of its own
	stack    api.MutableGlobal   // as fuel
	writes   api.Global          // nil where all the guest can change is memory and globals
	globals  []api.MutableGlobal // in the order of traits.Globals
	failed   bool                // the last call did not return
	idle     time.Time           // since when it waits
	released bool                // it holds no memory of its own
}

// instantiate makes the module's instance with memory from allocate. Nothing of the guest runs.
func (i *instance) instantiate(ctx context.Context, allocate experimental.MemoryAllocator) error {
	if i.code.Kind == registry.KindComponent {
		if err := i.r.offer(); err != nil {
			return err
		}
	}
	start := time.Now()
	var err error
	i.module, err = i.r.engine.InstantiateModule(experimental.WithMemoryAllocator(ctx, allocate), i.code.compiled, i.r.start)
	if err != nil {
		return err
	}
	i.r.metrics.instantiate.Observe(time.Since(start).Seconds())
	i.memory = i.module.ExportedMemory(wasmbin.MemoryExport)
	i.fuel, _ = i.module.ExportedGlobal(wasmbin.FuelGlobal).(api.MutableGlobal)
	i.stack, _ = i.module.ExportedGlobal(wasmbin.StackGlobal).(api.MutableGlobal)
	i.writes = i.module.ExportedGlobal(wasmbin.WritesGlobal)
	i.globals = make([]api.MutableGlobal, len(i.code.Globals))
	for k, g := range i.code.Globals {
		i.globals[k] = i.module.ExportedGlobal(g.Name).(api.MutableGlobal)
	}
	i.takeEntry()
	return nil
}

// takeEntry makes the function that answers events, whose call stack is new.
func (i *instance) takeEntry() {
	name := abi.ExportHandle
	switch i.code.Kind {
	case registry.KindCommand:
		name = abi.ExportStart
	case registry.KindComponent:
		name, i.guest = component.ExportHandle, component.NewGuest(i.module)
	}
	i.entry = i.module.ExportedFunction(name)
}

// newInstance makes an instance that is the resident image's, byte for byte.
func (r *Runtime) newInstance(v *registry.Version, s *resident) (*instance, error) {
	slot, err := r.slots.Take(slotLimit(v, s.code), s.image.memory)
	if err != nil {
		return nil, err
	}
	i := &instance{r: r, code: s.code, image: s.image, resident: s, slot: slot}
	allocate := experimental.MemoryAllocatorFunc(func(uint64, uint64) experimental.LinearMemory { return slot })
	if err = i.instantiate(context.Background(), allocate); err == nil {
		// What the engine wrote while instantiating, such as a data segment at an offset that is not constant, is
		// older than the image.
		err = i.reset()
	}
	if err != nil {
		i.close()
		return nil, fmt.Errorf("make instance: %w", err)
	}
	s.retain()
	r.used.instances.Add(1)
	return i, nil
}

// errChanged says that the guest changed what cannot be restored: a table, say.
var errChanged = errors.New("instance changed what cannot be restored")

// written says whether the guest changed more than memory and globals since it was instantiated.
func (i *instance) written() bool { return i.writes != nil && i.writes.Get() != 0 }

// reset makes the instance the image's again. After an error it must be closed.
func (i *instance) reset() error {
	if i.written() {
		return errChanged
	}
	if _, err := i.slot.Reset(i.memory); err != nil {
		return err
	}
	for k, g := range i.globals {
		g.Set(i.image.globals[k])
	}
	if i.stack != nil {
		i.stack.Set(wasmbin.StackBytes)
		i.fuel.Set(0)
	}
	if i.failed { // its call stack may have grown large
		i.takeEntry()
		i.failed = false
	}
	return nil
}

// begin readies the instance for one call into it. It answers false when its memory is gone.
func (i *instance) begin(c *call) bool {
	if i.slot != nil && !i.slot.Begin() {
		return false
	}
	fuel := c.meter.start(c.process.Started, i.r.lanes)
	if i.fuel != nil {
		i.fuel.Set(uint64(fuel))
	}
	i.released = false
	return true
}

// end answers the fuel used since begin.
func (i *instance) end(c *call) (fuel uint64) {
	c.meter.leaveLane()
	if i.fuel != nil {
		fuel = uint64(c.meter.granted - int64(i.fuel.Get()))
	}
	if i.slot != nil && !i.slot.End() {
		i.failed = true
	}
	return fuel
}

// starting runs what an image that was taken before it leaves to be run: the start function and _initialize.
func (i *instance) starting(c *call) *failure {
	if i.code.Start != "" {
		if f := i.call(c, i.module.ExportedFunction(i.code.Start), "the start function", nil); f != nil {
			return f
		}
	}
	if i.code.Kind != registry.KindSett {
		return nil
	}
	return i.call(c, i.module.ExportedFunction(abi.ExportInitialize), abi.ExportInitialize, nil)
}

// call calls an export, with its parameters and results in stack. It answers nil when the call returned, or when
// a command exited with code 0.
func (i *instance) call(c *call, function api.Function, name string, stack []uint64) *failure {
	err := function.CallWithStack(c, stack)
	if err == nil {
		return nil
	}
	i.failed = true
	f := i.ended(c, err)
	if f == nil && name != abi.ExportStart {
		return failed(outcomeExit, "exit code 0 while "+name+" was running, which must return")
	}
	return f
}

// close gives the instance and its memory back.
func (i *instance) close() {
	if i.module != nil {
		_ = i.module.Close(context.Background()) // the instance has nothing whose closing fails
	}
	if i.slot != nil {
		i.slot.Free() // the engine does not when instantiating failed
	}
}

// drop closes an instance that newInstance answered.
func (i *instance) drop() {
	i.close()
	i.r.used.instances.Add(-1)
	i.resident.release()
}

// memoryLimit is what v's memory may grow to in bytes.
func memoryLimit(v *registry.Version) uint64 {
	mb := v.Settings.MemoryMB
	if mb <= 0 {
		mb = registry.DefaultMemoryMB
	}
	return min(uint64(mb)<<20, memory.MaxLimitBytes)
}

// slotLimit is memoryLimit, or less where the module itself declares less.
func slotLimit(v *registry.Version, c *code) uint64 { return min(memoryLimit(v), c.MaxBytes) }
