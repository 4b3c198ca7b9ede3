// Package kv is the node's store: keys with values, lives and revisions, in namespaces, changed by transactions that
// happen whole or not at all, on every node. Its main type is Store, which joins three parts: kv/fsm says what a
// transaction does, kv/store keeps the state in Badger, kv/replica carries the log of transactions to every node. One
// node is a group of one on the same code path.
//
// When Commit returns without an error, the change is on the disks of a majority, and every later read sees it that
// asks for it: see op.Consistency. A read sees one moment of the store. All methods of Store may be called
// concurrently.
package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/replica"
	"github.com/sett-run/sett/kv/store"
)

// Directories below Config.Dir.
const (
	stateDir = "state" // kv/store's
	logDir   = "log"   // kv/replica's
)

// Config says where a store is and who its group are. The zero value is not useful: it needs Dir or InMemory.
type Config struct {
	Dir      string // directory, made with mode 0700 when absent; one process at a time
	InMemory bool   // for tests: nothing on disk, gone on Close

	// Group is the node's part in its group: id, transport, members, and the times after which a leader is replaced. The
	// zero value is a group of this node alone, whose id is replica.SoleID; such a directory can be given another id
	// later, once, by opening it with that. Machine, Pack, Admit, Dir, InMemory, Log and Metrics of it
	// are set by Open.
	Group replica.Config

	Log     *slog.Logger          // nil: no log
	Metrics prometheus.Registerer // nil: no metrics; what is registered goes again on Close

	// Of tests: what is free on the disk, and the feature level of a build; 0: this one's.
	free  func(dir string) (uint64, error)
	level uint8
}

// Store is an open store. Make one with Open.
type Store struct {
	log      *slog.Logger
	state    *store.Store
	machine  *machine
	replica  *replica.Replica
	requests *requests
	metrics  *metrics

	stop    context.CancelFunc // of what runs in the background
	running sync.WaitGroup
	closing sync.Once
	closed  error
}

// Open opens the store in cfg.Dir, or makes it. It does not wait for its group, which may have no leader: see CaughtUp.
// Until then local reads, session reads that have seen nothing, Usage and watches answer from the state that is here:
// whole, if old, and that of a new node is empty. Everything else waits for the group.
//
// A directory that is in use, cannot be written, belongs to a node of another id or comes from a newer Sett is an error
// that says so; one from an older Sett is migrated, which is all that ctx bounds. The transport is closed with the
// store, and when Open fails.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, cfg Config) (s *Store, err error) {
	defer func() {
		if err != nil && cfg.Group.Transport != nil {
			cfg.Group.Transport.Close()
		}
	}()
	if (cfg.Dir == "") == !cfg.InMemory {
		return nil, errors.New("give either a directory or InMemory")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if !cfg.InMemory {
		if err := migrate(ctx, cfg); err != nil {
			return nil, err
		}
	}
	return openParts(cfg)
}

func openParts(cfg Config) (*Store, error) {
	states := store.Config{InMemory: cfg.InMemory, Log: cfg.Log, Metrics: cfg.Metrics, Passed: fsm.Passed, Free: cfg.free}
	if !cfg.InMemory {
		states.Dir = filepath.Join(cfg.Dir, stateDir)
	}
	state, err := store.Open(states)
	if err != nil {
		return nil, err
	}
	s := &Store{log: cfg.Log, state: state, machine: newMachine(state, cmp.Or(cfg.level, fsm.Level)), requests: newRequests()}
	if err := s.machine.checkLevel(); err != nil {
		return nil, errors.Join(err, state.Close())
	}
	if s.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, errors.Join(err, state.Close())
	}
	if s.replica, err = replica.Open(group(cfg, s.machine)); err != nil {
		s.metrics.unregister()
		return nil, errors.Join(err, state.Close())
	}
	var background context.Context
	background, s.stop = context.WithCancel(context.Background())
	s.running.Go(func() { s.tickNowAndThen(background) })
	s.running.Go(func() { s.syncNowAndThen(background) })
	return s, nil
}

// group is the replica's configuration.
func group(cfg Config, m *machine) replica.Config {
	g := cfg.Group
	if g.ID == "" {
		g.ID = replica.SoleID
	}
	if g.Transport == nil && g.Bootstrap == nil {
		g.Bootstrap = []replica.Server{{ID: g.ID, Address: g.ID, Voter: true}}
	}
	g.Admit = m.CheckSpace
	g.Machine, g.InMemory, g.Log, g.Metrics = m, cfg.InMemory, cfg.Log, cfg.Metrics
	g.Pack = func(commands [][]byte) []byte { return fsm.AppendEntry(nil, time.Now(), commands...) }
	if !cfg.InMemory {
		g.Dir = filepath.Join(cfg.Dir, logDir)
	}
	return g
}

// CaughtUp returns when this node is a member of its group and has everything that the group acknowledged before the
// call. A node that no leader has added yet waits for that. When ctx ends the error is op.ErrUnavailable, on a node that
// the group has removed replica.ErrRemoved at once.
func (s *Store) CaughtUp(ctx context.Context) error {
	index, err := s.replica.ReadIndex(ctx)
	if err == nil {
		err = s.replica.Wait(ctx, index)
	}
	if err == nil {
		err = s.replica.Joined(ctx)
	}
	return withCode("catch up", err)
}

// CheckSpace answers abi.NoSpace when the disk of the store has so little left that no commands are taken. Whoever writes
// to the same disk asks before.
func (s *Store) CheckSpace() error { return s.state.CheckSpace() }

// Replica is this node's part of the group: who leads, who the members are.
func (s *Store) Replica() *replica.Replica { return s.replica }

// Failed is closed when the store cannot go on: Err says why. It should be closed then.
func (s *Store) Failed() <-chan struct{} { return s.replica.Failed() }

// Err answers why the store cannot go on, or nil.
func (s *Store) Err() error { return s.replica.Err() }

// Close waits for running operations and closes the store. Later calls answer op.ErrClosed; a second Close answers
// what the first did.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.stop()
		s.machine.close()
		s.running.Wait()
		s.closed = errors.Join(s.replica.Close(), s.state.Close())
		s.metrics.unregister()
		if s.closed != nil {
			s.closed = fmt.Errorf("close store: %w", s.closed)
		}
	})
	return s.closed
}

// errClosed is op.ErrClosed for those who wait.
var errClosed = fmt.Errorf("wait for a change: %w", op.ErrClosed)
