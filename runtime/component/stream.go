package component

import (
	"errors"
	"io"
)

// source is where an input stream comes from. Its end is io.EOF; nothing and no error means nothing yet.
type source interface {
	read(most int) ([]byte, error)
	ready() bool
}

// sink is where an output stream goes to.
type sink interface {
	room() (int, error)            // how many bytes it takes now
	write(c *Call, b []byte) error // must copy what it keeps
	flush() error
}

// errClosed is what the end of a stream is.
var errClosed = errors.New("the stream is closed")

// streamError is an error of a stream as guests hold it.
type streamError struct{ err error }

func (*streamError) resource() string { return "error" }
func (*streamError) drop(*Call)       {}

// inputStream is wasi:io/streams' input-stream.
type inputStream struct {
	source
	closed bool
}

func (*inputStream) resource() string { return "input-stream" }
func (*inputStream) drop(*Call)       {}

// outputStream is wasi:io/streams' output-stream.
type outputStream struct {
	sink
	closed bool
}

func (*outputStream) resource() string { return "output-stream" }
func (*outputStream) drop(*Call)       {}

// maxRoom is how much a guest may write at once. More has it keep more ready.
const maxRoom = 64 << 10

// buffer is a source of bytes that are all there.
type buffer struct{ b []byte }

func (s *buffer) ready() bool { return true }

func (s *buffer) read(most int) ([]byte, error) {
	if len(s.b) == 0 {
		return nil, io.EOF
	}
	n := min(most, len(s.b))
	b := s.b[:n]
	s.b = s.b[n:]
	return b, nil
}

// writer is a sink that takes everything at once.
type writer struct{ to io.Writer }

func (writer) room() (int, error) { return maxRoom, nil }
func (writer) flush() error       { return nil }

func (w writer) write(_ *Call, b []byte) error {
	_, err := w.to.Write(b)
	return err
}
