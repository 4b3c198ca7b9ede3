package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// tryTimeout is how long a module may take to initialise at deploy, or its own timeout when that is longer.
const tryTimeout = 10 * time.Second

// Prepare makes v ready to be invoked: its module, which is among Modules, is recognised, compiled and tried, and
// v.Module is filled in when nothing is wrong. It answers how long the caller waited for the compiled code. Errors are coded
// abi.InvalidModule, abi.Unsupported or abi.TooLarge and name what is wrong with the module, abi.InvalidInput
// when the settings ask for what the module does not have, abi.NotFound when the module is not here.
func (r *Runtime) Prepare(ctx context.Context, v *registry.Version) (compile time.Duration, err error) {
	binary, err := r.modules.Read(v.Module.Digest)
	if err != nil {
		return 0, err
	}
	known, err := recognise(binary)
	if err != nil {
		return 0, err
	}
	if uint64(known.memoryBytes) > memoryLimit(v) {
		return 0, abi.WithCode(abi.InvalidModule, tooMuchMemory(known.memoryBytes, v))
	}
	start := time.Now()
	c, _, err := r.codes.acquire(ctx, v.Module.Digest)
	if err != nil {
		return 0, err
	}
	defer r.codes.release(c)
	compile = time.Since(start)
	description, err := r.try(ctx, v, c)
	if err != nil {
		return compile, err
	}
	if err := checkHandler(v.Settings.Handler, known.kind, description); err != nil {
		return compile, err
	}
	v.Module.SizeBytes, v.Module.Kind, v.Module.Description = int64(len(binary)), known.kind, description
	return compile, nil
}

func tooMuchMemory(bytes int64, v *registry.Version) error {
	return fmt.Errorf("module starts with %d MB of memory, more than the function's limit of %d MB",
		(bytes+1<<20-1)>>20, memoryLimit(v)>>20)
}

// try makes an instance. A sett module is initialised and describes itself; a command is not started.
func (r *Runtime) try(ctx context.Context, v *registry.Version, c *code) (*abi.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, max(tryTimeout, timeout(v)))
	defer cancel()
	i := r.newInstance(v, c, "")
	defer i.close()
	i.process.Args = []string{v.Function}
	i.process.Env = settingsEnv(v, isCGIName)
	i.process.Stdout = &i.output.stdout
	if f := i.instantiate(ctx); f != nil {
		return nil, i.refuse("instantiate module", f)
	}
	if c.kind != registry.KindSett {
		return nil, nil
	}
	if f := i.call(abi.ExportInitialize, nil); f != nil {
		return nil, i.refuse("initialize module", f)
	}
	stack := []uint64{0}
	if f := i.call(abi.ExportVersion, stack); f != nil {
		return nil, i.refuse("ask module for its version of the binary interface", f)
	}
	if version := uint32(stack[0]); version != abi.Version {
		return nil, invalid("module speaks version %d of the binary interface, this node version %d", version, abi.Version)
	}
	if c.describes {
		i.host.Phase = host.Describing
		if f := i.call(abi.ExportDescribe, nil); f != nil {
			return nil, i.refuse("ask module for its description", f)
		}
	}
	i.output.flush()
	return i.host.Description, nil
}

// refuse makes a failure at deploy an error that says enough without the log.
func (i *instance) refuse(what string, f *failure) error {
	i.output.flush()
	if errors.Is(f.err, errUnavailable) {
		return f.err
	}
	if said := i.output.stderr.said; said != "" {
		return invalid("%s: %s (it wrote: %.200s)", what, f.reason, said)
	}
	return invalid("%s: %s", what, f.reason)
}

// checkHandler refuses a handler that the module does not have.
func checkHandler(name string, kind registry.Kind, d *abi.Description) error {
	missing := ""
	switch {
	case name == "" || d != nil && slices.Contains(d.Handles, name):
		return nil
	case kind == registry.KindCommand:
		missing = "the module is a command, which has no named handlers"
	case d == nil:
		missing = "the module does not say which handlers it has"
	default:
		missing = "the module has no such handler; it has " + handles(d)
	}
	return abi.WithCode(abi.InvalidInput, fmt.Errorf("handler %s: %s", name, missing))
}

func handles(d *abi.Description) string {
	if len(d.Handles) == 0 {
		return "none"
	}
	return enumerate(d.Handles)
}

// Ways Bench can take.
const (
	BenchCold = "cold" // code dropped from memory and loaded from disk, each time
	BenchWarm = "warm" // code resident
)

// MaxBench is how many times Bench invokes at most; more would keep its caller waiting for minutes.
const MaxBench = 100_000

// Bench invokes v n times, one after the other, with the event e, on the path BenchCold or BenchWarm, and
// answers how long each took. It stops at the first failure.
func (r *Runtime) Bench(ctx context.Context, v *registry.Version, e *abi.Event, path string, n int) ([]time.Duration, error) {
	if path != BenchCold && path != BenchWarm {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("bench: no path %q; there are %s and %s", path, BenchCold, BenchWarm))
	}
	if n < 1 || n > MaxBench {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("bench: %d invocations, want 1 to %d", n, MaxBench))
	}
	if path == BenchWarm { // load it
		if _, err := r.Invoke(ctx, v, e); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	took := make([]time.Duration, 0, n)
	for range n {
		if path == BenchCold {
			r.Evict(v)
		}
		result, err := r.Invoke(ctx, v, e)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		took = append(took, result.Took)
	}
	return took, nil
}
