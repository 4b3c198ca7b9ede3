package queue

import (
	"context"
	"fmt"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// Commit does what an invocation asks for and ends what caused it, in one entry of the log: all of it, or nothing when
// something it has read has changed, or what caused it is another's meanwhile, which is op.ErrConflict. Nil effects are
// none. When the error is op.ErrUnknown it may have happened; asked again it is a conflict then, if the end is of
// something.
func (q *Queues) Commit(ctx context.Context, app string, e *op.Effects, end op.Ending) error {
	if e == nil {
		e = new(op.Effects)
	}
	var all []fsm.QueueStep
	for _, s := range e.Sends {
		step := fsm.QueueStep{Kind: fsm.Send, Queue: s.Queue, Messages: s.Messages}
		if s.Topic != "" {
			step.Queue = TopicQueue(s.Topic)
		}
		all = append(all, step)
	}
	settling, err := steps(end.Queue, end.Settlement)
	if err != nil {
		return coded("commit effects", err)
	}
	if all = append(all, settling...); len(all) > fsm.MaxSteps {
		return coded("commit effects", fmt.Errorf("%d sends, at most %d are made by an invocation: %w", len(e.Sends), fsm.MaxSteps-2, op.ErrTooLarge))
	}
	return coded("commit effects", q.store.Effects(ctx, app, *e, end, all...))
}
