package kv

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// metrics are the store's figures as its callers see it. They count whether or not anyone collects them.
type metrics struct {
	registry prometheus.Registerer
	duration *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	reads    map[string][3]prometheus.Observer // by operation and consistency
	writes   map[string]prometheus.Observer
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		registry: r,
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sett_kv_operation_seconds",
			Help: "Time of an operation on the store; of a write until it was durable and applied.",
			// Reads take microseconds, writes a flush of the disk or a round to the others.
			Buckets:                        prometheus.ExponentialBuckets(0.000004, 4, 11),
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 160,
		}, []string{"operation", "consistency"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sett_kv_operation_errors_total", Help: "Operations on the store that failed, by code.",
		}, []string{"operation", "code"}),
		reads: map[string][3]prometheus.Observer{}, writes: map[string]prometheus.Observer{},
	}
	for _, name := range []string{"get", "get_many", "list", "usage"} {
		m.reads[name] = [3]prometheus.Observer{
			op.Session: m.duration.WithLabelValues(name, "session"),
			op.Local:   m.duration.WithLabelValues(name, "local"),
			op.Strong:  m.duration.WithLabelValues(name, "strong"),
		}
	}
	for _, name := range []string{"commit", "set_quota", "queues", "effects", "keep_previous"} {
		m.writes[name] = m.duration.WithLabelValues(name, "")
	}
	if r == nil {
		return m, nil
	}
	if err := r.Register(m.duration); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if err := r.Register(m.errors); err != nil {
		r.Unregister(m.duration)
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return m, nil
}

// unregister takes the metrics away again.
func (m *metrics) unregister() {
	if m.registry != nil {
		m.registry.Unregister(m.duration)
		m.registry.Unregister(m.errors)
	}
}

// read is deferred: err is what the operation is about to answer.
func (m *metrics) read(operation string, c op.Consistency, start time.Time, err *error) {
	if int(c) < 3 {
		m.observe(m.reads[operation][c], operation, start, *err)
	}
}

// wrote is deferred, as read.
func (m *metrics) wrote(operation string, start time.Time, err *error) {
	m.observe(m.writes[operation], operation, start, *err)
}

func (m *metrics) observe(o prometheus.Observer, operation string, start time.Time, err error) {
	o.Observe(time.Since(start).Seconds())
	if err != nil && !errors.Is(err, op.ErrNotFound) {
		m.errors.WithLabelValues(operation, string(abi.CodeOf(err))).Inc()
	}
}
