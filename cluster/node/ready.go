package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/replica"
)

// Times of being ready.
const (
	// catchUpTimeout is how long one try to hear of everything that is acknowledged may take.
	catchUpTimeout = 5 * time.Second
	// loadTimeout is how long a node that has caught up waits for its modules before it is ready all the same: others
	// answer in its place.
	loadTimeout = 30 * time.Second
	// leaderlessTime is how long a node knows of no leader before it is not ready. A shorter one has it taken out of
	// service during elections.
	leaderlessTime = 10 * time.Second
	readyPause     = 200 * time.Millisecond // between looks
)

// errStarting is why a node that has only begun is not ready.
var errStarting = errors.New("starting")

// errRemoved is why a node that its cluster has removed ends.
var errRemoved = errors.New("this node was removed from its cluster: start it with an empty data directory to join again")

// errRefused is what a node can tell that was removed while it was away: the others do not speak to it.
var errRefused = errors.New("the other nodes refuse this node's certificate: if it was removed from the cluster, start it with an " +
	"empty data directory to join again")

// readiness is why a node does not answer yet, or any more.
type readiness struct {
	mu    sync.Mutex // guards the rest
	began bool       // something was said
	why   error      // nil: it is ready
	over  bool       // what was said stands
	once  chan struct{}
}

// set says that the node is ready, or why it is not.
func (r *readiness) set(why error) { r.say(why, false) }

// end says why the node is not ready and will not be.
func (r *readiness) end(reason string) { r.say(errors.New(reason), true) }

func (r *readiness) say(why error, last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over && !last {
		return
	}
	if why == nil {
		select {
		case <-r.first():
		default:
			close(r.first())
		}
	}
	r.began, r.why, r.over = true, why, r.over || last
}

// first is closed when the node is ready for the first time. The caller holds mu.
func (r *readiness) first() chan struct{} {
	if r.once == nil {
		r.once = make(chan struct{})
	}
	return r.once
}

// Ready answers nil when the node serves, else why it does not.
func (r *readiness) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.began {
		return errStarting
	}
	return r.why
}

// WaitReady returns when the node has been ready once, with nil, or when ctx ends, with why it is not.
func (n *Node) WaitReady(ctx context.Context) error {
	n.ready.mu.Lock()
	first := n.ready.first()
	n.ready.mu.Unlock()
	select {
	case <-first:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait until ready: %w: %w", context.Cause(ctx), n.Ready())
	}
}

// Ready answers nil when the node serves, else why it does not.
func (n *Node) Ready() error { return n.ready.Ready() }

// becomeReady waits until the node knows what its group has acknowledged, and has what it needs to serve it; then it
// says whether there is a leader, until Close.
func (n *Node) becomeReady() {
	if n.Ready() == nil { // it is its own group
		n.followLeader()
		return
	}
	n.ready.set(errors.New("waits to be taken into the group and to catch up with its leader"))
	for {
		ctx, cancel := context.WithTimeout(n.ctx, catchUpTimeout)
		err := n.store.CaughtUp(ctx)
		cancel()
		if err == nil {
			break
		}
		if errors.Is(err, replica.ErrRemoved) {
			n.report("cluster", errRemoved)
			return
		}
		if n.den.raft.refused.Load() {
			n.ready.set(errRefused)
		}
		if !n.pause(readyPause) {
			return
		}
	}
	n.refreshCluster(n.ctx)
	n.refresh(n.ctx)
	n.ready.set(errors.New("loads modules"))
	for end := time.Now().Add(loadTimeout); len(n.waiting.keys()) > 0 && time.Now().Before(end); {
		if !n.pause(readyPause) {
			return
		}
	}
	n.followLeader()
}

// followLeader says that the node is ready while there is a leader, until Close.
func (n *Node) followLeader() {
	for led := time.Now(); ; {
		leader, changed := n.store.Replica().Leader()
		switch {
		case n.store.Replica().Removed() && !n.leaving.Load():
			n.report("cluster", errRemoved)
			return
		case n.leaving.Load():
		case leader.ID != "":
			led = time.Now()
			n.ready.set(nil)
		case time.Since(led) > leaderlessTime:
			n.ready.set(errors.New("knows of no leader: nothing can be written"))
		}
		select {
		case <-changed:
		case <-time.After(leaderlessTime):
		case <-n.ctx.Done():
			return
		}
	}
}

// pause waits, and reports whether the node goes on.
func (n *Node) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-n.ctx.Done():
		return false
	}
}
