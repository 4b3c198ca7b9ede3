package component

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/wasmtest"
)

// TestMain lets the test binary be the node too.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-serve") {
		main()
	}
	os.Exit(m.Run())
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
	var out, faults strings.Builder
	args := []string{"-rounds", "2", "-requests", "20", "-clients", "2", "-expect", "hello", "-wasmtime", "none", file}
	if code := run(t.Context(), args, &out, &faults); code != 0 {
		t.Fatalf("run() = %d: %s", code, &faults)
	}
	for _, want := range []string{"app.wasm", "first request after it", "40 requests each, 2 clients", "none is not here", "sett "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output %q, want %q in it", &out, want)
		}
	}
	args[7] = "bye"
	if code := run(t.Context(), args, &out, &faults); code != 1 || !strings.Contains(faults.String(), `want "bye"`) {
		t.Errorf("run(-expect bye) = %d, %s", code, &faults)
	}
	if code := run(t.Context(), nil, &out, &faults); code != 2 {
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
