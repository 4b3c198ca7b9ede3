package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// TestCodeSurvivesRestart checks that a second runtime on the directory loads and does not compile.
func TestCodeSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	first, _ := open(t, Config{Dir: dir})
	v := deploy(t, first, command(hello))
	second, _ := open(t, Config{Dir: dir})
	res, err := second.Invoke(context.Background(), v, event())
	if err != nil || string(res.Body) != "hello" || res.Start != abi.Cold {
		t.Fatalf("Invoke = %+v, %v", res, err)
	}
	if n := count32(t, second.metrics.compile); n != 0 {
		t.Errorf("%d compilations after a restart, want 0", n)
	}
	if n := count32(t, second.metrics.load); n != 1 {
		t.Errorf("%d loads after a restart, want 1", n)
	}
	if left := liveFiles(t, second); len(left) != 0 {
		t.Errorf("left where the engine looks: %q", left)
	}
}

func liveFiles(t *testing.T, r *Runtime) (left []string) {
	t.Helper()
	if name, err := only(r.codes.disk.live); err == nil {
		left = append(left, name)
	}
	return left
}

// count32 answers how many observations a histogram has.
func count32(t *testing.T, h prometheus.Histogram) uint64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(h)
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return all[0].Metric[0].Histogram.GetSampleCount()
}

// TestDamagedCode damages an entry of the disk cache everywhere and in every way; a function answers regardless.
func TestDamagedCode(t *testing.T) {
	dir := t.TempDir()
	first, _ := open(t, Config{Dir: dir})
	v := deploy(t, first, command(hello))
	path, info := first.codes.disk.code(v.Module.Digest), first.codes.disk.info(v.Module.Digest)
	code, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string]func() error{
		"empty":     func() error { return os.WriteFile(path, nil, 0o600) },
		"truncated": func() error { return os.WriteFile(path, code[:len(code)/2], 0o600) },
		"no code":   func() error { return os.Remove(path) },
		"no info":   func() error { return os.Remove(info) },
		"info":      func() error { return os.WriteFile(info, []byte("{"), 0o600) },
		"name":      func() error { return os.WriteFile(info, []byte(`{"name":"../../x"}`), 0o600) },
		"other's":   func() error { return os.WriteFile(info, []byte(`{"name":"x","size":0,"crc32c":0}`), 0o600) },
	}
	for at := 0; at < len(code); at += len(code)/20 + 1 {
		damage[fmt.Sprintf("bit at %d", at)] = func() error {
			b := slices.Clone(code)
			b[at] ^= 0x10
			return os.WriteFile(path, b, 0o600)
		}
	}
	for name, harm := range damage {
		if err := harm(); err != nil {
			t.Fatal(name, err)
		}
		r, _ := open(t, Config{Dir: dir})
		if res, err := r.Invoke(context.Background(), v, event()); err != nil || string(res.Body) != "hello" {
			t.Errorf("%s: Invoke = %+v, %v", name, res, err)
		}
		if n := count32(t, r.metrics.compile); n != 1 {
			t.Errorf("%s: compiled %d times, want once", name, n)
		}
		if got, err := checksum(path); err != nil || got.Size != int64(len(code)) {
			t.Errorf("%s: the entry is %+v after, %v", name, got, err)
		}
	}
}

// TestOtherEnginesCode checks that an entry the engine does not want is replaced by what it makes instead.
func TestOtherEnginesCode(t *testing.T) {
	r, _ := open(t, Config{})
	v := deploy(t, r, command(hello))
	d := r.codes.disk
	k, err := d.link(v.Module.Digest)
	if err != nil {
		t.Fatal(err)
	}
	name := k.entry.Name
	d.unlink(v.Module.Digest, name, k.traits, k.wasm)
	text, err := os.ReadFile(d.info(v.Module.Digest))
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(text), name, filepath.Join(filepath.Dir(name), "other"), 1)
	if err := os.WriteFile(d.info(v.Module.Digest), []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.Evict(v)
		if res, err := r.Invoke(context.Background(), v, event()); err != nil || res.Start != abi.Cold {
			t.Errorf("Invoke = %+v, %v", res, err)
		}
	}
	if after, err := os.ReadFile(d.info(v.Module.Digest)); err != nil || string(after) != string(text) {
		t.Errorf("entry = %s, %v, want %s", after, err, text)
	}
	if left := liveFiles(t, r); len(left) != 0 {
		t.Errorf("left where the engine looks: %q", left)
	}
}

// TestCacheNotWritable checks that functions run when the disk takes no code, as when it is full.
func TestCacheNotWritable(t *testing.T) {
	r, _ := open(t, Config{})
	dir := r.codes.disk.dir
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	v := deploy(t, r, command(hello))
	for range 2 {
		if h := r.codes.all[v.Module.Digest].handles; h != 2 {
			t.Errorf("code has %d handles, want one for each time the engine was asked", h)
		}
		r.Evict(v)
		if res, err := r.Invoke(context.Background(), v, event()); err != nil || string(res.Body) != "hello" {
			t.Errorf("Invoke = %+v, %v", res, err)
		}
	}
}

func TestDamagedModule(t *testing.T) {
	r, _ := open(t, Config{})
	v := upload(t, r, command(hello))
	if err := os.WriteFile(r.modules.path(v.Module.Digest), command("A: b\n\nevil"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Invoke(context.Background(), v, event()); abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("Invoke: %v, want unavailable", err)
	}
}

// TestCodeBudget checks that the least recently used leaves first, and nothing that is in use.
func TestCodeBudget(t *testing.T) {
	r, _ := open(t, Config{CodeModules: 2})
	ctx := context.Background()
	a, b, c := deploy(t, r, command(hello+"a")), deploy(t, r, command(hello+"b")), upload(t, r, command(hello+"c"))
	held, cold, err := r.codes.acquire(ctx, a.Module.Digest)
	if err != nil || cold {
		t.Fatal(err, cold)
	}
	for _, v := range []*registry.Version{b, c} { // b is used first, and not held
		if _, err := r.Invoke(ctx, v, event()); err != nil {
			t.Fatal(err)
		}
		checkIdle(t, r)
		r.pools.of(v).evict()
	}
	for _, test := range []struct {
		name  string
		start abi.Start
	}{{"a", abi.Warm}, {"c", abi.Warm}, {"b", abi.Cold}} {
		v := map[string]string{"a": a.Module.Digest, "b": b.Module.Digest, "c": c.Module.Digest}[test.name]
		c, cold, err := r.codes.acquire(ctx, v)
		if err != nil || cold != (test.start == abi.Cold) {
			t.Fatalf("acquire %s: cold %v, %v, want %s", test.name, cold, err, test.start)
		}
		r.codes.release(c)
	}
	r.codes.release(held)
	if _, n := r.codes.size(); n != 2 {
		t.Errorf("%d modules resident, want 2", n)
	}
}

// TestCodeBudgetBytes checks that over the budget only what was used last stays, with its pool.
func TestCodeBudgetBytes(t *testing.T) {
	r, _ := open(t, Config{CodeBytes: 1})
	a, b := deploy(t, r, command(hello)), deploy(t, r, command(hello+"2"))
	for _, v := range []*registry.Version{a, b, a} {
		checkIdle(t, r)
		if res, err := r.Invoke(context.Background(), v, event()); err != nil || v == a && res.Start != abi.Cold {
			t.Errorf("Invoke = %+v, %v", res, err)
		}
		if _, n := r.codes.size(); n != 1 {
			t.Errorf("%d modules resident with a budget of a byte, want one", n)
		}
	}
}

// TestLoadedOnce sends many callers to a module that nobody loaded yet.
func TestLoadedOnce(t *testing.T) {
	r, _ := open(t, Config{})
	v := upload(t, r, command(hello))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if res, err := r.Invoke(context.Background(), v, event()); err != nil || string(res.Body) != "hello" {
				t.Errorf("Invoke = %+v, %v", res, err)
			}
		})
	}
	wg.Wait()
	if n := count32(t, r.metrics.compile); n != 1 {
		t.Errorf("compiled %d times, want once", n)
	}
}

// TestLoadingOutlivesCaller checks that a caller whose time is over does not stop the loading for others.
func TestLoadingOutlivesCaller(t *testing.T) {
	r, s := open(t, Config{Compiles: 1})
	v := upload(t, r, command(hello))
	r.codes.slots <- struct{}{} // a compilation that takes long
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	res, err := r.Invoke(ctx, v, event())
	if abi.CodeOf(err) != abi.Timeout || res.Start != abi.Cold {
		t.Errorf("Invoke = %+v, %v, want timeout", res, err)
	}
	if got := s.stream(abi.StreamPlatform); got != "timeout while the module was being loaded" {
		t.Errorf("log = %q", got)
	}
	<-r.codes.slots
	if _, err := r.Invoke(context.Background(), v, event()); err != nil {
		t.Error(err)
	}
}

// TestCloseWaits checks that Close takes nothing from a guest that still runs.
func TestCloseWaits(t *testing.T) {
	r, err := New(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	v := deploy(t, r, command("", wasmtest.Loop()))
	checkIdle(t, r)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		_, err := r.Invoke(ctx, v, event())
		ended <- err
	}()
	for taken(r, v) == 0 {
		goruntime.Gosched()
	}
	over, stop := context.WithCancel(context.Background())
	stop()
	if err := r.Close(over); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 invocations still run") {
		t.Errorf("Close with a guest running: %v", err)
	}
	cancel()
	if err := r.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-ended; abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("Invoke: %v, want unavailable", err)
	}
}

func TestClosedRuntime(t *testing.T) {
	r, err := New(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	v := deploy(t, r, command(hello))
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Invoke(context.Background(), v, event()); abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("Invoke after Close: %v, want unavailable", err)
	}
}

// TestOrphanedCode checks that compiled code goes with its module, also when the node was not running.
func TestOrphanedCode(t *testing.T) {
	dir := t.TempDir()
	first, _ := open(t, Config{Dir: dir})
	gone, kept := deploy(t, first, command(hello)), deploy(t, first, command(hello+"2"))
	if err := os.Remove(first.modules.path(gone.Module.Digest)); err != nil {
		t.Fatal(err)
	}
	second, _ := open(t, Config{Dir: dir})
	for digest, want := range map[string]bool{gone.Module.Digest: false, kept.Module.Digest: true} {
		_, err := os.Stat(second.codes.disk.code(digest))
		if (err == nil) != want {
			t.Errorf("code of %s: %v, want it kept: %v", digest, err, want)
		}
	}
}

func TestNewNeedsDirectory(t *testing.T) {
	if _, err := New(context.Background(), Config{}); err == nil {
		t.Error("New without a directory succeeds")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(context.Background(), Config{Dir: file}); err == nil {
		t.Error("New in a file succeeds")
	}
}

// TestGiveBack deploys modules around the size from which on memory is given back at once: behind the compilation and behind
// the first image, but not while a request waits for another image.
func TestGiveBack(t *testing.T) {
	r, _ := open(t, Config{})
	for size, want := range map[int]uint32{giveBackBytes / 2: 0, giveBackBytes: 2} {
		m := writer(hello)
		m.Func("_start", "", wasmtest.Write(fdWrite, 1, 64, int32(len(hello))))
		for range 8 {
			m.Func("", "", slices.Repeat([]byte{0x01}, size/8)) // nothing, at length
		}
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		v := deploy(t, r, m.Bytes())
		r.Evict(v)
		if _, err := r.Invoke(context.Background(), v, event()); err != nil {
			t.Errorf("Invoke: %v", err)
		}
		goruntime.ReadMemStats(&after)
		if got := after.NumForcedGC - before.NumForcedGC; got != want {
			t.Errorf("behind %d bytes memory is given back %d times, want %d", size, got, want)
		}
	}
}

func TestTableGrowthHasLimit(t *testing.T) {
	r, s := open(t, Config{})
	// table.grow(null, 2 million) answers -1; the exit code tells whether it did.
	grow := wasmtest.I32(2_000_000)
	m := writer(hello)
	m.Table(1)
	m.Func("_start", "", wasmtest.Write(fdWrite, 1, 64, int32(len(hello))),
		[]byte{0xd0, 0x70}, grow, []byte{0xfc, 15, 0}, wasmtest.I32(1), wasmtest.Add(), wasmtest.Call(procExit))
	v := deploy(t, r, m.Bytes())
	if _, err := r.Invoke(context.Background(), v, event()); err != nil {
		t.Errorf("Invoke: %v, log %q; want the growth refused", err, s.stream(abi.StreamPlatform))
	}
}
