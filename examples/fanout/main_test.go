package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/settest"
)

func TestPlace(t *testing.T) {
	settest.Topics(t, "placed")
	if r := settest.Do(t, settest.Request{Method: "POST", Target: "/fanout/orders", Body: `{"id":"7","push":true}`}); r.Status != 202 {
		t.Errorf("status %d, want 202", r.Status)
	}
	if r := settest.Do(t, settest.Request{Method: "POST", Target: "/fanout/orders", Body: `{}`}); r.Status != 400 {
		t.Errorf("status %d of an order without an id, want 400", r.Status)
	}
	if p := settest.Published(t, "placed"); len(p) != 1 || string(p[0].Attributes[0].Value) != "yes" {
		t.Errorf("published %+v, want one order for those who have the app", p)
	}
}

func TestTell(t *testing.T) {
	tell := func(way string, o order) error {
		message, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		e := events.Topic{Records: []events.TopicRecord{{Notification: events.Notification{Message: string(message)}}}}
		return settest.Invoke(t, way, e, nil)
	}
	german := order{ID: "1", Email: "ada@example.com", Phone: "+49 30"}
	for _, way := range []string{"email", "sms", "push"} {
		if err := tell(way, german); err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
	if r := settest.Get(t, "/fanout/orders/1"); string(r.Body) != "email ada@example.com\npush app\nsms +49 30\n" {
		t.Errorf("told %s", r.Body)
	}
	if err := tell("sms", order{ID: "2", Phone: "+1 555"}); err == nil || !strings.Contains(err.Error(), "no route to +1 555") {
		t.Errorf("sms to another country = %v", err)
	}
}
