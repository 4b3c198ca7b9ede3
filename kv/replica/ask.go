package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// forward has the leader propose a command.
func (r *Replica) forward(ctx context.Context, l Leader, command []byte) outcome {
	answer, err := r.calls.call(ctx, r.addressOf(l.ID, l.Address), askPropose, command)
	if err != nil {
		return outcome{err: err}
	}
	index, reply, err := parseIndex(answer)
	return outcome{reply: reply, index: index, err: err}
}

// answerPropose is the leader's side of forward. It never forwards: the follower looks again for the leader.
func (r *Replica) answerPropose(ctx context.Context, command []byte) ([]byte, error) {
	if err := r.usable(); err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	if r.Leading() == 0 {
		return nil, fmt.Errorf("%w: %w", errRefused, ErrNotLeader)
	}
	r.metrics.proposals.Inc()
	o := r.propose(ctx, command)
	if o.err != nil {
		return nil, o.err
	}
	if len(o.reply) > MaxReplyBytes {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", errSpent, len(o.reply), MaxReplyBytes)
	}
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(o.reply)), o.index), o.reply...), nil
}

// askIndex has the leader answer an index for a reader here.
func (r *Replica) askIndex(ctx context.Context, l Leader) (uint64, error) {
	answer, err := r.calls.call(ctx, r.addressOf(l.ID, l.Address), askReadIndex, nil)
	if err != nil {
		return 0, err
	}
	index, _, err := parseIndex(answer)
	return index, err
}

func (r *Replica) answerReadIndex(ctx context.Context) ([]byte, error) {
	if r.Leading() == 0 {
		return nil, fmt.Errorf("%w: %w", errRefused, ErrNotLeader)
	}
	a := r.join(ctx)
	return binary.BigEndian.AppendUint64(nil, a.index), a.err
}

// askTerm says whether a voter knows of no later term than term.
func (r *Replica) askTerm(ctx context.Context, s raft.Server, term uint64) bool {
	answer, err := r.calls.call(ctx, r.addressOf(string(s.ID), string(s.Address)), askTermOf, []byte(s.ID))
	if err != nil {
		return false
	}
	theirs, _, err := parseIndex(answer)
	return err == nil && theirs <= term
}

// answerTerm answers only for this node: another one may have had its address before.
func (r *Replica) answerTerm(id []byte) ([]byte, error) {
	if string(id) != r.cfg.ID {
		return nil, fmt.Errorf("%w: this is not %.*q", errRefused, maxIDBytes, id)
	}
	if r.Err() != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, errors.New("this replica has failed"))
	}
	return binary.BigEndian.AppendUint64(nil, r.raft.CurrentTerm()), nil
}

// addressOf is where a member is now.
func (r *Replica) addressOf(id, address string) string {
	if r.cfg.Resolve != nil {
		if now, err := r.cfg.Resolve(id); err == nil {
			return now
		}
	}
	return address
}
