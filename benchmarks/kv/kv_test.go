package kv

import (
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/benchtest"
)

// TestMain lets the test binary be the nodes too.
func TestMain(m *testing.M) { benchtest.Main(m, name, Command) }

// TestRun measures Sett alone, shortly, on one node and on three: what is printed, not how fast anything is.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts groups of processes")
	}
	out, faults, code := runKV(t, "--run", "load,failover,lag,inside", "--rounds", "1", "--time", "50ms", "--failovers", "1", "--lags", "2",
		"--only", "128 B", "--dir", t.TempDir(), "--etcd", "no-etcd", "--redis", "no-redis")
	if code != 0 {
		t.Fatalf("run() = %d: %s", code, faults)
	}
	for _, want := range []string{
		"no-etcd is left out", "no-redis is left out", "set 128 B, 128 clients", "get 128 B", "sett x1", "sett x3",
		"until a write is acknowledged, 1 times", "follower behind an acknowledged write", "sett local",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("output %q, want %q in it", out, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "0"}, {"--run", "load,speed"}, {"--nonsense"}} {
		if _, faults, code := runKV(t, args...); code != 2 || faults == "" {
			t.Errorf("run(%q) = %d, %q, want 2 and a reason", args, code, faults)
		}
	}
}

func runKV(t *testing.T, args ...string) (printed, faults string, code int) {
	t.Helper()
	r := benchtest.Run(t, Command, args...)
	return r.Output, r.Faults, r.Code
}
