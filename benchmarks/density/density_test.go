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

func runDensity(t *testing.T, args ...string) (printed, faults string, code int) {
	t.Helper()
	r := benchtest.Run(t, Command, args...)
	return r.Output, r.Faults, r.Code
}

// TestRun checks that every function answers and what is printed; how fast and how large depends on the machine.
func TestRun(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	out, faults, code := runDensity(t, "--functions", "1,60", "--go", "0", "--idle", "1ms")
	if code != 0 {
		t.Fatalf("run() = %d: %s", code, faults)
	}
	for _, want := range []string{"small: 60 functions deployed in ", "1 functions", "60 functions", "first_p99 us", "node KiB", "function KiB"} {
		if !strings.Contains(out, want) {
			t.Errorf("output %q, want %q in it", out, want)
		}
	}
	file := filepath.Join(t.TempDir(), "app.wasm")
	if err := os.WriteFile(file, smallModule(7), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, faults, code := runDensity(t, "--module", file, "--functions", "2", "--idle", "1ms"); code != 0 || !strings.Contains(out, "density: app.wasm\n") {
		t.Errorf("of one module: %d: %s%s", code, out, faults)
	}
	if _, _, code := runDensity(t, "--functions", "0"); code != 2 {
		t.Errorf("run(--functions 0) = %d, want 2", code)
	}
}
