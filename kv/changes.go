package kv

import (
	"context"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// Changes answers changes, as this node has them: as soon as there is one, or none when Follow.Wait is over. An error is
// op.ErrCompacted when some of what was asked for is kept no more, and Oldest is where to go on; op.ErrClosed; or ctx's.
func (s *Store) Changes(ctx context.Context, namespace string, f op.Follow) (c op.Changes, err error) {
	since := fsm.Since{Namespace: namespace, Prefix: f.Prefix, After: f.After, Limit: watchedChanges}
	if err = op.ValidateNamespace(namespace); err == nil {
		err = op.ValidatePrefix(f.Prefix)
	}
	waiting, cancel := context.WithTimeout(ctx, f.Wait)
	defer cancel()
	for err == nil {
		var index uint64
		if c.Changes, index, err = s.changes(&since); err != nil {
			break
		}
		c.Next, c.Newest = since.After, fsm.LastRevision(index)
		if len(c.Changes) > 0 || waiting.Err() != nil {
			break
		}
		if c.Next >= c.Newest {
			err = s.machine.waitAfter(waiting, index)
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return op.Changes{}, withCode("changes", fmt.Errorf("prefix %.80q: %w", f.Prefix, err))
	}
	return c, nil
}

// Oldest answers the newest revision whose changes this node has forgotten: those after it can be asked for.
func (s *Store) Oldest() (uint64, error) {
	view, err := s.state.View()
	if err != nil {
		return 0, withCode("oldest", err)
	}
	defer view.Close()
	p, err := fsm.ReadProgress(view)
	return p.Compacted, withCode("oldest", err)
}

// KeepPrevious has the changes of a namespace keep the value before from now on, or no more. It takes the disk of one
// more value for each overwritten one, as long as changes are kept. op.ErrUnavailable says that the group does not have
// feature level 3 yet. When it is so already nothing is written.
func (s *Store) KeepPrevious(ctx context.Context, namespace string, keep bool) (err error) {
	defer s.metrics.wrote("keep_previous", time.Now(), &err)
	c := fsm.Command{Kind: fsm.KeepPrevious, Namespace: namespace, Keep: keep}
	if err = c.Validate(); err != nil {
		return withCode("keep previous values", err)
	}
	var keeps bool
	err = s.read(ctx, op.Read{}, func(m moment) (err error) {
		keeps, err = fsm.Keeps(m, namespace)
		return err
	})
	if err == nil && keeps != keep {
		_, err = s.propose(ctx, c)
	}
	return withCode("keep previous values", err)
}
