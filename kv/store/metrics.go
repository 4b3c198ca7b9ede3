package store

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's figures. They count whether or not anyone collects them.
type metrics struct {
	registry   prometheus.Registerer
	collectors []prometheus.Collector

	snapshotDuration prometheus.Histogram
	snapshotBytes    prometheus.Counter
}

func newMetrics(r prometheus.Registerer, s *Store) (*metrics, error) {
	m := &metrics{
		registry: r,
		snapshotDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sett_kv_snapshot_seconds", Help: "Time to write a snapshot or a backup.",
			Buckets:                     prometheus.ExponentialBuckets(0.01, 4, 8),
			NativeHistogramBucketFactor: 1.1}),
		snapshotBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sett_kv_snapshot_bytes_total", Help: "Bytes of snapshots and backups written."}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m.collectors = []prometheus.Collector{m.snapshotDuration, m.snapshotBytes,
		gauge("sett_kv_applied_index", "Newest index that is applied.",
			func() float64 { return float64(s.Applied()) }),
		gauge("sett_kv_durable_index", "Newest index that survives a loss of power.",
			func() float64 { return float64(s.Durable()) }),
		gauge("sett_kv_lsm_bytes", "Sorted tables of the store.", s.lsmBytes),
	}
	if s.dir != nil {
		m.collectors = append(m.collectors,
			gauge("sett_kv_value_log_bytes", "Value log of the store, which is there but not used.", s.valueLogBytes),
			gauge("sett_kv_free_disk_bytes", "Free space on the store's disk.", func() float64 {
				free, _ := s.free(s.dir.path)
				return float64(free)
			}))
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

func (m *metrics) snapshotted(start time.Time, bytes int64, err error) {
	m.snapshotBytes.Add(float64(bytes))
	if err == nil {
		m.snapshotDuration.Observe(time.Since(start).Seconds())
	}
}

func (s *Store) lsmBytes() (sum float64) {
	e := s.engine.Load()
	if !e.gate.enter() {
		return 0
	}
	defer e.gate.leave()
	for _, l := range e.db.Levels() {
		sum += float64(l.Size)
	}
	return sum
}

func (s *Store) valueLogBytes() (sum float64) {
	names, _ := filepath.Glob(filepath.Join(s.engine.Load().dir, "*.vlog"))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			sum += float64(info.Size())
		}
	}
	return sum
}
