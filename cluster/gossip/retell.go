package gossip

import (
	"math/rand/v2"
	"time"
)

// What a node tells of itself it tells again: memberlist's queue takes two messages of one length for the same now and
// then (github.com/hashicorp/memberlist/pull/263), and then one of them is never sent. Others would hear of it with the
// next exchange of all states, half a minute later.
const (
	retells     = 3
	retellPause = time.Second // since it was told last, or up to a half less or more: what met once must not meet again
)

// retell tells again what has not changed for a while, until Close.
func (g *Gossip) retell() {
	for left := 0; ; {
		var due <-chan time.Time
		if left > 0 {
			due = time.After(retellPause/2 + rand.N(retellPause))
		}
		select {
		case <-g.ctx.Done():
			return
		case <-g.fresh:
			left = retells
		case <-due:
			left--
			g.again()
		}
	}
}

func (g *Gossip) again() {
	g.aboutMu.Lock()
	defer g.aboutMu.Unlock()
	if !g.left.Load() {
		_ = g.list.UpdateNode(time.Nanosecond) // fails only by not having waited long enough
	}
}
