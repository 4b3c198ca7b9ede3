package store

import (
	"math"
	"sync/atomic"
)

// gate counts who is inside and closes behind the last. Unlike a read lock it may be entered again by who is inside
// already, which then fails once the gate is closing, and never waits.
type gate struct {
	inside atomic.Int64 // who is inside, plus gateClosing
	empty  chan struct{}
}

const gateClosing = math.MinInt64

func newGate() *gate { return &gate{empty: make(chan struct{})} }

// enter answers false when the gate is closing; else the caller leaves again.
func (g *gate) enter() bool {
	for {
		n := g.inside.Load()
		if n < 0 {
			return false
		}
		if g.inside.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *gate) leave() {
	if g.inside.Add(-1) == gateClosing {
		close(g.empty)
	}
}

// close lets nobody in any more and waits until all have left. It is called once.
func (g *gate) close() {
	if g.inside.Add(gateClosing) != gateClosing {
		<-g.empty
	}
}

func (g *gate) closing() bool { return g.inside.Load() < 0 }
