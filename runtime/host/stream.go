package host

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// stream is an object that a guest reads or writes, piece by piece.
type stream interface {
	// close frees all that the stream holds. Of a new object that is not committed nothing is left.
	close()
}

// Close closes what the guest has left open. The call is over.
func (c *Call) Close() {
	for _, s := range c.streams {
		s.close()
	}
	c.streams = nil
}

// add gives a stream its number.
func (c *Call) add(s stream) uint32 {
	if c.streams == nil {
		c.streams = make(map[uint32]stream)
	}
	c.lastStream++ // fewer than calls
	c.streams[c.lastStream] = s
	return c.lastStream
}

// fewStreams refuses one stream too many.
func (c *Call) fewStreams() error {
	if len(c.streams) == abi.MaxObjectStreams {
		return fmt.Errorf("%w: %d", abi.ErrObjectStreams, abi.MaxObjectStreams)
	}
	return nil
}

// streamOf answers a stream of a kind.
func streamOf[S stream](c *Call, number uint32) (s S, err error) {
	s, ok := c.streams[number].(S)
	if !ok {
		return s, fmt.Errorf("stream %d: %w", number, abi.ErrNoStream)
	}
	return s, nil
}

// reading is an object that is read.
type reading struct {
	body io.ReadCloser // ends with what cancel ends
	left int64         // bytes that still come
	// cancel ends the reads, all that is to come with the one that runs.
	cancel context.CancelFunc
}

func (r *reading) close() {
	r.cancel()
	r.body.Close()
}

// objectOpen opens an object at the first byte that is asked for.
func objectOpen() Function {
	return objectCall(abi.ImportObjectOpen, func(ctx, call context.Context, c *Call, request, room []byte) ([]byte, error) {
		o, err := abi.DecodeObjectOpen(request)
		if err == nil {
			err = c.fewStreams()
		}
		if err != nil {
			return nil, err
		}
		opened, err := c.open(ctx, call, o)
		if err != nil {
			return nil, err
		}
		return abi.AppendObjectOpened(room, &opened), nil
	})
}

func (c *Call) open(ctx, call context.Context, o abi.ObjectOpen) (opened abi.ObjectOpened, err error) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(call, cancel)
	info, body, err := c.objects().Open(ctx, op.ObjectName{App: c.App, Bucket: o.Bucket, Key: o.Key})
	if err != nil {
		stop()
		cancel()
		return opened, err
	}
	r := &reading{body: body, cancel: cancel}
	opened.Info = info
	if o.ETag != "" && o.ETag != info.ETag {
		err = fmt.Errorf("its ETag is %s: %w", info.ETag, op.ErrPrecondition)
	}
	if err == nil {
		opened.First, opened.Length, err = rangeOf(o, info.Size)
	}
	if err == nil {
		_, err = body.Seek(opened.First, io.SeekStart)
	}
	if !stop() && err == nil {
		err = context.Cause(call)
	}
	if err != nil {
		r.close()
		return opened, err
	}
	r.left, opened.Stream = opened.Length, c.add(r)
	return opened, nil
}

// rangeOf answers which bytes of an object come.
func rangeOf(o abi.ObjectOpen, size int64) (first, length int64, err error) {
	if first = o.First; first < 0 {
		first = max(0, size+first)
	}
	if o.Length < 0 {
		return 0, 0, fmt.Errorf("%d bytes: %w", o.Length, op.ErrInvalid)
	}
	if first >= size && o.First > 0 {
		return 0, 0, fmt.Errorf("byte %d of %d: %w", first, size, abi.ErrNoRange)
	}
	length = size - first
	if o.Length > 0 {
		length = min(length, o.Length)
	}
	return first, length, nil
}

// objectRead answers the next bytes, as many as there is room for, or none at the end. After an error nothing more comes.
func objectRead() Function {
	return objectCall(abi.ImportObjectRead, func(_, call context.Context, c *Call, request, room []byte) ([]byte, error) {
		number, err := abi.DecodeObjectStream(request)
		if err != nil {
			return nil, err
		}
		r, err := streamOf[*reading](c, number)
		if err != nil {
			return nil, err
		}
		return r.read(call, room[:min(int64(cap(room)), r.left, abi.MaxObjectChunkBytes)])
	})
}

func (r *reading) read(call context.Context, room []byte) ([]byte, error) {
	defer context.AfterFunc(call, r.cancel)()
	n, err := io.ReadFull(r.body, room)
	if r.left -= int64(n); err != nil {
		r.cancel()
		return nil, err
	}
	return room, nil
}

// writing is an object that is written. Its put runs beside the guest, and takes one chunk while the next comes.
type writing struct {
	chunks chan []byte
	cancel context.CancelFunc // of the put
	done   chan struct{}      // closed when the put has ended; then there are
	info   op.ObjectInfo
	err    error
}

// body is what the put of a writing reads.
type body struct {
	over   <-chan struct{} // closed when the put is canceled
	chunks <-chan []byte   // closed at the end
	rest   []byte
}

// Read is for io.Reader.
func (b *body) Read(to []byte) (int, error) {
	for len(b.rest) == 0 {
		var more bool
		select {
		case b.rest, more = <-b.chunks:
		case <-b.over:
			return 0, context.Canceled
		}
		if !more {
			return 0, io.EOF
		}
	}
	n := copy(to, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// objectCreate begins a new object. That it cannot be is told then, or when it is written or committed.
func objectCreate() Function {
	return objectCall(abi.ImportObjectCreate, func(ctx, _ context.Context, c *Call, request, room []byte) ([]byte, error) {
		p, err := abi.DecodeObjectCreate(request)
		if err == nil {
			err = c.fewStreams()
		}
		if err != nil {
			return nil, err
		}
		p.Name.App = c.App
		return abi.AppendObjectStream(room, c.add(c.write(ctx, p))), nil
	})
}

// write starts a put, which ends before the stream is closed.
func (c *Call) write(ctx context.Context, p op.ObjectPut) *writing {
	ctx, cancel := context.WithCancel(ctx)
	w := &writing{chunks: make(chan []byte, 1), cancel: cancel, done: make(chan struct{})}
	p.Body.Reader = &body{over: ctx.Done(), chunks: w.chunks}
	objects := c.objects()
	go func() {
		defer close(w.done)
		w.info, w.err = objects.Put(ctx, p)
	}()
	return w
}

func (w *writing) close() {
	w.cancel()
	<-w.done
}

// objectWrite gives a chunk to a new object.
func objectWrite() Function {
	return objectCall(abi.ImportObjectWrite, func(_, call context.Context, c *Call, request, room []byte) ([]byte, error) {
		chunk, err := abi.DecodeObjectWrite(request)
		if err != nil {
			return nil, err
		}
		w, err := streamOf[*writing](c, chunk.Stream)
		if err != nil {
			return nil, err
		}
		return room, w.write(call, chunk.Data)
	})
}

func (w *writing) write(call context.Context, chunk []byte) error {
	select {
	case <-w.done:
		return w.err
	default:
	}
	select {
	case w.chunks <- bytes.Clone(chunk): // the guest's memory is not kept
		return nil
	case <-w.done:
		return w.err
	case <-call.Done():
		return call.Err()
	}
}

// objectCommit ends a new object and answers what it is, once it is visible and durable. The stream is closed then, after
// an error too.
func objectCommit() Function {
	return objectCall(abi.ImportObjectCommit, func(_, call context.Context, c *Call, request, room []byte) ([]byte, error) {
		number, err := abi.DecodeObjectStream(request)
		if err != nil {
			return nil, err
		}
		w, err := streamOf[*writing](c, number)
		if err != nil {
			return nil, err
		}
		delete(c.streams, number)
		close(w.chunks)
		defer w.cancel()
		defer context.AfterFunc(call, w.cancel)()
		if <-w.done; w.err != nil {
			return nil, w.err
		}
		return abi.AppendObjectInfo(room, &w.info), nil
	})
}

// objectClose closes a stream. Of a new object that was not committed nothing is left.
func objectClose() Function {
	return objectCall(abi.ImportObjectClose, func(_, _ context.Context, c *Call, request, room []byte) ([]byte, error) {
		number, err := abi.DecodeObjectStream(request)
		if err != nil {
			return nil, err
		}
		s, err := streamOf[stream](c, number)
		if err != nil {
			return nil, err
		}
		delete(c.streams, number)
		s.close()
		return room, nil
	})
}
