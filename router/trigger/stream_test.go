package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// streams is a store with functions that follow it.
type streams struct {
	t     *testing.T
	store StreamStore
	door  *door
	box   *mailbox
	d     *Delivery
}

func newStreams(t *testing.T, store StreamStore) *streams {
	s := &streams{t: t, store: store, door: new(door), box: new(mailbox)}
	s.d = newDelivery(t, s.door, openRegistry(t, new(op.Memory)), s.box)
	return s
}

// start has a node run function work with a stream.
func (s *streams) start(source registry.StreamSource, generation uint64) (stop func()) {
	s.t.Helper()
	var commits Effects
	if both, ok := s.store.(*bothStores); ok {
		commits = effects{both}
	}
	stream, err := NewStream(StreamConfig{Store: s.store, Effects: commits, Delivery: s.d, App: "shop", Function: "work", Source: source, Generation: generation})
	if err != nil {
		s.t.Fatal(err)
	}
	return startRunner(s.t, stream)
}

func (s *streams) set(pairs ...string) {
	s.t.Helper()
	t := op.Txn{Namespace: "shop"}
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, "=")
		t.Ops = append(t.Ops, op.Op{Kind: op.Set, Key: key, Value: []byte(value)})
	}
	if _, err := s.store.Commit(s.t.Context(), t); err != nil {
		s.t.Fatal(err)
	}
}

func records(t *testing.T, c call) []events.DynamoDBEventRecord {
	t.Helper()
	var e events.DynamoDBEvent
	if err := json.Unmarshal(c.Body, &e); err != nil {
		t.Fatal(err)
	}
	return e.Records
}

// pairs are the changes of a call as "key=value".
func pairs(t *testing.T, c call) (all []string) {
	t.Helper()
	for _, r := range records(t, c) {
		value := "-"
		if v, there := r.Change.NewImage["value"]; there {
			value = v.String()
		}
		all = append(all, r.Change.Keys["key"].String()+"="+value)
	}
	return all
}

// seen are the changes of all calls, batch by batch.
func (s *streams) seen() string {
	s.t.Helper()
	var all []string
	for _, c := range s.door.seen() {
		all = append(all, strings.Join(pairs(s.t, c), " "))
	}
	return strings.Join(all, " | ")
}

func (s *streams) want(what, want string) {
	s.t.Helper()
	if got := s.seen(); got != want {
		s.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// failsOn fails a batch that has a key.
func failsOn(t *testing.T, key string) func(context.Context, call) (*abi.Result, error) {
	return func(ctx context.Context, c call) (*abi.Result, error) {
		for _, p := range pairs(t, c) {
			if strings.HasPrefix(p, key+"=") {
				return fails(ctx, c)
			}
		}
		return new(abi.Result), nil
	}
}

func TestStreamEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t, new(op.Memory))
		s.set("user/1=a", "other=x")
		s.set("user/1=b")
		if _, err := s.store.Commit(t.Context(), op.Txn{Namespace: "shop", Ops: []op.Op{
			{Kind: op.Set, Key: "user/2", Value: []byte{0xff}, TTL: time.Minute}, {Kind: op.Delete, Key: "user/1"}}}); err != nil {
			t.Fatal(err)
		}
		defer s.start(registry.StreamSource{Prefix: "user/"}, 1)()
		sleep(2 * time.Minute)
		calls := s.door.seen()
		if len(calls) != 2 {
			t.Fatalf("%d calls, want what was there, and the expiry", len(calls))
		}
		all := slices.Concat(records(t, calls[0]), records(t, calls[1]))
		var got []string
		numbers, ids := []string{}, map[string]bool{}
		for _, r := range all {
			text := fmt.Sprintf("%s %s", r.EventName, r.Change.Keys["key"].String())
			for _, image := range []map[string]events.DynamoDBAttributeValue{r.Change.OldImage, r.Change.NewImage} {
				switch v, there := image["value"]; {
				case !there:
					text += " -"
				case v.DataType() == events.DataTypeBinary:
					text += fmt.Sprintf(" %x", v.Binary())
				default:
					text += " " + v.String()
				}
			}
			if r.UserIdentity != nil {
				text += " " + r.UserIdentity.Type
			}
			got, numbers, ids[r.EventID] = append(got, text), append(numbers, r.Change.SequenceNumber), true
		}
		want := "INSERT user/1 - a, MODIFY user/1 a b, REMOVE user/1 b -, INSERT user/2 - ff, REMOVE user/2 ff - Service"
		if strings.Join(got, ", ") != want {
			t.Errorf("records %s, want %s", strings.Join(got, ", "), want)
		}
		if len(ids) != len(all) || !slices.IsSorted(numbers) || len(slices.Compact(numbers)) != len(all) {
			t.Errorf("sequence numbers %v", numbers)
		}
		r := all[1]
		if r.EventSource != "aws:dynamodb" || !strings.HasSuffix(r.EventSourceArn, ":table/shop/stream/=user%2F") ||
			r.Change.StreamViewType != "NEW_AND_OLD_IMAGES" || r.Change.ApproximateCreationDateTime.IsZero() ||
			r.Change.NewImage["revision"].Number() != "8192" || r.Change.OldImage["revision"].Number() != "4096" {
			t.Errorf("record %+v", r)
		}
		if c := calls[0]; c.Trigger != abi.TriggerStream || c.Attempt != 1 || len(c.Invocation) != 26 {
			t.Errorf("event %+v", c.Event)
		}
	})
}

func TestStreamBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t, new(op.Memory))
		s.set("a=1", "b=1", "c=1")
		defer s.start(registry.StreamSource{BatchSize: 2, WindowMS: 10_000, Filters: []json.RawMessage{
			[]byte(`{"dynamodb":{"Keys":{"key":{"S":[{"anything-but":"no"}]}}}}`)}}, 1)()
		sleep(5 * time.Second)
		s.want("before the window is over", "a=1 b=1")
		s.set("no=1")
		sleep(10 * time.Second)
		s.want("after it", "a=1 b=1 | c=1")
		s.set("d=1")
		s.set("no=2")
		s.set("e=1")
		sleep(time.Second)
		s.want("a full batch", "a=1 b=1 | c=1 | d=1 e=1")
	})
}

func TestStreamStarts(t *testing.T) {
	for start, want := range map[string]string{registry.StartLatest: "a=2", registry.StartTrimHorizon: "a=1 | a=2"} {
		synctest.Test(t, func(t *testing.T) {
			s := newStreams(t, new(op.Memory))
			s.set("a=1")
			stop := s.start(registry.StreamSource{Start: start}, 1)
			sleep(time.Second)
			s.set("a=2")
			sleep(time.Second)
			s.want(start, want)
			stop()
			s.set("a=3")
			// Deployed again, it goes on where it was.
			defer s.start(registry.StreamSource{Start: start, BatchSize: 5}, 2)()
			sleep(time.Second)
			s.want(start+" again", want+" | a=3")
		})
	}
}

// TestStreamOrder has keys change often, with several batches at once, attempts that fail, and another number of shards
// half-way: the changes of each key come in their order, each once but for what failed.
func TestStreamOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t, new(op.Memory))
		var mu sync.Mutex
		last, calls, most, running := map[string]int{}, 0, 0, 0
		s.door.answer = func(ctx context.Context, c call) (*abi.Result, error) {
			mu.Lock()
			running++
			most, calls = max(most, running), calls+1
			broken := calls%3 == 0
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			if running--; broken {
				return fails(ctx, c)
			}
			for _, p := range pairs(t, c) {
				key, value, _ := strings.Cut(p, "=")
				var n int
				if fmt.Sscan(value, &n); n != last[key]+1 {
					t.Errorf("%s has %d after %d", key, n, last[key])
				}
				last[key] = n
			}
			return new(abi.Result), nil
		}
		write := func(n int) {
			for k := range 20 {
				s.set(fmt.Sprintf("k%d=%d", k, n), fmt.Sprintf("l%d=%d", k, n))
			}
		}
		stop := s.start(registry.StreamSource{Parallel: 4, BatchSize: 7, Bisect: true}, 1)
		for n := range 5 {
			write(n + 1)
			sleep(10 * time.Millisecond)
		}
		stop()
		stop = s.start(registry.StreamSource{Parallel: 3, BatchSize: 7}, 2)
		sleep(time.Millisecond)
		old := s.start(registry.StreamSource{Parallel: 4, BatchSize: 7}, 1) // of a node that does not know yet
		for n := range 5 {
			write(n + 6)
			sleep(time.Second)
		}
		sleep(time.Minute)
		old()
		stop()
		if most < 2 || len(last) != 40 {
			t.Errorf("%d keys, %d batches at once", len(last), most)
		}
		for key, n := range last {
			if n != 10 {
				t.Errorf("%s ends with %d", key, n)
			}
		}
	})
}

// TestStreamPoison has one change that always fails: the others are handled, and it ends at the destination.
func TestStreamPoison(t *testing.T) {
	retries := 2
	for name, c := range map[string]struct {
		source registry.StreamSource
		want   string // of the record
		calls  string // of the batches, those that failed included
	}{
		"bisect": {registry.StreamSource{Bisect: true, Retries: &retries}, "a=0 poison=0 b=0 c=0 | a=0 poison=0 | a=0 | poison=0 | poison=0 | poison=0 | b=0 c=0", `"batchSize":1,`},
		"whole":  {registry.StreamSource{Retries: &retries}, "a=0 poison=0 b=0 c=0 | a=0 poison=0 b=0 c=0 | a=0 poison=0 b=0 c=0", `"batchSize":4,`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStreams(t, new(op.Memory))
				s.door.answer = failsOn(t, "poison")
				for _, key := range []string{"a", "poison", "b", "c"} {
					s.set(key + "=0")
				}
				c.source.OnFailure = "queue:failed"
				defer s.start(c.source, 1)()
				sleep(time.Minute)
				s.want("calls", c.want)
				if len(s.box.parcels) != 1 || s.box.parcels[0].Destination != "queue:failed" {
					t.Fatalf("parcels %+v", s.box.parcels)
				}
				body := string(s.box.parcels[0].Body)
				for _, want := range []string{c.calls, `"condition":"RetryAttemptsExhausted"`, `"approximateInvokeCount":3`,
					`"shardId":"shardId-00000000000000000000-00000001"`, `"functionError":"Unhandled"`, `"startSequenceNumber":"`} {
					if !strings.Contains(body, want) {
						t.Errorf("record %s has no %s", body, want)
					}
				}
				s.set("d=0")
				sleep(time.Second)
				if !strings.HasSuffix(s.seen(), "| d=0") {
					t.Errorf("afterwards: %s", s.seen())
				}
			})
		})
	}
}

// TestStreamPartial reports the items that failed: those before the first are done, the others come again.
func TestStreamPartial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t, new(op.Memory))
		s.door.answer = func(_ context.Context, c call) (*abi.Result, error) {
			all := records(t, c)
			if len(all) < 3 || c.Attempt > 1 {
				return new(abi.Result), nil
			}
			reply := fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%q},{"itemIdentifier":%q}]}`, all[2].Change.SequenceNumber, all[1].Change.SequenceNumber)
			return &abi.Result{Reply: abi.Reply{Body: []byte(reply)}}, nil
		}
		s.set("a=1", "b=1", "c=1")
		defer s.start(registry.StreamSource{ReportItems: true}, 1)()
		sleep(time.Minute)
		s.want("calls", "a=1 b=1 c=1 | b=1 c=1")
	})
}

func TestFirstFailure(t *testing.T) {
	batch := []item{{sequence: "1"}, {sequence: "2"}, {sequence: "3"}}
	for reply, want := range map[string]int{
		``: 3, `{}`: 3, `null`: 3, `{"batchItemFailures":[]}`: 3, `{"batchItemFailures":null}`: 3,
		`{"batchItemFailures":[{"itemIdentifier":"3"},{"itemIdentifier":"2"}]}`: 1,
		`{"batchItemFailures":[{"itemIdentifier":"3"},{"itemIdentifier":"9"}]}`: 0,
		`{"batchItemFailures":[{"itemIdentifier":""}]}`:                         0,
		`{"batchItemFailures":[{"itemIdentifier":null}]}`:                       0,
		`hello`: 0,
	} {
		if got := firstFailure(batch, []byte(reply)); got != want {
			t.Errorf("%s: %d are done, want %d", reply, got, want)
		}
	}
}

// TestStreamAge gives up changes that are too old, tried or not.
func TestStreamAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t, new(op.Memory))
		s.set("old=1")
		sleep(2 * time.Minute)
		s.set("a=1")
		s.door.answer = failsOn(t, "a")
		defer s.start(registry.StreamSource{MaxAgeSeconds: 60, OnFailure: "queue:failed"}, 1)()
		sleep(30 * time.Second)
		if n := testutil.ToFloat64(s.d.metrics.givenUp.WithLabelValues(abi.TriggerStream, conditionStreamAge)); n != 1 {
			t.Errorf("%v batches are given up", n)
		}
		s.set("b=1")
		sleep(40 * time.Second)
		if !strings.HasSuffix(s.seen(), "a=1 | b=1") || len(s.box.parcels) != 2 {
			t.Errorf("calls %s, %d parcels", s.seen(), len(s.box.parcels))
		}
		if body := string(s.box.parcels[0].Body); !strings.Contains(body, `"condition":"RecordAgeExceeded"`) || strings.Contains(body, "responseContext") {
			t.Errorf("record %s", body)
		}
	})
}

// TestStreamTrimmed reads from before what is kept: it goes on with the oldest.
func TestStreamTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &op.Memory{History: 3}
		s := newStreams(t, store)
		s.set("a=1")
		stop := s.start(registry.StreamSource{}, 1)
		sleep(time.Second)
		stop()
		for n := range 9 {
			s.set(fmt.Sprintf("a=%d", n+2))
		}
		store.History = 100 // the records of the stream are changes as well
		defer s.start(registry.StreamSource{}, 2)()
		sleep(time.Second)
		s.want("calls", "a=1 | a=8 a=9 a=10")
		if n := testutil.ToFloat64(s.d.metrics.trims.WithLabelValues("shop", "work")); n != 1 {
			t.Errorf("trimmed %v times", n)
		}
	})
}

// cutStore is a node's view of a store: it can be cut off.
type cutStore struct {
	*op.Memory
	mu  sync.Mutex // guards cut
	cut bool
}

func (c *cutStore) off(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
}

func (c *cutStore) Commit(ctx context.Context, t op.Txn) (op.Result, error) {
	c.mu.Lock()
	cut := c.cut
	c.mu.Unlock()
	if cut {
		return op.Result{}, errors.New("commit: cut off")
	}
	return c.Memory.Commit(ctx, t)
}

// TestStreamOwners has two nodes run a stream. One owns it; when it is cut off after it has handled a batch, and before
// it could write so, the other takes over after a lease, and the batch comes again; the first notices.
func TestStreamOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var memory op.Memory
		one, two := &cutStore{Memory: &memory}, &cutStore{Memory: &memory}
		a, b := newStreams(t, one), newStreams(t, two)
		defer a.start(registry.StreamSource{}, 1)()
		sleep(2 * time.Second)
		defer b.start(registry.StreamSource{}, 1)()
		a.set("a=1")
		sleep(10 * DefaultLease)
		a.want("the first", "a=1")
		b.want("the second", "")
		one.off(true)
		b.set("a=2")
		sleep(DefaultLease / 3)
		a.want("the first, before it is too late", "a=1 | a=2")
		sleep(2 * DefaultLease)
		b.want("the second takes over", "a=2")
		one.off(false)
		b.set("a=3")
		sleep(2 * DefaultLease)
		a.want("the first has lost it", "a=1 | a=2")
		b.want("the second goes on", "a=2 | a=3")
	})
}

// TestStreamLag is how old the oldest change is that waits.
func TestStreamLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreams(t, new(op.Memory))
		s.door.answer = failsOn(t, "a")
		stop := s.start(registry.StreamSource{}, 1)
		sleep(time.Second)
		if got := testutil.ToFloat64(s.d.metrics.lag); got != 0 {
			t.Errorf("lag %v with nothing to do", got)
		}
		s.set("a=1")
		sleep(90 * time.Second)
		if got := testutil.ToFloat64(s.d.metrics.lag); got != 90 {
			t.Errorf("lag %v, want 90", got)
		}
		stop()
		if n := testutil.CollectAndCount(s.d.metrics.lag); n != 0 {
			t.Errorf("%d lags of a stream that is stopped", n)
		}
	})
}

// TestSweepStreams forgets the places of streams that are gone, and of no others.
func TestSweepStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var memory op.Memory
		r := openRegistry(t, &memory)
		deploy(t, r, "work", registry.Settings{Triggers: []registry.Trigger{{Stream: &registry.StreamSource{Prefix: "a/b"}}}})
		s := newStreams(t, &memory)
		s.start(registry.StreamSource{Prefix: "a/b"}, 1)()
		s.start(registry.StreamSource{Name: "gone", Parallel: 2}, 0)()
		stop := s.start(registry.StreamSource{Prefix: "a/b"}, r.Snapshot().Generation())
		sleep(time.Second)
		stop()
		stop = s.start(registry.StreamSource{Name: "gone", Parallel: 2}, 0)
		sleep(time.Second)
		stop()
		deploy(t, r, "other", registry.Settings{})
		if err := SweepStreams(t.Context(), &memory, r.Snapshot()); err != nil {
			t.Fatal(err)
		}
		left := map[string]bool{}
		for i := range op.All(t.Context(), &memory, op.System, op.Query{Prefix: StreamPrefix}) {
			left[i.Key] = true
		}
		if got := strings.Join(slices.Sorted(maps.Keys(left)), " "); got != "stream/shop/work/=a%2Fb/1/0" {
			t.Errorf("left: %s", got)
		}
	})
}

// FuzzFirstFailure has any reply of a function.
func FuzzFirstFailure(f *testing.F) {
	f.Add(`{"batchItemFailures":[{"itemIdentifier":"2"}]}`)
	f.Fuzz(func(t *testing.T, reply string) {
		batch := []item{{sequence: "1"}, {sequence: "2"}}
		if n := firstFailure(batch, []byte(reply)); n < 0 || n > len(batch) {
			t.Errorf("%d are done", n)
		}
	})
}
