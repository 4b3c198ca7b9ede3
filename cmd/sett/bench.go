package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// Shape of the histogram picture.
const (
	histogramRows  = 12 // at most, for one path
	histogramWidth = 48 // characters of the longest bar
)

// bench measures how fast functions answer on the node.
func (c *cli) bench() *cobra.Command {
	request := client.BenchRequest{Request: &client.InvokeRequest{}}
	cmd := &cobra.Command{
		Use:   "bench [NAME]",
		Short: "Measure the cold, warm and reset latency of a function on the node, or of all",
		Args:  arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := c.client()
			if err != nil {
				return err
			}
			names, err := c.benchNames(cmd, node, args)
			if err != nil {
				return err
			}
			done := make([]client.BenchResponse, 0, len(names))
			var faults []error // of functions that fail: the others are measured all the same
			for _, name := range names {
				b, err := c.measure(cmd, node, name, request)
				switch {
				case abi.CodeOf(err) == abi.FunctionFailed, abi.CodeOf(err) == abi.Timeout:
					faults = append(faults, fmt.Errorf("bench %s: %w; see: sett logs %s", name, err, name))
				case err != nil:
					return fmt.Errorf("bench %s: %w", name, err)
				default:
					done = append(done, b)
				}
			}
			if len(args) == 0 || len(faults) == 0 {
				err = c.showBench(done, len(args) == 1)
			}
			return errors.Join(append(faults, err)...)
		},
	}
	f := cmd.Flags()
	f.IntVar(&request.Cold, "cold", 0, "measure `N` invocations with code and image loaded from disk (20 when no count is given)")
	f.IntVar(&request.Image, "image", 0, "measure `N` invocations with the image loaded from disk (20 when no count is given)")
	f.IntVar(&request.Warm, "warm", 0, "measure `N` warm invocations (200 when no count is given)")
	f.IntVar(&request.Reset, "reset", 0, "measure `N` resets behind an invocation (200 when no count is given)")
	f.StringVarP(&request.Request.Method, "method", "X", "GET", "`METHOD` method of the request")
	f.StringVar(&request.Request.Path, "path", "", pathUsage)
	return cmd
}

// benchNames are the functions to measure: the one that was named, else all of the app.
func (c *cli) benchNames(cmd *cobra.Command, node *client.Client, args []string) ([]string, error) {
	if len(args) == 1 {
		return args, nil
	}
	list, err := node.Functions(cmd.Context(), c.app)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	names := make([]string, 0, len(list))
	for _, f := range list {
		names = append(names, f.Name)
	}
	return names, nil
}

// measure runs one function's measurement; without a path it asks where the function answers.
func (c *cli) measure(cmd *cobra.Command, node *client.Client, name string, r client.BenchRequest) (client.BenchResponse, error) {
	what := *r.Request
	if what.Path == "" {
		what.Path = defaultInvokePath(cmd, node, client.InvokeTarget{App: c.app, Function: name})
	}
	r.Request = &what
	line := c.progress("measuring %s", name)
	defer line.done()
	return node.Bench(cmd.Context(), c.app, name, r)
}

// showBench prints the figures; one function's come with a picture.
func (c *cli) showBench(done []client.BenchResponse, single bool) error {
	switch {
	case c.format == formatJSON && single:
		return c.json(done[0])
	case c.format == formatJSON:
		return c.json(map[string][]client.BenchResponse{"functions": notNil(done)})
	}
	if err := c.benchTable(done); err != nil || !single {
		return err
	}
	for _, run := range done[0].Runs {
		if _, err := fmt.Fprintf(c.out, "\n%s, %s\n%s", run.Path, count(run.Count, "invocation"), histogram(run.SamplesUS)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) benchTable(done []client.BenchResponse) error {
	var rows [][]string
	for _, b := range done {
		for _, r := range b.Runs {
			rows = append(rows, []string{b.Function, r.Path, fmt.Sprint(r.Count), microText(r.P50US), microText(r.P90US),
				microText(r.P99US), microText(r.MaxUS)})
		}
	}
	return c.table([]string{"FUNCTION", "PATH", "COUNT", "P50", "P90", "P99", "MAX"}, rows, "COUNT", "P50", "P90", "P99", "MAX")
}

// histogram draws how samples, in microseconds, are spread: a row for each range, ranges growing by a constant
// factor, the longest bar histogramWidth characters wide. A range with few samples still shows.
func histogram(samples []float64) string {
	if len(samples) == 0 {
		return "  no samples\n"
	}
	low, high := max(slices.Min(samples), 0.1), max(slices.Max(samples), 0.1)
	rows := min(histogramRows, max(1, int(math.Ceil(math.Log(high/low)/math.Log(1.1)))))
	step := math.Pow(high/low, 1/float64(rows))
	counts := make([]int, rows)
	for _, s := range samples {
		i := 0
		if s > low && step > 1 {
			i = min(rows-1, int(math.Log(s/low)/math.Log(step)))
		}
		counts[i]++
	}
	most := slices.Max(counts)
	var b strings.Builder
	for i, n := range counts {
		from := low * math.Pow(step, float64(i))
		fmt.Fprintf(&b, "  %9s ▏%s %d\n", microText(from), bar(n, most), n)
	}
	return b.String()
}

// bar is n of most as blocks, in eighths of a character.
func bar(n, most int) string {
	eighths := n * histogramWidth * 8 / most
	if n > 0 {
		eighths = max(eighths, 1)
	}
	text := strings.Repeat("█", eighths/8)
	if part := eighths % 8; part > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[part-1])
	}
	return text
}
