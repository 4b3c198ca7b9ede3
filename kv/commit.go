package kv

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

// Commit applies t whole when all its checks hold, once, and answers what it did. It is durable on a majority when
// Commit returns. A failed check answers op.ErrConflict and changes nothing; so do op.ErrRange, op.ErrNotInteger and
// op.ErrQuota. op.ErrTooLarge and op.ErrInvalid name what and which limit; abi.NoSpace says that the leader's disk is
// full.
// op.ErrUnknown says that ctx ended, or the group was lost, while it was under way: it may have happened, or happen
// yet, once.
func (s *Store) Commit(ctx context.Context, t op.Txn) (result op.Result, err error) {
	defer s.metrics.wrote("commit", time.Now(), &err)
	if err = t.Validate(); err == nil {
		result, err = s.propose(ctx, fsm.Command{Kind: fsm.Transact, Namespace: t.Namespace, Checks: t.Checks, Ops: t.Ops})
	}
	return result, withCode("commit", err)
}

// SetQuota limits a namespace from now on. What it holds already stays, also above the quota.
func (s *Store) SetQuota(ctx context.Context, namespace string, q op.Quota) (err error) {
	defer s.metrics.wrote("set_quota", time.Now(), &err)
	c := fsm.Command{Kind: fsm.SetQuota, Namespace: namespace, Quota: q}
	if err = c.Validate(); err == nil {
		_, err = s.propose(ctx, c)
	}
	return withCode("set quota", err)
}

// maxCrowded is how often a command is tried that found its entry full of what others do. Each try is in another
// entry, so that more would only hide a fault.
const maxCrowded = 8

// propose has the group do a command.
func (s *Store) propose(ctx context.Context, c fsm.Command) (result op.Result, err error) {
	if err := ctx.Err(); err != nil {
		return op.Result{}, err
	}
	for range maxCrowded {
		var o fsm.Outcome
		if o, err = s.proposeOnce(ctx, c); err != nil {
			return op.Result{}, err
		}
		if result, err = o.Result(); !errors.Is(err, op.ErrUnavailable) {
			break
		}
	}
	return result, err
}

// proposeOnce has the group do a command once, however often the group's changes have it proposed.
func (s *Store) proposeOnce(ctx context.Context, c fsm.Command) (fsm.Outcome, error) {
	c.Request = s.requests.next()
	reply, _, err := s.replica.Propose(ctx, c.Append(nil))
	if err != nil {
		return fsm.Outcome{}, err
	}
	return fsm.DecodeOutcome(reply)
}

// requests names the requests of a store between Open and Close: 8 random bytes, which no other has, and a number. The
// names of requests that come together lie together in the state, where they are found, and put, with less search.
type requests struct {
	prefix [8]byte
	number atomic.Uint64
}

func newRequests() *requests {
	r := &requests{}
	rand.Read(r.prefix[:]) // never fails: crypto/rand ends the process instead
	return r
}

func (r *requests) next() (name fsm.Request) {
	copy(name[:], r.prefix[:])
	binary.BigEndian.PutUint64(name[len(r.prefix):], r.number.Add(1))
	return name
}
