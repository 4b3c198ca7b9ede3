//go:build unix

package kv

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// processes are three members in processes of their own, on TCP and real disks.
type processes struct {
	t   *testing.T
	dir string
	at  [3]atomic.Pointer[process]

	listening sync.WaitGroup
}

func startProcesses(t *testing.T) *processes {
	p := &processes{t: t, dir: t.TempDir()}
	for i := range childIDs {
		p.start(i)
	}
	t.Cleanup(func() {
		for i := range p.at {
			p.at[i].Load().kill()
		}
		p.listening.Wait()
	})
	return p
}

// start starts a member that is down.
func (p *processes) start(i int) {
	m := spawn(p.t, planMember, p.dir, childIDs[i])
	p.at[i].Store(m)
	p.listening.Go(func() { m.listen(p.t) })
}

// someFault does something to members until it is told to stop: kill -9, of one or of all at once, or a stop of the
// whole process.
func (p *processes) someFault(random *rand.Rand, stop <-chan struct{}) (more bool) {
	wait := func(most time.Duration) {
		select {
		case <-stop:
			more = false
		case <-time.After(time.Duration(random.Int64N(int64(most)))):
		}
	}
	more = true
	i := random.IntN(3)
	switch n := random.IntN(10); {
	case n < 3:
		p.at[i].Load().pause(func() { wait(1500 * time.Millisecond) })
	case n < 4:
		for i := range p.at {
			p.at[i].Load().kill()
		}
		for i := range p.at {
			p.start(i)
		}
	default:
		p.at[i].Load().kill()
		wait(500 * time.Millisecond)
		p.start(i)
	}
	wait(time.Second)
	return more
}

// TestLinearizableKills kills and stops processes of a group under load.
func TestLinearizableKills(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := newHistory()
	var clients, faults sync.WaitGroup
	for i := range 12 {
		c := newClient(i, seed, h, strong)
		clients.Go(func() {
			c.run(t, operations(t), func(random *rand.Rand, next call) answer {
				return p.at[random.IntN(3)].Load().ask(order{Call: &next, Patience: somePatience(random)}).Answer
			})
		})
	}
	stop := make(chan struct{})
	count := 0
	faults.Go(func() {
		random := rand.New(rand.NewPCG(seed, 1))
		for p.someFault(random, stop) {
			count++
		}
	})
	clients.Wait()
	close(stop)
	faults.Wait()
	t.Logf("%d faults", count)
	p.readAll(h)
	h.mustBeLinearizable(t)
	p.mustBeEqual()
}

// readAll reads every key strongly through every member.
func (p *processes) readAll(h *history) {
	p.t.Helper()
	for i := range p.at {
		for key := range keys {
			c := call{Kind: callGet, Key: fmt.Sprint("key-", key), Read: op.Read{Consistency: op.Strong}}
			a := h.do(100+i, c, func() answer { return p.at[i].Load().ask(order{Call: &c, Patience: patience}).Answer })
			if a.Outcome != happened {
				p.t.Errorf("strong read through %s when all is well: %s", childIDs[i], a.Text)
			}
		}
	}
}

func (p *processes) mustBeEqual() {
	p.t.Helper()
	var index uint64
	for i := range p.at {
		index = max(index, p.at[i].Load().ask(order{Patience: patience}).Index)
	}
	var want reply
	for i := range p.at {
		r := p.at[i].Load().ask(order{Index: index, Patience: patience})
		if i == 0 {
			want = r
		}
		if r.Answer.Outcome != happened || r.Hash != want.Hash {
			p.t.Errorf("at index %d %s has hash %.8s, %s; a has %.8s", index, childIDs[i], r.Hash, r.Answer.Text, want.Hash)
		}
	}
}
