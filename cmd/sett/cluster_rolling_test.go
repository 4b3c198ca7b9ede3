package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// balancer sends requests to nodes in turn, as one in front of a cluster does: not to those that are not ready, and what
// meets a closed port goes to another node.
type balancer struct {
	mu     sync.Mutex // guards ready
	ready  []*process
	next   atomic.Int64
	moved  atomic.Int64 // requests that met a closed port
	load   load
	checks sync.WaitGroup
}

// check finds out again and again who is ready, until ctx ends. A node that is being replaced is out.
func (b *balancer) check(ctx context.Context, p *process, address string) {
	for ctx.Err() == nil {
		_, err := ask(ctx, http.MethodGet, address, "/readyz")
		b.set(p, err == nil)
		time.Sleep(10 * time.Millisecond)
	}
	b.set(p, false)
}

// watch checks a node until the context ends or stop is called.
func (b *balancer) watch(ctx context.Context, p *process) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	address, ended := p.admin, make(chan struct{})
	b.checks.Go(func() { defer close(ended); b.check(ctx, p, address) })
	return func() { cancel(); <-ended }
}

func (b *balancer) set(p *process, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready = slices.DeleteFunc(b.ready, func(other *process) bool { return other == p })
	if ready {
		b.ready = append(b.ready, p)
	}
}

// pick answers a node that is ready, and its address; nil: none is.
func (b *balancer) pick() (p *process, address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) == 0 {
		return nil, ""
	}
	p = b.ready[int(b.next.Add(1))%len(b.ready)]
	return p, p.http
}

// ask makes a request; what a node refuses because its port is closed goes to another one, and so does what comes until the
// node is checked again.
func (b *balancer) ask(ctx context.Context) {
	for ctx.Err() == nil {
		p, address := b.pick()
		if p == nil {
			time.Sleep(10 * time.Millisecond) // until the next check
			continue
		}
		_, err := ask(ctx, http.MethodGet, address, "/hello/Ada")
		switch {
		case err == nil:
			b.load.done.Add(1)
			return
		case !isClosedPort(err):
			b.load.failed.Add(1)
			b.load.why.Store(&err)
			return
		}
		b.moved.Add(1)
		b.set(p, false)
	}
}

// testRollingRestart stops and starts all nodes, one after the other, under load.
func testRollingRestart(t *testing.T, c *den) {
	b := new(balancer)
	ctx, end := context.WithCancel(t.Context())
	defer func() { end(); b.checks.Wait() }()
	stop := map[*process]func(){}
	for _, p := range c.nodes {
		stop[p] = b.watch(ctx, p)
	}
	rate, _ := clusterLoad()
	var running sync.WaitGroup
	loading, unload := context.WithCancel(ctx)
	running.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for loading.Err() == nil {
			<-tick.C
			running.Go(func() { b.ask(ctx) })
		}
	})
	for _, p := range c.nodes {
		done := b.load.done.Load()
		p.signal(t, syscall.SIGTERM)
		<-p.ended
		if status := p.cmd.ProcessState.ExitCode(); status != 0 {
			t.Errorf("%s ended with status %d, want 0", p.name, status)
		}
		stop[p]()
		if err := c.launch(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		stop[p] = b.watch(ctx, p)
		c.whole(t)
		if b.load.done.Load() == done {
			t.Errorf("nobody answered while %s was restarted", p.name)
		}
	}
	unload()
	running.Wait()
	t.Logf("%s; %d met a closed port", b.load.text(), b.moved.Load())
	if b.load.failed.Load() != 0 || b.load.done.Load() == 0 {
		t.Errorf("%d of %d reads failed, want none", b.load.failed.Load(), b.load.done.Load()+b.load.failed.Load())
	}
}

// isClosedPort says whether nobody had read the request: it can be made again at another node, whatever it asks for.
func isClosedPort(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
