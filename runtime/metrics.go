package runtime

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the room's. Those of the path of a request have no labels, so that nothing is looked up there.
type metrics struct {
	registerer prometheus.Registerer
	collectors []prometheus.Collector

	compile     prometheus.Histogram
	load        prometheus.Histogram
	image       prometheus.Histogram
	build       prometheus.Histogram
	instantiate prometheus.Histogram
	reset       prometheus.Histogram
	fuel        prometheus.Counter
	cold        *prometheus.CounterVec // app, function
	failures    map[outcome]prometheus.Counter
}

// outcome is how an invocation that failed ended.
type outcome string

// Outcomes, as the label reason.
const (
	outcomeTimeout  outcome = "timeout"
	outcomeCanceled outcome = "canceled"
	outcomeMemory   outcome = "memory" // the limit was hit before it failed
	outcomeExit     outcome = "exit"
	outcomeTrap     outcome = "trap"
	outcomeReply    outcome = "reply"    // none, or an invalid one, or one over the limit
	outcomeError    outcome = "error"    // the handler answered an error
	outcomeUnloaded outcome = "unloaded" // the module could not be loaded
	outcomeRefused  outcome = "refused"  // the event cannot be handed to the guest
)

func newMetrics(registerer prometheus.Registerer, r *Runtime) (*metrics, error) {
	histogram := func(name, help string, start float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "sett", Subsystem: "runtime", Name: name, Help: help,
			Buckets:                     prometheus.ExponentialBuckets(start, 4, 10),
			NativeHistogramBucketFactor: 1.2, NativeHistogramMaxBucketNumber: 100,
		})
	}
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "sett", Subsystem: "runtime", Name: name, Help: help,
		}, read)
	}
	m := &metrics{
		registerer: registerer,
		compile:    histogram("compile_seconds", "Time to compile a module.", 1e-4),
		load:       histogram("load_seconds", "Time to load compiled code from disk.", 1e-4),
		image:      histogram("image_load_seconds", "Time to load an image from disk.", 4e-6),
		build:      histogram("image_build_seconds", "Time to initialise a module and take its image.", 1e-5),
		reset:      histogram("reset_seconds", "Time to make a used instance its image again.", 5e-7),
		fuel: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "sett", Subsystem: "runtime", Name: "fuel_instructions_total",
			Help: "WebAssembly instructions that invocations ran.",
		}),
		instantiate: histogram("instantiate_seconds", "Time to make an instance.", 4e-6),
		cold: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "sett", Subsystem: "runtime", Name: "cold_starts_total",
			Help: "Invocations that waited for code or an image to be loaded or made.",
		}, []string{"app", "function"}),
		failures: make(map[outcome]prometheus.Counter),
	}
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "sett", Subsystem: "runtime", Name: "failures_total",
		Help: "Invocations that failed, by reason.",
	}, []string{"reason"})
	for _, o := range []outcome{outcomeTimeout, outcomeCanceled, outcomeMemory, outcomeExit, outcomeTrap,
		outcomeReply, outcomeError, outcomeUnloaded, outcomeRefused} {
		m.failures[o] = failures.WithLabelValues(string(o))
	}
	size := func(n *atomic.Int64) func() float64 { return func() float64 { return float64(n.Load()) } }
	m.collectors = []prometheus.Collector{m.compile, m.load, m.image, m.build, m.instantiate, m.reset, m.fuel, m.cold, failures,
		gauge("instances", "Instances that exist, idle ones included.", size(&r.used.instances)),
		gauge("memory_bytes", "Memory of instances' own, as last measured.", func() float64 { return float64(r.slots.Stats().ResidentBytes) }),
		gauge("image_bytes", "Content of the images that are resident.", size(&r.used.imageBytes)),
		gauge("code_bytes", "Estimated memory of the compiled modules that are resident.", func() float64 { n, _ := r.codes.size(); return float64(n) }),
		gauge("code_modules", "Compiled modules that are resident.", func() float64 { _, n := r.codes.size(); return float64(n) }),
	}
	return m, m.register()
}

func (m *metrics) register() error {
	if m.registerer == nil {
		return nil
	}
	for i, c := range m.collectors {
		if err := m.registerer.Register(c); err != nil {
			m.collectors = m.collectors[:i]
			m.unregister()
			return err
		}
	}
	return nil
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.collectors {
		m.registerer.Unregister(c)
	}
}
