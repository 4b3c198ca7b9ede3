package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	ahead     = 4                      // batches that may wait to be consumed, for each producer
	takeWait  = 200 * time.Millisecond // of a receive that finds nothing
	drainTime = time.Minute            // without a message before those that are missing are lost
)

// connection is a client's, to one queue. It is not used concurrently.
type connection interface {
	// send sends messages and returns once they are durable.
	send(bodies [][]byte) error
	// consume receives up to most messages, waits for a first one up to takeWait, deletes them and answers how many
	// there were.
	consume(most int) (int, error)
	close() error
}

// traffic is a round at work.
type traffic struct {
	size     int
	room     chan struct{} // a slot for each batch that was sent and not consumed
	sent     atomic.Int64
	consumed atomic.Int64
	last     atomic.Int64 // when something was consumed last, nanoseconds since the beginning
	begin    time.Time
	ended    atomic.Bool // nothing is sent any more

	mu  sync.Mutex // guards err
	err error
}

// round has producers send for the length of a round and consumers take all of it, and answers messages per second.
// Connections are opened before the clock runs.
func round(ctx context.Context, s system, p plan, size int) (rate float64, err error) {
	t := &traffic{size: size, room: make(chan struct{}, ahead*p.clients)}
	connections := make([]connection, 2*p.clients)
	for i := range connections {
		if connections[i], err = s.connect(ctx, "queue"); err != nil {
			return 0, err
		}
		defer connections[i].close()
	}
	bodies := make([][]byte, size)
	for i := range bodies {
		bodies[i] = make([]byte, p.bytes)
		for k := range bodies[i] {
			bodies[i][k] = byte(rand.Uint32())
		}
	}
	var producers, consumers sync.WaitGroup
	t.begin = time.Now()
	for i := range p.clients {
		producers.Go(func() { t.produce(connections[i], bodies, p.length) })
		consumers.Go(func() { t.consume(connections[p.clients+i]) })
	}
	producers.Wait()
	t.ended.Store(true)
	consumers.Wait()
	return float64(t.consumed.Load()) / time.Duration(t.last.Load()).Seconds(), t.err
}

func (t *traffic) produce(c connection, bodies [][]byte, length time.Duration) {
	for i := 0; (i == 0 || time.Since(t.begin) < length) && !t.failed(); i++ { // one at least: else there is no rate
		select {
		case t.room <- struct{}{}:
		case <-time.After(length):
			return
		}
		if err := c.send(bodies); err != nil {
			t.fail(err)
			return
		}
		t.sent.Add(int64(len(bodies)))
	}
}

func (t *traffic) consume(c connection) {
	for !t.failed() {
		if t.ended.Load() && t.consumed.Load() >= t.sent.Load() {
			return
		}
		n, err := c.consume(t.size)
		if err == nil && n == 0 && t.ended.Load() && time.Since(t.begin) > time.Duration(t.last.Load())+drainTime {
			err = errors.New("messages were lost")
		}
		if err != nil {
			t.fail(err)
			return
		}
		if n == 0 {
			continue
		}
		now := t.consumed.Add(int64(n))
		t.last.Store(int64(time.Since(t.begin)))
		for range now/int64(t.size) - (now-int64(n))/int64(t.size) { // batches that are whole now
			<-t.room
		}
	}
}

func (t *traffic) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
}

func (t *traffic) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err != nil
}
