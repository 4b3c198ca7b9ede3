package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// Output is where a benchmark puts what it finds, and how much of it is asked for.
type Output struct {
	In   io.Reader // of a process that the benchmark is itself: it ends when this does
	Out  io.Writer // for people
	Err  io.Writer
	File *File
	// Small asks for the shortest run that goes everywhere: it shows that everything works, and measures little.
	Small bool
}

// errUsage is the error of arguments that make no sense: the program ends with 2 instead of 1.
var errUsage = errors.New("usage")

// Version notes what a program says of itself, in its first line, or that it is left out, and how to get it, if it is not
// here.
func (o *Output) Version(ctx context.Context, program, get string) (here bool, err error) {
	text, err := exec.CommandContext(ctx, program, "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		o.File.LeftOut[program] = get
		fmt.Fprintf(o.Out, "%s is left out: %s\n", program, get)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s --version: %w", program, err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	o.File.Versions[program] = line
	fmt.Fprintln(o.Out, line)
	return true, nil
}

// Want says whether a figure is what is asked for.
func Want(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISSED"
}
