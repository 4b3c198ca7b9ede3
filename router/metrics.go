package router

import (
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/runtime/registry"
)

// Reasons for which a request is refused before it is dispatched: the label of
// sett_router_requests_refused_total.
const (
	reasonMalformed   = "malformed"
	reasonTooLarge    = "too_large"
	reasonHeader      = "header_too_large"
	reasonSlow        = "slow_client"
	reasonNoRoute     = "no_route"
	reasonInvalid     = "invalid_body"
	reasonAsync       = "not_enqueued"
	reasonMethod      = "method"
	reasonDraining    = "draining"
	reasonConcurrency = "function_concurrency"
	reasonNode        = "node_concurrency"
)

// metrics are the router's collectors. Their children are resolved when a table is built, not on each request.
type metrics struct {
	registerer   prometheus.Registerer
	requests     *prometheus.CounterVec
	coldStarts   *prometheus.CounterVec
	duration     *prometheus.HistogramVec
	requestBytes *prometheus.CounterVec
	replyBytes   *prometheus.CounterVec
	rejected     *prometheus.CounterVec
	inFlight     *inFlight
}

// instruments are the children of one version.
type instruments struct {
	classes      [6]prometheus.Counter // by status/100; 0 and 1 are never counted
	coldStarts   prometheus.Counter
	duration     prometheus.Observer
	requestBytes prometheus.Counter
	replyBytes   prometheus.Counter
}

// newMetrics makes the collectors and registers them; a nil registerer leaves them unregistered.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		registerer:   registerer,
		requests:     counter("sett_router_invocations_total", "Invocations answered, by class of status.", "app", "function", "version", "class"),
		coldStarts:   counter("sett_router_cold_starts_total", "Invocations that waited for loading, compiling or an image.", "app", "function", "version"),
		requestBytes: counter("sett_router_request_bytes_total", "Bytes of request bodies.", "app", "function"),
		replyBytes:   counter("sett_router_reply_bytes_total", "Bytes of reply bodies.", "app", "function"),
		rejected:     counter("sett_router_requests_refused_total", "Requests refused before a function ran.", "reason"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                           "sett_router_invocation_seconds",
			Help:                           "Time from dispatch to reply.",
			Buckets:                        []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30},
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 160,
		}, []string{"app", "function"}),
		inFlight: &inFlight{desc: prometheus.NewDesc("sett_router_invocations_in_flight",
			"Invocations that are running.", []string{"app", "function"}, nil)},
	}
	if registerer == nil {
		return m, nil
	}
	for i, c := range m.collectors() {
		if err := registerer.Register(c); err != nil {
			for _, done := range m.collectors()[:i] {
				registerer.Unregister(done)
			}
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.coldStarts, m.duration, m.requestBytes, m.replyBytes, m.rejected, m.inFlight}
}

// unregister gives the names back, so that a later router may register them.
func (m *metrics) unregister() {
	if m.registerer != nil {
		for _, c := range m.collectors() {
			m.registerer.Unregister(c)
		}
	}
}

func (m *metrics) instruments(v *registry.Version) *instruments {
	number := strconv.Itoa(v.Number)
	i := &instruments{
		coldStarts:   m.coldStarts.WithLabelValues(v.App, v.Function, number),
		duration:     m.duration.WithLabelValues(v.App, v.Function),
		requestBytes: m.requestBytes.WithLabelValues(v.App, v.Function),
		replyBytes:   m.replyBytes.WithLabelValues(v.App, v.Function),
	}
	for class := 2; class <= 5; class++ {
		i.classes[class] = m.requests.WithLabelValues(v.App, v.Function, number, strconv.Itoa(class)+"xx")
	}
	return i
}

// forget drops the children of versions and functions that left the table, so that the number of series is
// bounded by what is deployed.
func (m *metrics) forget(old, now *Table) {
	if old == nil {
		return
	}
	for app, functions := range old.apps {
		for name, f := range functions {
			next := now.apps[app][name]
			if next == nil {
				labels := prometheus.Labels{"app": app, "function": name}
				m.requests.DeletePartialMatch(labels)
				m.coldStarts.DeletePartialMatch(labels)
				m.duration.Delete(labels)
				m.requestBytes.Delete(labels)
				m.replyBytes.Delete(labels)
				continue
			}
			for number := range f.versions {
				if next.versions[number] == nil {
					labels := prometheus.Labels{"app": app, "function": name, "version": strconv.Itoa(number)}
					m.requests.DeletePartialMatch(labels)
					m.coldStarts.Delete(labels)
				}
			}
		}
	}
}

// rejections are the children of the rejected counter, one a reason.
type rejections struct {
	malformed, tooLarge, header, slow, noRoute, invalid, method, async, draining, concurrency, node prometheus.Counter
}

func (m *metrics) rejections() rejections {
	child := func(reason string) prometheus.Counter { return m.rejected.WithLabelValues(reason) }
	return rejections{
		malformed: child(reasonMalformed), tooLarge: child(reasonTooLarge), header: child(reasonHeader),
		slow: child(reasonSlow), noRoute: child(reasonNoRoute), invalid: child(reasonInvalid), method: child(reasonMethod), async: child(reasonAsync),
		draining: child(reasonDraining), concurrency: child(reasonConcurrency), node: child(reasonNode),
	}
}

// inFlight reads the gates when it is scraped, so that requests pay nothing for it.
type inFlight struct {
	desc  *prometheus.Desc
	table atomic.Pointer[Table]
}

func (g *inFlight) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

func (g *inFlight) Collect(ch chan<- prometheus.Metric) {
	t := g.table.Load()
	if t == nil {
		return
	}
	for app, functions := range t.apps {
		for name, f := range functions {
			ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(f.gate.running.Load()), app, name)
		}
	}
}
