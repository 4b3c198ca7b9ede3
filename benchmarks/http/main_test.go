package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test binary be the servers too.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-serve") {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestRun checks that the comparison runs and what it prints; how fast anything is depends on the machine.
func TestRun(t *testing.T) {
	var out, faults strings.Builder
	if code := run(t.Context(), []string{"-rounds", "2", "-time", "20ms", "-connections", "2", "-guests"}, &out, &faults); code != 0 {
		t.Fatalf("run() = %d: %s", code, &faults)
	}
	for _, want := range []string{"bare req/CPU-s", "sett: bare ", "small: bare ", "median "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output %q, want %q in it", &out, want)
		}
	}
	if code := run(t.Context(), []string{"-rounds", "0"}, &out, &faults); code != 2 {
		t.Errorf("run(-rounds 0) = %d, want 2", code)
	}
}
