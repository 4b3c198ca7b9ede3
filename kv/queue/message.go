package queue

import (
	"context"
	"fmt"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// Send appends messages to a queue, all of them or none: at most op.MaxSend with op.MaxTxnBytes together. When
// the error is op.ErrUnknown they may have been sent.
func (q *Queues) Send(ctx context.Context, app, name string, messages ...op.Outgoing) ([]op.Sent, error) {
	did, revision, err := q.do(ctx, app, fsm.QueueStep{Kind: fsm.Send, Queue: name, Messages: messages})
	if err != nil {
		return nil, coded("send", err)
	}
	sent, err := fsm.DecodeSent(did, revision)
	all := make([]op.Sent, len(sent))
	for i, s := range sent {
		all[i] = op.Sent{ID: fsm.ULID(s.ID), Sequence: s.Sequence, Duplicate: s.Duplicate}
	}
	return all, coded("send", err)
}

// Settle deletes and releases messages in one entry of the log, at most op.MaxReceive. A text that is no receipt is an
// error, and nothing happens.
func (q *Queues) Settle(ctx context.Context, app, name string, s op.Settlement) (done op.Settled, err error) {
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

func steps(name string, s op.Settlement) (steps []fsm.QueueStep, err error) {
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

// Replace sends messages to a queue and deletes the one that was received with a receipt, both or neither: when the
// receipt does not hold any more, nothing happens.
func (q *Queues) Replace(ctx context.Context, app, name, receipt string, messages ...op.Outgoing) (held bool, err error) {
	taken, err := parseReceipt(receipt)
	if err != nil {
		return false, coded("replace", err)
	}
	r, _, err := q.do(ctx, app, fsm.QueueStep{Kind: fsm.Replace, Queue: name, Receipts: []fsm.Receipt{taken}, Messages: messages})
	return r.Found, coded("replace", err)
}

// Delete deletes messages that were received: see Settle.
func (q *Queues) Delete(ctx context.Context, app, name string, receipts ...string) (held []bool, err error) {
	done, err := q.Settle(ctx, app, name, op.Settlement{Delete: receipts})
	return done.Delete, err
}

// Release changes when messages can be received again, sooner or later: see Settle.
func (q *Queues) Release(ctx context.Context, app, name string, releases ...op.Release) (held []bool, err error) {
	done, err := q.Settle(ctx, app, name, op.Settlement{Release: releases})
	return done.Release, err
}
