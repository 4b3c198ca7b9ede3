package blob

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// holds says whether a condition holds of an object; nil: there is none.
func holds(c Condition, m *manifest) error {
	switch {
	case c.Absent && m != nil:
		return fmt.Errorf("it is there: %w", op.ErrPrecondition)
	case c.ETag != "" && m == nil:
		return fmt.Errorf("it is not there: %w: %w", op.ErrPrecondition, op.ErrNoObject)
	case c.ETag != "" && c.ETag != m.ETag:
		return fmt.Errorf("its ETag is %s: %w", m.ETag, op.ErrPrecondition)
	}
	return nil
}

func (m *manifest) info(bucket, key string) Info {
	i := Info{Bucket: bucket, Key: key, ID: m.ID, Size: m.Size, ETag: m.ETag, Modified: time.Unix(0, m.Modified).UTC(), About: m.About}
	if len(m.ETag) > 2*md5.Size {
		i.Parts = len(m.Segments)
	}
	return i
}

// Put keeps an object, replacing what was there. Memory is constant, whatever the body's size. When the error is
// op.ErrUnknown it may have happened, whole.
func (o *Objects) Put(ctx context.Context, p Put) (Info, error) {
	ready, err := o.prepare(ctx, p)
	if err != nil {
		return Info{}, err
	}
	info, err := ready.commit(ctx)
	return info, coded("put object", err)
}

// prepare brings an object's bytes to where Put would have them. Nobody sees it yet, and unless it is committed within
// MaxPutTime nobody ever will.
func (o *Objects) prepare(ctx context.Context, p Put) (*pending, error) {
	err := p.Name.Validate()
	if err == nil {
		err = p.About.Validate()
	}
	if err == nil {
		err = o.early(ctx, p)
	}
	if err != nil {
		return nil, coded("put object", err)
	}
	begun := time.Now()
	w, err := o.write(ctx, p.Body)
	if err != nil {
		return nil, coded("put object", err)
	}
	m := manifest{ID: newID(time.Now()), Size: w.span.Size, ETag: hex.EncodeToString(w.md5), About: p.About, Span: w.span}
	ready := &pending{objects: o, put: p, begun: begun, manifest: m, event: CreatedPut}
	if w.span.count() > maxInline {
		ready.manifest.Source, ready.manifest.Span = m.ID, span{}
		ready.manifest.Segments = []reference{{Size: w.span.Size}}
		ready.segment = &segment{Span: w.span, MD5: w.md5, Put: begun.UnixNano()}
	}
	return ready, nil
}

// early refuses what could not be committed as things are, before the body is read.
func (o *Objects) early(ctx context.Context, p Put) error {
	held := []string{countKey, bytesKey}
	if o.moment != "" {
		held = nil // what an invocation has read must stay as it is, and these change with every object
	}
	now, err := o.lookBeside(ctx, p.Name.App, p.Name.Bucket, []string{p.Name.Key}, held)
	if err != nil {
		return err
	}
	old := now.objects[0]
	if err := holds(p.If, old); err != nil {
		return err
	}
	if now.quota.Bytes != 0 && p.Body.Size > now.quota.Bytes {
		return fmt.Errorf("%d bytes, at most %d are allowed: %w", p.Body.Size, now.quota.Bytes, op.ErrQuota)
	}
	grows := tally{objects: 1, bytes: max(0, p.Body.Size)}
	if old != nil {
		grows = tally{bytes: grows.bytes - old.Size}
	}
	return grows.fits(p.Name.Bucket, now.quota, now.others)
}

// written is a body whose chunks are where they should be.
type written struct {
	span span
	md5  []byte
}

// write keeps the bytes of a body of at most op.MaxObjectPutBytes.
func (o *Objects) write(ctx context.Context, b Body) (w written, err error) {
	if b.Size > op.MaxObjectPutBytes {
		return w, fmt.Errorf("body has %d bytes, at most %d are allowed at once: %w", b.Size, int64(op.MaxObjectPutBytes), op.ErrTooLarge)
	}
	most := int64(op.MaxObjectPutBytes)
	if b.Size >= 0 {
		most = b.Size
	}
	sum := md5.New()
	w.span, err = o.cut(ctx, io.TeeReader(io.LimitReader(b.Reader, most+1), sum))
	w.md5 = sum.Sum(nil)
	switch {
	case err != nil:
		return w, bodyError(ctx, err)
	case w.span.Size > op.MaxObjectPutBytes:
		return w, fmt.Errorf("body has more than %d bytes: %w", int64(op.MaxObjectPutBytes), op.ErrTooLarge)
	case b.Size >= 0 && w.span.Size > b.Size:
		return w, fmt.Errorf("body has more than %d bytes: %w", b.Size, ErrShort)
	case b.Size >= 0 && w.span.Size != b.Size:
		return w, fmt.Errorf("body has %d bytes, not %d: %w", w.span.Size, b.Size, ErrShort)
	case b.MD5 != nil && string(b.MD5) != string(w.md5):
		return w, fmt.Errorf("MD5 is %x, not %x: %w", w.md5, b.MD5, ErrDigest)
	}
	o.metrics.received.Add(float64(w.span.Size))
	return w, nil
}

// bodyError gives the error of a body that broke off a code, unless it has one.
func bodyError(ctx context.Context, err error) error {
	var already *abi.Error
	if ctx.Err() != nil || errors.As(err, &already) || errors.Is(err, ErrLost) {
		return err
	}
	for _, known := range []error{ErrDigest, ErrShort, op.ErrTooLarge} {
		if errors.Is(err, known) {
			return err
		}
	}
	return abi.WithCode(abi.InvalidInput, fmt.Errorf("read body: %w", err))
}

// cut makes chunks of what r holds, here and on another node. While some are on their way to the disks, more are read.
func (o *Objects) cut(ctx context.Context, r io.Reader) (s span, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var under sync.WaitGroup
	room := make(chan struct{}, spreading)
	for {
		var in incoming
		if in, err = o.chunks.receive(ctx, r); err != nil || in.chunk.SizeBytes == 0 {
			break
		}
		digest, _ := hex.DecodeString(in.chunk.Digest) // it is one
		s.Digests = append(s.Digests, digest...)
		s.Size += in.chunk.SizeBytes
		s.Chunk = ChunkBytes
		room <- struct{}{}
		under.Go(func() {
			if err := o.copies(ctx, in); err != nil {
				cancel(err)
			}
			<-room
		})
		if in.chunk.SizeBytes < ChunkBytes {
			break
		}
	}
	under.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return s, err
}

// copies brings a chunk to the disks of this node and of another.
func (o *Objects) copies(ctx context.Context, in incoming) error {
	if err := o.chunks.keep(in); err != nil {
		return err
	}
	if err := o.peers.Spread(ctx, in.chunk); err != nil {
		return abi.WithCode(abi.Unavailable, fmt.Errorf("second copy of chunk %s: %w", in.chunk.Digest, err))
	}
	return nil
}
