package kv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
)

const (
	namespace  = "bench" // of Sett's keys
	keyCount   = 10000
	smallBytes = 128
	largeBytes = 4 << 10
	txnKeys    = 64 // in a transaction
)

// operation is what clients do.
type operation string

const (
	set       operation = "set"
	incr      operation = "incr"       // all of them the same key
	get       operation = "get"        // what the asked node has
	strongGet operation = "strong get" // what was acknowledged anywhere before
	setMany   operation = "set 64"     // keys, as one transaction
)

// load is what clients do at once, each one thing after the other.
type load struct {
	name       string
	operation  operation
	clients    int
	valueBytes int
}

func loads() []load {
	return []load{
		{"set 128 B, 1 client", set, 1, smallBytes},
		{"set 128 B, 128 clients", set, 128, smallBytes},
		{"set 4 KiB, 128 clients", set, 128, largeBytes},
		{"set 64 keys at once, 16 clients", setMany, 16, smallBytes},
		{"incr one key, 64 clients", incr, 64, 0},
		{"get 128 B, 16 clients", get, 16, smallBytes},
		{"linearizable get, 16 clients", strongGet, 16, smallBytes},
	}
}

// system is a store whose processes run.
type system interface {
	name() string
	// can says whether the store has an operation.
	can(operation) bool
	// connect opens a client's connection for one operation.
	connect(ctx context.Context, o operation) (connection, error)
	// servers are the ids of the processes that run.
	servers() []int
	// stop ends the processes.
	stop() error
}

// connection does an operation of its connection. Key is one of keyOf's numbers; value is nil for what only reads.
type connection interface {
	do(key int, value []byte) error
	close() error
}

func keyOf(i int) string { return fmt.Sprintf("key/%06d", i%keyCount) }

// sample is what a round measured.
type sample struct {
	rate     float64 // operations per second
	p50, p99 time.Duration
	cpu      time.Duration // of all servers, for one operation
}

// round has clients do what l says, for a while. Their connections are opened before the clock runs.
func round(ctx context.Context, s system, l load, length time.Duration) (sample, error) {
	workers := make([]worker, l.clients)
	defer func() {
		for _, w := range workers {
			if w.client != nil {
				_ = w.client.close() // nothing is asked any more
			}
		}
	}()
	for i := range workers {
		c, err := s.connect(ctx, l.operation)
		if err != nil {
			return sample{}, fmt.Errorf("connect to %s: %w", s.name(), err)
		}
		workers[i] = worker{client: c, value: make([]byte, l.valueBytes)}
		for k := range workers[i].value {
			workers[i].value[k] = byte(rand.Uint32())
		}
	}
	before, err := cpuOf(s.servers())
	if err != nil {
		return sample{}, err
	}
	var running sync.WaitGroup
	start := time.Now()
	for i := range workers {
		running.Go(func() { workers[i].work(start.Add(length)) })
	}
	running.Wait()
	took := time.Since(start)
	after, err := cpuOf(s.servers())
	if err != nil {
		return sample{}, err
	}
	var all []time.Duration
	for _, w := range workers {
		if w.err != nil {
			return sample{}, fmt.Errorf("%s: %s: %w", s.name(), l.name, w.err)
		}
		all = append(all, w.took...)
	}
	slices.Sort(all)
	return sample{float64(len(all)) / took.Seconds(), quantile(all, 0.5), quantile(all, 0.99), (after - before) / time.Duration(max(1, len(all)))}, nil
}

// cpuOf is the processor time of several processes together.
func cpuOf(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		used, err := subject.CPU(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// worker is one client at work.
type worker struct {
	client connection
	value  []byte
	took   []time.Duration
	err    error
}

func (w *worker) work(end time.Time) {
	for now := time.Now(); len(w.took) == 0 || now.Before(end); { // one at least, also where a busy machine began late
		if w.err = w.client.do(rand.IntN(keyCount), w.value); w.err != nil {
			return
		}
		after := time.Now()
		w.took = append(w.took, after.Sub(now))
		now = after
	}
}

// quantile answers that of sorted figures; 0 when there are none.
func quantile[T any](sorted []T, q float64) (v T) {
	if len(sorted) > 0 {
		v = sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
	}
	return v
}

// fill gives every key a small value, as many to an operation as the store takes.
func fill(ctx context.Context, s system) error {
	c, err := s.connect(ctx, setMany)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.name(), err)
	}
	value := make([]byte, smallBytes)
	for i := 0; i < keyCount; i += txnKeys {
		if err := c.do(i, value); err != nil {
			return fmt.Errorf("fill %s: %w", s.name(), err)
		}
	}
	return c.close()
}
