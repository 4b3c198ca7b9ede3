package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// roundTripQueues holds that the client's methods are the store's.
func roundTripQueues(t *testing.T, w *world, c *client.Client) {
	queues, ctx := c.Queues(), context.Background()
	whole := registry.Queue{Name: "orders.fifo", FIFO: true, ContentDedup: true, VisibilitySeconds: 60, DelaySeconds: 5, RetentionSeconds: 600,
		WaitSeconds: 3, MaxBytes: 2048, DeadLetter: "dead.fifo", MaxReceives: 4}
	for _, q := range []registry.Queue{whole, {Name: "plain"}, {Name: "dead.fifo", FIFO: true}} {
		if err := queues.Put(ctx, "shop", q); err != nil {
			t.Fatalf("Put %s: %v", q.Name, err)
		}
	}
	if info, err := queues.Get(ctx, "shop", whole.Name); err != nil || info.Queue != whole || !info.Created.Equal(noon) {
		t.Errorf("Get = %+v, %v, want %+v", info, err, whole)
	}
	if page, after, err := queues.List(ctx, "shop", op.QueueQuery{Limit: 2}); err != nil || len(page) != 2 || after != "orders.fifo" {
		t.Errorf("List = %v, %q, %v", page, after, err)
	}
	if page, after, err := queues.List(ctx, "shop", op.QueueQuery{Prefix: "p", After: "orders.fifo"}); err != nil || len(page) != 1 || after != "" {
		t.Errorf("List of the rest = %v, %q, %v", page, after, err)
	}
	messages := []op.Outgoing{
		{Body: []byte("text"), Group: "g", Dedup: "again", Delay: time.Second,
			Attributes: []op.Attribute{{Name: "a", Type: "String.x", Value: []byte("v")}, {Name: "b", Type: "Binary", Value: []byte{0xff}}}},
		{Body: []byte{0xff, 0}, Delay: op.NoDelay},
	}
	sent, err := queues.Send(ctx, "shop", "plain", messages...)
	if err != nil || len(sent) != 2 || !sent[0].Duplicate || sent[1] != (op.Sent{ID: fmt.Sprintf("%026d", 2), Sequence: 2}) {
		t.Errorf("Send = %+v, %v", sent, err)
	}
	got, err := queues.Receive(ctx, "shop", "plain", op.Receive{Max: 5, Visibility: time.Minute, Wait: op.NoWait})
	if err != nil || len(got) != 2 || w.channels.received != (op.Receive{Max: 5, Visibility: time.Minute, Wait: op.NoWait}) {
		t.Fatalf("Receive = %+v, %v, asked for as %+v", got, err, w.channels.received)
	}
	want := op.Message{ID: sent[0].ID, Sequence: 1, Body: []byte("text"), Attributes: messages[0].Attributes, Group: "g", Dedup: "again",
		Sent: noon, First: noon.Add(time.Second), Receives: 1, Source: "before", Receipt: "r1", Visible: noon.Add(time.Second)}
	if !reflect.DeepEqual(got[0], want) || !bytes.Equal(got[1].Body, messages[1].Body) || got[1].Visible != noon.Add(op.NoDelay) {
		t.Errorf("Receive = %+v, want %+v first", got, want)
	}
	settlement := op.Settlement{Delete: []string{"r2", "r1"}, Release: []op.Release{{Receipt: "r1", Delay: time.Minute}, {Receipt: "r3"}}}
	if done, err := queues.Settle(ctx, "shop", "plain", settlement); err != nil || fmt.Sprint(done) != "{[false true] [true false]}" ||
		!reflect.DeepEqual(w.channels.settled, settlement) {
		t.Errorf("Settle = %v, %v, asked for as %+v", done, err, w.channels.settled)
	}
	queues.Send(ctx, "shop", "plain", op.Outgoing{Body: []byte("1")}, op.Outgoing{Body: []byte("2")}, op.Outgoing{Body: []byte("3")})
	if n, err := queues.Redrive(ctx, "shop", "plain", op.Redrive{To: "dead.fifo", Max: 2}); n != 2 || err != nil {
		t.Errorf("Redrive = %d, %v, want 2", n, err)
	}
	if n, err := queues.Purge(ctx, "shop", "dead.fifo"); n != 2 || err != nil {
		t.Errorf("Purge = %d, %v, want 2", n, err)
	}
	if err := queues.Remove(ctx, "shop", "plain"); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if _, err := queues.Get(ctx, "shop", "plain"); !errors.Is(err, op.ErrNoQueue) || abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Get of what is gone: %v, want %v", err, op.ErrNoQueue)
	}
}

func roundTripTopics(t *testing.T, c *client.Client) {
	topics, ctx := c.Topics(), context.Background()
	if err := topics.Put(ctx, "shop", registry.Topic{Name: "placed"}); err != nil {
		t.Fatal(err)
	}
	if list, err := topics.List(ctx, "shop"); err != nil || !reflect.DeepEqual(list, []registry.Topic{{Name: "placed"}}) {
		t.Errorf("List = %v, %v", list, err)
	}
	c.Queues().Put(ctx, "shop", registry.Queue{Name: "placed"}) // stands for the topic
	if sent, err := topics.Publish(ctx, "shop", "placed", op.Outgoing{Body: []byte("x")}); err != nil || len(sent) != 1 {
		t.Errorf("Publish = %v, %v", sent, err)
	}
	s := registry.Subscription{Topic: "placed", Name: "hook", To: "https://example.com/hook", Filter: json.RawMessage(`{"kind":["gift",{"prefix":"a"}]}`),
		FilterScope: registry.FilterBody, DeadLetter: "dead"}
	if err := topics.Subscribe(ctx, "shop", s); err != nil {
		t.Fatal(err)
	}
	if list, err := topics.Subscriptions(ctx, "shop", "placed"); err != nil || !reflect.DeepEqual(list, []registry.Subscription{s}) {
		t.Errorf("Subscriptions = %+v, %v, want %+v", list, err, s)
	}
	if err := topics.Unsubscribe(ctx, "shop", "placed", "hook"); err != nil {
		t.Errorf("Unsubscribe: %v", err)
	}
	if err := topics.Unsubscribe(ctx, "shop", "placed", "hook"); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Unsubscribe again: %v, want %s", err, abi.NotFound)
	}
	if err := topics.Remove(ctx, "shop", "placed"); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

func TestQueuesRefuse(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	if err := w.channels.Put(context.Background(), "shop", registry.Queue{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	receipts := strings.TrimSuffix(strings.Repeat(`"r",`, op.MaxReceive+1), ",")
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "queues/topic%2Fplaced", "", 400, "queue name"},
		{"POST", "queues/async%2Finvocations/purge", "", 400, "queue name"},
		{"GET", "topics/a%2Fb/subscriptions", "", 400, "topic name"},
		{"PUT", "topics/t/subscriptions/a%2Fb", `{"to":"queue:q"}`, 400, "a name is 1 to 80"},
		{"GET", "queues?limit=1001", "", 400, "between 1 and 1000"},
		{"GET", "queues?prefix=%00", "", 400, "is not a name"},
		{"GET", "queues?after=q", "", 400, "unknown key"},
		{"PUT", "queues/q", `{"name":"other"}`, 400, `the path says \"q\"`},
		{"PUT", "queues/q", `{"visibility_second":5}`, 400, "did you mean visibility_seconds?"},
		{"PUT", "queues/q", `{"delay_seconds":901,"wait_seconds":21}`, 400, "wait in seconds: 21"},
		{"PUT", "queues/q", `{"fifo":true}`, 400, "FIFO"},
		{"POST", "queues/none/messages", `{"messages":[{"body":"a"}]}`, 404, `"reason":"queue_not_found"`},
		{"POST", "queues/q/messages", `{}`, 400, "at least one"},
		{"POST", "queues/q/messages", `{"messages":[{"body":"a"},{}]}`, 400, "messages[1]: the message is empty"},
		{"POST", "queues/q/messages", `{"messages":[{"body":"a","body_base64":"YQ=="}]}`, 400, "messages[0].body: given as text and in base64"},
		{"POST", "queues/q/messages", `{"messages":[{"body_base64":"*"}]}`, 400, "messages[0].body_base64: illegal base64"},
		{"POST", "queues/q/messages", `{"messages":[{"body":"a","delay_ms":900001}]}`, 400, "messages[0].delay_ms"},
		{"POST", "queues/q/messages", `{"messages":[{"body":"a","delay_ms":-1}]}`, 400, "messages[0].delay_ms"},
		{"POST", "queues/q/messages", `{"messages":[{"body":"a","attributes":[{"name":"n","type":"Number","value":"x"}]}]}`, 400, "not a number"},
		{"POST", "queues/q/messages", `{"messages":[{"body":"a","attributes":[{"name":"n","value":"x","value_base64":""}]}]}`, 400, "attributes[0].value"},
		{"POST", "queues/q/messages", `{"messages":[{"body":"` + strings.Repeat("x", op.MaxMessageBytes+1) + `"}]}`, 413, `"reason":"over_limit"`},
		{"POST", "queues/q/messages", `{"messages":[` + strings.Repeat(`{"body":"a"},`, op.MaxSend) + `{"body":"a"}]}`, 413, "1001; at most 1000"},
		{"POST", "queues/q/messages", `{"messages":[{"body":"` + strings.Repeat("x", maxSendJSONBytes) + `"}]}`, 413, "limit of 16777216 bytes"},
		{"POST", "queues/q/receive", `{"max":10001}`, 400, "between 1 and 10000"},
		{"POST", "queues/q/receive", `{"max":-1}`, 400, "between 1 and 10000"},
		{"POST", "queues/q/receive", `{"wait_ms":20001}`, 400, "wait_ms"},
		{"POST", "queues/q/receive", `{"visibility_ms":9223372036854775807}`, 400, "visibility_ms"},
		{"POST", "queues/q/settle", `{"release":[{"receipt":"r","delay_ms":-1}]}`, 400, "release[0].delay_ms"},
		{"POST", "queues/q/settle", `{"delete":[` + receipts + `]}`, 413, "at most 10000"},
		{"POST", "queues/q/settle", `{"delete":["` + strings.Repeat("x", maxSettleJSONBytes) + `"]}`, 413, "limit of 4194304 bytes"},
		{"POST", "queues/q/redrive", `{"to":"topic/placed"}`, 400, "to: queue name"},
		{"POST", "queues/q/redrive", `{"max":-1}`, 400, "max -1: it is a number from 0"},
		{"PUT", "topics/t/subscriptions/s", `{"to":"function:f"}`, 400, "it is queue:NAME or a URL"},
		{"PUT", "topics/t/subscriptions/s", `{"to":"https://example.com:65536/"}`, 400, "it is queue:NAME or a URL"},
		{"PUT", "topics/t/subscriptions/s", `{"to":"https://:443/"}`, 400, "it is queue:NAME or a URL"},
		{"PUT", "topics/t/subscriptions/s", `{"to":"queue:q","topic":"u"}`, 400, "the path says"},
		{"PUT", "topics/t/subscriptions/s", `{"to":"queue:q","filter":[1]}`, 400, "no JSON object"},
	} {
		res, text := call(t, server, test.method, "/v1/apps/shop/"+test.path, test.body)
		if res.StatusCode != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s %s %.60s: %d %.300s, want %d %q", test.method, test.path, test.body, res.StatusCode, text, test.status, test.want)
		}
	}
}

// TestLargestMessagesPass sends and receives what takes the most room in JSON.
func TestLargestMessagesPass(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	queues, ctx := connect(t, server, "").Queues(), context.Background()
	if err := queues.Put(ctx, "shop", registry.Queue{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	zeros := bytes.Repeat([]byte{0}, op.MaxMessageBytes) // take six bytes each as text
	var messages []op.Outgoing
	for range op.MaxTxnBytes / op.MaxMessageBytes {
		messages = append(messages, op.Outgoing{Body: zeros})
	}
	for range op.MaxReceiveBytes / op.MaxTxnBytes {
		if _, err := queues.Send(ctx, "shop", "q", messages...); err != nil {
			t.Fatalf("Send: %v", err)
		}
	}
	got, err := queues.Receive(ctx, "shop", "q", op.Receive{Max: op.MaxReceive, Wait: op.NoWait})
	if err != nil || len(got) != op.MaxReceiveBytes/op.MaxMessageBytes || !bytes.Equal(got[0].Body, zeros) {
		t.Errorf("Receive = %d messages, %v", len(got), err)
	}
}

func TestWaitingReceivesHaveALimitAndEndWithTheNode(t *testing.T) {
	w := newWorld(t)
	a, server := w.start(t, func(c *Config) { c.Limits.Followers = 1 })
	queues, ctx := connect(t, server, "").Queues(), context.Background()
	if err := queues.Put(ctx, "shop", registry.Queue{Name: "q"}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := queues.Receive(ctx, "shop", "q", op.Receive{Wait: op.MaxWait})
		ended <- err
	}()
	for len(a.followers) == 0 {
		runtime.Gosched()
	}
	if _, err := queues.Receive(ctx, "shop", "q", op.Receive{}); abi.CodeOf(err) != abi.TooManyRequests {
		t.Errorf("a second receive that waits: %v, want %s", err, abi.TooManyRequests)
	}
	if _, err := queues.Receive(ctx, "shop", "q", op.Receive{Wait: op.NoWait}); err != nil {
		t.Errorf("a receive that does not wait: %v", err)
	}
	a.Drain()
	if err := <-ended; err != nil {
		t.Errorf("when the node drains: %v, want no messages", err)
	}
}

func TestNodeWithoutChannels(t *testing.T) {
	w := newWorld(t)
	a, server := w.start(t, func(c *Config) { c.Queues, c.Subscriptions, c.Events, c.Schedules, c.Async = nil, nil, nil, nil, nil })
	names := strings.NewReplacer("{app}", "shop", "{function}", "f", "{queue}", "q", "{topic}", "t", "{archive}", "a", "{subscription}", "s", "{schedule}", "1")
	for pattern := range a.routes {
		method, path, _ := strings.Cut(pattern, " ")
		if !strings.Contains(path, "/queues") && !strings.Contains(path, "/topics") && !strings.Contains(path, "/events") && !strings.Contains(path, "/archives") && !strings.Contains(path, "/schedules") {
			continue
		}
		if res, text := call(t, server, method, names.Replace(path), ""); res.StatusCode != 422 || !strings.Contains(text, `"code":"unsupported"`) {
			t.Errorf("%s: %d %s, want 422", pattern, res.StatusCode, text)
		}
	}
	_, err := connect(t, server, "").InvokeAsync(context.Background(), client.InvokeTarget{App: "shop", Function: "f"}, client.InvokeRequest{})
	if abi.CodeOf(err) != abi.Unsupported {
		t.Errorf("InvokeAsync: %v, want %s", err, abi.Unsupported)
	}
}

func roundTripSchedules(t *testing.T, w *world, c *client.Client) {
	schedules, ctx := c.Schedules(), context.Background()
	id := registry.ScheduleID{App: "shop", Function: "hello", Name: "1"}
	w.channels.schedules = []registry.ScheduleInfo{{ID: id, Expressions: []string{"rate(1 hour)", "rate(7 hours)"}, Next: noon}}
	want := client.Schedule{App: "shop", Function: "hello", Name: "1", Expression: "rate(1 hour), rate(7 hours)",
		Expressions: []string{"rate(1 hour)", "rate(7 hours)"}, Timezone: "UTC", Enabled: true, Next: noon}
	for _, app := range []string{"", "shop"} {
		if list, err := schedules.List(ctx, app); err != nil || !reflect.DeepEqual(list, []client.Schedule{want}) || list[0].ID() != id {
			t.Errorf("List(%q) = %+v, %v, want %+v", app, list, err, want)
		}
	}
	if invocation, err := schedules.Fire(ctx, id); invocation != "01FIRED" || err != nil {
		t.Errorf("Fire = %q, %v", invocation, err)
	}
	if err := schedules.Disable(ctx, id); err != nil || !w.channels.schedules[0].Disabled {
		t.Errorf("Disable: %v, %+v", err, w.channels.schedules[0])
	}
	if err := schedules.Enable(ctx, id); err != nil || w.channels.schedules[0].Disabled {
		t.Errorf("Enable: %v, %+v", err, w.channels.schedules[0])
	}
	if _, err := schedules.Fire(ctx, registry.ScheduleID{App: "shop", Function: "f", Name: "2"}); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Fire of none: %v, want %s", err, abi.NotFound)
	}
}

func TestTokenOfAnAppReachesItsSchedulesAlone(t *testing.T) {
	w := newWorld(t)
	for _, app := range []string{"shop", "other"} {
		w.deployed(t, app, "f", "module", registry.Settings{})
		w.channels.schedules = append(w.channels.schedules, registry.ScheduleInfo{ID: registry.ScheduleID{App: app, Function: "f", Name: "1"}})
	}
	a, server := w.start(t, func(c *Config) { c.Loopback = false })
	ctx := context.Background()
	boss, shop := connect(t, server, makeToken(t, a, "")).Schedules(), connect(t, server, makeToken(t, a, "shop")).Schedules()
	if list, err := boss.List(ctx, ""); err != nil || len(list) != 2 {
		t.Errorf("List of an admin = %+v, %v, want both", list, err)
	}
	if list, err := shop.List(ctx, ""); err != nil || len(list) != 1 || list[0].App != "shop" {
		t.Errorf("List of an app = %+v, %v, want its own", list, err)
	}
	if err := shop.Enable(ctx, registry.ScheduleID{App: "other", Function: "f", Name: "1"}); abi.CodeOf(err) != abi.Forbidden {
		t.Errorf("Enable in another app: %v, want %s", err, abi.Forbidden)
	}
}

func TestInvokeAsync(t *testing.T) {
	w := newWorld(t)
	w.deployed(t, "shop", "f", "module", registry.Settings{})
	_, server := w.start(t, nil)
	c, ctx := connect(t, server, ""), context.Background()
	target := client.InvokeTarget{App: "shop", Function: "f", Qualifier: "v1"}
	invocation, err := c.InvokeAsync(ctx, target, client.InvokeRequest{Path: "/a?b=c", Body: []byte("x")})
	if err != nil || invocation != "01LATER" || len(w.channels.calls) != 1 {
		t.Fatalf("InvokeAsync = %q, %v", invocation, err)
	}
	if got := w.channels.calls[0]; got.App != "shop" || got.Function != "f" || got.Qualifier != "v1" || got.Event.Path != "/a" ||
		got.Event.Query != "b=c" || string(got.Event.Body) != "x" {
		t.Errorf("enqueued %+v of %+v", got, got.Event)
	}
	var refused *client.Error
	if _, err := c.InvokeAsync(ctx, target, client.InvokeRequest{Body: make([]byte, 1001)}); !errors.As(err, &refused) || refused.Status != 413 {
		t.Errorf("too large a body: %v, want 413", err)
	}
	if res, text := call(t, server, "POST", "/v1/apps/shop/functions/f/invoke", "", client.AsyncHeader, "later"); res.StatusCode != 400 {
		t.Errorf("another type: %d %s, want 400", res.StatusCode, text)
	}
}

func TestDeploymentsCheckTriggers(t *testing.T) {
	w := newWorld(t)
	w.modules[digestOf("m")] = []byte("m")
	_, server := w.start(t, nil)
	deploy := func(trigger string) (int, string) {
		body := fmt.Sprintf(`{"functions":[{"name":"f","digest":%q,"settings":{"triggers":[%s]}}]}`, digestOf("m"), trigger)
		res, text := call(t, server, "POST", "/v1/apps/shop/deployments", body, "Content-Type", "application/json")
		return res.StatusCode, text
	}
	for trigger, want := range map[string]string{
		`{"schedule":{"expressions":["cron(0 9 * * * *)"]}}`:                      "function f: schedule",
		`{"schedule":{"expressions":["rate(1 hour)"],"timezone":"Moon"}}`:         "Moon",
		`{"topic":{"topic":"t","filter":{"a":"b"}}}`:                              "topic t: filter: a",
		`{"queue":{"queue":"q","filters":[{"a":[]}]}}`:                            "queue q: filter: a",
		`{"queue":{"queue":"q","filters":[1]}}`:                                   "no JSON object",
		`{"topic":{"topic":"t","filter":{"a":["b"]}},"queue":{"queue":"orders"}}`: "has 2 sources",
	} {
		if status, text := deploy(trigger); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want 400 %q", trigger, status, text, want)
		}
	}
	good := `{"schedule":{"expressions":["rate(1 hour)"],"input":{"a":[1,{"b":null}]}}},{"topic":{"topic":"t","filter":{"a":[{"prefix":"b"}]}}},
		{"queue":{"queue":"q","filters":[{"body":{"kind":["gift"]}}]}}`
	if status, text := deploy(good); status != 200 {
		t.Errorf("%s: %d %s, want 200", good, status, text)
	}
	if f, err := connect(t, server, "").Function(context.Background(), "shop", "f"); err != nil || len(f.Settings.Triggers) != 3 {
		t.Errorf("function: %+v, %v; want its triggers", f.Settings, err)
	}
}
