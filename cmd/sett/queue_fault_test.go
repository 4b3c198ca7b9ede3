package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// faultPlan is how much a fault test does.
type faultPlan struct {
	messages   int
	kills      int
	visibility int // seconds, after which what failed comes again
}

func planFaults() faultPlan {
	switch {
	case testing.Short():
		return faultPlan{1000, 2, 1}
	case os.Getenv("SETT_TEST_ALL") == "": // .ci/run does all of it
		return faultPlan{4000, 3, 2}
	}
	return faultPlan{20_000, 10, 2}
}

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

// TestQueueFaults sends messages through a queue whose worker fails one attempt in ten, while nodes are killed, stopped
// for a while and restarted. Every message that was acknowledged is handled at least once, but for those that fail every
// time: they, and no others, are dead letters. None is left.
func TestQueueFaults(t *testing.T) {
	if raceEnabled {
		t.Skip("compiling a Go guest takes minutes with the race detector")
	}
	t.Parallel() // most of its time it waits
	plan := planFaults()
	c := startCluster(t, 3)
	c.deployFaulty(t, plan, registry.Settings{Handler: "work"})
	f := newFaultRun(c, plan)
	f.run(t)
	f.check(t)
}

// run sends the messages while nodes are killed, and waits until they are settled.
func (f *faultRun) run(t *testing.T) {
	var sending sync.WaitGroup
	begin := time.Now()
	for s := range faultSenders {
		sending.Go(func() { f.send(t, s) })
	}
	f.harm(t)
	t.Logf("%d nodes killed, one stopped, one restarted after %v", f.plan.kills, time.Since(begin))
	sending.Wait()
	t.Logf("all sent after %v, %d sends again", time.Since(begin), f.again.Load())
	f.settle(t)
	t.Logf("all settled after %v", time.Since(begin))
}

// faultyGuest is the guest of the fault tests, built once a run.
var faultyGuest = sync.OnceValues(func() ([]byte, error) {
	source, err := os.ReadFile("testdata/faulty/main.go")
	if err != nil {
		return nil, err
	}
	files, err := exampleProject()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "faulty")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	files["faulty/main.go"] = source
	if err := writeFiles(dir, files); err != nil {
		return nil, err
	}
	m := module{"faulty", "./faulty", goLanguage, filepath.Join(dir, "faulty.wasm")}
	if _, err := buildGo(context.Background(), dir, m); err != nil {
		return nil, err
	}
	return os.ReadFile(m.file)
})

// uploadFaulty uploads the guest of the fault tests and answers its digest.
func (c *den) uploadFaulty(t *testing.T) (digest string) {
	t.Helper()
	guest, err := faultyGuest()
	if err != nil {
		t.Fatal(err)
	}
	c.client = c.nodes[0].client
	return c.uploadModule(t, module{name: "faulty", file: filepath.Join(c.dir, "faulty.wasm")}, guest)
}

// uploadModule writes a module and uploads it to the first node.
func (c *den) uploadModule(t *testing.T, m module, text []byte) (digest string) {
	t.Helper()
	if err := os.WriteFile(m.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	digest, err := c.upload(t.Context(), c.nodes[0].client, m)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// deployFaulty makes the queues and deploys their worker.
func (c *den) deployFaulty(t *testing.T, plan faultPlan, s registry.Settings) {
	t.Helper()
	digest := c.uploadFaulty(t)
	for _, q := range []registry.Queue{
		{Name: "dead"},
		{Name: "done"},
		{Name: "orders", VisibilitySeconds: plan.visibility, MaxReceives: plan.receives(), DeadLetter: "dead"},
	} {
		if err := c.client.Queues().Put(t.Context(), c.app, q); err != nil {
			t.Fatal(err)
		}
	}
	trigger := registry.Trigger{Queue: &registry.QueueSource{Queue: "orders", BatchSize: faultBatch, WindowMS: 50, ReportItems: true}}
	s.Triggers = []registry.Trigger{trigger}
	request := client.DeployRequest{Functions: []client.DeployFunction{{Name: "faulty", Digest: digest, Settings: s}}}
	if _, err := c.client.Deploy(t.Context(), c.app, request); err != nil {
		t.Fatal(err)
	}
}

// faultRun is a fault test at work.
type faultRun struct {
	*den
	plan  faultPlan
	at    []atomic.Pointer[client.Client] // of each node, as it was started last
	turn  atomic.Int64                    // of the nodes, which are asked in turn
	again atomic.Int64                    // what was asked again
}

func newFaultRun(c *den, plan faultPlan) *faultRun {
	f := &faultRun{den: c, plan: plan, at: make([]atomic.Pointer[client.Client], len(c.nodes))}
	f.look()
	return f
}

// look has the senders see where the nodes are.
func (f *faultRun) look() {
	for i, p := range f.nodes {
		f.at[i].Store(p.client)
	}
}

// ask asks one node after the other until one has done it.
func (f *faultRun) ask(t *testing.T, do func(ctx context.Context, at *client.Client) error) {
	all, end := untilDeadline(t)
	defer end()
	for ; ; f.again.Add(1) {
		ctx, cancel := context.WithTimeout(all, 5*time.Second) // a stopped node answers nothing
		err := do(ctx, f.at[int(f.turn.Add(1))%len(f.at)].Load())
		cancel()
		if err == nil {
			return
		}
		if all.Err() != nil {
			t.Errorf("ask: not in time: %v", err)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
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

// harm kills nodes, the leader every other time, and starts them again; one it stops for a while, and one it restarts.
func (f *faultRun) harm(t *testing.T) {
	for i := range f.plan.kills {
		victim, others := f.mustLead(t)
		if i%2 == 1 {
			victim = others[rand.IntN(len(others))]
		}
		victim.kill(t)
		f.restart(t, victim)
		switch i {
		case f.plan.kills / 2:
			leader, _ := f.mustLead(t)
			leader.signal(t, syscall.SIGSTOP)
			time.Sleep(3 * time.Second)
			leader.signal(t, syscall.SIGCONT)
		case f.plan.kills/2 - 1:
			leader, _ := f.mustLead(t)
			leader.signal(t, syscall.SIGTERM)
			<-leader.ended
			if status := leader.cmd.ProcessState.ExitCode(); status != 0 {
				t.Errorf("%s ended with status %d, want 0", leader.name, status)
			}
			f.restart(t, leader)
		}
		time.Sleep(rand.N(time.Second))
	}
}

func (f *faultRun) restart(t *testing.T, p *process) {
	t.Helper()
	time.Sleep(rand.N(300 * time.Millisecond))
	if err := f.launch(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	f.look()
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

// check compares what became of the messages with what should have.
func (f *faultRun) check(t *testing.T) {
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

// counts reads the worker's counters under a prefix.
func (f *faultRun) counts(t *testing.T, prefix string) (all map[string]int) {
	t.Helper()
	q := op.Query{Prefix: prefix, Read: op.Read{Consistency: op.Strong}}
	eventually(t, "the counters of "+prefix+" are read", func(ctx context.Context) error { // none are while nobody leads
		all = map[string]int{}
		for item, err := range op.All(ctx, f.nodes[0].client.KV(), f.app, q) {
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(item.Value))
			if err != nil {
				return err
			}
			all[strings.TrimPrefix(item.Key, prefix)] = n
		}
		return nil
	})
	return all
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
