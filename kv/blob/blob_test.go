package blob

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

const app = "shop"

func open(t *testing.T, peers Peers) *Objects {
	t.Helper()
	return openOn(t, new(op.Memory), peers)
}

func openOn(t *testing.T, s Store, peers Peers) *Objects {
	t.Helper()
	o, err := Open(Config{Dir: t.TempDir(), Store: s, Peers: peers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// withBucket opens objects with a bucket "pics" that tells of events.
func withBucket(t *testing.T) *Objects {
	t.Helper()
	o := open(t, nil)
	if err := o.CreateBucket(t.Context(), app, Bucket{Name: "pics", Events: true}); err != nil {
		t.Fatal(err)
	}
	return o
}

func pics(key string) Name { return Name{App: app, Bucket: "pics", Key: key} }

func body(data []byte) Body { return Body{Reader: bytes.NewReader(data), Size: int64(len(data))} }

func put(t *testing.T, o *Objects, key string, data []byte) Info {
	t.Helper()
	i, err := o.Put(t.Context(), Put{Name: pics(key), Body: body(data)})
	if err != nil {
		t.Fatalf("Put(%q) = %v", key, err)
	}
	return i
}

func read(t *testing.T, o *Objects, key string) []byte {
	t.Helper()
	_, r, err := o.Open(t.Context(), pics(key))
	if err != nil {
		t.Fatalf("Open(%q) = %v", key, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %q: %v", key, err)
	}
	return b
}

// noise answers n bytes that are the same each time.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func TestPutAndRead(t *testing.T) {
	o := withBucket(t)
	for _, size := range []int{0, 1, ChunkBytes - 1, ChunkBytes, ChunkBytes + 1, 3*ChunkBytes + 17} {
		data := noise(1, size)
		i := put(t, o, "a/b", data)
		if want := fmt.Sprintf("%x", md5.Sum(data)); i.ETag != want || i.Size != int64(size) {
			t.Errorf("Put of %d bytes = %+v, want the ETag %s", size, i, want)
		}
		if got := read(t, o, "a/b"); !bytes.Equal(got, data) {
			t.Errorf("read %d bytes, want the %d that were put", len(got), size)
		}
		if head, err := o.Head(t.Context(), pics("a/b")); err != nil || head.ID != i.ID || head.ETag != i.ETag || !head.Modified.Equal(i.Modified) {
			t.Errorf("Head = %+v, %v, want %+v", head, err, i)
		}
	}
	u, err := o.Usage(t.Context(), app, "")
	if err != nil || u.Objects != 1 || u.Bytes != 3*ChunkBytes+17 {
		t.Errorf("Usage = %+v, %v, want the last put alone", u, err)
	}
}

// TestLarge puts an object whose chunks do not fit into its manifest, all of them the same.
func TestLarge(t *testing.T) {
	o := withBucket(t)
	const size = (maxInline+1)*ChunkBytes + 5
	i, err := o.Put(t.Context(), Put{Name: pics("big"), Body: Body{Reader: io.LimitReader(zeros{}, size), Size: op.Unsized}})
	if err != nil || i.Size != size || i.Parts != 0 {
		t.Fatalf("Put = %+v, %v", i, err)
	}
	_, r, err := o.Open(t.Context(), pics("big"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); err != nil || n != size {
		t.Errorf("read %d bytes, %v, want %d", n, err, size)
	}
	if _, err := o.Copy(t.Context(), Copy{Name: pics("copy"), From: pics("big")}); err != nil {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestSeek(t *testing.T) {
	o := withBucket(t)
	data := noise(2, 2*ChunkBytes+100)
	put(t, o, "k", data)
	_, r, err := o.Open(t.Context(), pics("k"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, at := range []int64{0, 5, ChunkBytes - 3, ChunkBytes, 2*ChunkBytes + 99, 7, int64(len(data)), int64(len(data)) + 5} {
		if n, err := r.Seek(at, io.SeekStart); n != at || err != nil {
			t.Fatalf("Seek(%d) = %d, %v", at, n, err)
		}
		got := make([]byte, 10)
		n, err := io.ReadFull(r, got)
		want := data[min(at, int64(len(data))):min(at+10, int64(len(data)))]
		if !bytes.Equal(got[:n], want) || (err == nil) != (n == 10) {
			t.Errorf("at %d read %x, %v, want %x", at, got[:n], err, want)
		}
	}
	if n, err := r.Seek(-5, io.SeekEnd); n != int64(len(data))-5 || err != nil {
		t.Errorf("Seek from the end = %d, %v", n, err)
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("Seek before the beginning succeeds")
	}
}

func TestConditions(t *testing.T) {
	o := withBucket(t)
	tag := put(t, o, "k", []byte("one")).ETag
	for _, tt := range []struct {
		key  string
		c    Condition
		want error
	}{
		{"k", Condition{Absent: true}, op.ErrPrecondition},
		{"new", Condition{Absent: true}, nil},
		{"k", Condition{ETag: "other"}, op.ErrPrecondition},
		{"absent", Condition{ETag: tag}, op.ErrNoObject},
		{"k", Condition{ETag: tag}, nil},
	} {
		_, err := o.Put(t.Context(), Put{Name: pics(tt.key), Body: body([]byte("two")), If: tt.c})
		if !errors.Is(err, tt.want) {
			t.Errorf("Put(%q, %+v) = %v, want %v", tt.key, tt.c, err, tt.want)
		}
		if _, err := o.Delete(t.Context(), pics(tt.key), tt.c); tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("Delete(%q, %+v) = %v, want %v", tt.key, tt.c, err, tt.want)
		}
	}
}

// TestConditionAtCommit has another put come while the body is read.
func TestConditionAtCommit(t *testing.T) {
	o := withBucket(t)
	p, err := o.prepare(t.Context(), Put{Name: pics("k"), Body: body([]byte("late")), If: Condition{Absent: true}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, o, "k", []byte("early"))
	if _, err := p.commit(t.Context()); !errors.Is(err, op.ErrPrecondition) {
		t.Errorf("Commit = %v, want %v", err, op.ErrPrecondition)
	}
	if got := read(t, o, "k"); string(got) != "early" {
		t.Errorf("object is %q, want the one that came first", got)
	}
}

func TestRefusals(t *testing.T) {
	o := withBucket(t)
	big := strings.Repeat("x", op.MaxObjectMetadataBytes)
	for name, tt := range map[string]struct {
		put  Put
		want error
		code abi.Code
	}{
		"no bucket":     {Put{Name: Name{App: app, Bucket: "none", Key: "k"}}, op.ErrNoBucket, abi.NotFound},
		"bucket's name": {Put{Name: Name{App: app, Bucket: "No", Key: "k"}}, op.ErrInvalid, abi.InvalidInput},
		"app's name":    {Put{Name: Name{App: "$sett", Bucket: "pics", Key: "k"}}, op.ErrInvalid, abi.InvalidInput},
		"empty key":     {Put{Name: pics("")}, op.ErrInvalid, abi.InvalidInput},
		"zero byte":     {Put{Name: pics("a\x00b")}, op.ErrInvalid, abi.InvalidInput},
		"no UTF-8":      {Put{Name: pics("\xff")}, op.ErrInvalid, abi.InvalidInput},
		"long key":      {Put{Name: pics(strings.Repeat("k", op.MaxObjectKeyBytes+1))}, op.ErrTooLarge, abi.TooLarge},
		"large body":    {Put{Name: pics("k"), Body: Body{Reader: zeros{}, Size: op.MaxObjectPutBytes + 1}}, op.ErrTooLarge, abi.TooLarge},
		"metadata":      {Put{Name: pics("k"), About: About{Metadata: map[string]string{"k": big}}}, op.ErrTooLarge, abi.TooLarge},
		"headers":       {Put{Name: pics("k"), About: About{Headers: Headers{ContentType: big + big + "x"}}}, op.ErrTooLarge, abi.TooLarge},
		"short body":    {Put{Name: pics("k"), Body: Body{Reader: strings.NewReader("abc"), Size: 4}}, ErrShort, abi.InvalidInput},
		"wrong MD5":     {Put{Name: pics("k"), Body: Body{Reader: strings.NewReader("abc"), Size: 3, MD5: make([]byte, 16)}}, ErrDigest, abi.InvalidInput},
		"broken body":   {Put{Name: pics("k"), Body: Body{Reader: io.MultiReader(strings.NewReader("abc"), broken{}), Size: 4}}, errBroken, abi.InvalidInput},
	} {
		if tt.put.Body.Reader == nil {
			tt.put.Body = body([]byte("x"))
		}
		if _, err := o.Put(t.Context(), tt.put); !errors.Is(err, tt.want) || abi.CodeOf(err) != tt.code {
			t.Errorf("%s: Put = %v (%s), want %v (%s)", name, err, abi.CodeOf(err), tt.want, tt.code)
		}
	}
	if _, err := o.Head(t.Context(), pics("k")); !errors.Is(err, op.ErrNoObject) {
		t.Errorf("Head of what was refused = %v, want %v", err, op.ErrNoObject)
	}
	exact := About{Metadata: map[string]string{"k": big[1:]}}
	if _, err := o.Put(t.Context(), Put{Name: pics(strings.Repeat("k", op.MaxObjectKeyBytes)), Body: body(nil), About: exact}); err != nil {
		t.Errorf("Put at the limits = %v", err)
	}
}

type broken struct{}

var errBroken = errors.New("broke off")

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestBuckets(t *testing.T) {
	o := withBucket(t)
	ctx := t.Context()
	if err := o.CreateBucket(ctx, app, Bucket{Name: "pics"}); !errors.Is(err, op.ErrBucketExists) || abi.CodeOf(err) != abi.Conflict {
		t.Errorf("CreateBucket again = %v, want %v", err, op.ErrBucketExists)
	}
	if err := o.CreateBucket(ctx, "other", Bucket{Name: "pics"}); err != nil {
		t.Errorf("another app's bucket of the same name: %v", err)
	}
	put(t, o, "k", []byte("x"))
	if err := o.DeleteBucket(ctx, app, "pics"); !errors.Is(err, op.ErrNotEmpty) {
		t.Errorf("DeleteBucket = %v, want %v", err, op.ErrNotEmpty)
	}
	if found, err := o.Delete(ctx, pics("k"), Condition{}); !found || err != nil {
		t.Errorf("Delete = %t, %v", found, err)
	}
	if found, err := o.Delete(ctx, pics("k"), Condition{}); found || err != nil {
		t.Errorf("Delete again = %t, %v", found, err)
	}
	if err := o.DeleteBucket(ctx, app, "pics"); err != nil {
		t.Error(err)
	}
	if _, err := o.Bucket(ctx, app, "pics"); !errors.Is(err, op.ErrNoBucket) {
		t.Errorf("Bucket = %v, want %v", err, op.ErrNoBucket)
	}
	if all, err := o.Buckets(ctx, "other"); err != nil || len(all) != 1 || all[0].Name != "pics" {
		t.Errorf("Buckets = %+v, %v", all, err)
	}
	for name, ok := range map[string]bool{"abc": true, "a-b.c1": true, "ab": false, "a..b": false, "-ab": false, "ab-": false,
		"10.0.0.1": false, "A-b": false, strings.Repeat("a", 63): true, strings.Repeat("a", 64): false} {
		if err := op.ValidateBucket(name); (err == nil) != ok {
			t.Errorf("op.ValidateBucket(%q) = %v", name, err)
		}
	}
}

func TestCopy(t *testing.T) {
	o := withBucket(t)
	ctx := t.Context()
	about := About{Headers: Headers{ContentType: "text/plain"}, Metadata: map[string]string{"by": "me"}}
	i, err := o.Put(ctx, Put{Name: pics("a"), Body: body([]byte("bytes")), About: about})
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.Copy(ctx, Copy{Name: pics("b"), From: pics("a"), FromTag: i.ETag})
	if err != nil || c.ETag != i.ETag || c.About.Metadata["by"] != "me" || c.ID == i.ID {
		t.Errorf("Copy = %+v, %v", c, err)
	}
	o.Delete(ctx, pics("a"), Condition{})
	if got := read(t, o, "b"); string(got) != "bytes" {
		t.Errorf("copy is %q", got)
	}
	c, err = o.Copy(ctx, Copy{Name: pics("b"), From: pics("b"), About: &About{}})
	if err != nil || len(c.About.Metadata) != 0 {
		t.Errorf("Copy to itself = %+v, %v", c, err)
	}
	if _, err := o.Copy(ctx, Copy{Name: pics("c"), From: pics("b"), FromTag: "x"}); !errors.Is(err, op.ErrPrecondition) {
		t.Errorf("Copy of another ETag = %v", err)
	}
	if _, err := o.Copy(ctx, Copy{Name: pics("c"), From: pics("a")}); !errors.Is(err, op.ErrNoObject) {
		t.Errorf("Copy of none = %v", err)
	}
	if _, err := o.Copy(ctx, Copy{Name: Name{App: "other", Bucket: "pics", Key: "c"}, From: pics("b")}); !errors.Is(err, op.ErrInvalid) {
		t.Errorf("Copy across apps = %v", err)
	}
}

func TestQuota(t *testing.T) {
	o := withBucket(t)
	ctx := t.Context()
	if err := o.SetQuota(ctx, app, Quota{Objects: 2, Bytes: 10}); err != nil {
		t.Fatal(err)
	}
	put(t, o, "a", []byte("12345"))
	try := func(key, data string) error {
		_, err := o.Put(ctx, Put{Name: pics(key), Body: Body{Reader: strings.NewReader(data), Size: op.Unsized}})
		return err
	}
	if err := try("b", "123456"); !errors.Is(err, op.ErrQuota) || abi.CodeOf(err) != abi.NoSpace {
		t.Errorf("Put over the bytes = %v", err)
	}
	if err := try("a", "1234567890"); err != nil {
		t.Errorf("Put in the place of another = %v", err)
	}
	if err := errors.Join(try("a", "1"), try("b", "2")); err != nil {
		t.Error(err)
	}
	if err := try("c", "3"); !errors.Is(err, op.ErrQuota) {
		t.Errorf("Put over the objects = %v", err)
	}
	u, err := o.Create(ctx, pics("d"), About{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.PutPart(ctx, u, 1, body([]byte("12345678"))); err != nil {
		t.Error(err)
	}
	if _, err := o.PutPart(ctx, u, 2, body([]byte("1"))); !errors.Is(err, op.ErrQuota) {
		t.Errorf("part over the bytes = %v", err)
	}
	if err := errors.Join(o.Abort(ctx, u), try("a", "12345678")); err != nil {
		t.Errorf("after the abort: %v", err)
	}
	if err := o.SetQuota(ctx, app, Quota{Objects: 1, Bytes: 1}); err != nil {
		t.Fatal(err)
	}
	if err := try("a", "1234"); err != nil {
		t.Errorf("Put that makes the app smaller = %v", err)
	}
	usage, err := o.Usage(ctx, app, "pics")
	if err != nil || usage.Objects != 2 || usage.Bytes != 5 || usage.Quota.Bytes != 1 {
		t.Errorf("Usage = %+v, %v", usage, err)
	}
}

// unread is a body that nobody has a reason to read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Helper()
	u.t.Error("the body is read")
	return 0, errBroken
}

// TestEarly refuses what does not fit before it takes disk: nothing is read of it, or of one that lies no more than it said.
func TestEarly(t *testing.T) {
	o := withBucket(t)
	ctx := t.Context()
	if err := o.SetQuota(ctx, app, Quota{Objects: 1, Bytes: 10}); err != nil {
		t.Fatal(err)
	}
	put(t, o, "a", []byte("12345"))
	try := func(key string, size int64) error {
		_, err := o.Put(ctx, Put{Name: pics(key), Body: Body{Reader: unread{t}, Size: size}})
		return err
	}
	u, err := o.Create(ctx, pics("parts"), About{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.PutPart(ctx, u, 1, body([]byte("1234"))); err != nil {
		t.Fatal(err)
	}
	part := func(number int, size int64) error {
		_, err := o.PutPart(ctx, u, number, Body{Reader: unread{t}, Size: size})
		return err
	}
	for name, err := range map[string]error{"an object more": try("b", 0), "one of unknown size": try("b", op.Unsized), "too many bytes": try("a", 7),
		"a part": part(2, 2), "a larger part": part(1, 6)} {
		if !errors.Is(err, op.ErrQuota) {
			t.Errorf("%s: %v, want %v", name, err, op.ErrQuota)
		}
	}
	put(t, o, "a", []byte("123456"))
	if _, err := o.PutPart(ctx, u, 1, body([]byte("4321"))); err != nil {
		t.Errorf("a part of the same size: %v", err)
	}
	lies := strings.NewReader(strings.Repeat("x", 1000))
	if _, err := o.Put(ctx, Put{Name: pics("a"), Body: Body{Reader: lies, Size: 5}}); !errors.Is(err, ErrShort) || lies.Len() != 1000-6 {
		t.Errorf("a body of more than its size: %v, %d bytes are left, want %v and %d", err, lies.Len(), ErrShort, 1000-6)
	}
}

func TestDeleteMany(t *testing.T) {
	o := withBucket(t)
	var keys []string
	for n := range 3*deleted + 1 {
		keys = append(keys, fmt.Sprint(n))
		put(t, o, keys[n], []byte{byte(n)})
	}
	if err := o.DeleteMany(t.Context(), app, "pics", append(keys, "none")...); err != nil {
		t.Error(err)
	}
	if u, err := o.Usage(t.Context(), app, "pics"); err != nil || u.Objects != 0 || u.Bytes != 0 {
		t.Errorf("Usage = %+v, %v, want nothing", u, err)
	}
	if err := o.DeleteMany(t.Context(), app, "pics", make([]string, op.MaxObjectDeletes+1)...); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("DeleteMany of too many = %v", err)
	}
}

func TestCancelled(t *testing.T) {
	o := withBucket(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Put(ctx, Put{Name: pics("k"), Body: body([]byte("x"))}); abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("Put = %v (%s)", err, abi.CodeOf(err))
	}
}

// TestConstantMemory puts and reads an object that is much larger than what is allocated for it.
func TestConstantMemory(t *testing.T) {
	o := withBucket(t)
	const size = 256 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := o.Put(t.Context(), Put{Name: pics("k"), Body: Body{Reader: io.LimitReader(zeros{}, size), Size: size}}); err != nil {
		t.Fatal(err)
	}
	_, r, err := o.Open(t.Context(), pics("k"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); n != size || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if all := after.TotalAlloc - before.TotalAlloc; all > size/8 {
		t.Errorf("%d bytes were allocated in all for an object of %d", all, size)
	}
}

// faulty is a temporary file whose writes or syncs fail.
type faulty struct {
	*os.File
	write, sync error
}

func (f faulty) Write(b []byte) (int, error) {
	if f.write != nil {
		return 0, f.write
	}
	return f.File.Write(b)
}

func (f faulty) Sync() error { return errors.Join(f.sync, f.File.Sync()) }

// TestDiskFails has a disk that is full, or broken.
func TestDiskFails(t *testing.T) {
	o := withBucket(t)
	for _, tt := range []struct {
		faulty
		open error
		code abi.Code
	}{
		{faulty{write: syscall.ENOSPC}, nil, abi.NoSpace},
		{faulty{write: syscall.EIO}, nil, abi.Internal},
		{faulty{sync: syscall.EIO}, nil, abi.Internal},
		{faulty{}, syscall.EDQUOT, abi.NoSpace},
	} {
		o.chunks.create = func(dir string) (file, error) {
			f, err := os.CreateTemp(dir, "*"+partial)
			return faulty{f, tt.write, tt.sync}, errors.Join(err, tt.open)
		}
		_, err := o.Put(t.Context(), Put{Name: pics("k"), Body: body(noise(1, 2*ChunkBytes))})
		if abi.CodeOf(err) != tt.code {
			t.Errorf("%+v: Put = %v (%s), want %s", tt, err, abi.CodeOf(err), tt.code)
		}
		if n := count(t, o); n != 0 {
			t.Errorf("%+v: %d chunks are left", tt, n)
		}
		if left, _ := filepath.Glob(filepath.Join(o.chunks.dir, "*"+partial)); tt.open == nil && len(left) != 0 {
			t.Errorf("%+v: left behind: %q", tt, left)
		}
	}
}

// TestDiskReserve has chunks come to a disk that must not become full, in a body and from another node.
func TestDiskReserve(t *testing.T) {
	full := abi.WithCode(abi.NoSpace, errors.New("little is free"))
	room := 3 * ChunkBytes
	dir := t.TempDir()
	admit := func() error {
		taken := 0
		err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				if info, gone := e.Info(); gone == nil { // it is given its name meanwhile
					taken += int(info.Size())
				}
			}
			return nil
		})
		if err == nil && taken >= room {
			err = full
		}
		return err
	}
	o, err := Open(Config{Dir: dir, Store: new(op.Memory), Admit: admit})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := o.CreateBucket(t.Context(), app, Bucket{Name: "pics"}); err != nil {
		t.Fatal(err)
	}
	put(t, o, "fits", noise(1, ChunkBytes))
	_, err = o.Put(t.Context(), Put{Name: pics("k"), Body: body(noise(2, 5*ChunkBytes))})
	if abi.CodeOf(err) != abi.NoSpace || count(t, o) > 3 {
		t.Errorf("Put = %v, %d chunks, want %s and 3 at most", err, count(t, o), abi.NoSpace)
	}
	room = 0
	data := noise(3, 100)
	digest := fmt.Sprintf("%x", sha256.Sum256(data))
	if _, err := o.Chunks().Put(t.Context(), digest, bytes.NewReader(data)); abi.CodeOf(err) != abi.NoSpace || o.Chunks().Has(digest) {
		t.Errorf("a chunk of another node: %v, want %s", err, abi.NoSpace)
	}
	if got := read(t, o, "fits"); len(got) != ChunkBytes {
		t.Errorf("%d bytes of what was there, want %d", len(got), ChunkBytes)
	}
}

// TestLeftBehind removes what a crash has left, whatever the directory is called.
func TestLeftBehind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data [1] a[b")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "1"+partial), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenChunks(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
