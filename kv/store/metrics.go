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
	registerer prometheus.Registerer
	all        *prometheus.Registry // of what follows and more, registered as one

	snapshotDuration prometheus.Histogram
	snapshotBytes    prometheus.Counter
}

func newMetrics(r prometheus.Registerer, s *Store) (*metrics, error) {
	if r == nil {
		r = prometheus.NewRegistry() // that nobody reads
	}
	m := &metrics{
		registerer: r, all: prometheus.NewRegistry(),
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
	m.all.MustRegister(m.snapshotDuration, m.snapshotBytes,
		gauge("sett_kv_applied_index", "Newest index that is applied.",
			func() float64 { return float64(s.Applied()) }),
		gauge("sett_kv_durable_index", "Newest index that survives a loss of power.",
			func() float64 { return float64(s.Durable()) }),
		gauge("sett_kv_lsm_bytes", "Sorted tables of the store.", s.lsmBytes))
	if s.dir != nil {
		m.all.MustRegister(
			gauge("sett_kv_value_log_bytes", "Value log of the store, which is there but not used.", s.filesOf(".vlog")),
			gauge("sett_kv_passing_bytes", "Larger changes that watches can read, in files beside the sorted tables.", s.filesOf(passingExtension)),
			gauge("sett_kv_free_disk_bytes", "Free space on the store's disk.", func() float64 {
				free, _ := s.free(s.dir.path)
				return float64(free)
			}))
	}
	if err := r.Register(m.all); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return m, nil
}

// unregister takes the metrics away again.
func (m *metrics) unregister() { m.registerer.Unregister(m.all) }

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

// filesOf answers how many bytes the engine's files with an extension have.
func (s *Store) filesOf(extension string) func() float64 {
	return func() (sum float64) {
		files, _ := os.ReadDir(s.engine.Load().dir)
		for _, f := range files {
			if info, err := f.Info(); err == nil && filepath.Ext(f.Name()) == extension {
				sum += float64(info.Size())
			}
		}
		return sum
	}
}
