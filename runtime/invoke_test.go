package runtime

import (
	"context"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

func TestCommandAnswers(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, command("Status: 201 Created\r\nX-A: 1\r\nX-A: 2\r\n\r\nhello"))
	if v.Module.Kind != registry.KindCommand || v.Module.SizeBytes == 0 {
		t.Errorf("Module = %+v, want a command with its size", v.Module)
	}
	res, err := r.Invoke(context.Background(), v, event())
	if err != nil {
		t.Fatalf("Invoke: %v; log %q", err, s.stream(abi.StreamPlatform))
	}
	if res.Status != 201 || string(res.Body) != "hello" || len(res.Headers) != 2 || res.Headers[1] != (abi.Field{Name: "X-A", Value: "2"}) {
		t.Errorf("Reply = %d %v %q", res.Status, res.Headers, res.Body)
	}
	if res.Start != abi.Warm || res.Took <= 0 || res.MemoryBytes != 2<<16 {
		t.Errorf("Start %s, Took %v, MemoryBytes %d", res.Start, res.Took, res.MemoryBytes)
	}
}

func TestSettAnswers(t *testing.T) {
	r, s := open(t, Config{})
	reply := &abi.Reply{Status: 418, Headers: []abi.Field{{Name: "A", Value: "b"}}, Body: []byte("tea")}
	m := replying(reply)
	m.describe = &abi.Description{ABI: 1, SDK: "go/0.1.0", Handles: []string{"resize"}, Patterns: []string{"GET /x"}}
	v := deploy(t, r, m.bytes())
	if d := v.Module.Description; v.Module.Kind != registry.KindSett || d == nil || d.Handles[0] != "resize" || d.Patterns[0] != "GET /x" {
		t.Errorf("Module = %+v", v.Module)
	}
	res, err := r.Invoke(context.Background(), v, event())
	if err != nil {
		t.Fatalf("Invoke: %v; log %q", err, s.stream(abi.StreamPlatform))
	}
	if res.Status != 418 || string(res.Body) != "tea" || len(res.Headers) != 1 {
		t.Errorf("Reply = %+v", res.Reply)
	}
}

func TestEventReachesSettModule(t *testing.T) {
	r, _ := open(t, Config{})
	v := deploy(t, r, echo())
	e := event()
	e.Body = []byte(strings.Repeat("body ", 1000))
	res, err := r.Invoke(context.Background(), v, e)
	if err != nil {
		t.Fatal(err)
	}
	var got abi.Event
	if err := abi.DecodeEvent(res.Body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Path != "/f" || string(got.Body) != string(e.Body) || got.DeadlineUnixMS == 0 || got.Invocation != e.Invocation {
		t.Errorf("event = %+v", got)
	}
}

// TestFailures runs guests that fail, each of which must end as the right error with its reason in the log and
// nothing of it in the error.
func TestFailures(t *testing.T) {
	loop := wasmtest.Loop()
	bomb := wasmtest.Loop(wasmtest.I32(16), wasmtest.Grow(), wasmtest.I32(-1), []byte{0x46}, wasmtest.If(wasmtest.Unreachable()))
	recurse := new(wasmtest.Module)
	recurse.Memory(0, 1)
	recurse.Func("_start", "", wasmtest.Call(0))
	doubling := new(wasmtest.Module) // f(n) = f(n-1), f(n-1): no loop, and it would take years
	doubling.Memory(0, 1)
	doubling.Func("", "i", wasmtest.Get(0), wasmtest.If(
		wasmtest.Get(0), wasmtest.I32(-1), wasmtest.Add(), wasmtest.Call(0),
		wasmtest.Get(0), wasmtest.I32(-1), wasmtest.Add(), wasmtest.Call(0)))
	doubling.Func("_start", "", wasmtest.I32(60), wasmtest.Call(0))
	flood := writer(strings.Repeat("x", 65536))
	flood.Func("_start", "", wasmtest.Loop(wasmtest.Write(0, 1, 64, 65536)))
	for _, test := range []struct {
		name   string
		module []byte
		code   abi.Code
		reason string
	}{
		{"endless loop", command("", loop), abi.Timeout, "timeout: no answer before the deadline; the function's limit is 100ms"},
		{"endless recursion", doubling.Bytes(), abi.Timeout, "timeout: no answer before the deadline"},
		{"memory bomb", command("", bomb), abi.FunctionFailed, "memory limit of 1 MB was hit: trap: unreachable"},
		{"stack overflow", recurse.Bytes(), abi.FunctionFailed, "stack overflow"},
		{"flood", flood.Bytes(), abi.FunctionFailed, "standard output is over the limit of 100000 bytes"},
		{"exit 3", command(hello, wasmtest.I32(3), wasmtest.Call(procExit)), abi.FunctionFailed, "exit code 3"},
		{"trap", command(hello, wasmtest.Unreachable()), abi.FunctionFailed, "trap: unreachable"},
		{"trap with names", append(command(hello, wasmtest.Unreachable()), "\x00\x11\x04name\x01\x0a\x01\x02\x07explode"...), abi.FunctionFailed, "trap: unreachable in explode"},
		{"no output", command(""), abi.FunctionFailed, "starts with no CGI header"},
		{"bare body", command("hello\n"), abi.FunctionFailed, "has no colon"},
		{"no blank line", command("A: b\n"), abi.FunctionFailed, "no empty line"},
		{"bad name", command("A b: c\n\n"), abi.FunctionFailed, "invalid header name"},
		{"bare CR", command("A: b\rC: d\n\n"), abi.FunctionFailed, "invalid value"},
		{"NUL", command("A: b\x00\n\n"), abi.FunctionFailed, "invalid value"},
		{"status 99", command("Status: 099\n\n"), abi.FunctionFailed, "status 99"},
		{"status word", command("Status: OK\n\n"), abi.FunctionFailed, "three digits"},
		{"body over limit", command("A: b\n\n", wasmtest.Write(0, 1, 0, 65536), wasmtest.Write(0, 1, 0, 65536)), abi.FunctionFailed, "over the limit of 100000"},
		{"sett error", replying(&abi.Reply{Error: "boom"}).bytes(), abi.FunctionFailed, "the handler failed: boom"},
		{"sett bad header", replying(&abi.Reply{Headers: []abi.Field{{Name: "a", Value: "b\r\nc"}}}).bytes(), abi.FunctionFailed, "invalid value"},
		{"sett no reply", settModule{version: 1, handle: [][]byte{wasmtest.I32(0)}}.bytes(), abi.FunctionFailed, "wrote no reply"},
		{"sett result", settModule{version: 1, handle: [][]byte{wasmtest.I32(7)}}.bytes(), abi.FunctionFailed, "sett_handle answered 7"},
		{"sett exit 0", settModule{version: 1, handle: [][]byte{wasmtest.I32(0), wasmtest.Call(procExit), wasmtest.I32(0)}}.bytes(), abi.FunctionFailed, "exit code 0 while sett_handle"},
		{"sett reply over limit", settModule{version: 1, handle: [][]byte{wasmtest.I32(10), wasmtest.Grow(), wasmtest.Drop(), wasmtest.I32(0), wasmtest.I32(700_000), wasmtest.Call(replyWrite), wasmtest.I32(0)}}.bytes(), abi.FunctionFailed, "over the limit of 231072"},
		{"sett reply outside memory", settModule{version: 1, handle: [][]byte{wasmtest.I32(-8), wasmtest.I32(16), wasmtest.Call(replyWrite), wasmtest.I32(0)}}.bytes(), abi.FunctionFailed, "reply_write: 16 bytes at 4294967288 are outside of memory"},
		{"sett event outside memory", settModule{version: 1, handle: [][]byte{wasmtest.I32(131070), wasmtest.I32(16), wasmtest.Call(eventRead)}}.bytes(), abi.FunctionFailed, "event_read: 16 bytes at 131070"},
		{"sett malformed reply", settModule{version: 1, text: "\x0f\x0f", handle: [][]byte{wasmtest.I32(64), wasmtest.I32(2), wasmtest.Call(replyWrite), wasmtest.I32(0)}}.bytes(), abi.FunctionFailed, "the reply cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, s := open(t, Config{MaxReplyBytes: 100_000})
			v := upload(t, r, test.module)
			v.Settings.MemoryMB, v.Settings.TimeoutMS = 1, 100
			if test.code != abi.Timeout {
				v.Settings.TimeoutMS = 20_000
			}
			res, err := r.Invoke(context.Background(), v, event())
			if abi.CodeOf(err) != test.code {
				t.Errorf("Invoke: %v (%s), want %s", err, abi.CodeOf(err), test.code)
			}
			if said, ok := strings.CutPrefix(test.reason, "the handler failed: "); ok && res.Error != said {
				t.Errorf("Error = %q, want %q", res.Error, said)
			}
			if got := s.stream(abi.StreamPlatform); !strings.Contains(got, test.reason) {
				t.Errorf("log = %q, want %q in it", got, test.reason)
			}
			if err != nil && strings.Contains(err.Error(), test.reason) {
				t.Errorf("error %q tells a client the reason", err)
			}
			if res == nil || res.Status != 0 || res.Body != nil || res.MemoryBytes == 0 || res.Start != abi.Cold {
				t.Errorf("Result = %+v, want no reply and what was used", res)
			}
			checkNothingLeft(t, r)
		})
	}
}
