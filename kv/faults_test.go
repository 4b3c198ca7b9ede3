package kv

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// operations is how many calls a run of the proofs of linearizability makes: SETT_KV_OPERATIONS, else a few.
func operations(t *testing.T) int { return sized(t, "SETT_KV_OPERATIONS", 1500) }

var strong = op.Read{Consistency: op.Strong}

// faults happens to a group until stop is closed: one after the other, each for a while.
type faults struct {
	group  *trio
	random *rand.Rand
	stop   chan struct{}
	ended  chan struct{}
}

// startFaults begins with what kinds of faults there are.
func startFaults(g *trio, seed uint64, kinds ...func(*faults, string)) *faults {
	f := &faults{group: g, random: rand.New(rand.NewPCG(seed, 1)), stop: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		for f.pause(400 * time.Millisecond) {
			kinds[f.random.IntN(len(kinds))](f, g.ids[f.random.IntN(len(g.ids))])
		}
	}()
	return f
}

// end returns when the last fault has ended.
func (f *faults) end() {
	close(f.stop)
	<-f.ended
}

// pause waits for at most a while; false: there are to be no more faults.
func (f *faults) pause(most time.Duration) bool {
	select {
	case <-f.stop:
		return false
	case <-time.After(time.Duration(f.random.Int64N(int64(most)))):
		return true
	}
}

// isolate holds everything from and to a node: it is partitioned, or paused.
func (f *faults) isolate(id string) {
	f.group.net.Isolate(id)
	f.pause(2 * time.Second)
	f.group.heal()
}

// oneWay has a node hear of others and not be heard.
func (f *faults) oneWay(id string) {
	for _, other := range f.group.ids {
		f.group.net.Hold(id, other)
	}
	f.pause(time.Second)
	f.group.heal()
}

func (f *faults) breakStreams(id string) { f.group.net.Break(id) }

func (f *faults) delay(id string) {
	for _, other := range f.group.ids {
		f.group.net.Delay(id, other, time.Duration(f.random.IntN(200))*time.Millisecond)
	}
	f.pause(time.Second)
	f.group.heal()
}

// transfer has another node lead.
func (f *faults) transfer(id string) {
	if s := f.group.at(id); s != nil && s.replica.Leading() != 0 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.replica.TransferLeadership(ctx) // it may just have lost it
	}
}

func (f *faults) restart(id string) {
	f.group.stop(id)
	f.pause(500 * time.Millisecond)
	f.group.start(id)
}

// prove runs clients on a group under faults, and checks that it was as if there was one store.
func prove(t *testing.T, g *trio, enough int, kinds ...func(*faults, string)) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := newHistory()
	wait := g.clients(t, h, seed, enough, strong)
	f := startFaults(g, seed, kinds...)
	wait()
	f.end()
	g.readAll(h)
	h.mustBeLinearizable(t)
	g.mustBeEqual()
}

// TestLinearizableNetwork is in memory and in virtual time: the network fails in all ways it has.
func TestLinearizableNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := startTrio(t, "")
		g.latency = time.Millisecond // without it no virtual time passes while clients are busy
		g.heal()
		prove(t, g, 6*operations(t), (*faults).isolate, (*faults).oneWay, (*faults).breakStreams, (*faults).delay, (*faults).transfer)
	})
}

// TestLinearizableRestarts is on disk: nodes are closed and opened again.
func TestLinearizableRestarts(t *testing.T) {
	t.Parallel()
	g := startTrio(t, t.TempDir())
	prove(t, g, operations(t), (*faults).isolate, (*faults).breakStreams, (*faults).transfer, (*faults).restart, (*faults).restart)
}

// TestLinearizableTCP is the same over real connections.
func TestLinearizableTCP(t *testing.T) {
	t.Parallel()
	g := newTrio(t, t.TempDir())
	g.startAll()
	prove(t, g, operations(t), (*faults).transfer, (*faults).restart)
}

// TestCheckerBites has clients use a group of which one follower is cut off: what they see is one store with strong
// reads, and is not with local ones.
func TestCheckerBites(t *testing.T) {
	t.Parallel()
	for consistency, want := range map[op.Consistency]bool{op.Strong: true, op.Session: false, op.Local: false} {
		synctest.Test(t, func(t *testing.T) {
			g := startTrio(t, "")
			g.latency = time.Millisecond
			g.heal()
			g.net.Isolate(g.follower())
			h := newHistory()
			g.clients(t, h, 1, operations(t), op.Read{Consistency: consistency})()
			g.heal()
			if got := h.linearizable(t); got != want {
				t.Errorf("with consistency %d the history is linearizable: %v, want %v", consistency, got, want)
			}
			g.mustBeEqual()
		})
	}
}
