package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// step is a part of a deployment: the label of its metric.
type step string

const (
	stepCompile step = "compile" // the module, or finding that it is compiled
	stepTry     step = "try"     // an instance, which also makes the image
	stepSpread  step = "spread"  // the module to another node
	stepCommit  step = "commit"  // the record, by the group
	stepSwitch  step = "switch"  // of this node's table
	stepSettle  step = "settle"  // until the other nodes have switched
)

// steps tell where the time of deployments goes.
type steps struct{ took *prometheus.HistogramVec }

func newSteps(r prometheus.Registerer) steps {
	s := steps{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sett_cluster_deploy_seconds", Help: "Time of the steps of deployments that this node was asked for.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12),
	}, []string{"step"})}
	r.MustRegister(s.took)
	return s
}

func (s steps) add(name step, took time.Duration) {
	s.took.WithLabelValues(string(name)).Observe(took.Seconds())
}

// since adds a step that ends now, and answers when that is.
func (s steps) since(name step, begin time.Time) time.Time {
	end := time.Now()
	s.add(name, end.Sub(begin))
	return end
}
