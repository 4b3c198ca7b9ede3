package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// Limits that the issue sets.
const (
	failoverMedian = 800 * time.Millisecond
	failoverWorst  = 1500 * time.Millisecond
)

// waitingIncrements is how many may wait on a node: for as long as the worst failover, at the highest rate that is asked.
const waitingIncrements = 2000

// kills are what is known of all of them.
type kills struct {
	failovers, returns        spread
	slowestRead, slowestWrite spread // of each kill
	reads, increments         int
	failedReads, failedWrites int
	inexact                   int
	why                       error // the first failure
}

// measureKills kills nodes, the leader and a follower in turn, under load.
func measureKills(ctx context.Context, d *den, p plan, out *record.Output) error {
	for _, name := range []string{"hello", "counter"} {
		if err := d.deployExample(ctx, name); err != nil {
			return err
		}
	}
	var k kills
	for i := range p.kills {
		if err := d.killOne(ctx, i, p, &k); err != nil {
			return err
		}
	}
	fmt.Fprintf(out.Out, "kill -9 of leader and follower in turn, %d times, under %d reads and %d increments a second to the two others\n",
		p.kills, p.reads, p.increments)
	const work = "kill -9 under load"
	add(out.File, work, "next write acknowledged after the leader's end", "took_ms", k.failovers)
	add(out.File, work, "slowest read of a kill", "took_ms", k.slowestRead)
	add(out.File, work, "slowest increment of a kill", "took_ms", k.slowestWrite)
	add(out.File, work, "killed node until it is ready again", "took_ms", k.returns)
	for i, what := range []string{"reads that failed", "increments that failed", "counters that are not exact"} {
		n := []int{k.failedReads, k.failedWrites, k.inexact}[i]
		out.File.Add(record.Key{Bench: name, Work: work + ", all kills", Subject: what, Metric: "failed_count"}, float64(n))
	}
	median, worst := k.failovers.median(), k.failovers.worst()
	fmt.Fprintf(out.Out, "leader killed, until a write that began after it is acknowledged: median %s (below %s: %s), worst %s (below %s: %s)\n",
		milli(median), failoverMedian, record.Want(median < failoverMedian), milli(worst), failoverWorst, record.Want(worst < failoverWorst))
	fmt.Fprintf(out.Out, "reads: %d answered, %d failed (none: %s); the slowest of a kill: median %s, worst %s\n",
		k.reads, k.failedReads, record.Want(k.failedReads == 0), milli(k.slowestRead.median()), milli(k.slowestRead.worst()))
	fmt.Fprintf(out.Out, "increments: %d acknowledged, %d failed (none: %s); the slowest of a kill: median %s, worst %s (below %s: %s)\n",
		k.increments, k.failedWrites, record.Want(k.failedWrites == 0), milli(k.slowestWrite.median()), milli(k.slowestWrite.worst()),
		failoverWorst, record.Want(k.slowestWrite.worst() < failoverWorst))
	fmt.Fprintf(out.Out, "counter: %d of %d times exactly what was acknowledged, at the node that came back, too (always: %s)\n",
		p.kills-k.inexact, p.kills, record.Want(k.inexact == 0))
	fmt.Fprintf(out.Out, "killed node, from its start until it has caught up and is ready: median %s, worst %s\n",
		milli(k.returns.median()), milli(k.returns.worst()))
	if k.why != nil {
		fmt.Fprintf(out.Out, "the first failure: %v\n", k.why)
	}
	return nil
}

// deployExample deploys one of the examples and waits until all nodes run it.
func (d *den) deployExample(ctx context.Context, name string) error {
	dir := filepath.Dir(d.members[0].dir)
	module, err := subject.GoModule(ctx, dir, "examples/"+name)
	if err != nil {
		return err
	}
	settings := registry.Settings{Reserved: waitingIncrements}
	if err := subject.Deploy(ctx, d.members[0].Admin, name, module, settings); err != nil {
		return err
	}
	v := client.VersionName{App: registry.DefaultApp, Function: name, Version: 1}
	return until(ctx, "all nodes run "+name, func() (bool, error) {
		at, err := d.members[0].client.Rollout(ctx, v, false)
		for _, n := range at {
			if n.State != client.VersionServing {
				return false, err
			}
		}
		return err == nil, err
	})
}

// killOne kills the leader, or a follower when i is odd, under load, and starts it again.
func (d *den) killOne(ctx context.Context, i int, p plan, k *kills) error {
	victim, err := d.leader(ctx)
	if err != nil {
		return err
	}
	leads := i%2 == 0
	if !leads {
		followers := d.others(victim)
		victim = followers[i/2%len(followers)]
	}
	others := d.others(victim)
	before, err := counter(ctx, others[0], op.Strong)
	if err != nil {
		return err
	}
	reads := &load{method: http.MethodGet, path: "/hello/Ada", rate: p.reads}
	increments := &load{method: http.MethodPost, path: "/counter/visits", rate: p.increments}
	loaded, end := context.WithTimeout(ctx, p.before+p.after)
	defer end()
	var running sync.WaitGroup
	running.Go(func() { reads.run(loaded, others) })
	running.Go(func() { increments.run(loaded, others) })
	select {
	case <-time.After(p.before):
	case <-ctx.Done():
	}
	killed := time.Now()
	err = victim.kill()
	running.Wait()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if leads {
		took, err := increments.resumed(killed)
		if err != nil {
			return err
		}
		k.failovers = append(k.failovers, took)
	}
	acknowledged := k.add(reads, increments)
	return d.bringBack(ctx, victim, before+acknowledged, k)
}

// add takes over what became of the load of one kill, and answers how many increments were acknowledged.
func (k *kills) add(reads, increments *load) int {
	answered, failed := reads.done()
	acknowledged, unacknowledged := increments.done()
	k.reads, k.failedReads = k.reads+answered, k.failedReads+len(failed)
	k.increments, k.failedWrites = k.increments+acknowledged, k.failedWrites+len(unacknowledged)
	k.slowestRead = append(k.slowestRead, reads.took().worst())
	k.slowestWrite = append(k.slowestWrite, increments.took().worst())
	if failed = append(failed, unacknowledged...); len(failed) > 0 && k.why == nil {
		k.why = failed[0]
	}
	return acknowledged
}

// bringBack starts a node that was killed, and compares the counter.
func (d *den) bringBack(ctx context.Context, victim *member, want int, k *kills) error {
	begin := time.Now()
	if err := victim.start(ctx); err != nil {
		return err
	}
	k.returns = append(k.returns, time.Since(begin))
	elsewhere, err := counter(ctx, d.others(victim)[0], op.Strong)
	if err != nil {
		return err
	}
	here, err := counter(ctx, victim, op.Local)
	if err != nil {
		return err
	}
	if elsewhere != want || here != want {
		k.inexact++
		fmt.Fprintf(os.Stderr, "counter: %d, and %d at the node that came back, want %d\n", elsewhere, here, want)
	}
	return until(ctx, "all nodes are alive", func() (bool, error) {
		s, err := d.members[0].client.Cluster(ctx)
		return s.Alive == nodes && s.Voters == nodes && s.Leader != "", err
	})
}

// counter reads the counter of the example.
func counter(ctx context.Context, m *member, c op.Consistency) (int, error) {
	item, err := m.client.KV().Get(ctx, registry.DefaultApp, "counter/visits", op.Read{Consistency: c})
	if errors.Is(err, op.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(item.Value))
}
