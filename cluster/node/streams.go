package node

import (
	"context"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
)

// A change is not tried for longer than the store keeps changes: a constant below zero does not compile.
const _ = uint(fsm.HistoryRetention - trigger.StreamRetention)

// addStreams adds a function's streams. Every node runs them, since a shard's owner may be any.
func (n *Node) addStreams(all map[string]worker, f *registry.Function, generation uint64) {
	for _, s := range trigger.StreamsOf(f) {
		key := fmt.Sprintf("stream %s/%s/%s", f.App, f.Name, s.ID())
		stream, err := trigger.NewStream(trigger.StreamConfig{
			Store: n.store, Effects: n.queues, Delivery: n.delivery, App: f.App, Function: f.Name, Source: s, Generation: generation,
			Turn: func(shard int) int { return turn(fmt.Sprintf("%s/%d", key, shard), n.ID(), n.livingIDs()) },
		})
		if err != nil {
			n.log.Error("leave out stream", "app", f.App, "function", f.Name, "err", err)
			continue
		}
		all[keyOfWorker("stream", f, s)] = stream
	}
}

// tendStreams has the changes of apps with streams keep the values before, those of others not, and forgets the places of
// streams that are gone; on the leader's node. Trouble is logged: it is tried again at the next look.
func (n *Node) tendStreams() {
	if n.store.Replica().Leading() == 0 {
		clear(n.triggers.plain)
		return
	}
	snapshot := n.registry.Snapshot()
	streams := map[string]bool{}
	for app := range n.triggers.plain {
		streams[app] = false
	}
	for _, f := range snapshot.Functions() {
		streams[f.App] = streams[f.App] || len(trigger.StreamsOf(f)) > 0
	}
	for app, has := range streams {
		n.keepPrevious(app, has)
	}
	if err := trigger.SweepStreams(n.ctx, n.store, snapshot); err != nil {
		n.complainOfStreams(err)
	}
}

// keepPrevious has an app's changes keep the values before if it has streams. That it has none must be so for a while: a
// deployment may be about to bring one, or have done so while this node has not read it yet.
func (n *Node) keepPrevious(app string, streams bool) {
	since, known := n.triggers.plain[app]
	switch {
	case streams:
		since = time.Time{}
	case !known || since.IsZero():
		since = time.Now()
	}
	n.triggers.plain[app] = since
	if streams || time.Since(since) > n.config.grace {
		if err := n.store.KeepPrevious(n.ctx, app, streams); err != nil {
			n.complainOfStreams(err)
		}
	}
}

func (n *Node) complainOfStreams(err error) {
	if n.ctx.Err() == nil {
		n.log.Warn("tend streams", "err", err)
	}
}

// beforeStreams has an app's changes keep the values before, when one of its functions is going to have a stream. A group
// that cannot do so yet, since a node is older, does it later.
func (n *Node) beforeStreams(ctx context.Context, app string, changes []registry.Change) {
	for _, c := range changes {
		for _, t := range c.Settings.Triggers {
			if t.Stream == nil {
				continue
			}
			if err := n.store.KeepPrevious(ctx, app, true); err != nil {
				n.log.Warn("keep previous values", "app", app, "err", err)
			}
			return
		}
	}
}
