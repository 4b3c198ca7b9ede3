package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sett-run/sett/kv/op"
)

// ErrRemoved says that the group has removed this replica. It gets nothing any more, and should be closed.
var ErrRemoved = errors.New("this node was removed from the group")

// membership is what this replica knows of the newest configuration that the group has agreed on. It differs from
// raft's, which has entries that are not committed.
type membership struct {
	id      string
	changed *broadcast

	mu      sync.Mutex // guards the rest
	index   uint64     // of the configuration; 0: none is known
	members raft.Configuration
	member  bool // this replica is in it
	was     bool // or was in one before
	removed bool
}

func newMembership(id string) *membership { return &membership{id: id, changed: newBroadcast()} }

// agreed takes a configuration that the group has agreed on. Those from before this replica was a member do not say
// that it was removed.
func (m *membership) agreed(index uint64, c raft.Configuration) {
	m.mu.Lock()
	if index >= m.index {
		m.index, m.members, m.member = index, c, contains(c, m.id)
		m.removed = m.was && !m.member
		m.was = m.was || m.member
	}
	m.mu.Unlock()
	m.changed.send()
}

// told takes what another member knows: at index, this replica is none.
func (m *membership) told(index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index > m.index || index == m.index && !m.member {
		m.removed = true
	}
}

func (m *membership) state() (member, removed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.member, m.removed
}

// size is how many members the group has.
func (m *membership) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.members.Servers)
}

// answer says, for another node, which configuration is known and whether the node is in it.
func (m *membership) answer(id string) (index uint64, member bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.index, contains(m.members, id)
}

// Removed says whether the group has removed this replica, as far as it knows: it learns that from the group's log or,
// when no leader speaks to it any more, by asking the others. A replica that nobody has added yet is not removed.
func (r *Replica) Removed() bool {
	_, removed := r.membership.state()
	return removed
}

// know takes the configuration of the newest snapshot, and how far it reaches: its last entries may be none of the machine's,
// and raft never tells of them again.
func (r *Replica) know() {
	if n := r.storage.snapshots.note(); n != nil {
		r.membership.agreed(n.ConfigurationIndex, n.Configuration)
		r.progress.advance(n.Index)
	}
}

// Joined returns when the group has agreed that this replica is a member and the replica knows, or when ctx ends, with
// op.ErrUnavailable. Its error is ErrRemoved at once when the replica was removed.
func (r *Replica) Joined(ctx context.Context) error {
	for {
		changed := r.membership.changed.next()
		if err := r.usable(); err != nil {
			return fmt.Errorf("join group: %w", err)
		}
		member, removed := r.membership.state()
		if removed {
			return unavailable(fmt.Errorf("join group: %w", ErrRemoved))
		}
		if member {
			return nil
		}
		if ctx.Err() != nil {
			return unavailable(fmt.Errorf("join group: %w: nobody has added this node: %w", op.ErrUnavailable, context.Cause(ctx)))
		}
		r.pause(ctx, changed)
	}
}

// askPause is how often a replica that hears of no leader asks whether it was removed, in election timeouts. A removed
// voter that does not know stands for election meanwhile, which the others refuse.
const askPause = 4

// askWhetherRemoved asks the others, while there is no leader.
func (r *Replica) askWhetherRemoved() {
	tick := time.NewTicker(askPause * r.cfg.ElectionTimeout)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.draining:
			return
		}
		if r.leader().ID == "" && r.Err() == nil && !r.Removed() {
			r.askMembers()
		}
	}
}

// askMembers has the other members say whether this replica is one. The newest configuration that any of them knows
// decides.
func (r *Replica) askMembers() {
	ctx, cancel := context.WithTimeout(r.life, r.cfg.ElectionTimeout)
	defer cancel()
	type reply struct {
		index  uint64
		member bool
	}
	servers := r.raft.GetConfiguration().Configuration().Servers
	replies := make(chan reply, len(servers))
	for _, s := range servers {
		go func() {
			if s.ID == raft.ServerID(r.cfg.ID) {
				replies <- reply{}
				return
			}
			index, member := r.askMember(ctx, s)
			replies <- reply{index, member}
		}()
	}
	var newest reply
	for range servers {
		if p := <-replies; p.index > newest.index {
			newest = p
		}
	}
	if newest.index > 0 && !newest.member {
		r.membership.told(newest.index)
		if r.Removed() {
			r.log.Warn("removed from the group", "index", newest.index)
		}
	}
}

// askMember asks a member which configuration it knows and whether this replica is in it; index 0: it cannot say.
func (r *Replica) askMember(ctx context.Context, s raft.Server) (index uint64, member bool) {
	answer, err := r.calls.call(ctx, r.addressOf(string(s.ID), string(s.Address)), askMembership, []byte(r.cfg.ID))
	if err != nil {
		return 0, false
	}
	index, rest, err := parseIndex(answer)
	if err != nil || len(rest) != 1 {
		return 0, false
	}
	return index, rest[0] == 1
}

func (r *Replica) answerMembership(id []byte) []byte {
	index, member := r.membership.answer(string(id))
	answer := binary.BigEndian.AppendUint64(nil, index)
	if member {
		return append(answer, 1)
	}
	return append(answer, 0)
}
