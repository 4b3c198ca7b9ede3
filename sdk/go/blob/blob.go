// Package blob reads and writes objects, files of any size in the buckets of the function's app:
//
//	pics := blob.Bucket("pics")
//	r, err := pics.Get(ctx, "cats/1.jpg")
//	defer r.Close()
//	info, err := pics.Put(ctx, "copies/1.jpg", r, blob.ContentType("image/jpeg"))
//
// Bodies are streams: an object of gigabytes goes through a function of few megabytes. An object is replaced, or goes,
// whole; when Put answers it is on the disks of two nodes, and what is put half, as by a handler that fails, is never seen.
// Buckets are made beforehand, with sett bucket create.
//
// The context's deadline and the invocation's limit a call; cancelling the context while a call runs does not end it,
// since the whole instance waits. What is open when the handler returns is closed, and a Writer that is not committed
// leaves nothing. Errors are told apart with errors.Is. All functions may be called by several goroutines, but a Reader
// and a Writer by one. Outside WebAssembly package settest has buckets for tests. docs/OBJECTS.md says more.
package blob

import (
	"context"
	"io"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Limits. What is over one is refused with ErrTooLarge, a stream too many with ErrStreams.
const (
	MaxKeyBytes      = op.MaxObjectKeyBytes
	MaxPutBytes      = op.MaxObjectPutBytes
	MaxMetadataBytes = op.MaxObjectMetadataBytes // names and values together
	MaxDeletes       = op.MaxObjectDeletes       // keys of Delete
	MaxPage          = op.MaxObjectPage          // objects and prefixes of ListPage
	MaxStreams       = abi.MaxObjectStreams      // Readers and Writers of an invocation that are open
)

// Bucket is a bucket of the function's app.
type Bucket string

// Info is what is known of an object beside its bytes.
type Info = op.ObjectInfo

// Head answers what is known of an object, or ErrNotFound.
func (b Bucket) Head(ctx context.Context, key string) (Info, error) {
	info, err := host.ObjectHead(ctx, string(b), key)
	return info, b.wrap("head", key, err)
}

// Put keeps all that body has as an object, replacing what was there. An error of body is answered as it is, and nothing
// is kept then.
func (b Bucket) Put(ctx context.Context, key string, body io.Reader, options ...PutOption) (Info, error) {
	if sized, ok := body.(interface{ Len() int }); ok {
		options = append([]PutOption{Size(sized.Len())}, options...)
	}
	w, err := b.Create(ctx, key, options...)
	if err != nil {
		return Info{}, err
	}
	defer w.Close()
	if _, err := io.Copy(w, body); err != nil {
		return Info{}, err
	}
	return w.Commit()
}

// Copy keeps an object as another one of the app is, without its bytes passing through the function. Content type, headers
// and metadata are the source's, unless some are given.
func (b Bucket) Copy(ctx context.Context, key string, from Source, options ...PutOption) (Info, error) {
	var p op.ObjectPut
	for _, option := range options {
		option.put(&p)
	}
	c := op.ObjectCopy{Name: op.ObjectName{Bucket: string(b), Key: key}, From: op.ObjectName{Bucket: string(from.Bucket), Key: from.Key},
		FromTag: from.ETag, If: p.If}
	if p.About.Headers != (Headers{}) || p.About.Metadata != nil {
		c.About = &p.About
	}
	info, err := host.ObjectCopy(ctx, &c)
	return info, b.wrap("copy", key, err)
}

// Source is an object that is copied.
type Source struct {
	Bucket Bucket
	Key    string
	ETag   string // that it must have; empty: any
}

// Delete deletes up to MaxDeletes objects. One that is not there is no error. Of several, some may be gone after an error.
func (b Bucket) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := host.ObjectDelete(ctx, &abi.ObjectDelete{Bucket: string(b), Keys: keys})
	return b.wrap("delete", keys[0], err)
}

// DeleteIf deletes an object if it has an ETag, or else answers ErrPrecondition.
func (b Bucket) DeleteIf(ctx context.Context, key, etag string) error {
	_, err := host.ObjectDelete(ctx, &abi.ObjectDelete{Bucket: string(b), Keys: []string{key}, ETag: etag})
	return b.wrap("delete", key, err)
}

func (b Bucket) wrap(verb, key string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{"object " + string(b) + "/" + key + ": " + verb + ": " + err.Error(), err}
}

// Headers are HTTP headers that are kept with an object and come back with it.
type Headers = op.ObjectHeaders

// PutOption says more of an object that is put.
type PutOption interface {
	put(p *op.ObjectPut)
}

// ContentType is an object's media type, such as image/png.
type ContentType string

func (c ContentType) put(p *op.ObjectPut) { p.About.Headers.ContentType = string(c) }

// WithHeaders are all headers of an object; a ContentType stands after them.
func WithHeaders(h Headers) PutOption { return headers(h) }

type headers Headers

func (h headers) put(p *op.ObjectPut) { p.About.Headers = Headers(h) }

// Metadata is an object's own. Names are in lower case.
type Metadata map[string]string

func (m Metadata) put(p *op.ObjectPut) { p.About.Metadata = m }

// Size is how many bytes the body has. Put finds out by itself where it can, as of a bytes.Reader; one with more or fewer
// is refused with ErrInvalid.
type Size int64

func (s Size) put(p *op.ObjectPut) { p.Body.Size = int64(s) }

// IfAbsent is the condition that there is no object of the key, HTTP's If-None-Match: *.
const IfAbsent absent = true

type absent bool

func (a absent) put(p *op.ObjectPut) { p.If.Absent = bool(a) }

// IfMatch is the condition that the object has this ETag, as Info has it.
type IfMatch string

func (e IfMatch) put(p *op.ObjectPut) { p.If.ETag = string(e) }

func (e IfMatch) get(o *abi.ObjectOpen) { o.ETag = string(e) }

// GetOption says more of what is read.
type GetOption interface {
	get(o *abi.ObjectOpen)
}

type span struct{ first, length int64 }

func (s span) get(o *abi.ObjectOpen) { o.First, o.Length = s.first, s.length }

// Range asks for length bytes from the one with the number first on, or as many as there are; a length of 0 is all of
// them. When there are none, and first is not 0, the error is ErrRange.
func Range(first, length int64) GetOption { return span{max(0, first), length} }

// Last asks for the last length bytes, or all when there are fewer; length is 1 at least.
func Last(length int64) GetOption { return span{-max(1, length), 0} }
