package runtime

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/sdk/abi"
)

// tryTimeout is how long a module may take to initialise at deploy, or its own timeout when that is longer.
const tryTimeout = 10 * time.Second

// Prepare makes v ready to be invoked: its module, which is among Modules, is recognised, rewritten, compiled and
// initialised, its image is taken and an instance made, and v.Module is filled in. Where v has no Seed it draws one.
// It answers how long the caller waited for the compiled code. Errors are coded abi.InvalidModule, abi.Unsupported
// or abi.TooLarge and name what is wrong with the module, abi.InvalidInput when the settings ask for what the module
// does not have, abi.NotFound when the module is not here.
func (r *Runtime) Prepare(ctx context.Context, v *registry.Version) (compile time.Duration, err error) {
	if v.Seed == "" {
		v.Seed = rand.Text()
	}
	binary, err := r.modules.Read(v.Module.Digest)
	if err != nil {
		return 0, err
	}
	known, err := recognise(binary)
	if err != nil {
		return 0, err
	}
	if uint64(known.MemoryBytes) > memoryLimit(v) {
		return 0, abi.WithCode(abi.InvalidModule, tooMuchMemory(known.MemoryBytes, v))
	}
	start := time.Now()
	c, _, err := r.codes.acquire(ctx, v.Module.Digest)
	if err != nil {
		return 0, err
	}
	defer r.codes.release(c)
	compile = time.Since(start)
	p, i, _, err := r.pools.take(ctx, v)
	if err != nil {
		return compile, err
	}
	defer p.give(v, i)
	description, err := i.image.describe()
	if err == nil {
		err = checkHandler(v.Settings.Handler, known.Kind, description)
	}
	if err != nil {
		return compile, err
	}
	m := &v.Module
	m.SizeBytes, m.Kind, m.Description = int64(len(binary)), known.Kind, description
	if known.Component != nil {
		m.Interfaces = known.Component.Interfaces
	}
	m.Isolation, m.IsolationReason = i.image.isolation(v)
	return compile, nil
}

// describe answers what the module says of itself, nil for nothing.
func (a *about) describe() (*abi.Description, error) {
	if a.description == nil {
		return nil, nil
	}
	d := new(abi.Description)
	if err := abi.DecodeDescription(a.description, d); err != nil {
		return nil, fmt.Errorf("read description: %w", err)
	}
	return d, nil
}

func tooMuchMemory(bytes int64, v *registry.Version) error {
	return fmt.Errorf("module starts with %d MB of memory, more than the function's limit of %d MB",
		(bytes+1<<20-1)>>20, memoryLimit(v)>>20)
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
		return "none (in Go they are named in func init: main is not run)"
	}
	return wasmbin.Enumerate(d.Handles)
}
