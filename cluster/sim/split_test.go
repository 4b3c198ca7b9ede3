package sim

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// TestSplit parts three voters 2/1 and 1/1/1 under load.
func TestSplit(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 3, Seed: 1, Loss: 0.05}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(3, 5*time.Second)
		if err := c.Put(0, "before", "here"); err != nil {
			t.Fatal(err)
		}
		awaitEqual(t, c, time.Second)
		load := startLoad(c, 0, 1, 2)
		time.Sleep(2 * time.Second)
		leader := c.Leader(0, 1, 2)
		if leader < 0 {
			t.Fatal("three nodes agree on no leader")
		}
		other := (leader + 1) % 3
		for _, cut := range []int{other, leader} {
			c.Partition([]int{cut})
			time.Sleep(2 * time.Second)
			refuses(t, c, cut)
			before := load.counted.Load()
			time.Sleep(2 * time.Second)
			if load.counted.Load() == before {
				t.Errorf("with node %d cut off, the two others count nothing", cut)
			}
			c.Heal()
			awaitCounting(c, cut)
		}
		c.Partition([]int{0}, []int{1}, []int{2})
		time.Sleep(2 * time.Second)
		for i := range 3 {
			refuses(t, c, i)
		}
		c.Heal()
		for i := range 3 {
			awaitCounting(c, i)
		}
		load.end(t)
		awaitEqual(t, c, 5*time.Second)
	})
}

// awaitCounting returns when a node takes writes.
func awaitCounting(c *Cluster, i int) {
	c.Await(10*time.Second, "node "+strconv.Itoa(i)+" takes writes", func() bool { return c.Put(i, "probe", "x") == nil })
}

// refuses checks that a node without a majority takes no writes, and reads only what it has.
func refuses(t *testing.T, c *Cluster, i int) {
	t.Helper()
	var asking sync.WaitGroup
	asking.Go(func() {
		if err := c.Put(i, "refused", "x"); !unavailable(err) {
			t.Errorf("node %d without a majority writes: %v", i, err)
		}
	})
	asking.Go(func() {
		got, err := c.Read(i, "before", op.Strong)
		if !unavailable(err) {
			t.Errorf("node %d without a majority reads strongly: %q, %v", i, got, err)
		}
	})
	if got, err := c.Read(i, "before", op.Local); got != "here" || err != nil {
		t.Errorf("node %d reads %q, %v of what it has", i, got, err)
	}
	asking.Wait()
}

// unavailable says that a node has refused, or has waited for others as long as its client did.
func unavailable(err error) bool {
	return abi.CodeOf(err) == abi.Unavailable || errors.Is(err, context.DeadlineExceeded)
}

// TestLeaderCutOff asks a leader that was cut off for what others write meanwhile: a strong read answers nothing old.
func TestLeaderCutOff(t *testing.T) {
	t.Parallel()
	Run(t, Config{Nodes: 3, Seed: 1}, func(t *testing.T, c *Cluster) {
		c.AwaitVoters(3, 5*time.Second)
		leader := c.Leader(0, 1, 2)
		if leader < 0 {
			t.Fatal("three nodes agree on no leader")
		}
		var acknowledged, answers, refusals atomic.Int64
		stop := make(chan struct{})
		var clients sync.WaitGroup
		every := func(pause time.Duration, work func()) {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(pause):
						work()
					}
				}
			})
		}
		every(5*time.Millisecond, func() {
			if sum, err := c.Incr((leader+1)%3, counter); err == nil {
				acknowledged.Store(sum)
			}
		})
		for range 50 { // each of those that are cut off waits for long
			every(100*time.Millisecond, func() {
				least := acknowledged.Load()
				text, err := c.Read(leader, counter, op.Strong)
				if err != nil {
					refusals.Add(1)
					return
				}
				answers.Add(1)
				if got, err := strconv.ParseInt(text, 10, 64); err != nil || got < least {
					t.Errorf("a strong read answers %q, %v after %d was acknowledged", text, err, least)
				}
			})
		}
		time.Sleep(time.Second)
		c.Partition([]int{leader})
		time.Sleep(10 * time.Second)
		during := acknowledged.Load()
		c.Heal()
		time.Sleep(5 * time.Second)
		close(stop)
		clients.Wait()
		if before := answers.Load(); before == 0 || during == 0 {
			t.Errorf("%d strong reads were answered, %d increments acknowledged by the others", before, during)
		}
		t.Logf("%d answers, %d refusals, %d increments until the heal", answers.Load(), refusals.Load(), during)
	})
}
