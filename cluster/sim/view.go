package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/sett-run/sett/sdk/client"
)

// Sees says whether a node's gossip takes another, which may have ended, for alive.
func (c *Cluster) Sees(i int, id string) bool {
	return slices.ContainsFunc(c.Node(i).Members(), func(m client.Member) bool { return m.ID == id && m.State == client.StateAlive })
}

// AllSee says whether every one of the nodes takes all the others for alive.
func (c *Cluster) AllSee(nodes ...int) bool {
	for _, i := range nodes {
		for _, other := range nodes {
			if !c.Sees(i, c.Node(other).ID()) {
				return false
			}
		}
	}
	return true
}

// Voters are the ids of the voters as a node knows them, ascending.
func (c *Cluster) Voters(i int) (ids []string) {
	for _, m := range c.Node(i).Members() {
		if m.Role == client.RoleVoter {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// Leader is the number of the node that these nodes agree leads; -1: they do not, or it does not run.
func (c *Cluster) Leader(nodes ...int) int {
	leader := ""
	for _, i := range nodes {
		switch id := c.Node(i).Status().Leader; {
		case id == "" || leader != "" && id != leader:
			return -1
		default:
			leader = id
		}
	}
	for _, i := range c.Running() {
		if c.Node(i).ID() == leader {
			return i
		}
	}
	return -1
}

// AwaitVoters returns when all that run know so many voters; the test has failed when they do not within a time.
func (c *Cluster) AwaitVoters(voters int, within time.Duration) {
	c.t.Helper()
	c.Await(within, fmt.Sprintf("%d voters", voters), func() bool {
		for _, i := range c.Running() {
			if len(c.Voters(i)) != voters {
				return false
			}
		}
		return true
	})
}
