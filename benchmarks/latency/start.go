package latency

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/server"
)

// starts has servers end and start again, in turn: how long it takes until the first reply, of what was there before.
func starts(ctx context.Context, p plan, out *record.Output) (err error) {
	var servers []*server.Server
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.Stop())
		}
	}()
	var place *server.Place // anywhere: one runs at a time
	for _, k := range server.Kinds() {
		if len(p.servers) > 0 && !slices.Contains(p.servers, k.Name) {
			continue
		}
		s, err := place.Start(ctx, k)
		if errors.Is(err, server.ErrMissing) {
			out.File.LeftOut[k.Name] = k.Get
			fmt.Fprintf(out.Out, "%-14s is left out: %v\n", k.Name, err)
			continue
		}
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	for range p.rounds {
		for _, s := range servers {
			if err := s.Restart(ctx, place); err != nil {
				return err
			}
			k := record.Key{Bench: name, Work: "process started, until its first reply", Subject: s.Name, Metric: record.Started}
			out.File.Add(k, float64(s.Started.Microseconds())/1000)
		}
	}
	return nil
}
