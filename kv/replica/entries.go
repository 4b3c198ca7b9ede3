package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// errSkipped answers a proposal whose index the machine had already passed.
var errSkipped = errors.New("the machine is ahead of the log")

// entries gives the log's committed entries to the machine: raft's view of it. Its methods that raft calls run one
// at a time, except Persist.
type entries struct {
	replica *Replica
	machine Machine
	applied uint64 // newest entry in the machine
	count   uint64 // entries since the last snapshot
	bytes   uint64 // their size

	// Held shared while the machine is read or flushed, and alone while it is restored.
	restoring sync.RWMutex
}

var _ raft.BatchingFSM = (*entries)(nil)

// Apply is not called: raft prefers ApplyBatch.
func (e *entries) Apply(log *raft.Log) any { return e.ApplyBatch([]*raft.Log{log})[0] }

// ApplyBatch answers for each entry its replies, or why it was not applied, once all are on this disk. It is also told of changes of the
// group's configuration, which a reader may wait for.
func (e *entries) ApplyBatch(logs []*raft.Log) []any {
	if err := e.replica.tail.await(logs[len(logs)-1].Index); err != nil {
		e.replica.fail(err)
	}
	answers := make([]any, len(logs))
	for i, l := range logs {
		replies, err := e.apply(l)
		if answers[i] = replies; err != nil {
			answers[i] = err
		}
	}
	if e.replica.Err() == nil {
		e.replica.progress.advance(logs[len(logs)-1].Index)
	}
	if l := e.replica.cfg.limits; e.count >= l.snapshotEntries || e.bytes >= snapshotBytes {
		select {
		case e.replica.compact <- struct{}{}:
		default:
		}
	}
	return answers
}

func (e *entries) apply(l *raft.Log) ([][]byte, error) {
	if err := e.replica.Err(); err != nil {
		return nil, err
	}
	e.count++
	e.bytes += uint64(len(l.Data))
	if l.Type == raft.LogConfiguration {
		e.replica.membership.agreed(l.Index, raft.DecodeConfiguration(l.Data))
	}
	if l.Type != raft.LogCommand || len(l.Data) == 0 {
		return nil, nil // a change of configuration, or a new leader's mark
	}
	if l.Index <= e.applied {
		return nil, errSkipped
	}
	replies, err := e.machine.Apply(l.Index, l.Data)
	if err != nil {
		err = fmt.Errorf("apply entry %d: %w", l.Index, err)
		e.replica.fail(err)
		return nil, err
	}
	e.applied = l.Index
	return replies, nil
}

// Snapshot notes what a snapshot covers. It holds no data: see the package's comment.
func (e *entries) Snapshot() (raft.FSMSnapshot, error) {
	if err := e.replica.Err(); err != nil {
		return nil, err
	}
	size := note{entries: e.count, bytes: e.bytes}
	e.count, e.bytes = 0, 0
	e.replica.keepTrailing(size)
	return &point{entries: e, applied: e.applied}, nil
}

// note is how much of the log a snapshot lets go.
type note struct{ entries, bytes uint64 }

// point is a snapshot that raft takes: an index that the machine must have made durable.
type point struct {
	entries *entries
	applied uint64
}

// Persist returns when the machine has flushed all the snapshot covers, since raft drops the log right after.
func (p *point) Persist(s raft.SnapshotSink) error {
	e := p.entries
	e.restoring.RLock()
	defer e.restoring.RUnlock()
	if durable := e.machine.Durable(); durable < p.applied {
		var err error
		if durable, err = e.machine.Sync(e.replica.life); err != nil {
			return fmt.Errorf("flush machine: %w", err)
		}
		if durable < p.applied {
			return fmt.Errorf("flush machine: durable up to %d, want %d", durable, p.applied)
		}
	}
	s.(*sink).local(p.applied)
	e.replica.metrics.snapshots.WithLabelValues("taken").Inc()
	return nil
}

// Release does nothing: a point holds nothing.
func (p *point) Release() {}

// A stream is one byte for its version, the index of the machine's state, and the state.
const (
	streamVersion    = 1
	streamHeaderSize = 9
)

// writeTo writes the machine's state as a stream. It is called while other nodes need it.
func (e *entries) writeTo(w io.Writer, atLeast uint64) error {
	e.restoring.RLock()
	defer e.restoring.RUnlock()
	s, err := e.machine.Snapshot()
	if err != nil {
		return fmt.Errorf("read machine: %w", err)
	}
	defer s.Close()
	if s.Index() < atLeast {
		return fmt.Errorf("read machine: it stands at %d, want %d", s.Index(), atLeast)
	}
	header := binary.BigEndian.AppendUint64([]byte{streamVersion}, s.Index())
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := s.WriteTo(w); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// Restore gives a received stream to the machine, unless that has as much already, and then makes the snapshot this
// replica's own.
func (e *entries) Restore(stream io.ReadCloser) error {
	if err := e.replica.Err(); err != nil {
		return err
	}
	if err := e.restore(stream); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := e.replica.storage.snapshots.adopt(e.applied); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	e.count, e.bytes = 0, 0
	e.replica.know()
	e.replica.progress.advance(e.applied)
	e.replica.metrics.snapshots.WithLabelValues("installed").Inc()
	return nil
}

func (e *entries) restore(stream io.Reader) error {
	var header [streamHeaderSize]byte
	if _, err := io.ReadFull(stream, header[:]); err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	if header[0] != streamVersion {
		return fmt.Errorf("snapshot has version %d, this node reads %d", header[0], streamVersion)
	}
	e.restoring.Lock()
	defer e.restoring.Unlock()
	if index := binary.BigEndian.Uint64(header[1:]); index <= e.applied {
		if e.machine.Durable() >= e.applied {
			return nil
		}
		_, err := e.machine.Sync(e.replica.life)
		return err
	}
	if err := e.machine.Restore(stream); err != nil {
		if errors.Is(err, ErrUnfit) {
			e.replica.fail(fmt.Errorf("restore: %w", err))
		}
		return err
	}
	e.applied = e.machine.Applied()
	return nil
}
