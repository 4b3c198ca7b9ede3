package node

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
)

// TestAlarms: an app with an archive is told of dead letters and of a quota that is nearly used up, each once.
func TestAlarms(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	deploy(t, n, "work", wasmtest.Answer("done"))
	if err := n.PutArchive(ctx, "default", registry.Archive{Name: "all", Pattern: json.RawMessage(`{"source":["sett.queue","sett.alarm"]}`)}); err != nil {
		t.Fatal(err)
	}
	for _, q := range []registry.Queue{{Name: "dead"}, {Name: "orders", DeadLetter: "dead", MaxReceives: 1}} {
		if err := n.queues.Put(ctx, "default", q); err != nil {
			t.Fatal(err)
		}
	}
	a := new(alarms)
	look := func() {
		t.Helper()
		if err := n.lookForAlarms(a); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if _, err := n.queues.Send(ctx, "default", "orders", op.Outgoing{Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds that it has been received as often as it may
		if _, err := n.queues.Receive(ctx, "default", "orders", op.Receive{Visibility: time.Millisecond, Wait: op.NoWait}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for i := range 900 {
		if _, err := n.store.Commit(ctx, op.Txn{Namespace: "default", Ops: []op.Op{{Kind: op.Set, Key: fmt.Sprint(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, quota := range []int64{1000, 1000, 1050, 2000} {
		if err := n.store.SetQuota(ctx, "default", op.Quota{Keys: quota}); err != nil {
			t.Fatal(err)
		}
		look()
	}
	want := []string{`"Alarm State Change" {"alarm":"quota-keys","app":"default","quota":1000,"state":"ALARM","used":900}`,
		`"Alarm State Change" {"alarm":"quota-keys","app":"default","quota":2000,"state":"OK","used":900}`,
		`"Dead Letters Arrived" {"app":"default","arrived":1,"messages":1,"queue":"dead"}`}
	var got []string
	used := regexp.MustCompile(`"used":9[0-9]*`) // what waits in queues counts
	await(t, "the events to be archived", func() bool {
		got = got[:0]
		kept, err := n.queues.Peek(ctx, "default", queue.ArchiveQueue("all"), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range kept {
			var e struct {
				Type   string          `json:"detail-type"`
				Detail json.RawMessage `json:"detail"`
			}
			if err := json.Unmarshal(m.Body, &e); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%q %s", e.Type, used.ReplaceAll(e.Detail, []byte(`"used":900`))))
		}
		slices.Sort(got)
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
