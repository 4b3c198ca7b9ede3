package replica

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sett-run/sett/kv/op"
)

// progress is how far the replica's machine has come, counting entries that are not the machine's.
type progress struct {
	reached atomic.Uint64
	grown   *broadcast
}

func newProgress(index uint64) *progress {
	p := &progress{grown: newBroadcast()}
	p.reached.Store(index)
	return p
}

// advance is called by one goroutine at a time.
func (p *progress) advance(index uint64) {
	if index > p.reached.Load() {
		p.reached.Store(index)
		p.grown.send()
	}
}

// Wait returns when this replica's machine has everything up to index: one that ReadIndex or Propose has answered. An
// index that is never reached, being of a group's future, waits until ctx ends.
func (r *Replica) Wait(ctx context.Context, index uint64) error {
	for r.progress.reached.Load() < index {
		grown := r.progress.grown.next()
		if r.progress.reached.Load() >= index {
			break
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return unavailable(fmt.Errorf("wait for entry %d: %w: %w", index, op.ErrUnavailable, context.Cause(ctx)))
		case <-r.draining:
			return r.usable()
		case <-r.failed:
			return r.usable()
		}
	}
	return nil
}

// broadcast wakes everybody who waits.
type broadcast struct {
	mu      sync.Mutex    // guards waiting
	waiting chan struct{} // nil: nobody waits
}

func newBroadcast() *broadcast { return &broadcast{} }

// next answers a channel that the next send closes.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = make(chan struct{})
	}
	return b.waiting
}

func (b *broadcast) send() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting != nil {
		close(b.waiting)
		b.waiting = nil
	}
}
