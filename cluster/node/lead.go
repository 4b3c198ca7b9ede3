package node

import (
	"context"
	"fmt"
	"time"

	"github.com/sett-run/sett/cluster/gossip"
	"github.com/sett-run/sett/cluster/placement"
	"github.com/sett-run/sett/cluster/trust"
	"github.com/sett-run/sett/kv"
)

// Times of leading.
const (
	stepTimeout = 10 * time.Second // until the group has agreed on a change
	stepPause   = time.Second      // after a change that failed
)

// liveness is since when a node is heard of, or not.
type liveness struct {
	alive bool
	since time.Time
}

// wakeLeader has lead look again.
func (n *Node) wakeLeader() {
	select {
	case n.den.act <- struct{}{}:
	default:
	}
}

// lead, while this node leads, makes the group what it should be, one change after another, until Close. What gossip
// says is a proposal; it counts once the group has agreed.
func (n *Node) lead() {
	seen := map[string]liveness{}
	for {
		told := n.den.gossip.Changed()
		_, led := n.store.Replica().Leader()
		n.look(seen)
		again := placement.LookAgain
		if n.store.Replica().Leading() != 0 {
			again = n.improve(seen)
		}
		n.cutRemoved()
		select {
		case <-n.ctx.Done():
			return
		case <-told:
			n.den.loader.Retry() // there may be new holders
		case <-led:
		case <-n.den.act:
		case <-time.After(again):
		}
	}
}

// look notes who is heard of.
func (n *Node) look(seen map[string]liveness) {
	alive := map[string]bool{n.ID(): true}
	for _, m := range n.den.gossip.Members() {
		alive[m.ID] = m.Self || m.State == gossip.Alive
	}
	for _, s := range n.store.Replica().Servers() {
		if _, known := alive[s.ID]; !known {
			alive[s.ID] = false
		}
	}
	now := time.Now()
	for id, is := range alive {
		if was, known := seen[id]; !known || was.alive != is {
			seen[id] = liveness{is, now}
		}
	}
	for id := range seen {
		if _, known := alive[id]; !known {
			delete(seen, id)
		}
	}
}

// improve does the next step, and answers when to look again.
func (n *Node) improve(seen map[string]liveness) time.Duration {
	step := placement.Next(n.view(seen))
	ctx, cancel := context.WithTimeout(n.ctx, stepTimeout)
	defer cancel()
	if step.Kind == placement.None {
		if err := n.raiseLevel(ctx); err != nil && n.ctx.Err() == nil {
			n.log.Warn("raise feature level", "err", err)
		}
		return step.Again
	}
	n.log.Info("change group", "step", step.Kind, "node", step.ID)
	if err := n.take(ctx, step); err != nil {
		if n.ctx.Err() == nil {
			n.log.Warn("change group", "step", step.Kind, "node", step.ID, "err", err)
		}
		return stepPause
	}
	return step.Again
}

func (n *Node) take(ctx context.Context, step placement.Step) error {
	r := n.store.Replica()
	switch step.Kind {
	case placement.AddReader:
		address, err := n.resolve(step.ID)
		if err != nil {
			return err
		}
		return r.AddReader(ctx, step.ID, address)
	case placement.Promote:
		return r.AddVoter(ctx, step.ID, n.known(step.ID))
	case placement.Demote:
		return r.DemoteVoter(ctx, step.ID)
	case placement.Remove:
		return r.RemoveServer(ctx, step.ID)
	case placement.Transfer:
		return r.TransferLeadership(ctx)
	}
	return fmt.Errorf("step %s is not known", step.Kind)
}

// known is a member's address as the group knows it. It stays as it was when the member came: where it is now, resolve
// says, and hashicorp/raft 1.7.3 reads without its lock what it writes when an address changes.
func (n *Node) known(id string) string {
	for _, s := range n.store.Replica().Servers() {
		if s.ID == id {
			return s.Address
		}
	}
	return raftAddress(id, "")
}

// view is what is known of those who are in the group, and of those who should be.
func (n *Node) view(seen map[string]liveness) placement.Group {
	records := *n.den.members.Load()
	members := map[string]placement.Member{}
	for id, r := range records {
		members[id] = placement.Member{ID: id, Region: r.Region, Reader: r.Role == trust.Reader, Gone: !r.Removed.IsZero()}
	}
	for _, s := range n.store.Replica().Servers() {
		m := members[s.ID]
		m.ID, m.InGroup, m.Voter = s.ID, true, s.Voter
		members[s.ID] = m
	}
	for _, g := range n.den.gossip.Members() {
		if m, known := members[g.ID]; known {
			m.Region, m.CaughtUp = g.About.Region, g.About.Ready || g.Self
			members[g.ID] = m
		}
	}
	group := placement.Group{Leader: n.ID(), Now: time.Now()}
	for id, m := range members {
		m.Alive, m.Since = seen[id].alive, seen[id].since
		if m.InGroup || m.Alive && !m.Gone {
			group.Members = append(group.Members, m)
		}
	}
	return group
}

// raiseLevel has the group use what all its members know.
func (n *Node) raiseLevel(ctx context.Context) error {
	now, err := n.store.Level()
	if err != nil {
		return err
	}
	level := uint8(kv.Level)
	levels := map[string]uint8{n.ID(): level}
	for _, m := range n.den.gossip.Members() {
		levels[m.ID] = m.About.Level
	}
	for _, s := range n.store.Replica().Servers() {
		level = min(level, levels[s.ID]) // 0: it has not been heard of
	}
	if level <= now {
		return nil
	}
	n.log.Info("raise feature level", "from", now, "to", level)
	return n.store.RaiseLevel(ctx, level)
}

// cutRemoved ends the connections of nodes that were removed, and forgets them.
func (n *Node) cutRemoved() {
	for id := range *n.den.members.Load() {
		if id != n.ID() && n.shutOut(id) {
			n.den.port.Cut(id)
			n.den.gossip.Forget(id)
		}
	}
}
