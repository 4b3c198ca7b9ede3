package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// receivePause is how long a receive waits before it looks again for what should be visible and was not: the leader's
// clock may be behind this node's.
const receivePause = 50 * time.Millisecond

// Receive takes visible messages, at most op.MaxReceiveBytes of them, for some time. With a Wait it answers as soon as
// there is one; without one by then, or when ctx ends before, it answers none. What is not settled by its Receipt until
// Visible comes again. Once there is something to take, the end of ctx does not keep it from being taken, and answered:
// else it would be invisible and nobody know its receipts.
func (q *Queues) Receive(ctx context.Context, app, name string, r op.Receive) ([]op.Message, error) {
	messages, err := q.receive(ctx, app, name, r)
	return messages, coded("receive", err)
}

func (q *Queues) receive(ctx context.Context, app, name string, r op.Receive) ([]op.Message, error) {
	step := fsm.QueueStep{Kind: fsm.Receive, Queue: name, Limit: max(r.Max, 0), Visibility: r.Visibility}
	if r.Max == 0 {
		step.Limit = 1
	}
	if r.Wait < op.NoWait || r.Wait > op.MaxWait {
		return nil, fmt.Errorf("wait %v is not within 0 and %v: %w", r.Wait, op.MaxWait, op.ErrInvalid)
	}
	if err := (fsm.Command{Kind: fsm.Queues, Namespace: app, Steps: []fsm.QueueStep{step}}).Validate(); err != nil {
		return nil, err
	}
	p := poll{queues: q, name: fsm.QueueName{Namespace: app, Name: name}, step: step}
	start := time.Now()
	changed, forget := q.store.QueueChanged(app, name)
	messages, err := p.first(ctx)
	r.Wait = cmp.Or(r.Wait, p.found.Wait)
	for err == nil && len(messages) == 0 {
		left := time.Until(start.Add(r.Wait))
		if left <= 0 || p.pause(ctx, changed, left) != nil {
			break
		}
		forget()
		changed, forget = q.store.QueueChanged(app, name)
		messages, err = p.again(ctx)
	}
	forget()
	return messages, err
}

// poll is a receive at work.
type poll struct {
	queues *Queues
	name   fsm.QueueName
	step   fsm.QueueStep
	found  fsm.Glance      // of the last look, which costs no entry of the log
	ended  uint64          // receives on this node that had ended before the last look
	freed  <-chan struct{} // not nil: others take all that was found; closed when one of them is done
}

// pause waits until it is worth looking again, at most left. Its error is that ctx has ended.
func (p *poll) pause(ctx context.Context, changed <-chan struct{}, left time.Duration) error {
	timer := time.NewTimer(pauseAfter(p.found, left))
	defer timer.Stop()
	select {
	case <-changed:
	case <-p.freed:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// pauseAfter is how long to wait after a look at a queue, at most left.
func pauseAfter(g fsm.Glance, left time.Duration) time.Duration {
	switch {
	case g.Ready > 0:
		return min(left, receivePause)
	case !g.Next.IsZero():
		return min(left, max(time.Until(g.Next), time.Millisecond))
	}
	return left
}

// first looks at what is here, and when that is nothing, at what the group has.
func (p *poll) first(ctx context.Context) ([]op.Message, error) {
	err := p.look(ctx, op.Local)
	if err == nil && p.found.Ready == 0 || errors.Is(err, op.ErrNoQueue) {
		err = p.look(ctx, op.Strong)
	}
	if err != nil {
		return nil, err
	}
	return p.take(ctx)
}

// again looks at what is here, after a change.
func (p *poll) again(ctx context.Context) ([]op.Message, error) {
	if err := p.look(ctx, op.Local); err != nil {
		return nil, err
	}
	return p.take(ctx)
}

func (p *poll) look(ctx context.Context, c op.Consistency) error {
	p.ended = p.queues.ended.Load()
	return p.queues.read(ctx, p.name.Namespace, c, func(v fsm.View, now time.Time) (err error) {
		p.found, err = fsm.GlanceAt(v, p.name, now)
		return err
	})
}

// takeTime is how long a receive that is under way goes on when its caller waits no more: longer than a group is
// without a leader as a rule.
const takeTime = 5 * time.Second

// take receives what was found, unless others on this node are about to take all of it. When ctx ends meanwhile, it goes
// on for a while.
func (p *poll) take(ctx context.Context) (messages []op.Message, err error) {
	var done func()
	for late := true; late; {
		p.freed = nil
		if p.found.Ready == 0 || ctx.Err() != nil {
			return nil, nil
		}
		if done, p.freed, late = p.queues.claim(p); late {
			if err := p.look(ctx, op.Local); err != nil {
				return nil, err
			}
		}
	}
	if done == nil {
		return nil, nil
	}
	defer done()
	taking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(takeTime, cancel) })()
	return p.takeSome(taking)
}

// takeSome receives until there is something or nothing left to look through.
func (p *poll) takeSome(ctx context.Context) ([]op.Message, error) {
	for {
		did, revision, err := p.queues.do(ctx, p.name.Namespace, p.step)
		if err != nil {
			return nil, err
		}
		receipts, err := fsm.DecodeTaken(did)
		if err != nil {
			return nil, err
		}
		if len(receipts.Taken) > 0 {
			return p.queues.open(ctx, revision, receipts)
		}
		if !receipts.More {
			return nil, nil
		}
	}
}

// open reads the messages that were taken at a revision. One that was purged since is left out.
func (q *Queues) open(ctx context.Context, revision uint64, receipts fsm.Receipts) (messages []op.Message, err error) {
	err = q.store.ReadQueues(ctx, op.Read{Seen: revision}, func(v fsm.View, _ time.Time) (err error) {
		messages, err = fsm.Messages(v, receipts.Taken)
		return err
	})
	if err != nil {
		return nil, err
	}
	kept := messages[:0]
	for i, m := range messages {
		if m.Body != nil {
			m.Receipt, m.Visible = formatReceipt(receipts.Taken[i].Receipt), receipts.Visible
			kept = append(kept, m)
		}
	}
	return kept, nil
}

// claims are the receives of a queue that are under way on this node.
type claims struct {
	asked int64         // messages that they are to take
	freed chan struct{} // closed when one of them is done
}

// claim is called before a receive of what was found. When those under way take all of it, done is nil, so that a message
// is not asked for by everybody who waits; freed is closed when it is worth looking again. Else the caller calls done
// after the receive. Late says that a receive has ended since the look, and may have taken what was found: look again.
func (q *Queues) claim(p *poll) (done func(), freed <-chan struct{}, late bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended.Load() != p.ended {
		return nil, nil, true
	}
	c := q.claims[p.name]
	if c == nil {
		c = &claims{freed: make(chan struct{})}
		q.claims[p.name] = c
	}
	mine := min(int64(p.step.Limit), p.found.Ready-c.asked)
	if mine <= 0 {
		return nil, c.freed, false
	}
	c.asked += mine
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.ended.Add(1)
		close(c.freed)
		c.freed = make(chan struct{})
		if c.asked -= mine; c.asked == 0 {
			delete(q.claims, p.name)
		}
	}, nil, false
}

// Peek answers a queue's messages above a sequence, the oldest first and at most op.MaxPeek, without receiving them: they
// have no Receipt, and Visible is zero, or past, for those that can be received.
func (q *Queues) Peek(ctx context.Context, app, name string, after uint64) (messages []op.Message, err error) {
	err = q.read(ctx, app, op.Strong, func(v fsm.View, _ time.Time) (err error) {
		messages, err = fsm.Peek(v, fsm.QueueName{Namespace: app, Name: name}, after, op.MaxPeek)
		return err
	})
	return messages, coded("peek", err)
}
