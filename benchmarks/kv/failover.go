package kv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
)

// lagKey is what is written to see how far a follower is behind.
const lagKey = "lag"

// setTime is until a write that must be acknowledged is missing.
const setTime = 30 * time.Second

// Limits that kv.md sets.
const (
	failoverMedian = 800 * time.Millisecond
	failoverWorst  = 1500 * time.Millisecond
	lagP99         = 25 * time.Millisecond
)

// measureFailover kills leaders, and counts from each one's end until a write that began after it is acknowledged by
// one of the others.
func measureFailover(ctx context.Context, p plan, out *record.Output) (err error) {
	g, err := startSett(ctx, p.dir, 3)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	var took []time.Duration
	for i := range p.failovers {
		d, err := g.failover(ctx, i)
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	add(out.File, "leader killed, until a write is acknowledged", "sett x3", "failover_ms", took)
	slices.Sort(took)
	median, worst := quantile(took, 0.5), took[len(took)-1]
	fmt.Fprintf(out.Out, "kill -9 of the leader, until a write is acknowledged, %d times: median %v (below %v: %s), worst %v (below %v: %s)\n",
		len(took), median.Round(time.Millisecond), failoverMedian, record.Want(median < failoverMedian),
		worst.Round(time.Millisecond), failoverWorst, record.Want(worst < failoverWorst))
	return nil
}

// failover kills the leader, writes, and starts the node again.
func (g *settGroup) failover(ctx context.Context, i int) (time.Duration, error) {
	leader, followers, err := g.leader(ctx)
	if err != nil {
		return 0, err
	}
	c, err := dialRedis(ctx, followers[i%len(followers)].HTTP, set)
	if err != nil {
		return 0, err
	}
	defer c.close()
	if err := g.Nodes[leader].Kill(); err != nil {
		return 0, err
	}
	start := time.Now()
	for err = errors.New("no attempt"); err != nil; {
		if time.Since(start) > setTime {
			return 0, fmt.Errorf("no leader: %w", err)
		}
		err = c.setTo("failover", strconv.Itoa(i), start.Add(setTime))
	}
	took := time.Since(start)
	return took, g.Start(ctx, leader) // until it has caught up
}

// measureLag writes to the leader of an idle group, and counts from each acknowledgement until a follower has it.
func measureLag(ctx context.Context, p plan, out *record.Output) (err error) {
	g, err := startSett(ctx, p.dir, 3)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	leader, followers, err := g.leader(ctx)
	if err != nil {
		return err
	}
	c, err := dialRedis(ctx, g.Nodes[leader].HTTP, set)
	if err != nil {
		return err
	}
	defer c.close()
	for _, f := range followers {
		if _, err := f.Ask(askWatch); err != nil {
			return err
		}
	}
	var lags []time.Duration
	for i := range p.lags {
		if err := c.setTo(lagKey, strconv.Itoa(i), time.Now().Add(setTime)); err != nil {
			return err
		}
		acknowledged := time.Now()
		for _, f := range followers {
			seen, err := sawLag(f, i)
			if err != nil {
				return err
			}
			lags = append(lags, max(0, seen.Sub(acknowledged)))
		}
		time.Sleep(20 * time.Millisecond) // an idle group
	}
	add(out.File, "follower behind an acknowledged write", "sett x3", "lag_us", lags)
	slices.Sort(lags)
	p99 := quantile(lags, 0.99)
	fmt.Fprintf(out.Out, "follower behind an acknowledged write, idle group, %d times: median %v, p99 %v (below %v: %s), worst %v\n",
		len(lags), quantile(lags, 0.5).Round(time.Microsecond), p99.Round(time.Microsecond), lagP99, record.Want(p99 < lagP99),
		lags[len(lags)-1].Round(time.Microsecond))
	return nil
}

// sawLag answers when the node saw a write of lagKey.
func sawLag(n *subject.Process, i int) (time.Time, error) {
	line, err := n.ReadLine()
	if err != nil {
		return time.Time{}, err
	}
	value, at, _ := strings.Cut(line, " ")
	nanos, err := strconv.ParseInt(at, 10, 64)
	if err != nil || value != strconv.Itoa(i) {
		return time.Time{}, fmt.Errorf("follower saw %q, want write %d", line, i)
	}
	return time.Unix(0, nanos), nil
}
