package queue

import (
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/benchtest"
)

// TestMain lets the test binary be the nodes too.
func TestMain(m *testing.M) { benchtest.Main(m, name, Command) }

// TestRun measures shortly, beside Redis where there is one: what is printed, not how fast anything is.
func TestRun(t *testing.T) {
	benchtest.Whole(t)
	for _, redis := range []string{"redis-server", "no-redis"} {
		r := benchtest.Run(t, Command, "--rounds", "1", "--time", "50ms", "--clients", "2", "--dir", t.TempDir(), "--redis", redis)
		if r.Code != 0 {
			t.Fatalf("run() = %d: %s", r.Code, r.Faults)
		}
		for _, want := range []string{"queue: batches of 1\n", "queue: batches of 10\n", "queue: batches of 100\n", "sett x1", "sett x3", "messages 1/s"} {
			if !strings.Contains(r.Output, want) {
				t.Errorf("output %q, want %q in it", r.Output, want)
			}
		}
		if left, compared := strings.Contains(r.Output, redis+" is left out"), strings.Contains(r.Output, "sett x1 / redis"); left == compared {
			t.Errorf("output %q: Redis is left out: %v, compared with: %v", r.Output, left, compared)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "0"}, {"--clients", "0"}, {"--bytes", "0"}, {"--nonsense"}} {
		if r := benchtest.Run(t, Command, args...); r.Code != 2 || r.Faults == "" {
			t.Errorf("run(%q) = %d, %q, want 2 and a reason", args, r.Code, r.Faults)
		}
	}
}
