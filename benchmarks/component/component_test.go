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

// TestRun checks what is asked and printed; how fast it is depends on the machine.
func TestRun(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	file := filepath.Join(t.TempDir(), "app.wasm")
	if err := os.WriteFile(file, wasmtest.Answer("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--rounds", "2", "--requests", "20", "--clients", "2", "--expect", "hello", "--wasmtime", "none", file}
	r := benchtest.Run(t, Command, args...)
	if r.Code != 0 {
		t.Fatalf("run() = %d: %s", r.Code, r.Faults)
	}
	for _, want := range []string{"first request after it", "40 requests of each, 2 clients", "none is left out", "component: app.wasm\n", "sett ", "memory KiB"} {
		if !strings.Contains(r.Output, want) {
			t.Errorf("output %q, want %q in it", r.Output, want)
		}
	}
	args[7] = "bye"
	if r := benchtest.Run(t, Command, args...); r.Code != 1 || !strings.Contains(r.Faults, `want "bye"`) {
		t.Errorf("run(--expect bye) = %d, %s", r.Code, r.Faults)
	}
	if r := benchtest.Run(t, Command); r.Code != 2 {
		t.Errorf("run() = %d, want 2", r.Code)
	}
}
