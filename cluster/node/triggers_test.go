package node

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// broken is a command that traps.
func broken() []byte {
	return []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x05\x03\x01\x00\x01\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00\x0a\x05\x01\x03\x00\x00\x0b")
}

// deployWith deploys a module with settings.
func deployWith(t *testing.T, n *Node, name string, module []byte, s registry.Settings) {
	t.Helper()
	if _, err := deployFunction(t.Context(), n, module, client.DeployFunction{Name: name, Settings: s}); err != nil {
		t.Fatal(err)
	}
}

// invoked answers the invocations of a function that a node has run, by what caused them.
func invoked(n *Node, function string) map[string][]router.Access {
	all := map[string][]router.Access{}
	records, _ := n.router.Access(0, 1000)
	for _, a := range records {
		if a.Function == function {
			all[a.Trigger] = append(all[a.Trigger], a)
		}
	}
	return all
}

func empty(t *testing.T, n *Node, names ...string) bool {
	for _, name := range names {
		if s, err := n.queues.Stats(t.Context(), "default", name); err != nil || s.Messages != 0 {
			return false
		}
	}
	return true
}

func TestTriggers(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	deployWith(t, n, "work", wasmtest.Answer("done"), registry.Settings{Routes: []registry.Route{{Pattern: "POST /work"}}, Triggers: []registry.Trigger{
		{Queue: &registry.QueueSource{Queue: "orders", BatchSize: 10}},
		{Topic: &registry.TopicSource{Topic: "placed", Filter: []byte(`{"kind":["gift"]}`)}},
		{Schedule: &registry.Schedule{Expressions: []string{"rate(1 day)"}}},
	}})
	for _, name := range []string{"orders", "copies"} {
		if err := n.queues.Put(ctx, "default", registry.Queue{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.queues.PutTopic(ctx, "default", registry.Topic{Name: "placed"}); err != nil {
		t.Fatal(err)
	}
	if err := n.Subscribe(ctx, "default", registry.Subscription{Topic: "placed", Name: "copy", To: "queue:copies"}); err != nil {
		t.Fatal(err)
	}

	bad := registry.Subscription{Topic: "placed", Name: "bad", To: "queue:copies", Filter: []byte(`{"kind":"gift"}`)}
	if err := n.Subscribe(ctx, "default", bad); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("Subscribe() with a filter that is none = %v", err)
	}

	if _, err := n.queues.Send(ctx, "default", "orders", op.Outgoing{Body: []byte("one")}, op.Outgoing{Body: []byte("two")}); err != nil {
		t.Fatal(err)
	}
	await(t, "the queue's messages to be handled", func() bool {
		return empty(t, n, "orders") && len(invoked(n, "work")[abi.TriggerQueue]) > 0
	})

	gift := []op.Attribute{{Name: "kind", Type: "String", Value: []byte("gift")}}
	if _, err := n.queues.Publish(ctx, "default", "placed", op.Outgoing{Body: []byte("a"), Attributes: gift}, op.Outgoing{Body: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	await(t, "the publication that matches to be handled", func() bool {
		return empty(t, n, "topic/placed", "topic/placed/function/work") && len(invoked(n, "work")[abi.TriggerTopic]) == 1
	})
	if s, err := n.queues.Stats(ctx, "default", "copies"); err != nil || s.Messages != 2 {
		t.Errorf("the subscribed queue holds %+v, %v, want both publications", s, err)
	}

	schedules, err := n.scheduler.Schedules(ctx, "default")
	if err != nil || len(schedules) != 1 || schedules[0].Next.IsZero() {
		t.Fatalf("schedules %+v, %v", schedules, err)
	}
	fired, err := n.scheduler.Fire(ctx, schedules[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the fired schedule", func() bool {
		got := invoked(n, "work")[abi.TriggerSchedule]
		return len(got) == 1 && got[0].Invocation == fired
	})

	id := postAsync(t, n, "/work")
	await(t, "the asynchronous invocation", func() bool {
		got := invoked(n, "work")[abi.TriggerAsync]
		return len(got) == 1 && got[0].Invocation == id && empty(t, n, asyncQueue)
	})
}

// postAsync has a request run later and answers the invocation's id.
func postAsync(t *testing.T, n *Node, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+n.HTTPAddr()+path, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Sett-Invocation-Type", "async")
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if body, err := io.ReadAll(reply.Body); err != nil || reply.StatusCode != http.StatusAccepted {
		t.Fatalf("status %d, %s, %v", reply.StatusCode, body, err)
	}
	return reply.Header.Get("Sett-Invocation-Id")
}

// TestDestinations ends an invocation that fails at its destination, with the record that says so.
func TestDestinations(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	if err := n.queues.Put(ctx, "default", registry.Queue{Name: "failed"}); err != nil {
		t.Fatal(err)
	}
	none := 0
	deployWith(t, n, "broken", broken(),
		registry.Settings{Async: &registry.Async{Retries: &none, OnFailure: "queue:failed"}})
	id := postAsync(t, n, "/broken")
	var records []op.Message
	await(t, "the record of the failure", func() bool {
		var err error
		records, err = n.queues.Receive(ctx, "default", "failed", op.Receive{Wait: op.NoWait})
		if err != nil {
			t.Fatal(err)
		}
		return len(records) == 1
	})
	if body := string(records[0].Body); !strings.Contains(body, `"requestId":"`+id+`"`) || !strings.Contains(body, `"condition":"RetriesExhausted"`) {
		t.Errorf("record %s", body)
	}
	if err := n.Unsubscribe(ctx, "default", "nothing", "none"); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Unsubscribe() of what is not there = %v", err)
	}
}

// TestAsyncBeforeRefresh runs the invocation of a function that another node has deployed before this one has read it.
func TestAsyncBeforeRefresh(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	deployWith(t, n, "work", wasmtest.Answer("done"), registry.Settings{})
	other, err := registry.Open(ctx, n.store)
	if err != nil {
		t.Fatal(err)
	}
	n.refreshing.Lock()
	v := n.registry.Snapshot().Function("default", "work").Live()[0]
	_, err = other.Deploy(ctx, "default", []registry.Change{{Name: "new", Module: v.Module, Settings: v.Settings, Seed: v.Seed}})
	if err == nil {
		_, err = trigger.NewAsync(trigger.AsyncConfig{App: "default", Queue: channel{n.queues, "default", asyncQueue}, Delivery: n.delivery}).
			Submit(ctx, trigger.Invocation{Function: "new"})
	}
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the invocation to be received", func() bool {
		s, err := n.queues.Stats(ctx, "default", asyncQueue)
		return err != nil || s.Messages == 0 || s.InFlight > 0
	})
	n.refreshing.Unlock()
	await(t, "the invocation", func() bool { return len(invoked(n, "new")[abi.TriggerAsync]) == 1 && empty(t, n, asyncQueue) })
}

// TestWaiting shows an asynchronous invocation that failed and waits for its next attempt.
func TestWaiting(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	deployWith(t, n, "broken", broken(), registry.Settings{})
	id := postAsync(t, n, "/broken")
	var waiting []client.WaitingInvocation
	await(t, "the first attempt to fail", func() bool {
		var err error
		if waiting, err = n.Waiting(t.Context(), "default", "broken"); err != nil {
			t.Fatal(err)
		}
		return len(waiting) == 1 && waiting[0].State == client.WaitingRetry
	})
	if w := waiting[0]; w.Invocation != id || w.Attempts != 1 || w.Next.IsZero() || w.Error == "" || w.Trigger != abi.TriggerAsync {
		t.Errorf("waiting %+v", w)
	}
	if other, err := n.Waiting(t.Context(), "default", "other"); err != nil || len(other) != 0 {
		t.Errorf("of another function: %+v, %v", other, err)
	}
}

// TestWaitingInFullApp counts the attempts of an invocation that the app's quota has no room for the error of.
func TestWaitingInFullApp(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	deployWith(t, n, "broken", broken(), registry.Settings{})
	failed := func(count int) (errors []string) {
		await(t, fmt.Sprintf("attempt %d to fail", count), func() bool {
			waiting, err := n.Waiting(ctx, "default", "broken")
			if err != nil {
				t.Fatal(err)
			}
			all := 0
			errors = nil
			for _, w := range waiting {
				all += w.Attempts
				if w.Error != "" {
					errors = append(errors, w.Error)
				}
			}
			return all == count
		})
		return errors
	}
	postAsync(t, n, "/broken")
	first := failed(1)
	u, err := n.store.Usage(ctx, "default")
	if err == nil { // room for one more, which may be some bytes longer, as the time and the client's port are, and not for its error
		err = n.store.SetQuota(ctx, "default", op.Quota{Bytes: 2*u.Bytes - int64(len(first[0])/2)})
	}
	if err != nil {
		t.Fatal(err)
	}
	postAsync(t, n, "/broken")
	if errors := failed(2); len(errors) != 1 {
		t.Errorf("invocations have errors %q, want the first alone", errors)
	}
}

// TestURLSubscription posts publications to a URL, and to none that only this node may reach.
func TestURLSubscription(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what came is what is looked at
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(body))
	}))
	defer hook.Close()
	n := start(t, t.TempDir())
	ctx := t.Context()
	if err := n.queues.PutTopic(ctx, "default", registry.Topic{Name: "placed"}); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"hook": hook.URL + "/x", "own": "http://" + n.AdminAddr() + "/v1/tokens"} {
		if err := n.Subscribe(ctx, "default", registry.Subscription{Topic: "placed", Name: name, To: to}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.queues.Publish(ctx, "default", "placed", op.Outgoing{Body: []byte("hi")}); err != nil {
		t.Fatal(err)
	}
	await(t, "the post", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) == 1 && strings.Contains(got[0], `"Message":"hi"`)
	})
	if _, err := (poster{n.client}).Post(context.WithoutCancel(ctx), "default", "http://"+n.AdminAddr()+"/v1/tokens", nil, nil); err == nil {
		t.Error("the admin plane was reached from within")
	}
	all, err := n.Subscriptions(ctx, "default", "placed")
	if err != nil || len(all) != 2 {
		t.Errorf("Subscriptions() = %+v, %v", all, err)
	}
	if err := (adminQueues{n.queues, n}).RemoveTopic(ctx, "default", "placed"); err != nil {
		t.Fatal(err)
	}
	if err := n.queues.PutTopic(ctx, "default", registry.Topic{Name: "placed"}); err != nil {
		t.Fatal(err)
	}
	if all, err := n.Subscriptions(ctx, "default", "placed"); err != nil || len(all) != 0 {
		t.Errorf("Subscriptions() of a topic that was made anew = %+v, %v, want none", all, err)
	}
}

// TestEventsAreNotForged has no route lead to a function that is there for events alone.
func TestEventsAreNotForged(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	deployWith(t, n, "work", wasmtest.Answer("done"), registry.Settings{Triggers: []registry.Trigger{{Queue: &registry.QueueSource{Queue: "orders"}}}})
	reply, err := http.Post("http://"+n.HTTPAddr()+"/work", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusNotFound {
		t.Errorf("status %d, want 404", reply.StatusCode)
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	nodes := []string{"a", "b", "c"}
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 100: 100} {
		sum := 0
		for _, id := range nodes {
			sum += share(n, fmt.Sprint("key", n), id, nodes)
		}
		if sum != want {
			t.Errorf("%d shared out are %d", n, sum)
		}
	}
}

// TestUnreadableFunctions: while the functions cannot be read nobody is said to want an event, a publication or what becomes of an
// object, and none to be gone, as it would be lost to who was deployed just before.
func TestUnreadableFunctions(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	broken := op.Txn{Namespace: op.System, Ops: []op.Op{{Kind: op.Set, Key: "f/default/broken", Value: []byte("{")}, {Kind: op.Set, Key: "generation"}}}
	if _, err := n.store.Commit(ctx, broken); err != nil {
		t.Fatal(err)
	}
	if all, err := n.listeners(ctx, "default"); err == nil {
		t.Errorf("listeners = %v, want an error", all)
	}
	if all, err := n.subscribers(ctx, "default", "news"); err == nil {
		t.Errorf("subscribers = %v, want an error", all)
	}
	if all, err := n.busSubscribers(ctx, "default"); err == nil {
		t.Errorf("busSubscribers = %v, want an error", all)
	}
	if _, err := (door{n}).Dispatch(ctx, router.Call{App: "default", Function: "new", Event: new(abi.Event)}); abi.CodeOf(err) != abi.Unavailable {
		t.Errorf("dispatch to a function that may be there: %v, want code %s", err, abi.Unavailable)
	}
}
