// Package density measures how many functions fit in a node and how soon one answers that nobody has asked for. Its one
// function is Command. The node is a process of its own, so that its memory is its own, and is restarted before it is
// asked: what is measured is what was on disk.
package density

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
)

// name is what this benchmark is called in results.
const name = "density"

// plan is what is measured.
type plan struct {
	functions []int // how many small ones
	inGo      int   // how many in Go
	module    string
	idle      time.Duration
}

// Command is the sub-command.
func Command(out *record.Output) *cobra.Command {
	var p plan
	cmd := &cobra.Command{
		Use: name, Args: cobra.NoArgs, Short: "Memory of many functions, and their first requests",
		Long: `Deploys functions that are all different modules to a node in a process of its own, restarts it, asks each once over
one connection, and tells how long those first requests took, with code and image on disk, and what the node's
resident memory has grown by, once all are idle. With --module they are all of one module, and share its code.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(p.functions) == 0 || slices.Min(p.functions) < 1 || p.inGo < 0 {
				return record.Usage("--functions are at least 1, --go at least 0")
			}
			if out.Small {
				p.functions, p.inGo, p.idle = []int{1, 10}, 0, time.Millisecond
			}
			return measure(c.Context(), p, out)
		},
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&p.functions, "functions", []int{1, 100, 1000, 10000}, "how many functions of one page of memory, one node for each number")
	flags.IntVar(&p.inGo, "go", 24, "functions in Go")
	flags.StringVar(&p.module, "module", "", "measure functions of this module instead, which share its code")
	flags.DurationVar(&p.idle, "idle", 15*time.Second, "how long nobody asks before memory is read")
	return cmd
}

// family is a number of functions of one kind.
type family struct {
	name   string
	count  int
	module func(i int) []byte
}

// families are what is to be measured.
func families(ctx context.Context, p plan) (all []family, err error) {
	kind, make := "small", smallModule
	if p.module != "" {
		module, err := os.ReadFile(p.module)
		if err != nil {
			return nil, err
		}
		kind, make, p.inGo = filepath.Base(p.module), func(int) []byte { return module }, 0
	}
	for _, n := range p.functions {
		all = append(all, family{kind, n, make})
	}
	if p.inGo == 0 {
		return all, nil
	}
	dir, err := os.MkdirTemp("", "sett-density")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	module, err := subject.GoModule(ctx, dir, "examples/hello")
	return append(all, family{"go", p.inGo, func(i int) []byte { return append(slices.Clone(module), customSection(i)...) }}), err
}

func measure(ctx context.Context, p plan, out *record.Output) error {
	all, err := families(ctx, p)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sett-density")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	curve := &record.Curve{Bench: name, Work: "idle functions", X: "functions", Y: "memory, MiB", Subject: all[0].name}
	for i, f := range all {
		mib, err := f.measure(ctx, filepath.Join(dir, fmt.Sprint(i)), p.idle, out)
		if err != nil {
			return fmt.Errorf("%d functions: %w", f.count, err)
		}
		if f.name == curve.Subject {
			curve.Points = append(curve.Points, [2]float64{float64(f.count), mib})
		}
	}
	out.File.Curves = append(out.File.Curves, curve)
	return nil
}

// measure adds figures of functions on a node of their own, and answers its memory.
func (f family) measure(ctx context.Context, dir string, idle time.Duration, out *record.Output) (mib float64, err error) {
	add := func(m record.Metric, v float64) {
		out.File.Add(record.Key{Bench: name, Work: f.name, Subject: fmt.Sprintf("%d functions", f.count), Metric: m}, v)
	}
	began := time.Now()
	if err := f.deploy(ctx, dir); err != nil {
		return 0, err
	}
	add("deployed_ms", float64(time.Since(began).Milliseconds())/float64(f.count))
	fmt.Fprintf(out.Out, "%s: %d functions deployed in %v\n", f.name, f.count, time.Since(began).Round(time.Millisecond))
	n, err := subject.StartNode(ctx, dir, "")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, n.Stop()) }()
	before, err := subject.OwnKiB(n.PID())
	if err != nil {
		return 0, err
	}
	first, err := f.ask(ctx, n)
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(idle):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := subject.OwnKiB(n.PID())
	if err != nil {
		return 0, err
	}
	slices.Sort(first)
	add("first_p50_us", at(first, 50))
	add("first_p99_us", at(first, 99))
	add("first_max_us", at(first, 100))
	add("node_kib", float64(after))
	add("function_kib", float64(after-before)/float64(f.count))
	return float64(after) / 1024, nil
}

// at is a percentile of sorted durations, in microseconds.
func at(sorted []time.Duration, percent int) float64 {
	return float64(sorted[(len(sorted)-1)*percent/100].Nanoseconds()) / 1000
}
