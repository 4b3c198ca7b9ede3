package cluster

import (
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/benchtest"
)

// TestMain lets the test binary be the nodes too.
func TestMain(m *testing.M) { benchtest.Main(m, name, Command) }

// TestDeploys checks that deployments are measured and what is printed; how fast anything is depends on the machine.
// That nodes are killed is for the tests of cmd/sett.
func TestDeploys(t *testing.T) {
	r := benchtest.Run(t, Command, "--deploys", "2", "--kills", "0", "--dir", t.TempDir())
	if r.Code != 0 {
		t.Fatalf("run() = %d: %s", r.Code, r.Faults)
	}
	for _, want := range append(parts(), "2 deployments", "deployment beyond compile: median ") {
		if !strings.Contains(r.Output, want) {
			t.Errorf("output %q, want %q in it", r.Output, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{{"--deploys", "-1"}, {"--reads", "0"}, {"--nonsense"}} {
		if r := benchtest.Run(t, Command, args...); r.Code != 2 || r.Faults == "" {
			t.Errorf("run(%q) = %d, %q, want 2 and a reason", args, r.Code, r.Faults)
		}
	}
}

func TestSpread(t *testing.T) {
	s := spread{5, 1, 3, 2, 4}
	if s.median() != 3 || s.worst() != 5 || s.at(0) != 1 || (spread{}).median() != 0 {
		t.Errorf("of %v the least is %v, the median %v, the worst %v", s, s.at(0), s.median(), s.worst())
	}
}
