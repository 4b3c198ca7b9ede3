package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/blob"
	"github.com/sett-run/sett/sdk/go/internal/host"
	"github.com/sett-run/sett/sdk/go/settest"
)

const pics = blob.Bucket("pics")

func put(t *testing.T, ctx context.Context, key, body string, options ...blob.PutOption) blob.Info {
	t.Helper()
	info, err := pics.Put(ctx, key, strings.NewReader(body), options...)
	if err != nil {
		t.Fatalf("Put(%s): %v", key, err)
	}
	return info
}

func get(t *testing.T, ctx context.Context, key string, options ...blob.GetOption) string {
	t.Helper()
	r, err := pics.Get(ctx, key, options...)
	if err != nil {
		t.Fatalf("Get(%s): %v", key, err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil || int64(len(body)) != r.Length {
		t.Errorf("Get(%s) = %d bytes of %d, %v", key, len(body), r.Length, err)
	}
	return string(body)
}

func TestPutAndGet(t *testing.T) {
	settest.Buckets(t, "pics")
	ctx := settest.Context(t)
	info := put(t, ctx, "a", "hello", blob.ContentType("text/plain"), blob.Metadata{"by": "me"})
	if info.ETag != "5d41402abc4b2a76b9719d911017c592" || info.Size != 5 || info.Key != "a" || info.Bucket != "pics" {
		t.Errorf("Put = %+v", info)
	}
	head, err := pics.Head(ctx, "a")
	if err != nil || head.ID != info.ID || head.About.Headers.ContentType != "text/plain" || head.About.Metadata["by"] != "me" {
		t.Errorf("Head = %+v, %v", head, err)
	}
	for want, option := range map[string]blob.GetOption{"hello": blob.IfMatch(info.ETag), "el": blob.Range(1, 2), "llo": blob.Range(2, 0),
		"lo": blob.Last(2)} {
		if got := get(t, ctx, "a", option); got != want {
			t.Errorf("Get with %+v = %q, want %q", option, got, want)
		}
	}
	long := strings.Repeat("long", 1<<20)
	put(t, ctx, "long", long)
	info, err = pics.Put(ctx, "again", iotest.OneByteReader(strings.NewReader(long[:1000])))
	if err != nil || info.Size != 1000 || get(t, ctx, "again") != long[:1000] || get(t, ctx, "long") != long {
		t.Errorf("Put of a stream = %+v, %v", info, err)
	}
	put(t, ctx, "empty", "", blob.WithHeaders(blob.Headers{CacheControl: "no-store"}), blob.ContentType("x/y"))
	if head, err := pics.Head(ctx, "empty"); err != nil || head.About.Headers != (blob.Headers{CacheControl: "no-store", ContentType: "x/y"}) || get(t, ctx, "empty") != "" {
		t.Errorf("Head = %+v, %v", head, err)
	}
}

// TestSmallReads: a reader of few bytes at a time makes few host calls, and so does a writer.
func TestSmallReads(t *testing.T) {
	w := counting(t.Context())
	out, err := pics.Create(w.ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for range 1 << 20 {
		out.Write([]byte("x"))
	}
	if _, err := out.Commit(); err != nil || w.calls > 6 {
		t.Errorf("1 MiB, byte by byte, is written with %d calls, %v", w.calls, err)
	}
	w.calls = 0
	r, err := pics.Get(w.ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b [1]byte
	for n := range 1<<20 + 1 {
		if _, err = r.Read(b[:]); err != nil && n < 1<<20 {
			t.Fatal(n, err)
		}
	}
	if !errors.Is(err, io.EOF) || w.calls > 6 {
		t.Errorf("1 MiB, byte by byte, is read with %d calls, %v", w.calls, err)
	}
}

// counted is one object, whose reads and writes it counts.
type counted struct {
	host.Objects
	ctx   context.Context
	calls int
	body  []byte
	read  int
}

func counting(ctx context.Context) *counted {
	w := new(counted)
	w.ctx = host.WithWorld(ctx, host.World{Objects: w})
	return w
}

func (c *counted) Create(context.Context, *op.ObjectPut) (uint32, error) { return 1, nil }

func (c *counted) Write(_ context.Context, w *abi.ObjectWrite) error {
	c.calls++
	c.body = append(c.body, w.Data...)
	return nil
}

func (c *counted) Commit(context.Context, uint32) (blob.Info, error) { return blob.Info{}, nil }

func (c *counted) Open(context.Context, *abi.ObjectOpen) (abi.ObjectOpened, error) {
	return abi.ObjectOpened{Stream: 2, Length: int64(len(c.body))}, nil
}

func (c *counted) Read(_ context.Context, _ uint32, to []byte) (int, error) {
	c.calls++
	n := copy(to, c.body[c.read:])
	c.read += n
	return n, nil
}

func (c *counted) Close(context.Context, uint32) error { return nil }

func TestWriter(t *testing.T) {
	settest.Buckets(t, "pics")
	ctx := settest.Context(t)
	w, err := pics.Create(ctx, "a", blob.Size(6))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "abc")
	if _, err := pics.Head(ctx, "a"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("before the commit: %v", err)
	}
	n, err := w.ReadFrom(strings.NewReader("def"))
	if info, commit := w.Commit(); n != 3 || err != nil || commit != nil || info.Size != 6 || get(t, ctx, "a") != "abcdef" {
		t.Errorf("ReadFrom = %d, %v; Commit = %+v, %v", n, err, info, commit)
	}
	_, again := w.Commit()
	_, after := w.Write(make([]byte, 1<<20))
	if err := w.Close(); err != nil || !errors.Is(again, blob.ErrClosed) || !errors.Is(after, blob.ErrClosed) {
		t.Errorf("a second Commit = %v, Write = %v, Close = %v", again, after, err)
	}
	half, err := pics.Create(ctx, "half")
	if err != nil {
		t.Fatal(err)
	}
	half.Write(make([]byte, 1<<20))
	if err := errors.Join(half.Close(), half.Close()); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	_, readErr := pics.Put(ctx, "broken", io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)))
	if !errors.Is(readErr, broken) {
		t.Errorf("Put of a body that breaks off: %v", readErr)
	}
	for _, key := range []string{"half", "broken"} {
		if _, err := pics.Head(ctx, key); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: %v, want nothing there", key, err)
		}
	}
	r, err := pics.Get(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	closed := errors.Join(r.Close(), r.Close())
	if _, err := r.Read(make([]byte, 1)); closed != nil || !errors.Is(err, blob.ErrClosed) {
		t.Errorf("Close = %v, Read after it = %v", closed, err)
	}
}

// TestStreams: what is closed makes room, and too many are refused.
func TestStreams(t *testing.T) {
	settest.Buckets(t, "pics")
	ctx := settest.Context(t)
	put(t, ctx, "a", "a")
	var open []*blob.Reader
	for {
		r, err := pics.Get(ctx, "a")
		if err != nil {
			if !errors.Is(err, blob.ErrStreams) || len(open) != blob.MaxStreams {
				t.Errorf("%d streams: %v", len(open), err)
			}
			break
		}
		open = append(open, r)
	}
	open[0].Close()
	put(t, ctx, "b", "b")
}

func TestConditions(t *testing.T) { onBoth(t, testConditions, "pics") }

func testConditions(t *testing.T, ctx context.Context) {
	first := put(t, ctx, "a", "1", blob.IfAbsent)
	try := func(options ...blob.PutOption) error {
		_, err := pics.Put(ctx, "a", strings.NewReader("2"), options...)
		return err
	}
	_, match := pics.Get(ctx, "a", blob.IfMatch("other"))
	_, copied := pics.Copy(ctx, "b", blob.Source{Bucket: pics, Key: "a", ETag: "other"})
	for name, err := range map[string]error{"absent": try(blob.IfAbsent), "match": try(blob.IfMatch("other")), "get": match, "copy": copied,
		"delete": pics.DeleteIf(ctx, "a", "other"), "delete what is not there": pics.DeleteIf(ctx, "none", first.ETag)} {
		if !errors.Is(err, blob.ErrPrecondition) {
			t.Errorf("%s: %v, want %v", name, err, blob.ErrPrecondition)
		}
	}
	if err := try(blob.IfMatch(first.ETag)); err != nil {
		t.Error(err)
	}
	second, _ := pics.Head(ctx, "a")
	if err := pics.DeleteIf(ctx, "a", second.ETag); err != nil {
		t.Error(err)
	}
}

func TestCopyAndDelete(t *testing.T) { onBoth(t, testCopyAndDelete, "pics", "old") }

func testCopyAndDelete(t *testing.T, ctx context.Context) {
	put(t, ctx, "a", "body", blob.ContentType("text/plain"), blob.Metadata{"n": "1"})
	same, err := blob.Bucket("old").Copy(ctx, "b", blob.Source{Bucket: pics, Key: "a"})
	other, more := pics.Copy(ctx, "c", blob.Source{Bucket: "old", Key: "b"}, blob.Metadata{"n": "2"}, blob.IfAbsent)
	if err != nil || more != nil || same.About.Headers.ContentType != "text/plain" || same.About.Metadata["n"] != "1" || same.Bucket != "old" ||
		other.About.Headers.ContentType != "" || other.About.Metadata["n"] != "2" || get(t, ctx, "c") != "body" {
		t.Errorf("Copy = %+v, %v; %+v, %v", same, err, other, more)
	}
	if err := errors.Join(pics.Delete(ctx), pics.Delete(ctx, "a", "none", "c"), pics.Delete(ctx, "a")); err != nil {
		t.Error(err)
	}
	for e, err := range pics.List(ctx, "") {
		t.Errorf("left: %+v, %v", e, err)
	}
}

func TestList(t *testing.T) { onBoth(t, testList, "pics") }

func testList(t *testing.T, ctx context.Context) {
	for _, key := range []string{"a", "b/1", "b/2", "c", "d/1", "e"} {
		put(t, ctx, key, key)
	}
	for _, tt := range []struct {
		prefix  string
		options []blob.ListOption
		want    string
	}{
		{"", nil, "a b/1 b/2 c d/1 e"},
		{"b/", nil, "b/1 b/2"},
		{"", []blob.ListOption{blob.Delimiter("/")}, "a b/: c d/: e"},
		{"", []blob.ListOption{blob.Delimiter("/"), blob.Limit(3)}, "a b/: c"},
		{"", []blob.ListOption{blob.After("b/1"), blob.Limit(2)}, "b/2 c"},
		{"", []blob.ListOption{blob.After("b/1"), blob.Delimiter("/")}, "b/: c d/: e"},
		{"none", nil, ""},
	} {
		var got []string
		for e, err := range pics.List(ctx, tt.prefix, tt.options...) {
			switch {
			case err != nil:
				t.Error(err)
			case e.Prefix != "":
				got = append(got, e.Prefix+":")
			default:
				got = append(got, e.Key)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("List(%q, %v) = %q, want %q", tt.prefix, tt.options, got, tt.want)
		}
	}
	var all []string
	for token := ""; ; {
		page, err := pics.ListPage(ctx, "", token, blob.Limit(4))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			all = append(all, o.Key)
		}
		if token = page.Token; token == "" {
			break
		}
	}
	if strings.Join(all, " ") != "a b/1 b/2 c d/1 e" {
		t.Errorf("pages: %q", all)
	}
}

func TestErrors(t *testing.T) {
	if _, err := pics.Head(settest.Context(t), "a"); !errors.Is(err, blob.ErrUnsupported) {
		t.Errorf("without buckets: %v, want %v", err, blob.ErrUnsupported)
	}
	onBoth(t, testErrors, "pics")
}

func testErrors(t *testing.T, ctx context.Context) {
	put(t, ctx, "a", "a")
	over, cancel := context.WithCancel(ctx)
	cancel()
	do := func(_ any, err error) error { return err }
	for _, tt := range []struct {
		name string
		err  error
		want error
		say  string
	}{
		{"no bucket", do(blob.Bucket("none").Head(ctx, "a")), blob.ErrNoBucket, "object none/a: head: "},
		{"no object", do(pics.Get(ctx, "b")), blob.ErrNotFound, "object pics/b: get: "},
		{"no object", do(pics.Copy(ctx, "c", blob.Source{Bucket: pics, Key: "b"})), blob.ErrNotFound, "object pics/c: copy: "},
		{"bucket", do(blob.Bucket("P").Put(ctx, "a", strings.NewReader(""))), blob.ErrInvalid, "bucket"},
		{"key", do(pics.Put(ctx, strings.Repeat("k", blob.MaxKeyBytes+1), strings.NewReader(""))), blob.ErrTooLarge, "1024"},
		{"size", do(pics.Put(ctx, "b", bytes.NewReader(nil), blob.Size(3))), blob.ErrInvalid, "0 bytes, not 3"},
		{"metadata", do(pics.Put(ctx, "b", bytes.NewReader(nil), blob.Metadata{"n": strings.Repeat("x", blob.MaxMetadataBytes)})), blob.ErrTooLarge, "2048"},
		{"token", do(pics.ListPage(ctx, "", "!")), blob.ErrInvalid, "token"},
		{"deletes", pics.Delete(ctx, make([]string, blob.MaxDeletes+1)...), blob.ErrTooLarge, "1000"},
		{"canceled", do(pics.Head(over, "a")), context.Canceled, "canceled"},
	} {
		if !errors.Is(tt.err, tt.want) || tt.err != nil && !strings.Contains(tt.err.Error(), tt.say) {
			t.Errorf("%s: %v, want %v and %q", tt.name, tt.err, tt.want, tt.say)
		}
	}
}

func TestRangeErrors(t *testing.T) {
	settest.Buckets(t, "pics")
	ctx := settest.Context(t)
	put(t, ctx, "a", "a")
	if _, err := pics.Get(ctx, "a", blob.Range(1, 0)); !errors.Is(err, blob.ErrRange) {
		t.Errorf("behind the end: %v", err)
	}
	if _, err := pics.Get(ctx, "a", blob.Range(0, -1)); !errors.Is(err, blob.ErrInvalid) {
		t.Errorf("a length below 0: %v", err)
	}
}

// TestCloseAfterDeadline: what is open is closed, although the context has ended.
func TestCloseAfterDeadline(t *testing.T) {
	settest.Buckets(t, "pics")
	put(t, settest.Context(t), "a", "a")
	ctx, cancel := context.WithTimeout(settest.Context(t), time.Minute)
	r, err := pics.Get(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}
