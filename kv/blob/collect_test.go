package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// count is how many chunks there are.
func count(t *testing.T, o *Objects) (n int) {
	t.Helper()
	for first := range 256 {
		all, err := o.chunks.in(byte(first))
		if err != nil {
			t.Fatal(err)
		}
		n += len(all)
	}
	return n
}

// maintain has o maintained for as long as the bubble says.
func maintain(t *testing.T, o *Objects) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { o.Maintain(ctx, func() bool { return true }) })
	return func() { cancel(); running.Wait() }
}

// TestCollect makes chunks that nothing names, in every way there is.
func TestCollect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := withBucket(t)
		defer maintain(t, o)()
		ctx := t.Context()
		put(t, o, "kept", []byte("kept"))
		put(t, o, "replaced", []byte("old"))
		put(t, o, "replaced", []byte("new"))
		put(t, o, "deleted", []byte("deleted"))
		o.Copy(ctx, Copy{Name: pics("copy"), From: pics("deleted")})
		put(t, o, "gone", []byte("gone"))
		o.DeleteMany(ctx, app, "pics", "deleted", "gone")
		o.prepare(ctx, Put{Name: pics("never"), Body: body([]byte("never"))})
		u, _ := o.Create(ctx, pics("late"), About{})
		o.PutPart(ctx, u, 2, body([]byte("late")))
		done, _ := o.Create(ctx, pics("parts"), About{})
		first, _ := o.PutPart(ctx, done, 1, body([]byte("first")))
		o.PutPart(ctx, done, 2, body([]byte("unused")))
		o.Complete(ctx, done, []Part{first}, Condition{})
		aborted, _ := o.Create(ctx, pics("aborted"), About{})
		o.PutPart(ctx, aborted, 1, body([]byte("aborted")))
		o.Abort(ctx, aborted)
		if n := count(t, o); n != 10 {
			t.Fatalf("%d chunks, want 10", n)
		}
		time.Sleep(24 * time.Hour)
		// What is kept: kept, new, copy, late, first.
		if n := count(t, o); n != 5 {
			t.Errorf("after a day there are %d chunks, want 5", n)
		}
		for key, want := range map[string]string{"kept": "kept", "replaced": "new", "copy": "deleted", "parts": "first"} {
			if got := read(t, o, key); string(got) != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		time.Sleep(UploadLife)
		if _, err := o.PutPart(ctx, u, 1, body(nil)); !errors.Is(err, ErrNoUpload) {
			t.Errorf("an upload of 8 days: %v", err)
		}
		o.Delete(ctx, pics("parts"), Condition{})
		time.Sleep(24 * time.Hour)
		if n := count(t, o); n != 3 {
			t.Errorf("after another day there are %d chunks, want 3", n)
		}
		page, err := o.store.List(ctx, op.ObjectsOf(app), op.Query{Prefix: segmentPrefix})
		if err != nil || len(page.Items) != 0 {
			t.Errorf("segments left: %+v, %v", page.Items, err)
		}
		if usage, err := o.Usage(ctx, app, ""); err != nil || usage.Objects != 3 || usage.Bytes != 14 {
			t.Errorf("Usage = %+v, %v", usage, err)
		}
	})
}

// TestReadWhileCollected deletes an object that is being read.
func TestReadWhileCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := withBucket(t)
		defer maintain(t, o)()
		data := noise(1, 2*ChunkBytes)
		put(t, o, "k", data)
		time.Sleep(3 * 24 * time.Hour)
		_, r, err := o.Open(t.Context(), pics("k"))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		o.Delete(t.Context(), pics("k"), Condition{})
		time.Sleep(CollectAfter - time.Minute)
		var got bytes.Buffer
		if _, err := got.ReadFrom(r); err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("read %d bytes, %v", got.Len(), err)
		}
	})
}

// TestSlowPut is one that takes too long.
func TestSlowPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := withBucket(t)
		p, err := o.prepare(t.Context(), Put{Name: pics("k"), Body: body([]byte("x"))})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(MaxPutTime + time.Second)
		if _, err := p.commit(t.Context()); !errors.Is(err, ErrTooSlow) {
			t.Errorf("Commit = %v, want %v", err, ErrTooSlow)
		}
	})
}

// neighbour is another node: a directory of chunks.
type neighbour struct {
	here, there *Chunks
	err         error
}

func (n *neighbour) Spread(ctx context.Context, c Chunk) error {
	if n.err != nil || n.there.Has(c.Digest) {
		return n.err
	}
	return bring(ctx, c, n.here, n.there)
}

func (n *neighbour) Fetch(ctx context.Context, c Chunk, into Sink) error {
	if n.err != nil {
		return n.err
	}
	return bring(ctx, c, n.there, into)
}

func bring(ctx context.Context, c Chunk, from *Chunks, to Sink) error {
	f, err := from.Open(c.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = to.Put(ctx, c.Digest, f)
	return err
}

// pair answers a node with a bucket, and its neighbour.
func pair(t *testing.T) (*Objects, *neighbour) {
	t.Helper()
	there, err := OpenChunks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n := &neighbour{there: there}
	o := open(t, n)
	n.here = o.chunks
	if err := o.CreateBucket(t.Context(), app, Bucket{Name: "pics"}); err != nil {
		t.Fatal(err)
	}
	return o, n
}

// spoil changes a byte of each chunk.
func spoil(t *testing.T, c *Chunks) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(c.dir, "??", "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no chunks to spoil: %v", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		b[len(b)/2] ^= 1
		if err := errors.Join(err, os.WriteFile(name, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTwoCopies(t *testing.T) {
	o, n := pair(t)
	data := noise(1, 3*ChunkBytes+1)
	put(t, o, "k", data)
	for _, c := range []*Chunks{o.chunks, n.there} {
		if names, _ := filepath.Glob(filepath.Join(c.dir, "??", "*")); len(names) != 4 {
			t.Errorf("%d chunks, want 4 on both nodes", len(names))
		}
	}
	n.err = errors.New("the neighbour is away")
	if _, err := o.Put(t.Context(), Put{Name: pics("l"), Body: body(data)}); !errors.Is(err, n.err) {
		t.Errorf("Put without a second copy = %v", err)
	}
	if _, err := o.Head(t.Context(), pics("l")); !errors.Is(err, op.ErrNoObject) {
		t.Errorf("Head = %v", err)
	}
}

// TestOtherNode reads on a node that has nothing.
func TestOtherNode(t *testing.T) {
	o, n := pair(t)
	data := noise(1, ChunkBytes+1)
	put(t, o, "k", data)
	other := openOn(t, o.store, &neighbour{there: n.there})
	if got := read(t, other, "k"); !bytes.Equal(got, data) {
		t.Error("what was read is not what was put")
	}
	if got := count(t, other); got != 2 {
		t.Errorf("%d chunks came, want 2", got)
	}
}

func TestRot(t *testing.T) {
	o, n := pair(t)
	data := noise(1, ChunkBytes+1)
	put(t, o, "k", data)
	spoil(t, o.chunks)
	if got := read(t, o, "k"); !bytes.Equal(got, data) {
		t.Error("what was read is not what was put")
	}
	spoil(t, o.chunks)
	for first := range 256 {
		if err := o.Scrub(t.Context(), byte(first)); err != nil {
			t.Error(err)
		}
	}
	n.err = errors.New("the neighbour is away")
	if got := read(t, o, "k"); !bytes.Equal(got, data) {
		t.Error("scrubbing did not repair")
	}
	spoil(t, o.chunks)
	_, r, err := o.Open(t.Context(), pics("k"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := r.Read(make([]byte, 10)); n != 0 || !errors.Is(err, ErrLost) {
		t.Errorf("Read of a chunk that is lost = %d, %v", n, err)
	}
	put(t, o2(t, o), "k", data) // heals it
	if got := read(t, o, "k"); !bytes.Equal(got, data) {
		t.Error("putting it again did not heal it")
	}
}

// o2 is o without the neighbour.
func o2(t *testing.T, o *Objects) *Objects {
	t.Helper()
	return &Objects{store: o.store, peers: alone{}, chunks: o.chunks, log: o.log, metrics: o.metrics}
}

// TestScrubSpreads loses the second copies.
func TestScrubSpreads(t *testing.T) {
	o, n := pair(t)
	put(t, o, "k", noise(1, ChunkBytes+1))
	os.RemoveAll(n.there.dir)
	there, err := OpenChunks(n.there.dir)
	if err != nil {
		t.Fatal(err)
	}
	n.there = there
	for first := range 256 {
		if err := o.Scrub(t.Context(), byte(first)); err != nil {
			t.Error(err)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(there.dir, "??", "*")); len(names) != 2 {
		t.Errorf("%d second copies, want 2", len(names))
	}
}

// TestHammer has many put, copy, read and delete the same keys.
func TestHammer(t *testing.T) {
	o := withBucket(t)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for n := range 20 {
				key := fmt.Sprint((worker + n) % 3)
				switch (worker + n) % 4 {
				case 0:
					if _, err := o.Delete(t.Context(), pics(key), Condition{}); err != nil && !errors.Is(err, ErrContended) {
						t.Error(err)
					}
				case 1:
					if _, r, err := o.Open(t.Context(), pics(key)); err == nil {
						var b bytes.Buffer
						if _, err := b.ReadFrom(r); err != nil || b.Len() != 100 {
							t.Errorf("read %d bytes, %v", b.Len(), err)
						}
						r.Close()
					}
				default:
					data := bytes.Repeat([]byte{byte(n)}, 100)
					if _, err := o.Put(t.Context(), Put{Name: pics(key), Body: body(data)}); err != nil && !errors.Is(err, ErrContended) {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	page, err := o.List(t.Context(), app, "pics", Query{})
	u, usageErr := o.Usage(t.Context(), app, "pics")
	if err := errors.Join(err, usageErr); err != nil || int(u.Objects) != len(page.Objects) || int(u.Bytes) != 100*len(page.Objects) {
		t.Errorf("%d objects are listed, Usage is %+v, %v", len(page.Objects), u, err)
	}
}
