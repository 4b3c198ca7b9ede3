package node

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/logs"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// counting is a command that increments a key by the state's call and answers 204, or a status that is given.
func counting(t *testing.T, status string) []byte {
	t.Helper()
	txn := abi.AppendKVTxn(nil, &op.Txn{Ops: []op.Op{{Kind: op.Incr, Key: "n", Delta: 1}}})
	reply := "Status: " + status + "\n\n"
	var m wasmtest.Module
	commit := m.Import(abi.HostModule, abi.ImportKVCommit, "iiiii:i")
	write := m.Import("wasi_snapshot_preview1", "fd_write", "iiii:i")
	m.Import(abi.HostModule, abi.ImportRunMarker, "")
	m.Memory(0, 1)
	m.Data(64, reply)
	m.Data(4096, string(txn))
	m.Func("_start", "", wasmtest.I32(4096), wasmtest.I32(int32(len(txn))), wasmtest.I32(8192), wasmtest.I32(4096), wasmtest.I32(1000),
		wasmtest.Call(commit), wasmtest.Drop(), wasmtest.Write(write, 1, 64, int32(len(reply))))
	return m.Bytes()
}

// publishing is a command that publishes to a topic and answers 204.
func publishing(topic string) []byte {
	send := abi.AppendQueueSend(nil, &abi.QueueSend{To: topic, Messages: []op.Outgoing{{Body: []byte("hi")}}})
	const reply = "Status: 204\n\n"
	var m wasmtest.Module
	publish := m.Import(abi.HostModule, abi.ImportTopicPublish, "iiiii:i")
	write := m.Import("wasi_snapshot_preview1", "fd_write", "iiii:i")
	m.Import(abi.HostModule, abi.ImportRunMarker, "")
	m.Memory(0, 1)
	m.Data(64, reply)
	m.Data(4096, string(send))
	m.Func("_start", "", wasmtest.I32(4096), wasmtest.I32(int32(len(send))), wasmtest.I32(8192), wasmtest.I32(4096), wasmtest.I32(1000),
		wasmtest.Call(publish), wasmtest.Drop(), wasmtest.Write(write, 1, 64, int32(len(reply))))
	return m.Bytes()
}

// TestRequestsCommitIntoNothing has a request publish to a topic that is not there: that is no 404 of the client's.
func TestRequestsCommitIntoNothing(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	deployWith(t, n, "tell", publishing("nothing"), registry.Settings{Effects: registry.EffectsTransactional})
	r, err := http.Get("http://" + n.HTTPAddr() + "/tell")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusBadGateway {
		t.Errorf("status %d, want 502", r.StatusCode)
	}
	lines := n.logs.Read(logs.Query{App: "default", Function: "tell"})
	if !slices.ContainsFunc(lines, func(l abi.Line) bool { return strings.HasPrefix(l.Message, "commit: ") }) {
		t.Errorf("the function's log does not say why: %+v", lines)
	}
}

// putting is a command that puts the object k of bucket pics, and answers a status.
func putting(t *testing.T, status string) []byte {
	t.Helper()
	reply := "Status: " + status + "\n\n"
	requests := [][]byte{
		abi.AppendObjectCreate(nil, &op.ObjectPut{Name: op.ObjectName{Bucket: "pics", Key: "k"}, Body: op.ObjectBody{Size: op.Unsized}}),
		abi.AppendObjectWrite(nil, &abi.ObjectWrite{Stream: 1, Data: []byte("picture")}),
		abi.AppendObjectStream(nil, 1),
	}
	var m wasmtest.Module
	var calls []uint32
	for _, name := range []string{abi.ImportObjectCreate, abi.ImportObjectWrite, abi.ImportObjectCommit} {
		calls = append(calls, m.Import(abi.HostModule, name, "iiiii:i"))
	}
	write := m.Import("wasi_snapshot_preview1", "fd_write", "iiii:i")
	m.Import(abi.HostModule, abi.ImportRunMarker, "")
	m.Memory(0, 1)
	m.Data(64, reply)
	var body [][]byte
	for i, r := range requests {
		at := int32(4096 + 256*i)
		m.Data(at, string(r))
		body = append(body, wasmtest.I32(at), wasmtest.I32(int32(len(r))), wasmtest.I32(8192), wasmtest.I32(4096), wasmtest.I32(0),
			wasmtest.Call(calls[i]), wasmtest.Drop())
	}
	m.Func("_start", "", append(body, wasmtest.Write(write, 1, 64, int32(len(reply))))...)
	return m.Bytes()
}

// TestRequestsPut has requests whose effects are transactional put one object at once: it is there once, and what a request
// that fails puts is not.
func TestRequestsPut(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	if err := n.objects.CreateBucket(t.Context(), "default", op.Bucket{Name: "pics"}); err != nil {
		t.Fatal(err)
	}
	s := registry.Settings{Effects: registry.EffectsTransactional}
	deployWith(t, n, "put", putting(t, "204"), s)
	deployWith(t, n, "fail", putting(t, "500"), s)
	get := func(path string) int {
		r, err := http.Get("http://" + n.HTTPAddr() + path)
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Body.Close()
		return r.StatusCode
	}
	if status := get("/fail"); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
	if u, err := n.objects.Usage(t.Context(), "default", ""); err != nil || u.Objects != 0 {
		t.Errorf("a request that failed leaves %+v, %v", u, err)
	}
	var asking sync.WaitGroup
	var done atomic.Int64
	for range 10 {
		asking.Go(func() {
			switch status := get("/put"); status {
			case 204:
				done.Add(1)
			case 409: // others were faster, again and again
			default:
				t.Errorf("status %d, want 204", status)
			}
		})
	}
	asking.Wait()
	info, body, err := n.objects.Open(t.Context(), op.ObjectName{App: "default", Bucket: "pics", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	u, usageErr := n.objects.Usage(t.Context(), "default", "pics")
	if err != nil || usageErr != nil || string(data) != "picture" || info.Size != 7 || u.Objects != 1 || u.Bytes != 7 {
		t.Errorf("object %q, %+v, usage %+v, %v, %v", data, info, u, err, usageErr)
	}
	if done.Load() == 0 {
		t.Error("no request has succeeded")
	}
	deployWith(t, n, "now", putting(t, "500"), registry.Settings{})
	get("/now")
	if after, err := n.objects.Head(t.Context(), op.ObjectName{App: "default", Bucket: "pics", Key: "k"}); err != nil || after.ID == info.ID {
		t.Errorf("without effects a put happens at once: %+v, %v", after, err)
	}
}

// TestRequestsCommit has requests whose effects are transactional change one key at once: all of them count, once, and one
// that fails does not, nor one that is refused because others came between.
func TestRequestsCommit(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	s := registry.Settings{Effects: registry.EffectsTransactional}
	deployWith(t, n, "count", counting(t, "204"), s)
	deployWith(t, n, "fail", counting(t, "500"), s)
	var asking sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 20 {
		asking.Go(func() {
			for _, path := range []string{"/count", "/fail"} {
				status := http.StatusConflict
				for status == http.StatusConflict { // others came between too often: nothing has happened
					r, err := http.Get("http://" + n.HTTPAddr() + path)
					if err != nil {
						t.Error(err)
						return
					}
					r.Body.Close()
					status = r.StatusCode
				}
				mu.Lock()
				statuses[status]++
				mu.Unlock()
			}
		})
	}
	asking.Wait()
	item, err := n.store.Get(t.Context(), "default", "n", op.Read{Consistency: op.Strong})
	if err != nil || strings.TrimSpace(string(item.Value)) != "20" || statuses[204] != 20 {
		t.Errorf("n = %s, %v after %v", item.Value, err, statuses)
	}
}

// TestSentAtOnce has a FIFO queue keep both of two parcels of one moment: it takes those of one deduplication id for one.
func TestSentAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // where no time passes
		seen := map[string]bool{}
		for range 2 {
			s, err := destinations{}.Sending(t.Context(), trigger.Parcel{App: "default", Destination: "queue:done.fifo"})
			if err != nil || len(s.Messages) != 1 || s.Messages[0].Dedup == "" {
				t.Fatalf("Sending = %+v, %v", s, err)
			}
			seen[s.Messages[0].Dedup] = true
		}
		if len(seen) != 2 {
			t.Errorf("deduplication ids %v, want 2", seen)
		}
	})
}
