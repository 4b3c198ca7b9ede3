package kv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/benchmarks/record"
)

// wish is a ratio of two systems' figures under a load that the store must reach: kv.md's "What it must reach".
type wish struct {
	load     string
	figure   record.Metric // Rate or P99
	of, over string        // systems
	least    float64
	most     float64 // instead of least, for what should be small
}

func wishes() []wish {
	one, many, large := "set 128 B, 1 client", "set 128 B, 128 clients", "set 4 KiB, 128 clients"
	count, strong := "incr one key, 64 clients", "linearizable get, 16 clients"
	return []wish{
		{load: one, figure: record.Rate, of: "sett x3", over: "etcd x3", least: 1.4},
		{load: many, figure: record.Rate, of: "sett x3", over: "etcd x3", least: 2.2},
		{load: one, figure: record.P99, of: "sett x3", over: "etcd x3", most: 0.6},
		{load: many, figure: record.P99, of: "sett x3", over: "etcd x3", most: 0.6},
		{load: large, figure: record.P99, of: "sett x3", over: "etcd x3", most: 0.6},
		{load: count, figure: record.Rate, of: "sett x3", over: "etcd x3", least: 100},
		{load: count, figure: record.Rate, of: "sett x1", over: "redis", least: 0.35},
		{load: "get 128 B, 16 clients", figure: record.Rate, of: "sett x1", over: "redis", least: 0.5},
		{load: strong, figure: record.Rate, of: "sett x3", over: "etcd x3", least: 2},
	}
}

// compareLoads has all stores do all loads in turn.
func compareLoads(ctx context.Context, p plan, out *record.Output) (err error) {
	systems, err := startSystems(ctx, p, out)
	defer func() {
		for _, s := range systems {
			err = errors.Join(err, s.stop())
		}
	}()
	if err != nil {
		return err
	}
	for _, s := range systems {
		if err := fill(ctx, s); err != nil {
			return err
		}
	}
	fmt.Fprintf(out.Out, "%d rounds of %v in turn\n", p.rounds, p.length)
	for _, l := range loads() {
		if !strings.Contains(l.name, p.only) {
			continue
		}
		if err := compareLoad(ctx, p, systems, l, out.File); err != nil {
			return err
		}
	}
	fmt.Fprintln(out.Out, "what is wanted")
	for _, w := range wishes() {
		w.report(out.Out, out.File)
	}
	return nil
}

// compareLoad has all stores do one load, there and back.
func compareLoad(ctx context.Context, p plan, systems []system, l load, f *record.File) error {
	order := slices.Clone(systems)
	for range p.rounds {
		for _, s := range order {
			if !s.can(l.operation) {
				continue
			}
			m, err := round(ctx, s, l, p.length)
			if err != nil {
				return err
			}
			f.Add(record.Key{Bench: name, Work: l.name, Subject: s.name(), Metric: record.Rate}, m.rate)
			add(f, l.name, s.name(), record.P50, []time.Duration{m.p50})
			add(f, l.name, s.name(), record.P99, []time.Duration{m.p99})
			add(f, l.name, s.name(), record.CPU, []time.Duration{m.cpu})
		}
		slices.Reverse(order)
	}
	return nil
}

// report says whether a wish came true, if both systems were there.
func (w wish) report(out io.Writer, f *record.File) {
	a := f.Find(record.Key{Bench: name, Work: w.load, Subject: w.of, Metric: w.figure})
	b := f.Find(record.Key{Bench: name, Work: w.load, Subject: w.over, Metric: w.figure})
	if a == nil || b == nil {
		return
	}
	ratio := record.Median(a.Samples) / record.Median(b.Samples)
	figure, _ := w.figure.Parts()
	bound, ok := fmt.Sprintf("at least %v", w.least), ratio >= w.least
	if w.most != 0 {
		bound, ok = fmt.Sprintf("at most %v", w.most), ratio <= w.most
	}
	fmt.Fprintf(out, "  %-30s %-5s %s / %-10s %7.2f, %s: %s\n", w.load, figure, w.of, w.over, ratio, bound, record.Want(ok))
}
