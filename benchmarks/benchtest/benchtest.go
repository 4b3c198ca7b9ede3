// Package benchtest runs sub-commands in tests: Main is their TestMain, Run runs one, Whole skips a test that takes long. Their
// processes, nodes and stores are the test binary with other arguments.
package benchtest

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
)

// Command makes a sub-command.
type Command func(*record.Output) *cobra.Command

// Main is TestMain: it is a node, or the sub-command of this name, if the arguments say so, and runs the tests else.
func Main(m *testing.M, name string, command Command) {
	if code, is := subject.Child(context.Background(), os.Args[1:]); is {
		os.Exit(code)
	}
	if len(os.Args) > 1 && os.Args[1] == name {
		out := &record.Output{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, File: record.New()}
		os.Exit(record.Execute(context.Background(), command(out), os.Args[2:], out))
	}
	os.Exit(m.Run())
}

// Whole skips a test that runs a benchmark from one end to the other, which takes ten seconds and more: .ci/run does it, with
// SETT_TEST_ALL=1.
func Whole(t *testing.T) {
	t.Helper()
	if os.Getenv("SETT_TEST_ALL") == "" || testing.Short() {
		t.Skip("runs a whole benchmark; SETT_TEST_ALL=1 has it run")
	}
}

// Result is what a sub-command came to.
type Result struct {
	Code           int
	Output, Faults string // the table is part of the output
	File           *record.File
}

// Run runs a sub-command.
func Run(t *testing.T, command Command, args ...string) Result {
	t.Helper()
	var stdout, stderr strings.Builder
	out := &record.Output{In: strings.NewReader(""), Out: &stdout, Err: &stderr, File: record.New()}
	code := record.Execute(t.Context(), command(out), args, out)
	out.File.Table(&stdout)
	return Result{code, stdout.String(), stderr.String(), out.File}
}
