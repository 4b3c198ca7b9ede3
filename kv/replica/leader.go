package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Leader is who leads. ID is empty when nobody is known to.
type Leader struct {
	ID      string
	Address string
}

// Leader answers who leads as far as this replica knows, and a channel that is closed when that may have changed.
func (r *Replica) Leader() (l Leader, changed <-chan struct{}) {
	changed = r.leaders.next()
	return r.leader(), changed
}

func (r *Replica) leader() Leader {
	address, id := r.raft.LeaderWithID()
	return Leader{string(id), string(address)}
}

// Leading answers the term in which this replica leads and has applied everything from before it; 0: it does not.
func (r *Replica) Leading() (term uint64) {
	term = r.leading.Load()
	if term == 0 || r.raft.State() != raft.Leader || r.raft.CurrentTerm() != term {
		return 0
	}
	return term
}

// followLeaders keeps leading up to date and says when who leads has changed.
func (r *Replica) followLeaders() {
	seen := make(chan raft.Observation, 1)
	observer := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	r.raft.RegisterObserver(observer)
	defer r.raft.DeregisterObserver(observer)
	defer r.leading.Store(0)
	var last string // who led last, as far as known
	for {
		select {
		case leads := <-r.raft.LeaderCh():
			r.leading.Store(0)
			if leads {
				r.establish()
			}
		case <-seen:
		case <-r.draining:
			return
		}
		if l := r.leader(); l.ID != "" && l.ID != last {
			// What was asked of another one may never be answered, if it stands still or is cut off.
			r.calls.keepOnly(r.addressOf(l.ID, l.Address))
			last = l.ID
		}
		r.leaders.send()
	}
}

// establish makes this leader ready: it has applied what earlier leaders committed once it has applied a mark of its
// own, an entry without a command. Every later index of this term is one that machines are told of, so that Wait
// needs no other sign.
func (r *Replica) establish() {
	term, applied := r.raft.CurrentTerm(), r.machine.Applied()
	if err := r.raft.Apply(nil, 0).Error(); err != nil {
		r.log.Info("lead", "term", term, "err", err)
		return
	}
	if err := r.storage.holds(applied, term); err != nil {
		r.fail(fmt.Errorf("lead: %w", err))
		return
	}
	if r.Err() == nil {
		r.leading.Store(term)
	}
}

// soleVoter says whether the group has this replica as its only voter.
func (r *Replica) soleVoter() bool {
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		if (s.ID == raft.ServerID(r.cfg.ID)) != (s.Suffrage == raft.Voter) {
			return false
		}
	}
	return len(r.Servers()) > 0
}

// Servers answers the members of the group as this replica knows them.
func (r *Replica) Servers() []Server {
	var servers []Server
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		servers = append(servers, Server{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return servers
}

// AddVoter adds a member, makes a reader a voter, or changes a member's address. Only the leader can: else the error
// is ErrNotLeader. It returns when the group has agreed; the new member may lack entries yet. A voter that cannot be
// reached counts as one that is down.
func (r *Replica) AddVoter(ctx context.Context, id, address string) error {
	return r.change(ctx, "add voter", func(timeout time.Duration) raft.Future {
		return r.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(address), 0, timeout)
	})
}

// AddReader adds a member without a vote, or changes its address; a voter stays one. Else it is as AddVoter.
func (r *Replica) AddReader(ctx context.Context, id, address string) error {
	return r.change(ctx, "add reader", func(timeout time.Duration) raft.Future {
		return r.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(address), 0, timeout)
	})
}

// DemoteVoter makes a voter a reader; one that is none already is no error. A leader that demotes itself steps down once
// the group has agreed. Only the leader can: else the error is ErrNotLeader. The last voter cannot be demoted.
func (r *Replica) DemoteVoter(ctx context.Context, id string) error {
	return r.change(ctx, "demote voter", func(timeout time.Duration) raft.Future {
		return r.raft.DemoteVoter(raft.ServerID(id), 0, timeout)
	})
}

// RemoveServer removes a member; one that is not there is no error. A leader that removes itself steps down. Only the
// leader can: else the error is ErrNotLeader.
func (r *Replica) RemoveServer(ctx context.Context, id string) error {
	return r.change(ctx, "remove server", func(timeout time.Duration) raft.Future {
		return r.raft.RemoveServer(raft.ServerID(id), 0, timeout)
	})
}

// TransferLeadership has another voter lead, the one whose log is newest, and returns when this replica has stepped
// down. Only the leader can: else the error is ErrNotLeader.
func (r *Replica) TransferLeadership(ctx context.Context) error {
	return r.change(ctx, "transfer leadership", func(time.Duration) raft.Future { return r.raft.LeadershipTransfer() })
}

// changeTimeout bounds how long a change waits for the one before it.
const changeTimeout = 10 * time.Second

// change runs what raft does in its own time, and waits for it until ctx ends; what was begun may still happen then.
func (r *Replica) change(ctx context.Context, what string, begin func(timeout time.Duration) raft.Future) error {
	if err := r.enter(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	done := make(chan error, 1)
	go func() {
		defer r.tasks.Done()
		done <- begin(changeTimeout).Error()
	}()
	select {
	case err := <-done:
		return changeError(what, err)
	case <-ctx.Done():
		return unavailable(fmt.Errorf("%s: %w: %w", what, op.ErrUnknown, context.Cause(ctx)))
	}
}

func changeError(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader):
		err = ErrNotLeader
	case errors.Is(err, raft.ErrLeadershipLost):
		err = fmt.Errorf("%w: %w", op.ErrUnknown, err)
	}
	return abi.WithCode(abi.Unavailable, fmt.Errorf("%s: %w", what, err))
}

// enter begins a task that needs a running raft; the caller ends it with r.tasks.Done.
func (r *Replica) enter() error {
	r.entering.Lock()
	defer r.entering.Unlock()
	if err := r.usable(); err != nil {
		return err
	}
	r.tasks.Add(1)
	return nil
}

// Stats is what a replica looks like from outside.
type Stats struct {
	State         string // Follower, Candidate, Leader, Shutdown
	Term          uint64
	FirstIndex    uint64 // of the log; 0: it is empty
	LastIndex     uint64 // of the log
	CommitIndex   uint64 // newest entry that is known to be on a majority
	Applied       uint64 // newest entry in the machine
	Durable       uint64 // newest entry that is in the machine after a power loss
	SnapshotIndex uint64 // newest entry that may be gone from the log
	LastContact   time.Duration
	Removed       bool // see Replica.Removed
}

// Stats answers the replica's state. LastContact is how long ago the leader was heard of, 0 on the leader itself.
func (r *Replica) Stats() Stats {
	s := Stats{
		State: r.raft.State().String(), Term: r.raft.CurrentTerm(),
		LastIndex: r.raft.LastIndex(), CommitIndex: r.commitIndex(),
		Applied: r.machine.Applied(), Durable: r.machine.Durable(),
		SnapshotIndex: r.storage.snapshots.index(), LastContact: r.lastContact(),
		Removed: r.Removed(),
	}
	if first, err := r.storage.logs.FirstIndex(); err == nil {
		s.FirstIndex = first
	}
	return s
}

func (r *Replica) lastContact() time.Duration {
	last := r.raft.LastContact()
	if r.raft.State() == raft.Leader || last.IsZero() {
		return 0
	}
	return time.Since(last)
}
