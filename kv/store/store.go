// Package store keeps the state of a replicated log on disk, in Badger in managed mode. It knows bytes and indices
// only: Apply gives it what the entry of an index changes, a View reads the state as it was after an index, and a
// snapshot carries the state of one index to another node or into a file. Its main type is Store.
//
// Nothing is durable when Apply returns: the log, which is, is read again. What the store guarantees instead is the
// watermark of Durable: everything up to it survives a loss of power. After any stop a store opens at its
// watermark, shows nothing above it, and is given the entries from there on once more.
//
// All methods of Store may be called concurrently.
package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// ErrAhead is why ViewAt cannot read at an index: it is not applied yet.
var ErrAhead = errors.New("index is not applied yet")

// Config says where a store is. The zero value is not useful: it needs Dir or InMemory.
type Config struct {
	Dir      string                // directory, made with mode 0700 when absent; one process at a time
	InMemory bool                  // for tests: nothing on disk, gone on Close; every index counts as durable
	Log      *slog.Logger          // nil: no log
	Metrics  prometheus.Registerer // nil: no metrics; what is registered goes again on Close

	// Passed answers the index below which a view holds none of the keys that were written as fsm.Write.Passing. Nil:
	// what was written so stays on disk.
	Passed func(fsm.View) (index uint64, err error)

	// Free answers how many bytes are free on a directory's disk. Nil: what the system says.
	Free func(dir string) (uint64, error)
}

// Store is an open store. Make one with Open.
type Store struct {
	dir     *directory // nil: in memory
	log     *slog.Logger
	metrics *metrics
	engine  atomic.Pointer[engine] // replaced by Restore

	options  func(dir string) badger.Options
	free     func(dir string) (uint64, error) // free bytes on a directory's disk
	commitAt func(*badger.Txn, uint64) error  // commits at an index
	syncFile func(path string) error          // makes a file's content durable
	passed   func(fsm.View) (uint64, error)   // Config.Passed

	writing sync.Mutex // held by Apply, Restore and Close; guards what follows
	closed  bool
	engines uint64 // number of the newest engine

	syncing chan struct{}                // holds a token while the watermark or the engine changes
	failed  atomic.Pointer[engineFailed] // why no further change is possible

	closing chan struct{}  // closed when Close begins
	retired sync.WaitGroup // engines that Restore replaced and somebody still reads
}

// engineFailed is the engine's error after which what it holds is unknown.
type engineFailed struct{ err error }

// Open opens the store in cfg.Dir, or makes it. A directory that is in use, cannot be written, holds another
// program's database or comes from a newer Sett is an error that says so; one that an older Sett wrote is a
// *MigrationError.
func Open(cfg Config) (*Store, error) {
	return openWith(cfg, func(o badger.Options) badger.Options { return o })
}

// openWith lets tests tune the engine.
func openWith(cfg Config, tune func(badger.Options) badger.Options) (*Store, error) {
	if (cfg.Dir == "") == !cfg.InMemory {
		return nil, errors.New("open store: give either a directory or InMemory")
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		log:      log,
		options:  func(dir string) badger.Options { return tune(engineOptions(dir, log)) },
		free:     cfg.Free,
		commitAt: func(txn *badger.Txn, index uint64) error { return txn.CommitAt(index, nil) },
		syncFile: syncFile,
		passed:   cfg.Passed,
		syncing:  make(chan struct{}, 1),
		closing:  make(chan struct{}),
	}
	if s.free == nil {
		s.free = freeBytes
	}
	if err := s.open(cfg); err != nil {
		return nil, fmt.Errorf("open store %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func (s *Store) open(cfg Config) (err error) {
	var rec record
	if !cfg.InMemory {
		if s.dir, rec, err = openDirectory(cfg.Dir); err != nil {
			return err
		}
		if s.engines, err = engineNumber(rec.Engine); err != nil {
			return errors.Join(err, s.dir.close())
		}
	}
	e, err := openEngine(s.dir.engineDir(rec.Engine), rec.Durable, s.options)
	if err == nil && s.dir != nil && (rec.Durable == 0 || rec.Format != layoutFormat) {
		// It may be new: a record that names it must find it after a power loss. An older Sett must not.
		if err = syncAll(e.dir); err == nil {
			err = s.dir.write(rec)
		}
	}
	if err == nil {
		s.engine.Store(e)
		s.metrics, err = newMetrics(cfg.Metrics, s)
	}
	if err != nil {
		if e != nil {
			err = errors.Join(err, e.close())
		}
		return errors.Join(err, s.dir.close())
	}
	return nil
}

// Applied answers the newest index that views read at. After opening it is Durable.
func (s *Store) Applied() uint64 { return s.engine.Load().horizon.newest() }

// Durable answers the watermark: the newest index of which is known that it, and all before it, survive a loss of
// power. The log may be cut up to it and no further.
func (s *Store) Durable() uint64 { return s.engine.Load().horizon.watermark() }

// Close waits for running calls, makes all that is applied durable and closes the store. Later calls of any method
// that can fail answer op.ErrClosed, those of open views too.
//
// Below MinFreeBytes of free disk it answers abi.NoSpace and leaves the engine as the end of the process would: what
// that writes as it closes would be a fault. Only another process can open the directory then.
func (s *Store) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed {
		return closedError("close store")
	}
	s.closed = true
	s.metrics.unregister()
	close(s.closing)
	s.retired.Wait()
	e := s.engine.Load()
	if err := s.checkSpace(MinFreeBytes); err != nil {
		e.gate.close()
		return errors.Join(fmt.Errorf("close store: %w", err), s.dir.close())
	}
	applied := e.horizon.newest() // nothing grows any more
	if err := e.close(); err != nil {
		return errors.Join(fmt.Errorf("close store: %w", err), s.dir.close())
	}
	var err error
	if s.dir != nil && s.failed.Load() == nil {
		err = s.dir.write(record{Engine: e.name(), Durable: applied})
	}
	if err = errors.Join(err, s.dir.close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// fail refuses all further changes: what the engine holds above the watermark is unknown.
func (s *Store) fail(what string, err error) {
	s.failed.CompareAndSwap(nil, &engineFailed{err})
	s.log.Error(what, "err", err)
}

// usable answers why the store cannot change any more, or nil.
func (s *Store) usable() error {
	if f := s.failed.Load(); f != nil {
		return coded(abi.Unavailable, "an earlier change failed, restart the node", f.err)
	}
	return nil
}

func closedError(what string) error { return coded(abi.Unavailable, what, op.ErrClosed) }

// coded gives an error a code and says what was being done.
func coded(code abi.Code, what string, err error) error {
	return abi.WithCode(code, fmt.Errorf("%s: %w", what, err))
}
