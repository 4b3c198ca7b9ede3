// Command cluster measures three nodes, processes of their own on this machine: how long a deployment takes, and what the
// loss of a node costs those who are asking.
//
//	go run ./benchmarks/cluster
//
// Deployments are of small modules, each another one, to one node. Kills are kill -9, of the leader and of a follower in
// turn, while the two other nodes are asked to read and to count: requests begin when they are due, whether or not
// earlier ones have been answered. The requests share the machine's processors with the nodes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/cluster/node"
)

const usage = `cluster [-deploys N] [-kills N] [-reads N] [-increments N] [-dir DIR]

Prints how long deployments take, and in what, how long the group is without a leader when it is killed, how many
requests to the other nodes failed, and whether the counter is what was acknowledged, beside what is wanted.`

// plan is what is measured.
type plan struct {
	deploys, kills    int
	reads, increments int // a second
	dir               string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, usage); flags.PrintDefaults() }
	var p plan
	flags.IntVar(&p.deploys, "deploys", 20, "deployments; 0: none")
	flags.IntVar(&p.kills, "kills", 6, "nodes that are killed; 0: none")
	flags.IntVar(&p.reads, "reads", 2000, "reads a second while a node is killed")
	flags.IntVar(&p.increments, "increments", 200, "increments a second while a node is killed")
	flags.StringVar(&p.dir, "dir", "", "where the nodes' data goes, on the disk to be measured (default a temporary directory)")
	serve := flags.String(subject.Flag, "", "run a node in this data directory (for the program's own use)")
	join := flags.String("join", "", "with a token of its cluster (for the program's own use)")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if p.deploys < 0 || p.kills < 0 || p.reads < 1 || p.increments < 1 {
		fmt.Fprintln(stderr, "cluster: -deploys and -kills are at least 0, -reads and -increments at least 1")
		return 2
	}
	var err error
	if *serve != "" {
		err = serveNode(ctx, *serve, *join, stdin, stdout)
	} else {
		err = measure(ctx, p, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "cluster:", err)
		return 1
	}
	return 0
}

// serveNode is a node's process.
func serveNode(ctx context.Context, dir, join string, in io.Reader, out io.Writer) error {
	const free = "127.0.0.1:0"
	n, err := node.Start(ctx, node.Config{Data: dir, HTTP: free, Admin: free, Cluster: free, Join: join})
	if err != nil {
		return err
	}
	if err := n.WaitReady(ctx); err != nil {
		return errors.Join(err, n.Close(context.WithoutCancel(ctx)))
	}
	return subject.Serve(ctx, n, in, out)
}

// measure runs the plan.
func measure(ctx context.Context, p plan, out io.Writer) (err error) {
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

// want says whether a figure is what is asked for.
func want(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISSED"
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
