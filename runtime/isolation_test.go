package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/memory"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// isImage compares a clean instance with its image: the whole memory, and every global.
func (i *instance) isImage() error {
	errs := []error{memory.Compare(i.slot, i.image.memory)}
	for k, g := range i.globals {
		got := g.Get()
		if t := i.code.Globals[k].Type; t == wasmbin.I32 || t == wasmbin.F32 {
			got = uint64(uint32(got))
		}
		if got != i.image.globals[k] {
			errs = append(errs, fmt.Errorf("global %s = %#x, image has %#x", i.code.Globals[k].Name, got, i.image.globals[k]))
		}
	}
	if i.stack != nil && i.stack.Get() != wasmbin.StackBytes {
		errs = append(errs, fmt.Errorf("%d bytes of call stack left", i.stack.Get()))
	}
	return errors.Join(errs...)
}

// checkImages compares all idle instances with their images, and answers how many there were.
func checkImages(t *testing.T, r *Runtime) (n int) {
	t.Helper()
	checkIdle(t, r)
	for _, p := range r.pools.list() {
		p.mu.Lock()
		for _, i := range p.idle {
			if err := i.isImage(); err != nil {
				t.Errorf("%s: %v", p.version.Module.Kind, err)
			}
			n++
		}
		p.mu.Unlock()
	}
	return n
}

// isolationRequests is how many requests the proofs of isolation make: SETT_ISOLATION_REQUESTS, else a few.
func isolationRequests(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("SETT_ISOLATION_REQUESTS"))
	if err != nil {
		return 400
	}
	return n
}

// TestIsolationGo has eight clients call a guest that counts in a global, a static buffer, a growing heap and a map,
// panics at every 7th request and exits at every 11th. Every reply is the first of its instance.
func TestIsolationGo(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, goGuest(t, "isolation"))
	if v.Module.Isolation != registry.IsolationReset || v.Module.IsolationReason != "" {
		t.Errorf("isolation is %s: %s", v.Module.Isolation, v.Module.IsolationReason)
	}
	proveIsolation(t, r, s, v, "1 1 1 1 1 warm warm warm 0", askCount)
}

// TestIsolationStrict is the same with an instance for each request.
func TestIsolationStrict(t *testing.T) {
	r, s := open(t, Config{})
	v := upload(t, r, goGuest(t, "isolation"))
	v.Settings.Isolation = registry.IsolationStrict
	if _, err := r.Prepare(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	if v.Module.Isolation != registry.IsolationStrict || v.Module.IsolationReason != "the settings ask for it" {
		t.Errorf("isolation is %s: %s", v.Module.Isolation, v.Module.IsolationReason)
	}
	proveIsolation(t, r, s, v, "1 1 1 1 1 warm warm warm 0", askCount)
	if n := r.used.instances.Load(); n != 0 {
		t.Errorf("%d instances wait, want none", n)
	}
}

// askCount asks a guest to count.
func askCount(n int) *abi.Event {
	e := event()
	e.Path = "/count/" + strconv.Itoa(n)
	return e
}

// residentBytes is the memory this process has of its own, 0 where the system does not tell.
func residentBytes(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	return 0
}

// proveIsolation has eight clients ask a guest, and compares the whole memory and every global with the image after
// every reset.
func proveIsolation(t *testing.T, r *Runtime, s *sink, v *registry.Version, want string, ask func(n int) *abi.Event) {
	t.Helper()
	const clients = 8
	n := isolationRequests(t)
	var resets atomic.Int64
	compare := func(i *instance) {
		resets.Add(1)
		if err := i.isImage(); err != nil {
			t.Errorf("after a reset: %v", err)
		}
	}
	r.onReset.Store(&compare)
	var quarter atomic.Int64 // bytes resident after a quarter of the requests
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for k := client; k < n; k += clients {
				if k == n/4 {
					quarter.Store(residentBytes(t))
				}
				res, err := r.Invoke(context.Background(), v, ask(k))
				switch fails := k%7 == 0 || k%11 == 0; {
				case fails && abi.CodeOf(err) != abi.FunctionFailed:
					t.Errorf("request %d: %v, want function_failed", k, err)
				case !fails && err != nil:
					t.Errorf("request %d: %v", k, err)
				case !fails && string(res.Body) != want:
					t.Errorf("request %d = %q, want %q", k, res.Body, want)
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.Logf("log: %.2000s", s.stream(abi.StreamPlatform))
	}
	checkImages(t, r)
	end := residentBytes(t)
	t.Logf("%d requests, %d resets compared; %d MiB resident after a quarter of them, %d at the end",
		n, resets.Load(), quarter.Load()>>20, end>>20)
	if grown := end - quarter.Load(); n >= 10_000 && grown > 32<<20 {
		t.Errorf("%d MiB more are resident than after a quarter of the requests", grown>>20)
	}
	if live := r.used.instances.Load(); live > clients+4 {
		t.Errorf("%d instances for %d clients", live, clients)
	}
	checkNothingLeft(t, r)
}

// TestRandomness checks that no two requests see the same random numbers, nor the same order of a map or of selects.
func TestRandomness(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, goGuest(t, "isolation"))
	seen := make(map[string]int)
	for n := range 50 {
		e := event()
		e.Path = "/random"
		res, err := r.Invoke(context.Background(), v, e)
		if err != nil {
			t.Fatalf("Invoke: %v; log %q", err, s.stream(abi.StreamPlatform))
		}
		numbers, orders, _ := strings.Cut(string(res.Body), "\n")
		for _, word := range append(strings.Fields(numbers), orders) {
			if before, ok := seen[word]; ok {
				t.Errorf("requests %d and %d both saw %s", before, n, word)
			}
			seen[word] = n
		}
	}
}

// TestSeed checks that an image's own random numbers come from the version's value: the same image for the same
// value, another for another, and none for a constant.
func TestSeed(t *testing.T) {
	build := func(seed string) *image {
		r, _ := open(t, Config{})
		v := upload(t, r, goGuest(t, "isolation"))
		v.Seed = seed
		if _, err := r.Prepare(context.Background(), v); err != nil {
			t.Fatal(err)
		}
		p := r.pools.of(v)
		checkIdle(t, r)
		return p.resident.image
	}
	a, b := build("a"), build("b")
	if a.random == 0 || a.random != b.random || !a.quick || !b.quick {
		t.Fatalf("the generator's state is at %#x and %#x", a.random, b.random)
	}
}

// counter is a command that answers how often its instance was called, kept in memory and in a global, and then
// does what code says.
func counter(code ...[]byte) []byte {
	m := new(wasmtest.Module)
	m.Import(wasip1.ModuleName, "fd_write", "iiii:i")
	m.Import(wasip1.ModuleName, "proc_exit", "i")
	m.Memory(0, 2)
	m.Data(64, "A: b\n\n0")
	add := [][]byte{
		wasmtest.I32(70), wasmtest.I32(70), {0x2d, 0, 0}, wasmtest.I32(1), wasmtest.Add(), {0x3a, 0, 0},
		wasmtest.Write(0, 1, 64, 7),
	}
	m.Func("_start", "", append(add, code...)...)
	return m.Bytes()
}

func TestIsolationCommands(t *testing.T) {
	for name, code := range map[string][][]byte{
		"returns": nil,
		"grows":   {wasmtest.I32(20), wasmtest.Grow(), wasmtest.Drop(), wasmtest.I32(20 << 16), wasmtest.I32(7), wasmtest.Store32()},
		"exits":   {wasmtest.I32(0), wasmtest.Call(1)},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := open(t, Config{})
			v := deploy(t, r, counter(code...))
			for range 100 {
				if res, err := r.Invoke(context.Background(), v, event()); err != nil || string(res.Body) != "1" {
					t.Fatalf("Invoke = %q, %v", res.Body, err)
				}
			}
			if n := checkImages(t, r); n == 0 {
				t.Error("no instance waits")
			}
			checkNothingLeft(t, r)
		})
	}
}

// TestEvictedImage checks that an evicted function comes back from its file, in this process and in the next, and
// that a file that is damaged is built again.
func TestEvictedImage(t *testing.T) {
	dir := t.TempDir()
	first, _ := open(t, Config{Dir: dir})
	v := deploy(t, first, goGuest(t, "isolation"))
	ask := func(r *Runtime, start abi.Start) {
		t.Helper()
		e := event()
		e.Path = "/count/1"
		res, err := r.Invoke(context.Background(), v, e)
		if err != nil || res.Start != start || !strings.HasPrefix(string(res.Body), "1 1 1 1 1 warm") {
			t.Errorf("Invoke = %s %q, %v, want %s", res.Start, res.Body, err, start)
		}
	}
	ask(first, abi.Warm) // right after the deployment
	checkIdle(t, first)
	first.pools.of(v).evict()
	ask(first, abi.Cold)
	second, _ := open(t, Config{Dir: dir})
	ask(second, abi.Cold)
	ask(second, abi.Warm)
	if n := count32(t, second.metrics.build); n != 0 {
		t.Errorf("%d images built after a restart, want 0", n)
	}
	path := first.images.path(imageKey(v))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("image file has mode %v, %v", info.Mode(), err)
	}
	b[len(b)/2] ^= 1
	if err := errors.Join(os.Remove(path), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	third, _ := open(t, Config{Dir: dir})
	ask(third, abi.Cold)
	if n := count32(t, third.metrics.build); n != 1 {
		t.Errorf("%d images built for a damaged one, want 1", n)
	}
}

// TestFuel checks that the instructions counted are the same each time, and grow with the work.
func TestFuel(t *testing.T) {
	loop := func(n int32) []byte { // counts n down
		return command(hello, wasmtest.I32(n), wasmtest.Set(0), []byte{0x03, 0x40}, wasmtest.Get(0), wasmtest.I32(-1), wasmtest.Add(),
			[]byte{0x22, 0, 0x0d, 0, 0x0b})
	}
	r, _ := open(t, Config{})
	used := func(v *registry.Version) uint64 {
		res, err := r.Invoke(context.Background(), v, event())
		if err != nil {
			t.Fatal(err)
		}
		return res.Fuel
	}
	small, large := deploy(t, r, loop(1000)), deploy(t, r, loop(1_000_000))
	a, b := used(small), used(large)
	if a < 1000 || b < 1000*a/2 {
		t.Errorf("a loop of 1,000 took %d instructions, one of 1,000,000 took %d", a, b)
	}
	for range 5 {
		if again := used(large); again != b {
			t.Errorf("%d instructions, and %d before", again, b)
		}
	}
}

// TestInterrupted ends guests that do not end by themselves, whatever they do, and uses their instances again.
func TestInterrupted(t *testing.T) {
	exponential := new(wasmtest.Module) // f(n) = f(n-1), f(n-1): no loop, and it would take years
	exponential.Memory(0, 1)
	exponential.Func("", "i", wasmtest.Get(0), wasmtest.If(
		wasmtest.Get(0), wasmtest.I32(-1), wasmtest.Add(), wasmtest.Call(0),
		wasmtest.Get(0), wasmtest.I32(-1), wasmtest.Add(), wasmtest.Call(0)))
	exponential.Func("_start", "", wasmtest.I32(60), wasmtest.Call(0))
	fill := new(wasmtest.Module)
	fill.Memory(0, 1600)
	fill.Func("_start", "", wasmtest.Loop(wasmtest.I32(0), wasmtest.I32(1), wasmtest.I32(100<<20), []byte{0xfc, 0x0b, 0}))
	for name, module := range map[string][]byte{
		"loop": command("", wasmtest.Loop()), "exponential calls": exponential.Bytes(), "bulk memory": fill.Bytes(),
	} {
		r, _ := open(t, Config{})
		v := deploy(t, r, module)
		v.Settings.TimeoutMS = 100
		for ran := 0; ran < 3; {
			start := time.Now()
			res, err := r.Invoke(context.Background(), v, event())
			if abi.CodeOf(err) != abi.Timeout {
				t.Fatalf("%s: Invoke: %v after %v and %d instructions, want timeout", name, err, time.Since(start), res.Fuel)
			}
			if res.Fuel > 0 { // else its time was over before it began
				ran++
			}
		}
		if n := checkImages(t, r); n < 1 { // more, when the next came before the last was clean
			t.Errorf("%s: %d instances wait, want what was interrupted", name, n)
		}
	}
}
