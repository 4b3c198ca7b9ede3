package trigger

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lags tells how far functions are behind the newest change of their streams, when somebody asks.
type lags struct {
	desc   *prometheus.Desc
	mu     sync.Mutex // guards shards and what is in them
	shards map[*lag]bool
}

// lag is that of a shard that this node owns.
type lag struct {
	all           *lags
	app, function string
	oldest        time.Time // change that is not handled yet; zero: there is none
}

func newLags() *lags {
	return &lags{shards: map[*lag]bool{}, desc: prometheus.NewDesc("sett_router_stream_lag_seconds",
		"How long ago the oldest change was made that a function has not handled yet; 0 when there is none.", []string{"app", "function"}, nil)}
}

// join answers the lag of a shard, which leaves when this node does not own it any more.
func (l *lags) join(app, function string) *lag {
	l.mu.Lock()
	defer l.mu.Unlock()
	shard := &lag{all: l, app: app, function: function}
	l.shards[shard] = true
	return shard
}

func (s *lag) leave() {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	delete(s.all.shards, s)
}

// waits says when the oldest change was made that is not handled; zero: there is none.
func (s *lag) waits(oldest time.Time) {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.oldest = oldest
}

func (l *lags) Describe(c chan<- *prometheus.Desc) { c <- l.desc }

// Collect answers the longest lag of each function's shards here.
func (l *lags) Collect(c chan<- prometheus.Metric) {
	longest := map[[2]string]float64{}
	l.mu.Lock()
	for s := range l.shards {
		behind := 0.0
		if !s.oldest.IsZero() {
			behind = max(0, time.Since(s.oldest).Seconds())
		}
		name := [2]string{s.app, s.function}
		longest[name] = max(longest[name], behind)
	}
	l.mu.Unlock()
	for name, behind := range longest {
		c <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, behind, name[0], name[1])
	}
}
