package neighbour

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
)

// TestMain lets the test binary be the node too.
func TestMain(m *testing.M) {
	if code, is := subject.Child(context.Background(), os.Args[1:]); is {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestUploading checks that both functions answer while a module is deployed, round by round.
func TestUploading(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.wasm")
	if err := os.WriteFile(file, hello(), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{
		"--upload " + file + " --rounds 2 --requests 3":      0,
		"--upload " + file + ".none --rounds 1 --requests 1": 1, // a module that is not there
		"--rounds 0": 2,
	} {
		var stdout, stderr strings.Builder
		out := &record.Output{In: strings.NewReader(""), Out: &stdout, Err: &stderr, File: record.New()}
		if code := record.Execute(t.Context(), Command(out), strings.Fields(args), out); code != want {
			t.Errorf("neighbour %s = %d, %s, want %d", args, code, &stderr, want)
		}
		s := out.File.Find(record.Key{Bench: name, Work: "/hello", Subject: "beside a deployment", Metric: record.P99})
		if want == 0 && (s == nil || len(s.Samples) != 2) {
			t.Errorf("neighbour %s measured %+v, want two rounds", args, s)
		}
	}
}
