package sim

import (
	"context"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// status is what a node says of the cluster.
func status(t *testing.T, c *Cluster, i int) client.ClusterStatus {
	t.Helper()
	s, err := c.Admin(i).Cluster(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRotate replaces gossip keys and authority under load.
func TestRotate(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 5, Seed: 1, Loss: 0.02}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(5, 5*time.Second)
		before := status(t, c, 0)
		load := startLoad(c, 0, 4)
		for _, secret := range []client.Secret{client.SecretKeys, client.SecretAuthority, client.SecretKeys, client.SecretAuthority} {
			if err := c.Admin(3).Rotate(context.Background(), secret); err != nil {
				t.Fatalf("rotate %s: %v", secret, err)
			}
			for range 10 {
				time.Sleep(time.Second)
				if !c.AllSee(c.Running()...) {
					t.Fatalf("nodes lose each other after %s were rotated", secret)
				}
			}
		}
		after := status(t, c, 0)
		if after.Keyring == before.Keyring || after.Root == before.Root {
			t.Errorf("status before %+v, after %+v: want other keys and another root", before, after)
		}
		for _, i := range c.Running() {
			if s := status(t, c, i); s.Keyring != after.Keyring || s.Root != after.Root {
				t.Errorf("node %d uses %s, %s; node 0 %s, %s", i, s.Keyring, s.Root, after.Keyring, after.Root)
			}
		}
		if load.end(t); load.uncertain.Load() > 0 {
			t.Errorf("%d increments failed during the rotations", load.uncertain.Load())
		}
		c.Start(5) // streams made anew work as those that went on
		c.AwaitReady(5)
	})
}

// TestRotateWhileOneIsAway has a node miss rotations: it gets the new keys when it is back, and the root it knows is
// trusted until then.
func TestRotateWhileOneIsAway(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 3, Seed: 1, Disk: true}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(3, 5*time.Second)
		away := c.Node(2).ID()
		c.Crash(2)
		time.Sleep(10 * time.Second)
		if err := c.Admin(0).Rotate(context.Background(), client.SecretKeys); err != nil {
			t.Errorf("rotate keys: %v", err)
		}
		if err := c.Admin(0).Rotate(context.Background(), client.SecretAuthority); abi.CodeOf(err) != abi.Unavailable {
			t.Errorf("rotate authority while a node is away: %v, want unavailable", err)
		}
		c.Start(2)
		c.AwaitReady(2)
		c.Await(time.Minute, "all see the one that was away", func() bool { return c.AllSee(0, 1, 2) })
		if err := c.Admin(1).Rotate(context.Background(), client.SecretAuthority); err != nil {
			t.Errorf("rotate authority again: %v", err)
		}
		first := status(t, c, 0)
		if s := status(t, c, 2); s.Node != away || s.Keyring != first.Keyring || s.Root != first.Root {
			t.Errorf("the one that was away: %+v, the first: %+v", s, first)
		}
	})
}
