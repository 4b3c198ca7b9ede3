package blob

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// reader reads an object as it was when it was opened.
type reader struct {
	objects  *Objects
	ctx      context.Context // of Open: a reader is used within one call
	app      string
	manifest *manifest
	offset   int64

	chunk *os.File // holds the byte at offset; nil: none is open
	left  int64    // bytes of chunk from offset on

	segment int  // index of the segment in span, or -1
	span    span // that was used last
}

// Open opens an object, or answers op.ErrNoObject. The reader is used by one goroutine, and closed; what it takes memory
// for is constant. A read's error is coded abi.Unavailable, and wraps ErrLost, when a chunk is whole on no node; ctx ends
// all reads.
func (o *Objects) Open(ctx context.Context, n Name) (Info, io.ReadSeekCloser, error) {
	m, err := o.manifest(ctx, n)
	if err != nil {
		return Info{}, nil, coded("open object", err)
	}
	r := &reader{objects: o, ctx: ctx, app: n.App, manifest: m, segment: -1}
	if len(m.Segments) == 0 {
		r.span = m.Span
	}
	return m.info(n.Bucket, n.Key), r, nil
}

// Read reads on. Bytes come only of chunks that were hashed whole.
func (r *reader) Read(b []byte) (n int, err error) {
	if r.offset >= r.manifest.Size {
		return 0, io.EOF
	}
	if len(b) == 0 {
		return 0, nil
	}
	if err = r.ctx.Err(); err == nil && r.left == 0 {
		err = r.open()
	}
	if err != nil {
		return 0, coded("read object", err)
	}
	n, err = r.chunk.Read(b[:min(int64(len(b)), r.left)])
	r.offset += int64(n)
	r.left -= int64(n)
	r.objects.metrics.sent.Add(float64(n))
	if err != nil {
		return n, coded("read object", fmt.Errorf("read chunk: %w", err))
	}
	return n, nil
}

// Seek says where Read goes on.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.manifest.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning of an object")
	}
	if offset != r.offset {
		r.Close()
		r.offset = offset
	}
	return offset, nil
}

// Part answers where a part of the object is. One that was put at once is one part.
func (r *reader) Part(number int) (first, size int64, ok bool) {
	if len(r.manifest.Segments) == 0 {
		return 0, r.manifest.Size, number == 1
	}
	for i, s := range r.manifest.Segments {
		if i+1 == number {
			return first, s.Size, true
		}
		first += s.Size
	}
	return 0, 0, false
}

// Close frees what the reader holds.
func (r *reader) Close() error {
	if r.chunk != nil {
		r.chunk.Close()
	}
	r.chunk, r.left = nil, 0
	return nil
}

// open opens the chunk that has the byte at the offset.
func (r *reader) open() error {
	r.Close()
	at := r.offset
	for i, s := range r.manifest.Segments {
		if at < s.Size {
			if err := r.load(i); err != nil {
				return err
			}
			break
		}
		at -= s.Size
	}
	c, skip := r.span.at(at)
	f, err := r.objects.open(r.ctx, c)
	if err != nil {
		return err
	}
	if _, err := f.Seek(skip, io.SeekStart); err != nil {
		f.Close()
		return err
	}
	r.chunk, r.left = f, c.SizeBytes-skip
	return nil
}

// load makes a segment's span the one in use.
func (r *reader) load(i int) error {
	if r.segment == i {
		return nil
	}
	key := segmentKey(r.manifest.Source, r.manifest.Segments[i].Number)
	items, err := r.objects.store.GetMany(r.ctx, op.ObjectsOf(r.app), []string{key}, op.Read{})
	if err == nil && items[0].Revision == 0 { // this node may be behind
		items, err = r.objects.store.GetMany(r.ctx, op.ObjectsOf(r.app), []string{key}, op.Read{Consistency: op.Strong})
	}
	if err != nil {
		return err
	}
	if items[0].Revision == 0 {
		return fmt.Errorf("segment %s is gone: %w", key, ErrLost)
	}
	s, err := decodeSegment(items[0].Value)
	if err == nil && s.Span.Size != r.manifest.Segments[i].Size {
		err = errDamaged
	}
	r.span, r.segment = s.Span, i
	return err
}

// at answers the chunk that has the byte at an offset, and how many bytes of it come before.
func (s span) at(offset int64) (c Chunk, skip int64) {
	i := offset / s.Chunk
	return s.chunk(int(i)), offset - i*s.Chunk
}

func (s span) chunk(i int) Chunk {
	digest := s.Digests[i*digestBytes:][:digestBytes]
	return Chunk{Digest: hex.EncodeToString(digest), SizeBytes: min(s.Chunk, s.Size-int64(i)*s.Chunk)}
}

// OpenChunk opens a chunk whose bytes are right, after bringing it here when it is not, or not whole. The error is ErrLost
// when no node has it.
func (o *Objects) OpenChunk(ctx context.Context, c Chunk) (io.ReadCloser, error) {
	f, err := o.open(ctx, c)
	if err != nil {
		return nil, coded("open chunk", err)
	}
	return f, nil
}

func (o *Objects) open(ctx context.Context, c Chunk) (*os.File, error) {
	f, err := o.chunks.verified(c)
	if err == nil {
		return f, nil
	}
	o.noteRot(c, err)
	if fetchErr := o.peers.Fetch(ctx, c, o.chunks); fetchErr != nil {
		if ctx.Err() != nil || abi.CodeOf(fetchErr) == abi.NoSpace {
			return nil, fetchErr
		}
		return nil, fmt.Errorf("%w: %w: %w", ErrLost, err, fetchErr)
	}
	return o.chunks.verified(c)
}

// noteRot tells of a chunk that is not what was written.
func (o *Objects) noteRot(c Chunk, err error) {
	if errors.Is(err, errRotten) {
		o.metrics.rotten.Inc()
		o.log.Error("chunk is damaged", "chunk", c.Digest, "err", err)
	}
}
