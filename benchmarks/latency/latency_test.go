package latency

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/record"
)

const printed = `goos: linux
BenchmarkEngine/tiny/never-reset-2   479772   1000 ns/op   900 ns/answer
BenchmarkEngine/tiny/reset-2         479772   3000 ns/op   1000 ns/answer   0 pages/reset
BenchmarkEngine/c/never-reset-2      1   10000 ns/op   10000 ns/answer
BenchmarkEngine/c/never-reset-2      1   30000 ns/op   30000 ns/answer
BenchmarkEngine/c/never-reset-2      1   20000 ns/op   20000 ns/answer
BenchmarkEngine/c/reset-2            1   40000 ns/op   22000 ns/answer   8.5 pages/reset
BenchmarkEngine/c/stock-2            1   4000000 ns/op
BenchmarkEngine/rust/reset-2         1   40000 ns/op   22000 ns/answer   8 pages/reset
--- SKIP: BenchmarkEngine/rust/never-reset
PASS
`

func TestRead(t *testing.T) {
	f := record.New()
	if err := read(strings.NewReader(printed), f); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[record.Key][]float64{
		{Bench: name, Work: "c", Subject: record.NeverReset, Metric: record.CPU}: {10, 30, 20},
		{Bench: name, Work: "c", Subject: "reset", Metric: answer}:               {22},
		{Bench: name, Work: "c", Subject: "reset", Metric: "pages_count"}:        {8.5},
		{Bench: name, Work: "rust", Subject: "reset", Metric: record.CPU}:        {40},
	} {
		if s := f.Find(k); s == nil || !slices.Equal(s.Samples, want) {
			t.Errorf("%v is %+v, want %v", k, s, want)
		}
	}
	if cpu, waits := overNeverReset(f); math.Abs(cpu-2) > 1e-9 || math.Abs(waits-1.1) > 1e-9 {
		t.Errorf("ratios = %v, %v, want those of c alone: 2, 1.1", cpu, waits)
	}
	for _, bad := range []string{"PASS\n", "BenchmarkEngine/c/reset-2 1 x ns/op\n"} {
		if err := read(strings.NewReader(bad), record.New()); err == nil {
			t.Errorf("read of %q = nil, want an error", bad)
		}
	}
}
