package kv

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/op"
)

// metrics are the store's figures. They count whether or not anyone collects them.
type metrics struct {
	registry   prometheus.Registerer
	collectors []prometheus.Collector

	reads     prometheus.Counter
	commits   prometheus.Histogram
	conflicts prometheus.Counter
	failures  prometheus.Counter
}

func newMetrics(r prometheus.Registerer, s *Store) (*metrics, error) {
	m := &metrics{
		registry: r,
		reads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sett_kv_reads_total", Help: "Gets and listings of the store."}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sett_kv_commit_duration_seconds", Help: "Time until a transaction was durable.",
			Buckets:                     prometheus.ExponentialBuckets(0.00025, 4, 8),
			NativeHistogramBucketFactor: 1.1}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sett_kv_conflicts_total", Help: "Transactions refused because a check failed."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sett_kv_failures_total", Help: "Transactions refused or failed for any other reason."}),
	}
	m.collectors = []prometheus.Collector{m.reads, m.commits, m.conflicts, m.failures,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sett_kv_index", Help: "Index of the newest change."},
			func() float64 { return float64(s.horizon.newest()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sett_kv_size_bytes", Help: "Sorted tables of the store, without its logs."},
			func() float64 { return s.sizeBytes() }),
	}
	if r == nil {
		return m, nil
	}
	for i, c := range m.collectors {
		if err := r.Register(c); err != nil {
			m.collectors = m.collectors[:i]
			m.unregister()
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// unregister takes the metrics away again.
func (m *metrics) unregister() {
	if m.registry == nil {
		return
	}
	for _, c := range m.collectors {
		m.registry.Unregister(c)
	}
}

func (m *metrics) committed(start time.Time, err error) {
	switch {
	case err == nil:
		m.commits.Observe(time.Since(start).Seconds())
	case errors.Is(err, op.ErrConflict):
		m.conflicts.Inc()
	default:
		m.failures.Inc()
	}
}

func (s *Store) sizeBytes() (sum float64) {
	s.life.RLock()
	defer s.life.RUnlock()
	if s.closed {
		return 0
	}
	for _, l := range s.db.Levels() {
		sum += float64(l.Size)
	}
	return sum
}
