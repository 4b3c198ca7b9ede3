package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// wish is a ratio of two systems' figures under a load that the store must reach: kv.md's "What it must reach".
type wish struct {
	load     string
	figure   string // rate or p99
	of, over string // systems
	least    float64
	most     float64 // instead of least, for what should be small
}

func wishes() []wish {
	one, many, large := "set 128 B, 1 client", "set 128 B, 128 clients", "set 4 KiB, 128 clients"
	count, strong := "incr one key, 64 clients", "linearizable get, 16 clients"
	return []wish{
		{load: one, figure: "rate", of: "sett x3", over: "etcd x3", least: 1.4},
		{load: many, figure: "rate", of: "sett x3", over: "etcd x3", least: 2.2},
		{load: one, figure: "p99", of: "sett x3", over: "etcd x3", most: 0.6},
		{load: many, figure: "p99", of: "sett x3", over: "etcd x3", most: 0.6},
		{load: large, figure: "p99", of: "sett x3", over: "etcd x3", most: 0.6},
		{load: count, figure: "rate", of: "sett x3", over: "etcd x3", least: 100},
		{load: count, figure: "rate", of: "sett x1", over: "redis", least: 0.35},
		{load: "get 128 B, 16 clients", figure: "rate", of: "sett x1", over: "redis", least: 0.5},
		{load: strong, figure: "rate", of: "sett x3", over: "etcd x3", least: 2},
	}
}

// compareLoads has all stores do all loads in turn.
func compareLoads(ctx context.Context, p plan, out io.Writer) (err error) {
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
	fmt.Fprintf(out, "%d rounds of %v in turn; op/s: median (lowest to highest); latencies: median of the rounds'\n", p.rounds, p.length)
	results := map[string]map[string]sample{}
	for _, l := range loads() {
		if !strings.Contains(l.name, p.only) {
			continue
		}
		fmt.Fprintf(out, "%s\n", l.name)
		of, err := compareLoad(ctx, p, systems, l)
		if err != nil {
			return err
		}
		results[l.name] = map[string]sample{}
		for _, s := range systems {
			if all := of[s.name()]; len(all) > 0 {
				m := medianOf(all)
				results[l.name][s.name()] = m.sample
				fmt.Fprintf(out, "  %-10s %8.0f op/s (%.0f to %.0f)  p50 %v  p99 %v  servers' CPU %v\n", s.name(), m.rate, m.lowest, m.highest, m.p50, m.p99, m.cpu)
			}
		}
	}
	fmt.Fprintln(out, "what is wanted")
	for _, w := range wishes() {
		w.report(out, results[w.load])
	}
	return nil
}

// compareLoad has all stores do one load, there and back.
func compareLoad(ctx context.Context, p plan, systems []system, l load) (map[string][]sample, error) {
	of := map[string][]sample{}
	order := slices.Clone(systems)
	for range p.rounds {
		for _, s := range order {
			if !s.can(l.operation) {
				continue
			}
			m, err := round(ctx, s, l, p.length)
			if err != nil {
				return nil, err
			}
			of[s.name()] = append(of[s.name()], m)
		}
		slices.Reverse(order)
	}
	return of, nil
}

// summary is the median of several rounds.
type summary struct {
	sample
	lowest, highest float64 // rate
}

func medianOf(all []sample) (m summary) {
	middle := func(less func(a, b sample) int) sample {
		slices.SortFunc(all, less)
		return all[len(all)/2]
	}
	m.p50 = middle(func(a, b sample) int { return cmp.Compare(a.p50, b.p50) }).p50
	m.p99 = middle(func(a, b sample) int { return cmp.Compare(a.p99, b.p99) }).p99
	m.cpu = middle(func(a, b sample) int { return cmp.Compare(a.cpu, b.cpu) }).cpu
	m.rate = middle(func(a, b sample) int { return cmp.Compare(a.rate, b.rate) }).rate
	m.lowest, m.highest = all[0].rate, all[len(all)-1].rate
	return m
}

// report says whether a wish came true, if both systems were there.
func (w wish) report(out io.Writer, of map[string]sample) {
	a, b := of[w.of], of[w.over]
	if a.rate == 0 || b.rate == 0 {
		return
	}
	ratio := a.rate / b.rate
	if w.figure == "p99" {
		ratio = float64(a.p99) / float64(b.p99)
	}
	if w.most != 0 {
		fmt.Fprintf(out, "  %-30s %-5s %s / %-10s %7.2f, at most %v: %s\n", w.load, w.figure, w.of, w.over, ratio, w.most, want(ratio <= w.most))
		return
	}
	fmt.Fprintf(out, "  %-30s %-5s %s / %-10s %7.2f, at least %v: %s\n", w.load, w.figure, w.of, w.over, ratio, w.least, want(ratio >= w.least))
}
