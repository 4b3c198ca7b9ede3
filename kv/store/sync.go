package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Sync makes everything that is applied when it is called durable, and answers the new watermark. It also lets the
// engine forget old versions, so it must be called now and then on an idle store too, where it costs nothing.
//
// An error leaves the watermark where it was. When the disk did not take the data, which of it did arrive is
// unknown, and the store refuses every further change until it is opened again.
func (s *Store) Sync(ctx context.Context) (uint64, error) {
	select {
	case s.syncing <- struct{}{}:
		defer func() { <-s.syncing }()
	case <-ctx.Done():
		return 0, fmt.Errorf("sync: %w", ctx.Err())
	}
	if err := s.usable(); err != nil {
		return 0, err
	}
	e := s.engine.Load()
	if !e.gate.enter() {
		return 0, closedError("sync")
	}
	defer e.gate.leave()
	index := e.horizon.newest()
	if index > e.horizon.watermark() && s.dir != nil {
		if err := s.syncEngine(e); err != nil {
			err = fmt.Errorf("sync: %w", err)
			s.fail("sync", err)
			return 0, err
		}
		if err := s.dir.write(record{Engine: e.name(), Durable: index}); err != nil {
			return 0, fmt.Errorf("sync: write watermark: %w", err)
		}
	}
	if floor := e.settle(index); floor > 0 {
		s.dropPassed(e, floor)
	}
	return index, nil
}

// dropPassed removes the files of values that nobody who reads at floor or later finds any more. What fails is done at
// the next Sync.
func (s *Store) dropPassed(e *engine, floor uint64) {
	if e.passing == nil || s.passed == nil {
		return
	}
	below, err := s.passed(&View{engine: e, txn: e.db.NewTransactionAt(floor, false), index: floor})
	if err == nil {
		err = e.passing.drop(min(below, floor+1))
	}
	if err != nil {
		s.log.Warn("let go of old changes", "err", err)
	}
}

// syncEngine makes what was committed before durable. It lies in sorted tables, which the engine synced before it
// used them, or in the logs of memtables. The engine's own Sync syncs the log it writes to now and no other, so
// that an older memtable, which waits to become a table, can lose its log's tail; and the next Open reads what is
// left and does not tell. So every log is synced here: one that is gone meanwhile has become a table. Waiting for
// that instead could take forever, since a memtable, and its log, stay as long as an iterator reads them.
func (s *Store) syncEngine(e *engine) error {
	if err := errors.Join(e.db.Sync(), e.passing.sync(s.syncFile)); err != nil {
		return err
	}
	logs, err := os.ReadDir(e.dir) // a pattern would be one of the directory's name, too
	if err != nil {
		return err
	}
	for _, log := range logs {
		if filepath.Ext(log.Name()) != ".mem" {
			continue
		}
		if err := s.syncFile(filepath.Join(e.dir, log.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(e.dir)
}

// syncAll makes every file of dir durable.
func syncAll(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := syncFile(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(dir)
}

// removeEmptyLogs removes what a power loss leaves of a log that was just made: a file without content, of which
// the engine says that it is damaged. Nothing below the watermark was ever in one.
func removeEmptyLogs(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{".mem", ".vlog"}, filepath.Ext(e.Name())) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Size() == 0 {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove empty log: %w", err)
			}
		}
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFile writes a file, durably but for its entry in the directory.
func writeFile(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
