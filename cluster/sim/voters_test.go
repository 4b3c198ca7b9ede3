package sim

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/client"
)

// TestVoters checks how many of so many nodes come to vote within five seconds.
func TestVoters(t *testing.T) {
	t.Parallel()
	for nodes, voters := range map[int]int{1: 1, 2: 1, 3: 3, 4: 3, 5: 5, 6: 5} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			Run(t, Config{Nodes: nodes, Seed: 1}, func(t *testing.T, c *Cluster) {
				c.AwaitVoters(voters, 5*time.Second)
				time.Sleep(5 * time.Second)
				c.AwaitVoters(voters, 0) // and no more
			})
		})
	}
}

// followers are the nodes that vote and do not lead, and readers those that do not vote.
func followers(c *Cluster) (voters, readers []int) {
	leader := c.Leader(c.Running()...)
	ids := c.Voters(c.Running()[0])
	for _, i := range c.Running() {
		switch votes := slices.Contains(ids, c.Node(i).ID()); {
		case !votes:
			readers = append(readers, i)
		case i != leader:
			voters = append(voters, i)
		}
	}
	return voters, readers
}

// TestDeadVoter has the reader of four nodes take a dead voter's place.
func TestDeadVoter(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 4, Seed: 1}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(3, 5*time.Second)
		voters, readers := followers(c)
		reader, dead := c.Node(readers[0]).ID(), c.Node(voters[0]).ID()
		c.Crash(voters[0])
		begin := time.Now()
		for time.Since(begin) < 28*time.Second {
			time.Sleep(time.Second)
			if ids := c.Voters(readers[0]); !slices.Contains(ids, dead) || slices.Contains(ids, reader) {
				t.Fatalf("after %s the voters are %v, before %s is dead for long enough", time.Since(begin), ids, dead)
			}
		}
		c.Await(20*time.Second, "the reader votes in the dead one's place", func() bool {
			ids := c.Voters(readers[0])
			return len(ids) == 3 && slices.Contains(ids, reader) && !slices.Contains(ids, dead)
		})
		if err := c.Put(readers[0], "key", "x"); err != nil {
			t.Error(err)
		}
	})
}

// TestNeverBelowQuorum checks that nothing changes while two of three voters are dead.
func TestNeverBelowQuorum(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 4, Seed: 1}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(3, 5*time.Second)
		voters, readers := followers(c)
		before := c.Voters(readers[0])
		c.Crash(voters[0])
		c.Crash(voters[1])
		time.Sleep(2 * time.Minute)
		for _, i := range c.Running() {
			if got := c.Voters(i); !slices.Equal(got, before) {
				t.Errorf("node %d: voters %v became %v without a majority", i, before, got)
			}
		}
	})
}

// TestRegions has voters stand in all regions.
func TestRegions(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 6, Seed: 1, Regions: []string{"a", "a", "a", "a", "b", "c"}}, func(t *testing.T, c *Cluster) {
		c.Await(time.Minute, "five voters in three regions", func() bool {
			regions := map[string]int{}
			for _, m := range c.Node(0).Members() {
				if m.Role == client.RoleVoter {
					regions[m.Region]++
				}
			}
			return regions["a"] == 3 && regions["b"] == 1 && regions["c"] == 1
		})
	})
}

// TestLeave has the leader go for good, and then another.
func TestLeave(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 5, Seed: 1}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(5, 5*time.Second)
		load := startLoad(c, 4)
		for _, left := range []int{4, 3} { // of nodes
			voters, _ := followers(c)
			leaves := slices.DeleteFunc(voters, func(i int) bool { return i == 4 })[0]
			if leader := c.Leader(c.Running()...); leader != 4 {
				leaves = leader
			}
			id := c.Node(leaves).ID()
			if err := c.Admin(leaves).Leave(context.Background()); err != nil {
				t.Fatalf("leave: %v", err)
			}
			c.Stop(leaves)
			c.AwaitVoters(3, 10*time.Second)
			for _, i := range c.Running() {
				if got := len(c.Node(i).Members()); got != left {
					t.Errorf("node %d: %d members after %s has left, want %d", i, got, id, left)
				}
			}
		}
		load.end(t)
	})
}

// TestLostDisk has a node come back without what it had, as a new one, while the old one is removed by hand.
func TestLostDisk(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 3, Seed: 1}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(3, 5*time.Second)
		if err := c.Put(0, "key", "value"); err != nil {
			t.Fatal(err)
		}
		old := c.Node(2).ID()
		if err := c.Admin(0).RemoveMember(context.Background(), old); err == nil {
			t.Error("a node that lives was removed")
		}
		c.Crash(2)
		time.Sleep(10 * time.Second)
		c.Start(2)
		c.AwaitReady(2)
		if c.Node(2).ID() == old {
			t.Fatal("the node has its old id")
		}
		if err := c.Admin(0).RemoveMember(context.Background(), old); err != nil {
			t.Fatalf("remove: %v", err)
		}
		c.AwaitVoters(3, 10*time.Second)
		for _, i := range c.Running() {
			if members := c.Node(i).Members(); len(members) != 3 || slices.ContainsFunc(members, func(m client.Member) bool { return m.ID == old }) {
				t.Errorf("node %d: members %v, want three without %s", i, members, old)
			}
		}
		if got, err := c.Read(2, "key", op.Local); got != "value" || err != nil {
			t.Errorf("the node that came back reads %q, %v", got, err)
		}
	})
}

// TestRestart has nodes with a disk crash, one after the other and all at once, and come back.
func TestRestart(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 3, Seed: 1, Disk: true}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(3, 5*time.Second)
		c.Deploy(0, "hello", wasmtest.Answer("one"))
		load := startLoad(c, 0)
		for _, i := range []int{1, 2} {
			id := c.Node(i).ID()
			c.Crash(i)
			time.Sleep(2 * time.Second)
			c.Start(i)
			c.AwaitReady(i)
			if c.Node(i).ID() != id {
				t.Errorf("node %d came back as %s, was %s", i, c.Node(i).ID(), id)
			}
		}
		load.end(t)
		for i := range 3 {
			c.Crash(i)
		}
		for i := range 3 {
			c.Start(i)
		}
		for i := range 3 {
			c.AwaitReady(i)
		}
		awaitServing(t, c, "one", 5*time.Second, c.Running())
		awaitEqual(t, c, 5*time.Second)
	})
}

// TestRemovedStaysOut has a node that was removed while it was away come back as the one it was.
func TestRemovedStaysOut(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 3, Seed: 1, Disk: true}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(3, 5*time.Second)
		old := c.Node(2).ID()
		c.Crash(2)
		time.Sleep(10 * time.Second)
		if err := c.Admin(0).RemoveMember(context.Background(), old); err != nil {
			t.Fatalf("remove: %v", err)
		}
		time.Sleep(10 * time.Second)
		c.Start(2)
		time.Sleep(30 * time.Second)
		for _, i := range []int{0, 1} {
			if c.Sees(i, old) || slices.Contains(c.Voters(i), old) {
				t.Errorf("node %d takes %s, which was removed, for a member", i, old)
			}
		}
		if err := c.Node(2).Ready(); err == nil {
			t.Error("a node that was removed is ready")
		}
	})
}
