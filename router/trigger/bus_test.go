package trigger

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

func TestEntry(t *testing.T) {
	good := registry.BusEvent{Source: "shop", DetailType: "placed", Detail: json.RawMessage(`{"id":12345678901234567890,"t":"<&>"}`)}
	d := newDelivery(t, new(door), openRegistry(t, new(op.Memory)), nil)
	at := good
	at.Time, at.Resources = time.Date(2026, 11, 26, 9, 0, 0, 5, time.FixedZone("", 3600)), []string{"order/7"}
	m, id, err := d.Event(at)
	want := `{"version":"0","id":"` + id + `","detail-type":"placed","source":"shop","account":"000000000000","time":"2026-11-26T08:00:00Z",` +
		`"region":"local","resources":["order/7"],"detail":{"id":12345678901234567890,"t":"<&>"}}`
	if err != nil || string(m.Body) != want || id == "" {
		t.Errorf("Event = %s, %v, want %s", m.Body, err, want)
	}
	for want, change := range map[string]func(*registry.BusEvent){
		`source ""`:                     func(e *registry.BusEvent) { e.Source = "" },
		`detail type "xxx`:              func(e *registry.BusEvent) { e.DetailType = strings.Repeat("x", registry.MaxEventWords+1) },
		"101 resources":                 func(e *registry.BusEvent) { e.Resources = make([]string, registry.MaxEventResources+1) },
		`detail "{" is no JSON object`:  func(e *registry.BusEvent) { e.Detail = json.RawMessage(`{`) },
		`detail "[]" is no JSON object`: func(e *registry.BusEvent) { e.Detail = json.RawMessage(`[]`) },
	} {
		e := good
		change(&e)
		if _, _, err := d.Event(e); err == nil || !strings.Contains(err.Error(), want) || abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("Event of %+v: %v, want invalid input with %q", e, err, want)
		}
	}
	long := good
	long.Detail = json.RawMessage(`{"x":"` + strings.Repeat("x", maxBusEventBytes) + `"}`)
	if _, _, err := d.Event(long); abi.CodeOf(err) != abi.TooLarge {
		t.Errorf("Event that is too long: %v, want %s", err, abi.TooLarge)
	}
}

func TestReplayed(t *testing.T) {
	d := newDelivery(t, new(door), openRegistry(t, new(op.Memory)), nil)
	first, _, err := d.Event(registry.BusEvent{Source: "sett.x", DetailType: "y", Detail: json.RawMessage(`{"n":12345678901234567890}`)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Replayed(op.Message{Body: first.Body}, "all", "mail")
	want := strings.Replace(string(first.Body), `,"detail":`, `,"replay-name":"all","detail":`, 1)
	if err != nil || string(m.Body) != want || len(m.Attributes) != 2 {
		t.Errorf("Replayed = %s, %v, want %s", m.Body, err, want)
	}
	if m, err := Replayed(op.Message{Body: first.Body}, "all", ""); err != nil || len(m.Attributes) != 1 {
		t.Errorf("Replayed to all = %v, %v, want one attribute", m.Attributes, err)
	}
	if _, err := Replayed(op.Message{Body: []byte("x")}, "all", ""); err == nil {
		t.Error("Replayed of no event is no error")
	}
	if !isPlatform(m.Body) || isPlatform([]byte(`{"source":"settle"}`)) {
		t.Error("isPlatform does not tell the platform's events")
	}
}

func TestTransformer(t *testing.T) {
	event := `{"version":"0","id":"e1","source":"shop","time":"2026-11-26T08:00:00Z","detail":{"id":12345678901234567890,"name":"a \"b\" <c>","tags":["x",1],"none":null}}`
	paths := map[string]string{"id": "$.detail.id", "name": "$.detail.name", "tags": "$.detail.tags", "first": "$.detail.tags[0]", "gone": "$.detail.gone", "none": "$.detail.none"}
	for template, want := range map[string]string{
		`{"order": <id>, "to": <name>}`:                    `{"order": 12345678901234567890, "to": "a \"b\" <c>"}`,
		`"order <id> of <name>"`:                           `"order 12345678901234567890 of a \"b\" <c>"`,
		`{"all":<tags>,"text":"<tags>","first":"<first>"}`: `{"all":["x",1],"text":"[\"x\",1]","first":"x"}`,
		`{"gone":<gone>,"text":"<gone>!","none":<none>}`:   `{"gone":null,"text":"!","none":null}`,
		`<tags>`:                      `["x",1]`,
		`{"a\\":"\<id>\"<id>","b":1}`: `{"a\\":"<id>\"12345678901234567890","b":1}`,
		`{"plain":true}`:              `{"plain":true}`,
		`<aws.events.event>`:          `{"version":"0","id":"e1","source":"shop","time":"2026-11-26T08:00:00Z"}`, // without its detail, as EventBridge has it
		`<aws.events.event.json>`:     event,
		`{"r":"<aws.events.rule-name>","a":<aws.events.rule-arn>}`: `{"r":"shop-mail-1","a":"arn:1"}`,
		`{"at":<aws.events.event.ingestion-time>}`:                 `{"at":"1970-01-01T00:00:01.000Z"}`,
	} {
		tr, err := parseTransformer(registry.InputTransformer{Paths: paths, Template: template})
		if err != nil {
			t.Errorf("parseTransformer(%s): %v", template, err)
			continue
		}
		got, err := tr.apply([]byte(event), time.Unix(1, 0), rule{"shop-mail-1", "arn:1"})
		if err != nil || !sameJSON(t, got, []byte(want)) || !strings.HasPrefix(template, `<aws.events.event`) && string(got) != want {
			t.Errorf("%s makes %s, %v, want %s", template, got, err, want)
		}
	}
	for template, want := range map[string]string{
		`{"a": <unknown>}`: "<unknown>}", `{"a": <id`: "is no name", `{"a": <id>`: "it is no JSON", `order <id>`: "it is no JSON", `"a" "b"`: "it is no JSON",
	} {
		if err := CheckTransformer(registry.InputTransformer{Paths: paths, Template: template}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckTransformer(%s) = %v, want %q", template, err, want)
		}
	}
	if err := CheckTransformer(registry.InputTransformer{Paths: map[string]string{"a": "$["}, Template: "<a>"}); err == nil {
		t.Error("a path that is none is no error")
	}
	big, err := parseTransformer(registry.InputTransformer{Template: "[" + strings.Repeat("<aws.events.event>,", 3) + "1]"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := big.apply([]byte(`{"x":"`+strings.Repeat("x", maxInputBytes/2)+`"}`), time.Time{}, rule{}); abi.CodeOf(err) != abi.TooLarge {
		t.Errorf("apply that makes too much: %v, want %s", err, abi.TooLarge)
	}
}

func FuzzTransformer(f *testing.F) {
	f.Add(`{"a":<x>,"b":"\<<x>\""}`, "$.a['b'][0]", `{"a":{"b":["\"",1]}}`)
	f.Fuzz(func(t *testing.T, template, path, event string) {
		tr, err := parseTransformer(registry.InputTransformer{Paths: map[string]string{"x": path}, Template: template})
		if err != nil {
			return
		}
		if got, err := tr.apply([]byte(event), time.Time{}, rule{"r", "a"}); err == nil && !json.Valid(got) {
			t.Fatalf("%s with %s of %s makes %s, which is no JSON", template, path, event, got)
		}
	})
}

func TestBusForwarder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openRegistry(t, new(op.Memory))
		q := &fakeTopic{fakeQueue: newFakeQueue(`{"source":"a"}`, `{"source":"b"}`)}
		q.put(op.Outgoing{Body: []byte(`{"source":"a","replay-name":"r"}`), Attributes: []op.Attribute{
			{Name: replayAttribute, Type: "String", Value: []byte("r")}, {Name: functionAttribute, Type: "String", Value: []byte("mail")}}})
		must := func(s Subscriber, err error) Subscriber {
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		only := registry.EventSource{Pattern: json.RawMessage(`{"source":["a"]}`)}
		f := &Forwarder{Topic: "default", Trigger: abi.TriggerEvent, Queue: q, Delivery: newDelivery(t, new(door), r, nil),
			Subscribers: func(context.Context) ([]Subscriber, error) {
				return []Subscriber{must(NewRule("mail", "mail", only)), must(NewRule("audit", "audit", only)),
					must(NewArchiver("all", nil)), must(NewArchiver("some", json.RawMessage(`{"source":["b"]}`)))}, nil
			}}
		defer startRunner(t, f)()
		sleep(time.Minute)
		want := `{"source":"a"}>mail {"source":"a"}>audit {"source":"a"}>all {"source":"b"}>all {"source":"b"}>some {"source":"a","replay-name":"r"}>mail`
		if got := strings.Join(q.to, " "); got != want || len(q.left()) != 0 {
			t.Errorf("forwarded %s, %v are left; want %s", got, q.left(), want)
		}
		q.to, q.full = nil, "some"
		q.put(op.Outgoing{Body: []byte(`{"source":"a"}`)})
		q.put(op.Outgoing{Body: []byte(`{"source":"b"}`)})
		sleep(time.Minute)
		if got := strings.Join(q.to, " "); !strings.Contains(got, `{"source":"a"}>mail`) || len(q.left()) != 0 {
			t.Errorf("with a full archive forwarded %s, %v are left", got, q.left())
		}
	})
}

func TestRuleWorker(t *testing.T) {
	event := `{"version":"0","id":"e1","source":"shop","detail":{"id":7}}`
	none := 0
	for name, c := range map[string]struct {
		rule registry.EventSource
		body string
		fail bool
		dead int
	}{
		"event":       {registry.EventSource{}, event, false, 0},
		"input":       {registry.EventSource{Input: json.RawMessage(`[1]`)}, `[1]`, false, 0},
		"path":        {registry.EventSource{InputPath: "$.detail"}, `{"id":7}`, false, 0},
		"transformer": {registry.EventSource{Transformer: &registry.InputTransformer{Paths: map[string]string{"id": "$.detail.id"}, Template: `"order <id>"`}}, `"order 7"`, false, 0},
		"failure":     {registry.EventSource{DeadLetter: "dead"}, event, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, d, b, q := openRegistry(t, new(op.Memory)), new(door), new(mailbox), newFakeQueue(event)
				c.rule.Pattern = json.RawMessage(`{"source":["shop"]}`)
				deploy(t, r, "mail", registry.Settings{Triggers: []registry.Trigger{{Event: &c.rule}}, Async: &registry.Async{Retries: &none}})
				if c.fail {
					d.answer = fails
				}
				w, err := NewRuleWorker(WorkerConfig{App: "shop", Function: "mail", Source: q, Delivery: newDelivery(t, d, r, b)}, c.rule, "1")
				if err != nil {
					t.Fatal(err)
				}
				defer startRunner(t, w)()
				sleep(time.Hour)
				calls := d.seen()
				if len(calls) != 1 || string(calls[0].Body) != c.body || calls[0].Trigger != abi.TriggerEvent || len(q.left()) != 0 {
					t.Errorf("calls %+v, left %v, want one with %s", calls, q.left(), c.body)
				}
				if len(b.parcels) != c.dead || c.dead > 0 && string(b.parcels[0].Body) != event {
					t.Errorf("%d dead letters, want %d with the event", len(b.parcels), c.dead)
				}
			})
		})
	}
	// What cannot be made of the event is a dead letter at once.
	synctest.Test(t, func(t *testing.T) {
		r, d, b, q := openRegistry(t, new(op.Memory)), new(door), new(mailbox), newFakeQueue("no event")
		e := registry.EventSource{Pattern: json.RawMessage(`{"source":["shop"]}`), InputPath: "$.detail", DeadLetter: "dead"}
		deploy(t, r, "mail", registry.Settings{Triggers: []registry.Trigger{{Event: &e}}})
		w, err := NewRuleWorker(WorkerConfig{App: "shop", Function: "mail", Source: q, Delivery: newDelivery(t, d, r, b)}, e, "1")
		if err != nil {
			t.Fatal(err)
		}
		defer startRunner(t, w)()
		sleep(time.Minute)
		if len(d.seen()) != 0 || len(b.parcels) != 1 || len(q.left()) != 0 {
			t.Errorf("%d calls, %d dead letters, left %v, want 0, 1, none", len(d.seen()), len(b.parcels), q.left())
		}
	})
	if _, err := NewRuleWorker(WorkerConfig{Delivery: newDelivery(t, new(door), openRegistry(t, new(op.Memory)), nil)}, registry.EventSource{Pattern: json.RawMessage(`{}`)}, "1"); abi.CodeOf(err) != abi.InvalidInput {
		t.Errorf("NewRuleWorker of no pattern: %v, want %s", err, abi.InvalidInput)
	}
}
