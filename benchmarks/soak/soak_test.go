package soak

import (
	"io"
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/benchtest"
	"github.com/sett-run/sett/benchmarks/record"
)

// TestMain lets the test binary be the node too.
func TestMain(m *testing.M) { benchtest.Main(m, name, Command) }

// TestRun soaks a node for a few seconds: everything happens, is counted and right. Nothing can be said of growth.
func TestRun(t *testing.T) {
	benchtest.Whole(t)
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

// TestJudge: what grows by a tenth and more from the second quarter to the last is an error in a long run, as is more on
// disk than was written in every run. What grows in the first quarter alone, or has grown and shrunk again, is none.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		of      func(i int) float64 // the metric at sample i of 40
		metric  record.Metric
		counts  bool
		allowed float64
		want    string // in the error; empty: none
	}{
		"flat":     {func(int) float64 { return 100 }, heap, true, 100, ""},
		"warm":     {func(i int) float64 { return min(float64(i), 10) }, heap, true, 100, ""},
		"saw":      {func(i int) float64 { return 100 + float64(i%5) }, resident, true, 100, ""},
		"grows":    {func(i int) float64 { return 100 + float64(i) }, goroutines, true, 100, "goroutines_count has grown by 17.5 %"},
		"short":    {func(i int) float64 { return 100 + float64(i) }, goroutines, false, 100, ""},
		"kept":     {func(i int) float64 { return float64(i) }, kept, true, 39, ""},
		"too much": {func(i int) float64 { return float64(i) }, kept, false, 38, "39 MiB of disk"},
	} {
		var s series
		for i := range 40 {
			one := sample{taken: map[record.Metric]float64{}}
			for _, l := range limits() {
				one.taken[l.metric] = 1
			}
			one.taken[c.metric] = c.of(i)
			s = append(s, one)
		}
		err := s.judge(io.Discard, c.allowed, c.counts)
		if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: judge = %v, want %q", name, err, c.want)
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
