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
	benchtest.Whole(t)
	r := benchtest.Run(t, Command, "--run", "load,failover,lag,inside", "--rounds", "1", "--time", "50ms", "--failovers", "1", "--lags", "2",
		"--only", "128 B", "--dir", t.TempDir(), "--etcd", "no-etcd", "--redis", "no-redis")
	if r.Code != 0 {
		t.Fatalf("run() = %d: %s", r.Code, r.Faults)
	}
	for _, want := range []string{
		"no-etcd is left out", "no-redis is left out", "set 128 B, 128 clients", "get 128 B", "sett x1", "sett x3",
		"until a write is acknowledged, 1 times", "follower behind an acknowledged write", "sett local",
	} {
		if !strings.Contains(r.Output, want) {
			t.Errorf("output %q, want %q in it", r.Output, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "0"}, {"--run", "load,speed"}, {"--nonsense"}} {
		if r := benchtest.Run(t, Command, args...); r.Code != 2 || r.Faults == "" {
			t.Errorf("run(%q) = %d, %q, want 2 and a reason", args, r.Code, r.Faults)
		}
	}
}
