package kv

import (
	"context"

	"github.com/sett-run/sett/kv/fsm"
)

// Announce has the other members learn at once of what was acknowledged before the call. They learn of it in any case,
// but when nothing follows it only after replica.Config.CommitTimeout, and up to twice that. It costs an entry, which
// does nothing else that would not be done within tickEvery. Errors are those of Commit.
func (s *Store) Announce(ctx context.Context) error {
	_, err := s.propose(ctx, fsm.Command{Kind: fsm.Tick, Limit: 1})
	return withCode("announce", err)
}
