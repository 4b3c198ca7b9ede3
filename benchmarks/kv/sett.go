package kv

import (
	"context"
	"fmt"

	"github.com/sett-run/sett/benchmarks/subject"
)

// settGroup is Sett's store on one node or several. A node's addresses are those of its listeners for session reads, and
// for strong ones.
type settGroup struct{ *subject.Stores }

// startSett starts as many nodes, with nothing in their store yet, and waits until they have a leader.
func startSett(ctx context.Context, dir string, count int) (*settGroup, error) {
	s, err := subject.StartStores(ctx, dir, count, name)
	return &settGroup{s}, err
}

// leader answers the node that leads, and the others.
func (g *settGroup) leader(ctx context.Context) (leader int, followers []*subject.Process, err error) {
	for leader = -1; ctx.Err() == nil; {
		followers = nil
		for i, n := range g.Nodes {
			answer, err := n.Ask(askLeads)
			if err != nil {
				return 0, nil, err
			}
			if answer == "true" {
				leader = i
			} else {
				followers = append(followers, n)
			}
		}
		if leader >= 0 {
			return leader, followers, nil
		}
	}
	return 0, nil, ctx.Err()
}

func (g *settGroup) name() string       { return fmt.Sprintf("sett x%d", len(g.Nodes)) }
func (g *settGroup) can(operation) bool { return true }
func (g *settGroup) stop() error        { return g.Stop() }

func (g *settGroup) connect(ctx context.Context, o operation) (connection, error) {
	leader, _, err := g.leader(ctx)
	if err != nil {
		return nil, err
	}
	if o == strongGet {
		return dialRedis(ctx, g.Nodes[leader].Admin, o)
	}
	return dialRedis(ctx, g.Nodes[leader].HTTP, o)
}

func (g *settGroup) servers() (pids []int) {
	for _, n := range g.Nodes {
		pids = append(pids, n.PID())
	}
	return pids
}
