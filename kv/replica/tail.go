package replica

import (
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// errNotWritten is why entries at the log's end have no outcome: the disk did not take them before the replica closed.
var errNotWritten = errors.New("the log's end could not be written")

// tail is the log, whose newest commands a leader sends to the others while its own disk still writes them, instead of
// before. Raft believes them to be on this disk and counts them for it. So nobody may learn of a commit beyond what is:
// the machine waits for it (entries.ApplyBatch), others are told of no more (bounded), ReadIndex answers no more. What
// is committed for everybody is thus on the disks of a majority, as ever.
//
// All else is on disk when raft is told so: changes of configuration, the first entry of a leader, whatever a follower
// appends, and what a follower compares with its leader's messages (GetLog).
type tail struct {
	raft.LogStore // what is written
	onTop         func() bool
	log           *slog.Logger
	changed       *broadcast
	from          atomic.Uint64 // first entry that is not written; none has MaxUint64

	mu      sync.Mutex // guards the rest
	waiting []*raft.Log
	err     error // of the last attempt to write
	gaveUp  bool  // no further attempt is made

	wake     chan struct{} // 1 slot
	draining <-chan struct{}
	done     chan struct{} // closed when the writer has ended
	end      chan struct{}
}

// newTail makes a log of one. onTop says whether this replica leads others, and is called by raft's goroutines. Once
// draining is closed a write that fails is not tried again.
func newTail(store raft.LogStore, onTop func() bool, draining <-chan struct{}, log *slog.Logger) *tail {
	t := &tail{
		LogStore: store, onTop: onTop, log: log, changed: newBroadcast(), draining: draining,
		wake: make(chan struct{}, 1), done: make(chan struct{}), end: make(chan struct{}),
	}
	t.from.Store(math.MaxUint64)
	go t.write()
	return t
}

// close writes what waits, if the disk takes it.
func (t *tail) close() error {
	close(t.end)
	<-t.done
	return nil // what is not written has no outcome
}

// written is the newest index that raft may be believed to have committed, as far as this disk is concerned.
func (t *tail) written() uint64 { return t.from.Load() - 1 }

// IsMonotonic says whether the log may have no holes.
func (t *tail) IsMonotonic() bool {
	m, ok := t.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// LastIndex counts what is not written yet.
func (t *tail) LastIndex() (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.waiting); n > 0 {
		return t.waiting[n-1].Index, nil
	}
	return t.LogStore.LastIndex()
}

// GetLog answers an entry, which without the lead must be written: raft compares it with what its leader has, and
// confirms that.
func (t *tail) GetLog(index uint64, l *raft.Log) error {
	if index < t.from.Load() {
		return t.LogStore.GetLog(index, l)
	}
	t.mu.Lock()
	for len(t.waiting) > 0 && index >= t.waiting[0].Index && !t.gaveUp && !t.onTop() {
		t.wait()
	}
	if n := len(t.waiting); n > 0 && index >= t.waiting[0].Index && index <= t.waiting[n-1].Index {
		*l = *t.waiting[index-t.waiting[0].Index]
		t.mu.Unlock()
		return nil
	}
	t.mu.Unlock()
	return t.LogStore.GetLog(index, l)
}

// wait waits for the writer to come further. The caller holds mu.
func (t *tail) wait() {
	changed := t.changed.next()
	t.mu.Unlock()
	<-changed
	t.mu.Lock()
}

// StoreLog appends one entry.
func (t *tail) StoreLog(l *raft.Log) error { return t.StoreLogs([]*raft.Log{l}) }

// StoreLogs appends entries. Those that others can write meanwhile it leaves to the writer.
func (t *tail) StoreLogs(logs []*raft.Log) error {
	if !t.canWait(logs) {
		if err := t.flush(); err != nil {
			return err
		}
		return t.LogStore.StoreLogs(logs)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	if len(t.waiting) == 0 {
		t.from.Store(logs[0].Index)
	}
	t.waiting = append(t.waiting, logs...)
	select {
	case t.wake <- struct{}{}:
	default:
	}
	return nil
}

func (t *tail) canWait(logs []*raft.Log) bool {
	for _, l := range logs {
		if l.Type != raft.LogCommand {
			return false
		}
	}
	return t.onTop()
}

// flush returns when everything is written, or the disk does not take it.
func (t *tail) flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.waiting) > 0 && t.err == nil {
		t.wait()
	}
	return t.err
}

// DeleteRange drops entries.
func (t *tail) DeleteRange(first, last uint64) error {
	if last >= t.from.Load() {
		if err := t.flush(); err != nil {
			return err
		}
	}
	return t.LogStore.DeleteRange(first, last)
}

// await returns when the entry at index is written. Its error says that it will not be.
func (t *tail) await(index uint64) error {
	if index < t.from.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for index >= t.from.Load() {
		if t.gaveUp {
			return errors.Join(errNotWritten, t.err)
		}
		t.wait()
	}
	return nil
}

// write writes what waits, all of it at once, until close. When the disk does not take it, nothing more is accepted, so
// that raft gives up the lead, and the same is tried again: raft counts on it.
func (t *tail) write() {
	defer close(t.done)
	for {
		select {
		case <-t.wake:
		case <-t.end:
			if t.writeWaiting() != nil {
				t.giveUp()
			}
			return
		}
		for t.writeWaiting() != nil {
			select {
			case <-t.draining:
				t.giveUp()
				return
			case <-time.After(retryPause):
			}
		}
	}
}

func (t *tail) writeWaiting() error {
	t.mu.Lock()
	logs := t.waiting
	t.mu.Unlock()
	if len(logs) == 0 {
		return nil
	}
	err := t.LogStore.StoreLogs(logs)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && t.err == nil {
		t.log.Warn("append to log", "err", err)
	}
	if t.err = err; err == nil && len(t.waiting) > len(logs) {
		t.waiting = t.waiting[len(logs):]
		t.from.Store(t.waiting[0].Index)
	} else if err == nil {
		t.waiting = nil
		t.from.Store(math.MaxUint64)
	}
	t.changed.send()
	return err
}

func (t *tail) giveUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gaveUp = true
	t.changed.send()
}

// bounded is raft's transport, which tells others of no commit beyond what this disk has. It has no pipelines: see
// mux.network.
type bounded struct {
	*raft.NetworkTransport
	log *tail
}

// AppendEntries sends a message.
func (b bounded) AppendEntries(id raft.ServerID, to raft.ServerAddress, m *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	m.LeaderCommitIndex = min(m.LeaderCommitIndex, b.log.written())
	return b.NetworkTransport.AppendEntries(id, to, m, answer)
}

// AppendEntriesPipeline refuses.
func (b bounded) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}
