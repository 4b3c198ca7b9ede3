package runtime

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// goGuests are the programs of testdata, built once a run.
var goGuests = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "guests")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	all := make(map[string][]byte)
	for name, mode := range map[string]string{"command": "exe", "reactor": "c-shared", "isolation": "c-shared", "heavy": "c-shared",
		"state": "c-shared", "statecommand": "exe", "stream": "c-shared"} {
		file := filepath.Join(dir, name)
		cmd := exec.Command("go", "build", "-buildmode="+mode, "-o", file, "./testdata/"+name)
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, err
		}
		if all[name], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return all, nil
})

func goGuest(t testing.TB, name string) []byte {
	t.Helper()
	all, err := goGuests()
	if err != nil {
		t.Fatal(err)
	}
	return all[name]
}

func TestGoCommand(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, goGuest(t, "command"))
	v.Settings.Env = map[string]string{"COLOR": "blue"}
	random := make(map[string]bool)
	for range 3 {
		e := event()
		e.Path, e.Method, e.Body = "/", "POST", []byte("body")
		res, err := r.Invoke(context.Background(), v, e)
		if err != nil {
			t.Fatalf("Invoke: %v; log %q", err, s.stream(abi.StreamPlatform))
		}
		if string(res.Body) != "BODY f blue" {
			t.Errorf("Body = %q", res.Body)
		}
		random[res.Headers[1].Value] = true
	}
	if len(random) != 3 {
		t.Errorf("random numbers of three instances: %v", random)
	}
	if got := s.stream(abi.StreamStderr); !strings.HasPrefix(got, "slept true, file true|slept true") {
		t.Errorf("stderr = %q", got)
	}
	for _, test := range []struct {
		path   string
		code   abi.Code
		reason string
		stderr string
	}{
		{"/panic", abi.FunctionFailed, "exit code 2", "panic: boom"},
		{"/exit", abi.FunctionFailed, "exit code 3", ""},
		{"/deadlock", abi.FunctionFailed, "exit code 2", "deadlock"},
		{"/memory", abi.FunctionFailed, "memory limit of 16 MB was hit: exit code 2", "out of memory"},
		{"/flood", abi.FunctionFailed, "standard output is over the limit", ""},
		{"/sleep", abi.Timeout, "timeout", ""},
		{"/loop", abi.Timeout, "timeout", ""},
	} {
		s.lines = nil
		v.Settings.TimeoutMS, v.Settings.MemoryMB = 20_000, 16
		if test.code == abi.Timeout {
			v.Settings.TimeoutMS = 200
		}
		e := event()
		e.Path = test.path
		_, err := r.Invoke(context.Background(), v, e)
		if abi.CodeOf(err) != test.code || !strings.Contains(s.stream(abi.StreamPlatform), test.reason) ||
			!strings.Contains(s.stream(abi.StreamStderr), test.stderr) {
			t.Errorf("%s: %v, log %q, stderr %.200q", test.path, err, s.stream(abi.StreamPlatform), s.stream(abi.StreamStderr))
		}
	}
	s.lines = nil
	v.Settings.TimeoutMS = 20_000
	e := event()
	e.Path = "/logs"
	if _, err := r.Invoke(context.Background(), v, e); err != nil {
		t.Fatal(err)
	}
	if got := s.stream(abi.StreamPlatform); !strings.Contains(got, "truncated") || len(s.stream(abi.StreamStderr)) > DefaultLogBytes {
		t.Errorf("100,000 lines leave %d bytes and %q", len(s.stream(abi.StreamStderr)), got)
	}
}

func TestGoReactor(t *testing.T) {
	r, s := open(t, Config{})
	v := deploy(t, r, goGuest(t, "reactor"))
	if d := v.Module.Description; v.Module.Kind != registry.KindSett || d == nil || d.SDK != "test" {
		t.Errorf("Module = %+v", v.Module)
	}
	v.Settings.Env = map[string]string{"COLOR": "blue"}
	for range 3 {
		e := event()
		e.Body = []byte("body")
		res, err := r.Invoke(context.Background(), v, e)
		if err != nil {
			t.Fatalf("Invoke: %v; log %q", err, s.stream(abi.StreamPlatform))
		}
		if res.Status != 201 || string(res.Body) != "blue body" || res.Headers[0].Value != "1" {
			t.Errorf("Reply = %d %v %q, want a first call each time", res.Status, res.Headers, res.Body)
		}
	}
	if got := s.stream(abi.StreamLog); got != "called|called|called" {
		t.Errorf("log = %q", got)
	}
	e := event()
	e.Handler = "panic"
	if _, err := r.Invoke(context.Background(), v, e); abi.CodeOf(err) != abi.FunctionFailed {
		t.Errorf("Invoke of a panic: %v", err)
	}
	if got := s.stream(abi.StreamStderr) + s.stream(abi.StreamPlatform); !strings.Contains(got, "panic: boom") {
		t.Errorf("log of a panic = %q", got)
	}
}
