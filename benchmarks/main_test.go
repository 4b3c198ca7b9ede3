package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/benchtest"
	"github.com/sett-run/sett/benchmarks/record"
)

// TestMain lets the test binary be the servers and nodes too, which are started as this program with other arguments.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func runBenchmarks(t *testing.T, args ...string) (out, faults string, code int) {
	t.Helper()
	var stdout, stderr strings.Builder
	code = run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return stdout.String(), stderr.String(), code
}

// TestHTTP checks that servers of ours are compared and what is printed and kept; how fast anything is depends on the machine.
func TestHTTP(t *testing.T) {
	benchtest.Whole(t)
	file := filepath.Join(t.TempDir(), "out.json")
	out, faults, code := runBenchmarks(t, "http", "--small", "--pin=false", "--server", "sett go", "--json", file)
	if code != 0 {
		t.Fatalf("run() = %d: %s", code, faults)
	}
	for _, want := range []string{"http: hello\n", "http: hello at 1000/s", "http: json", "http: sha256", "http: kv", "fasthttp ", "sett go "} {
		if !strings.Contains(out, want) {
			t.Errorf("output %q, want %q in it", out, want)
		}
	}
	f, err := record.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := f.Find(record.Key{Bench: "http", Work: "kv", Subject: "sett go", Metric: record.CPU})
	if s == nil || len(s.Samples) != 2 {
		t.Errorf("of %s there is %+v, want two rounds of kv", file, s)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"}, {"http", "--rounds", "0"}, {"http", "--rate", "0"}, {"http", "--server", "iis"}, {"http", "--work", "sleep"}, {"http", "x"},
		{"latency", "--run", "start", "--server", "iis"}, {"latency", "--run", "guess"}, {"latency", "--rounds", "0"},
	} {
		if _, faults, code := runBenchmarks(t, args...); code != 2 || faults == "" {
			t.Errorf("run(%q) = %d, %q, want 2 and a reason", args, code, faults)
		}
	}
	if out, _, code := runBenchmarks(t, "help"); code != 0 || !strings.Contains(out, "http") || strings.Contains(out, "\n  serve") {
		t.Errorf("help ends with %d and says %q", code, out)
	}
}
