package node

import (
	"context"
	"sync"
	"time"

	"github.com/sett-run/sett/sdk/client"
)

// settleTimeout is how long a change of functions waits for the other nodes to know of it. After a shorter one their
// clients may meet the old functions once more; a longer one waits for nodes that hang.
const settleTimeout = time.Second

// settle returns when all living nodes serve what this one does, or after settleTimeout: who has deployed finds the
// function on every node that answers.
func (n *Node) settle(ctx context.Context) {
	generation := n.registry.Snapshot().Generation()
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	living := n.living()
	var asking sync.WaitGroup
	if len(living) > 0 {
		asking.Go(func() {
			if err := n.store.Announce(ctx); err != nil {
				n.log.Debug("settle", "err", err)
			}
		})
	}
	for _, m := range living {
		asking.Go(func() {
			if _, err := n.adminOf(m.ID).NodeServing(ctx, generation); err != nil {
				n.log.Debug("settle", "node", m.ID, "err", err)
			}
		})
	}
	asking.Wait()
}

// Serving returns when this node serves a generation of the registry or a later one, or ctx ends.
func (n *Node) Serving(ctx context.Context, generation uint64) {
	for {
		n.swapping.Lock()
		served, next := n.served, n.next
		n.swapping.Unlock()
		if served != nil && served.Generation() >= generation {
			return
		}
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
	}
}

// Rollout says how far a version is on all nodes of the group, this one first, or on this one.
func (n *Node) Rollout(ctx context.Context, v client.VersionName, local client.LocalOnly) []client.NodeVersion {
	all := []client.NodeVersion{n.rolledOut(v)}
	if local {
		return all
	}
	return append(all, askOthers(ctx, n, func(ctx context.Context, m client.Member) client.NodeVersion {
		if m.State == client.StateAlive {
			if got, err := n.adminOf(m.ID).Rollout(ctx, v, true); err == nil && len(got) == 1 {
				return got[0]
			}
		}
		return client.NodeVersion{Node: m.Name, ID: m.ID, State: client.VersionSilent}
	})...)
}

// rolledOut says how far a version is on this node.
func (n *Node) rolledOut(v client.VersionName) client.NodeVersion {
	here := client.NodeVersion{Node: n.Name(), ID: n.ID(), State: client.VersionAbsent}
	f := n.registry.Snapshot().Function(v.App, v.Function)
	if f == nil || f.Version(v.Version) == nil {
		return here
	}
	here.State = client.VersionServing
	if n.waiting.on(versionKey{v.App, v.Function, v.Version}) == nil {
		return here
	}
	here.State = client.VersionLoading
	for _, p := range n.den.loader.Progress() {
		if p.Digest == f.Version(v.Version).Module.Digest {
			here.ReceivedBytes = p.ReceivedBytes
		}
	}
	return here
}
