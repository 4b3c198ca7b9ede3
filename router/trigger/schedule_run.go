package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// lease is the right to run one pending invocation. It holds as long as the key has the revision.
type lease struct {
	s    *Scheduler
	key  string
	ctx  context.Context // of the run: ends some time after the scheduler's, or when the lease is lost
	lose context.CancelFunc

	// What follows belongs to run, and while that makes an attempt to renew.
	value    pending
	revision uint64
	lost     bool
}

// start runs what is pending in a goroutine.
func (s *Scheduler) start(ctx context.Context, key string, p known[pending]) {
	s.running[key] = true
	l := &lease{s: s, key: key, value: p.value, revision: p.revision}
	l.ctx, l.lose = s.delivery.linger(ctx)
	s.runs.Go(func() {
		defer l.lose()
		s.done <- l.run(ctx)
	})
}

// run takes the lease, unless it is had already, makes an attempt, and writes what becomes of the invocation. Ctx is the
// scheduler's.
func (l *lease) run(ctx context.Context) ended {
	if l.value.Owner != l.s.self {
		l.value.Owner = l.s.self
		if !l.write(ctx, &l.value) {
			return l.end()
		}
	}
	renewed := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(renewed)
		l.renew(stop)
	}()
	stopRenewing := sync.OnceFunc(func() { close(stop); <-renewed })
	i := l.value.Invocation // its own copy: renew does not see it change
	d := l.s.delivery
	async := d.async(i.App, i.Function)
	o := d.Attempt(l.ctx, &i, AsyncPolicy(async), func(ctx context.Context, o Outcome) error {
		return d.commitWithRecord(ctx, &i, o, async, func(e op.Effects) error {
			stopRenewing()
			return l.commitEffects(ctx, i.App, e)
		})
	})
	d.report(l.ctx, &i, &o, async)
	stopRenewing()
	l.settle(ctx, i, o)
	return l.end()
}

// settle writes how the attempt ended.
func (l *lease) settle(ctx context.Context, i Invocation, o Outcome) {
	if l.lost {
		return
	}
	next := pending{Invocation: i, Owner: l.s.self}
	switch o.Verdict {
	case Interrupted:
		next.Owner = "" // another node goes on at once
	case Again:
		next.NotBefore = time.Now().Add(o.Delay)
	default:
		l.write(ctx, nil)
		return
	}
	l.write(ctx, &next)
}

// renew shows that the invocation runs, three times in a lease, until stop is closed.
func (l *lease) renew(stop <-chan struct{}) {
	t := time.NewTicker(l.s.config.Lease / 3)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			if l.commit(l.ctx, op.Op{Kind: op.Touch, Key: l.key}) != nil && l.lost {
				l.lose()
				return
			}
		}
	}
}

// write writes the pending invocation, or with nil deletes it, and tries until it is done or the lease is lost. When ctx
// ends one more try is made: what is not written then comes back when the lease is over.
func (l *lease) write(ctx context.Context, p *pending) bool {
	o := op.Op{Kind: op.Delete, Key: l.key}
	if p != nil {
		var err error
		if o, err = setOp(l.key, *p); err != nil {
			l.s.delivery.log.Error("write schedule", "err", err)
			return false
		}
	}
	for {
		last := ctx.Err() != nil
		err := l.commit(context.WithoutCancel(ctx), o)
		if err == nil {
			if p != nil {
				l.value = *p
			}
			return true
		}
		if l.lost || last {
			return false
		}
		l.s.delivery.log.Warn("write schedule", "err", err)
		pause(ctx, storePause)
	}
}

// commit does o if the lease holds; if not, it is lost for good.
func (l *lease) commit(ctx context.Context, o op.Op) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	result, err := l.s.config.Store.Commit(ctx, l.s.guarded(l.key, l.revision, o))
	if errors.Is(err, op.ErrConflict) && l.stillOurs(ctx) {
		result, err = l.s.config.Store.Commit(ctx, l.s.guarded(l.key, l.revision, o))
	}
	if err == nil {
		l.revision = result.Revision
		l.lost = o.Kind == op.Delete
	}
	return err
}

// commitEffects does what the invocation asks for and ends it, if the lease holds.
func (l *lease) commitEffects(ctx context.Context, app string, e op.Effects) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	err := l.s.config.Effects.Commit(ctx, app, &e, op.Ending{Record: op.Check{Key: l.key, Revision: l.revision}})
	switch {
	case err == nil:
		l.lost = true // it has ended
	case errors.Is(err, op.ErrConflict), errors.Is(err, op.ErrUnknown):
		l.stillOurs(ctx)
	}
	return err
}

// stillOurs looks at the key after a conflict: the change may be this node's own, whose outcome it was not told.
func (l *lease) stillOurs(ctx context.Context) bool {
	item, err := l.s.config.Store.Get(ctx, op.System, l.key, op.Read{Consistency: op.Strong})
	if err != nil && !errors.Is(err, op.ErrNotFound) {
		return false // the next commit looks again
	}
	var p pending
	if err != nil || json.Unmarshal(item.Value, &p) != nil || p.Owner != l.s.self {
		l.lost = true
		return false
	}
	l.revision = item.Revision
	return true
}

// end says what is left. Of a lease that was lost the watch tells.
func (l *lease) end() ended {
	e := ended{key: l.key, revision: l.revision}
	if !l.lost {
		e.value = &l.value
	}
	return e
}
