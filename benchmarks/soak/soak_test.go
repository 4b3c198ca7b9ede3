package soak

import (
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/benchtest"
)

// TestMain lets the test binary be the node too.
func TestMain(m *testing.M) { benchtest.Main(m, name, Command) }

// TestRun soaks a node for a few seconds: everything happens, is counted and right. Nothing can be said of growth.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts a node")
	}
	r := benchtest.Run(t, Command, "--duration", smallest.String(), "--dir", t.TempDir())
	if r.Code != 0 {
		t.Fatalf("soak = %d: %s", r.Code, r.Faults)
	}
	for _, want := range []string{" 0 failed", "median of", "goroutines", "store/state", "runtime/cache"} {
		if !strings.Contains(r.Output, want) {
			t.Errorf("output %q, want %q in it", r.Output, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{{"--duration", "1s"}, {"--nonsense"}, {"x"}} {
		if r := benchtest.Run(t, Command, args...); r.Code != 2 || r.Faults == "" {
			t.Errorf("soak %q = %d, %q, want 2 and a reason", args, r.Code, r.Faults)
		}
	}
}
