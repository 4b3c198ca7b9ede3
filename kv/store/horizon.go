package store

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// KeepVersions is how long an overwritten state can still be read: a listing that goes on at its moment has that
// long for its next page. Longer keeps more garbage on disk.
const KeepVersions = 5 * time.Minute

const sampleEvery = KeepVersions / 16 // at most one sample of the newest index is kept in this time

var errRetired = errors.New("engine was replaced")

// horizon knows an engine's indices and who reads at which. The engine may forget versions that were overwritten at
// or below a discard timestamp; in managed mode it protects no reader, so this does: the timestamp is the floor,
// which stays at or below the watermark, every open view, and what was newest KeepVersions ago.
type horizon struct {
	mu      sync.Mutex // guards what follows
	applied uint64
	durable uint64
	floor   uint64         // nothing below it can be read
	current int            // views open at applied
	open    map[uint64]int // views open at an older index
	samples []sample       // what was newest when, oldest first
	retired bool
	drained chan struct{} // closed when it is retired and no view is open
}

type sample struct {
	at    time.Time
	index uint64
}

// newHorizon begins at a watermark. What was overwritten before it may be gone already.
func newHorizon(durable uint64) *horizon {
	return &horizon{
		applied: durable, durable: durable, floor: durable,
		open:    make(map[uint64]int),
		samples: []sample{{time.Now(), durable}},
		drained: make(chan struct{}),
	}
}

// beginNewest opens a view of the newest index; the caller ends it.
func (h *horizon) beginNewest() (index uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.applied, h.begin(h.applied)
}

// beginAt opens a view of an index; the caller ends it unless there is an error.
func (h *horizon) beginAt(index uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.retired:
		return errRetired
	case index > h.applied:
		return coded(abi.Unavailable, fmt.Sprintf("read at index %d of %d", index, h.applied), ErrAhead)
	case index < h.floor:
		return coded(abi.InvalidInput, fmt.Sprintf("read at index %d, the oldest is %d", index, h.floor), op.ErrCompacted)
	}
	return h.begin(index)
}

func (h *horizon) begin(index uint64) error {
	if h.retired {
		return errRetired
	}
	if index == h.applied {
		h.current++
	} else {
		h.open[index]++
	}
	return nil
}

func (h *horizon) end(index uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if index == h.applied {
		h.current--
	} else if h.open[index]--; h.open[index] == 0 {
		delete(h.open, index)
	}
	if h.retired && h.unread() {
		close(h.drained)
	}
}

// retire lets no further view in.
func (h *horizon) retire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retired = true
	if h.unread() {
		close(h.drained)
	}
}

// unread says that no view is open.
func (h *horizon) unread() bool { return h.current == 0 && len(h.open) == 0 }

// advance makes index the newest.
func (h *horizon) advance(index uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current > 0 {
		h.open[h.applied], h.current = h.current, 0
	}
	h.applied = index
}

// settle makes index the watermark and answers the floor, and whether it rose.
func (h *horizon) settle(index uint64, now time.Time) (floor uint64, rose bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.durable = index
	if now.Sub(h.samples[len(h.samples)-1].at) >= sampleEvery {
		h.samples = append(h.samples, sample{now, h.applied})
	}
	for len(h.samples) > 1 && now.Sub(h.samples[1].at) >= KeepVersions {
		h.samples = h.samples[1:]
	}
	if now.Sub(h.samples[0].at) < KeepVersions {
		return h.floor, false
	}
	floor = min(h.durable, h.samples[0].index)
	for at := range h.open {
		floor = min(floor, at)
	}
	// It may equal what a new engine began with, which the engine was not told yet.
	if floor < h.floor {
		return h.floor, false
	}
	h.floor = floor
	return floor, true
}

func (h *horizon) newest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.applied
}

func (h *horizon) watermark() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.durable
}
