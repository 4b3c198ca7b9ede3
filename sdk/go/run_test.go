package sett

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// lines keeps what guests write.
type lines struct {
	mu  sync.Mutex // guards all
	all []abi.Line
}

func (l *lines) Write(line abi.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

// take answers what was written since the last call, a line each.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	for _, line := range l.all {
		text.WriteString(line.Stream + " " + line.Level + " " + line.Message + " " + line.Attrs + "\n")
	}
	l.all = nil
	return text.String()
}

// deployed builds a guest and prepares it in a runtime.
func deployed(t *testing.T, guest, mode string) (*runtime.Runtime, *registry.Version, *lines) {
	t.Helper()
	return deployedIn(t, runtime.Config{}, guest, mode)
}

func deployedIn(t *testing.T, c runtime.Config, guest, mode string) (*runtime.Runtime, *registry.Version, *lines) {
	t.Helper()
	ctx := context.Background()
	sink := &lines{}
	c.Dir, c.Sink = t.TempDir(), sink
	r, err := runtime.New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(ctx) })
	module := buildGuest(t, guest, mode)
	sum := sha256.Sum256(module)
	v := &registry.Version{App: "shop", Function: "users", Number: 3, Module: registry.Module{Digest: hex.EncodeToString(sum[:])},
		Settings: registry.Settings{Env: map[string]string{"GREETING": "hi"}}.Complete()}
	if _, err := r.Modules().Put(ctx, v.Module.Digest, bytes.NewReader(module)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prepare(ctx, v); err != nil {
		t.Fatalf("prepare %s: %v", guest, err)
	}
	return r, v, sink
}

func request(method, target, body string) *abi.Event {
	path, query, _ := strings.Cut(target, "?")
	return &abi.Event{Invocation: "01J", Trigger: abi.TriggerHTTP, App: "shop", Function: "users", Version: 3, Attempt: 1,
		Method: method, Scheme: "http", Proto: "HTTP/1.1", Host: "h", Path: path, Query: query, Remote: "127.0.0.1:1",
		Headers: []abi.Field{{Name: "X-B", Value: "b"}}, Body: []byte(body)}
}

// TestGuestRuns is the whole border: the SDK in a module built by the Go toolchain, in the node's own runtime.
func TestGuestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles WebAssembly modules")
	}
	r, v, sink := deployed(t, "all", "c-shared")
	if d := v.Module.Description; d == nil || len(d.Patterns) != 12 || len(d.Handles) != 1 || d.SDK != "go/"+Version {
		t.Errorf("the module describes itself as %+v", d)
	}
	big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	tests := []struct {
		event  *abi.Event
		code   abi.Code
		status int
		body   string
		log    string // part of what is written
	}{
		{request("GET", "/hello/a%20b?q=1", ""), "", 203, "hello, a b 1 b", ""},
		{request("POST", "/echo", big), "", 200, big, ""},
		{request("GET", "/count", ""), "", 200, "42", ""},
		{request("GET", "/count", ""), "", 200, "42", ""},
		{request("GET", "/panic", ""), abi.FunctionFailed, 0, "", "stderr  panic: boom"},
		{request("GET", "/panic", ""), abi.FunctionFailed, 0, "", "testdata/guests/all/main.go:"},
		{request("GET", "/exit", ""), abi.FunctionFailed, 0, "", "platform"},
		{request("GET", "/wait", ""), "", 200, "context deadline exceeded", ""},
		{request("GET", "/workers", ""), "", 200, "45", ""},
		{request("GET", "/log", ""), "", 200, "", "stdout  to stdout \nstderr  to stderr \nlog WARN to the log {\"path\":\"/log\"}\n"},
		{request("GET", "/who", ""), "", 200, "01J shop users 3 hi", ""},
		{request("GET", "/nothing", ""), "", 404, `{"type":"about:blank","title":"Not Found","status":404}`, ""},
	}
	for _, tt := range tests {
		got, err := r.Invoke(context.Background(), v, tt.event)
		if abi.CodeOf(err) != tt.code || err == nil && (got.Status != tt.status || string(got.Body) != tt.body) {
			t.Errorf("%s %s = %d %.80q, %v (%s), want %d %.80q (%s)", tt.event.Method, tt.event.Path, got.Status, got.Body, err,
				abi.CodeOf(err), tt.status, tt.body, tt.code)
		}
		if text := sink.take(); !strings.Contains(text, tt.log) {
			t.Errorf("%s %s wrote\n%swant %q", tt.event.Method, tt.event.Path, text, tt.log)
		}
	}
	differs(t, r, v)
	allocates(t, r, v)
	handles(t, r, v, sink)
}

// allocates asks for a first allocation of each small size, which finds room in the memory that an invocation begins with.
func allocates(t *testing.T, r *runtime.Runtime, v *registry.Version) {
	t.Helper()
	for _, kind := range []string{"", "/pointers"} {
		least, most, at := uint64(math.MaxUint64), uint64(0), 0
		for n := 8; n <= stockBytes/2; n += 8 { // of larger ones so few fit side by side that none may be left
			got, err := r.Invoke(context.Background(), v, request("GET", fmt.Sprint("/allocate/", n, kind), ""))
			if err != nil {
				t.Fatal(err)
			}
			least = min(least, got.Fuel)
			if got.Fuel > most {
				most, at = got.Fuel, n
			}
		}
		if most-least > 3000 { // making room takes 7000
			t.Errorf("/allocate/%d%s takes %d instructions, another size %d", at, kind, most, least)
		}
	}
}

// differs asks twice for what must not repeat.
func differs(t *testing.T, r *runtime.Runtime, v *registry.Version) {
	t.Helper()
	var bodies []string
	for range 2 {
		got, err := r.Invoke(context.Background(), v, request("GET", "/random", ""))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(got.Body))
	}
	if bodies[0] == bodies[1] {
		t.Errorf("two invocations draw the same random number %s", bodies[0])
	}
}

func handles(t *testing.T, r *runtime.Runtime, v *registry.Version, sink *lines) {
	t.Helper()
	named := *v
	named.Settings.Handler = "double"
	event := request("POST", "/", "21")
	event.Handler = "double"
	if got, err := r.Invoke(context.Background(), &named, event); err != nil || string(got.Body) != "42" {
		t.Errorf("double(21) = %q, %v, want 42", got.Body, err)
	}
	event.Body = []byte("-1")
	_, err := r.Invoke(context.Background(), &named, event)
	if text := sink.take(); abi.CodeOf(err) != abi.FunctionFailed || !strings.Contains(text, "negative") {
		t.Errorf("double(-1): %v, log %q, want %s and the reason in the log", err, text, abi.FunctionFailed)
	}
}

// TestCommandRuns runs the same handlers as a command module, through Main.
func TestCommandRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles WebAssembly modules")
	}
	r, v, sink := deployed(t, "command", "exe")
	if v.Module.Kind != registry.KindCommand {
		t.Fatalf("the module is a %s, want %s", v.Module.Kind, registry.KindCommand)
	}
	event := request("GET", "/hello/a%20b?q=1", "")
	event.DeadlineUnixMS = time.Now().Add(time.Minute).UnixMilli()
	got, err := r.Invoke(context.Background(), v, event)
	if err != nil || got.Status != 200 || string(got.Body) != "hello, a b\n" {
		t.Errorf("GET /hello/a%%20b = %d %q, %v, log %q", got.Status, got.Body, err, sink.take())
	}
}

// TestNetHTTPGuestRuns runs an http.Handler in the runtime.
func TestNetHTTPGuestRuns(t *testing.T) {
	if testing.Short() || os.Getenv("SETT_TEST_ALL") == "" {
		t.Skip("net/http takes the processor seconds to compile; SETT_TEST_ALL=1 has it run")
	}
	r, v, _ := deployed(t, "nethttp", "c-shared")
	got, err := r.Invoke(context.Background(), v, request("GET", "/hello/ada", ""))
	if err != nil || got.Status != 200 || string(got.Body) != "hello, ada\n" {
		t.Errorf("GET /hello/ada = %d %q, %v", got.Status, got.Body, err)
	}
}
