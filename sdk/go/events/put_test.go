package events_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	aws "github.com/aws/aws-lambda-go/events"
	"github.com/sett-run/sett/sdk/go/events"
	"github.com/sett-run/sett/sdk/go/settest"
)

func TestPut(t *testing.T) {
	put := settest.Bus(t)
	at := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	ctx := settest.Context(t)
	id, err := events.Put(ctx, events.New{Source: "shop", Type: "placed", Detail: map[string]int{"order": 7}, Resources: []string{"order/7"}, Time: at})
	if err != nil || len(id) != 26 {
		t.Fatalf("Put = %q, %v", id, err)
	}
	if ids, err := events.PutAll(ctx, events.New{Source: "a", Type: "b"}, events.New{Source: "a", Type: "c"}); err != nil || len(ids) != 2 {
		t.Errorf("PutAll = %v, %v", ids, err)
	}
	got := put()
	var detail struct{ Order int }
	if len(got) != 3 || got[0].ID != id || got[0].Decode(&detail) != nil || detail.Order != 7 || !got[0].Time.Equal(at) || got[0].Resources[0] != "order/7" ||
		got[0].Type != "placed" || string(got[1].Detail) != "{}" || got[1].Time.IsZero() {
		t.Errorf("put %+v", got)
	}
}

func TestPutErrors(t *testing.T) {
	ctx := settest.Context(t)
	if _, err := events.Put(ctx, events.New{Source: "a", Type: "b"}); !errors.Is(err, events.ErrUnsupported) {
		t.Errorf("without a bus: %v, want %v", err, events.ErrUnsupported)
	}
	settest.Bus(t)
	ctx = settest.Context(t)
	for _, e := range []events.New{{Type: "b"}, {Source: "a"}, {Source: "a", Type: "b", Detail: 5}} {
		if _, err := events.Put(ctx, e); !errors.Is(err, events.ErrInvalid) {
			t.Errorf("Put of %+v: %v, want %v", e, err, events.ErrInvalid)
		}
	}
	if _, err := events.Put(ctx, events.New{Source: "a", Type: "b", Detail: func() {}}); err == nil || !strings.Contains(err.Error(), "event 1") {
		t.Errorf("Put of what is no JSON: %v", err)
	}
}

func TestBusIsAWS(t *testing.T) {
	text := `{"version":"0","id":"01J","detail-type":"placed","source":"shop","account":"000000000000","time":"2026-11-26T09:00:00Z","region":"eu","resources":["r"],"detail":{"a":1}}`
	var ours events.Bus
	var theirs aws.EventBridgeEvent
	decode(t, text, &ours, &theirs)
	if ours.ID != theirs.ID || ours.Type != theirs.DetailType || ours.Source != theirs.Source || !ours.Time.Equal(theirs.Time) ||
		ours.Region != theirs.Region || ours.Resources[0] != theirs.Resources[0] || string(ours.Detail) != string(theirs.Detail) || ours.Account != theirs.AccountID {
		t.Errorf("event = %+v, AWS's %+v", ours, theirs)
	}
	if !json.Valid(ours.Detail) {
		t.Error("the detail is no JSON")
	}
}
