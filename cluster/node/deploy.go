package node

import (
	"context"
	"fmt"
	"time"

	"github.com/sett-run/sett/cluster/peer"
	"github.com/sett-run/sett/router/admin"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// moduleGrace is how long a module that no version names stays on disk: an upload is followed by its deployment
// within this time. Raising it keeps abandoned uploads longer, and of deployments in quick succession what no version
// names any more, with its code in memory; lowering it makes slow deployments upload again.
const moduleGrace = 10 * time.Minute

// spreadTimeout is how long another node may take to fetch a module that is being deployed. A longer one waits for
// slow nodes; after a shorter one more deployments are refused.
const spreadTimeout = 30 * time.Second

// Deploy makes new versions of an app's functions and points their live aliases at them: every module is
// compiled and tried first, then one switch. When it returns this node serves the new table; on an error
// nothing has changed. Modules are uploaded before.
func (n *Node) Deploy(ctx context.Context, app string, changes []registry.Change) ([]admin.Deployed, error) {
	compile := make([]time.Duration, len(changes))
	for i := range changes {
		c := &changes[i]
		c.Settings = c.Settings.Complete()
		v := &registry.Version{App: app, Function: c.Name, Module: c.Module, Settings: c.Settings, Seed: n.liveSeed(app, c)}
		var err error
		begin := time.Now()
		if compile[i], err = n.runtime.Prepare(ctx, v); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		n.steps.add(stepCompile, compile[i])
		begin = n.steps.since(stepTry, begin.Add(compile[i]))
		c.Module, c.Seed = v.Module, v.Seed
		if c.Holders, err = n.spread(ctx, v.Module); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		n.steps.since(stepSpread, begin)
	}
	if err := n.openBuckets(ctx, app, changes); err != nil {
		return nil, err
	}
	begin := time.Now()
	n.beforeStreams(ctx, app, changes)
	done, err := n.registry.Deploy(ctx, app, changes)
	if err != nil {
		return nil, err
	}
	begin = n.steps.since(stepCommit, begin)
	deployed := make([]admin.Deployed, len(done))
	prepared := make([]versionKey, len(done))
	for i, d := range done {
		deployed[i] = admin.Deployed{Deployed: d, Compile: compile[i]}
		prepared[i] = keyOf(&d.Version)
		if !d.Unchanged {
			n.note(d.App, d.Function, d.Number, fmt.Sprintf("deployed version %d", d.Number))
		}
	}
	if err := n.changed(prepared...); err != nil {
		return nil, err
	}
	begin = n.steps.since(stepSwitch, begin)
	if heard, err := n.busHeard(ctx, app); heard || err != nil { // once, not for each of many functions
		for _, d := range done {
			if !d.Unchanged {
				n.announceDeployed(ctx, d.App, d.Function, "DEPLOYED", d.Number)
			}
		}
	}
	n.listenToBuckets(ctx, app)
	n.settle(ctx)
	n.steps.since(stepSettle, begin)
	return deployed, nil
}

// spread puts a module on another node too, the nearest that takes it, so that the loss of this one loses nothing that
// was acknowledged. It answers the ids of those who have it. With no other node alive it stays here alone.
func (n *Node) spread(ctx context.Context, m registry.Module) (holders []string, err error) {
	holders = []string{n.ID()}
	others := n.others()
	for _, other := range others {
		within, cancel := context.WithTimeout(ctx, spreadTimeout)
		err = n.den.client.Hold(within, other, m.Digest, m.SizeBytes, []peer.Node{n.self()})
		cancel()
		if err == nil {
			return append(holders, other.ID), nil
		}
		n.log.Warn("spread module", "module", m.Digest, "node", other.ID, "err", err)
	}
	if len(others) == 0 {
		return holders, nil
	}
	return nil, abi.WithCode(abi.Unavailable, fmt.Errorf("no other node could take the module: %w", err))
}

// liveSeed answers the seed of what is live already when c is that, so that its image is not built a second time;
// else none, and a new one is drawn.
func (n *Node) liveSeed(app string, c *registry.Change) string {
	f := n.registry.Snapshot().Function(app, c.Name)
	if f == nil {
		return ""
	}
	if live := f.Live(); len(live) == 1 && live[0].Module.Digest == c.Module.Digest && live[0].Settings.Equal(c.Settings) {
		return live[0].Seed
	}
	return ""
}

// Rollback points the live alias at an earlier version; 0 means the one before.
func (n *Node) Rollback(ctx context.Context, app, name string, version int) (registry.Function, error) {
	f, err := n.registry.Rollback(ctx, app, name, version)
	if f, err = n.after(ctx, f, err); err == nil {
		n.announceDeployed(ctx, app, name, "ROLLED_BACK", f.Live()[0].Number)
	}
	return f, err
}

// SetAlias points an alias at versions by weight.
func (n *Node) SetAlias(ctx context.Context, app, name, alias string, weights []registry.Weight) (registry.Function, error) {
	f, err := n.registry.SetAlias(ctx, app, name, alias, weights)
	return n.after(ctx, f, err)
}

// RemoveAlias forgets an alias; live stays.
func (n *Node) RemoveAlias(ctx context.Context, app, name, alias string) (registry.Function, error) {
	f, err := n.registry.RemoveAlias(ctx, app, name, alias)
	return n.after(ctx, f, err)
}

// Remove forgets functions of an app, all of them when names is nil.
func (n *Node) Remove(ctx context.Context, app string, names []string) error {
	before := n.registry.Snapshot()
	if err := n.settled(ctx, n.registry.Remove(ctx, app, names)); err != nil {
		return err
	}
	for _, f := range before.Functions() {
		if f.App == app && n.registry.Snapshot().Function(app, f.Name) == nil {
			n.announceDeployed(ctx, app, f.Name, "REMOVED", 0)
		}
	}
	return nil
}

func (n *Node) after(ctx context.Context, f registry.Function, err error) (registry.Function, error) {
	if err = n.settled(ctx, err); err == nil {
		n.listenToBuckets(ctx, f.App)
	}
	return f, err
}

// settled has a change that was made, if err is nil, be served by this node and then by the others.
func (n *Node) settled(ctx context.Context, err error) error {
	if err == nil {
		err = n.changed()
	}
	if err == nil {
		n.settle(ctx)
	}
	return err
}

// retained answers the versions that an alias names, and all others.
func retained(s *registry.Snapshot) (live, others []*registry.Version) {
	for _, f := range s.Functions() {
		named := map[int]bool{}
		for _, weights := range f.Aliases {
			for _, w := range weights {
				named[w.Version] = true
			}
		}
		for i := range f.Versions {
			if v := &f.Versions[i]; named[v.Number] {
				live = append(live, v)
			} else {
				others = append(others, v)
			}
		}
	}
	return live, others
}

// collectModules removes modules that no version names. What could not be removed is tried at the next change.
func (n *Node) collectModules() {
	removed, err := n.runtime.Modules().Collect(n.registry.Snapshot().Modules(), moduleGrace)
	if err != nil {
		n.log.Warn("collect modules", "err", err)
	}
	if removed > 0 {
		n.log.Info("collect modules", "removed", removed)
	}
}

// collectNowAndThen finds what uploads that were never deployed leave behind, until Close.
func (n *Node) collectNowAndThen() {
	for tick := time.NewTicker(moduleGrace); ; {
		select {
		case <-n.ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			n.collectModules()
		}
	}
}

// note writes a platform line into a function's log.
func (n *Node) note(app, function string, version int, message string) {
	n.logs.Write(abi.Line{
		Time: time.Now(), App: app, Function: function, Version: version,
		Stream: abi.StreamPlatform, Level: "INFO", Message: message,
	})
}
