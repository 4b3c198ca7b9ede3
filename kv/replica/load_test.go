package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/sett-run/sett/kv/op"
)

func TestBatching(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		g := startGroup(t, func(c *Config) {
			if c.ID == "a" {
				c.Metrics = registry
			}
		})
		leader := g.leader()
		before := g.machines[leader].entries()
		g.hammer(10, 128, leader)
		entries := g.machines[leader].entries() - before
		if entries > 400 {
			t.Errorf("1280 commands took %d entries, want far fewer", entries)
		}
		g.mustRead("a", "k", 1280)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if got := len(families); got < 10 {
			t.Errorf("%d metrics, want all", got)
		}
		if v := valueOf(families, "sett_kv_raft_term"); v < 1 {
			t.Errorf("term %v, want 1 or more", v)
		}
		g.stop("a")
		if families, _ := registry.Gather(); len(families) != 0 {
			t.Errorf("%d metrics after Close, want none", len(families))
		}
	})
}

func valueOf(families []*dto.MetricFamily, name string) float64 {
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return math.NaN()
}

// hammer has clients increment k through replicas in turn, and checks that every reply is one of a kind.
func (g *group) hammer(each, clients int, through ...string) (unknown int64) {
	g.t.Helper()
	var seen sync.Map
	var doubts atomic.Int64
	var work sync.WaitGroup
	for c := range clients {
		work.Go(func() {
			for range each {
				v, err := g.incr(through[c%len(through)], "k")
				if errors.Is(err, op.ErrUnknown) {
					doubts.Add(1)
				} else if err != nil {
					g.t.Errorf("incr: %v", err)
				} else if _, twice := seen.LoadOrStore(v, c); twice {
					g.t.Errorf("incr answered %d twice", v)
				}
			}
		})
	}
	work.Wait()
	return doubts.Load()
}

// TestHammer increments through all replicas while the network fails.
func TestHammer(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, smallLog)
		g.leader()
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(i%7) * 100 * time.Millisecond):
				}
				switch victim := g.ids[i%3]; i % 4 {
				case 0:
					g.net.Isolate(victim)
				case 1:
					g.net.Break(victim)
				case 2:
					g.net.Delay(victim, g.ids[(i+1)%3], 50*time.Millisecond)
				default:
					g.net.Heal()
				}
			}
		}()
		unknown := g.hammer(20, 30, g.ids...)
		close(stop)
		<-stopped
		g.net.Heal()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for _, id := range g.ids {
			got, err := g.read(ctx, id, "k")
			if err != nil || got < 600-unknown || got > 600 {
				t.Errorf("read through %s = %d, %v, want %d to 600", id, got, err, 600-unknown)
			}
		}
	})
}

func TestCloseInFlight(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader()
		replicas := []*Replica{g.replicas["a"], g.replicas["b"], g.replicas["c"]}
		for _, from := range g.ids { // without it no virtual time passes while clients are busy
			for _, to := range g.ids {
				g.net.Delay(from, to, time.Millisecond)
			}
		}
		var work sync.WaitGroup
		for i := range 60 {
			work.Go(func() {
				for n := 0; ; n++ {
					_, _, err := replicas[i%3].Propose(t.Context(), fmt.Appendf(nil, "%d-%d k 1", i, n))
					if err == nil {
						_, err = replicas[i%3].ReadIndex(t.Context())
					}
					if err != nil {
						if !errors.Is(err, op.ErrClosed) {
							t.Errorf("after Close: %v, want %v", err, op.ErrClosed)
						}
						return
					}
				}
			})
		}
		time.Sleep(time.Second)
		g.stop(leader)
		g.close()
		work.Wait()
		if err := replicas[0].Wait(t.Context(), math.MaxUint64); !errors.Is(err, op.ErrClosed) {
			t.Errorf("wait after Close: %v, want %v", err, op.ErrClosed)
		}
		if err := replicas[0].AddVoter(t.Context(), "x", "x"); !errors.Is(err, op.ErrClosed) {
			t.Errorf("add voter after Close: %v, want %v", err, op.ErrClosed)
		}
	})
}

func TestMachineFails(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		broken := g.leader()
		g.mustIncr(broken, "k", 1)
		g.machines[broken].breakWith(errors.New("disk on fire"))
		if _, err := g.incr(broken, "k"); !errors.Is(err, op.ErrUnknown) {
			t.Errorf("propose to the failing machine: %v, want %v", err, op.ErrUnknown)
		}
		<-g.replicas[broken].Failed()
		if err := g.replicas[broken].Err(); err == nil || g.replicas[broken].Leading() != 0 {
			t.Errorf("err %v, leading %d, want an error and no lead", err, g.replicas[broken].Leading())
		}
		if _, err := g.incr(broken, "k"); !errors.Is(err, op.ErrClosed) {
			t.Errorf("propose after the failure: %v, want %v", err, op.ErrClosed)
		}
		// The entry was committed: the others have it.
		g.mustIncr(g.leader(g.others(broken)...), "k", 3)
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader()
		follower := g.others(leader)[0]
		pad := func(size int) []byte {
			c := fmt.Appendf(nil, "%d k 1", g.counter.Add(1))
			return append(c, bytes.Repeat([]byte{' '}, size-len(c))...)
		}
		for _, id := range []string{leader, follower} {
			if _, _, err := g.replicas[id].Propose(t.Context(), pad(MaxCommandBytes)); err != nil {
				t.Errorf("propose a command of %d bytes through %s: %v", MaxCommandBytes, id, err)
			}
			if _, _, err := g.replicas[id].Propose(t.Context(), pad(MaxCommandBytes+1)); !errors.Is(err, op.ErrTooLarge) {
				t.Errorf("propose a command of %d bytes: %v, want %v", MaxCommandBytes+1, err, op.ErrTooLarge)
			}
		}
	})
}

func TestReplyLimit(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader()
		follower := g.replicas[g.others(leader)[0]]
		for padding, want := range map[int]error{MaxReplyBytes - 1: nil, MaxReplyBytes: op.ErrUnknown} { // and one digit
			g.machines[leader].mu.Lock()
			g.machines[leader].padding = padding
			g.machines[leader].mu.Unlock()
			before := g.machines[leader].entries()
			_, _, err := follower.Propose(t.Context(), fmt.Appendf(nil, "%d k%d 1", padding, padding))
			if !errors.Is(err, want) {
				t.Errorf("propose with a reply of %d bytes: %v, want %v", padding+1, err, want)
			}
			if n := g.machines[leader].entries() - before; n != 1 {
				t.Errorf("the command was proposed %d times, want once", n)
			}
		}
	})
}

func TestGather(t *testing.T) {
	t.Parallel()
	queued := func(sizes ...int) (*Replica, *proposal) {
		r := &Replica{queue: make(chan *proposal, maxBatchCommands)}
		for _, n := range sizes[1:] {
			r.queue <- &proposal{command: make([]byte, n)}
		}
		return r, &proposal{command: make([]byte, sizes[0])}
	}
	for _, c := range []struct {
		sizes []int
		batch int
		next  bool
	}{
		{[]int{1}, 1, false},
		{[]int{1, 1, 1}, 3, false},
		{[]int{1, maxBatchBytes - 1, 1}, 2, false},
		{[]int{1, maxBatchBytes, 1}, 1, true},
		{[]int{MaxCommandBytes, 1}, 1, false},
		{make([]int, maxBatchCommands+1), maxBatchCommands, false},
	} {
		r, first := queued(c.sizes...)
		batch, next := r.gather(first)
		if len(batch) != c.batch || (next != nil) != c.next {
			t.Errorf("gather of %d commands = %d, next %v, want %d, %v", len(c.sizes), len(batch), next != nil, c.batch, c.next)
		}
	}
}

// TestEntryPause has commands wait together for the entry before theirs, but not for longer than entryPause.
func TestEntryPause(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		g := startGroup(t, nil)
		leader := g.leader("a", "b", "c")
		g.mustIncr(leader, "k", 1)
		gate := make(chan struct{})
		g.machines[leader].stall(gate)
		first := g.replicas[leader].Stats().LastIndex + 1
		var waiting sync.WaitGroup
		propose := func(commands int) {
			for range commands {
				waiting.Go(func() {
					if _, err := g.incr(leader, "k"); err != nil {
						t.Error(err)
					}
				})
			}
		}
		propose(1)
		synctest.Wait() // its entry waits for the machine
		propose(10)
		synctest.Wait()
		if last := g.replicas[leader].Stats().LastIndex; last != first {
			t.Errorf("the log ends with %d while entry %d is on its way", last, first)
		}
		time.Sleep(entryPause)
		synctest.Wait()
		if last := g.replicas[leader].Stats().LastIndex; last != first+1 {
			t.Errorf("the log ends with %d after a pause, want %d", last, first+1)
		}
		close(gate)
		waiting.Wait()
		g.mustRead(leader, "k", 12)
	})
}

func TestTurn(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		landed := make(chan struct{}, maxEntries)
		landed <- struct{}{}
		start := time.Now()
		for flying, want := range map[int]int{0: 0, 1: 0} {
			if got := turn(flying, landed); got != want {
				t.Errorf("turn of %d = %d, want %d", flying, got, want)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("they waited %v", d)
		}
		if got := turn(maxEntries-1, landed); got != maxEntries-1 || time.Since(start) != entryPause {
			t.Errorf("turn of %d = %d after %v", maxEntries-1, got, time.Since(start))
		}
		time.AfterFunc(time.Minute, func() { landed <- struct{}{} })
		if got := turn(maxEntries, landed); got != maxEntries-1 || time.Since(start) != entryPause+time.Minute {
			t.Errorf("turn of %d = %d after %v", maxEntries, got, time.Since(start))
		}
	})
}

// TestLogBytes has few large entries make the log forget.
func TestLogBytes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		m := newToy()
		r, err := Open(Config{ID: "a", InMemory: true, Machine: m, Pack: toyPack, Bootstrap: []Server{{"a", "a", true}}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		const large = 3 << 20
		for i := range snapshotBytes/large + 1 {
			command := append(fmt.Appendf(nil, "%d k 1", i), bytes.Repeat([]byte{' '}, large)...)
			if _, _, err := r.Propose(t.Context(), command); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "a log that forgets", func() bool { return r.Stats().FirstIndex > 1 })
		if s := r.Stats(); s.LastIndex-s.FirstIndex > trailingBytes/large+1 {
			t.Errorf("stats %+v: %d entries stay, want %d bytes of them", s, s.LastIndex-s.FirstIndex, trailingBytes)
		}
	})
}

func TestAlone(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		m := newToy()
		r, err := Open(Config{ID: "a", InMemory: true, Machine: m, Pack: toyPack, Bootstrap: []Server{{"a", "a", true}}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		began := time.Now()
		if _, _, err := r.Propose(t.Context(), []byte("1 k 1")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("a group of one took %v to start, want no wait for an election", took)
		}
		index, err := r.ReadIndex(t.Context())
		if err != nil || r.Wait(t.Context(), index) != nil || m.get("k") != 1 {
			t.Errorf("read index %d, %v: k is %d, want 1", index, err, m.get("k"))
		}
	})
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	_, err := Open(Config{})
	for _, want := range []string{"ID", "Dir or InMemory", "Machine", "Pack"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(Config{}) = %v, want a word about %s", err, want)
		}
	}
}
