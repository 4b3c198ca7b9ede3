package queue_test

import (
	"errors"
	"testing"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/runtime/registry"
)

func TestCommit(t *testing.T) {
	s, err := kv.Open(t.Context(), kv.Config{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.RaiseLevel(t.Context(), kv.Level); err != nil {
		t.Fatal(err)
	}
	q := bench{queue.Open(s), t}
	q.put(registry.Queue{Name: "in"})
	q.put(registry.Queue{Name: "out"})
	if err := q.PutTopic(t.Context(), "app", registry.Topic{Name: "news"}); err != nil {
		t.Fatal(err)
	}
	q.send("in", "a", "b")
	got := q.receive("in", op.Receive{Max: 2})
	e := &op.Effects{Checks: []op.Check{{Key: "k"}}, Ops: []op.Op{{Kind: op.Set, Key: "k", Value: []byte("1")}}, Sends: []op.Sending{
		{Queue: "out", Messages: []op.Outgoing{{Body: []byte("sent")}}}, {Topic: "news", Messages: []op.Outgoing{{Body: []byte("told")}}}}}
	end := op.Ending{Queue: "in", Settlement: op.Settlement{Delete: []string{got[0].Receipt}, Release: []op.Release{{Receipt: got[1].Receipt}}}}
	if err := q.Commit(t.Context(), "app", e, end); err != nil {
		t.Fatal(err)
	}
	q.want("in", "b")
	q.want("out", "sent")
	q.want("topic/news", "told")
	if i, err := s.Get(t.Context(), "app", "k", op.Read{Consistency: op.Strong}); err != nil || string(i.Value) != "1" {
		t.Errorf("k = %s, %v", i.Value, err)
	}
	if err := q.Commit(t.Context(), "app", e, end); !errors.Is(err, op.ErrConflict) {
		t.Errorf("the same again = %v, want a conflict", err)
	}
	q.want("out", "")
	e.Checks = nil
	end.Settlement.Delete = nil
	e.Sends[0].Queue = "none"
	if err := q.Commit(t.Context(), "app", e, end); !errors.Is(err, op.ErrNoQueue) {
		t.Errorf("into no queue = %v", err)
	}
}
