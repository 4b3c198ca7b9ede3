package kv

import (
	"context"
	"fmt"
	"iter"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// watchedChanges is how many changes of a namespace a watch looks at before it lets go of its view of the store.
const watchedChanges = 1000

// Watch yields the changes of a namespace's keys that start with prefix: those with a higher revision than after,
// oldest first and by whole transactions, and then new ones as this node learns of them, until ctx ends. After 0
// means from the call on. An error ends it: op.ErrCompacted when changes that were asked for are kept no more, or
// op.ErrClosed. That ctx ends is none.
func (s *Store) Watch(ctx context.Context, namespace, prefix string, after uint64) iter.Seq2[op.Change, error] {
	if after == 0 {
		after = fsm.LastRevision(s.state.Applied())
	}
	return func(yield func(op.Change, error) bool) {
		since := fsm.Since{Namespace: namespace, Prefix: prefix, After: after, Limit: watchedChanges}
		err := op.ValidateNamespace(namespace)
		if err == nil {
			err = op.ValidatePrefix(prefix)
		}
		for err == nil && ctx.Err() == nil {
			var changes []op.Change
			var index uint64
			if changes, index, err = s.changes(&since); err != nil {
				break
			}
			for _, c := range changes {
				if !yield(c, nil) {
					return
				}
			}
			if since.After >= fsm.LastRevision(index) {
				err = s.machine.waitAfter(ctx, index)
			}
		}
		if err != nil {
			yield(op.Change{}, withCode("watch", fmt.Errorf("prefix %.80q: %w", prefix, err)))
		}
	}
}

// changes answers the next changes and the index of the state they were read in, and moves since behind them.
func (s *Store) changes(since *fsm.Since) (changes []op.Change, index uint64, err error) {
	view, err := s.state.View()
	if err != nil {
		return nil, 0, err
	}
	defer view.Close()
	changes, since.After, err = fsm.Changes(view, *since)
	return changes, view.Index(), err
}
