package node

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

func rule(pattern string) registry.Trigger {
	return registry.Trigger{Event: &registry.EventSource{Pattern: json.RawMessage(pattern)}}
}

func event(source, detail string) registry.BusEvent {
	return registry.BusEvent{Source: source, DetailType: "thing", Detail: json.RawMessage(detail)}
}

// TestBus puts events, which rules get that match, and replays an archive to one function.
func TestBus(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	if _, err := n.PutEvents(ctx, "default", event("early", `{}`)); err != nil { // nobody wants it
		t.Fatal(err)
	}
	for _, name := range []string{"work", "other"} {
		deployWith(t, n, name, wasmtest.Answer("done"), registry.Settings{Triggers: []registry.Trigger{rule(`{"source":["shop"],"detail":{"n":[{"numeric":[">",1]}]}}`)}})
	}
	if err := n.PutArchive(ctx, "default", registry.Archive{Name: "all", Pattern: json.RawMessage(`{"source":["shop"]}`)}); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	ids, err := n.PutEvents(ctx, "default", event("shop", `{"n":1}`), event("shop", `{"n":2}`), event("else", `{"n":2}`))
	if err != nil || len(ids) != 3 {
		t.Fatalf("PutEvents = %v, %v", ids, err)
	}
	settled := func(work, other int) func() bool {
		return func() bool {
			return len(invoked(n, "work")[abi.TriggerEvent]) == work && len(invoked(n, "other")[abi.TriggerEvent]) == other &&
				empty(t, n, queue.BusQueue, queue.RuleQueue("work", "1"), queue.RuleQueue("other", "1"))
		}
	}
	await(t, "the event that matches to be handled", settled(1, 1))
	archives, err := n.Archives(ctx, "default")
	if err != nil || len(archives) != 1 || archives[0].Events != 2 {
		t.Fatalf("Archives = %+v, %v, want one with two events", archives, err)
	}

	done, err := n.Replay(ctx, "default", "all", registry.Replay{From: before.Add(-time.Minute), Function: "work"})
	if err != nil || done.Events != 2 || done.Next == 0 {
		t.Fatalf("Replay = %+v, %v, want two events", done, err)
	}
	if done, err = n.Replay(ctx, "default", "all", registry.Replay{After: done.Next}); err != nil || done != (registry.Replayed{}) {
		t.Errorf("Replay of what is left = %+v, %v, want nothing", done, err)
	}
	await(t, "the replayed event to be handled", settled(2, 1))
	if done, err := n.Replay(ctx, "default", "all", registry.Replay{To: before.Add(-time.Minute)}); err != nil || done.Events != 0 {
		t.Errorf("Replay of before there was one = %+v, %v", done, err)
	}
	for _, r := range []registry.Replay{{Function: "none"}, {}} {
		archive := "all"
		if r.Function == "" {
			archive = "none"
		}
		if _, err := n.Replay(ctx, "default", archive, r); abi.CodeOf(err) != abi.NotFound {
			t.Errorf("Replay of %s for %q = %v, want %s", archive, r.Function, err, abi.NotFound)
		}
	}

	if archives, err := n.Archives(ctx, "default"); err != nil || archives[0].Events != 2 {
		t.Errorf("after the replay Archives = %+v, %v, want the same two events", archives, err)
	}
	if err := n.RemoveArchive(ctx, "default", "all"); err != nil {
		t.Fatal(err)
	}
	if err := n.RemoveArchive(ctx, "default", "all"); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("RemoveArchive of what is gone = %v, want %s", err, abi.NotFound)
	}
	if _, err := n.queues.Get(ctx, "default", queue.ArchiveQueue("all")); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("the removed archive's queue: %v, want %s", err, abi.NotFound)
	}
}

// TestPlatformEvents has a deployment and an invocation that was given up archived; without an archive or a rule there is
// no bus.
func TestPlatformEvents(t *testing.T) {
	t.Parallel()
	n := start(t, t.TempDir())
	ctx := t.Context()
	none := 0
	deployWith(t, n, "broken", broken(), registry.Settings{Async: &registry.Async{Retries: &none}})
	if _, err := n.queues.Get(ctx, "default", queue.BusQueue); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("the bus nobody listens to: %v, want %s", err, abi.NotFound)
	}
	if err := n.PutArchive(ctx, "default", registry.Archive{Name: "platform", Pattern: json.RawMessage(`{"source":[{"prefix":"sett."}]}`)}); err != nil {
		t.Fatal(err)
	}
	deployWith(t, n, "broken", broken(), registry.Settings{Async: &registry.Async{Retries: &none}, Routes: []registry.Route{{Pattern: "/broken"}}, Triggers: []registry.Trigger{rule(`{"source":["sett.delivery"]}`)}})
	id := postAsync(t, n, "/broken")
	var kept []op.Message
	await(t, "the platform's events", func() bool {
		kept, _ = n.queues.Peek(ctx, "default", queue.ArchiveQueue("platform"), 0)
		return len(kept) == 2 && len(invoked(n, "broken")[abi.TriggerEvent]) == 1
	})
	for i, want := range []string{`"detail":{"app":"default","function":"broken","state":"DEPLOYED","version":2}`, `"invocation":"` + id + `"`} {
		if body := string(kept[i].Body); !strings.Contains(body, want) {
			t.Errorf("event %d = %s, want %s in it", i+1, body, want)
		}
	}
	if err := n.Remove(ctx, "default", []string{"gone"}); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Remove of what is not there = %v", err)
	}
	// The function failed the event of its failure, of which there is none.
	await(t, "the failed event to be over", func() bool { return empty(t, n, queue.BusQueue, queue.RuleQueue("broken", "1")) })
	if kept, err := n.queues.Peek(ctx, "default", queue.ArchiveQueue("platform"), 0); err != nil || len(kept) != 2 {
		t.Errorf("%d events are kept, %v, want 2", len(kept), err)
	}
	if err := n.Remove(ctx, "default", []string{"broken"}); err != nil {
		t.Fatal(err)
	}
	await(t, "the event of the removal", func() bool {
		kept, _ := n.queues.Peek(ctx, "default", queue.ArchiveQueue("platform"), 0)
		return len(kept) == 3 && strings.Contains(string(kept[2].Body), `"state":"REMOVED"`)
	})
}
