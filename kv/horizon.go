package kv

import "sync"

// horizon knows the newest index and who reads at which. The engine may forget versions that were overwritten at
// or below a discard timestamp; in managed mode it protects no reader, so this does: the timestamp stays at or
// below the index of the oldest open read.
type horizon struct {
	mu      sync.Mutex // guards what follows
	applied uint64
	open    map[uint64]int // reads open at an index
}

func newHorizon(applied uint64) *horizon {
	return &horizon{applied: applied, open: make(map[uint64]int)}
}

// begin opens a read of the newest index; the caller ends it.
func (h *horizon) begin() (index uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[h.applied]++
	return h.applied
}

func (h *horizon) end(index uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[index]--; h.open[index] == 0 {
		delete(h.open, index)
	}
}

// advance makes index the newest and answers up to where versions may be discarded.
func (h *horizon) advance(index uint64) (discard uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.applied = index
	discard = index
	for at := range h.open {
		discard = min(discard, at)
	}
	return discard
}

// newest answers the newest index.
func (h *horizon) newest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.applied
}
