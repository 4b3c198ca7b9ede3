package kv

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
)

func putQueue(name string) fsm.QueueStep {
	return fsm.QueueStep{Kind: fsm.PutQueue, Queue: name, Settings: fsm.QueueSettings{
		Visibility: time.Minute, Retention: op.DefaultRetention, MaxBytes: op.MaxMessageBytes}}
}

// TestQueuesOfAGroup sends through one node, waits at another, receives there, and loses the leader in between.
func TestQueuesOfAGroup(t *testing.T) {
	t.Parallel()
	g := startTrio(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := g.at("a").RaiseLevel(ctx, fsm.Level); err != nil {
		t.Fatal(err)
	}
	do := func(id string, s fsm.QueueStep) op.Result {
		t.Helper()
		r, err := g.at(id).Queues(ctx, "app", s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	do("a", putQueue("q"))
	follower := g.follower()
	if err := g.at(follower).CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	changed, forget := g.at(follower).QueueChanged("app", "q")
	defer forget()
	do(g.leader(), fsm.QueueStep{Kind: fsm.Send, Queue: "q", Messages: []op.Outgoing{{Body: []byte("a")}, {Body: []byte("b")}}})
	select {
	case <-changed:
	case <-ctx.Done():
		t.Fatal("a follower does not learn of what was sent")
	}
	r := do(follower, fsm.QueueStep{Kind: fsm.Receive, Queue: "q", Limit: 1})
	taken, err := fsm.DecodeTaken(r.Ops[0])
	if err != nil || len(taken.Taken) != 1 {
		t.Fatalf("receive = %+v, %v", taken, err)
	}
	err = g.at(follower).ReadQueues(ctx, op.Read{Seen: r.Revision}, func(v fsm.View, now time.Time) error {
		messages, err := fsm.Messages(v, taken.Taken)
		if err != nil || string(messages[0].Body) != "a" {
			t.Errorf("messages = %+v, %v", messages, err)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	leader := g.leader()
	g.stop(leader)
	settled := do(follower, fsm.QueueStep{Kind: fsm.DeleteTaken, Queue: "q", Receipts: []fsm.Receipt{taken.Taken[0].Receipt}})
	if settled.Ops[0].Integer != 1 {
		t.Errorf("delete after the leader is gone = %+v", settled)
	}
	g.start(leader)
	g.mustBeEqual()
}

// TestRestoreQueues has a backup carry queues, with what is in flight.
func TestRestoreQueues(t *testing.T) {
	t.Parallel()
	s := openTest(t, Config{InMemory: true})
	if err := s.RaiseLevel(t.Context(), fsm.Level); err != nil {
		t.Fatal(err)
	}
	for _, step := range []fsm.QueueStep{putQueue("q"), {Kind: fsm.Send, Queue: "q", Messages: []op.Outgoing{{Body: []byte("a")}, {Body: []byte("b")}}},
		{Kind: fsm.Receive, Queue: "q", Limit: 1}} {
		if _, err := s.Queues(t.Context(), "app", step); err != nil {
			t.Fatal(err)
		}
	}
	backup, _ := backupOf(t, s)
	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), dir, bytes.NewReader(backup), RestoreConfig{ID: replica.SoleID}); err != nil {
		t.Fatal(err)
	}
	restored := openTest(t, Config{Dir: dir})
	for _, s := range []*Store{s, restored} {
		err := s.ReadQueues(t.Context(), op.Read{}, func(v fsm.View, now time.Time) error {
			q, err := fsm.ReadQueue(v, "app", "q", now)
			if q.Stats.Messages != 2 || q.Stats.InFlight != 1 || q.Stats.Visible != 1 {
				t.Errorf("queue = %+v, %v", q, err)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if u, err := restored.Usage(t.Context(), "app"); err != nil || u.Keys != 2 {
		t.Errorf("usage = %+v, %v, want 2 keys", u, err)
	}
	if _, err := restored.Queues(t.Context(), "app", fsm.QueueStep{Kind: fsm.Send, Queue: "q", Messages: []op.Outgoing{{Body: []byte("c")}}}); err != nil {
		t.Error(err)
	}
}

// TestQueueWaits has who waits told once, and forgotten.
func TestQueueWaits(t *testing.T) {
	t.Parallel()
	var q queueWaits
	a, forgetA := q.wait(fsm.QueueName{Namespace: "app", Name: "a"})
	_, forgetB := q.wait(fsm.QueueName{Namespace: "app", Name: "b"})
	again, forgetAgain := q.wait(fsm.QueueName{Namespace: "app", Name: "a"})
	forgetB()
	forgetB()
	q.wake([]fsm.QueueName{{Namespace: "app", Name: "a"}, {Namespace: "app", Name: "b"}, {Namespace: "ap", Name: "a"}})
	<-a
	<-again
	other, forgetOther := q.wait(fsm.QueueName{Namespace: "app", Name: "a"})
	forgetA()
	forgetAgain()
	if len(q.waits) != 1 {
		t.Errorf("%d queues are waited for, want the new one", len(q.waits))
	}
	q.close()
	<-other
	forgetOther()
	late, forget := q.wait(fsm.QueueName{Namespace: "app", Name: "a"})
	<-late
	forget()
	if len(q.waits) != 0 {
		t.Errorf("%v are waited for", q.waits)
	}
}
