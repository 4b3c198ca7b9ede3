package main

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test binary be the node too.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-serve") {
		main()
	}
	os.Exit(m.Run())
}

// TestRun checks that every function answers and what is printed; how fast and how large depends on the machine.
func TestRun(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	var out, faults strings.Builder
	if code := run(t.Context(), []string{"-small", "3", "-go", "0", "-idle", "1ms"}, &out, &faults); code != 0 {
		t.Fatalf("run() = %d: %s", code, &faults)
	}
	if want := "small: 3 functions; first request"; !strings.Contains(out.String(), want) {
		t.Errorf("output %q, want %q in it", &out, want)
	}
	if code := run(t.Context(), []string{"-small", "0"}, &out, &faults); code != 2 {
		t.Errorf("run(-small 0) = %d, want 2", code)
	}
}
