package replica

import (
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the replica's figures. They count whether or not anyone collects them.
type metrics struct {
	registry   prometheus.Registerer
	collectors []prometheus.Collector
	ready      atomic.Bool // raft is there to be asked

	proposals prometheus.Counter
	batch     prometheus.Histogram
	reads     prometheus.Histogram
	snapshots *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer, r *Replica) (*metrics, error) {
	m := &metrics{
		registry: registry,
		proposals: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sett_kv_raft_proposals_total", Help: "Commands proposed on this node, for itself or for a follower."}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sett_kv_raft_batch_commands", Help: "Commands in an entry this node has made as leader.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7)}),
		reads: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sett_kv_raft_read_index_seconds", Help: "Time until a strong read knew its index.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8), NativeHistogramBucketFactor: 1.1}),
		snapshots: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sett_kv_raft_snapshots_total",
			Help: "Snapshots: taken (the log could forget), sent to and installed from another node."}, []string{"kind"}),
	}
	m.collectors = append([]prometheus.Collector{m.proposals, m.batch, m.reads, m.snapshots}, m.gauges(r)...)
	if registry == nil {
		return m, nil
	}
	for i, c := range m.collectors {
		if err := registry.Register(c); err != nil {
			m.collectors = m.collectors[:i]
			m.unregister()
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// gauges are read from raft when they are collected.
func (m *metrics) gauges(r *Replica) []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sett_kv_raft_" + name, Help: help}, func() float64 {
			if !m.ready.Load() {
				return 0
			}
			return value()
		})
	}
	return []prometheus.Collector{
		gauge("term", "Term of the group as this node knows it.",
			func() float64 { return float64(r.raft.CurrentTerm()) }),
		gauge("leader", "1 when this node leads and is ready to.", func() float64 {
			if r.Leading() != 0 {
				return 1
			}
			return 0
		}),
		gauge("commit_index", "Newest entry that is known to be on a majority.",
			func() float64 { return float64(r.commitIndex()) }),
		gauge("applied_index", "Newest entry in this node's state.",
			func() float64 { return float64(r.machine.Applied()) }),
		gauge("durable_index", "Newest entry in this node's state after a power loss.",
			func() float64 { return float64(r.machine.Durable()) }),
		gauge("apply_lag_entries", "Entries known to be committed and not yet applied here.",
			func() float64 { return max(0, float64(r.commitIndex())-float64(r.progress.reached.Load())) }),
		gauge("leader_contact_seconds", "Time since this node heard of the leader; 0 on the leader.",
			func() float64 { return r.lastContact().Seconds() }),
		gauge("snapshot_index", "Newest entry that may be gone from the log.",
			func() float64 { return float64(r.storage.snapshots.index()) }),
	}
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
