package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

const (
	faultBatch   = 100 // messages sent, and handled, at once
	faultSenders = 2
	faultPause   = 100 * time.Millisecond // of a sender between batches, so that it sends while nodes are killed
)

// receives is after how many a message is a dead letter: ten that the worker fails, and one for each time that a node is
// killed, restarted or stopped, as what is being handled may become visible while nobody leads.
func (p faultPlan) receives() int { return 10 + p.kills + 2 }

// hopeless says whether message n fails whatever is done: one in a hundred, all of them sent in the first quarter, since
// the last of their receives takes as long as the test does.
func (p faultPlan) hopeless(n int) bool { return n < p.messages/4 && n%25 == 0 }

func (p faultPlan) body(n int) string {
	if p.hopeless(n) {
		return strconv.Itoa(n) + "x"
	}
	return strconv.Itoa(n)
}

// queueWork sends messages through a queue whose worker fails one attempt in ten. Every message that was acknowledged is
// handled at least once, but for those that fail every time: they, and no others, are dead letters. None is left.
func queueWork(t *testing.T, f *faultRun) (load, check func(*testing.T)) {
	f.deployFaulty(t, registry.Settings{Handler: "work"})
	return f.sendAll, f.checkSettled
}

// deployFaulty makes the queues and deploys their worker.
func (f *faultRun) deployFaulty(t *testing.T, s registry.Settings) {
	t.Helper()
	for _, q := range []registry.Queue{
		{Name: "dead"},
		{Name: "done"},
		{Name: "orders", VisibilitySeconds: f.plan.visibility, MaxReceives: f.plan.receives(), DeadLetter: "dead"},
	} {
		if err := f.client.Queues().Put(t.Context(), f.app, q); err != nil {
			t.Fatal(err)
		}
	}
	trigger := registry.Trigger{Queue: &registry.QueueSource{Queue: "orders", BatchSize: faultBatch, WindowMS: 50, ReportItems: true}}
	s.Triggers = []registry.Trigger{trigger}
	request := client.DeployRequest{Functions: []client.DeployFunction{{Name: "faulty", Digest: f.digest, Settings: s}}}
	if _, err := f.client.Deploy(t.Context(), f.app, request); err != nil {
		t.Fatal(err)
	}
}

// sendAll sends the messages.
func (f *faultRun) sendAll(t *testing.T) {
	var sending sync.WaitGroup
	for s := range faultSenders {
		sending.Go(func() { f.send(t, s) })
	}
	sending.Wait()
}

// send sends a sender's share of the messages. What may not have been sent is sent again.
func (f *faultRun) send(t *testing.T, sender int) {
	for from := sender * faultBatch; from < f.plan.messages; from += faultSenders * faultBatch {
		batch := make([]op.Outgoing, faultBatch)
		for i := range batch {
			batch[i].Body = []byte(f.plan.body(from + i))
		}
		f.ask(t, func(ctx context.Context, at *client.Client) error {
			_, err := at.Queues().Send(ctx, f.app, "orders", batch...)
			return err
		})
		time.Sleep(faultPause)
	}
}

// settle waits until the queue is empty.
func (f *faultRun) settle(t *testing.T) {
	t.Helper()
	eventually(t, "the queue is empty", func(ctx context.Context) error {
		q, err := f.nodes[0].client.Queues().Get(ctx, f.app, "orders")
		if err == nil && q.Stats.Messages > 0 {
			time.Sleep(100 * time.Millisecond)
			err = fmt.Errorf("it has %+v", q.Stats)
		}
		return err
	})
}

// checkSettled compares what became of the messages with what should have.
func (f *faultRun) checkSettled(t *testing.T) {
	f.settle(t)
	handled, attempts, dead := f.counts(t, "handled/"), f.counts(t, "attempts/"), f.received(t, "dead", "orders")
	total, twice := 0, 0
	for n := range f.plan.messages {
		body := f.plan.body(n)
		hopeless := f.plan.hopeless(n)
		if (handled[body] > 0) == hopeless || (dead[body] > 0) != hopeless {
			t.Errorf("message %s was handled %d times and is %d dead letters after %d attempts", body, handled[body], dead[body], attempts[body])
		}
		// An attempt that one node made for another and was killed at is made again by the same receive.
		if most := dead[body]*f.plan.receives() + f.plan.kills; hopeless && (attempts[body] < 1 || attempts[body] > most) {
			t.Errorf("message %s was tried %d times, want at most %d", body, attempts[body], most)
		}
		total += attempts[body]
		if handled[body] > 1 {
			twice++
		}
	}
	if len(handled)+len(dead) != f.plan.messages {
		t.Errorf("%d were handled and %d are dead, want %d together", len(handled), len(dead), f.plan.messages)
	}
	t.Logf("%d messages, %d attempts, %d handled more than once, %d dead letters", f.plan.messages, total, twice, len(dead))
}

// received empties a queue, all of whose messages are dead letters of source, or none: how many there are of each body.
func (f *faultRun) received(t *testing.T, name, source string) map[string]int {
	t.Helper()
	all := map[string]int{}
	once := op.Receive{Max: 1000, Wait: op.NoWait, Visibility: op.MaxVisibility}
	for {
		messages, err := f.nodes[0].client.Queues().Receive(t.Context(), f.app, name, once)
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 0 {
			return all
		}
		for _, m := range messages {
			all[string(m.Body)]++
			if m.Source != source {
				t.Errorf("message %s of queue %s comes from queue %q", m.Body, name, m.Source)
			}
		}
	}
}
