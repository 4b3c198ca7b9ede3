package neighbour

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/benchtest"
	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/runtime/wasmtest"
)

// TestMain lets the test binary be the node too.
func TestMain(m *testing.M) { benchtest.Main(m, name, Command) }

// TestUploading checks that both functions answer while a module is deployed, round by round.
func TestUploading(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.wasm")
	if err := os.WriteFile(file, wasmtest.Answer("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{
		"--upload " + file + " --rounds 2 --requests 3":      0,
		"--upload " + file + ".none --rounds 1 --requests 1": 1, // a module that is not there
		"--rounds 0": 2,
	} {
		r := benchtest.Run(t, Command, strings.Fields(args)...)
		if r.Code != want {
			t.Errorf("neighbour %s = %d, %s, want %d", args, r.Code, r.Faults, want)
		}
		s := r.File.Find(record.Key{Bench: name, Work: "/hello", Subject: "beside a deployment", Metric: record.P99})
		if want == 0 && (s == nil || len(s.Samples) != 2) {
			t.Errorf("neighbour %s measured %+v, want two rounds", args, s)
		}
	}
}
