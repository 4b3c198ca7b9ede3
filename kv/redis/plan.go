package redis

import (
	"context"
	"errors"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// plan is what a command asks of the store. Either the step is known from its arguments alone, or decide makes it of
// the items of keys; then it changes nothing unless these items are still the same.
type plan struct {
	step
	keys   []string
	light  bool // decide does not look at values
	decide func(items []op.Item) step
}

// step is a transaction, or a part of one, and how it is answered.
type step struct {
	checks    []op.Check // none together with plan.keys
	ops       []op.Op
	divisible bool // more than op.MaxOps ops are done in several transactions

	// answer writes the reply when ops are done; results has one for each.
	answer func(w *writer, results []op.OpResult)

	// refused writes the reply when one of checks fails.
	refused func(w *writer)
}

// joinable says that the step can be done in one transaction with others, and alone when that fails.
func (p *plan) joinable() bool {
	return p.decide == nil && len(p.checks) == 0 && len(p.ops) > 0 && len(p.ops) <= op.MaxOps
}

// sizeBytes is what the ops weigh in a transaction.
func (s *step) sizeBytes() (sum int) {
	for i := range s.ops {
		sum += len(s.ops[i].Key) + len(s.ops[i].Value)
	}
	return sum
}

// perform does a command's plan by itself and writes its reply.
func (c *conn) perform(ctx context.Context, cmd *command, p *plan) {
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Timeout)
	defer cancel()
	if p.decide == nil {
		c.performStep(ctx, &p.step)
		return
	}
	read := c.session()
	if cmd.flags&writes != 0 {
		read.Consistency = op.Strong // what it decides not to change, too, holds everywhere
	}
	for range MaxAttempts {
		items, _, err := c.fetch(ctx, look{p.keys, p.light, read})
		if err != nil {
			c.failRead(err)
			return
		}
		s := p.decide(items)
		for _, i := range items {
			s.checks = append(s.checks, op.Check{Key: i.Key, Revision: i.Revision})
		}
		if len(s.ops) == 0 {
			s.answer(&c.out, nil)
			return
		}
		results, err := c.commit(ctx, s.checks, s.ops)
		if err == nil {
			s.answer(&c.out, results)
			return
		}
		if !errors.Is(err, op.ErrConflict) {
			c.failWrite(err)
			return
		}
	}
	c.out.fail(errContended)
}

// performStep does a step that is known.
func (c *conn) performStep(ctx context.Context, s *step) {
	var results []op.OpResult
	for ops := s.ops; len(ops) > 0; {
		part := ops
		if s.divisible {
			part = ops[:min(len(ops), op.MaxOps)]
		}
		r, err := c.commit(ctx, s.checks, part)
		switch {
		case errors.Is(err, op.ErrConflict) && s.refused != nil:
			s.refused(&c.out)
			return
		case err != nil:
			c.failWrite(tooLong(err, part))
			return
		}
		ops, results = ops[len(part):], append(results, r...)
	}
	s.answer(&c.out, results)
}

// tooLong tells an Append that makes a value too long in Redis's words.
func tooLong(err error, ops []op.Op) error {
	if errors.Is(err, op.ErrTooLarge) && len(ops) == 1 && ops[0].Kind == op.Append {
		return errStringSize
	}
	return err
}

// waiting is a command of a pipeline whose step is done together with those that follow it.
type waiting struct {
	cmd   *command
	step  step
	start time.Time
}

// join puts a command's step off until settle, as long as it fits in a transaction with those that wait already.
func (c *conn) join(ctx context.Context, cmd *command, s step, start time.Time) {
	size := s.sizeBytes()
	if c.waitingOps+len(s.ops) > op.MaxOps || c.waitingBytes+size > op.MaxTxnBytes {
		c.settle(ctx)
	}
	c.waiting = append(c.waiting, waiting{cmd, s, start})
	c.waitingOps += len(s.ops)
	c.waitingBytes += size
}

// settle does the steps that wait, in their order: in one transaction, or when that fails for what one of them is,
// one by one. So a client that sends many writes at once waits for the disk once.
func (c *conn) settle(ctx context.Context) {
	if len(c.waiting) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.server.config.Timeout)
	defer cancel()
	group := c.waiting
	c.waiting, c.waitingOps, c.waitingBytes = c.waiting[:0], 0, 0
	defer clear(group)
	if len(group) == 1 || !c.settleTogether(ctx, group) {
		for i := range group {
			c.out.failed = false
			c.performStep(ctx, &group[i].step)
			group[i].cmd.count(&c.out, group[i].start)
			c.relieve()
		}
	}
}

// settleTogether answers false, and nothing to the client, when the steps have to be done one by one.
func (c *conn) settleTogether(ctx context.Context, group []waiting) bool {
	var ops []op.Op
	for i := range group {
		ops = append(ops, group[i].step.ops...)
	}
	results, err := c.commit(ctx, nil, ops)
	if err != nil && ownFault(err) {
		return false
	}
	for i := range group {
		c.out.failed = false
		if n := len(group[i].step.ops); err == nil {
			group[i].step.answer(&c.out, results[:n])
			results = results[n:]
		} else {
			c.failWrite(err)
		}
		group[i].cmd.count(&c.out, group[i].start)
	}
	return true
}

// session is how the connection reads: at least as new as anything this server has answered.
func (c *conn) session() op.Read { return op.Read{Seen: c.server.seen.Load()} }

// look is what is to be read: the items of keys, or when light only what is known of them besides their values.
type look struct {
	keys  []string
	light bool
	read  op.Read
}

// fetch answers the items in the order of the keys. They are read in as many parts as the store's limits make of
// them; those of one part are as they were at one moment.
func (c *conn) fetch(ctx context.Context, l look) (items []op.Item, parts int, err error) {
	size := 0
	for most := op.MaxGets; len(items) < len(l.keys); parts++ {
		part := l.keys[len(items):]
		part = part[:min(most, len(part))]
		got, err := c.server.config.Store.GetMany(ctx, c.app, part, l.read)
		switch {
		case errors.Is(err, op.ErrTooLarge) && len(part) > 1:
			most = len(part) / 2
			continue
		case err != nil:
			return nil, parts, err
		}
		for i := range got {
			c.server.saw(got[i].Revision)
			if l.light {
				got[i].Value = nil
			}
			size += len(got[i].Value)
		}
		if size > MaxReplyBytes {
			return nil, parts, errReplySize
		}
		items = append(items, got...)
	}
	return items, parts, nil
}

func (c *conn) commit(ctx context.Context, checks []op.Check, ops []op.Op) ([]op.OpResult, error) {
	r, err := c.server.config.Store.Commit(ctx, op.Txn{Namespace: c.app, Checks: checks, Ops: ops})
	if err != nil {
		return nil, err
	}
	c.server.saw(r.Revision)
	return r.Ops, nil
}

func (c *conn) failRead(err error) {
	told, expected := describeRead(err)
	c.failWith(told, expected, err)
}

func (c *conn) failWrite(err error) {
	told, expected := describe(err)
	c.failWith(told, expected, err)
}
