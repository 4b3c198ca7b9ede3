package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// fakeLog is an ObjectLog in memory, whose queue deduplicates for op.DedupWindow.
type fakeLog struct {
	queue *fakeQueue

	mu      sync.Mutex // guards the rest
	events  []op.ObjectEvent
	sent    map[string]time.Time
	keys    []string // of what went into the queue
	asked   int
	settles []error // of the next settlements
	happens chan struct{}
}

func newFakeLog() *fakeLog {
	return &fakeLog{queue: newFakeQueue(), sent: map[string]time.Time{}, happens: make(chan struct{}, 1000)}
}

func (l *fakeLog) put(e ...op.ObjectEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range e {
		e.Time = time.Now()
		l.events = append(l.events, e)
		l.happens <- struct{}{}
	}
}

func (l *fakeLog) Events(context.Context) ([]op.ObjectEvent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return slices.Clone(l.events), nil
}

func (l *fakeLog) Happened(ctx context.Context) iter.Seq2[struct{}, error] {
	return func(yield func(struct{}, error) bool) {
		for yield(struct{}{}, nil) {
			select {
			case <-l.happens:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (l *fakeLog) Send(_ context.Context, queue string, messages ...op.Outgoing) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range messages {
		if at, twin := l.sent[queue+m.Dedup]; twin && time.Since(at) < op.DedupWindow {
			continue
		}
		l.sent[queue+m.Dedup] = time.Now()
		l.keys = append(l.keys, queue+" "+m.Dedup)
		l.queue.put(m)
	}
	return nil
}

func (l *fakeLog) Settle(_ context.Context, ids ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.settles) > 0 {
		err := l.settles[0]
		l.settles = l.settles[1:]
		return err
	}
	l.events = slices.DeleteFunc(l.events, func(e op.ObjectEvent) bool { return slices.Contains(ids, e.ID) })
	return nil
}

func (l *fakeLog) state() (sent []string, left, asked int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.keys), len(l.events), l.asked
}

func created(id, key string, by op.ObjectOrigin) op.ObjectEvent {
	return op.ObjectEvent{Name: "ObjectCreated:Put", Bucket: "pics", Key: key, ID: id, Size: 7, ETag: "e", Sequencer: "0A", Origin: by}
}

// give runs u until ctx ends, and answers what ends it and waits.
func give(t *testing.T, u *Uploads) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { u.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

func newUploads(t *testing.T, l *fakeLog, listeners ...UploadListener) *Uploads {
	d := newDelivery(t, new(door), openRegistry(t, new(op.Memory)), nil)
	return &Uploads{App: "shop", Log: l, Delivery: d, Listeners: func(context.Context) ([]UploadListener, error) { return listeners, nil }}
}

func listener(function string, sources ...registry.UploadSource) UploadListener {
	return UploadListener{Function: function, Bucket: "pics", Sources: sources, Queue: function}
}

// TestUploadsWanted gives each function what its sources want, once, and nobody what only it has done itself without a rule.
func TestUploadsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		u := newUploads(t, l, listener("all", registry.UploadSource{}),
			listener("png", registry.UploadSource{Prefix: "in/", Suffix: ".png"}, registry.UploadSource{Event: "s3:ObjectCreated:Put", Suffix: ".png"}),
			listener("gone", registry.UploadSource{Event: registry.UploadRemoved}), listener("copy", registry.UploadSource{Event: "s3:ObjectCreated:Copy"}))
		defer give(t, u)()
		removed, other := created("6", "in/a.png", op.ObjectOrigin{Function: "all"}), created("7", "x", op.ObjectOrigin{})
		removed.Name, other.Bucket = "ObjectRemoved:Delete", "files"
		l.put(created("1", "in/a.png", op.ObjectOrigin{}), created("2", "a.jpg", op.ObjectOrigin{}), created("3", "in/b.png", op.ObjectOrigin{Function: "png", Depth: 2}),
			created("4", "out", op.ObjectOrigin{Function: "all", Depth: 1}), created("5", "out", op.ObjectOrigin{Function: "png", Depth: 1}), removed, other)
		sleep(time.Second)
		want := []string{"all 1", "all 2", "all 3", "all 5", "png 1", "png 3", "gone 6"}
		if sent, left, _ := l.state(); !slices.Equal(sent, want) || left != 0 {
			t.Errorf("sent %q, %d left, want %q and none", sent, left, want)
		}
		l.put(created("8", "late", op.ObjectOrigin{}))
		sleep(time.Second)
		if sent, left, _ := l.state(); sent[len(sent)-1] != "all 8" || left != 0 {
			t.Errorf("sent %q, %d left", sent, left)
		}
	})
}

// TestUploadsAgain has events come again that were given and not settled: those who have them get them no second time.
func TestUploadsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		l.settles = []error{errFake, errFake}
		end := give(t, newUploads(t, l, listener("all", registry.UploadSource{})))
		l.put(created("1", "a", op.ObjectOrigin{}))
		sleep(storePause / 2)
		if sent, left, _ := l.state(); len(sent) != 1 || left != 1 {
			t.Errorf("before it is settled: sent %q, %d left", sent, left)
		}
		end() // killed between giving and settling
		l.put(created("2", "a", op.ObjectOrigin{}))
		defer give(t, newUploads(t, l, listener("all", registry.UploadSource{})))()
		sleep(3 * storePause)
		if sent, left, _ := l.state(); !slices.Equal(sent, []string{"all 1", "all 2"}) || left != 0 {
			t.Errorf("sent %q, %d left, want each once", sent, left)
		}
	})
}

// TestUploadsMuch reads what happens at once at once.
func TestUploadsMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		for i := range 3*maxUploads + 1 {
			l.put(created(fmt.Sprint(i), "a", op.ObjectOrigin{}))
		}
		defer give(t, newUploads(t, l, listener("all", registry.UploadSource{})))()
		sleep(time.Second)
		sent, left, asked := l.state()
		if len(sent) != 3*maxUploads+1 || left != 0 || asked > 10 {
			t.Errorf("%d sent, %d left, asked %d times", len(sent), left, asked)
		}
	})
}

// TestUploadEvent compares what a function gets with what AWS's types read.
func TestUploadEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := newFakeLog(), new(door)
		u := newUploads(t, l, listener("all", registry.UploadSource{Event: registry.UploadCreated}, registry.UploadSource{Event: registry.UploadRemoved}))
		defer give(t, u)()
		at := time.Now().UTC().Truncate(time.Millisecond)
		removed := created("2", "a", op.ObjectOrigin{})
		removed.Name, removed.Size, removed.ETag = "ObjectRemoved:Delete", 0, ""
		l.put(created("1", "in/a b+ä*.png", op.ObjectOrigin{Function: "resize", Depth: 3}), removed)
		w := NewUploadWorker(WorkerConfig{App: "shop", Function: "all", Source: l.queue, Delivery: newDelivery(t, d, openRegistry(t, new(op.Memory)), nil)}, "pics")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.Run(ctx)
		sleep(time.Second)
		calls := d.seen() // at once: they are of two keys
		slices.SortFunc(calls, func(x, y call) int { return y.Depth - x.Depth })
		if len(calls) != 2 || calls[0].Trigger != abi.TriggerUpload || calls[0].Depth != 4 || calls[1].Depth != 1 || len(calls[0].Invocation) != 26 {
			t.Fatalf("calls = %+v", calls)
		}
		var e events.S3Event
		if err := json.Unmarshal(calls[0].Body, &e); err != nil {
			t.Fatal(err)
		}
		want := events.S3EventRecord{EventVersion: "2.1", EventSource: "aws:s3", AWSRegion: "local", EventTime: at, EventName: "ObjectCreated:Put",
			PrincipalID: events.S3UserIdentity{PrincipalID: "function:resize"}, ResponseElements: map[string]string{"x-amz-request-id": "1", "x-amz-id-2": ""},
			S3: events.S3Entity{SchemaVersion: "1.0", ConfigurationID: "all", Bucket: events.S3Bucket{Name: "pics", OwnerIdentity: events.S3UserIdentity{PrincipalID: account}, Arn: "arn:aws:s3:::pics"},
				Object: events.S3Object{Key: "in/a+b%2B%C3%A4%2A.png", URLDecodedKey: "in/a b+ä*.png", Size: 7, ETag: "e", Sequencer: "0A"}}}
		if !reflect.DeepEqual(e.Records, []events.S3EventRecord{want}) {
			t.Errorf("event = %+v\nwant %+v", e.Records, want)
		}
		if want := `"object":{"key":"a","sequencer":"0A"}}}]}`; !strings.HasSuffix(string(calls[1].Body), want) {
			t.Errorf("the removal is %s, want %s at its end", calls[1].Body, want)
		}
	})
}

// TestUploadDepth ends a chain of functions that put what invokes the next, and tells the destination.
func TestUploadDepth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d, box := newFakeLog(), new(door), new(mailbox)
		functions := openRegistry(t, new(op.Memory))
		deploy(t, functions, "all", registry.Settings{Async: &registry.Async{OnFailure: "queue:dead"}})
		defer give(t, newUploads(t, l, listener("all", registry.UploadSource{Prefix: "p"})))()
		l.put(created("1", "p1", op.ObjectOrigin{Function: "all", Depth: abi.MaxDepth - 1}), created("2", "p2", op.ObjectOrigin{Function: "all", Depth: abi.MaxDepth}))
		w := NewUploadWorker(WorkerConfig{App: "shop", Function: "all", Source: l.queue, Delivery: newDelivery(t, d, functions, box)}, "pics")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.Run(ctx)
		sleep(time.Second)
		if calls := d.seen(); len(calls) != 1 || calls[0].Depth != abi.MaxDepth {
			t.Errorf("calls = %+v, want one at the depth of %d", calls, abi.MaxDepth)
		}
		if len(box.parcels) != 1 || !strings.Contains(string(box.parcels[0].Body), `"condition":"RetriesExhausted","approximateInvokeCount":0`) || len(l.queue.left()) != 0 {
			t.Errorf("%d parcels, the first %s, left %q", len(box.parcels), box.parcels[0].Body, l.queue.left())
		}
	})
}

// TestUploadWorkerRetries tries a function again as asynchronous invocations are.
func TestUploadWorkerRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d, box := newFakeQueue("{}"), &door{answer: fails}, new(mailbox)
		functions := openRegistry(t, new(op.Memory))
		one := 1
		deploy(t, functions, "all", registry.Settings{Async: &registry.Async{Retries: &one, OnFailure: "queue:dead"}})
		w := NewUploadWorker(WorkerConfig{App: "shop", Function: "all", Source: q, Delivery: newDelivery(t, d, functions, box)}, "pics")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.Run(ctx)
		sleep(10 * time.Minute)
		if calls := d.seen(); len(calls) != 2 || calls[0].Invocation != calls[1].Invocation || calls[1].Attempt != 2 {
			t.Errorf("calls = %+v, want two attempts of one", calls)
		}
		if len(box.parcels) != 1 || len(q.left()) != 0 {
			t.Errorf("parcels = %+v, left %q", box.parcels, q.left())
		}
	})
}

func FuzzUploadKey(f *testing.F) {
	f.Add("in/a b+ä.png", "in/", ".png")
	f.Fuzz(func(t *testing.T, key, prefix, suffix string) {
		if back, err := url.QueryUnescape(escapeKey(key)); err != nil || back != key {
			t.Errorf("%q comes back as %q, %v", key, back, err)
		}
		s := registry.UploadSource{Bucket: "pics", Prefix: prefix, Suffix: suffix}
		if e := created("1", prefix+key+suffix, op.ObjectOrigin{}); !s.Wants(e) {
			t.Errorf("%+v does not want %q", s, e.Key)
		}
		settings := registry.Settings{Triggers: []registry.Trigger{{Upload: &s}}}
		if err := settings.Validate(); err == nil {
			if text, err := json.Marshal(settings.Complete()); err != nil || !json.Valid(text) {
				t.Errorf("%+v: %v", s, err)
			}
		}
	})
}
