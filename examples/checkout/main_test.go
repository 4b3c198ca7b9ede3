package main

import (
	"testing"

	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/settest"
)

func TestPlace(t *testing.T) {
	settest.Queues(t, "orders")
	for body, status := range map[string]int{`{"id":"a","cents":5}`: 202, `{"id":"a"}`: 400, `{`: 400} {
		if r := settest.Do(t, settest.Request{Method: "POST", Target: "/orders", Body: body}); r.Status != status {
			t.Errorf("%s: status %d, want %d", body, r.Status, status)
		}
	}
	if m := settest.Messages(t, "orders"); len(m) != 1 || string(m[0].Body) != `{"id":"a","cents":5}` {
		t.Errorf("sent %+v", m)
	}
}

// TestCharge charges a batch in which one order comes twice and one is refused.
func TestCharge(t *testing.T) {
	if err := kv.Set(settest.Context(t), limit, []byte("100")); err != nil {
		t.Fatal(err)
	}
	batch := events.Queue{Records: []events.Message{
		{ID: "1", Body: `{"id":"a","cents":70}`}, {ID: "2", Body: `{"id":"b","cents":900}`},
		{ID: "3", Body: `{"id":"a","cents":70}`}, {ID: "4", Body: `{"id":"c","cents":30}`},
	}}
	var failures events.Failures
	if err := settest.Invoke(t, "charge", batch, &failures); err != nil {
		t.Fatal(err)
	}
	if len(failures.Items) != 1 || failures.Items[0].ID != "2" {
		t.Errorf("failures %+v, want message 2", failures)
	}
	if r := settest.Get(t, "/total"); string(r.Body) != "100\n" {
		t.Errorf("total %s, want 100", r.Body)
	}
	if err := kv.Set(settest.Context(t), limit, []byte("1")); err != nil {
		t.Fatal(err)
	}
	again := events.Queue{Records: batch.Records[2:]}
	if err := settest.Invoke(t, "charge", again, &failures); err != nil || len(failures.Items) != 0 {
		t.Errorf("what is charged, beyond the limit now: %+v, %v; want no failures", failures, err)
	}
	if err := settest.Invoke(t, "charge", events.Queue{Records: batch.Records[1:2]}, nil); err == nil {
		t.Error("a batch of failures succeeds")
	}
}
