package queue

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// maxCollected is how many queues a scrape tells of; more make it slower.
const maxCollected = 1000

// collector tells what queues hold, as the node that is scraped knows it.
type collector struct {
	queues                  *Queues
	messages, bytes, oldest *prometheus.Desc
}

// Collector answers what tells how many messages queues hold, the platform's own too, and how old the oldest is. All nodes
// tell the same: take the maximum, not the sum.
func (q *Queues) Collector() prometheus.Collector {
	return &collector{
		queues:   q,
		messages: prometheus.NewDesc("sett_kv_queue_messages", "Messages of a queue, by state.", []string{"app", "queue", "state"}, nil),
		bytes:    prometheus.NewDesc("sett_kv_queue_bytes", "Bytes of a queue's messages.", []string{"app", "queue"}, nil),
		oldest:   prometheus.NewDesc("sett_kv_queue_oldest_seconds", "Age of a queue's oldest message; 0: it has none.", []string{"app", "queue"}, nil),
	}
}

// Describe is for prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	to <- c.messages
	to <- c.bytes
	to <- c.oldest
}

// Collect is for prometheus.Collector. What cannot be read is left out; the next scrape tries again.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	_ = c.queues.store.ReadQueues(context.Background(), op.Read{Consistency: op.Local}, func(v fsm.View, now time.Time) error {
		names, err := fsm.AllQueues(v)
		if err != nil {
			return err
		}
		for _, n := range names[:min(len(names), maxCollected)] {
			state, err := fsm.ReadQueue(v, n.Namespace, n.Name, now)
			if err != nil {
				return err
			}
			c.tell(to, n, state.Stats, now)
		}
		return nil
	})
}

func (c *collector) tell(to chan<- prometheus.Metric, n fsm.QueueName, s op.QueueStats, now time.Time) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append([]string{n.Namespace, n.Name}, labels...)...)
	}
	gauge(c.messages, float64(s.Visible), "visible")
	gauge(c.messages, float64(s.InFlight), "in_flight")
	gauge(c.messages, float64(s.Delayed), "delayed")
	gauge(c.bytes, float64(s.Bytes))
	age := 0.0
	if !s.Oldest.IsZero() {
		age = max(0, now.Sub(s.Oldest).Seconds())
	}
	gauge(c.oldest, age)
}
