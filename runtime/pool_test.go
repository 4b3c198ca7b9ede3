package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/memory"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

func idle(r *Runtime, v *registry.Version) int {
	p := r.pools.of(v)
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// TestProvisioned checks that provisioned instances are there without a request, after a restart, and as long as the
// version is live; and that others go.
func TestProvisioned(t *testing.T) {
	dir := t.TempDir()
	first, _ := open(t, Config{Dir: dir})
	v := upload(t, first, counter())
	v.Settings.Provisioned = 3
	if _, err := first.Prepare(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	r, _ := open(t, Config{Dir: dir})
	r.Retain([]*registry.Version{v}, nil)
	for idle(r, v) < 3 {
		time.Sleep(time.Millisecond)
	}
	checkIdle(t, r)
	later := time.Now()
	for range 5 {
		later = later.Add(idleAfter + time.Second)
		r.pools.sweep(later)
	}
	if n := idle(r, v); n != 3 {
		t.Errorf("%d instances are ready after an hour without requests, want 3", n)
	}
	if n := checkImages(t, r); n != 3 {
		t.Errorf("%d instances are the image's, want 3", n)
	}
	res, err := r.Invoke(context.Background(), v, event())
	if err != nil || res.Start != abi.Warm || string(res.Body) != "1" {
		t.Errorf("Invoke = %s %q, %v", res.Start, res.Body, err)
	}
	r.Retain(nil, []*registry.Version{v})
	checkIdle(t, r)
	r.pools.sweep(later.Add(2 * retireAfter))
	if n := r.used.instances.Load(); n != 0 {
		t.Errorf("%d instances of a version that is not live, want none", n)
	}
	if res, err := r.Invoke(context.Background(), v, event()); err != nil || res.Start != abi.Cold {
		t.Errorf("Invoke of a version that is not live = %s, %v", res.Start, err)
	}
}

// TestPoolShrinks checks that instances made for a burst go when there are fewer requests, and what stays idle gives
// its memory back.
func TestPoolShrinks(t *testing.T) {
	r, _ := open(t, Config{})
	v := deploy(t, r, counter())
	p := r.pools.of(v)
	var all []*instance
	for range 16 {
		i, _, err := p.take(context.Background(), v)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, i)
	}
	for _, i := range all {
		p.give(v, i)
	}
	now := time.Now()
	for n := 16; n > 1; {
		checkIdle(t, r)
		now = now.Add(sweepEvery)
		r.pools.sweep(now)
		n = idle(r, v)
		if n == 16 && time.Until(now) > time.Minute {
			t.Fatalf("%d instances wait after %v without requests", n, time.Until(now))
		}
	}
	r.pools.sweep(now.Add(releaseAfter))
	if i := p.idle[0]; !i.released {
		t.Error("an idle instance keeps its memory")
	}
	if n := checkImages(t, r); n != 1 {
		t.Errorf("%d instances are the image's, want 1", n)
	}
	if res, err := r.Invoke(context.Background(), v, event()); err != nil || string(res.Body) != "1" {
		t.Errorf("Invoke = %q, %v", res.Body, err)
	}
}

// TestRelieveAtOnce checks that those who need memory at the same moment get it each, as long as there are versions that
// wait.
func TestRelieveAtOnce(t *testing.T) {
	r, _ := open(t, Config{})
	waiting := make(map[*pool]*resident)
	for n := range 8 {
		v := deploy(t, r, command(hello+fmt.Sprint(n)))
		if _, err := r.Invoke(context.Background(), v, event()); err != nil {
			t.Fatal(err)
		}
		p := r.pools.of(v)
		waiting[p] = p.resident
		p.resident.retain() // so that it can be put back
		defer p.resident.release()
	}
	checkIdle(t, r)
	for range 200 {
		var got atomic.Int32
		var wg sync.WaitGroup
		for range waiting {
			wg.Go(func() {
				if r.pools.relieve(nil) {
					got.Add(1)
				}
			})
		}
		wg.Wait()
		if n := int(got.Load()); n != len(waiting) {
			t.Fatalf("%d of %d got memory, with a version for each to evict", n, len(waiting))
		}
		if r.pools.relieve(nil) {
			t.Fatal("a version is evicted where none is resident")
		}
		for p, s := range waiting {
			s.retain()
			p.resident = s
		}
	}
}

// TestMemoryBudget checks that a version gets the memory of another that waits, and that there is an error when
// there is none to get.
func TestMemoryBudget(t *testing.T) {
	big := func(n byte) []byte { // writes 8 MB before it answers
		m := writer(hello + string('0'+rune(n)))
		m.Func("_start", "", wasmtest.I32(128), wasmtest.Grow(), wasmtest.Drop(), wasmtest.I32(0x30000), wasmtest.I32(1),
			wasmtest.I32(110<<16), []byte{0xfc, 0x0b, 0}, wasmtest.Write(fdWrite, 1, 64, int32(len(hello))))
		return m.Bytes()
	}
	r, s := open(t, Config{MemoryBytes: 10 << 20})
	a, b := deploy(t, r, big(1)), deploy(t, r, big(2))
	for range 10 {
		for _, v := range []*registry.Version{a, b} {
			if _, err := r.Invoke(context.Background(), v, event()); err != nil {
				t.Fatalf("Invoke: %v; log %q", err, s.stream(abi.StreamPlatform))
			}
			checkIdle(t, r)
		}
	}
	p := r.pools.of(a)
	var taken []*instance
	for len(taken) < 10_000 {
		i, _, err := p.take(context.Background(), a)
		if err != nil {
			break
		}
		taken = append(taken, i)
	}
	if _, err := r.Invoke(context.Background(), a, event()); !errors.Is(err, ErrNoRoom) {
		t.Errorf("Invoke with all memory in use: %v, want %v", err, ErrNoRoom)
	}
	for _, i := range taken {
		p.give(a, i)
	}
	checkIdle(t, r)
	r.pools.sweep(time.Now().Add(2 * idleAfter)) // what waits takes memory too: its bookkeeping
	if _, err := r.Invoke(context.Background(), a, event()); err != nil {
		t.Errorf("Invoke after: %v; log %q", err, s.stream(abi.StreamPlatform))
	}
}

// TestFiftyLoops has fifty endless loops run beside a function that must answer.
func TestFiftyLoops(t *testing.T) {
	r, _ := open(t, Config{})
	good, bad := deploy(t, r, counter()), deploy(t, r, command("", wasmtest.Loop()))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := r.Invoke(ctx, bad, event()); abi.CodeOf(err) != abi.Unavailable {
				t.Errorf("Invoke of a loop that was canceled: %v, want unavailable", err)
			}
		})
	}
	for taken(r, bad) < 50 {
		time.Sleep(time.Millisecond)
	}
	for range 200 {
		if res, err := r.Invoke(context.Background(), good, event()); err != nil || string(res.Body) != "1" {
			t.Errorf("Invoke = %q, %v", res.Body, err)
		}
	}
	cancel()
	wg.Wait()
	if n := len(r.lanes); n != 0 {
		t.Errorf("%d lanes are still taken", n)
	}
	checkImages(t, r)
	checkNothingLeft(t, r)
}

// growTable is table.grow by one entry, the result dropped.
func growTable() []byte {
	return bytes.Join([][]byte{{0xd0, 0x70}, wasmtest.I32(1), {0xfc, 15, 0}, wasmtest.Drop()}, nil)
}

// TestIsolationOf checks what versions get whose state cannot be wholly restored or shared, and that they answer.
func TestIsolationOf(t *testing.T) {
	table := func(initialize, handle [][]byte) []byte {
		m := writer("\x1a\x01x")
		m.Import(abi.HostModule, abi.ImportReplyWrite, "ii")
		m.Table(1)
		m.Func(abi.ExportInitialize, "", initialize...)
		m.Func(abi.ExportVersion, ":i", wasmtest.I32(1))
		m.Func(abi.ExportHandle, "i:i", append(handle, wasmtest.I32(64), wasmtest.I32(3), wasmtest.Call(2), wasmtest.I32(0))...)
		return m.Bytes()
	}
	imported := new(wasmtest.Module)
	imported.Import("wasi_snapshot_preview1", "fd_write", "iiii:i")
	imported.ImportMemory("env", "memory", 0, 2)
	imported.Data(64, hello)
	imported.Func("_start", "", wasmtest.Write(0, 1, 64, int32(len(hello))))
	for _, test := range []struct {
		name   string
		module []byte
		mode   registry.Isolation
		reason string
	}{
		{"plain", counter(), registry.IsolationReset, ""},
		{"imported memory", imported.Bytes(), registry.IsolationReset, ""},
		{"table changed by the start", table([][]byte{growTable()}, nil), registry.IsolationStrict, "while it starts it changes what cannot be restored: table.grow"},
		{"table changed by a request", table(nil, [][]byte{growTable()}), registry.IsolationReset, "is replaced: table.grow"},
		{"random numbers", goGuest(t, "reactor"), registry.IsolationReset, "initialised in every request, because it draws random numbers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, s := open(t, Config{})
			v := deploy(t, r, test.module)
			if v.Module.Isolation != test.mode || !strings.Contains(v.Module.IsolationReason, test.reason) || test.reason == "" && v.Module.IsolationReason != "" {
				t.Errorf("isolation is %s: %s", v.Module.Isolation, v.Module.IsolationReason)
			}
			for range 5 {
				if _, err := r.Invoke(context.Background(), v, event()); err != nil {
					t.Fatalf("Invoke: %v; log %q", err, s.stream(abi.StreamPlatform))
				}
			}
			checkImages(t, r)
			checkNothingLeft(t, r)
		})
	}
}

// FuzzAbout checks that whatever stands behind an image is refused or read as it would be written.
func FuzzAbout(f *testing.F) {
	for _, a := range []about{
		{}, {starts: true, reason: "because"}, {fresh: true, globals: []uint64{1, 1 << 63}},
		{random: 4096, quick: true, monotonic: time.Second, description: []byte("x")},
	} {
		f.Add(a.append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a, again about
		if a.parse(b) != nil {
			return
		}
		if err := again.parse(a.append(nil)); err != nil || fmt.Sprint(a) != fmt.Sprint(again) {
			t.Errorf("%+v is read again as %+v, %v", a, again, err)
		}
	})
}

func TestDefaultMemory(t *testing.T) {
	for limit, want := range map[int64]int64{math.MaxInt64: memory.DefaultBudgetBytes, 8 << 30: 4 << 30, 100 << 20: 50 << 20} {
		if got := defaultMemoryBytes(limit); got != want {
			t.Errorf("defaultMemoryBytes(%d) = %d, want %d", limit, got, want)
		}
	}
}
