package gossip

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are gossip's figures. They count whether or not anyone collects them.
type metrics struct {
	registerer prometheus.Registerer
	all        *prometheus.Registry // of what follows and the members, registered as one

	packetsIn, packetsOut prometheus.Counter
	bytesIn, bytesOut     prometheus.Counter
	refused               prometheus.Counter
	rejoins               prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	if r == nil {
		r = prometheus.NewRegistry() // that nobody reads
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "sett_cluster_gossip_" + name, Help: help})
	}
	both := func(name, help string) (in, out prometheus.Counter, all prometheus.Collector) {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sett_cluster_gossip_" + name, Help: help}, []string{"direction"})
		return v.WithLabelValues("in"), v.WithLabelValues("out"), v
	}
	m := &metrics{registerer: r, all: prometheus.NewRegistry(),
		refused: counter("refused_total", "Packets and streams that were refused: of strangers, garbage, or too many."),
		rejoins: counter("rejoins_total", "Attempts to reach a member that is not alive."),
	}
	var packets, volume prometheus.Collector
	m.packetsIn, m.packetsOut, packets = both("packets_total", "Packets received and sent.")
	m.bytesIn, m.bytesOut, volume = both("packet_bytes_total", "Bytes of packets received and sent.")
	m.all.MustRegister(m.refused, m.rejoins, packets, volume)
	return m
}

// register registers the counters, and the members of a table.
func (m *metrics) register(t *table) error {
	members := census{t, prometheus.NewDesc("sett_cluster_members", "Members that this node lists, itself among them.", []string{"state"}, nil)}
	m.all.MustRegister(members)
	if err := m.registerer.Register(m.all); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

func (m *metrics) unregister() { m.registerer.Unregister(m.all) }

// census counts members when it is collected.
type census struct {
	table       *table
	description *prometheus.Desc
}

func (c census) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- c.description }

func (c census) Collect(figures chan<- prometheus.Metric) {
	count := map[State]int{}
	for _, m := range *c.table.snapshot.Load() {
		count[m.State]++
	}
	for _, s := range states {
		figures <- prometheus.MustNewConstMetric(c.description, prometheus.GaugeValue, float64(count[s]), string(s))
	}
}
