package replica

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
)

// Limits of what is proposed.
const (
	// MaxCommandBytes is the size of one command: a transaction of the largest size with room for its envelope. A
	// larger one makes every node's memory and log grow with it.
	MaxCommandBytes = 4 << 20
	// MaxReplyBytes is the size of a reply that can be sent to a follower. A command with a larger one takes effect,
	// and its proposer on a follower gets op.ErrUnknown.
	MaxReplyBytes = 16 << 20

	maxBatchCommands = 4096    // commands in an entry: a revision has room for so many positions
	maxBatchBytes    = 1 << 20 // commands in an entry, together; a single larger one goes alone. More costs latency
	maxEntries       = 64      // entries proposed and not yet applied; more take memory, fewer hold up who is far away
	maxAppendEntries = 16      // entries in a message to a follower: at most 64 MiB, as a rule far below 1 MiB
)

// entryPause is how long commands wait for the entry before theirs to be applied. A longer one makes fewer and larger
// entries while that takes long, as between members that are far apart; without any, everything that is proposed at
// once comes in entries of a few commands, and writes of many clients are half as fast.
const entryPause = 10 * time.Millisecond

// Limits of the log.
const (
	segmentBytes = 8 << 20 // of a log file, allocated at once. Smaller ones rotate more often

	// Entries at the log's end that stay in memory, for the members that do not have them yet and for applying them.
	// More take up to 4 MiB each; fewer are read from the disk, which every one would be three times.
	cachedEntries = 4

	// A snapshot lets the log forget; it is due after so much. More makes starts and disk usage grow, less makes
	// followers that were away for a while need the whole state.
	snapshotEntries = 16384
	snapshotBytes   = 64 << 20
	// What stays in the log behind a snapshot.
	trailingEntries = 8192
	trailingBytes   = 32 << 20
)

// retryPause is how long to wait before asking again who leads; a change of leader ends it early.
const retryPause = 20 * time.Millisecond

// Server is a member of the group.
type Server struct {
	ID      string
	Address string
	Voter   bool // else a reader: it has the state but no vote
}

// Config says what a replica is. ID, Machine, Pack and Dir or InMemory are required.
type Config struct {
	ID       string // of this node, never used by another one; a node that lost its disk gets a new one
	Dir      string // for the log and the note of the last snapshot; made with mode 0700. One process at a time
	InMemory bool   // for tests: no log on disk, so the machine must start empty

	Machine Machine
	// Pack makes an entry of 1 to 4096 commands. It is called by one goroutine at a time and does not keep commands.
	Pack func(commands [][]byte) []byte
	// Admit answers why this node, as the leader, takes no entry of commands now, wherever they come from. The error goes
	// to their proposers with its code. As long as there is one, no snapshot is sent or received either: it is on the disk
	// of Dir meanwhile. Nil: all are taken.
	Admit func() error

	// Transport reaches the others; Close closes it. Nil: there are no others.
	Transport Transport
	// Resolve answers the address of a member. Nil: addresses are those in the group's configuration.
	Resolve func(id string) (address string, err error)
	// Bootstrap is the group's first members, used when Dir is empty; the same list on each of them. Nil: the
	// replica waits until a leader adds it.
	Bootstrap []Server

	// HeartbeatTimeout is how long a follower hears nothing before it stands for election, ElectionTimeout how long
	// an election may take. Shorter ones replace a dead leader sooner and a slow one needlessly. Default 300 ms.
	HeartbeatTimeout, ElectionTimeout time.Duration
	// LeaseTimeout is how long a leader leads without hearing of a majority. At most HeartbeatTimeout. Default 250 ms.
	LeaseTimeout time.Duration
	// CommitTimeout is how long a follower may not know of a commit when nothing follows it. Shorter costs messages
	// on an idle group. Default 10 ms.
	CommitTimeout time.Duration
	// RetryFor is how long a command is proposed again after an attempt whose outcome is unknown; the machine must
	// know commands it has seen for longer. Default 10 s.
	RetryFor time.Duration

	Log     *slog.Logger          // nil: no log
	Metrics prometheus.Registerer // nil: no metrics; what is registered goes again on Close

	limits limits                            // of tests
	disk   func(raft.LogStore) raft.LogStore // of tests: the log on a disk with faults
}

// limits are those a test makes reachable.
type limits struct {
	snapshotEntries, trailingEntries uint64
	segmentBytes                     int
}

func (c Config) withDefaults() Config {
	c.HeartbeatTimeout = cmp.Or(c.HeartbeatTimeout, 300*time.Millisecond)
	c.ElectionTimeout = cmp.Or(c.ElectionTimeout, c.HeartbeatTimeout)
	c.LeaseTimeout = cmp.Or(c.LeaseTimeout, c.HeartbeatTimeout*5/6)
	c.CommitTimeout = cmp.Or(c.CommitTimeout, 10*time.Millisecond)
	c.RetryFor = cmp.Or(c.RetryFor, 10*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Transport == nil {
		c.Transport = newAlone(c.ID)
	}
	if c.limits == (limits{}) {
		c.limits = limits{snapshotEntries, trailingEntries, segmentBytes}
	}
	return c
}

// Validate names every fault.
func (c Config) Validate() error {
	var faults []error
	refuse := func(bad bool, text string) {
		if bad {
			faults = append(faults, errors.New(text))
		}
	}
	refuse(c.ID == "" || len(c.ID) > maxIDBytes, fmt.Sprintf("ID must have 1 to %d bytes", maxIDBytes))
	refuse((c.Dir == "") == !c.InMemory, "give either Dir or InMemory")
	refuse(c.Machine == nil, "Machine is missing")
	refuse(c.Pack == nil, "Pack is missing")
	refuse(c.InMemory && c.Machine != nil && c.Machine.Applied() != 0, "InMemory needs an empty machine")
	return errors.Join(faults...)
}

// raftConfig is the same for bootstrap and for running.
func (r *Replica) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(r.cfg.ID)
	c.HeartbeatTimeout = r.cfg.HeartbeatTimeout
	c.ElectionTimeout = r.cfg.ElectionTimeout
	c.LeaderLeaseTimeout = r.cfg.LeaseTimeout
	c.CommitTimeout = r.cfg.CommitTimeout
	c.MaxAppendEntries = maxAppendEntries
	c.ShutdownOnRemove = false // the owner closes
	c.TrailingLogs = r.cfg.limits.trailingEntries
	c.SnapshotThreshold = 1 << 62 // compactLog decides
	c.NoSnapshotRestoreOnStart = true
	c.NoLegacyTelemetry = true
	c.Logger = raftLog(r.untilClosed())
	return c
}
