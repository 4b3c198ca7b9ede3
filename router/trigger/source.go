package trigger

import (
	"context"

	"github.com/sett-run/sett/kv/op"
)

// Source is a queue that messages are received from. Its methods may be called concurrently. A message that is released
// keeps its receipt until it is received again, so that it can be settled, or its time be changed.
type Source interface {
	// Receive answers at most r.Max messages, as soon as there is one; none when r.Wait is over.
	Receive(ctx context.Context, r op.Receive) ([]op.Message, error)
	// Settle does all that s says in one step. A receipt that does not hold any more is left alone.
	Settle(ctx context.Context, s op.Settlement) error
	// Commit does what an invocation asks for and what s says, all of it or nothing: op.ErrConflict when what it has read
	// has changed, or a message to be deleted is another's meanwhile.
	Commit(ctx context.Context, e op.Effects, s op.Settlement) error
}
