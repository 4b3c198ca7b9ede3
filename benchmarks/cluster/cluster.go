// Package cluster measures three nodes, processes of their own on this machine: how long a deployment takes, and what the
// loss of a node costs those who are asking.
//
//	go run ./benchmarks cluster
//
// Deployments are of small modules, each another one, to one node. Kills are kill -9, of the leader and of a follower in
// turn, while the two other nodes are asked to read and to count: requests begin when they are due, whether or not
// earlier ones have been answered. The requests share the machine's processors with the nodes.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
)

// name is what this benchmark is called in results.
const name = "cluster"

// plan is what is measured.
type plan struct {
	deploys, kills    int
	reads, increments int           // a second
	before, after     time.Duration // of a kill, under load
	dir               string
}

// Command is the sub-command.
func Command(out *record.Output) *cobra.Command {
	p := plan{before: time.Second, after: 3 * time.Second}
	cmd := &cobra.Command{
		Use: name, Args: cobra.NoArgs, Short: "Three nodes: a deployment until all run it; kill -9 under load",
		Long: `Measures how long deployments take, and in what, how long the group is without a leader when it is killed, how many
requests to the other nodes failed, and whether the counter is what was acknowledged.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if p.deploys < 0 || p.kills < 0 || p.reads < 1 || p.increments < 1 {
				return record.Usage("--deploys and --kills are at least 0, --reads and --increments at least 1")
			}
			if out.Small {
				p.deploys, p.kills, p.reads, p.increments = 2, 1, 200, 50
				p.before, p.after = 200*time.Millisecond, 2*time.Second
			}
			return measure(c.Context(), p, out)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&p.deploys, "deploys", 20, "deployments; 0: none")
	flags.IntVar(&p.kills, "kills", 6, "nodes that are killed; 0: none")
	flags.IntVar(&p.reads, "reads", 2000, "reads a second while a node is killed")
	flags.IntVar(&p.increments, "increments", 200, "increments a second while a node is killed")
	flags.StringVar(&p.dir, "dir", "", "where the nodes' data goes, on the disk to be measured (default a temporary directory)")
	return cmd
}

// measure runs the plan.
func measure(ctx context.Context, p plan, out *record.Output) (err error) {
	dir, err := os.MkdirTemp(p.dir, "sett-benchmark-cluster-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := startDen(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	if p.deploys > 0 {
		if err := measureDeploys(ctx, d, p, out); err != nil {
			return fmt.Errorf("deploy: %w", err)
		}
	}
	if p.kills > 0 {
		if err := measureKills(ctx, d, p, out); err != nil {
			return fmt.Errorf("kill: %w", err)
		}
	}
	return nil
}

// spread are figures of one kind.
type spread []time.Duration

// at answers the figure below which a part of them lies.
func (s spread) at(part float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[int(part*float64(len(sorted)-1))]
}

func (s spread) median() time.Duration { return s.at(0.5) }
func (s spread) worst() time.Duration  { return s.at(1) }
