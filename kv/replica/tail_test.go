package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

var errDisk = errors.New("no room on disk")

// disks are those of a group's logs.
type disks map[string]*disk

// disk is a log's disk, which can hold writes up and refuse them.
type disk struct {
	raft.LogStore
	mu    sync.Mutex
	held  chan struct{} // closed when writes go on
	fault error
}

// of has the log of a replica be on its disk.
func (d disks) of(id string) func(*Config) {
	return func(c *Config) {
		c.disk = func(log raft.LogStore) raft.LogStore {
			d[id] = &disk{LogStore: log}
			return d[id]
		}
	}
}

func (d *disk) hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		d.held = make(chan struct{})
	}
}

// release lets writes go on, or fail.
func (d *disk) release(fault error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault = fault; d.held != nil {
		close(d.held)
		d.held = nil
	}
}

func (d *disk) StoreLogs(logs []*raft.Log) error {
	d.mu.Lock()
	held := d.held
	d.mu.Unlock()
	if held != nil {
		<-held
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault != nil {
		return d.fault
	}
	return d.LogStore.StoreLogs(logs)
}

func (d *disk) StoreLog(l *raft.Log) error { return d.StoreLogs([]*raft.Log{l}) }

func startOnDisks(t *testing.T) (*group, disks) {
	t.Helper()
	g, d := newGroup(t, t.TempDir()), disks{}
	for _, id := range g.ids {
		g.start(id, g.members(), d.of(id))
	}
	t.Cleanup(func() { // before the replicas are closed
		for _, disk := range d {
			disk.release(nil)
		}
	})
	return g, d
}

// propose has increments on their way, and answers what ends with them: how many were acknowledged.
func (g *group) propose(id, key string, n int, patience time.Duration) <-chan int {
	var waiting sync.WaitGroup
	var mu sync.Mutex
	done, acknowledged := make(chan int, 1), 0
	for range n {
		waiting.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if _, err := g.incrCtx(ctx, id, key); err == nil {
				mu.Lock()
				acknowledged++
				mu.Unlock()
			}
		})
	}
	go func() { waiting.Wait(); done <- acknowledged }()
	return done
}

// holdUp has five increments be on some replicas' disks or, as its own is held up, in
// its memory. It answers what propose does.
func (g *group) holdUp(leader string, d disks, patience time.Duration, reach ...string) <-chan int {
	g.t.Helper()
	before := g.replicas[leader].Stats().LastIndex
	d[leader].hold()
	done := g.propose(leader, "k", 5, patience)
	for _, id := range reach {
		eventually(g.t, id+" has the entry", func() bool { return g.replicas[id].Stats().LastIndex > before })
	}
	return done
}

// crash ends a replica whose disk loses what it is held up with.
func (g *group) crash(id string, d disks) {
	d[id].release(errDisk)
	g.stop(id)
}

// agree waits until all have the same value: what has no outcome yet may change it meanwhile.
func (g *group) agree(key string) (value int64) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	eventually(g.t, "all have the same "+key, func() bool {
		values := map[int64]bool{}
		for _, id := range g.ids {
			got, err := g.read(ctx, id, key)
			if err != nil {
				g.t.Fatalf("read %s through %s: %v", key, id, err)
			}
			value, values[got] = got, true
		}
		return len(values) == 1
	})
	return value
}

func (g *group) mustHave(key string, want int64, ids ...string) {
	g.t.Helper()
	for _, id := range ids {
		if got := g.machines[id].get(key); got != want {
			g.t.Errorf("%s = %d at %s, want %d", key, got, id, want)
		}
	}
}

// TestTailIsNotCommitted holds the leader's disk up: what the others have on theirs is not committed for anybody.
func TestTailIsNotCommitted(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g, d := startOnDisks(t)
		leader := g.leader()
		g.mustIncr(leader, "k", 1)
		g.agree("k")
		done := g.holdUp(leader, d, time.Minute, g.ids...)
		time.Sleep(2 * time.Second)
		select {
		case n := <-done:
			t.Fatalf("%d were acknowledged while the leader's disk was held up", n)
		default:
		}
		for _, id := range g.ids {
			g.mustRead(id, "k", 1)
			g.mustHave("k", 1, id)
		}
		if got := g.leader(); got != leader {
			t.Errorf("%s leads, want %s still", got, leader)
		}
		d[leader].release(nil)
		if n := <-done; n != 5 {
			t.Errorf("%d were acknowledged, want 5", n)
		}
		if got := g.agree("k"); got != 6 {
			t.Errorf("k = %d, want 6", got)
		}
	})
}

// TestTailLost has a leader lose what others have on their disks: they may keep it, and all have the same.
func TestTailLost(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g, d := startOnDisks(t)
		old := g.leader()
		g.mustIncr(old, "k", 1)
		g.agree("k")
		done := g.holdUp(old, d, 3*time.Second, g.ids...)
		g.crash(old, d)
		if n := <-done; n != 0 {
			t.Errorf("%d were acknowledged, want none", n)
		}
		g.leader(g.others(old)...)
		g.start(old, nil, d.of(old))
		if got := g.agree("k"); got < 1 || got > 6 {
			t.Errorf("k = %d, want 1 to 6", got)
		}
	})
}

// TestTailLostForGood has only one other replica get what the leader loses. The two without it elect one of them, and it
// is as if it had never been.
func TestTailLostForGood(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g, d := startOnDisks(t)
		old := g.leader()
		has, hasNot := g.others(old)[0], g.others(old)[1]
		g.mustIncr(old, "k", 1)
		g.agree("k")
		g.net.Hold(old, hasNot)
		done := g.holdUp(old, d, 3*time.Second, has)
		time.Sleep(100 * time.Millisecond) // a commit would reach it
		g.mustHave("k", 1, has)
		g.net.Isolate(has)
		g.crash(old, d)
		<-done
		g.net.Break(hasNot) // with what is held back
		g.net.Release(old, hasNot)
		g.start(old, nil, d.of(old))
		g.leader(old, hasNot)
		g.mustIncr(hasNot, "k", 2)
		g.net.Heal()
		if got := g.agree("k"); got != 2 {
			t.Errorf("k = %d, want 2", got)
		}
	})
}

// TestTailStepsDown has a leader that is replaced while its disk is held up confirm nothing to its successor before that
// is written, and give it up afterwards.
func TestTailStepsDown(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g, d := startOnDisks(t)
		old := g.leader()
		g.mustIncr(old, "k", 1)
		g.agree("k")
		g.net.Isolate(old)
		done := g.holdUp(old, d, 3*time.Second, old)
		next := g.leader(g.others(old)...)
		g.mustIncr(next, "k", 2)
		<-done
		g.net.Heal()
		g.mustIncr(next, "k", 3)
		time.Sleep(2 * time.Second)
		g.mustHave("k", 1, old)
		d[old].release(nil)
		if got := g.agree("k"); got != 3 {
			t.Errorf("k = %d, want 3", got)
		}
	})
}

// TestTailConfirmsWhatIsWritten has a leader need the confirmation of one that is still to write what it had before.
func TestTailConfirmsWhatIsWritten(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g, d := startOnDisks(t)
		old := g.leader()
		g.mustIncr(old, "k", 1)
		g.net.Isolate(old)
		lost := g.holdUp(old, d, time.Second, old)
		next := g.leader(g.others(old)...)
		<-lost
		g.net.Heal()
		eventually(t, "the old leader follows", func() bool { l, _ := g.replicas[old].Leader(); return l.ID == next })
		for _, id := range g.others(old) {
			if id != next {
				g.net.Isolate(id)
			}
		}
		done := g.propose(next, "k", 3, time.Minute)
		time.Sleep(2 * time.Second)
		select {
		case n := <-done:
			t.Errorf("%d were acknowledged that only one disk has", n)
		default:
		}
		d[old].release(nil)
		if n := <-done; n != 3 {
			t.Errorf("%d were acknowledged, want 3", n)
		}
		g.net.Heal()
		if got := g.agree("k"); got != 4 {
			t.Errorf("k = %d, want 4", got)
		}
	})
}

// TestTailOfFollower reads at the log's end with and without the lead, which is what a follower confirms.
func TestTailOfFollower(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		held := &disk{LogStore: raft.NewInmemStore()}
		var leads atomic.Bool
		leads.Store(true)
		log := newTail(held, leads.Load, nil, slog.New(slog.DiscardHandler))
		command := func(index uint64) *raft.Log { return &raft.Log{Index: index, Term: 1, Type: raft.LogCommand} }
		if err := log.StoreLogs([]*raft.Log{{Index: 1, Term: 1, Type: raft.LogNoop}}); err != nil {
			t.Fatal(err)
		}
		held.hold()
		if err := errors.Join(log.StoreLog(command(2)), log.StoreLogs([]*raft.Log{command(3), command(4)})); err != nil {
			t.Fatal(err)
		}
		var got raft.Log
		for index := range uint64(5) {
			if err := log.GetLog(index, &got); (err == nil) != (index > 0) || err == nil && got.Index != index {
				t.Errorf("entry %d: %d, %v", index, got.Index, err)
			}
		}
		if last, err := log.LastIndex(); last != 4 || err != nil || log.written() != 1 {
			t.Errorf("last index %d, %v, %d written, want 4 and 1", last, err, log.written())
		}
		leads.Store(false)
		read := make(chan error, 1)
		go func() { var l raft.Log; read <- log.GetLog(3, &l) }()
		time.Sleep(time.Second)
		select {
		case err := <-read:
			t.Errorf("an entry that is not written was read without the lead: %v", err)
		default:
		}
		held.release(nil)
		if err := errors.Join(<-read, log.DeleteRange(3, 4)); err != nil {
			t.Error(err)
		}
		if last, err := held.LastIndex(); last != 2 || err != nil {
			t.Errorf("last index %d, %v, want 2", last, err)
		}
		if err := log.close(); err != nil {
			t.Error(err)
		}
	})
}

// TestTailRefused has a leader's disk take nothing for a while: another one leads, and nothing is lost.
func TestTailRefused(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g, d := startOnDisks(t)
		full := g.leader()
		g.mustIncr(full, "k", 1)
		d[full].release(errDisk)
		done := g.propose(full, "k", 5, time.Minute)
		others := g.others(full)
		time.Sleep(time.Second)
		more := g.propose(others[0], "k", 5, time.Minute)
		if n := <-more; n != 5 {
			t.Errorf("%d were acknowledged by the others, want 5", n)
		}
		g.leader(others...)
		d[full].release(nil)
		if n := <-done; n != 5 {
			t.Errorf("%d were acknowledged in the end, want 5", n)
		}
		if got := g.agree("k"); got != 11 {
			t.Errorf("k = %d, want 11", got)
		}
	})
}

// TestTailHammer has disks hold up, refuse and lose writes, replicas crash and be cut off, while all of them count.
// What was acknowledged is counted, nothing is twice, and all agree.
func TestTailHammer(t *testing.T) {
	t.Parallel()
	seeds := uint64(1)
	if os.Getenv("SETT_TEST_ALL") != "" {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { hammerTail(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func hammerTail(t *testing.T, random *rand.Rand) {
	g, d := startOnDisks(t)
	g.leader()
	var mu sync.RWMutex // held shared while replicas are asked
	acknowledged, tried := map[string]int64{}, map[string]int64{}
	var counts sync.Mutex
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			key := fmt.Sprint("k", i)
			for n := 0; ctx.Err() == nil; n++ {
				mu.RLock()
				r := g.replicas[g.ids[(i+n)%len(g.ids)]]
				mu.RUnlock()
				time.Sleep(5 * time.Millisecond)
				if r == nil {
					continue
				}
				asking, cancel := context.WithTimeout(ctx, time.Second)
				_, _, err := r.Propose(asking, fmt.Appendf(nil, "%d %s 1", g.counter.Add(1), key))
				cancel()
				counts.Lock()
				if tried[key]++; err == nil {
					acknowledged[key]++
				}
				counts.Unlock()
			}
		})
	}
	for range 25 {
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		id := g.ids[random.IntN(len(g.ids))]
		switch random.IntN(5) {
		case 0, 1:
			d[id].hold()
			time.Sleep(time.Duration(random.IntN(600)) * time.Millisecond)
			d[id].release(nil)
		case 2:
			d[id].release(errDisk)
			time.Sleep(time.Duration(random.IntN(600)) * time.Millisecond)
			d[id].release(nil)
		case 3:
			d[id].hold()
			time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
			mu.Lock()
			g.crash(id, d)
			g.start(id, nil, d.of(id))
			mu.Unlock()
		case 4:
			g.net.Isolate(id)
			time.Sleep(time.Duration(random.IntN(900)) * time.Millisecond)
			g.net.Heal()
		}
	}
	stop()
	clients.Wait()
	for _, key := range slices.Sorted(maps.Keys(tried)) {
		if got := g.agree(key); got < acknowledged[key] || got > tried[key] {
			t.Errorf("%s = %d after %d acknowledgements of %d attempts", key, got, acknowledged[key], tried[key])
		}
		if acknowledged[key] == 0 {
			t.Errorf("of %s nothing was acknowledged", key)
		}
	}
}
