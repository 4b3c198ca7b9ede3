package gossip

import "sync"

// broadcast wakes everybody who waits.
type broadcast struct {
	mu      sync.Mutex    // guards waiting
	waiting chan struct{} // nil: nobody waits
}

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
