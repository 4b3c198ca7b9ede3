package trigger

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// What became of a tick: the label of sett_router_schedule_ticks_total.
const (
	tickFired   = "fired"
	tickTaken   = "taken"   // another node was first
	tickMissed  = "missed"  // nobody was there, and the policy is to skip
	tickDropped = "dropped" // too many of the schedule's invocations wait
)

// What became of a message: the label of sett_router_messages_total.
const (
	messageHandled  = "handled"
	messageFailed   = "failed"
	messageFiltered = "filtered"
	messageDead     = "dead"

	messageForwarded = "forwarded" // a publication to a subscriber, what became of an object to a function
	messageOwn       = "own"       // what became of an object, which the function did itself and is not told
)

// metrics are the package's collectors.
type metrics struct {
	attempts *prometheus.CounterVec
	givenUp  *prometheus.CounterVec
	ticks    *prometheus.CounterVec
	messages *prometheus.CounterVec
	waited   prometheus.Histogram
	trims    *prometheus.CounterVec
	lag      *lags
}

// newMetrics makes the collectors and registers them; a nil registerer leaves them unregistered.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		attempts: counter("sett_router_attempts_total", "Attempts of invocations that are kept, by outcome.", "trigger", "outcome"),
		givenUp:  counter("sett_router_invocations_given_up_total", "Invocations that were given up.", "trigger", "condition"),
		ticks:    counter("sett_router_schedule_ticks_total", "Ticks of schedules, by what became of them on this node.", "outcome"),
		messages: counter("sett_router_messages_total", "Messages of queues and topics and changes of streams, by what became of them.", "trigger", "outcome"),
		trims:    counter("sett_router_stream_trims_total", "Times that changes were forgotten before a function had them.", "app", "function"),
		lag:      newLags(),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sett_router_upload_lag_seconds",
			Help: "Time from what became of an object until it was handed on.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.attempts, m.givenUp, m.ticks, m.messages, m.trims, m.lag, m.waited} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// attempt counts an outcome.
func (m *metrics) attempt(trigger string, o Outcome) {
	name := map[kind]string{fine: "succeeded", failed: "failed", refused: "refused", gone: "gone", conflicting: "conflict"}[classify(o.Err)]
	if o.Verdict == Interrupted {
		name = "interrupted"
	}
	if o.Condition == ConditionAge {
		name = "aged"
	}
	m.attempts.WithLabelValues(trigger, name).Inc()
	if o.Verdict == GivenUp {
		m.givenUp.WithLabelValues(trigger, o.Condition).Inc()
	}
}
