package kv

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/kv/store"
)

// machine is what the group keeps equal on every node: the state machine, over the state on disk.
type machine struct {
	*store.Store
	level uint8 // feature level of this build

	clock  atomic.Pointer[clock] // of some entry, as a rule the newest
	queues queueWaits

	mu      sync.Mutex    // guards what follows
	changed chan struct{} // closed at the next change; nil: nobody waits
	closed  bool
}

var _ replica.Machine = (*machine)(nil)

// clock is the leader time of an entry.
type clock struct {
	index uint64
	time  time.Time
}

func newMachine(s *store.Store, level uint8) *machine { return &machine{Store: s, level: level} }

// checkLevel answers fsm.ErrTooNew for a state that goes on in a newer Sett.
func (m *machine) checkLevel() error {
	view, err := m.View()
	if err != nil {
		return err
	}
	defer view.Close()
	p, err := fsm.ReadProgress(view)
	if err == nil && p.Level > m.level {
		err = fmt.Errorf("level %d: %w", p.Level, fsm.ErrTooNew)
	}
	return err
}

// Apply does what an entry of the log says.
func (m *machine) Apply(index uint64, entry []byte) (replies [][]byte, err error) {
	view, err := m.View()
	if err != nil {
		return nil, err
	}
	applied, err := fsm.Apply(view, index, entry, m.level)
	view.Close()
	if err != nil {
		return nil, fmt.Errorf("apply entry %d: %w", index, err)
	}
	if err := m.Store.Apply(index, applied.Writes); err != nil {
		return nil, fmt.Errorf("apply entry %d: %w", index, err)
	}
	m.clock.Store(&clock{index, applied.Time})
	replies = make([][]byte, len(applied.Outcomes))
	for i, o := range applied.Outcomes {
		replies[i] = o.Append(nil)
	}
	m.notify()
	m.queues.wake(applied.Queues)
	return replies, nil
}

// leaderTime answers that of the newest entry in view.
func (m *machine) leaderTime(view *store.View) (time.Time, error) {
	if c := m.clock.Load(); c != nil && c.index == view.Index() {
		return c.time, nil
	}
	p, err := fsm.ReadProgress(view)
	if err != nil {
		return time.Time{}, err
	}
	m.clock.Store(&clock{view.Index(), p.Time})
	return p.Time, nil
}

// Snapshot answers the newest state.
func (m *machine) Snapshot() (replica.Snapshot, error) {
	view, err := m.View()
	if err != nil {
		return nil, err
	}
	return snapshot{view, m.Store}, nil
}

// Restore replaces the state by a snapshot's.
func (m *machine) Restore(r io.Reader) error {
	if err := m.Store.Restore(r); err != nil {
		return err
	}
	if err := m.checkLevel(); err != nil {
		return fmt.Errorf("%w: %w", replica.ErrUnfit, err)
	}
	m.notify()
	m.queues.wakeAll()
	return nil
}

// snapshot is the state at one index.
type snapshot struct {
	view  *store.View
	store *store.Store
}

func (s snapshot) Index() uint64 { return s.view.Index() }

// WriteTo writes the state as Restore reads it.
func (s snapshot) WriteTo(w io.Writer) (int64, error) {
	out := &counted{ctx: context.Background(), w: w}
	err := s.store.WriteSnapshot(out, s.view)
	return out.n, err
}

func (s snapshot) Close() error {
	s.view.Close()
	return nil
}

// next is closed when the state changes from now on, or the store closes.
func (m *machine) next() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed == nil {
		m.changed = make(chan struct{})
		if m.closed {
			close(m.changed)
		}
	}
	return m.changed
}

func (m *machine) notify() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed != nil && !m.closed {
		close(m.changed)
		m.changed = nil
	}
}

// close wakes those who wait.
func (m *machine) close() {
	m.queues.close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed && m.changed != nil {
		close(m.changed)
	}
	m.closed = true
}

// waitAfter returns when the state is not that of index any more, or ctx ends.
func (m *machine) waitAfter(ctx context.Context, index uint64) error {
	for {
		next := m.next()
		m.mu.Lock()
		closed := m.closed
		m.mu.Unlock()
		if closed {
			return errClosed
		}
		if m.Applied() != index {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil
		}
	}
}
