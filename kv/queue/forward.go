package queue

import (
	"context"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// Forward copies messages that were received from a queue to others, and deletes them: each message in one entry of
// the log with all its copies, unless those are more than fsm.MaxMoveBytes or fsm.MaxForwardTo. Then the entry of the
// last copies deletes it; a stop before that has it received, and copied, again. Copies keep the message's id. A
// message whose receipt does not hold any more is left alone.
func (q *Queues) Forward(ctx context.Context, app, name string, forwardings ...op.Forwarding) error {
	load := newLoad(name)
	for _, f := range forwardings {
		receipt, err := parseReceipt(f.Message.Receipt)
		if err != nil {
			return coded("forward", err)
		}
		size := fsm.CopyBytes(f.Message)
		most := max(1, min(fsm.MaxForwardTo, fsm.MaxMoveBytes/size))
		for to := f.To; ; to = to[most:] {
			part := to[:min(most, len(to))]
			receipt.Keep = len(part) < len(to)
			if !load.fits(part, size) {
				if err := q.deliver(ctx, app, load); err != nil {
					return err
				}
				load = newLoad(name)
			}
			load.add(receipt, part, size)
			if !receipt.Keep {
				break
			}
		}
	}
	return q.deliver(ctx, app, load)
}

func (q *Queues) deliver(ctx context.Context, app string, l *load) error {
	if len(l.step.Receipts) == 0 {
		return nil
	}
	_, err := q.store.Queues(ctx, app, l.step)
	return coded("forward", err)
}

// load is what one step forwards.
type load struct {
	step  fsm.QueueStep
	index map[string]int // in step.To
	size  int            // bytes of copies
}

func newLoad(name string) *load {
	return &load{step: fsm.QueueStep{Kind: fsm.Forward, Queue: name}, index: make(map[string]int)}
}

// fits says whether a message of a size can be forwarded to queues, too. An empty load takes any that can be at all.
func (l *load) fits(to []string, size int) bool {
	names := len(l.step.To)
	for _, name := range to {
		if _, known := l.index[name]; !known {
			names++
		}
	}
	return len(l.step.Receipts) == 0 || len(l.step.Receipts) < op.MaxReceive && names <= fsm.MaxForwardTo &&
		l.size+size*len(to) <= fsm.MaxMoveBytes
}

func (l *load) add(r fsm.Receipt, to []string, size int) {
	r.To = make([]int, len(to))
	for i, name := range to {
		at, known := l.index[name]
		if !known {
			at = len(l.step.To)
			l.index[name] = at
			l.step.To = append(l.step.To, name)
		}
		r.To[i] = at
	}
	l.size += size * len(to)
	l.step.Receipts = append(l.step.Receipts, r)
}
