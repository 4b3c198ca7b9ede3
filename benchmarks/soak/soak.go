// Package soak gives one node everything to do at once for an hour, and looks whether anything grows.
//
//	go run ./benchmarks soak --duration 1h --json soak.json --pictures pictures
//
// The load is moderate and even: requests over HTTP to a small function and to one in Go, counters, a queue with its
// worker, a schedule, a stream and a watch of changes, uploads with their trigger, logs, and every minute a deployment of
// another module. All keys are overwritten again and again, so that what the node has to keep stays the same. Every reply
// is checked, and at the end every counter. The run fails if something was wrong or lost, or if what a metric says in the
// last quarter is more than in the second one, by more than its limit: the first quarter is for warming up.
package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
)

// name is what this benchmark is called in results.
const name = "soak"

const (
	samples  = 360                    // that are taken in a run, at even distances
	shortest = 100 * time.Millisecond // between two: then there are fewer
)

// Command is the sub-command.
func Command(out *record.Output) *cobra.Command {
	var p plan
	cmd := &cobra.Command{
		Use: name, Args: cobra.NoArgs, Short: "An hour of everything at once on one node: does anything grow?",
		RunE: func(c *cobra.Command, _ []string) error {
			if out.Small {
				p.length = smallest
			}
			if p.length < smallest {
				return record.Usage("--duration is at least %v", smallest)
			}
			return measure(c.Context(), p, out)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&p.length, "duration", time.Hour, "how long")
	flags.StringVar(&p.sett, "sett", "", "program sett; empty: it is built")
	flags.StringVar(&p.dir, "dir", "", "where data is kept meanwhile; empty: the system's temporary directory")
	return cmd
}

// plan is what is measured.
type plan struct {
	length    time.Duration
	sett, dir string
}

// smallest is the shortest run: nothing can be said of growth in it, but everything has happened once.
const smallest = 5 * time.Second

func measure(ctx context.Context, p plan, out *record.Output) error {
	dir, err := os.MkdirTemp(p.dir, "sett-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if p.sett == "" {
		if p.sett, err = subject.BuildSett(ctx, dir); err != nil {
			return err
		}
	}
	guest, err := subject.GoModule(ctx, dir, "benchmarks/soak/testdata/guest")
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	n, err := subject.StartUp(ctx, p.sett, data)
	if err != nil {
		return err
	}
	defer n.Stop()
	fmt.Fprintf(out.Out, "sett up is process %d, http=%s admin=%s, data in %s\n", n.PID(), n.HTTP, n.Admin, data)
	t, err := newTraffic(n, guest, p.length)
	if err != nil {
		return err
	}
	defer t.client.Close()
	if err := t.prepare(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() { t.watch(watching) })
	var ran error
	traffic := sync.WaitGroup{}
	traffic.Go(func() { ran = t.run(ctx) })
	taken, err := sampler{node: n, data: data, traffic: t}.every(ctx, p.length)
	traffic.Wait()
	if err = errors.Join(err, ran); err != nil {
		return err
	}
	taken.keep(out.File)
	return errors.Join(t.verify(ctx, out.Out), taken.judge(out.Out, t.allowed(), p.length >= judged))
}
