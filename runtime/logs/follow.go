package logs

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// follower is one running Follow.
type follower struct {
	query Query
	wake  chan struct{} // holds one token when there is something to take

	mu      sync.Mutex // guards what follows
	waiting []entry
	bytes   int
	dropped int
}

// offer hands over a line without waiting.
func (f *follower) offer(e entry) {
	if !f.query.matches(&e.line) {
		return
	}
	f.mu.Lock()
	if len(f.waiting) < maxBuffered && f.bytes < maxBufferBytes {
		f.waiting = append(f.waiting, e)
		f.bytes += e.size()
	} else {
		f.dropped++
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// take answers what waits, and how many lines were dropped after it.
func (f *follower) take() (entries []entry, dropped int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	entries, dropped = f.waiting, f.dropped
	f.waiting, f.bytes, f.dropped = nil, 0, 0
	return entries, dropped
}

// Follow yields what Read answers, and then each new line that matches until ctx or Logs ends. A reader that falls
// more than 1,024 lines or 1 MiB behind loses lines, and is told how many by a platform line.
func (l *Logs) Follow(ctx context.Context, q Query) iter.Seq[abi.Line] {
	return func(yield func(abi.Line) bool) {
		f := &follower{query: q, wake: make(chan struct{}, 1)}
		if !l.attach(f) {
			yield(notice(q, fmt.Sprintf("not followed: %d readers follow already", maxFollowers)))
			return
		}
		defer l.detach(f)
		past := l.find(q)
		shown := make(map[uint64]bool, len(past)) // lines written since f was attached may be in both
		for _, e := range past {
			shown[e.order] = true
			if !yield(e.line) {
				return
			}
		}
		for l.await(ctx, f) {
			entries, dropped := f.take()
			for _, e := range entries {
				if !shown[e.order] && (len(past) == 0 || e.order > past[0].order) && !yield(e.line) {
					return
				}
			}
			l.metrics.skipped.Add(float64(dropped))
			if dropped > 0 && !yield(notice(q, fmt.Sprintf("%d lines dropped: this reader is too slow", dropped))) {
				return
			}
		}
	}
}

// await reports whether there is something to take, or that the end has come.
func (l *Logs) await(ctx context.Context, f *follower) bool {
	select {
	case <-ctx.Done():
		return false
	default:
	}
	select {
	case <-f.wake:
		return true
	case <-ctx.Done():
		return false
	case <-l.stop:
		return false
	}
}

func notice(q Query, message string) abi.Line {
	return abi.Line{Time: time.Now().UTC().Round(0), App: q.App, Function: q.Function, Invocation: q.Invocation,
		Stream: abi.StreamPlatform, Level: "WARN", Message: message}
}

func (l *Logs) attach(f *follower) bool {
	l.followMu.Lock()
	defer l.followMu.Unlock()
	old := *l.followers.Load()
	if len(old) == maxFollowers {
		return false
	}
	next := append(slices.Clone(old), f)
	l.followers.Store(&next)
	return true
}

func (l *Logs) detach(f *follower) {
	l.followMu.Lock()
	defer l.followMu.Unlock()
	next := slices.DeleteFunc(slices.Clone(*l.followers.Load()), func(g *follower) bool { return g == f })
	l.followers.Store(&next)
}
