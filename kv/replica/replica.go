// Package replica keeps copies of a state machine on several nodes equal: hashicorp/raft with raft-wal as its log. It
// knows commands as bytes only. Its main type is Replica; one node is a group of one voter on the same code path.
//
// Guarantees. A command that Propose answers is flushed to disk by a majority, the leader among it, and applied on the
// leader, in one order everywhere. An index that ReadIndex answers covers every command that was answered anywhere before ReadIndex was
// called; whoever has waited for it with Wait reads linearizably from the local machine.
//
// Snapshots. The machine is persistent, so raft's snapshots hold no data of their own: taking one waits until the
// machine has flushed what it holds (Machine.Sync), notes index, term and members in a small file, and drops the log
// below. When a follower needs more than the log holds, the leader writes the machine's data as it is at that moment
// to a temporary file, whose size raft must know, and streams it under the noted index. The data is newer than that
// index, never older; the follower's replay leaves out what its machine already has, which is safe because only
// committed entries are ever in a machine. The follower keeps its old state until the whole stream has arrived and
// Machine.Restore has returned, and only then notes the snapshot as its own.
package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// ErrNotLeader is answered by what only the leader can do.
var ErrNotLeader = errors.New("this replica does not lead")

// ErrBehind says that the machine holds entries that the log has lost, or the log begins after what the machine
// holds: one of the two was removed, replaced or not flushed by the disk. Such a node comes back empty, as a new one.
var ErrBehind = errors.New("log and state do not fit together")

// ErrUnfit is what Machine.Restore answers when it has the new state and cannot go on with it.
var ErrUnfit = errors.New("the machine cannot go on with this state")

// Machine is the state that is replicated. Apply and Restore are called one at a time, and Restore only while no
// other method runs and no Snapshot is open; Applied and Durable may be called at any time.
type Machine interface {
	// Apply does what entry says, as made by Config.Pack, and answers one reply for each command in it. Indices
	// ascend with gaps and never repeat. An error is fatal: the replica applies nothing any more and leaves the
	// group's work to others until it is opened again. The machine does not keep entry.
	Apply(index uint64, entry []byte) (replies [][]byte, err error)
	// Applied is the index of the newest entry in the state. After an unclean stop it may be lower than before, not
	// lower than Durable was: entries after it are applied again.
	Applied() uint64
	// Durable is the index up to which the state survives a power loss.
	Durable() uint64
	// Sync makes durable what is applied when it is called, and answers Durable.
	Sync(ctx context.Context) (uint64, error)
	// Snapshot answers the state at one index, which later entries do not change.
	Snapshot() (Snapshot, error)
	// Restore replaces the state by one that Snapshot wrote. The new state is durable when it returns; after an error
	// the old one stands, but for ErrUnfit, which is as fatal as an error of Apply. Applied answers the snapshot's index
	// afterwards.
	Restore(r io.Reader) error
}

// Snapshot is a machine's state at one index.
type Snapshot interface {
	Index() uint64
	io.WriterTo
	io.Closer
}

// Replica is one node's copy. Make one with Open. All methods may be called concurrently.
type Replica struct {
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	machine  Machine
	raft     *raft.Raft
	running  atomic.Pointer[raft.Raft] // raft once it runs, for what it calls before that
	mux      *mux
	network  *raft.NetworkTransport // on the mux
	calls    *caller
	storage  *storage
	tail     *tail // storage's log, as raft sees it
	entries  *entries
	progress *progress

	membership *membership

	queue    chan *proposal // to the batcher
	readers  chan chan read // to the reader of indices
	compact  chan struct{}  // 1 slot: the log has grown enough for a snapshot
	leading  atomic.Uint64  // term in which this replica leads, once it has applied all that came before; else 0
	leaders  *broadcast     // a change of leader, or of leading
	life     context.Context
	end      context.CancelFunc // ends life: for work that raft starts without a context
	draining chan struct{}      // closed when Close begins
	drained  chan struct{}      // closed when every proposal that was taken has an outcome
	tasks    sync.WaitGroup     // goroutines that need a running raft
	entering sync.Mutex         // between looking at draining and joining tasks
	close    sync.Once
	closed   error // what Close answers

	failOnce sync.Once
	failed   chan struct{} // closed when the machine has failed
	failure  error         // why, once failed is closed
}

// Open opens the replica in cfg.Dir, or makes it, and takes part in its group. The machine must be open; its owner
// closes it, after the replica. The transport is closed with the replica, and when Open fails. Open does not wait for a
// leader.
func Open(cfg Config) (*Replica, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		cfg.Transport.Close()
		return nil, fmt.Errorf("open replica: %w", err)
	}
	r := &Replica{
		cfg: cfg, log: cfg.Log, machine: cfg.Machine,
		progress: newProgress(cfg.Machine.Applied()), membership: newMembership(cfg.ID),
		queue:    make(chan *proposal, maxBatchCommands),
		readers:  make(chan chan read),
		compact:  make(chan struct{}, 1),
		leaders:  newBroadcast(),
		draining: make(chan struct{}), drained: make(chan struct{}), failed: make(chan struct{}),
	}
	r.life, r.end = context.WithCancel(context.Background())
	if err := r.start(); err != nil {
		cfg.Transport.Close()
		return nil, fmt.Errorf("open replica %s: %w", cfg.Dir, err)
	}
	return r, nil
}

// start opens what a replica consists of; on error it closes them again.
func (r *Replica) start() (err error) {
	var opened []func() error
	defer func() {
		if err != nil {
			r.end()
			for i := len(opened) - 1; i >= 0; i-- {
				err = errors.Join(err, opened[i]())
			}
		}
	}()
	if r.storage, err = openStorage(r.cfg, r.machine.Applied(), r.fail); err != nil {
		return err
	}
	opened = append(opened, r.storage.close)
	log := r.storage.logs
	if r.cfg.disk != nil {
		log = r.cfg.disk(log)
	}
	r.tail = newTail(log, r.onTop, r.draining, r.log)
	opened = append(opened, r.tail.close)
	r.entries = &entries{replica: r, machine: r.machine, applied: r.machine.Applied()}
	r.storage.snapshots.entries = r.entries
	r.know()
	r.mux = newMux(r.cfg.Transport, r.untilClosed(), r.serveCall)
	r.calls = newCaller(func(ctx context.Context, address string) (net.Conn, error) {
		return r.mux.dial(ctx, address, streamCalls)
	})
	r.network = r.mux.network(r.cfg.Resolve)
	opened = append(opened, func() error { return r.mux.close(r.network) })
	if r.metrics, err = newMetrics(r.cfg.Metrics, r); err != nil {
		return err
	}
	opened = append(opened, func() error { r.metrics.unregister(); return nil })
	if err := r.storage.bootstrap(r.raftConfig(), r.network, r.cfg.Bootstrap); err != nil {
		return err
	}
	r.raft, err = raft.NewRaft(r.raftConfig(), r.entries, r.tail, r.storage.stable, r.storage.snapshots,
		bounded{r.network, r.tail})
	if err != nil {
		return err
	}
	r.running.Store(r.raft)
	r.metrics.ready.Store(true)
	r.mux.start()
	r.tasks.Go(r.batch)
	r.tasks.Go(r.answerReaders)
	r.tasks.Go(r.followLeaders)
	r.tasks.Go(r.compactLog)
	r.tasks.Go(r.askWhetherRemoved)
	if r.soleVoter() {
		r.electNow()
	}
	return nil
}

// onTop says whether this replica leads others.
func (r *Replica) onTop() bool {
	running := r.running.Load()
	return running != nil && running.State() == raft.Leader && r.membership.size() > 1
}

// electNow spares a group of one the wait for a leader that cannot exist.
func (r *Replica) electNow() {
	r.tasks.Go(func() {
		request := raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}
		self := r.network.LocalAddr()
		if err := r.network.TimeoutNow(raft.ServerID(r.cfg.ID), self, &request, &raft.TimeoutNowResponse{}); err != nil {
			r.log.Debug("elect at once", "err", err) // it is elected after ElectionTimeout then
		}
	})
}

// Close waits for the outcome of what is in flight, leaves the group's work to the others, and closes the transport.
// It does not remove the replica from the group. Calls that wait answer op.ErrClosed.
func (r *Replica) Close() error {
	r.close.Do(func() {
		// Raft must run until every future has its outcome: some of those it holds when it stops never get one.
		r.entering.Lock()
		close(r.draining)
		r.entering.Unlock()
		r.end()
		r.leaders.send()
		r.tasks.Wait()
		stopped := r.raft.Shutdown()
		err := r.mux.cut() // it would wait for answers of those who are not there
		err = errors.Join(err, stopped.Error(), r.mux.close(r.network))
		r.calls.close()
		r.metrics.unregister()
		err = errors.Join(err, r.tail.close(), r.storage.close())
		if err != nil {
			r.closed = fmt.Errorf("close replica: %w", err)
		}
	})
	return r.closed
}

// Failed is closed when the machine has failed; Err says why. The owner closes the replica then.
func (r *Replica) Failed() <-chan struct{} { return r.failed }

// Err answers why the replica does not work: the machine's error, or nil.
func (r *Replica) Err() error {
	select {
	case <-r.failed:
		return r.failure
	default:
		return nil
	}
}

// fail ends the replica's work. Cut off from the others it cannot lead, so that they elect one of them.
func (r *Replica) fail(err error) {
	r.failOnce.Do(func() {
		r.failure = err
		close(r.failed)
		r.log.Error("replica failed", "err", err)
		r.leading.Store(0)
		r.leaders.send()
		r.mux.work.Go(func() {
			if err := r.mux.cut(); err != nil {
				r.log.Warn("cut transport", "err", err)
			}
		})
	})
}

// usable answers why nothing can be asked of the replica any more, with a code.
func (r *Replica) usable() error {
	select {
	case <-r.failed:
		return unavailable(fmt.Errorf("%w: %w", op.ErrClosed, r.failure))
	case <-r.draining:
		return unavailable(op.ErrClosed)
	default:
		return nil
	}
}

func unavailable(err error) error { return abi.WithCode(abi.Unavailable, err) }

// pause waits a moment, or until something changes, before a thing is tried again.
func (r *Replica) pause(ctx context.Context, changed <-chan struct{}) {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timer.C:
	case <-r.draining:
	case <-r.failed:
	}
}

// rest waits, but not for longer than the replica runs.
func (r *Replica) rest(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.life.Done():
	}
}
