// Package kv measures the store beside etcd and Redis, all of them with every acknowledged write on disk.
//
//	go run ./benchmarks kv
//
// Each store is processes of its own: three nodes over loopback TCP for Sett and etcd, and one node of Sett beside one
// Redis with appendfsync always. Clients are in this process and have a connection each to the leader: the Redis
// protocol to Sett and Redis, gRPC to etcd; etcd with one connection for all clients is measured, too ("1c"). Rounds
// alternate, so that a noisy machine is noisy for all of them; what counts is the ratios. Debian has the others: apt-get
// install etcd-server redis-server; those that are missing are left out.
package kv

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
)

// name is what this benchmark is called in results.
const name = "kv"

// parts of the program, in their order.
func parts() []string { return []string{"load", "failover", "lag", "inside", "memory"} }

// plan is what is measured.
type plan struct {
	rounds    int
	length    time.Duration // of a round
	failovers int
	lags      int
	run       []string // parts
	only      string   // loads whose name contains it
	dir       string   // of the stores' data
	etcd      string   // programs; empty: left out
	redis     string
}

// Command is the sub-command.
func Command(out *record.Output) *cobra.Command {
	var p plan
	var serve subject.Member
	cmd := &cobra.Command{
		Use: name, Args: cobra.NoArgs, Short: "The store beside etcd and Redis; how long a group is without a leader",
		Long: `Measures operations per second and latencies of Sett, etcd and Redis, how long a group is without a leader, how far
a follower is behind, what a read costs within the process, and the memory of a node.`,
		RunE: func(c *cobra.Command, _ []string) error {
			for _, part := range p.run {
				if !slices.Contains(parts(), part) {
					return record.Usage("--run %s: parts are %s", part, strings.Join(parts(), ", "))
				}
			}
			if p.rounds < 1 || p.failovers < 1 || p.lags < 1 {
				return record.Usage("--rounds, --failovers and --lags are at least 1")
			}
			if serve.ID != "" {
				return serveNode(c.Context(), serve, out.In, out.Out)
			}
			if out.Small {
				p.rounds, p.length, p.failovers, p.lags, p.run = 1, 50*time.Millisecond, 1, 2, []string{"load", "failover", "lag"}
			}
			return measure(c.Context(), p, out)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&p.rounds, "rounds", 6, "rounds of each store and load")
	flags.DurationVar(&p.length, "time", time.Second, "length of a round")
	flags.IntVar(&p.failovers, "failovers", 10, "leaders that are killed")
	flags.IntVar(&p.lags, "lags", 200, "writes to an idle group that a follower waits for")
	flags.StringSliceVar(&p.run, "run", parts(), "what to measure")
	flags.StringVar(&p.only, "only", "", "of the loads, those whose name contains this")
	flags.StringVar(&p.dir, "dir", "", "where the stores' data goes, on the disk to be measured (default a temporary directory)")
	flags.StringVar(&p.etcd, "etcd", "etcd", "etcd program")
	flags.StringVar(&p.redis, "redis", "redis-server", "redis-server program")
	serve.Flags(flags)
	return cmd
}

// measure runs the parts of the plan.
func measure(ctx context.Context, p plan, out *record.Output) error {
	dir, err := os.MkdirTemp(p.dir, "sett-benchmark-kv-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p.dir = dir
	for _, part := range p.run {
		run := map[string]func(context.Context, plan, *record.Output) error{
			"load": compareLoads, "failover": measureFailover, "lag": measureLag, "inside": measureInside, "memory": measureMemory,
		}[part]
		fmt.Fprintln(out.Out)
		if err := run(ctx, p, out); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	return nil
}

// add adds figures that have no rounds of others beside them.
func add(f *record.File, work, subject string, m record.Metric, figures []time.Duration) {
	for _, d := range figures {
		v := float64(d.Nanoseconds()) / 1000
		if _, unit := m.Parts(); unit == "ms" {
			v /= 1000
		}
		f.Add(record.Key{Bench: name, Work: work, Subject: subject, Metric: m}, v)
	}
}
