package sett

import (
	"context"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// openQueues answers the queues of a store on disk, with the queue orders and the topic news of app shop.
func openQueues(t *testing.T) *queue.Queues {
	t.Helper()
	ctx := t.Context()
	s, err := kv.Open(ctx, kv.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	q := queue.Open(s)
	for _, err := range []error{s.CaughtUp(ctx), s.RaiseLevel(ctx, fsm.Level), q.Put(ctx, "shop", registry.Queue{Name: "orders"}),
		q.PutTopic(ctx, "shop", registry.Topic{Name: "news"})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return q
}

// TestQueueGuestRuns sends, publishes, receives and settles from a module built by the Go toolchain, in a store on disk.
func TestQueueGuestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles WebAssembly modules")
	}
	q := openQueues(t)
	r, v, sink := deployedIn(t, runtime.Config{Queues: q, MaxQueueCalls: 20}, "queue", "c-shared")
	post := func(path, body string) string {
		t.Helper()
		got, err := r.Invoke(context.Background(), v, request("POST", path, body))
		if err != nil {
			t.Fatalf("%s: %v, log %q", path, err, sink.take())
		}
		return string(got.Body)
	}
	long := strings.Repeat("order", 1000)
	if got := post("/send", long); got != "2" {
		t.Errorf("send = %q, want 2", got)
	}
	if got, want := post("/work", ""), long+" 1 new 1"; got != want {
		t.Errorf("receive = %q, want %q", got, want)
	}
	if got := post("/publish", "body"); len(got) != 26 {
		t.Errorf("publish = %q, want an id", got)
	}
	published, err := q.Receive(t.Context(), "shop", queue.TopicQueue("news"), op.Receive{Wait: op.NoWait})
	if err != nil || len(published) != 1 || string(published[0].Body) != "body" || len(published[0].Attributes) != 1 ||
		published[0].Attributes[0].Name != "sett-subject" || published[0].Attributes[0].Type != "String" || string(published[0].Attributes[0].Value) != "hello" {
		t.Errorf("published %+v, %v", published, err)
	}
	if got, want := post("/many", ""), "queue orders: count: "+abi.ErrQueueCalls.Error()+": 20"; got != want {
		t.Errorf("calls without end = %q, want %q", got, want)
	}
	v.App = "other"
	if got := post("/send", "x"); !strings.HasPrefix(got, "0queue orders: send: ") || !strings.Contains(got, "queue not found") {
		t.Errorf("send of another app = %q, want an error", got)
	}
}

// TestEventGuestRuns: a batch's failures are answered and logged, and a handler sees which attempt it is.
func TestEventGuestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles WebAssembly modules")
	}
	r, v, sink := deployedIn(t, runtime.Config{}, "queue", "c-shared")
	e := request("POST", "/", `{"Records":[{"messageId":"m1","body":"good"},{"messageId":"m2","body":"bad","attributes":{"ApproximateReceiveCount":"3"}}]}`)
	e.Trigger, e.Handler = abi.TriggerQueue, "ship"
	got, err := r.Invoke(context.Background(), v, e)
	if err != nil || string(got.Body) != `{"batchItemFailures":[{"itemIdentifier":"m2"}]}` {
		t.Errorf("batch = %s, %v", got.Body, err)
	}
	if log, want := sink.take(), `log WARN message failed {"message":"m2","receives":3,"err":"no stock"}`; !strings.Contains(log, want) {
		t.Errorf("log = %q, want %q", log, want)
	}
	e = request("POST", "/", "")
	e.Handler, e.Attempt = "attempt", 3
	if got, err := r.Invoke(context.Background(), v, e); err != nil || string(got.Body) != "3" {
		t.Errorf("attempt = %s, %v, want 3", got.Body, err)
	}
}
