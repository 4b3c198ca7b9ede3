package replica

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestStaleTermInFlight has followers answer several messages of a busy leader at once, after they have elected
// another one. With raft's pipelines in use, the old leader's replication stood still for good then and Close never
// returned.
func TestStaleTermInFlight(t *testing.T) {
	t.Parallel()
	for range 5 {
		bubble(t, testStaleTermInFlight)
	}
}

func testStaleTermInFlight(t *testing.T) {
	g := newGroup(t, "")
	slow := func(c *Config) { c.HeartbeatTimeout, c.LeaseTimeout = 2*time.Second, 2*time.Second }
	g.start("a", []Server{{"a", "a", true}}, slow)
	g.leader()
	for _, id := range g.others("a") {
		g.start(id, nil, nil)
		if err := g.replicas["a"].AddVoter(t.Context(), id, id); err != nil {
			t.Fatal(err)
		}
		g.net.Delay("a", id, time.Millisecond)
		g.net.Delay(id, "a", time.Millisecond)
	}
	g.mustIncr("a", "k", 1)
	ctx, cancel := context.WithCancel(t.Context())
	busy := make(chan struct{})
	go func() {
		defer close(busy)
		for i := 0; ctx.Err() == nil; i++ {
			go g.replicas["a"].Propose(ctx, fmt.Appendf(nil, "busy-%d n 1", i))
			time.Sleep(time.Millisecond)
		}
	}()
	time.Sleep(50 * time.Millisecond)
	for _, o := range g.others("a") {
		g.net.Hold("a", o)
	}
	g.leader("b", "c")
	g.net.Heal()
	time.Sleep(time.Second)
	cancel()
	<-busy
	closed := make(chan error, 1)
	old := g.replicas["a"]
	delete(g.replicas, "a")
	go func() { closed <- old.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("Close does not return")
	}
}

// TestCloseIsolated closes a leader that waits for answers of nodes that do not give any.
func TestCloseIsolated(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader()
		g.mustIncr(leader, "k", 1)
		g.net.Isolate(leader)
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		g.stop(leader)
		if took := time.Since(began); took > time.Second {
			t.Errorf("Close took %v, want no wait for those who do not answer", took)
		}
	})
}
