package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/record"
)

// written writes the file of a run in which a request takes Sett so many times what it takes the ceiling.
func written(t *testing.T, name string, times float64) string {
	t.Helper()
	f := record.New()
	for i := range 8 {
		noise := 1 + float64(i)/100
		f.Add(record.Key{Bench: "http", Work: "hello", Subject: "fasthttp", Metric: record.CPU}, 10*noise)
		f.Add(record.Key{Bench: "http", Work: "hello", Subject: "sett go", Metric: record.CPU}, 10*noise*times*(1+float64(i%2)/1000))
	}
	file := filepath.Join(t.TempDir(), name)
	if err := f.Write(file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCompare(t *testing.T) {
	old, worse := written(t, "old.json", 3), written(t, "new.json", 4)
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{old, old}, 0, "~"},
		{[]string{old, worse}, 0, "worse"},
		{[]string{old, worse, "--fail-above", "50"}, 0, "+33.3%"},
		{[]string{old, worse, "--fail-above", "20"}, 1, "http/hello/sett go/cpu_us is 33% more than it was, over the limit of 20%"},
		{[]string{worse, old, "--fail-above", "20"}, 0, "better"},
		{[]string{old}, 2, "accepts 2 arg(s)"},
		{[]string{old, "missing.json"}, 1, "missing.json"},
	} {
		out, faults, code := runBenchmarks(t, append([]string{"compare"}, test.args...)...)
		if code != test.code || !strings.Contains(out+faults, test.want) {
			t.Errorf("compare %q ends with %d and says %s%s, want %d and %q", test.args, code, out, faults, test.code, test.want)
		}
	}
}
