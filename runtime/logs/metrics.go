package logs

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	registry   prometheus.Registerer
	collectors []prometheus.Collector

	lines   prometheus.Counter
	unsaved prometheus.Counter
	skipped prometheus.Counter
}

func newMetrics(r prometheus.Registerer, l *Logs) (*metrics, error) {
	m := &metrics{
		registry: r,
		lines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sett_runtime_log_lines_total", Help: "Lines that guests and the platform wrote."}),
		unsaved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sett_runtime_log_lines_unsaved_total", Help: "Lines that the disk did not take and a restart loses."}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sett_runtime_log_lines_skipped_total", Help: "Lines that slow readers did not get."}),
	}
	m.collectors = []prometheus.Collector{m.lines, m.unsaved, m.skipped,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sett_runtime_log_bytes", Help: "Memory that lines take."},
			func() float64 { return float64(l.bytes.Load()) }),
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

func (m *metrics) unregister() {
	if m.registry == nil {
		return
	}
	for _, c := range m.collectors {
		m.registry.Unregister(c)
	}
}
