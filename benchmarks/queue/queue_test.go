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
	if testing.Short() {
		t.Skip("starts groups of processes")
	}
	for _, redis := range []string{"redis-server", "no-redis"} {
		out, faults, code := runQueue(t, "--rounds", "1", "--time", "50ms", "--clients", "2", "--dir", t.TempDir(), "--redis", redis)
		if code != 0 {
			t.Fatalf("run() = %d: %s", code, faults)
		}
		for _, want := range []string{"queue: batches of 1\n", "queue: batches of 10\n", "queue: batches of 100\n", "sett x1", "sett x3", "messages 1/s"} {
			if !strings.Contains(out, want) {
				t.Errorf("output %q, want %q in it", out, want)
			}
		}
		if left, compared := strings.Contains(out, redis+" is left out"), strings.Contains(out, "sett x1 / redis"); left == compared {
			t.Errorf("output %q: Redis is left out: %v, compared with: %v", out, left, compared)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "0"}, {"--clients", "0"}, {"--bytes", "0"}, {"--nonsense"}} {
		if _, faults, code := runQueue(t, args...); code != 2 || faults == "" {
			t.Errorf("run(%q) = %d, %q, want 2 and a reason", args, code, faults)
		}
	}
}

func runQueue(t *testing.T, args ...string) (printed, faults string, code int) {
	t.Helper()
	r := benchtest.Run(t, Command, args...)
	return r.Output, r.Faults, r.Code
}
