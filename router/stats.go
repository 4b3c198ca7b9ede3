package router

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// FunctionStats are a function's totals since the node started, over the versions it still has.
type FunctionStats struct {
	App, Function   string
	Invocations     uint64
	Failed          uint64 // answered with 5xx
	Cold            uint64 // waited for loading, compiling or an image
	Running         int64  // now
	DurationSeconds float64
}

// Stats answers the totals of all functions, by app and name. It reads every counter: for people, not for each request.
func (r *Router) Stats() []FunctionStats {
	t := r.table.Load()
	var stats []FunctionStats
	for app, functions := range t.apps {
		for name, f := range functions {
			s := FunctionStats{App: app, Function: name, Running: f.gate.running.Load()}
			for _, v := range f.versions {
				s.add(v.meters(r.metrics))
			}
			s.DurationSeconds = read(r.metrics.duration.WithLabelValues(app, name).(prometheus.Histogram)).GetHistogram().GetSampleSum()
			stats = append(stats, s)
		}
	}
	slices.SortFunc(stats, func(a, b FunctionStats) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Function, b.Function))
	})
	return stats
}

func (s *FunctionStats) add(i *instruments) {
	for class, c := range i.classes {
		if c == nil {
			continue
		}
		n := uint64(read(c).GetCounter().GetValue())
		s.Invocations += n
		if class == 5 {
			s.Failed += n
		}
	}
	s.Cold += uint64(read(i.coldStarts).GetCounter().GetValue())
}

// read answers what a metric stands at; one that cannot tell stands at 0.
func read(m prometheus.Metric) *dto.Metric {
	out := new(dto.Metric)
	if err := m.Write(out); err != nil {
		return new(dto.Metric)
	}
	return out
}
