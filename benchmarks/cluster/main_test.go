package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test binary be the nodes too.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-serve") {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestDeploys checks that deployments are measured and what is printed; how fast anything is depends on the machine.
// That nodes are killed is for the tests of cmd/sett.
func TestDeploys(t *testing.T) {
	var out, faults strings.Builder
	if code := run(t.Context(), []string{"-deploys", "2", "-kills", "0", "-dir", t.TempDir()}, strings.NewReader(""), &out, &faults); code != 0 {
		t.Fatalf("run() = %d: %s", code, &faults)
	}
	for _, want := range append(parts(), "2 deployments", "deployment beyond compile: median ") {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output %q, want %q in it", &out, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, args := range [][]string{{"-deploys", "-1"}, {"-reads", "0"}, {"-nonsense"}} {
		var out, faults strings.Builder
		if code := run(t.Context(), args, strings.NewReader(""), &out, &faults); code != 2 || faults.Len() == 0 {
			t.Errorf("run(%q) = %d, %q, want 2 and a reason", args, code, &faults)
		}
	}
}

func TestSpread(t *testing.T) {
	s := spread{5, 1, 3, 2, 4}
	if s.median() != 3 || s.worst() != 5 || s.at(0) != 1 || (spread{}).median() != 0 {
		t.Errorf("of %v the least is %v, the median %v, the worst %v", s, s.at(0), s.median(), s.worst())
	}
}
