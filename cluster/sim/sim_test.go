package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/wasmtest"
)

// awaitServing returns when nodes answer with a text where hello was deployed.
func awaitServing(t *testing.T, c *Cluster, text string, within time.Duration, nodes []int) {
	t.Helper()
	for _, i := range nodes {
		c.Await(within, fmt.Sprintf("node %d serves %s", i, text), func() bool { return c.Get(i, "/hello") == "200 "+text })
	}
}

// crashSeen is how long 25 nodes need at the most until all have seen a crash; most take 6 s, one in 100 more than 10 s.
// It follows from package gossip's settings: 12 s until one of the others probes the dead one, each of which does once in
// 24 s (that none has by then happens once in 2^24 crashes), 2 s for the probe, 2 x 3 s x log10(25) until nobody has
// confirmed it, and 2 s until all are told.
const crashSeen = 25 * time.Second

// TestMany is 25 nodes in a bad network.
func TestMany(t *testing.T) {
	t.Parallel()
	if os.Getenv("SETT_TEST_ALL") == "" {
		t.Skip("25 nodes take the processor ten seconds; SETT_TEST_ALL=1 has them run")
	}
	Run(t, Config{Nodes: 25, Seed: 1, Loss: 0.05, Regions: []string{"north", "south", "west"}}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(5, 10*time.Second)
		c.Deploy(7, "hello", wasmtest.Answer("one"))
		awaitServing(t, c, "one", time.Second, c.Running())

		crashed := c.Node(11).ID()
		c.Crash(11)
		begin := time.Now()
		c.Await(crashSeen, "all see the crash", func() bool {
			return !slices.ContainsFunc(c.Running(), func(i int) bool { return c.Sees(i, crashed) })
		})
		t.Log("all have seen a crash after", time.Since(begin))

		var away, rest []int // 15 % of 24
		for _, i := range c.Running() {
			if len(away) < 4 && !slices.Contains(c.Voters(0), c.Node(i).ID()) {
				away = append(away, i)
			} else {
				rest = append(rest, i)
			}
		}
		c.Partition(away)
		time.Sleep(30 * time.Second)
		if c.AllSee(c.Running()...) {
			t.Error("nobody has seen the partition")
		}
		c.Deploy(rest[3], "hello", wasmtest.Answer("two"))
		awaitServing(t, c, "two", time.Second, rest)
		awaitServing(t, c, "one", time.Second, away)
		c.Heal()
		begin = time.Now()
		awaitServing(t, c, "two", 10*time.Second, away)
		t.Log("all serve the newest version after", time.Since(begin))
		c.Await(time.Minute, "all see all", func() bool { return c.AllSee(c.Running()...) })
		t.Log("all have seen all after", time.Since(begin))
	})
}

// TestCertificatesStay checks that a change of the cluster's records makes nobody ask for a new certificate.
func TestCertificatesStay(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 3, Seed: 1}, func(t *testing.T, c *Cluster) {
		before := identities(t, c)
		c.Invite("reader")
		time.Sleep(time.Second)
		if after := identities(t, c); len(before) != 3 || !slices.Equal(before, after) {
			t.Error("nodes have new certificates after somebody was invited")
		}
	})
}

// identities are the files with certificates, of all nodes.
func identities(t *testing.T, c *Cluster) (texts []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(c.dir, "*", "cluster", "identity.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}
