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

	"github.com/sett-run/sett/sdk/abi"
)

// Body is bytes that are to be kept.
type Body struct {
	Reader io.Reader // read to its end; an error of it is the call's
	Size   int64     // in bytes, or Unsized
	MD5    []byte    // of all of it; nil: nobody knows
}

// Unsized is the Size of a body that ends where it ends.
const Unsized = -1

// Name is where an object is.
type Name struct {
	App, Bucket, Key string
}

// Put asks for an object.
type Put struct {
	Name
	Body  Body
	About About
	If    Condition
}

// Condition is what must hold of an object, at the moment it is changed. The zero value holds always.
type Condition struct {
	Absent bool   // there is none
	ETag   string // it has this one, without quotes; there must be one
}

// holds says whether a condition holds of an object; nil: there is none.
func (c Condition) holds(m *manifest) error {
	switch {
	case c.Absent && m != nil:
		return fmt.Errorf("it is there: %w", ErrPrecondition)
	case c.ETag != "" && m == nil:
		return fmt.Errorf("it is not there: %w: %w", ErrPrecondition, ErrNoObject)
	case c.ETag != "" && c.ETag != m.ETag:
		return fmt.Errorf("its ETag is %s: %w", m.ETag, ErrPrecondition)
	}
	return nil
}

// Info is what is known of an object beside its bytes.
type Info struct {
	Bucket, Key string
	ID          string // of this put of it; ids of later ones are higher, as far as clocks agree
	Size        int64
	ETag        string // without quotes: MD5 of the bytes, or for an object put in parts, of their MD5s, with their number
	Modified    time.Time
	About       About
	Parts       int // it was put in; 0: at once
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
	prepared, err := o.Prepare(ctx, p)
	if err != nil {
		return Info{}, err
	}
	info, err := prepared.Commit(ctx)
	return info, coded("put object", err)
}

// Prepare brings an object's bytes to where Put would have them. Nobody sees it yet, and unless it is committed within
// MaxPutTime nobody ever will.
func (o *Objects) Prepare(ctx context.Context, p Put) (*Prepared, error) {
	err := validateName(p.App, p.Bucket, p.Key)
	if err == nil {
		err = p.About.validate()
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
	prepared := &Prepared{objects: o, put: p, begun: begun, manifest: m, event: CreatedPut}
	if w.span.count() > maxInline {
		prepared.manifest.Source, prepared.manifest.Span = m.ID, span{}
		prepared.manifest.Segments = []reference{{Size: w.span.Size}}
		prepared.segment = &segment{Span: w.span, MD5: w.md5, Put: begun.UnixNano()}
	}
	return prepared, nil
}

// early refuses what could not be committed as things are, before the body is read.
func (o *Objects) early(ctx context.Context, p Put) error {
	now, err := o.look(ctx, p.App, p.Bucket, p.Key)
	if err != nil {
		return err
	}
	if err := p.If.holds(now.objects[0]); err != nil {
		return err
	}
	if now.quota.Bytes != 0 && p.Body.Size > now.quota.Bytes {
		return fmt.Errorf("%d bytes, at most %d are allowed: %w", p.Body.Size, now.quota.Bytes, ErrQuota)
	}
	return nil
}

// written is a body whose chunks are where they should be.
type written struct {
	span span
	md5  []byte
}

// write keeps the bytes of a body of at most MaxPutBytes.
func (o *Objects) write(ctx context.Context, b Body) (w written, err error) {
	if b.Size > MaxPutBytes {
		return w, fmt.Errorf("body has %d bytes, at most %d are allowed at once: %w", b.Size, int64(MaxPutBytes), ErrTooLarge)
	}
	sum := md5.New()
	w.span, err = o.cut(ctx, io.TeeReader(io.LimitReader(b.Reader, MaxPutBytes+1), sum))
	w.md5 = sum.Sum(nil)
	switch {
	case err != nil:
		return w, bodyError(ctx, err)
	case w.span.Size > MaxPutBytes:
		return w, fmt.Errorf("body has more than %d bytes: %w", int64(MaxPutBytes), ErrTooLarge)
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
	for _, known := range []error{ErrDigest, ErrShort, ErrTooLarge} {
		if errors.Is(err, known) {
			return err
		}
	}
	return abi.WithCode(abi.InvalidInput, fmt.Errorf("read body: %w", err))
}

// cut makes chunks of what r holds, here and on another node.
func (o *Objects) cut(ctx context.Context, r io.Reader) (s span, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var spread sync.WaitGroup
	room := make(chan struct{}, spreading)
	for {
		var c Chunk
		if c, err = o.chunks.write(ctx, r, ""); err != nil || c.SizeBytes == 0 {
			break
		}
		digest, _ := hex.DecodeString(c.Digest) // it is one
		s.Digests = append(s.Digests, digest...)
		s.Size += c.SizeBytes
		s.Chunk = ChunkBytes
		room <- struct{}{}
		spread.Go(func() {
			if err := o.peers.Spread(ctx, c); err != nil {
				cancel(fmt.Errorf("second copy of chunk %s: %w", c.Digest, err))
			}
			<-room
		})
		if c.SizeBytes < ChunkBytes {
			break
		}
	}
	spread.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = abi.WithCode(abi.Unavailable, cause)
		if errors.Is(cause, context.DeadlineExceeded) {
			err = abi.WithCode(abi.Timeout, cause)
		}
	}
	return s, err
}
