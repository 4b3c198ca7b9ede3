package node

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sett-run/sett/cluster/peer"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
)

// clusterPrefix is where, in namespace op.System, the cluster's records are; the rest are functions' and tokens.
const clusterPrefix = "cluster/"

// followPause is how long to wait before the store is followed again after an error.
const followPause = time.Second

// followStore keeps this node as the store says, whichever node changed it, until Close.
func (n *Node) followStore() {
	for n.ctx.Err() == nil {
		changes := n.store.Watch(n.ctx, op.System, "", 0) // from now on, so that what follows misses nothing
		n.refresh(n.ctx)
		n.refreshCluster(n.ctx)
		for c, err := range changes {
			switch {
			case err != nil:
				n.log.Warn("follow store", "err", err)
			case strings.HasPrefix(c.Key, clusterPrefix):
				n.refreshCluster(n.ctx)
			case strings.HasPrefix(c.Key, trigger.SubscriptionPrefix):
				n.wakeTriggers()
			case strings.HasPrefix(c.Key, trigger.SchedulePrefix): // the scheduler follows it
			default:
				n.refresh(n.ctx)
			}
		}
		n.pause(followPause)
	}
}

// refresh is refreshed for who can do with what was served before.
func (n *Node) refresh(ctx context.Context) {
	if err := n.refreshed(ctx); err != nil && ctx.Err() == nil {
		n.log.Error("refresh functions", "err", err)
	}
}

// refreshed serves what other nodes have deployed. When it returns without an error, whatever a concurrent call has read is
// served, too.
func (n *Node) refreshed(ctx context.Context) error {
	n.refreshing.Lock()
	defer n.refreshing.Unlock()
	changed, err := n.registry.Refresh(ctx)
	if err == nil && changed {
		err = n.changed()
	}
	return err
}

// changed serves the registry's state. Versions that this node cannot run yet wait: requests for them go to nodes that
// can, and they are loaded in the background. Prepared are those that were made ready before.
func (n *Node) changed(prepared ...versionKey) error {
	n.swapping.Lock()
	defer n.swapping.Unlock()
	s := n.registry.Snapshot()
	n.want(s, prepared)
	if err := n.router.Swap(s); err != nil {
		return fmt.Errorf("swap route table: %w", err)
	}
	n.runtime.Retain(retained(s))
	n.served = s
	close(n.next)
	n.next = make(chan struct{})
	n.collectModules()
	n.wakeTriggers()
	return nil
}

// want has the modules of all versions come here, and the versions that cannot be run until then wait. The first time
// only those without a module do: what this node has served before is compiled when it is asked for.
func (n *Node) want(s *registry.Snapshot, prepared []versionKey) {
	live, others := retained(s)
	var modules []peer.Module
	for _, v := range append(live, others...) {
		modules = append(modules, peer.Module{Digest: v.Module.Digest, SizeBytes: v.Module.SizeBytes})
	}
	n.den.loader.Want(modules)
	missing := n.den.loader.Missing()
	var more []versionKey
	here := map[versionKey]bool{}
	for i, v := range append(live, others...) {
		here[keyOf(v)] = true
		_, gone := missing[v.Module.Digest]
		if isNew := i < len(live) && n.served != nil && !n.serves(v); gone || isNew {
			more = append(more, keyOf(v))
		}
	}
	for _, k := range prepared {
		delete(here, k)
	}
	n.waiting.change(more, func(k versionKey) bool { return here[k] })
	n.wakeLoading()
}

// serves says whether a version is among those of the last table.
func (n *Node) serves(v *registry.Version) bool {
	f := n.served.Function(v.App, v.Function)
	return f != nil && f.Version(v.Number) != nil
}

// wakeLoading has loading look at what waits.
func (n *Node) wakeLoading() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// loadWaiting compiles versions whose module has come, and lets them run here, until Close.
func (n *Node) loadWaiting() {
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.wake:
		}
		for _, k := range n.waiting.keys() {
			if n.ctx.Err() == nil {
				n.load(k)
			}
		}
	}
}

// load makes one version ready to run, if its module is here. One that cannot be compiled is no longer waited for: its
// invocations say why.
func (n *Node) load(k versionKey) {
	s := n.registry.Snapshot()
	f := s.Function(k.app, k.function)
	if f == nil || f.Version(k.number) == nil {
		n.waiting.done(k)
		return
	}
	v := *f.Version(k.number)
	if _, gone := n.den.loader.Missing()[v.Module.Digest]; gone {
		return
	}
	begin := time.Now()
	n.borrowCode(v.Module.Digest)
	if _, err := n.runtime.Prepare(n.ctx, &v); err != nil && n.ctx.Err() == nil {
		n.log.Error("load version", "app", k.app, "function", k.function, "version", k.number, "err", err)
	}
	n.waiting.done(k)
	n.log.Debug("load version", "app", k.app, "function", k.function, "version", k.number, "took", time.Since(begin))
}

// Limits of taking compiled code from other nodes instead of compiling.
const (
	maxLenders    = 2                // nodes that are asked; more find it more often and make who has to compile wait longer
	borrowTimeout = 20 * time.Second // for each
)

// borrowCode gets a module's compiled code from a node with the same engine, so that the cluster compiles once. Without
// success it is compiled here.
func (n *Node) borrowCode(digest string) {
	if n.den.engine == "" || n.runtime.HasCode(digest) {
		return
	}
	engines := map[string]string{}
	for _, m := range n.living() {
		engines[m.ID] = m.About.Engine
	}
	asked := 0
	for _, node := range n.holders(digest) {
		if engines[node.ID] != n.den.engine || asked == maxLenders {
			continue
		}
		asked++
		ctx, cancel := context.WithTimeout(n.ctx, borrowTimeout)
		err := n.den.client.Code(ctx, node, digest, func(r io.Reader) error { return n.runtime.PutCode(ctx, digest, r) })
		cancel()
		if err == nil {
			return
		}
		n.log.Debug("borrow code", "module", digest, "node", node.ID, "err", err)
	}
}
