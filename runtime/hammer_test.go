package runtime

import (
	"context"
	"fmt"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
	"go.uber.org/goleak"
)

// counting is a sett module whose reply is how often its instance was called, which must always be once.
func counting() []byte {
	return settModule{version: 1, text: "\x1a\x01", handle: [][]byte{
		wasmtest.I32(66), wasmtest.I32(66), {0x2d, 0, 0}, wasmtest.I32(1), wasmtest.Add(), {0x3a, 0, 0},
		wasmtest.I32(64), wasmtest.I32(3), wasmtest.Call(replyWrite), wasmtest.I32(0),
	}}.bytes()
}

// TestHammer mixes everything at once: functions that answer, fail and loop, code dropped under them, deploys
// and collections. Each answer must be its own.
func TestHammer(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := new(sink)
	r, err := New(context.Background(), Config{Dir: t.TempDir(), Sink: s, CodeModules: 3, Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	echo, count := deploy(t, r, echo()), deploy(t, r, counting())
	trap, loop := deploy(t, r, command("", wasmtest.Unreachable())), deploy(t, r, command("", wasmtest.Loop()))
	loop.Settings.TimeoutMS = 5
	jobs := []func(n int) error{
		func(n int) error {
			e := event()
			e.Body = []byte(strings.Repeat("x", n))
			res, err := r.Invoke(context.Background(), echo, e)
			if err == nil && !strings.HasSuffix(string(res.Body), string(e.Body)) {
				err = fmt.Errorf("echo of %d bytes is %.40q", n, res.Body)
			}
			return err
		},
		func(int) error {
			res, err := r.Invoke(context.Background(), count, event())
			if err == nil && string(res.Body) != "\x01" {
				err = fmt.Errorf("an instance was called %x times", res.Body)
			}
			return err
		},
		func(int) error { return want(r, trap, abi.FunctionFailed) },
		func(int) error { return want(r, loop, abi.Timeout) },
		func(n int) error { r.Evict([]*registry.Version{echo, count, trap, loop}[n%4]); return nil },
		func(n int) error {
			v := upload(t, r, command(fmt.Sprintf("%s%d", hello, n%5)))
			_, err := r.Prepare(context.Background(), v)
			return err
		},
	}
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			for n := range 30 {
				if err := jobs[(g+n)%len(jobs)](n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	checkNothingLeft(t, r)
	if err := r.Close(context.Background()); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}

func want(r *Runtime, v *registry.Version, code abi.Code) error {
	if _, err := r.Invoke(context.Background(), v, event()); abi.CodeOf(err) != code {
		return fmt.Errorf("Invoke: %w, want %s", err, code)
	}
	return nil
}

// TestOthersGoOn runs guests that do all they can to be noticed beside one that must not notice.
func TestOthersGoOn(t *testing.T) {
	r, _ := open(t, Config{})
	good := deploy(t, r, command(hello))
	bomb := wasmtest.Loop(wasmtest.I32(16), wasmtest.Grow(), wasmtest.Drop())
	flood := writer("")
	flood.Func("_start", "", wasmtest.Loop(wasmtest.Write(0, 2, 64, 65536)))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var bad []*registry.Version
	for _, b := range [][]byte{command("", wasmtest.Loop()), command("", bomb), flood.Bytes()} {
		v := deploy(t, r, b)
		bad = append(bad, v)
		wg.Go(func() {
			if _, err := r.Invoke(ctx, v, event()); abi.CodeOf(err) != abi.Unavailable {
				t.Errorf("Invoke of an endless guest that was canceled: %v, want unavailable", err)
			}
		})
	}
	for running := 0; running < 3; goruntime.Gosched() { // until all three run
		running = 0
		for _, v := range bad {
			running += taken(r, v)
		}
	}
	for range 100 {
		if res, err := r.Invoke(context.Background(), good, event()); err != nil || string(res.Body) != "hello" {
			t.Errorf("Invoke = %+v, %v", res, err)
		}
	}
	cancel()
	wg.Wait()
}

func TestBench(t *testing.T) {
	r, s := open(t, Config{})
	v := upload(t, r, command(hello))
	for path, cold := range map[string]uint64{BenchWarm: 0, BenchCold: 5} {
		before := count32(t, r.metrics.load)
		took, err := r.Bench(context.Background(), v, event(), path, 5)
		if err != nil || len(took) != 5 {
			t.Errorf("Bench %s = %v, %v; log %q", path, took, err, s.stream(abi.StreamPlatform))
		}
		if n := count32(t, r.metrics.load) - before; path == BenchCold && n != cold {
			t.Errorf("Bench %s loaded %d times, want %d", path, n, cold)
		}
		for _, d := range took {
			if d <= 0 || d > time.Minute {
				t.Errorf("Bench %s took %v", path, d)
			}
		}
	}
	for _, test := range []struct {
		path string
		n    int
	}{{"hot", 1}, {BenchWarm, 0}, {BenchWarm, MaxBench + 1}} {
		if _, err := r.Bench(context.Background(), v, event(), test.path, test.n); abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("Bench(%s, %d): %v, want invalid_input", test.path, test.n, err)
		}
	}
	if _, err := r.Bench(context.Background(), deploy(t, r, command("")), event(), BenchWarm, 3); abi.CodeOf(err) != abi.FunctionFailed {
		t.Errorf("Bench of a function that fails: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	r, err := New(context.Background(), Config{Dir: t.TempDir(), Metrics: registry})
	if err != nil {
		t.Fatal(err)
	}
	v := upload(t, r, command(hello, wasmtest.I32(3), wasmtest.Call(procExit)))
	for range 2 {
		if err := want(r, v, abi.FunctionFailed); err != nil {
			t.Error(err)
		}
	}
	checkIdle(t, r)
	got := make(map[string]float64)
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				key += "," + l.GetValue()
			}
			got[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, value := range map[string]float64{
		"sett_runtime_compile_seconds": 1, "sett_runtime_load_seconds": 1, "sett_runtime_instantiate_seconds": 2, // to build the image, and to answer
		"sett_runtime_cold_starts_total,default,f": 1, "sett_runtime_failures_total,exit": 2,
		"sett_runtime_failures_total,trap": 0, "sett_runtime_instances": 1, "sett_runtime_code_modules": 1,
		"sett_runtime_image_build_seconds": 1, "sett_runtime_reset_seconds": 2, "sett_runtime_image_load_seconds": 0,
	} {
		if got[name] != value {
			t.Errorf("%s = %v, want %v", name, got[name], value)
		}
	}
	if got["sett_runtime_code_bytes"] == 0 {
		t.Error("sett_runtime_code_bytes = 0 with a module resident")
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if all, _ := registry.Gather(); len(all) != 0 {
		t.Errorf("%d metrics left after Close", len(all))
	}
}

// BenchmarkInvoke measures a whole invocation, for the smallest guests and for Go's.
func BenchmarkInvoke(b *testing.B) {
	for name, module := range map[string]func() []byte{
		"command/tiny": func() []byte { return command(hello) },
		"sett/tiny":    func() []byte { return replying(&abi.Reply{Body: []byte("hello")}).bytes() },
		"command/go":   func() []byte { return goGuest(b, "command") },
		"sett/sdk":     func() []byte { return goGuest(b, "isolation") },
		"sett/go":      func() []byte { return goGuest(b, "reactor") },
	} {
		b.Run(name, func(b *testing.B) {
			r, err := New(context.Background(), Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close(context.Background())
			v := deploy(b, r, module())
			e := event()
			e.Path = "/"
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Invoke(context.Background(), v, e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
