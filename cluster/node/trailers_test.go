package node

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/client"
)

// echoesTrailers is a component that answers an empty body, and behind it the request's trailers, for which it waits.
func echoesTrailers() []byte {
	imports := []struct{ name, sig string }{
		{"wasi:http/types@0.2.4#[constructor]fields", ":i"},
		{"wasi:http/types@0.2.4#[constructor]outgoing-response", "i:i"},
		{"wasi:http/types@0.2.4#[method]outgoing-response.body", "ii:"},
		{"wasi:http/types@0.2.4#[static]response-outparam.set", "iiiiliiii:"},
		{"wasi:http/types@0.2.4#[method]incoming-request.consume", "ii:"},
		{"wasi:http/types@0.2.4#[static]incoming-body.finish", "i:i"},
		{"wasi:http/types@0.2.4#[method]future-trailers.subscribe", "i:i"},
		{"wasi:io/poll@0.2.0#[method]pollable.block", "i:"},
		{"wasi:http/types@0.2.4#[method]future-trailers.get", "ii:"},
		{"wasi:http/types@0.2.4#[static]outgoing-body.finish", "iiii:"},
	}
	const (
		newFields = iota
		newResponse
		responseBody
		setResponse
		consume
		endBody
		subscribe
		block
		getTrailers
		finish
	)
	m := new(wasmtest.Module)
	names := make([]string, len(imports))
	for i, f := range imports {
		names[i] = f.name
		m.Import("host", f.name, f.sig)
	}
	m.ImportMemory("libc", "memory", 0, 1)
	m.Func("handle", "ii:",
		wasmtest.Call(newFields), wasmtest.Call(newResponse), wasmtest.Set(2), wasmtest.Get(2), wasmtest.I32(1040), wasmtest.Call(responseBody),
		wasmtest.Get(1), wasmtest.I32(0), wasmtest.Get(2), wasmtest.I32(0), wasmtest.I64(0), wasmtest.I32(0), wasmtest.I32(0),
		wasmtest.I32(0), wasmtest.I32(0), wasmtest.Call(setResponse),
		wasmtest.Get(0), wasmtest.I32(1104), wasmtest.Call(consume), wasmtest.I32(1108), wasmtest.Load32(), wasmtest.Call(endBody), wasmtest.Set(2),
		wasmtest.Get(2), wasmtest.Call(subscribe), wasmtest.Call(block), wasmtest.Get(2), wasmtest.I32(1136), wasmtest.Call(getTrailers),
		wasmtest.I32(1044), wasmtest.Load32(), wasmtest.I32(1160), []byte{0x2d, 0, 0}, wasmtest.I32(1164), wasmtest.Load32(),
		wasmtest.I32(1088), wasmtest.Call(finish))
	return wasmtest.Proxy(wasmtest.Libc(), m.Bytes(), names...)
}

// withTrailers sends a body in chunks with trailers behind it, and answers those of the reply and the node it came from.
func withTrailers(t *testing.T, n *Node, path string, body io.Reader, sum string) (got, node string) {
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+n.HTTPAddr()+path, io.MultiReader(body))
	if err != nil {
		t.Error(err)
		return "", ""
	}
	r.Trailer = http.Header{"X-Sum": {sum}, "Sett-Trigger": {"schedule"}}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return "", ""
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if reply.StatusCode != 200 || err != nil || len(text) > 0 || len(reply.Trailer) != 1 {
		t.Errorf("%s answers %d %q, %v, trailers %v", path, reply.StatusCode, text, err, reply.Trailer)
	}
	return reply.Trailer.Get("X-Sum"), reply.Header.Get("Sett-Node")
}

// TestTrailers has a component answer with its request's trailers: of a body that was read whole, of one in pieces, and on
// another node.
func TestTrailers(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	b := join(t, a, "b")
	var last versionKey
	for name, streaming := range map[string]bool{"whole": false, "pieces": true} {
		d, err := deployFunction(t.Context(), a, echoesTrailers(), client.DeployFunction{
			Name: name, Settings: registry.Settings{Reserved: 1, TimeoutMS: 30_000, Streaming: streaming}})
		if err != nil {
			t.Fatal(err)
		}
		if streaming {
			last = versionKey{"default", name, d.Version}
		}
		if got, node := withTrailers(t, a, "/"+name, strings.NewReader("abc"), "1"); got != "1" || node != "" {
			t.Errorf("%s: trailer %q from node %q, want 1", name, got, node)
		}
	}
	await(t, "b runs the function", func() bool {
		return b.waiting.on(last) == nil && b.registry.Snapshot().Function("default", "pieces") != nil
	})
	await(t, "a knows that b has room", func() bool { return len(a.withRoom(1)) == 1 })
	body, rest := io.Pipe()
	var waits sync.WaitGroup
	waits.Go(func() { // it holds the only instance of a until its body ends
		if got, node := withTrailers(t, a, "/pieces", body, "2"); got != "2" || node != "" {
			t.Errorf("trailer %q from node %q, want 2 from the node that was asked", got, node)
		}
	})
	await(t, "a is busy", func() bool { running, _ := a.router.Load(); return running == 1 })
	if got, node := withTrailers(t, a, "/pieces", strings.NewReader(strings.Repeat("a", 100_000)), "3"); got != "3" || node != "b" {
		t.Errorf("trailer %q from node %q, want 3 from b", got, node)
	}
	rest.Close()
	waits.Wait()
}
