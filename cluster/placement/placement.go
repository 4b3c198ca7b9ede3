// Package placement decides who of a cluster votes. Its one function is Next, which answers the next change of the
// group's configuration. It is pure: the leader asks it whenever something has changed or Step.Again is over, does the
// one step, and asks again. Its guarantees: one change at a time, never below a majority of living voters, nobody
// removed for being dead, and, while nothing else changes, an end, at which 1, 3 or 5 members vote.
package placement

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	// DeadFor is how long a voter is dead until another one takes its place. Shorter ones replace voters that only
	// restart; longer ones leave the group longer with less to spare.
	DeadFor = 30 * time.Second
	// LookAgain is when to ask again at the latest.
	LookAgain = 10 * time.Second
	// MaxVoters is how many vote at most. More survive more losses and make every write slower.
	MaxVoters = 5
)

// Member is what is known of a node.
type Member struct {
	ID     string
	Region string
	Reader bool // it is not to vote
	Gone   bool // it has left or was removed: the group drops it

	InGroup bool // it stands in the group's configuration
	Voter   bool // with a vote there
	// CaughtUp says that it has nearly all of the log. It should not change with every entry that is on its way.
	CaughtUp bool

	Alive bool
	Since time.Time // it has been alive, or dead, for this long
}

// Group is all that is known.
type Group struct {
	Members []Member  // those in the configuration, and those that should be
	Leader  string    // id of the leader, which asks; empty: there is none, and nothing can be done
	Now     time.Time // as Member.Since
}

// Kind says what a Step does.
type Kind string

// Kinds of step.
const (
	None      Kind = "none"
	AddReader Kind = "add_reader" // the member comes into the group
	Promote   Kind = "promote"    // the reader becomes a voter
	Demote    Kind = "demote"     // the voter becomes a reader
	Remove    Kind = "remove"     // the member leaves the group
	Transfer  Kind = "transfer"   // the leader, whose ID it is, has another voter lead; ask that one again
)

// Step is what to do now.
type Step struct {
	Kind  Kind
	ID    string        // of the member; empty for None
	Again time.Duration // when to ask again though nothing has changed: at once after a step
}

// Next answers the one step that g needs next.
//
// As many vote as there are members that may: 1 of fewer than 3, 3 of 3 or 4, else 5, dead ones included. Those are
// chosen who live, spread over regions; then the leader, those who vote already, and the lowest id of those who have
// caught up. A voter counts as dead after DeadFor; a reader must live and have caught up to be promoted, and is waited for that as long. For a
// better spread alone a reader is promoted only after it has lived that long.
func Next(g Group) Step {
	p := newPlan(g)
	if g.Leader == "" || !majority(len(p.voters), p.living) {
		return p.wait()
	}
	for _, m := range p.members {
		switch {
		case m.Gone && m.InGroup && !m.Voter:
			return Step{Kind: Remove, ID: m.ID}
		case !m.Gone && !m.InGroup && m.Alive:
			return Step{Kind: AddReader, ID: m.ID}
		}
	}
	switch {
	case len(p.voters) > p.wanted:
		return p.shrink()
	case len(p.voters) < p.wanted:
		return p.grow()
	}
	return p.swap()
}

// plan is a group and who should vote in it.
type plan struct {
	Group
	members  []Member // by id
	voters   []Member
	living   int // voters that live
	wanted   int // voters there should be
	chosen   map[string]bool
	promoted []Member // readers that should vote, and can
	demoted  []Member // voters that should not, those first that can best be spared
}

func newPlan(g Group) *plan {
	p := &plan{Group: g, members: slices.SortedFunc(slices.Values(g.Members), func(a, b Member) int {
		return cmp.Compare(a.ID, b.ID)
	})}
	capable, eligible := 0, []Member(nil)
	for _, m := range p.members {
		if m.votes() {
			p.voters = append(p.voters, m)
			if m.Alive {
				p.living++
			}
		}
		if m.Gone || m.Reader || !m.InGroup {
			continue
		}
		capable++
		if m.Voter || m.Alive && (m.CaughtUp || !p.over(m)) {
			eligible = append(eligible, m)
		}
	}
	p.wanted = min(votersOf(capable), votersOf(len(eligible)))
	p.choose(eligible)
	for _, m := range p.members {
		switch {
		case m.votes() && !p.chosen[m.ID]:
			p.demoted = append(p.demoted, m)
		case m.InGroup && !m.Voter && p.chosen[m.ID] && m.CaughtUp:
			p.promoted = append(p.promoted, m)
		}
	}
	slices.SortStableFunc(p.demoted, func(a, b Member) int { return cmp.Compare(p.worth(a), p.worth(b)) })
	return p
}

func (m Member) votes() bool { return m.InGroup && m.Voter }

// over says whether a member has been alive, or dead, for DeadFor.
func (p *plan) over(m Member) bool { return p.Now.Sub(m.Since) >= DeadFor }

// dead says that a member has been dead for so long that it counts as that.
func (p *plan) dead(m Member) bool { return !m.Alive && p.over(m) }

// votersOf answers how many of n members vote: an odd number, since one more of them survives no more losses.
func votersOf(n int) int {
	switch {
	case n < 3:
		return 1
	case n < MaxVoters:
		return 3
	default:
		return MaxVoters
	}
}

// choose picks who should vote, one after the other. When nobody may, the leader goes on.
func (p *plan) choose(eligible []Member) {
	p.chosen = make(map[string]bool)
	if len(eligible) == 0 {
		p.chosen[p.Leader] = true
		return
	}
	regions := make(map[string]int) // voters chosen in each
	for len(p.chosen) < p.wanted {
		best := slices.MinFunc(eligible, func(a, b Member) int {
			return cmp.Or(
				first(p.chosen[b.ID], p.chosen[a.ID]),
				first(!p.dead(a), !p.dead(b)),
				cmp.Compare(regions[a.Region], regions[b.Region]),
				first(a.ID == p.Leader, b.ID == p.Leader),
				first(a.Voter, b.Voter),
				first(a.Alive, b.Alive),
				first(a.CaughtUp, b.CaughtUp),
				cmp.Compare(a.ID, b.ID))
		})
		p.chosen[best.ID] = true
		regions[best.Region]++
	}
}

// first orders what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// worth orders voters that should not vote: the dead go first, the leader last.
func (p *plan) worth(m Member) int {
	switch {
	case m.ID == p.Leader:
		return 3
	case !m.Alive:
		return 0
	case m.Gone:
		return 1
	}
	return 2
}

// majority says whether living voters are more than half of all.
func majority(voters, living int) bool { return living > voters/2 }

// shrink takes a vote away, so long as a majority lives then.
func (p *plan) shrink() Step {
	for _, m := range p.demoted {
		living := p.living
		if m.Alive {
			living--
		}
		if !majority(len(p.voters)-1, living) {
			continue
		}
		switch {
		case m.ID == p.Leader:
			return Step{Kind: Transfer, ID: m.ID}
		case m.Gone:
			return Step{Kind: Remove, ID: m.ID}
		}
		return Step{Kind: Demote, ID: m.ID}
	}
	return p.wait()
}

// grow gives another member a vote, when that leads to an odd number of votes.
func (p *plan) grow() Step {
	missing := 1 + len(p.voters)%2
	if len(p.promoted) < missing {
		return p.wait()
	}
	return Step{Kind: Promote, ID: p.promoted[0].ID}
}

// swap gives a vote to who should have one instead of another; shrink does the rest.
func (p *plan) swap() Step {
	if len(p.demoted) == 0 {
		return p.wait()
	}
	need := slices.ContainsFunc(p.demoted, func(m Member) bool { return p.dead(m) || m.Gone || m.Reader })
	for _, m := range p.promoted {
		if need || p.over(m) {
			return Step{Kind: Promote, ID: m.ID}
		}
	}
	return p.wait()
}

// wait answers no step, until a member has been alive or dead for DeadFor.
func (p *plan) wait() Step {
	again := time.Duration(math.MaxInt64)
	for _, m := range p.members {
		if left := DeadFor - p.Now.Sub(m.Since); left > 0 {
			again = min(again, left)
		}
	}
	return Step{Kind: None, Again: min(again, LookAgain)}
}
