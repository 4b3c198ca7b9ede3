package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/sdk/abi"
)

// warehouse has an object "k" for whoever asks, answers as a test says, and keeps what it was asked.
type warehouse struct {
	err  error
	wait bool // until the context ends
	idle bool // puts do not read, and wait until the context ends
	data []byte

	origin  op.ObjectOrigin
	records host.Store
	asked   string
	put     op.ObjectPut
	body    []byte // of the put that ended
	copied  op.ObjectCopy
	running atomic.Int64 // readers that are open, and puts
}

func (w *warehouse) By(origin op.ObjectOrigin, records host.Store) host.ObjectCalls {
	w.origin, w.records = origin, records
	return w
}

func (w *warehouse) answer(ctx context.Context, asked string) error {
	w.asked = asked
	if w.wait {
		<-ctx.Done()
		return fmt.Errorf("wait: %w", ctx.Err())
	}
	return w.err
}

func (w *warehouse) info(key string) op.ObjectInfo {
	return op.ObjectInfo{Bucket: "pics", Key: key, Size: int64(len(w.data)), ETag: "tag"}
}

func (w *warehouse) Head(ctx context.Context, n op.ObjectName) (op.ObjectInfo, error) {
	return w.info(n.Key), w.answer(ctx, "head "+n.App+" "+n.Bucket+" "+n.Key)
}

func (w *warehouse) Open(ctx context.Context, n op.ObjectName) (op.ObjectInfo, io.ReadSeekCloser, error) {
	err := w.answer(ctx, "open "+n.App+" "+n.Bucket+" "+n.Key)
	if err != nil {
		return op.ObjectInfo{}, nil, err
	}
	w.running.Add(1)
	return w.info(n.Key), &opened{bytes.NewReader(w.data), ctx, w}, nil
}

func (w *warehouse) List(ctx context.Context, app, bucket string, q op.ObjectQuery) (op.ObjectPage, error) {
	return op.ObjectPage{Objects: []op.ObjectInfo{w.info("k")}, Prefixes: []string{"p/"}, Token: "t"},
		w.answer(ctx, fmt.Sprintf("list %s %s %+v", app, bucket, q))
}

func (w *warehouse) Put(ctx context.Context, p op.ObjectPut) (op.ObjectInfo, error) {
	w.running.Add(1)
	defer w.running.Add(-1)
	if w.err != nil {
		return op.ObjectInfo{}, w.err
	}
	if w.idle {
		<-ctx.Done()
		return op.ObjectInfo{}, ctx.Err()
	}
	body, err := io.ReadAll(p.Body.Reader)
	if err == nil {
		err = w.answer(ctx, "put "+p.Name.App+" "+p.Name.Bucket+" "+p.Name.Key)
	}
	if err == nil {
		w.put, w.body = p, body
	}
	return w.info(p.Name.Key), err
}

func (w *warehouse) Copy(ctx context.Context, c op.ObjectCopy) (op.ObjectInfo, error) {
	w.copied = c
	return w.info(c.Name.Key), w.answer(ctx, "copy")
}

func (w *warehouse) Delete(ctx context.Context, n op.ObjectName, c op.ObjectCondition) (bool, error) {
	return true, w.answer(ctx, fmt.Sprintf("delete %s %s %s %+v", n.App, n.Bucket, n.Key, c))
}

func (w *warehouse) DeleteMany(ctx context.Context, app, bucket string, keys ...string) error {
	return w.answer(ctx, fmt.Sprint("delete ", app, " ", bucket, " ", keys))
}

// opened is an object whose reads end with ctx.
type opened struct {
	*bytes.Reader
	ctx  context.Context
	from *warehouse
}

func (o *opened) Read(b []byte) (int, error) {
	if err := o.from.answer(o.ctx, "read"); err != nil {
		return 0, err
	}
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.Reader.Read(b[:min(len(b), 3)])
}

func (o *opened) Close() error {
	o.from.running.Add(-1)
	return nil
}

func objectAsker(t *testing.T, w *warehouse) *asker {
	a := newAsker(t, nil)
	a.call.Objects, a.call.MaxObjectCalls, a.call.Function, a.call.Depth = w, 1000, "resize", 3
	t.Cleanup(func() {
		if a.call.Close(); w.running.Load() != 0 {
			t.Errorf("%d readers and puts are left", w.running.Load())
		}
	})
	return a
}

func createOf(key string) []byte {
	return abi.AppendObjectCreate(nil, &op.ObjectPut{Name: op.ObjectName{Bucket: "pics", Key: key}, Body: op.ObjectBody{Size: op.Unsized},
		About: op.ObjectAbout{Headers: op.ObjectHeaders{ContentType: "image/png"}}, If: op.ObjectCondition{Absent: true}})
}

func writeOf(stream uint32, data string) []byte {
	return abi.AppendObjectWrite(nil, &abi.ObjectWrite{Stream: stream, Data: []byte(data)})
}

func streamRequest(stream uint32) []byte { return abi.AppendObjectStream(nil, stream) }

// objectRequests are good requests of all object calls, in an order: the first stream is one that is read, the second one
// that is written.
func objectRequests() (names []string, requests map[string][]byte) {
	return []string{abi.ImportObjectHead, abi.ImportObjectOpen, abi.ImportObjectRead, abi.ImportObjectCreate, abi.ImportObjectWrite,
			abi.ImportObjectCommit, abi.ImportObjectClose, abi.ImportObjectList, abi.ImportObjectCopy, abi.ImportObjectDelete},
		map[string][]byte{
			abi.ImportObjectHead:   abi.AppendObjectName(nil, "pics", "k"),
			abi.ImportObjectOpen:   abi.AppendObjectOpen(nil, &abi.ObjectOpen{Bucket: "pics", Key: "k"}),
			abi.ImportObjectRead:   streamRequest(1),
			abi.ImportObjectCreate: createOf("new"),
			abi.ImportObjectWrite:  writeOf(2, "hello"),
			abi.ImportObjectCommit: streamRequest(2),
			abi.ImportObjectClose:  streamRequest(1),
			abi.ImportObjectList:   abi.AppendObjectList(nil, &abi.ObjectList{Bucket: "pics", ObjectQuery: op.ObjectQuery{Prefix: "p", Limit: 7}}),
			abi.ImportObjectCopy: abi.AppendObjectCopy(nil, &op.ObjectCopy{Name: op.ObjectName{Bucket: "pics", Key: "b"},
				From: op.ObjectName{Bucket: "old", Key: "a"}}),
			abi.ImportObjectDelete: abi.AppendObjectDelete(nil, &abi.ObjectDelete{Bucket: "pics", Keys: []string{"k"}, ETag: "tag"}),
		}
}

func (a *asker) object(name string, request []byte) []byte {
	a.t.Helper()
	n, answer, kept := a.ask(name, request, 1024, 0)
	if n < 0 {
		a.t.Fatalf("%s = %d %q", name, n, kept)
	}
	return answer
}

func TestObjectCalls(t *testing.T) {
	w := &warehouse{data: []byte("picture")}
	a := objectAsker(t, w)
	records := &op.Memory{}
	a.call.Records = records
	_, requests := objectRequests()
	info, err := abi.DecodeObjectInfo(a.object(abi.ImportObjectHead, requests[abi.ImportObjectHead]))
	if err != nil || info.Key != "k" || w.asked != "head shop pics k" || w.records != host.Store(records) ||
		w.origin != (op.ObjectOrigin{Function: "resize", Depth: 3}) {
		t.Errorf("head %q by %+v = %+v, %v", w.asked, w.origin, info, err)
	}
	o, err := abi.DecodeObjectOpened(a.object(abi.ImportObjectOpen, requests[abi.ImportObjectOpen]))
	if err != nil || o.Stream != 1 || o.Length != 7 || o.Info.ETag != "tag" || w.asked != "open shop pics k" {
		t.Errorf("open %q = %+v, %v", w.asked, o, err)
	}
	stream, err := abi.DecodeObjectStream(a.object(abi.ImportObjectCreate, createOf("new")))
	if err != nil || stream != 2 {
		t.Errorf("create = %d, %v", stream, err)
	}
	for _, data := range []string{"hel", "", "lo"} {
		a.object(abi.ImportObjectWrite, writeOf(stream, data))
		a.mod.Memory().Write(requestAt, make([]byte, 1000)) // the guest goes on while the put runs
	}
	for _, want := range []string{"picture", ""} {
		if got := a.object(abi.ImportObjectRead, streamRequest(1)); string(got) != want {
			t.Errorf("read = %q, want %q", got, want)
		}
	}
	info, err = abi.DecodeObjectInfo(a.object(abi.ImportObjectCommit, streamRequest(stream)))
	if err != nil || info.Key != "new" || string(w.body) != "hello" || w.put.Name.App != "shop" || !w.put.If.Absent ||
		w.put.About.Headers.ContentType != "image/png" || w.put.Body.Size != op.Unsized {
		t.Errorf("commit of %q, %+v = %+v, %v", w.body, w.put, info, err)
	}
	page, err := abi.DecodeObjectPage(a.object(abi.ImportObjectList, requests[abi.ImportObjectList]))
	if err != nil || len(page.Objects) != 1 || page.Prefixes[0] != "p/" || page.Token != "t" || !strings.HasPrefix(w.asked, "list shop pics {Prefix:p") {
		t.Errorf("list %q = %+v, %v", w.asked, page, err)
	}
	a.object(abi.ImportObjectCopy, requests[abi.ImportObjectCopy])
	if w.copied.Name.App != "shop" || w.copied.From.App != "shop" || w.copied.From.Bucket != "old" || w.copied.About != nil {
		t.Errorf("copied %+v", w.copied)
	}
	found, err := abi.DecodeObjectDeleted(a.object(abi.ImportObjectDelete, requests[abi.ImportObjectDelete]))
	if err != nil || !found || w.asked != "delete shop pics k {Absent:false ETag:tag}" {
		t.Errorf("delete %q = %v, %v", w.asked, found, err)
	}
	a.object(abi.ImportObjectDelete, abi.AppendObjectDelete(nil, &abi.ObjectDelete{Bucket: "pics", Keys: []string{"a", "b"}}))
	if w.asked != "delete shop pics [a b]" {
		t.Errorf("delete many: %q", w.asked)
	}
}

// TestObjectRanges: which bytes come of an object of ten.
func TestObjectRanges(t *testing.T) {
	for _, tt := range []struct {
		first, length int64
		etag          string
		want          string
		err           error
	}{
		{0, 0, "", "0123456789", nil}, {0, 0, "tag", "0123456789", nil}, {3, 4, "", "3456", nil}, {8, 100, "", "89", nil}, {9, 0, "", "9", nil},
		{-3, 0, "", "789", nil}, {-3, 2, "", "78", nil}, {-100, 0, "", "0123456789", nil}, {-1 << 63, 0, "", "0123456789", nil},
		{10, 0, "", "", abi.ErrNoRange}, {1<<63 - 1, 1<<63 - 1, "", "", abi.ErrNoRange}, {0, -1, "", "", op.ErrInvalid},
		{0, 0, "other", "", op.ErrPrecondition},
	} {
		a := objectAsker(t, &warehouse{data: []byte("0123456789")})
		n, answer, kept := a.ask(abi.ImportObjectOpen, abi.AppendObjectOpen(nil, &abi.ObjectOpen{Bucket: "pics", Key: "k", First: tt.first, Length: tt.length, ETag: tt.etag}), 1024, 0)
		if tt.err != nil {
			if n >= 0 || !errors.Is(abi.ObjectError(-n), tt.err) {
				t.Errorf("%+v = %d %q", tt, n, kept)
			}
			continue
		}
		o, err := abi.DecodeObjectOpened(answer)
		if err != nil || o.Length != int64(len(tt.want)) {
			t.Errorf("%+v = %+v, %v", tt, o, err)
		}
		if got := a.object(abi.ImportObjectRead, streamRequest(o.Stream)); string(got) != tt.want {
			t.Errorf("%+v reads %q", tt, got)
		}
	}
	a := objectAsker(t, &warehouse{}) // an empty object has no first byte, and can be read
	a.object(abi.ImportObjectOpen, abi.AppendObjectOpen(nil, &abi.ObjectOpen{Bucket: "pics", Key: "k"}))
	if got := a.object(abi.ImportObjectRead, streamRequest(1)); len(got) != 0 {
		t.Errorf("an empty object reads %q", got)
	}
}

// TestReadChunk: a read answers no more than there is room for, and than a chunk.
func TestReadChunk(t *testing.T) {
	data := bytes.Repeat([]byte("x"), abi.MaxObjectChunkBytes+100)
	a := objectAsker(t, &warehouse{data: data})
	a.mod.Memory().Grow(40)
	_, requests := objectRequests()
	a.object(abi.ImportObjectOpen, requests[abi.ImportObjectOpen])
	for _, want := range []int32{10, abi.MaxObjectChunkBytes, 90, 0} {
		room := uint64(2 << 20)
		if want == 10 {
			room = 10
		}
		if n, _, kept := a.ask(abi.ImportObjectRead, streamRequest(1), room, 0); n != want {
			t.Errorf("read with room for %d = %d %q, want %d", room, n, kept, want)
		}
	}
}

// TestStreamsClose: of what is open when the call is over nothing is left.
func TestStreamsClose(t *testing.T) {
	w := &warehouse{data: []byte("picture")}
	a := objectAsker(t, w)
	_, requests := objectRequests()
	for range abi.MaxObjectStreams / 2 {
		a.object(abi.ImportObjectOpen, requests[abi.ImportObjectOpen])
		a.object(abi.ImportObjectCreate, createOf("half"))
	}
	a.object(abi.ImportObjectWrite, writeOf(2, "half"))
	for _, name := range []string{abi.ImportObjectOpen, abi.ImportObjectCreate} {
		n, _, kept := a.ask(name, requests[name], 1024, 0)
		if !errors.Is(abi.ObjectError(-n), abi.ErrObjectStreams) || !strings.HasSuffix(string(kept), ": 16") {
			t.Errorf("%s with 16 streams open = %d %q", name, n, kept)
		}
	}
	a.object(abi.ImportObjectClose, streamRequest(2))
	a.object(abi.ImportObjectClose, streamRequest(1))
	a.object(abi.ImportObjectOpen, requests[abi.ImportObjectOpen])
	for name, request := range map[string][]byte{abi.ImportObjectWrite: writeOf(2, "x"), abi.ImportObjectCommit: streamRequest(3),
		abi.ImportObjectRead: streamRequest(4), abi.ImportObjectClose: streamRequest(99)} {
		if n, _, kept := a.ask(name, request, 1024, 0); !errors.Is(abi.ObjectError(-n), abi.ErrNoStream) {
			t.Errorf("%s of no stream of its kind = %d %q", name, n, kept)
		}
	}
	if a.call.Close(); w.running.Load() != 0 || w.body != nil {
		t.Errorf("%d readers and puts are left, put %q", w.running.Load(), w.body)
	}
}

func TestObjectCallErrors(t *testing.T) {
	coded := func(code abi.Code, say string) error { return abi.WithCode(code, errors.New(say)) }
	names, requests := objectRequests()
	for _, tt := range []struct {
		name    string
		err     error
		call    string
		request []byte
		want    error
		say     string
	}{
		{"no keys", nil, abi.ImportObjectDelete, abi.AppendObjectDelete(nil, &abi.ObjectDelete{Bucket: "pics"}), op.ErrInvalid, "0 keys"},
		{"many under a condition", nil, abi.ImportObjectDelete, abi.AppendObjectDelete(nil, &abi.ObjectDelete{Bucket: "pics", Keys: []string{"a", "b"}, ETag: "e"}),
			op.ErrInvalid, "2 keys"},
		{"no bucket", abi.WithCode(abi.NotFound, op.ErrNoBucket), abi.ImportObjectList, requests[abi.ImportObjectList], op.ErrNoBucket, "bucket not found"},
		{"no object", abi.WithCode(abi.NotFound, op.ErrNoObject), abi.ImportObjectOpen, requests[abi.ImportObjectOpen], op.ErrNoObject, "object not found"},
		{"condition", abi.WithCode(abi.Conflict, op.ErrPrecondition), abi.ImportObjectDelete, requests[abi.ImportObjectDelete], op.ErrPrecondition, "as the condition asks"},
		{"quota", coded(abi.NoSpace, "full"), abi.ImportObjectCopy, requests[abi.ImportObjectCopy], op.ErrQuota, "full"},
		{"unavailable", coded(abi.Unavailable, "gone"), abi.ImportObjectHead, requests[abi.ImportObjectHead], op.ErrUnavailable, "gone"},
	} {
		a := objectAsker(t, &warehouse{err: tt.err})
		n, _, kept := a.ask(tt.call, tt.request, 1024, 0)
		if n >= 0 || !errors.Is(abi.ObjectError(-n), tt.want) || !strings.Contains(string(kept), tt.say) || a.call.StoreFault != nil {
			t.Errorf("%s: %d %q, want %v and %q; StoreFault %v", tt.name, n, kept, tt.want, tt.say, a.call.StoreFault)
		}
	}
	for _, name := range names {
		a := objectAsker(t, &warehouse{})
		if n, _, kept := a.ask(name, []byte("\x0a\x05a"), 1024, 0); !errors.Is(abi.ObjectError(-n), op.ErrInvalid) || !strings.Contains(string(kept), "malformed") {
			t.Errorf("%s of a malformed request = %d %q", name, n, kept)
		}
	}
	for _, err := range []error{errors.New("read /secret: broken"), coded(abi.Internal, "read /secret: broken")} {
		a := objectAsker(t, &warehouse{err: err})
		n, _, kept := a.ask(abi.ImportObjectHead, requests[abi.ImportObjectHead], 1024, 0)
		if !errors.Is(abi.ObjectError(-n), abi.ErrObjectFailed) || strings.Contains(string(kept), "secret") || !errors.Is(a.call.StoreFault, err) {
			t.Errorf("%v is told as %d %q, StoreFault %v", err, n, kept, a.call.StoreFault)
		}
	}
}

// TestRefusedPut: a put that ends before its body does tells why when it is written, and when it is committed.
func TestRefusedPut(t *testing.T) {
	a := objectAsker(t, &warehouse{err: fmt.Errorf("it is there: %w", op.ErrPrecondition)})
	a.object(abi.ImportObjectCreate, createOf("k"))
	for {
		n, _, kept := a.ask(abi.ImportObjectWrite, writeOf(1, "chunk"), 1024, 0)
		if n < 0 {
			if !errors.Is(abi.ObjectError(-n), op.ErrPrecondition) || string(kept) != "it is there: "+op.ErrPrecondition.Error() {
				t.Errorf("write = %d %q", n, kept)
			}
			break
		}
	}
	if n, _, _ := a.ask(abi.ImportObjectCommit, streamRequest(1), 1024, 0); !errors.Is(abi.ObjectError(-n), op.ErrPrecondition) {
		t.Errorf("commit = %d", n)
	}
	if n, _, _ := a.ask(abi.ImportObjectCommit, streamRequest(1), 1024, 0); !errors.Is(abi.ObjectError(-n), abi.ErrNoStream) {
		t.Errorf("a second commit = %d", n)
	}
}

func TestObjectCallLimit(t *testing.T) {
	names, requests := objectRequests()
	a := objectAsker(t, &warehouse{data: []byte("x")})
	a.call.MaxObjectCalls = len(names)
	for _, name := range names {
		a.object(name, requests[name])
	}
	for _, name := range names {
		n, _, kept := a.ask(name, requests[name], 100, 0)
		if !errors.Is(abi.ObjectError(-n), abi.ErrObjectCalls) || !strings.HasSuffix(string(kept), ": 10") {
			t.Errorf("the eleventh call, %s = %d %q, want %v", name, n, kept, abi.ErrObjectCalls)
		}
		none := newAsker(t, nil)
		if n, _, _ := none.ask(name, requests[name], 0, 0); !errors.Is(abi.ObjectError(-n), abi.ErrNoObjects) {
			t.Errorf("%s where there is none = %d, want %v", name, n, abi.ErrNoObjects)
		}
	}
}

// TestObjectCallsEnd: each call that waits ends with its own timeout, and with the invocation.
func TestObjectCallsEnd(t *testing.T) {
	_, requests := objectRequests()
	delete(requests, abi.ImportObjectCreate) // they do not wait
	delete(requests, abi.ImportObjectClose)
	for name, request := range requests {
		for _, timeout := range []uint64{1, 0} {
			w := &warehouse{data: []byte("x"), idle: name == abi.ImportObjectWrite}
			a := objectAsker(t, w)
			a.object(abi.ImportObjectOpen, requests[abi.ImportObjectOpen])
			a.object(abi.ImportObjectCreate, createOf("new"))
			if w.idle {
				a.object(name, request) // there is room for one chunk
			}
			w.wait = !w.idle
			if timeout != 0 {
				n, _, kept := a.ask(name, request, 512, timeout)
				if !errors.Is(abi.ObjectError(-n), context.DeadlineExceeded) || !strings.Contains(string(kept), "no answer within 1ms") {
					t.Errorf("%s that wants to wait 1 ms = %d %q", name, n, kept)
				}
			} else {
				ctx, cancel := context.WithTimeout(a.ctx, 10*time.Millisecond)
				a.mod.Memory().Write(requestAt, request)
				_, err := a.mod.ExportedFunction(name).Call(ctx, requestAt, uint64(len(request)), answerAt, 512, 0)
				cancel()
				if !errors.Is(err, wasip1.ErrInterrupted) {
					t.Errorf("%s at the deadline = %v, want %v", name, err, wasip1.ErrInterrupted)
				}
			}
			if a.call.Close(); w.running.Load() != 0 {
				t.Errorf("%s: %d readers and puts are left", name, w.running.Load())
			}
		}
	}
}

func TestObjectCallsTrap(t *testing.T) {
	names, _ := objectRequests()
	for _, name := range names {
		wantTraps(t, name, func() *asker { return objectAsker(t, &warehouse{}) })
	}
}

// FuzzObjectCalls gives the calls any requests, one after the other, and any room: each answers, or traps with a reason, and
// nothing is left.
func FuzzObjectCalls(f *testing.F) {
	names, requests := objectRequests()
	f.Add(bytes.Repeat([]byte{0, 1, 2}, 4), requests[abi.ImportObjectHead], uint32(100))
	for i, name := range slices.Sorted(maps.Keys(requests)) {
		f.Add([]byte{1, 3, byte(i), byte(i + 1)}, requests[name], uint32(i))
	}
	f.Fuzz(func(t *testing.T, which, request []byte, room uint32) {
		if len(request) > answerAt || len(which) > 100 {
			return
		}
		w := &warehouse{data: []byte("0123456789")}
		a := objectAsker(t, w)
		for _, i := range which {
			name := names[int(i)%len(names)]
			r := request
			if i >= 128 {
				r = requests[name]
			}
			if a.fuzz(name, r, room); a.call.StoreFault != nil {
				t.Fatalf("%s(%x): the node's fault: %v", name, r, a.call.StoreFault)
			}
		}
	})
}
