package gossip

import (
	"math/rand/v2"
	"strings"
	"time"
)

// memberlist's queue takes two messages of one length for the same now and then, and one of them is never sent
// (github.com/hashicorp/memberlist/pull/263). Others would hear of it with the next exchange of all states, half a
// minute later. So what a node tells of itself has another length each time, and is told again.
const (
	maxPadding  = 64 // bytes. More make it rarer that two have one length, and packets larger
	retells     = 2
	retellPause = time.Second // since it was told last, or up to a half less or more: what met once must not meet again
)

// pad gives what is told another length, if there is room.
func (t told) pad() told {
	t.Padding = ""
	if plain, err := t.encode(); err == nil && len(plain)+maxPadding+paddingHead <= maxAboutBytes {
		t.Padding = strings.Repeat(" ", rand.N(maxPadding))
	}
	return t
}

const paddingHead = 3 // bytes of its key and length

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
		_ = g.send(g.told, time.Nanosecond) // it could be encoded before
	}
}
