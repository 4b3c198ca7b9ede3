package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test binary be the node too.
func TestMain(m *testing.M) {
	if slices.ContainsFunc(os.Args, func(a string) bool { return strings.TrimLeft(a, "-") == "serve" }) {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestUploading checks that both functions answer while a module is deployed, round by round.
func TestUploading(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.wasm")
	if err := os.WriteFile(file, hello(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := measure(plan{upload: file, rounds: 2, requests: 3}); err != nil {
		t.Error(err)
	}
	if err := measure(plan{upload: file + ".none", rounds: 1, requests: 1}); err == nil {
		t.Error("a module that is not there is deployed")
	}
}
