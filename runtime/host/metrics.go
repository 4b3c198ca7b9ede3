package host

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sett-run/sett/sdk/abi"
)

// fetchMetrics count fetches by how they ended.
type fetchMetrics struct {
	registerer prometheus.Registerer
	fetches    *prometheus.CounterVec // outcome
	seconds    prometheus.Histogram
}

func newFetchMetrics(r prometheus.Registerer) (*fetchMetrics, error) {
	m := &fetchMetrics{
		registerer: r,
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "sett", Subsystem: "runtime", Name: "fetches_total",
			Help: "HTTP requests that functions sent, by outcome.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "sett", Subsystem: "runtime", Name: "fetch_seconds",
			Help:                        "Time from a function's HTTP request to the end of its reply.",
			Buckets:                     prometheus.ExponentialBuckets(1e-3, 4, 10),
			NativeHistogramBucketFactor: 1.2, NativeHistogramMaxBucketNumber: 100,
		}),
	}
	if r == nil {
		return m, nil
	}
	if err := r.Register(m.fetches); err != nil {
		return nil, err
	}
	if err := r.Register(m.seconds); err != nil {
		r.Unregister(m.fetches)
		return nil, err
	}
	return m, nil
}

func (m *fetchMetrics) unregister() {
	if m.registerer != nil {
		m.registerer.Unregister(m.fetches)
		m.registerer.Unregister(m.seconds)
	}
}

func (m *fetchMetrics) observe(start time.Time, err error) {
	m.fetches.WithLabelValues(outcome(err)).Inc()
	m.seconds.Observe(time.Since(start).Seconds())
}

// outcome is a fetch's label.
func outcome(err error) string {
	for _, o := range [...]struct {
		err   error
		label string
	}{
		{abi.ErrBusy, "busy"}, {context.DeadlineExceeded, "timeout"}, {context.Canceled, "canceled"}, {abi.ErrDenied, "denied"},
		{abi.ErrResolve, "dns"}, {abi.ErrConnect, "refused"}, {abi.ErrTLS, "tls"}, {abi.ErrOverLimit, "too_large"},
		{abi.ErrBadRequest, "invalid"}, {abi.ErrBroken, "broken"},
	} {
		if errors.Is(err, o.err) {
			return o.label
		}
	}
	return "ok"
}
