package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// Send appends messages to a queue, all of them or none: at most op.MaxSend with op.MaxTxnBytes together. When
// the error is op.ErrUnknown they may have been sent.
func (q *Queues) Send(ctx context.Context, app, name string, messages ...op.Outgoing) ([]op.Sent, error) {
	r, err := q.store.Queues(ctx, app, fsm.QueueStep{Kind: fsm.Send, Queue: name, Messages: messages})
	if err != nil {
		return nil, coded("send", err)
	}
	sent, err := decodeSent(r)
	return sent, coded("send", err)
}

func decodeSent(r op.Result) ([]op.Sent, error) {
	if len(r.Ops) != 1 {
		return nil, fmt.Errorf("%d results of a step", len(r.Ops))
	}
	sent, err := fsm.DecodeSent(r.Ops[0], r.Revision)
	all := make([]op.Sent, len(sent))
	for i, s := range sent {
		all[i] = op.Sent{ID: fsm.ULID(s.ID), Sequence: s.Sequence, Duplicate: s.Duplicate}
	}
	return all, err
}

// Settlement is what becomes of messages that were received.
type Settlement struct {
	Delete  []string // receipts of messages that are done
	Release []Release
}

// Release has a message received again after a delay.
type Release struct {
	Receipt string
	Delay   time.Duration // 0: at once; at most op.MaxVisibility, and not later than that after its receive
}

// Settled says of each receipt of a Settlement whether it held. One that did not is of a message that was settled, has
// been received again, or whose queue was purged: nothing became of that.
type Settled struct {
	Delete  []bool
	Release []bool
}

// Settle deletes and releases messages in one entry of the log, at most op.MaxReceive. A text that is no receipt is an
// error, and nothing happens.
func (q *Queues) Settle(ctx context.Context, app, name string, s Settlement) (done Settled, err error) {
	steps, err := steps(name, s)
	if err != nil {
		return done, coded("settle", err)
	}
	if len(steps) == 0 {
		return done, nil
	}
	r, err := q.store.Queues(ctx, app, steps...)
	if err == nil && len(r.Ops) != len(steps) {
		err = fmt.Errorf("%d results of %d steps", len(r.Ops), len(steps))
	}
	if err != nil {
		return done, coded("settle", err)
	}
	if len(s.Delete) > 0 {
		done.Delete = fsm.Settled(r.Ops[0], len(s.Delete))
	}
	if len(s.Release) > 0 {
		done.Release = fsm.Settled(r.Ops[len(r.Ops)-1], len(s.Release))
	}
	return done, nil
}

func steps(name string, s Settlement) (steps []fsm.QueueStep, err error) {
	if len(s.Delete) > 0 {
		step := fsm.QueueStep{Kind: fsm.DeleteTaken, Queue: name, Receipts: make([]fsm.Receipt, len(s.Delete))}
		for i, text := range s.Delete {
			if step.Receipts[i], err = parseReceipt(text); err != nil {
				return nil, err
			}
		}
		steps = append(steps, step)
	}
	if len(s.Release) > 0 {
		step := fsm.QueueStep{Kind: fsm.DelayTaken, Queue: name, Receipts: make([]fsm.Receipt, len(s.Release))}
		for i, r := range s.Release {
			if step.Receipts[i], err = parseReceipt(r.Receipt); err != nil {
				return nil, err
			}
			step.Receipts[i].Delay = r.Delay
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// Delete deletes messages that were received: see Settle.
func (q *Queues) Delete(ctx context.Context, app, name string, receipts ...string) (held []bool, err error) {
	done, err := q.Settle(ctx, app, name, Settlement{Delete: receipts})
	return done.Delete, err
}

// Release changes when messages can be received again, sooner or later: see Settle.
func (q *Queues) Release(ctx context.Context, app, name string, releases ...Release) (held []bool, err error) {
	done, err := q.Settle(ctx, app, name, Settlement{Release: releases})
	return done.Release, err
}
