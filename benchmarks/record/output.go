package record

import (
	"errors"
	"io"
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

// ErrUsage is the error of arguments that make no sense: the program ends with 2 instead of 1.
var ErrUsage = errors.New("usage")
