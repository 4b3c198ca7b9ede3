package node

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/client"
)

// mirror is a component that answers 201, a header and the body that it was sent, piece by piece.
func mirror() []byte {
	m := new(wasmtest.Module)
	var names []string
	host := func(name, sig string) uint32 {
		names = append(names, name)
		return m.Import("host", name, sig)
	}
	const types, streams = "wasi:http/types@0.2.4#", "wasi:io/streams@0.2.4#"
	newFields, appendField := host(types+"[constructor]fields", ":i"), host(types+"[method]fields.append", "iiiiii:")
	newResponse, setStatus := host(types+"[constructor]outgoing-response", "i:i"), host(types+"[method]outgoing-response.set-status-code", "ii:i")
	responseBody, write := host(types+"[method]outgoing-response.body", "ii:"), host(types+"[method]outgoing-body.write", "ii:")
	set, finish := host(types+"[static]response-outparam.set", "iiiiliiii:"), host(types+"[static]outgoing-body.finish", "iiii:")
	consume, read := host(types+"[method]incoming-request.consume", "ii:"), host(types+"[method]incoming-body.stream", "ii:")
	splice, dropOutput := host(streams+"[method]output-stream.blocking-splice", "iili:"), host("[resource-drop]output-stream", "i:")
	m.ImportMemory("libc", "memory", 0, 1)
	m.Data(600, "x-mirroryes")
	load := func(at int32) []byte { return slices.Concat(wasmtest.I32(at), wasmtest.Load32()) }
	load8 := []byte{0x2d, 0, 0}
	m.Func("handle", "ii:",
		wasmtest.Call(newFields), wasmtest.Set(3),
		wasmtest.Get(3), wasmtest.I32(600), wasmtest.I32(8), wasmtest.I32(608), wasmtest.I32(3), wasmtest.I32(1024), wasmtest.Call(appendField),
		wasmtest.Get(3), wasmtest.Call(newResponse), wasmtest.Set(2),
		wasmtest.Get(2), wasmtest.I32(http.StatusCreated), wasmtest.Call(setStatus), wasmtest.Drop(),
		wasmtest.Get(2), wasmtest.I32(1040), wasmtest.Call(responseBody),
		wasmtest.Get(1), wasmtest.I32(0), wasmtest.Get(2), wasmtest.I32(0), wasmtest.I64(0), wasmtest.I32(0), wasmtest.I32(0),
		wasmtest.I32(0), wasmtest.I32(0), wasmtest.Call(set),
		load(1044), wasmtest.I32(1056), wasmtest.Call(write),
		wasmtest.Get(0), wasmtest.I32(1072), wasmtest.Call(consume),
		load(1076), wasmtest.I32(1088), wasmtest.Call(read),
		wasmtest.Loop(
			load(1060), load(1092), wasmtest.I64(60_000), wasmtest.I32(1104), wasmtest.Call(splice),
			wasmtest.I32(1104), load8, wasmtest.If( // the end, or an error
				load(1060), wasmtest.Call(dropOutput),
				load(1044), wasmtest.I32(0), wasmtest.I32(0), wasmtest.I32(1120), wasmtest.Call(finish), wasmtest.Return())))
	return wasmtest.Proxy(wasmtest.Libc(), m.Bytes(), names...)
}

// mirrored sends a body to a mirror and checks what comes back, and from which node; an empty name is the one that was asked.
func mirrored(t *testing.T, n *Node, path string, size int, from string) {
	t.Helper()
	sent := bytes.Repeat([]byte("mirror."), size/7+1)[:size]
	r, err := http.Post("http://"+n.HTTPAddr()+path, "text/plain", bytes.NewReader(sent))
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusCreated || r.Header.Get("X-Mirror") != "yes" || r.Header.Get("Sett-Node") != from || !bytes.Equal(got, sent) {
		t.Errorf("POST %s of %d bytes = %d, X-Mirror %q, %d bytes, %v on node %q; want the body back from %q", path, size, r.StatusCode,
			r.Header.Get("X-Mirror"), len(got), err, r.Header.Get("Sett-Node"), from)
	}
}

// talking is a request to a mirror whose body is still being sent.
type talking struct {
	*io.PipeWriter
	reply *http.Response
}

// say sends a piece and waits for it to come back, so that the mirror must be at work meanwhile.
func (c *talking) say(t *testing.T, piece string) {
	t.Helper()
	if _, err := io.WriteString(c, piece); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(piece))
	if _, err := io.ReadFull(c.reply.Body, got); err != nil || string(got) != piece {
		t.Fatalf("the mirror says %q, %v; want %q", got, err, piece)
	}
}

func (c *talking) end(t *testing.T) {
	t.Helper()
	c.PipeWriter.Close()
	if rest, err := io.ReadAll(c.reply.Body); err != nil || len(rest) > 0 {
		t.Errorf("behind the last piece comes %q, %v", rest, err)
	}
	c.reply.Body.Close()
}

// talk begins a request and waits for the first piece of its reply.
func talk(t *testing.T, n *Node, path string) *talking {
	t.Helper()
	body, pipe := io.Pipe()
	go io.WriteString(pipe, "hello") // until it is read
	r, err := http.Post("http://"+n.HTTPAddr()+path, "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	c := &talking{pipe, r}
	got := make([]byte, 5)
	if _, err := io.ReadFull(r.Body, got); err != nil || string(got) != "hello" || r.StatusCode != http.StatusCreated {
		t.Fatalf("the mirror says %d %q, %v; want 201 hello", r.StatusCode, got, err)
	}
	return c
}

// deployMirror deploys one to a, of two nodes, and waits until both run it.
func deployMirror(t *testing.T, a, b *Node, s registry.Settings) versionKey {
	t.Helper()
	d, err := deployFunction(t.Context(), a, mirror(), client.DeployFunction{Name: "mirror", Settings: s})
	if err != nil {
		t.Fatal(err)
	}
	k := versionKey{registry.DefaultApp, "mirror", d.Version}
	await(t, "b runs the component", func() bool {
		return b.waiting.on(k) == nil && b.registry.Snapshot().Function(registry.DefaultApp, "mirror") != nil
	})
	return k
}

// TestForwardComponent asks a node that has not loaded a component yet: another one runs it, with large bodies and in pieces.
// Then the node runs it itself, with the code that the other one has compiled.
func TestForwardComponent(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	b := join(t, a, "b")
	for _, streaming := range []bool{false, true} {
		k := deployMirror(t, a, b, registry.Settings{Streaming: streaming, TimeoutMS: 60_000})
		b.waiting.change([]versionKey{k}, func(versionKey) bool { return true })
		mirrored(t, b, "/mirror", 5, a.Name())
		mirrored(t, b, "/mirror", 1<<20, a.Name())
		if streaming {
			mirrored(t, b, "/mirror", registry.DefaultBodyBytes+1<<20, a.Name())
			c := talk(t, b, "/mirror")
			c.say(t, "and")
			c.say(t, "good day")
			c.end(t)
		}
		b.wakeLoading()
		await(t, "b has loaded the component", func() bool { return b.waiting.on(k) == nil })
		mirrored(t, b, "/mirror", 1<<20, "")
	}
	if n := compiled(t, b); n != 0 {
		t.Errorf("the node that was asked compiled %d modules, want it to take the other's code", n)
	}
}

// TestSpillComponent has a node without room for a component pass it on, body and all.
func TestSpillComponent(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir())
	b := join(t, a, "b")
	deployMirror(t, a, b, registry.Settings{Streaming: true, Reserved: 1, TimeoutMS: 60_000})
	await(t, "a knows that b has room", func() bool { return len(a.withRoom(1)) == 1 })
	first := talk(t, a, "/mirror")
	mirrored(t, a, "/mirror", 1<<20, "b")
	second := talk(t, a, "/mirror")
	if node := second.reply.Header.Get("Sett-Node"); node != "b" {
		t.Errorf("the second request at once runs on node %q, want b", node)
	}
	second.say(t, "there")
	first.say(t, "here")
	second.end(t)
	first.end(t)
	await(t, "both nodes are idle", func() bool {
		onA, _ := a.router.Load()
		onB, _ := b.router.Load()
		return onA == 0 && onB == 0
	})
	mirrored(t, a, "/mirror", 5, "")
}
