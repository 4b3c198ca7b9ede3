package peer

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome is how a call ended: a label of the metrics.
type outcome string

const (
	outcomeOK          outcome = "ok"
	outcomeFailed      outcome = "failed"       // with another coded error
	outcomeNotHere     outcome = "not_here"     // ErrNotHere
	outcomeBusy        outcome = "busy"         // abi.TooManyRequests
	outcomeUnreachable outcome = "unreachable"  // ErrUnreachable
	outcomeUnknown     outcome = "unknown"      // ErrUnknown
	outcomeTimeout     outcome = "timeout"      // abi.Timeout, or the caller's deadline
	outcomeCanceled    outcome = "canceled"     // the caller went away
	outcomeWrongBytes  outcome = "wrong_digest" // a holder delivered other bytes than it was asked for
)

const moduleBytesName = "sett_cluster_module_bytes_total"

// moduleBytes counts bytes of modules. Server and Client have one each, told apart by direction.
func moduleBytes(direction string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: moduleBytesName, Help: "Bytes of modules sent to and received from other nodes.",
		ConstLabels: prometheus.Labels{"direction": direction},
	})
}

// clientMetrics are a client's collectors, with their children resolved.
type clientMetrics struct {
	registerer prometheus.Registerer
	collectors []prometheus.Collector
	fetches    map[outcome]prometheus.Counter
	forwarded  map[outcome]prometheus.Counter
	took       prometheus.Histogram
	received   prometheus.Counter
}

func newClientMetrics(r prometheus.Registerer) (*clientMetrics, error) {
	fetches := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sett_cluster_module_fetches_total", Help: "Modules fetched from other nodes, by outcome.",
	}, []string{"outcome"})
	forwarded := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sett_cluster_invocations_forwarded_total", Help: "Invocations sent to other nodes, by outcome.",
	}, []string{"outcome"})
	m := &clientMetrics{
		registerer: r, received: moduleBytes("received"),
		fetches: map[outcome]prometheus.Counter{}, forwarded: map[outcome]prometheus.Counter{},
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sett_cluster_forward_seconds", Help: "Time of an invocation sent to another node.",
			Buckets:                        prometheus.ExponentialBuckets(0.0001, 2.5, 14),
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 160,
		}),
	}
	for _, o := range []outcome{outcomeOK, outcomeFailed, outcomeCanceled, outcomeWrongBytes} {
		m.fetches[o] = fetches.WithLabelValues(string(o))
	}
	for _, o := range []outcome{outcomeOK, outcomeFailed, outcomeNotHere, outcomeBusy, outcomeUnreachable, outcomeUnknown,
		outcomeTimeout, outcomeCanceled} {
		m.forwarded[o] = forwarded.WithLabelValues(string(o))
	}
	m.collectors = []prometheus.Collector{fetches, forwarded, m.received, m.took}
	return m, register(r, m.collectors)
}

func (m *clientMetrics) forward(o outcome, start time.Time) {
	m.forwarded[o].Inc()
	m.took.Observe(time.Since(start).Seconds())
}

// register registers all collectors, or none; a nil r is nobody who collects.
func register(r prometheus.Registerer, collectors []prometheus.Collector) error {
	if r == nil {
		return nil
	}
	for i, c := range collectors {
		if err := r.Register(c); err != nil {
			unregister(r, collectors[:i])
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// unregister gives the names back, so that a later Server or Client may register them.
func unregister(r prometheus.Registerer, collectors []prometheus.Collector) {
	if r == nil {
		return
	}
	for _, c := range collectors {
		r.Unregister(c)
	}
}
