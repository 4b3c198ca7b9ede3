package blob

import (
	"bufio"
	"context"
	"io"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// bufferBytes is what one host call carries, at least, where as much comes. More takes more memory, less more calls.
const bufferBytes = 256 << 10

// Reader reads an object as it was when it was opened. The caller closes it.
type Reader struct {
	Info   Info  // of the whole object
	First  int64 // number of the first byte that comes
	Length int64 // bytes that come

	buffer *bufio.Reader
	source source
}

// source is a stream that the host has.
type source struct {
	ctx    context.Context // of Get: a Reader is used within one invocation
	bucket Bucket
	key    string
	stream uint32
	left   int64
	closed bool
}

// Get opens an object, or a part of it, or answers ErrNotFound.
func (b Bucket) Get(ctx context.Context, key string, options ...GetOption) (*Reader, error) {
	o := abi.ObjectOpen{Bucket: string(b), Key: key}
	for _, option := range options {
		option.get(&o)
	}
	opened, err := host.ObjectOpen(ctx, &o)
	if err != nil {
		return nil, b.wrap("get", key, err)
	}
	r := &Reader{Info: opened.Info, First: opened.First, Length: opened.Length,
		source: source{ctx: ctx, bucket: b, key: key, stream: opened.Stream, left: opened.Length}}
	r.buffer = bufio.NewReaderSize(&r.source, int(min(bufferBytes, opened.Length)))
	return r, nil
}

// Read is for io.Reader. Bytes come only of what is whole, by hash.
func (r *Reader) Read(to []byte) (int, error) { return r.buffer.Read(to) }

// Close frees what the host holds for the reader. It may be called again.
func (r *Reader) Close() error {
	if r.source.closed {
		return nil
	}
	r.source.closed = true
	return r.source.bucket.wrap("close", r.source.key, host.ObjectClose(context.WithoutCancel(r.source.ctx), r.source.stream))
}

// Read is for io.Reader.
func (s *source) Read(to []byte) (int, error) {
	switch {
	case s.closed:
		return 0, s.bucket.wrap("read", s.key, ErrClosed)
	case s.left == 0:
		return 0, io.EOF
	case len(to) == 0:
		return 0, nil
	}
	n, err := host.ObjectRead(s.ctx, s.stream, to)
	if err != nil {
		return 0, s.bucket.wrap("read", s.key, err)
	}
	if n == 0 {
		return 0, s.bucket.wrap("read", s.key, io.ErrUnexpectedEOF) // another host's fault
	}
	s.left -= int64(n)
	return n, nil
}

// Writer writes an object, which is there when it is committed. The caller closes it, after a Commit too.
type Writer struct {
	buffer *bufio.Writer
	sink   sink
}

// sink is a stream that the host has.
type sink struct {
	ctx    context.Context // of Create: a Writer is used within one invocation
	bucket Bucket
	key    string
	stream uint32
	closed bool
}

// Create begins an object. That it cannot be is told then, or by Write or Commit.
func (b Bucket) Create(ctx context.Context, key string, options ...PutOption) (*Writer, error) {
	p := op.ObjectPut{Name: op.ObjectName{Bucket: string(b), Key: key}, Body: op.ObjectBody{Size: op.Unsized}}
	for _, option := range options {
		option.put(&p)
	}
	stream, err := host.ObjectCreate(ctx, &p)
	if err != nil {
		return nil, b.wrap("put", key, err)
	}
	room := bufferBytes
	if p.Body.Size >= 0 {
		room = int(min(bufferBytes, p.Body.Size+1)) // so that io.Copy finds the end in one read
	}
	w := &Writer{sink: sink{ctx: ctx, bucket: b, key: key, stream: stream}}
	w.buffer = bufio.NewWriterSize(&w.sink, room)
	return w, nil
}

// Write is for io.Writer.
func (w *Writer) Write(b []byte) (int, error) { return w.buffer.Write(b) }

// ReadFrom is for io.ReaderFrom.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) { return w.buffer.ReadFrom(onlyReader{r}) }

// onlyReader hides a WriteTo, for which bufio would not fill its buffer.
type onlyReader struct{ io.Reader }

// Commit makes the object visible and answers what it is. When the error is ErrUnknown it may be there, whole.
func (w *Writer) Commit() (Info, error) {
	if err := w.buffer.Flush(); err != nil {
		return Info{}, err
	}
	s := &w.sink
	if s.closed {
		return Info{}, s.bucket.wrap("put", s.key, ErrClosed)
	}
	s.closed = true
	info, err := host.ObjectCommit(s.ctx, s.stream)
	return info, s.bucket.wrap("put", s.key, err)
}

// Close drops what was written, unless it was committed. It may be called again.
func (w *Writer) Close() error {
	s := &w.sink
	if s.closed {
		return nil
	}
	s.closed = true
	return s.bucket.wrap("close", s.key, host.ObjectClose(context.WithoutCancel(s.ctx), s.stream))
}

// Write is for io.Writer.
func (s *sink) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		if s.closed {
			return n, s.bucket.wrap("put", s.key, ErrClosed)
		}
		chunk := b[:min(len(b), abi.MaxObjectChunkBytes)]
		if err := host.ObjectWrite(s.ctx, &abi.ObjectWrite{Stream: s.stream, Data: chunk}); err != nil {
			return n, s.bucket.wrap("put", s.key, err)
		}
		n += len(chunk)
		b = b[len(chunk):]
	}
	return n, nil
}
