package store

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/sett-run/sett/kv/op"
)

// Sizes of the engine below. What one index writes should fit in 15 % of a memtable, to be one commit: three times
// op.MaxTxnBytes, as a transaction stands in the state and in the log of changes, and its keys in indices beside.
//
// Measured on linux/amd64: an open engine takes 2 MB more than the process without it, whatever the memtable's size,
// since memory is taken as it is written to: what was written since the last table was made takes its size twice,
// once in pages of the log that the system may take back. 300 MB loaded at full speed left 420 MB live, most of it
// buffers of tables being made, of which the engine had let go all but 125 MB nine seconds later; half of those are
// the memtable.
const (
	memtableBytes = 48 << 20
	memtables     = 2       // that wait to be written out while another one fills
	valueLogBytes = 2 << 20 // never used: see entryBytes
)

// A transaction of op.MaxTxnBytes can be one commit: a constant below zero does not compile.
const _ = uint(memtableBytes*15/100 - 3*op.MaxTxnBytes - 1<<20)

// engine is an open Badger with its indices.
type engine struct {
	db      *badger.DB
	dir     string // empty: in memory
	gate    *gate  // whoever uses db is inside
	horizon *horizon
	passing *passing // nil: in memory
	cache   *cache
	split   map[string]struct{} // keys whose values may have parts; of who holds Store.writing
}

// openEngine opens the engine in dir, in memory when that is empty, at its watermark.
func openEngine(dir string, durable uint64, options func(string) badger.Options) (*engine, error) {
	if dir != "" {
		if err := removeEmptyLogs(dir); err != nil {
			return nil, err
		}
	}
	db, err := badger.OpenManaged(options(dir))
	if err != nil {
		return nil, fmt.Errorf("open engine: %w", err)
	}
	e := &engine{db: db, dir: dir, gate: newGate(), horizon: newHorizon(durable), cache: newCache(cacheSlots, durable), split: findSplit(db)}
	if dir != "" {
		if e.passing, err = openPassing(dir, durable); err != nil {
			return nil, fmt.Errorf("open engine: %w", errors.Join(err, db.Close()))
		}
	}
	return e, nil
}

// close waits for who is inside and closes the engine, after which all that it holds is durable.
func (e *engine) close() error {
	e.gate.close()
	if err := errors.Join(e.passing.close(), e.db.Close()); err != nil {
		return fmt.Errorf("close engine: %w", err)
	}
	return nil
}

func (e *engine) name() string { return filepath.Base(e.dir) }

// settle makes index the watermark and lets the engine forget what nobody can read any more. It answers the floor when
// it rose, or 0.
func (e *engine) settle(index uint64) uint64 {
	floor, rose := e.horizon.settle(index, time.Now())
	if !rose {
		return 0
	}
	e.db.SetDiscardTs(floor)
	return floor
}

func engineOptions(dir string, log *slog.Logger) badger.Options {
	o := badger.DefaultOptions(dir).
		WithInMemory(dir == "").
		WithLogger(engineLog{log}).
		WithSyncWrites(false). // see Sync
		WithNumVersionsToKeep(1).
		WithDetectConflicts(false). // indices are applied one after the other
		WithMetricsEnabled(false).  // they are process-wide; ours are not
		WithMemTableSize(memtableBytes).
		WithNumMemtables(memtables).
		WithCompression(options.None). // blocks are read where the file is mapped, without a cache: see docs/STORE.md
		WithBlockCacheSize(0).
		WithValueLogFileSize(valueLogBytes).
		WithNumCompactors(2)
	if dir == "" {
		// Compactors tick, which keeps a bubble of virtual time from resting; without them level 0 must not stall.
		o = o.WithNumCompactors(0).WithNumLevelZeroTablesStall(1 << 30)
	}
	return o
}
