// Package http measures servers that do the same works over HTTP: how much processor time a request takes them, and how
// long replies take at fixed rates.
package http

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/load"
	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/server"
	"github.com/sett-run/sett/benchmarks/work"
)

// name is what this benchmark is called in results.
const name = "http"

// plan is what is measured.
type plan struct {
	works, servers []string // empty: all
	rounds         int
	length         time.Duration // of a round
	connections    int
	rates          []int // requests a second
	pin            bool
}

// Command is the sub-command.
func Command(out *record.Output) *cobra.Command {
	var p plan
	cmd := &cobra.Command{
		Use: "http [--server NAME]... [--work NAME]...", Args: cobra.NoArgs,
		Short: "Processor time of a request, and latencies at fixed rates, of Sett and other servers",
		RunE: func(c *cobra.Command, _ []string) error {
			if p.rounds < 1 || p.connections < 1 || p.length <= 0 || slices.Min(append([]int{1}, p.rates...)) < 1 {
				return record.Usage("--rounds, --connections, --time and --rate are at least 1")
			}
			if out.Small {
				p.rounds, p.length, p.rates = 2, 100*time.Millisecond, p.rates[:min(1, len(p.rates))]
			}
			return measure(c.Context(), p, out)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&p.servers, "server", nil, "only this one and "+server.Ceiling+", the ceiling")
	flags.StringArrayVar(&p.works, "work", nil, "only this work")
	flags.IntVar(&p.rounds, "rounds", 6, "rounds of each: fewer have no confidence")
	flags.DurationVar(&p.length, "time", time.Second, "length of a round")
	flags.IntVar(&p.connections, "connections", 16, "client connections that ask when they are answered")
	flags.IntSliceVar(&p.rates, "rate", []int{1000, 4000}, "requests a second, due at even distances, of the work hello")
	flags.BoolVar(&p.pin, "pin", true, "leave the load a quarter of the processors and servers the others, where the system can")
	return cmd
}

// measure starts the servers and has them do all works.
func measure(ctx context.Context, p plan, out *record.Output) (err error) {
	kinds, works, err := choose(p)
	if err != nil {
		return err
	}
	fmt.Fprintln(out.Out, out.File.Machine)
	var place *server.Place
	if p.pin {
		if place, err = server.Pin(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	servers, err := place.StartAll(ctx, kinds, out)
	defer func() { err = errors.Join(err, server.StopAll(servers)) }()
	if err != nil {
		return err
	}
	for _, w := range works {
		if err := measureWork(ctx, p, w, servers, out); err != nil {
			return fmt.Errorf("%s: %w", w.Name, err)
		}
	}
	return nil
}

// choose answers what is asked for, and the ceiling.
func choose(p plan) (kinds []server.Kind, works []work.Work, err error) {
	if len(p.servers) > 0 {
		p.servers = append([]string{server.Ceiling}, p.servers...)
	}
	if kinds, err = server.Choose(p.servers...); err != nil {
		return nil, nil, record.Usage("%v", err)
	}
	for _, w := range work.All() {
		if len(p.works) == 0 || slices.Contains(p.works, w.Name) {
			works = append(works, w)
		}
	}
	for _, name := range p.works {
		if _, err := work.Find(name); err != nil {
			return nil, nil, record.Usage("%v", err)
		}
	}
	return kinds, works, nil
}

// measureWork has all servers that can do the work do it in turn, there and back.
func measureWork(ctx context.Context, p plan, w work.Work, servers []*server.Server, out *record.Output) error {
	able := slices.DeleteFunc(slices.Clone(servers), func(s *server.Server) bool { return !slices.Contains(s.Works, w.Name) })
	fmt.Fprintf(out.Out, "\n%s: %s\n", w.Name, w.What)
	for _, s := range able { // warm up
		r, err := busy(ctx, s, load.Plan{Work: w, Connections: p.connections, Length: p.length / 2}, record.Key{}, record.New())
		if err == nil {
			err = r.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	for range p.rounds {
		for _, s := range able {
			if err := fastest(ctx, p, w, s, out.File); err != nil {
				return err
			}
		}
		slices.Reverse(able)
	}
	if w.Name == "hello" {
		for _, rate := range p.rates {
			if err := atRate(ctx, p, w, within(able, w, rate, out), rate, out.File); err != nil {
				return err
			}
		}
	}
	return nil
}

// within are the servers that can answer so many requests a second: latencies of others grow as long as one asks.
func within(servers []*server.Server, w work.Work, rate int, out *record.Output) []*server.Server {
	return slices.DeleteFunc(slices.Clone(servers), func(s *server.Server) bool {
		most := record.Median(out.File.Find(record.Key{Bench: name, Work: w.Name, Subject: s.Name, Metric: record.Rate}).Samples)
		if most >= float64(rate) {
			return false
		}
		fmt.Fprintf(out.Out, "%s is left out at %d/s: it answers %.0f at most\n", s.Name, rate, most)
		return true
	})
}

// busy loads one server and adds its processor time for a request.
func busy(ctx context.Context, s *server.Server, p load.Plan, key record.Key, f *record.File) (*load.Result, error) {
	p.Address, p.CPU = s.Address, s.CPU
	r, err := load.Run(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	key.Metric = record.CPU
	f.Add(key, r.CPUPerRequest())
	return r, nil
}

// fastest is a round in which connections ask when they are answered. A reply that is wrong is an error.
func fastest(ctx context.Context, p plan, w work.Work, s *server.Server, f *record.File) error {
	key := record.Key{Bench: name, Work: w.Name, Subject: s.Name}
	r, err := busy(ctx, s, load.Plan{Work: w, Connections: p.connections, Length: p.length}, key, f)
	if err != nil {
		return err
	}
	key.Metric = record.Rate
	f.Add(key, float64(r.Answered)/r.Took.Seconds())
	if err := r.Err(); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}

// atRate has servers answer requests that are due at even distances, in turn. Those that fail are counted.
func atRate(ctx context.Context, p plan, w work.Work, servers []*server.Server, rate int, f *record.File) error {
	work := fmt.Sprintf("%s at %d/s", w.Name, rate)
	order := slices.Clone(servers)
	latencies := map[string]*hdrhistogram.Histogram{}
	for range p.rounds {
		for _, s := range order {
			key := record.Key{Bench: name, Work: work, Subject: s.Name}
			r, err := busy(ctx, s, load.Plan{Work: w, Connections: rateConnections, Length: p.length, Rate: float64(rate)}, key, f)
			if err != nil {
				return err
			}
			for i, q := range []float64{50, 99, 99.9} {
				key.Metric = []record.Metric{record.P50, record.P99, record.P999}[i]
				f.Add(key, r.Quantile(q))
			}
			key.Metric = "failed_count"
			f.Add(key, float64(r.Failed))
			if all := latencies[s.Name]; all != nil {
				r.Latency.Merge(all)
			}
			latencies[s.Name] = r.Latency
		}
		slices.Reverse(order)
	}
	for _, s := range servers {
		f.Curves = append(f.Curves, distribution(latencies[s.Name], work, s.Name))
	}
	return nil
}

// distribution is how many replies had come after what time, without those few that would only squeeze the picture.
func distribution(latency *hdrhistogram.Histogram, work, subject string) *record.Curve {
	c := &record.Curve{Bench: name, Work: work, Subject: subject, X: "latency, us, from when a request was due", Y: "replies, %"}
	for q := 0.5; q <= 99.5; q += 0.5 {
		c.Points = append(c.Points, [2]float64{float64(latency.ValueAtQuantile(q)) / 1000, q})
	}
	for _, q := range []float64{99.7, 99.8, 99.9} {
		c.Points = append(c.Points, [2]float64{float64(latency.ValueAtQuantile(q)) / 1000, q})
	}
	return c
}

// rateConnections are enough for a server to fall behind by as many replies before the load does.
const rateConnections = 64
