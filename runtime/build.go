package runtime

import (
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/memory"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// tracedRandom is the source of random numbers while an image is built, which notes whether it was asked.
type tracedRandom struct {
	io.Reader
	used bool
}

func (t *tracedRandom) Read(b []byte) (int, error) {
	t.used = true
	return t.Reader.Read(b)
}

// buildRandom is what random_get answers while v's image is built: drawn from the value kept with v, so that every
// node builds the same image, or from the operating system where there is none.
func buildRandom(v *registry.Version) *tracedRandom {
	seed := sha256.Sum256([]byte("sett image " + v.Seed))
	if v.Seed == "" {
		crand.Read(seed[:]) // never fails: crypto/rand ends the process instead
	}
	return &tracedRandom{Reader: rand.NewChaCha8(seed)}
}

// build makes v's image: it runs the module's initialisation without any outside world, and sett_warmup behind it,
// as far as their effects can be kept. Errors are coded abi.InvalidModule when they are the module's fault.
func (r *Runtime) build(ctx context.Context, v *registry.Version, c *code) (*image, error) {
	module, compiled, err := r.codes.takeModule(c)
	if err != nil {
		return nil, err
	}
	select {
	case r.codes.slots <- struct{}{}:
		defer func() { <-r.codes.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if compiled { // else a request waits
		defer giveBack(len(module.Bytes))
	}
	start := time.Now()
	b := &builder{r: r, version: v, code: c, module: module}
	img, err := b.build(ctx)
	counted := c.Flags & wasmbin.Counted
	switch {
	case errors.Is(err, errWritten):
		b.about = about{starts: true, fresh: true, reason: "while it starts it changes what cannot be restored: " + counted.String()}
		img, err = b.build(ctx)
	case errors.Is(err, errOwnRandom), errors.Is(err, errOwnHandles):
		b.about = about{starts: true, reason: err.Error()}
		img, err = b.build(ctx)
	case err == nil && counted != 0:
		img.reason = "an instance that changed what cannot be restored is replaced: " + counted.String()
	}
	if err != nil {
		return nil, err
	}
	r.metrics.build.Observe(time.Since(start).Seconds())
	return img, nil
}

// errOwnRandom is why a module's initialisation cannot be kept: all requests would draw the same numbers.
var errOwnRandom = errors.New("it is initialised in every request, because it draws random numbers while it starts " +
	"and does not let them be drawn anew")

// errOwnHandles is why a component's initialisation cannot be kept: handles belong to an invocation.
var errOwnHandles = errors.New("it is initialised in every request, because it holds handles when it has started")

// errWritten says that a module's initialisation changed more than memory and globals, so that a new instance on
// its image would lack something.
var errWritten = errors.New("initialisation changed what cannot be restored")

// builder builds one image.
type builder struct {
	r       *Runtime
	version *registry.Version
	code    *code
	module  *wasmbin.Rewritten
	about   about
}

func (b *builder) build(ctx context.Context) (*image, error) {
	start := time.Now()
	c := b.r.newCall(ctx, b.version, "", start)
	defer c.finish()
	if least := start.Add(tryTimeout); c.deadline.Before(least) {
		c.deadline = least
	}
	random := buildRandom(b.version)
	c.process.Random = random
	c.process.Env = settingsEnv(b.version)
	linear := &builderMemory{limit: slotLimit(b.version, b.code)}
	defer linear.Free()
	i := &instance{r: b.r, code: b.code}
	defer i.close()
	if err := i.instantiate(ctx, linear); err != nil {
		return nil, invalid("instantiate module: %w", err)
	}
	c.component.Guest = i.guest
	defer c.component.Close()
	for _, s := range b.module.Segments {
		if !i.memory.Write(s.Offset, s.Bytes) {
			return nil, invalid("data segment of %d bytes at %d is outside of memory", len(s.Bytes), s.Offset)
		}
	}
	i.begin(c)
	defer i.end(c)
	if !b.about.starts {
		return b.after(c, i, random, linear)
	}
	img, err := b.take(i, linear)
	if err != nil {
		return nil, err
	}
	if img.description, err = b.initialize(c, i, linear); err != nil {
		img.memory.Close()
		return nil, err
	}
	return img, nil
}

// after takes the image behind initialisation and warm-up.
func (b *builder) after(c *call, i *instance, random *tracedRandom, linear *builderMemory) (*image, error) {
	description, err := b.initialize(c, i, linear)
	if err != nil {
		return nil, err
	}
	c.host.Phase = host.Initializing
	if b.code.Warms && b.code.Kind == registry.KindSett { // a command starts with _start
		if f := i.call(c, i.module.ExportedFunction(abi.ExportWarmup), abi.ExportWarmup, nil); f != nil {
			return nil, c.refuse("warm module up", f, linear)
		}
	}
	if random.used {
		if b.about.random, b.about.quick = b.locate(c, i); b.about.random == 0 {
			return nil, errOwnRandom
		}
	}
	if i.written() {
		return nil, errWritten
	}
	if c.component.Holds() {
		return nil, errOwnHandles
	}
	b.about.monotonic = c.process.Now()
	img, err := b.take(i, linear)
	if err == nil {
		img.description = description
	}
	return img, err
}

// initialize runs what comes before the first event, and answers how a sett module describes itself.
func (b *builder) initialize(c *call, i *instance, linear *builderMemory) ([]byte, error) {
	if f := i.starting(c); f != nil {
		return nil, c.refuse("initialize module", f, linear)
	}
	if b.code.Kind != registry.KindSett {
		return nil, nil
	}
	stack := []uint64{0}
	if f := i.call(c, i.module.ExportedFunction(abi.ExportVersion), abi.ExportVersion, stack); f != nil {
		return nil, c.refuse("ask module for its version of the binary interface", f, linear)
	}
	if version := api.DecodeU32(stack[0]); version != abi.Version {
		return nil, invalid("module speaks version %d of the binary interface, this node version %d", version, abi.Version)
	}
	if !b.code.Describes {
		return nil, nil
	}
	c.host.Phase = host.Describing
	if f := i.call(c, i.module.ExportedFunction(abi.ExportDescribe), abi.ExportDescribe, nil); f != nil {
		return nil, c.refuse("ask module for its description", f, linear)
	}
	if c.host.Description == nil {
		return nil, nil
	}
	return abi.AppendDescription(nil, c.host.Description), nil
}

// take copies the memory and the globals.
func (b *builder) take(i *instance, linear *builderMemory) (*image, error) {
	img := &image{about: b.about}
	img.globals = make([]uint64, len(i.globals))
	for k, g := range i.globals {
		img.globals[k] = g.Get()
		if t := b.code.Globals[k].Type; t == wasmbin.I32 || t == wasmbin.F32 {
			img.globals[k] = uint64(uint32(img.globals[k])) // the engine leaves garbage above
		}
	}
	var err error
	if img.memory, err = memory.NewImage(linear.current); err != nil {
		return nil, fmt.Errorf("take image: %w", err)
	}
	return img, nil
}

// refuse makes a failure while an image is built an error that says enough without the log.
func (c *call) refuse(what string, f *failure, linear *builderMemory) error {
	c.output.flush()
	if errors.Is(f.err, errUnavailable) {
		return f.err
	}
	reason := f.reason
	if linear.refused {
		reason = memoryHit(linear.limit) + reason
	}
	if said := c.output.stderr.said; said != "" {
		return invalid("%s: %s; it wrote: %.200s", what, reason, said)
	}
	return invalid("%s: %s", what, reason)
}
