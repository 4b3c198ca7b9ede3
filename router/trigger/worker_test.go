package trigger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// runner is what Run starts.
type runner interface{ Run(ctx context.Context) }

func startRunner(t *testing.T, r runner) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

// worker starts a worker of queue orders.
func worker(t *testing.T, q *fakeQueue, d *door, s registry.QueueSource) (stop func()) {
	t.Helper()
	s.Queue = "orders"
	delivery := newDelivery(t, d, openRegistry(t, new(op.Memory)), nil)
	w, err := NewQueueWorker(WorkerConfig{App: "shop", Function: "work", Source: q, Delivery: delivery}, s)
	if err != nil {
		t.Fatal(err)
	}
	return startRunner(t, w)
}

// bodies are those of the records of an event.
func bodies(t *testing.T, c call) (all []string) {
	t.Helper()
	var e events.SQSEvent
	if err := json.Unmarshal(c.Body, &e); err != nil {
		t.Fatal(err)
	}
	for _, r := range e.Records {
		all = append(all, r.Body)
	}
	return all
}

func TestWorkerHandlesBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d := newFakeQueue("a", "b", "c", "d", "e"), new(door)
		defer worker(t, q, d, registry.QueueSource{BatchSize: 2})()
		sleep(time.Second)
		calls := d.seen()
		slices.SortFunc(calls, func(a, b call) int { return len(bodies(t, b)) - len(bodies(t, a)) }) // they run at once
		if len(calls) != 3 || len(bodies(t, calls[1])) != 2 || len(bodies(t, calls[2])) != 1 || len(q.left()) != 0 {
			t.Fatalf("%d calls, the largest of %v; %v are left", len(calls), bodies(t, calls[0]), q.left())
		}
		c := calls[0]
		if c.Trigger != abi.TriggerQueue || c.Method != "POST" || c.Path != "/" || c.Attempt != 1 || len(c.Invocation) != 26 {
			t.Errorf("event %+v", c.Event)
		}
		asked := q.receives()
		sleep(10 * time.Minute)
		if more := q.receives() - asked; more > 10*60 {
			t.Errorf("%d receives in ten idle minutes", more)
		}
		q.put(op.Outgoing{Body: []byte("f")})
		sleep(time.Millisecond)
		if n := len(d.seen()); n != 4 {
			t.Errorf("%d calls, want the new message at once", n)
		}
	})
}

func TestWorkerWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d := newFakeQueue(), new(door)
		defer worker(t, q, d, registry.QueueSource{BatchSize: 3, WindowMS: 120_000})()
		begin := time.Now()
		for _, b := range []string{"a", "b"} {
			q.put(op.Outgoing{Body: []byte(b)})
			sleep(50 * time.Second)
		}
		sleep(time.Minute)
		if calls := d.seen(); len(calls) != 1 || len(bodies(t, calls[0])) != 2 || calls[0].time.Sub(begin) != 2*time.Minute || calls[0].Attempt != 1 {
			t.Fatalf("calls %+v, want both messages after the window, received once", calls)
		}
		for _, b := range []string{"c", "d", "e", "f"} {
			q.put(op.Outgoing{Body: []byte(b)})
		}
		sleep(time.Second)
		if calls := d.seen(); len(calls) != 2 || len(bodies(t, calls[1])) != 3 {
			t.Errorf("%d calls, want a full batch at once", len(calls))
		}
	})
}

// TestWorkerWindowBytes has what waits for a batch to be full be no more than an event may have, attributes included.
func TestWorkerWindowBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d := newFakeQueue(), new(door)
		defer worker(t, q, d, registry.QueueSource{BatchSize: 1000, WindowMS: 300_000})()
		for range MaxWaitingBytes>>20 + 1 {
			q.put(op.Outgoing{Body: []byte("a"), Attributes: []op.Attribute{{Name: "b", Type: "String", Value: bytes.Repeat([]byte("b"), 1<<20)}}})
			sleep(time.Second)
		}
		if calls := d.seen(); len(calls) == 0 {
			t.Error("more than an event may have waits for a batch to be full")
		}
	})
}

func TestWorkerPartialFailures(t *testing.T) {
	for _, c := range []struct {
		reply string
		done  int
	}{
		{``, 3},
		{`{}`, 3},
		{`null`, 3},
		{`{"batchItemFailures":[]}`, 3},
		{`{"batchItemFailures":null}`, 3},
		{`{"batchItemFailures":[{"itemIdentifier":"m0002"}]}`, 2},
		{`{"batchItemFailures":[{"itemIdentifier":"m0002"},{"itemIdentifier":"m0002"},{"itemIdentifier":"m0003"}]}`, 1},
		{`{"batchItemFailures":[{"itemIdentifier":"other"}]}`, 0},
		{`{"batchItemFailures":[{"itemIdentifier":""}]}`, 0},
		{`{"batchItemFailures":[{"itemIdentifier":null}]}`, 0},
		{`{"batchItemFailures":[{"id":"m0002"}]}`, 0},
		{`{"batchItemFailures":"m0002"}`, 0},
		{`no json`, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := newFakeQueue("a", "b", "c")
			d := &door{answer: func(context.Context, call) (*abi.Result, error) {
				return &abi.Result{Reply: abi.Reply{Body: []byte(c.reply)}}, nil
			}}
			stop := worker(t, q, d, registry.QueueSource{ReportItems: true})
			sleep(time.Second)
			stop()
			if done := 3 - len(q.left()); done != c.done {
				t.Errorf("%s: %d messages are done, want %d", c.reply, done, c.done)
			}
		})
	}
}

// TestWorkerPoison has a message that always fails, alone and among others: it ends in the dead letters, and only
// those that failed every time do.
func TestWorkerPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue()
		q.most = 3
		for i := range 50 {
			q.put(op.Outgoing{Body: fmt.Appendf(nil, "%d", i)})
		}
		handled := map[string]int{}
		d := &door{}
		d.answer = func(_ context.Context, c call) (*abi.Result, error) {
			var e events.SQSEvent
			json.Unmarshal(c.Body, &e)
			var report events.SQSEventResponse
			for _, r := range e.Records {
				if r.Body == "13" {
					report.BatchItemFailures = append(report.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: r.MessageId})
				}
			}
			body, err := json.Marshal(report)
			return &abi.Result{Reply: abi.Reply{Body: body}}, err
		}
		defer worker(t, q, d, registry.QueueSource{ReportItems: true})()
		sleep(time.Hour)
		for _, c := range d.seen() {
			for _, b := range bodies(t, c) {
				handled[b]++
			}
		}
		if !slices.Equal(q.dead, []string{"13"}) || len(q.left()) != 0 || handled["13"] != 3 || handled["14"] != 1 {
			t.Errorf("dead %v, left %v, 13 was handled %d times", q.dead, q.left(), handled["13"])
		}
	})
}

// TestWorkerBacksOff has messages that fail come again by how often each of them failed, and after the queue's visibility
// timeout at the latest.
func TestWorkerBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue("a")
		d := &door{answer: func(context.Context, call) (*abi.Result, error) {
			return &abi.Result{Reply: abi.Reply{Body: []byte("all of them failed")}}, nil
		}}
		delivery := newDelivery(t, d, openRegistry(t, new(op.Memory)), nil)
		w, err := NewQueueWorker(WorkerConfig{App: "shop", Function: "work", Source: q, Delivery: delivery, Visibility: 12 * time.Second},
			registry.QueueSource{Queue: "orders", BatchSize: 10, ReportItems: true})
		if err != nil {
			t.Fatal(err)
		}
		defer startRunner(t, w)()
		sleep(time.Second)
		q.put(op.Outgoing{Body: []byte("b")})
		sleep(50 * time.Second)
		last, failed := map[string]time.Time{}, map[string]int{}
		for _, c := range d.seen() {
			for _, b := range bodies(t, c) {
				if gap, want := c.time.Sub(last[b]), min(queueBackoff<<max(0, failed[b]-1), 12*time.Second); failed[b] > 0 && (gap < want || gap > want+want/10) {
					t.Errorf("%s comes again after %v when it has failed %d times, want %v", b, gap, failed[b], want)
				}
				last[b] = c.time
				failed[b]++
			}
		}
		if failed["a"] < 4 || failed["b"] < 4 {
			t.Errorf("messages failed %v times in 50 seconds", failed)
		}
	})
}

// TestWorkerLease has messages of a node that is gone come again after the queue's visibility timeout, and not while the
// function works on them, however long that takes.
func TestWorkerLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue("a")
		d := &door{answer: func(context.Context, call) (*abi.Result, error) {
			sleep(time.Minute)
			return new(abi.Result), nil
		}}
		delivery := newDelivery(t, d, openRegistry(t, new(op.Memory)), nil)
		w, err := NewQueueWorker(WorkerConfig{App: "shop", Function: "work", Source: q, Delivery: delivery, Visibility: 3 * time.Second},
			registry.QueueSource{Queue: "orders"})
		if err != nil {
			t.Fatal(err)
		}
		defer startRunner(t, w)()
		sleep(30 * time.Second)
		q.mu.Lock()
		if next := time.Until(q.next()); next <= 0 || next > 3*time.Second {
			t.Errorf("the message is invisible for another %v, want at most 3s", next)
		}
		q.mu.Unlock()
		sleep(time.Hour)
		if n := len(d.seen()); n != 1 || len(q.left()) != 0 {
			t.Errorf("%d attempts, %v left, want one attempt", n, q.left())
		}
	})
}

func TestWorkerFailedBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue("a", "b")
		q.most = 4
		d := &door{answer: fails}
		defer worker(t, q, d, registry.QueueSource{})()
		sleep(time.Hour)
		calls := d.seen()
		if len(calls) != 4 || len(q.dead) != 2 {
			t.Fatalf("%d calls, dead %v", len(calls), q.dead)
		}
		for i, c := range calls {
			if c.Invocation != calls[0].Invocation || c.Attempt != i+1 || len(bodies(t, c)) != 2 {
				t.Errorf("call %d: attempt %d of %s", i+1, c.Attempt, c.Invocation)
			}
			if i > 0 {
				gap, want := c.time.Sub(calls[i-1].time), queueBackoff<<(i-1)
				if gap < want || gap > want+want/10 {
					t.Errorf("call %d comes after %v, want %v", i+1, gap, want)
				}
			}
		}
	})
}

// TestWorkerBusy waits when the function is: that is no attempt, and no other worker gets the messages meanwhile.
func TestWorkerBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue("a")
		free := time.Now().Add(20 * time.Minute)
		d := &door{answer: func(context.Context, call) (*abi.Result, error) {
			if time.Now().Before(free) {
				return nil, abi.WithCode(abi.TooManyRequests, errors.New("busy"))
			}
			return new(abi.Result), nil
		}}
		defer worker(t, q, d, registry.QueueSource{})()
		sleep(time.Hour)
		calls := d.seen()
		if len(q.left()) != 0 || len(calls) > 20 {
			t.Errorf("%d calls, %v are left", len(calls), q.left())
		}
		for _, c := range calls {
			if c.Attempt != 1 {
				t.Fatalf("attempt %d, want 1", c.Attempt)
			}
		}
	})
}

func TestWorkerConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue()
		for range 20 {
			q.put(op.Outgoing{Body: []byte("x")})
		}
		var mu sync.Mutex
		running, most := 0, 0
		d := &door{answer: func(ctx context.Context, _ call) (*abi.Result, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			pause(ctx, time.Minute) // longer than the visibility
			mu.Lock()
			running--
			mu.Unlock()
			return new(abi.Result), nil
		}}
		defer worker(t, q, d, registry.QueueSource{BatchSize: 1, Concurrency: 3})()
		sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(d.seen()); most != 3 || n != 20 || len(q.left()) != 0 {
			t.Errorf("%d batches at once, %d calls, %d left; want 3, 20, 0", most, n, len(q.left()))
		}
	})
}

func TestWorkerFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d := newFakeQueue(`{"kind":"a"}`, `{"kind":"b"}`, `{"kind":"c"}`, "text"), new(door)
		defer worker(t, q, d, registry.QueueSource{Filters: []json.RawMessage{
			json.RawMessage(`{"body":{"kind":["a"]}}`), json.RawMessage(`{"body":{"kind":["c"]}}`)}})()
		sleep(time.Second)
		if calls := d.seen(); len(calls) != 1 || !slices.Equal(bodies(t, calls[0]), []string{`{"kind":"a"}`, `{"kind":"c"}`}) || len(q.left()) != 0 {
			t.Errorf("calls %v, left %v", calls, q.left())
		}
	})
	bad := registry.QueueSource{Queue: "q", Filters: []json.RawMessage{json.RawMessage(`{"a":1}`)}}
	if _, err := NewQueueWorker(WorkerConfig{Delivery: new(Delivery)}, bad); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("a bad filter: %v", err)
	}
	if _, err := NewSubscriber("q", registry.TopicSource{Topic: "t", Filter: json.RawMessage(`[]`)}); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("a bad policy: %v", err)
	}
}

// TestWorkerSplits sends an event that is too long in halves.
func TestWorkerSplits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d := newFakeQueue(), new(door)
		for range 20 {
			q.put(op.Outgoing{Body: []byte(strings.Repeat("\x01", registry.MaxMessageBytes))}) // six bytes each in JSON
		}
		defer worker(t, q, d, registry.QueueSource{BatchSize: 20})()
		sleep(time.Minute)
		n := 0
		for _, c := range d.seen() {
			if len(c.Body) > MaxEventBytes {
				t.Errorf("event of %d bytes", len(c.Body))
			}
			n += len(bodies(t, c))
		}
		if n != 20 || len(q.left()) != 0 {
			t.Errorf("%d messages, %d are left", n, len(q.left()))
		}
	})
}

// TestWorkerSplitsGroups: of a FIFO group nothing is handled before what has failed, in whichever half it is; other groups
// go on.
func TestWorkerSplitsGroups(t *testing.T) {
	for name, c := range map[string]struct {
		source  registry.QueueSource
		failing abi.Result
	}{
		"fails":           {registry.QueueSource{BatchSize: 20}, abi.Result{Reply: abi.Reply{Error: "broken"}}},
		"fails in part":   {registry.QueueSource{BatchSize: 20, ReportItems: true}, abi.Result{Reply: abi.Reply{Body: []byte(`{"batchItemFailures":[{"itemIdentifier":"m0001"}]}`)}}},
		"and has effects": {registry.QueueSource{BatchSize: 20, ReportItems: true}, abi.Result{Reply: abi.Reply{Body: []byte(`{"batchItemFailures":[{"itemIdentifier":"m0001"}]}`)}, Effects: &op.Effects{Sends: []op.Sending{{Queue: "q"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, d := newFakeQueue(), new(door)
				for i, group := range []string{"a", "b", "b", "b", "b", "a", "b", "b", "b", "b"} { // three of six bytes each fit in an event
					q.put(op.Outgoing{Body: fmt.Appendf(nil, "%d%s", i, strings.Repeat("\x01", registry.MaxMessageBytes-1)), Group: group})
				}
				var mu sync.Mutex // guards handled
				var handled []string
				d.answer = func(_ context.Context, got call) (*abi.Result, error) {
					all := bodies(t, got)
					if all[0][0] == '0' && got.Attempt == 1 {
						failed := c.failing
						return &failed, nil
					}
					mu.Lock()
					defer mu.Unlock()
					for _, b := range all {
						handled = append(handled, b[:1])
					}
					return new(abi.Result), nil
				}
				defer worker(t, q, d, c.source)()
				sleep(time.Hour)
				if slices.Index(handled, "5") < slices.Index(handled, "0") || len(q.left()) != 0 {
					t.Errorf("handled %v, want 0 before 5; %d are left", handled, len(q.left()))
				}
			})
		})
	}
}

// TestWorkerStops gives back what was not begun, and lets what runs end, or not.
func TestWorkerStops(t *testing.T) {
	for _, c := range []struct {
		takes time.Duration
		left  int
	}{{5 * time.Second, 0}, {time.Hour, 1}} {
		synctest.Test(t, func(t *testing.T) {
			q := newFakeQueue("a")
			d := &door{answer: func(ctx context.Context, _ call) (*abi.Result, error) {
				pause(ctx, c.takes)
				return new(abi.Result), abi.WithCode(abi.Timeout, ctx.Err())
			}}
			stop := worker(t, q, d, registry.QueueSource{})
			sleep(time.Second)
			stop()
			if n := len(q.left()); n != c.left {
				t.Errorf("%v: %d messages are left, want %d", c.takes, n, c.left)
			}
			if got, _ := q.Receive(t.Context(), op.Receive{Max: 1, Visibility: visibility}); len(got) != c.left {
				t.Errorf("%v: %d messages are visible at once, want %d", c.takes, len(got), c.left)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // in a window
		q, d := newFakeQueue("a"), new(door)
		stop := worker(t, q, d, registry.QueueSource{WindowMS: 300_000})
		sleep(time.Second)
		stop()
		if got, _ := q.Receive(t.Context(), op.Receive{Max: 1, Visibility: visibility}); len(got) != 1 || len(d.seen()) != 0 {
			t.Errorf("%d messages are visible, %d calls; want 1, 0", len(got), len(d.seen()))
		}
	})
}

func TestWorkerSourceAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d := newFakeQueue("a"), new(door)
		q.fault(errFake)
		defer worker(t, q, d, registry.QueueSource{})()
		sleep(time.Minute)
		if n := len(d.seen()); n != 0 || q.receives() > 61 {
			t.Errorf("%d calls, %d receives in a minute", n, q.receives())
		}
		q.fault(nil)
		sleep(2 * time.Second)
		if len(d.seen()) != 1 || len(q.left()) != 0 {
			t.Errorf("%d calls, %v left", len(d.seen()), q.left())
		}
	})
}

func TestTopicWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, d, b := newFakeQueue(), new(door), new(mailbox)
		q.put(op.Outgoing{Body: []byte("hello"), Attributes: []op.Attribute{{Name: "store", Type: "String", Value: []byte("berlin")}, {Name: subjectAttribute, Type: "String", Value: []byte("Hi")}}})
		d.answer = fails
		w := NewTopicWorker(WorkerConfig{App: "shop", Function: "mail", Source: q, Delivery: newDelivery(t, d, openRegistry(t, new(op.Memory)), b)},
			registry.TopicSource{Topic: "orders", DeadLetter: "dead"})
		defer startRunner(t, w)()
		sleep(time.Hour)
		calls := d.seen()
		if len(calls) != 3 || calls[2].Attempt != 3 || len(q.left()) != 0 {
			t.Fatalf("%d calls, %v left", len(calls), q.left())
		}
		var e events.SNSEvent
		if err := json.Unmarshal(calls[0].Body, &e); err != nil || len(e.Records) != 1 {
			t.Fatalf("event %s, %v", calls[0].Body, err)
		}
		s := e.Records[0].SNS
		if s.Message != "hello" || s.Subject != "Hi" || s.TopicArn != "arn:aws:sns:local:000000000000:orders" || calls[0].Trigger != abi.TriggerTopic {
			t.Errorf("event %+v", s)
		}
		if len(b.parcels) != 1 || b.parcels[0].Destination != "queue:dead" || string(b.parcels[0].Body) != "hello" || len(b.parcels[0].Attributes) != 2 {
			t.Errorf("parcels %+v", b.parcels)
		}
	})
}

// TestEachWorkerDestinationAway has a destination, or dead letters, that cannot be reached for a while: the function is not
// invoked again for that.
func TestEachWorkerDestinationAway(t *testing.T) {
	for name, c := range map[string]struct {
		answer   func(context.Context, call) (*abi.Result, error)
		attempts int
		parcels  int
	}{"success": {nil, 1, 1}, "failure": {fails, registry.MaxRetries + 1, 2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, d, b := newFakeQueue("hello"), &door{answer: c.answer}, &mailbox{errs: []error{errFake, errFake, errFake}}
				r := openRegistry(t, new(op.Memory))
				deploy(t, r, "mail", registry.Settings{Async: &registry.Async{OnSuccess: "queue:told", OnFailure: "queue:told"}})
				w := NewTopicWorker(WorkerConfig{App: "shop", Function: "mail", Source: q, Delivery: newDelivery(t, d, r, b)},
					registry.TopicSource{Topic: "orders", DeadLetter: "dead"})
				defer startRunner(t, w)()
				sleep(time.Hour)
				if len(d.seen()) != c.attempts || len(b.parcels) != c.parcels || len(q.left()) != 0 {
					t.Errorf("%d calls, %d parcels, %v left; want %d, %d, none", len(d.seen()), len(b.parcels), q.left(), c.attempts, c.parcels)
				}
			})
		})
	}
}

func TestQueueEvent(t *testing.T) {
	sent := time.UnixMilli(1_545_082_649_183)
	got, err := queueEvent([]op.Message{{
		ID: "m1", Receipt: "r1", Body: []byte("Test message."), Receives: 2, Sent: sent, First: sent.Add(2 * time.Millisecond),
		Group: "g", Dedup: "d", Sequence: 7, Source: "first",
		Attributes: []op.Attribute{{Name: "n", Type: "Number", Value: []byte("5")}, {Name: "b", Type: "Binary.png", Value: []byte{1, 2}}},
	}}, "local", "orders.fifo")
	want := `{"Records":[{"messageId":"m1","receiptHandle":"r1","body":"Test message.","md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3",
		"md5OfMessageAttributes":"","attributes":{"ApproximateReceiveCount":"2","SentTimestamp":"1545082649183","SenderId":"000000000000",
		"ApproximateFirstReceiveTimestamp":"1545082649185","MessageGroupId":"g","SequenceNumber":"00000000000000000007",
		"MessageDeduplicationId":"d","DeadLetterQueueSourceArn":"arn:aws:sqs:local:000000000000:first"},
		"messageAttributes":{"n":{"stringValue":"5","stringListValues":[],"binaryListValues":[],"dataType":"Number"},
		"b":{"binaryValue":"AQI=","stringListValues":[],"binaryListValues":[],"dataType":"Binary.png"}},
		"eventSourceARN":"arn:aws:sqs:local:000000000000:orders.fifo","eventSource":"aws:sqs","awsRegion":"local"}]}`
	if err != nil || !sameJSON(t, got, []byte(want)) {
		t.Errorf("event %s, %v, want %s", got, err, want)
	}
}
