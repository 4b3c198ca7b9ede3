package redis

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the server's figures. Their children are found when the table of commands is made, not for each command;
// what is in no table counts as "unknown", so that clients cannot make labels.
type metrics struct {
	registry   prometheus.Registerer
	collectors []prometheus.Collector

	accepted, refused prometheus.Counter // connections
	broken, slow      prometheus.Counter // connections that were ended for it
}

func newMetrics(r prometheus.Registerer, s *Server) (*metrics, error) {
	commands := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sett_kv_redis_commands_total", Help: "Redis commands, by name and by whether they were answered with an error."},
		[]string{"command", "result"})
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sett_kv_redis_command_seconds", Help: "Time from a Redis command's arrival to its reply, by what it does.",
		Buckets:                     prometheus.ExponentialBuckets(0.00001, 4, 10),
		NativeHistogramBucketFactor: 1.1}, []string{"kind"})
	connections := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sett_kv_redis_connections_total",
		Help: "Redis connections: accepted or refused, and of the accepted those ended as broken or slow."},
		[]string{"result"})
	m := &metrics{registry: r,
		accepted: connections.WithLabelValues("accepted"), refused: connections.WithLabelValues("refused"),
		broken: connections.WithLabelValues("broken"), slow: connections.WithLabelValues("slow")}
	m.collectors = []prometheus.Collector{commands, took, connections, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sett_kv_redis_connections", Help: "Redis connections that are open."},
		func() float64 { return float64(s.connections()) })}
	for _, c := range s.commands {
		c.measure(commands, took)
	}
	s.unknown.measure(commands, took)
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

func (c *command) measure(commands *prometheus.CounterVec, took *prometheus.HistogramVec) {
	c.done, c.failed = commands.WithLabelValues(c.name, "ok"), commands.WithLabelValues(c.name, "error")
	kind := "connection"
	switch {
	case c.name == "exec":
		kind = "transaction"
	case c.flags&writes != 0:
		kind = "write"
	case c.flags&reads != 0:
		kind = "read"
	}
	c.took = took.WithLabelValues(kind)
}

// count counts a command whose reply was just written.
func (c *command) count(w *writer, start time.Time) {
	c.took.Observe(time.Since(start).Seconds())
	if w.failed {
		c.failed.Inc()
		return
	}
	c.done.Inc()
}

func (s *Server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}
