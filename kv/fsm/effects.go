package fsm

import (
	"fmt"

	"github.com/sett-run/sett/kv/op"
)

// effects does what an invocation asks for and ends what caused it, all of it or nothing. It has no results: the
// invocation is over.
func (b *batch) effects(revision uint64, c Command) error {
	var settled []op.OpResult
	undo := func() {}
	if len(c.Steps) > 0 {
		var err error
		if settled, undo, err = b.tryQueues(revision, c); err != nil {
			return err
		}
	}
	for i, s := range c.Steps {
		if s.Kind == DeleteTaken && settled[i].Integer != int64(len(s.Receipts)) {
			undo()
			return refuse(fmt.Errorf("queue %s: a message was received by another meanwhile: %w", s.Queue, op.ErrConflict))
		}
	}
	if _, err := b.transact(revision, c); err != nil {
		undo()
		return err
	}
	return nil
}
