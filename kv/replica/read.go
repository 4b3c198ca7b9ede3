package replica

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sett-run/sett/kv/op"
)

// read is the answer to a reader: the index it waits for.
type read struct {
	index uint64
	err   error
}

// ReadIndex answers an index that covers every command answered anywhere before the call; a read after Wait for it is
// linearizable. It goes on through changes of leader until ctx ends, then with op.ErrUnavailable: a leader that has
// lost its group never answers one. On a replica that was removed it answers that, and ErrRemoved, at once. Concurrent
// callers share one round of messages.
func (r *Replica) ReadIndex(ctx context.Context) (uint64, error) {
	start := time.Now()
	for {
		changed := r.leaders.next()
		if err := r.usable(); err != nil {
			return 0, ended("read index", time.Time{}, err)
		}
		if r.Removed() {
			return 0, ended("read index", time.Time{}, ErrRemoved)
		}
		a := r.join(ctx)
		if a.err == nil {
			r.metrics.reads.Observe(time.Since(start).Seconds())
			return a.index, nil
		}
		if ctx.Err() != nil {
			return 0, ended("read index", time.Time{}, fmt.Errorf("%w: %w", context.Cause(ctx), a.err))
		}
		r.pause(ctx, changed)
	}
}

// join waits for the round that begins next.
func (r *Replica) join(ctx context.Context) read {
	answer := make(chan read, 1)
	select {
	case r.readers <- answer:
	case <-ctx.Done():
		return read{err: errors.New("no round has begun")}
	case <-r.draining:
		return read{err: op.ErrClosed}
	}
	select {
	case a := <-answer:
		return a
	case <-ctx.Done():
		return read{err: errors.New("no majority has answered")}
	}
}

// answerReaders has one round after another for all who have come before it began.
func (r *Replica) answerReaders() {
	for {
		var waiting []chan read
		select {
		case a := <-r.readers:
			waiting = append(waiting, a)
		case <-r.draining:
			return
		}
		runtime.Gosched() // those who were answered together ask together
		for more := true; more; {
			select {
			case a := <-r.readers:
				waiting = append(waiting, a)
			default:
				more = false
			}
		}
		a := r.round()
		for _, w := range waiting {
			w <- a
		}
	}
}

// round finds an index for readers that are waiting now.
func (r *Replica) round() read {
	// A message that got lost must not hold up the readers who come after.
	ctx, cancel := context.WithTimeout(r.life, 2*r.cfg.ElectionTimeout)
	defer cancel()
	if term := r.Leading(); term != 0 {
		return r.confirmed(ctx, term)
	}
	l := r.leader()
	if l.ID == "" || l.ID == r.cfg.ID {
		return read{err: errors.New("there is no leader")}
	}
	index, err := r.askIndex(ctx, l)
	return read{index, err}
}

// commitIndex is the newest entry that is known to be on a majority: raft counts this disk in before it has it.
func (r *Replica) commitIndex() uint64 { return min(r.raft.CommitIndex(), r.tail.written()) }

// confirmed answers the commit index, once a majority has said after it was read that it knows no later term. Raft's
// own VerifyLeader is not enough: it counts any answer that comes in, also one that a follower gave long ago, before
// it helped to elect another leader, and that waited in a buffer while this process was stopped.
func (r *Replica) confirmed(ctx context.Context, term uint64) read {
	index := r.commitIndex()
	votes, others := 0, []raft.Server(nil)
	voters := 0
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		switch {
		case s.Suffrage != raft.Voter:
			continue
		case s.ID == raft.ServerID(r.cfg.ID):
			votes++
		default:
			others = append(others, s)
		}
		voters++
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan bool, len(others))
	if votes <= voters/2 {
		for _, s := range others {
			go func() { answers <- r.askTerm(ctx, s, term) }()
		}
	}
	for waiting := len(others); votes <= voters/2; waiting-- {
		if waiting == 0 {
			return read{err: errors.New("no majority confirms this leader")}
		}
		select {
		case yes := <-answers:
			if yes {
				votes++
			}
		case <-ctx.Done():
			return read{err: errors.New("no majority confirms this leader in time")}
		}
	}
	if r.Leading() != term {
		return read{err: ErrNotLeader}
	}
	return read{index: index}
}
