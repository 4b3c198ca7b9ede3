package density

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/benchtest"
)

// TestMain lets the test binary be the node too.
func TestMain(m *testing.M) { benchtest.Main(m, name, Command) }

// TestRun checks that every function answers and what is printed; how fast and how large depends on the machine.
func TestRun(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	r := benchtest.Run(t, Command, "--functions", "1,60", "--go", "0", "--idle", "1ms")
	if r.Code != 0 {
		t.Fatalf("run() = %d: %s", r.Code, r.Faults)
	}
	for _, want := range []string{"small: 60 functions deployed in ", "1 functions", "60 functions", "first_p99 us", "node KiB", "function KiB"} {
		if !strings.Contains(r.Output, want) {
			t.Errorf("output %q, want %q in it", r.Output, want)
		}
	}
	file := filepath.Join(t.TempDir(), "app.wasm")
	if err := os.WriteFile(file, smallModule(7), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := benchtest.Run(t, Command, "--module", file, "--functions", "2", "--idle", "1ms"); r.Code != 0 || !strings.Contains(r.Output, "density: app.wasm\n") {
		t.Errorf("of one module: %d: %s%s", r.Code, r.Output, r.Faults)
	}
	if r := benchtest.Run(t, Command, "--functions", "0"); r.Code != 2 {
		t.Errorf("run(--functions 0) = %d, want 2", r.Code)
	}
}
