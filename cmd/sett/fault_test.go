package main

import (
	"context"
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
	"github.com/sett-run/sett/sdk/client"
)

// faultPlan is how much a fault test does.
type faultPlan struct {
	messages   int // through each queue
	kills      int
	visibility int // seconds, after which what failed comes again
}

func planFaults() faultPlan {
	if testing.Short() {
		return faultPlan{1000, 2, 1}
	}
	return faultPlan{20_000, 10, 2}
}

// faultWork is a kind of work. It is deployed, then its load goes on while nodes are killed, then what came of it is checked.
type faultWork func(t *testing.T, f *faultRun) (load, check func(*testing.T))

// TestFaults has one cluster do several kinds of work, each in an app of its own, while nodes are killed, stopped for a while
// and restarted: see what makes the works.
func TestFaults(t *testing.T) {
	if raceEnabled {
		t.Skip("compiling a Go guest takes minutes with the race detector")
	}
	if os.Getenv("SETT_TEST_ALL") == "" {
		t.Skip("it takes half a minute; .ci/run runs it, or SETT_TEST_ALL=1")
	}
	t.Parallel() // most of its time it waits
	c := &faultCluster{den: startCluster(t, 3), plan: planFaults()}
	c.at = make([]atomic.Pointer[client.Client], len(c.nodes))
	c.look()
	works := []struct {
		name string
		work faultWork
	}{{"Queue", queueWork}, {"Effects", effectWork}, {"Stream", streamWork}, {"Events", eventWork}}
	if testing.Short() {
		works = works[:1]
	}
	c.digest = c.uploadFaulty(t)
	var loads sync.WaitGroup
	defer loads.Wait()
	checks := map[string]func(*testing.T){}
	for _, w := range works {
		load, check := w.work(t, &faultRun{faultCluster: c, app: strings.ToLower(w.name)})
		loads.Go(func() { load(t) })
		checks[w.name] = check
	}
	begin := time.Now()
	c.harm(t)
	t.Logf("%d nodes killed, one stopped, one restarted after %v", c.plan.kills, time.Since(begin))
	loads.Wait()
	t.Logf("all asked for after %v", time.Since(begin))
	for _, w := range works {
		t.Run(w.name, checks[w.name])
		t.Logf("%s was as it should be after %v", w.name, time.Since(begin))
	}
}

// faultCluster is a cluster that is harmed.
type faultCluster struct {
	*den
	plan   faultPlan
	digest string                          // of the guest
	at     []atomic.Pointer[client.Client] // of each node, as it was started last
	turn   atomic.Int64                    // of the nodes, which are asked in turn
}

// faultRun is one kind of work in it.
type faultRun struct {
	*faultCluster
	app   string
	again atomic.Int64 // what was asked again
}

// look has the loads see where the nodes are.
func (c *faultCluster) look() {
	for i, p := range c.nodes {
		c.at[i].Store(p.client)
	}
}

// harm kills nodes, the leader every other time, and starts them again; one it stops for a while, and one it restarts.
func (c *faultCluster) harm(t *testing.T) {
	for i := range c.plan.kills {
		victim, others := c.mustLead(t)
		if i%2 == 1 {
			victim = others[rand.IntN(len(others))]
		}
		victim.kill(t)
		c.restart(t, victim)
		switch i {
		case c.plan.kills / 2:
			leader, _ := c.mustLead(t)
			leader.signal(t, syscall.SIGSTOP)
			time.Sleep(3 * time.Second)
			leader.signal(t, syscall.SIGCONT)
		case c.plan.kills/2 - 1:
			leader, _ := c.mustLead(t)
			leader.signal(t, syscall.SIGTERM)
			<-leader.ended
			if status := leader.cmd.ProcessState.ExitCode(); status != 0 {
				t.Errorf("%s ended with status %d, want 0", leader.name, status)
			}
			c.restart(t, leader)
		}
		time.Sleep(rand.N(time.Second))
	}
}

func (c *faultCluster) restart(t *testing.T, p *process) {
	t.Helper()
	time.Sleep(rand.N(300 * time.Millisecond))
	if err := c.launch(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	c.look()
}

// uploadFaulty builds the guest of the works, uploads it and answers its digest.
func (c *faultCluster) uploadFaulty(t *testing.T) (digest string) {
	t.Helper()
	dir := t.TempDir()
	m := module{"faulty", "./faulty", goLanguage, filepath.Join(dir, "faulty.wasm")}
	files, err := exampleProject()
	if err == nil {
		files["faulty/main.go"], err = os.ReadFile("testdata/faulty/main.go")
	}
	if err == nil {
		err = writeFiles(dir, files)
	}
	if err == nil {
		_, err = buildGo(t.Context(), dir, m)
	}
	c.client = c.nodes[0].client
	if err == nil {
		digest, err = c.upload(t.Context(), c.client, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return digest
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
