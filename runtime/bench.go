package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Ways Bench can take.
const (
	BenchCold  = "cold"  // code and image dropped from memory and loaded from disk, each time
	BenchImage = "image" // code resident, image dropped from memory and loaded from disk, each time
	BenchWarm  = "warm"  // code and image resident, an instance ready
	BenchReset = "reset" // the reset behind an invocation alone, which nobody waits for
)

// MaxBench is how many times Bench invokes at most; more would keep its caller waiting for minutes.
const MaxBench = 100_000

// Bench invokes v n times, one after the other, with the event e, on one of the paths, and answers how long each
// took. It stops at the first failure.
func (r *Runtime) Bench(ctx context.Context, v *registry.Version, e *abi.Event, path string, n int) ([]time.Duration, error) {
	measure, ok := map[string]func(context.Context, *registry.Version, *abi.Event) (time.Duration, error){
		BenchCold: r.benchCold, BenchImage: r.benchImage, BenchWarm: r.benchWarm, BenchReset: r.benchReset,
	}[path]
	if !ok {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("bench: no path %q; there are %s, %s, %s and %s",
			path, BenchCold, BenchImage, BenchWarm, BenchReset))
	}
	if n < 1 || n > MaxBench {
		return nil, abi.WithCode(abi.InvalidInput, fmt.Errorf("bench: %d invocations, want 1 to %d", n, MaxBench))
	}
	if path != BenchCold { // load it
		if _, err := r.Invoke(ctx, v, e); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	took := make([]time.Duration, 0, n)
	for range n {
		d, err := measure(ctx, v, e)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		took = append(took, d)
	}
	return took, nil
}

func (r *Runtime) benchCold(ctx context.Context, v *registry.Version, e *abi.Event) (time.Duration, error) {
	r.Evict(v)
	return r.benchWarm(ctx, v, e)
}

func (r *Runtime) benchImage(ctx context.Context, v *registry.Version, e *abi.Event) (time.Duration, error) {
	c, _, err := r.codes.acquire(ctx, v.Module.Digest) // so that it stays
	if err != nil {
		return 0, err
	}
	defer r.codes.release(c)
	r.pools.of(v).evict()
	return r.benchWarm(ctx, v, e)
}

func (r *Runtime) benchWarm(ctx context.Context, v *registry.Version, e *abi.Event) (time.Duration, error) {
	result, err := r.Invoke(ctx, v, e)
	return result.Took, err
}

// benchReset answers how long the reset after an invocation took. A strict version has none: its instance is made
// anew, which is measured instead.
func (r *Runtime) benchReset(ctx context.Context, v *registry.Version, e *abi.Event) (time.Duration, error) {
	p, i, _, err := r.pools.take(ctx, v)
	if err != nil {
		return 0, err
	}
	defer func() { p.give(v, i) }()
	c := r.newCall(ctx, v, e.Invocation, time.Now())
	defer c.finish()
	var result abi.Result
	if f := i.answer(c, e, &result); f != nil {
		return 0, r.fail(f, &c.output)
	}
	start := time.Now()
	if strict(v, i.image) {
		fresh, err := r.newInstance(v, i.resident)
		if err != nil {
			return 0, err
		}
		defer fresh.drop()
	} else if err := i.reset(); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}
