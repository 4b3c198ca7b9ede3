package latency

import (
	"context"
	"errors"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/server"
)

// starts has servers end and start again, in turn: how long it takes until the first reply, of what was there before.
func starts(ctx context.Context, p plan, out *record.Output) (err error) {
	kinds, err := server.Choose(p.servers...)
	if err != nil {
		return record.Usage("%v", err)
	}
	var place *server.Place // anywhere: one starts at a time
	servers, err := place.StartAll(ctx, kinds, out)
	defer func() { err = errors.Join(err, server.StopAll(servers)) }()
	if err != nil {
		return err
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
