package admin

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

func roundTripEvents(t *testing.T, w *world, c *client.Client) {
	events, ctx := c.Events(), context.Background()
	put := []registry.BusEvent{
		{Source: "shop", DetailType: "placed", Detail: json.RawMessage(`{"id":12345678901234567890}`), Resources: []string{"order/7"}, Time: time.Unix(5, 0).UTC()},
		{Source: "shop", DetailType: "paid", Detail: json.RawMessage(`{}`)},
	}
	if ids, err := events.Put(ctx, "shop", put...); err != nil || len(ids) != 2 || !reflect.DeepEqual(w.channels.events, put) {
		t.Errorf("Put = %v, %v, the node has %+v, want %+v", ids, err, w.channels.events, put)
	}
	a := registry.Archive{Name: "all", Pattern: json.RawMessage(`{"source":["shop"]}`), RetentionSeconds: 3600, MaxBytes: 1000}
	if err := events.PutArchive(ctx, "shop", a); err != nil {
		t.Fatal(err)
	}
	want := []registry.ArchiveInfo{{Archive: a, Events: 2, Bytes: 100, Oldest: time.Unix(1, 0).UTC()}}
	if list, err := events.Archives(ctx, "shop"); err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("Archives = %+v, %v, want %+v", list, err, want)
	}
	r := registry.Replay{From: time.Unix(1, 0), To: time.Unix(9, 0), Function: "mail", After: 3}
	if done, err := events.Replay(ctx, "shop", "all", r); err != nil || done != (registry.Replayed{Events: 2, Next: 5}) {
		t.Errorf("Replay = %+v, %v", done, err)
	}
	if _, err := events.Replay(ctx, "shop", "none", registry.Replay{}); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Replay of no archive: %v, want %s", err, abi.NotFound)
	}
	if err := events.RemoveArchive(ctx, "shop", "all"); err != nil {
		t.Error(err)
	}
	if err := events.RemoveArchive(ctx, "shop", "all"); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("RemoveArchive of what is gone: %v, want %s", err, abi.NotFound)
	}
}

func TestEventsRefuse(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "events", `{"events":[]}`, "0 events"},
		{"POST", "events", `{"events":[{"source":"sett.deployment","detail_type":"x","detail":{}}]}`, "is the platform's"},
		{"POST", "events", `{"events":[{"source":"a","detail_type":"x","detail":{}},{"source":"a","detail_type":"","detail":[]}]}`, "event 2: detail type"},
		{"PUT", "archives/a%2Fb", `{}`, "archive name"},
		{"PUT", "archives/a", `{"name":"b"}`, "the path says"},
		{"PUT", "archives/a", `{"retention_seconds":1}`, "retention of 1 s"},
		{"PUT", "archives/a", `{"max_bytes":-1}`, "at most -1 bytes"},
		{"PUT", "archives/a", `{"pattern":[]}`, "is no JSON object"},
		{"POST", "archives/a/replay", `{"from":"2026-11-26T09:00:00Z","to":"2026-11-25T09:00:00Z"}`, "ends before it begins"},
		{"POST", "archives/a/replay", `{"function":"-"}`, "function name"},
	} {
		if res, text := call(t, server, c.method, "/v1/apps/shop/"+c.path, c.body); res.StatusCode != 400 || !strings.Contains(text, c.want) {
			t.Errorf("%s %s %s: %d %s, want 400 with %q", c.method, c.path, c.body, res.StatusCode, text, c.want)
		}
	}
}
