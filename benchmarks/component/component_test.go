package component

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/benchtest"
	"github.com/sett-run/sett/runtime/wasmtest"
)

// TestMain lets the test binary be the node too.
func TestMain(m *testing.M) { benchtest.Main(m, name, Command) }

func runComponent(t *testing.T, args ...string) (printed, faults string, code int) {
	t.Helper()
	r := benchtest.Run(t, Command, args...)
	return r.Output, r.Faults, r.Code
}

// TestRun checks what is asked and printed; how fast it is depends on the machine.
func TestRun(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	file := filepath.Join(t.TempDir(), "app.wasm")
	if err := os.WriteFile(file, answer("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--rounds", "2", "--requests", "20", "--clients", "2", "--expect", "hello", "--wasmtime", "none", file}
	out, faults, code := runComponent(t, args...)
	if code != 0 {
		t.Fatalf("run() = %d: %s", code, faults)
	}
	for _, want := range []string{"first request after it", "40 requests of each, 2 clients", "none is left out", "component: app.wasm\n", "sett ", "memory KiB"} {
		if !strings.Contains(out, want) {
			t.Errorf("output %q, want %q in it", out, want)
		}
	}
	args[7] = "bye"
	if _, faults, code := runComponent(t, args...); code != 1 || !strings.Contains(faults, `want "bye"`) {
		t.Errorf("run(--expect bye) = %d, %s", code, faults)
	}
	if _, _, code := runComponent(t); code != 2 {
		t.Errorf("run() = %d, want 2", code)
	}
}

// answer is a command that writes a CGI reply with this text: what is asked need not be a component.
func answer(text string) []byte {
	reply := "Content-Type: text/plain\n\n" + text
	var m wasmtest.Module
	fdWrite := m.Import("wasi_snapshot_preview1", "fd_write", "iiii:i")
	m.Memory(0, 1)
	m.Data(64, reply)
	m.Func("_start", "", wasmtest.Write(fdWrite, 1, 64, int32(len(reply))))
	return m.Bytes()
}
