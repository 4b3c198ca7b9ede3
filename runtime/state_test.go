package runtime

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// stateGuest deploys the guest that keeps state, over a store.
func stateGuest(t *testing.T, c Config) (*Runtime, *registry.Version, *sink) {
	t.Helper()
	r, s := open(t, c)
	v := upload(t, r, goGuest(t, "state"))
	v.Settings.TimeoutMS = 20_000
	if _, err := r.Prepare(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	return r, v, s
}

// state asks the guest to do something with a key.
func state(r *Runtime, v *registry.Version, do, key, body string) (string, error) {
	e := event()
	e.App, e.Path, e.Query, e.Body = v.App, "/"+do, "key="+key, []byte(body)
	res, err := r.Invoke(context.Background(), v, e)
	return string(res.Body), err
}

func TestState(t *testing.T) {
	r, v, s := stateGuest(t, Config{Store: &op.Memory{}, MaxStoreCalls: 50})
	other := *v
	other.App = "other"
	for _, tt := range []struct {
		version       *registry.Version
		do, key, body string
		want          string
	}{
		{v, "get", "a", "", `error: kv: "a": key not found`},
		{v, "set", "a", "1", ""},
		{v, "get", "a", "", "1"},
		{&other, "get", "a", "", `error: kv: "a": key not found`},
		{&other, "incr", "a", "", "1"},
		{v, "incr", "a", "", "2"},
		{v, "own", "o", "", "ab true true true"},
		{v, "own", "o", "", `error: kv: commit: "o": a check failed`},
		{v, "set", "o/long", strings.Repeat("x", op.MaxValueBytes), ""},
		{v, "get", "o/long", "", strings.Repeat("x", op.MaxValueBytes)},
		{v, "set", "o/long", strings.Repeat("x", op.MaxValueBytes+1), `error: kv: commit: "o/long": value has 1048577 bytes, at most 1048576 are allowed: over a limit of the store`},
		{v, "incr", "o/long", "", `error: kv: commit: "o/long": "` + strings.Repeat("x", 40) + `": value is not a decimal integer of 64 bits`},
		{v, "set", "o/long", "", ""},
		{v, "list", "o", "", "o=ab o/long= o/n=7 "},
		{v, "get", "", "", "error: kv: get: empty key: invalid request"},
		{v, "many", "a", "", "50 true"},
		{v, "many", "a", "", "50 true"},
	} {
		if got, err := state(r, tt.version, tt.do, tt.key, tt.body); err != nil || got != tt.want {
			t.Errorf("%s %s in %s = %.200q, %v, want %.200q; log %.300q", tt.do, tt.key, tt.version.App, got, err, tt.want, s.stream(abi.StreamPlatform))
		}
	}
	checkNothingLeft(t, r)
}

func TestStateNeedsAStore(t *testing.T) {
	r, v, _ := stateGuest(t, Config{})
	if got, err := state(r, v, "get", "a", ""); err != nil || got != "error: kv: this node offers functions no store" {
		t.Errorf("get without a store = %q, %v", got, err)
	}
}

// TestConcurrentIncrements: what 10,000 invocations add is 10,000, each answered a number of its own.
func TestConcurrentIncrements(t *testing.T) {
	const clients, each = 20, 500
	store := &op.Memory{}
	r, v, s := stateGuest(t, Config{Store: store})
	seen := make([]bool, clients*each+1)
	var mu sync.Mutex // guards seen
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				got, err := state(r, v, "incr", "n", "")
				n, bad := strconv.Atoi(got)
				if err != nil || bad != nil || n < 1 || n >= len(seen) {
					t.Errorf("incr = %q, %v; log %.300q", got, err, s.stream(abi.StreamPlatform))
					return
				}
				mu.Lock()
				if seen[n] {
					t.Errorf("two invocations were answered %d", n)
				}
				seen[n] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if i, err := store.Get(t.Context(), "default", "n", op.Read{}); err != nil || string(i.Value) != strconv.Itoa(clients*each) {
		t.Errorf("n = %q, %v, want %d", i.Value, err, clients*each)
	}
	checkNothingLeft(t, r)
}

// hanging is a store that does not answer for one key, and says who waits.
type hanging struct {
	op.Memory
	waiting chan struct{}
}

func (h *hanging) Get(ctx context.Context, namespace, key string, r op.Read) (op.Item, error) {
	if key != "hang" {
		return h.Memory.Get(ctx, namespace, key, r)
	}
	select {
	case h.waiting <- struct{}{}:
	case <-ctx.Done():
		return op.Item{}, ctx.Err()
	}
	child, cancel := context.WithCancel(ctx) // as a store does that asks another node
	defer cancel()
	<-child.Done()
	return op.Item{}, child.Err()
}

// TestStoreHangs ends invocations that wait for the store, at their deadline or when nobody waits for them. The
// instance answers the next one.
func TestStoreHangs(t *testing.T) {
	store := &hanging{waiting: make(chan struct{}, 1)}
	r, v, s := stateGuest(t, Config{Store: store})
	quick := *v
	quick.Settings.TimeoutMS = 50
	for range 3 {
		if got, err := state(r, &quick, "get", "hang", ""); abi.CodeOf(err) != abi.Timeout {
			t.Errorf("get that hangs = %q, %v, want %s", got, err, abi.Timeout)
		}
		<-store.waiting
		if got, err := state(r, v, "incr", "n", ""); err != nil || strings.HasPrefix(got, "error") {
			t.Errorf("the next incr = %q, %v", got, err)
		}
	}
	if got := s.stream(abi.StreamPlatform); !strings.Contains(got, "timeout: no answer before the deadline; the function's limit is 50ms") {
		t.Errorf("log = %q", got)
	}
	if got, err := state(r, v, "hurry", "hang", ""); err != nil || got != "true" {
		t.Errorf("a call with a deadline of its own = %q, %v, want true", got, err)
	}
	<-store.waiting
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		e := event()
		e.Path, e.Query = "/get", "key=hang"
		_, err := r.Invoke(ctx, v, e)
		done <- err
	}()
	<-store.waiting
	cancel()
	if err := <-done; abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("canceled while the store hangs: %v, want %s", err, abi.Unavailable)
	}
	checkNothingLeft(t, r)
}

// TestWaitingHoldsNoLane: a guest that waits for the store has left its lane, and after a short wait is as long a
// guest as it was.
func TestWaitingHoldsNoLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lanes := make(chan struct{}, 1)
		c := &call{deadline: time.Now().Add(time.Hour), parent: t.Context()}
		c.meter.start(time.Now(), lanes)
		c.enterLane()
		m := &c.meter
		time.Sleep(time.Minute)
		m.Waiting()
		if len(lanes) != 0 || m.inLane {
			t.Errorf("%d lanes are taken by who waits", len(lanes))
		}
		time.Sleep(longAfter - 1)
		m.Waited()
		if ran := time.Since(m.resumed); ran != time.Minute {
			t.Errorf("after a short wait it counts as running for %v, want a minute, without the wait", ran)
		}
		m.Waiting()
		time.Sleep(longAfter)
		m.Waited()
		if ran := time.Since(m.resumed); ran != 0 {
			t.Errorf("after a long wait it counts as running for %v, want a new run", ran)
		}
	})
}

// TestFuelOfStateCalls: a call costs the guest the same fuel whatever the store does and answers.
func TestFuelOfStateCalls(t *testing.T) {
	m := new(wasmtest.Module)
	m.Import(abi.HostModule, abi.ImportKVGet, "iiiii:i")
	m.Import(abi.HostModule, abi.ImportReplyWrite, "ii")
	m.Memory(0, 1)
	request := abi.AppendKVGet(nil, []string{"a"}, op.Session)
	m.Data(64, string(request))
	zero := wasmtest.I32(0)
	m.Func(abi.ExportInitialize, "")
	m.Func(abi.ExportVersion, ":i", wasmtest.I32(abi.Version))
	m.Func(abi.ExportHandle, "i:i", wasmtest.I32(64), wasmtest.I32(int32(len(request))), wasmtest.I32(1024), wasmtest.I32(1024),
		zero, wasmtest.Call(0), wasmtest.Drop(), zero, zero, wasmtest.Call(1), zero)
	full := &op.Memory{}
	if _, err := full.Commit(t.Context(), op.Txn{Namespace: "default", Ops: []op.Op{{Kind: op.Set, Key: "a", Value: []byte("1")}}}); err != nil {
		t.Fatal(err)
	}
	fuel := make(map[uint64]bool)
	for _, store := range []host.Store{nil, &op.Memory{}, full, &broken{}} {
		r, s := open(t, Config{Store: store})
		v := deploy(t, r, m.Bytes())
		res, err := r.Invoke(context.Background(), v, event())
		if err != nil {
			t.Fatalf("%v; log %q", err, s.stream(abi.StreamPlatform))
		}
		fuel[res.Fuel] = true
	}
	if len(fuel) != 1 {
		t.Errorf("the same guest used %v instructions with four stores", fuel)
	}
}

func TestCommandKeepsState(t *testing.T) {
	r, s := open(t, Config{Store: &op.Memory{}})
	v := deploy(t, r, goGuest(t, "statecommand"))
	if v.Module.Kind != registry.KindCommand {
		t.Fatalf("Kind = %s, want a command", v.Module.Kind)
	}
	for n := range 3 {
		res, err := r.Invoke(context.Background(), v, event())
		if want := strconv.Itoa(n+1) + " <nil>"; err != nil || string(res.Body) != want {
			t.Errorf("command = %q, %v, want %q; log %q", res.Body, err, want, s.stream(abi.StreamPlatform))
		}
	}
}

// TestNoStateWhileInitialising: a module that reads state before there is an event cannot be deployed.
func TestNoStateWhileInitialising(t *testing.T) {
	m := new(wasmtest.Module)
	m.Import(abi.HostModule, abi.ImportKVGet, "iiiii:i")
	m.Memory(0, 1)
	zero := wasmtest.I32(0)
	m.Func(abi.ExportInitialize, "", zero, zero, zero, zero, zero, wasmtest.Call(0), wasmtest.Drop())
	m.Func(abi.ExportVersion, ":i", wasmtest.I32(abi.Version))
	m.Func(abi.ExportHandle, "i:i", zero)
	store := &op.Memory{}
	r, _ := open(t, Config{Store: store})
	_, err := r.Prepare(context.Background(), upload(t, r, m.Bytes()))
	if abi.CodeOf(err) != abi.InvalidModule || !strings.Contains(err.Error(), "kv_get: there is no outside world while the module is initialised") {
		t.Errorf("Prepare: %v", err)
	}
}

// broken is a store whose disk is.
type broken struct{ op.Memory }

func (*broken) Get(context.Context, string, string, op.Read) (op.Item, error) {
	return op.Item{}, errors.New("read disk: input/output error")
}

func TestBrokenStore(t *testing.T) {
	r, v, _ := stateGuest(t, Config{Store: &broken{}})
	got, err := state(r, v, "get", "a", "")
	if err != nil || got != "error: kv: the store failed; the node's log says why" {
		t.Errorf("get = %q, %v", got, err)
	}
}

// BenchmarkState measures invocations that ask the store beside one that does not. Most of what a call costs is the
// guest's own: the host's part is in package host.
func BenchmarkState(b *testing.B) {
	r, _ := open(b, Config{Store: &op.Memory{}})
	v := deploy(b, r, goGuest(b, "state"))
	for _, do := range []string{"nothing", "get", "incr"} {
		b.Run(do, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := state(r, v, do, "key", ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
