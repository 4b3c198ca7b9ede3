package sim

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// load is clients that count, and write keys of their own, at some nodes until it is stopped.
type load struct {
	c         *Cluster
	stop      chan struct{}
	once      sync.Once
	clients   sync.WaitGroup
	counted   atomic.Int64 // increments that were acknowledged
	uncertain atomic.Int64 // increments that failed, and may have been done

	mu      sync.Mutex // guards written
	written []string   // keys whose writing was acknowledged
}

const counter = "counter"

// startLoad has one client at each of the nodes.
func startLoad(c *Cluster, nodes ...int) *load {
	l := &load{c: c, stop: make(chan struct{})}
	for _, i := range nodes {
		l.clients.Go(func() { l.write(i) })
	}
	c.t.Cleanup(l.halt)
	return l
}

func (l *load) write(node int) {
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		case <-time.After(25 * time.Millisecond):
		}
		if _, err := l.c.Incr(node, counter); err == nil {
			l.counted.Add(1)
		} else {
			l.uncertain.Add(1)
		}
		key := fmt.Sprintf("key/%d/%d", node, n)
		if l.c.Put(node, key, key) == nil {
			l.mu.Lock()
			l.written = append(l.written, key)
			l.mu.Unlock()
		}
	}
}

func (l *load) halt() {
	l.once.Do(func() { close(l.stop) })
	l.clients.Wait()
}

// end stops the clients and checks that what they were told is so.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.halt()
	at := l.c.Running()[0]
	text, err := l.c.Read(at, counter, op.Strong)
	sum, parsed := strconv.ParseInt(text, 10, 64)
	if least := l.counted.Load(); err != nil || parsed != nil || sum < least || sum > least+l.uncertain.Load() {
		t.Errorf("counter = %q, %v; %d increments were acknowledged and %d are uncertain", text, err, least, l.uncertain.Load())
	}
	state := stateOf(t, l.c, at, op.Strong)
	for _, key := range l.written {
		if state[key] != key {
			t.Errorf("%s was acknowledged and is %q", key, state[key])
		}
	}
	t.Logf("%d increments and %d keys acknowledged, %d increments uncertain", l.counted.Load(), len(l.written), l.uncertain.Load())
}

// stateOf is all that a node has.
func stateOf(t *testing.T, c *Cluster, i int, consistency op.Consistency) map[string]string {
	t.Helper()
	state := map[string]string{}
	q := op.Query{Read: op.Read{Consistency: consistency}}
	for item, err := range op.All(context.Background(), c.Admin(i).KV(), app, q) {
		if err != nil {
			t.Fatalf("list at node %d: %v", i, err)
		}
		state[item.Key] = string(item.Value)
	}
	return state
}

// awaitEqual returns when all that run have the same state.
func awaitEqual(t *testing.T, c *Cluster, within time.Duration) {
	t.Helper()
	c.Await(within, "all have the same state", func() bool {
		first := stateOf(t, c, c.Running()[0], op.Strong)
		for _, i := range c.Running() {
			if fmt.Sprint(stateOf(t, c, i, op.Local)) != fmt.Sprint(first) {
				return false
			}
		}
		return true
	})
}
