package runtime

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// sinkLines is how many lines a sink keeps at least: long runs are looked at for the memory they take.
const sinkLines = 10_000

// sink keeps the last lines for a test to read.
type sink struct {
	mu    sync.Mutex
	lines []abi.Line
}

func (s *sink) Write(l abi.Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) >= 2*sinkLines {
		s.lines = append([]abi.Line(nil), s.lines[sinkLines:]...)
	}
	s.lines = append(s.lines, l)
}

// stream answers the messages of one stream, joined by bars.
func (s *sink) stream(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, l := range s.lines {
		if l.Stream == name {
			all = append(all, l.Message)
		}
	}
	return strings.Join(all, "|")
}

func open(t testing.TB, c Config) (*Runtime, *sink) {
	t.Helper()
	s := new(sink)
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	c.Sink = s
	c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	r, err := New(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r, s
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// compiled is the code of large modules that runtimes of this run have compiled, by digest: a guest in Go takes seconds,
// and half a minute with the race detector.
var compiled sync.Map

// largeModule is from which size on a module's code is kept for later runtimes.
const largeModule = 1 << 20

// share gives the runtime what an earlier one compiled of a module, or later ones what this one does.
func share(t testing.TB, r *Runtime, digest string) {
	t.Helper()
	if code, ok := compiled.Load(digest); ok {
		if err := r.PutCode(context.Background(), digest, bytes.NewReader(code.([]byte))); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Cleanup(func() {
		var code bytes.Buffer
		if err := r.WriteCode(context.Background(), digest, &code); err == nil { // else it was not compiled, or has been removed
			compiled.Store(digest, code.Bytes())
		}
	})
}

// upload stores a module and answers a version of it, not prepared.
func upload(t testing.TB, r *Runtime, binary []byte) *registry.Version {
	t.Helper()
	if _, err := r.Modules().Put(context.Background(), digest(binary), bytes.NewReader(binary)); err != nil {
		t.Fatal(err)
	}
	if len(binary) >= largeModule {
		share(t, r, digest(binary))
	}
	v := &registry.Version{App: "default", Function: "f", Number: 1}
	v.Module.Digest = digest(binary)
	return v
}

// deploy stores and prepares a module.
func deploy(t testing.TB, r *Runtime, binary []byte) *registry.Version {
	t.Helper()
	v := upload(t, r, binary)
	if _, err := r.Prepare(context.Background(), v); err != nil {
		t.Fatal(err)
	}
	return v
}

func event() *abi.Event {
	return &abi.Event{
		Invocation: "01J0000000000000000000TEST", Trigger: abi.TriggerHTTP, App: "default", Function: "f",
		Version: 1, Attempt: 1, Method: "GET", Scheme: "http", Proto: "HTTP/1.1", Host: "localhost:8080",
		Path: "/f", Remote: "127.0.0.1:1234",
	}
}

// writer is a module that imports fd_write as function 0 and proc_exit as function 1, with memory for text at 64.
func writer(text string) *wasmtest.Module {
	m := new(wasmtest.Module)
	m.Import(wasip1.ModuleName, "fd_write", "iiii:i")
	m.Import(wasip1.ModuleName, "proc_exit", "i")
	m.Memory(0, 2)
	m.Data(64, text)
	return m
}

// command is a command that writes text and runs code.
func command(text string, code ...[]byte) []byte {
	m := writer(text)
	m.Func(abi.ExportStart, "", append([][]byte{wasmtest.Write(0, 1, 64, int32(len(text)))}, code...)...)
	return m.Bytes()
}

const hello = "Content-Type: text/plain\n\nhello"

// Functions of a sett module made by settModule.
const (
	fdWrite = iota
	procExit
	eventRead
	replyWrite
	descriptionWrite
	logWrite
	settImportCount
)

// settModule is a sett module whose functions run these pieces of code; text is at 64, description at 32768.
type settModule struct {
	text       string
	version    int32
	initialize [][]byte
	handle     [][]byte // must leave the result on the stack
	describe   *abi.Description
}

func (s settModule) bytes() []byte {
	m := writer(s.text)
	m.Import(abi.HostModule, abi.ImportEventRead, "ii:i")
	m.Import(abi.HostModule, abi.ImportReplyWrite, "ii")
	m.Import(abi.HostModule, abi.ImportDescribe, "ii")
	m.Import(abi.HostModule, abi.ImportLogWrite, "iii")
	m.Func(abi.ExportInitialize, "", s.initialize...)
	m.Func(abi.ExportVersion, ":i", wasmtest.I32(s.version))
	m.Func(abi.ExportHandle, "i:i", s.handle...)
	if s.describe != nil {
		text := abi.AppendDescription(nil, s.describe)
		m.Data(32768, string(text))
		m.Func(abi.ExportDescribe, "", wasmtest.I32(32768), wasmtest.I32(int32(len(text))), wasmtest.Call(descriptionWrite))
	}
	return m.Bytes()
}

// replying is a sett module that answers r.
func replying(r *abi.Reply) settModule {
	text := string(abi.AppendReply(nil, r))
	return settModule{text: text, version: abi.Version, handle: [][]byte{
		wasmtest.I32(64), wasmtest.I32(int32(len(text))), wasmtest.Call(replyWrite), wasmtest.I32(0),
	}}
}

// echo is a sett module whose reply's body is the event: a body field is put before it.
func echo() []byte {
	return settModule{version: abi.Version, handle: [][]byte{
		// event_read(80, len); memory[64:] = reply with field 3, whose length takes a padded varint of 5 bytes
		wasmtest.I32(80), wasmtest.Get(0), wasmtest.Call(eventRead), wasmtest.Drop(),
		wasmtest.I32(74), wasmtest.I32(0x1a), {0x3a, 0, 0}, // tag of field 3, bytes
		wasmtest.I32(75), wasmtest.Get(0), wasmtest.I32(0x7f), {0x71}, wasmtest.I32(0x80), {0x72}, {0x3a, 0, 0},
		wasmtest.I32(76), wasmtest.Get(0), wasmtest.I32(7), {0x76}, wasmtest.I32(0x7f), {0x71}, wasmtest.I32(0x80), {0x72}, {0x3a, 0, 0},
		wasmtest.I32(77), wasmtest.Get(0), wasmtest.I32(14), {0x76}, wasmtest.I32(0x7f), {0x71}, wasmtest.I32(0x80), {0x72}, {0x3a, 0, 0},
		wasmtest.I32(78), wasmtest.Get(0), wasmtest.I32(21), {0x76}, wasmtest.I32(0x7f), {0x71}, wasmtest.I32(0x80), {0x72}, {0x3a, 0, 0},
		wasmtest.I32(79), wasmtest.Get(0), wasmtest.I32(28), {0x76}, {0x3a, 0, 0},
		wasmtest.I32(74), wasmtest.Get(0), wasmtest.I32(6), wasmtest.Add(), wasmtest.Call(replyWrite), wasmtest.I32(0),
	}}.bytes()
}

// taken answers how many instances of v are in use.
func taken(r *Runtime, v *registry.Version) int {
	p := r.pools.of(v)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// checkIdle waits until all instances are clean and idle.
func checkIdle(t *testing.T, r *Runtime) {
	t.Helper()
	for _, p := range r.pools.list() {
		for busy := true; busy; goruntime.Gosched() { // until the cleaners have put back what they hold
			for p.cleanOne() {
			}
			p.mu.Lock()
			busy = p.taken > 0 || len(p.dirty) > 0
			p.mu.Unlock()
		}
	}
}

// checkNothingLeft evicts everything and checks that no instance and no slot is lost.
func checkNothingLeft(t *testing.T, r *Runtime) {
	t.Helper()
	checkIdle(t, r)
	for _, p := range r.pools.list() {
		p.evict()
	}
	if n, taken := r.used.instances.Load(), r.slots.Stats().Taken; n != 0 || taken != 0 {
		t.Errorf("%d instances and %d slots left", n, taken)
	}
	if n := r.used.imageBytes.Load(); n != 0 {
		t.Errorf("%d bytes of images left", n)
	}
}
