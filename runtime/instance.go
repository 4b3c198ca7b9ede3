package runtime

import (
	"context"
	"time"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// instance is one run of a module: its memory, and all that host calls made from it may see. It is used once.
type instance struct {
	r       *Runtime
	version *registry.Version
	code    *code
	module  api.Module // nil until instantiated
	context guestContext

	memory  memory
	output  output
	process wasip1.Process
	host    host.Call
}

// guestContext is the context of everything that runs in an instance. Host calls find their state in it.
type guestContext struct {
	context.Context
	process *wasip1.Process
	host    *host.Call
}

// Value answers the state of host calls, and else what the context it stands on does.
func (c *guestContext) Value(key any) any {
	switch key.(type) {
	case wasip1.Key:
		return c.process
	case host.Key:
		return c.host
	}
	return c.Context.Value(key)
}

// newInstance prepares an instance; nothing runs yet. Close it.
func (r *Runtime) newInstance(v *registry.Version, c *code, invocation string) *instance {
	i := &instance{r: r, version: v, code: c}
	i.output.open(r.config.Sink, line(v, invocation), r.config.MaxLogBytes)
	i.memory.limit = memoryLimit(v)
	i.memory.gauge = &r.used.memoryBytes
	i.process.Stderr = &i.output.stderr
	i.process.Started = time.Now()
	i.host.MaxReplyBytes = r.config.MaxReplyBytes + 2*MaxHeaderBytes // header and framing
	i.host.Log = i.output.record
	i.context.process, i.context.host = &i.process, &i.host
	r.used.instances.Add(1)
	return i
}

// instantiate makes the module's instance, whose start function runs if it has one.
func (i *instance) instantiate(ctx context.Context) *failure {
	if uint64(i.code.memoryBytes) > i.memory.limit {
		return failed(outcomeMemory, tooMuchMemory(i.code.memoryBytes, i.version).Error())
	}
	start := time.Now()
	i.context.Context = experimental.WithMemoryAllocator(ctx, &i.memory)
	var err error
	i.module, err = i.r.engine.InstantiateModule(&i.context, i.code.compiled, i.r.start)
	i.r.metrics.instantiate.Observe(time.Since(start).Seconds())
	if err != nil {
		i.module = nil
		if f := i.ended(ctx, err); f != nil {
			return f
		}
		return failed(outcomeExit, "exit code 0 before the entry point was called")
	}
	return nil
}

// call calls an export, with its parameters and results in stack. It answers nil when the call returned, or when
// a command exited with code 0.
func (i *instance) call(name string, stack []uint64) *failure {
	err := i.module.ExportedFunction(name).CallWithStack(&i.context, stack)
	if err == nil {
		return nil
	}
	f := i.ended(&i.context, err)
	if f == nil && name != abi.ExportStart {
		return failed(outcomeExit, "exit code 0 while "+name+" was running, which must return")
	}
	return f
}

// fail counts the failure and tells the function's log.
func (i *instance) fail(f *failure) error {
	i.output.flush()
	return i.r.fail(f, &i.output)
}

// close ends the instance and gives its memory back.
func (i *instance) close() {
	if i.module != nil {
		_ = i.module.Close(context.Background()) // the instance has nothing whose closing fails
	}
	i.memory.Free() // the engine does not when the context ended at the same moment, or a start function trapped
	i.r.used.instances.Add(-1)
}

// line is what all lines of an invocation have in common.
func line(v *registry.Version, invocation string) abi.Line {
	return abi.Line{App: v.App, Function: v.Function, Version: v.Number, Invocation: invocation}
}

func memoryLimit(v *registry.Version) uint64 {
	mb := v.Settings.MemoryMB
	if mb <= 0 {
		mb = registry.DefaultMemoryMB
	}
	return uint64(min(mb, registry.MaxMemoryMB)) << 20
}

func timeout(v *registry.Version) time.Duration {
	if v.Settings.TimeoutMS <= 0 {
		return registry.DefaultTimeout
	}
	return min(time.Duration(v.Settings.TimeoutMS)*time.Millisecond, registry.MaxTimeout)
}
