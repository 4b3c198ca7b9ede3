package blob

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of a node's objects.
type metrics struct {
	registerer prometheus.Registerer
	all        []prometheus.Collector

	received, sent              prometheus.Counter
	rotten, repaired, collected prometheus.Counter
	chunks, bytes               prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{registerer: r}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.all = append(m.all, c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		m.all = append(m.all, g)
		return g
	}
	m.received = counter("sett_kv_object_received_bytes_total", "Bytes of objects and parts that were put here.")
	m.sent = counter("sett_kv_object_sent_bytes_total", "Bytes of objects that were read here.")
	m.rotten = counter("sett_kv_chunks_damaged_total", "Chunks whose bytes on disk were not those that were written.")
	m.repaired = counter("sett_kv_chunks_repaired_total", "Chunks that were brought from another node by scrubbing.")
	m.collected = counter("sett_kv_chunks_collected_total", "Chunks that nothing named and that were removed.")
	m.chunks = gauge("sett_kv_chunks", "Chunks on this node's disk, as the last collection found them.")
	m.bytes = gauge("sett_kv_chunk_bytes", "Bytes of those chunks.")
	if r == nil {
		return m, nil
	}
	for i, c := range m.all {
		if err := r.Register(c); err != nil {
			m.all = m.all[:i]
			m.unregister()
			return nil, errors.Join(errors.New("register metrics"), err)
		}
	}
	return m, nil
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.all {
		m.registerer.Unregister(c)
	}
}
