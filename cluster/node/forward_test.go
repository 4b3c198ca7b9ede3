package node

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/client"
)

// join starts a node that joins the cluster of another one, and waits until it is ready.
func join(t *testing.T, first *Node, name string) *Node {
	t.Helper()
	invite, err := first.Invite(t.Context(), client.RoleVoter, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(t.Context(), Config{Data: t.TempDir(), HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Cluster: "127.0.0.1:0",
		Name: name, Join: invite.Token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(context.Background()) })
	ready, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := n.WaitReady(ready); err != nil {
		t.Fatal(err)
	}
	return n
}

// await looks again and again until what is wanted holds, for a minute at most.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute until %s", what)
		}
	}
}

// endless is a command that never ends: a loop whose body branches to its begin.
func endless() []byte {
	var m wasmtest.Module
	m.Memory(0, 1)
	m.Func("_start", "", wasmtest.Loop([]byte{0x0c, 0}))
	return m.Bytes()
}

// answer makes a request and tells the status and the node that says it ran there.
func answer(t *testing.T, n *Node, path string) (status int, node string) {
	t.Helper()
	r, err := http.Get("http://" + n.HTTPAddr() + path)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer r.Body.Close()
	return r.StatusCode, r.Header.Get("Sett-Node")
}

// TestSpill has a node without room pass on what it is asked, once, and refuse when the other has none either.
func TestSpill(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	b := join(t, a, "b")
	for timeoutMS := 2000; !spills(t, a, b, timeoutMS); timeoutMS *= 4 { // on a slow machine requests end before the next is made
	}
}

// spills makes three requests that take so long to a, of two nodes with room for one each. It answers false, and has
// checked nothing, when they did not all run at once.
func spills(t *testing.T, a, b *Node, timeoutMS int) bool {
	t.Helper()
	d, err := deployFunction(t.Context(), a, endless(), client.DeployFunction{Name: "loop", Settings: registry.Settings{Reserved: 1, TimeoutMS: timeoutMS}})
	if err != nil {
		t.Fatal(err)
	}
	k := versionKey{"default", "loop", d.Version}
	await(t, "b runs the function", func() bool {
		f := b.registry.Snapshot().Function("default", "loop")
		return b.waiting.on(k) == nil && f != nil && f.Latest == d.Version
	})
	await(t, "a knows that b has room", func() bool { return len(a.withRoom(1)) == 1 })
	var requests sync.WaitGroup
	var ended atomic.Bool // one of those that are to run on
	var statuses [2]int
	var nodes [2]string
	for i, at := range []*Node{a, b} {
		requests.Go(func() {
			statuses[i], nodes[i] = answer(t, a, "/loop")
			ended.Store(true)
		})
		await(t, at.Name()+" is busy", func() bool { running, _ := at.router.Load(); return running == 1 || ended.Load() })
	}
	status, node := answer(t, a, "/loop")
	together := !ended.Load()
	requests.Wait()
	if !together {
		return false
	}
	if want := [2]string{"", "b"}; nodes != want || statuses != [2]int{http.StatusGatewayTimeout, http.StatusGatewayTimeout} {
		t.Errorf("requests = %d on nodes %q, want 504 on the node that was asked, then on b", statuses, nodes)
	}
	if status != http.StatusTooManyRequests || node != "" {
		t.Errorf("request without room anywhere = %d on node %q, want 429", status, node)
	}
	return true
}

// TestForward has a node that cannot run a version yet pass requests on, and wait for itself when nobody else can.
func TestForward(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	b := join(t, a, "b")
	d := deploy(t, a, "hello", wasmtest.Answer("one"))
	k := versionKey{"default", "hello", d.Version}
	await(t, "b runs the function", func() bool {
		return b.waiting.on(k) == nil && b.registry.Snapshot().Function("default", "hello") != nil
	})
	if status, node := answer(t, b, "/hello"); status != 200 || node != "" {
		t.Errorf("request = %d on node %q, want 200 on the node that was asked", status, node)
	}
	all := func(versionKey) bool { return true }
	b.waiting.change([]versionKey{k}, all)
	if status, node := answer(t, b, "/hello"); status != 200 || node != a.Name() {
		t.Errorf("request for a version that is not loaded = %d on node %q, want 200 on %s", status, node, a.Name())
	}
	a.waiting.change([]versionKey{k}, all)
	var late sync.WaitGroup
	late.Go(func() {
		if status, node := answer(t, b, "/hello"); status != 200 || node != "" {
			t.Errorf("request for a version that no node has loaded = %d on node %q, want 200 in the end", status, node)
		}
	})
	await(t, "the request waits", func() bool { running, _ := b.router.Load(); return running == 1 })
	b.wakeLoading()
	late.Wait()
	a.waiting.done(k)
}

// TestCodeIsBorrowed has a cluster of equal nodes compile a module once.
func TestCodeIsBorrowed(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	b := join(t, a, "b")
	d := deploy(t, a, "hello", wasmtest.Answer("one"))
	k := versionKey{"default", "hello", d.Version}
	await(t, "b runs the function", func() bool {
		return b.waiting.on(k) == nil && b.registry.Snapshot().Function("default", "hello") != nil
	})
	if got, want := get(t, b, "/hello"), "200 OK one"; got != want {
		t.Errorf("GET /hello = %q, want %q", got, want)
	}
	if n := compiled(t, a); n != 1 {
		t.Errorf("the node that was deployed to compiled %d modules, want 1", n)
	}
	if n := compiled(t, b); n != 0 {
		t.Errorf("the other node compiled %d modules, want none", n)
	}
}

// compiled is how many modules a node has compiled.
func compiled(t *testing.T, n *Node) uint64 {
	t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sett_runtime_compile_seconds" {
			return f.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	t.Fatal("no metric of compiling")
	return 0
}

// TestForwardInPieces has a reply that starts before it ends, and a large body, pass through the node that was asked.
func TestForwardInPieces(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	b := join(t, a, "b")
	d, err := deployFunction(t.Context(), a, chatty(), client.DeployFunction{Name: "chatty", Settings: registry.Settings{Streaming: true, TimeoutMS: 60_000}})
	if err != nil {
		t.Fatal(err)
	}
	k := versionKey{"default", "chatty", d.Version}
	await(t, "b runs the function", func() bool {
		return b.waiting.on(k) == nil && b.registry.Snapshot().Function("default", "chatty") != nil
	})
	b.waiting.change([]versionKey{k}, func(versionKey) bool { return true })
	large := bytes.NewReader(make([]byte, registry.DefaultBodyBytes+1))
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+b.HTTPAddr()+"/chatty", large)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(request) // it goes on for ever
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	head := make([]byte, 5)
	if _, err := io.ReadFull(r.Body, head); err != nil || r.StatusCode != 200 || r.Header.Get("Sett-Node") != a.Name() || string(head) != "hello" {
		t.Errorf("reply = %d on node %q, %q, %v; want hello from %s", r.StatusCode, r.Header.Get("Sett-Node"), head, err, a.Name())
	}
	running := func(n *Node) bool { running, _ := n.router.Load(); return running > 0 }
	if !running(a) || !running(b) {
		t.Error("the function does not run any more")
	}
	leave()
	await(t, "the function ends on both nodes", func() bool { return !running(a) && !running(b) })
}

// chatty is a command that reads its input to the end, says hello, and goes on for ever.
func chatty() []byte {
	var m wasmtest.Module
	m.Import(wasip1.ModuleName, "fd_read", "iiii:i")
	m.Import(wasip1.ModuleName, "fd_write", "iiii:i")
	m.Memory(0, 1)
	const text = "A: b\n\nhello"
	m.Data(64, text)
	m.Data(0, "\x00\x04\x00\x00\x00\x04\x00\x00") // 1024 bytes at 1024
	eqz := []byte{0x45}
	m.Func("_start", "", wasmtest.Loop(
		// fd_read stores how many bytes it has read at 16: none at the end.
		wasmtest.I32(0), wasmtest.I32(0), wasmtest.I32(1), wasmtest.I32(16), wasmtest.Call(0), wasmtest.Drop(),
		wasmtest.I32(16), wasmtest.Load32(), eqz, wasmtest.If(wasmtest.Write(1, 1, 64, int32(len(text))), wasmtest.Loop())))
	return m.Bytes()
}
