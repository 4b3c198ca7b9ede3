package node

import (
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// TestStream gives a function the changes of keys, and stops and forgets when it is deployed without.
func TestStream(t *testing.T) {
	t.Parallel()
	n := startWith(t, Config{Data: t.TempDir(), grace: time.Millisecond})
	ctx := t.Context()
	set := func(key, value string) {
		t.Helper()
		if _, err := n.store.Commit(ctx, op.Txn{Namespace: "default", Ops: []op.Op{{Kind: op.Set, Key: key, Value: []byte(value)}}}); err != nil {
			t.Fatal(err)
		}
	}
	deployWith(t, n, "work", wasmtest.Answer("done"), registry.Settings{Triggers: []registry.Trigger{{Stream: &registry.StreamSource{Prefix: "user/", Parallel: 2}}}})
	set("user/1", "a")
	set("user/1", "b")
	await(t, "the changes to be handled", func() bool { return len(invoked(n, "work")[abi.TriggerStream]) > 0 })
	got, err := n.store.Changes(ctx, "default", op.Follow{Prefix: "user/"})
	if err != nil || len(got.Changes) != 2 || string(got.Changes[1].Previous) != "a" || got.Changes[1].Time.IsZero() {
		t.Errorf("changes %+v, %v, want the value before", got, err)
	}
	places := func() int {
		page, err := n.store.List(ctx, op.System, op.Query{Prefix: trigger.StreamPrefix})
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Items)
	}
	if got := places(); got != 2 {
		t.Errorf("%d places of shards, want 2", got)
	}
	if _, err := deployFunction(ctx, n, wasmtest.Answer("done"), client.DeployFunction{Name: "work"}); err != nil {
		t.Fatal(err)
	}
	await(t, "the places to be forgotten", func() bool { n.wakeTriggers(); return places() == 0 })
	await(t, "no value before any more", func() bool {
		n.wakeTriggers()
		set("user/1", "c")
		got, err = n.store.Changes(ctx, "default", op.Follow{Prefix: "user/", After: got.Next})
		return err == nil && got.Changes[0].Previous == nil && got.Changes[0].Existed
	})
}
