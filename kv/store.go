// Package kv is the node's store: keys with values and revisions, in namespaces, changed by transactions that
// happen whole or not at all. Its main type is Store, over Badger in managed mode: the commit timestamp is the
// index of the change, so that a replicated log can later give it.
//
// When Commit returns without an error, the change is on disk and every later read sees it. A read sees one
// moment of the store. All methods of Store may be called concurrently.
package kv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Sizes of the engine below. A transaction must fit in 15 % of a memtable (op.MaxTxnBytes and its overhead in
// 16 MiB does); a larger memtable takes memory, a larger cache answers more reads without the disk.
const (
	memtableBytes   = 16 << 20
	memtables       = 3
	blockCacheBytes = 16 << 20
	valueLogBytes   = 2 << 20 // never used: see maxEntryBytes
)

// Limits of the store besides those of package op.
const (
	MaxListBytes     = 256 << 20 // keys and values one List may answer; it holds them in memory
	MinFreeBytes     = 64 << 20  // free disk space below which Commit refuses: the engine dies of a full disk
	maxNamespaceSize = 63        // bytes of a namespace's name
)

// Config says where a store is. The zero value is not useful: it needs Dir or InMemory.
type Config struct {
	Dir      string                // directory, made with mode 0700 when absent; one process at a time
	InMemory bool                  // for tests: nothing on disk, gone on Close
	Log      *slog.Logger          // nil: no log
	Metrics  prometheus.Registerer // nil: no metrics; what is registered goes again on Close
}

// Store is an open store. Make one with Open.
type Store struct {
	db      *badger.DB
	horizon *horizon
	metrics *metrics
	log     *slog.Logger

	dir       string                           // empty: in memory
	free      func(dir string) (uint64, error) // free bytes on dir's disk
	listBytes int                              // MaxListBytes
	commitAt  func(*badger.Txn, uint64) error  // commits at an index

	life   sync.RWMutex // guards closed; held shared while an operation runs
	closed bool

	mu     sync.Mutex // serialises commits; guards failed
	failed error      // why no further commit is possible
}

// Open opens the store in cfg.Dir, or makes it. A directory that is in use, cannot be written or comes from a
// newer Sett is an error that says so.
func Open(cfg Config) (*Store, error) {
	if (cfg.Dir == "") == !cfg.InMemory {
		return nil, errors.New("open store: give either a directory or InMemory")
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if !cfg.InMemory {
		if err := prepareDir(cfg.Dir); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	return openEngine(cfg, log, engineOptions(cfg, log))
}

func openEngine(cfg Config, log *slog.Logger, options badger.Options) (*Store, error) {
	db, err := badger.OpenManaged(options)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", cfg.Dir, explainOpen(err))
	}
	s := &Store{db: db, log: log, dir: cfg.Dir, free: freeBytes, listBytes: MaxListBytes, commitAt: commitAt}
	index, err := readLayout(db)
	if err == nil {
		s.horizon = newHorizon(index)
		s.metrics, err = newMetrics(cfg.Metrics, s)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", cfg.Dir, err), db.Close())
	}
	return s, nil
}

// Close waits for running operations and closes the store. Later calls of any method answer op.ErrClosed.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return coded(abi.Unavailable, "close store", op.ErrClosed)
	}
	s.closed = true
	s.metrics.unregister()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// enter holds the store open for one operation; the caller calls s.life.RUnlock when it answered nil.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return op.ErrClosed
	}
	return nil
}

func engineOptions(cfg Config, log *slog.Logger) badger.Options {
	o := badger.DefaultOptions(cfg.Dir).
		WithInMemory(cfg.InMemory).
		WithLogger(engineLog{log}).
		WithSyncWrites(!cfg.InMemory).
		WithNumVersionsToKeep(1).
		WithDetectConflicts(false). // commits are serialised by our mutex
		WithMetricsEnabled(false).  // they are process-wide; ours are not
		WithMemTableSize(memtableBytes).
		WithNumMemtables(memtables).
		WithBlockCacheSize(blockCacheBytes).
		WithValueLogFileSize(valueLogBytes).
		WithNumCompactors(2)
	if cfg.InMemory {
		// Compactors tick, which keeps a bubble of virtual time from resting; without them level 0 must not stall.
		o = o.WithNumCompactors(0).WithNumLevelZeroTablesStall(1 << 30)
	}
	return o
}

// prepareDir makes dir, whole path, and sees that files can be made in it, before the engine's less clear errors.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("directory %s cannot be written: %w", dir, err)
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	if parent, openErr := os.Open(filepath.Dir(dir)); openErr == nil {
		err = errors.Join(err, parent.Sync(), parent.Close()) // dir's own entry survives a power loss
	}
	return err
}

// coded gives an error of package op its code and says what was being done.
func coded(code abi.Code, what string, err error) error {
	return abi.WithCode(code, fmt.Errorf("%s: %w", what, err))
}
