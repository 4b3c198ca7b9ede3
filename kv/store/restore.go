package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/dgraph-io/badger/v4"
)

// restoreCheckBytes is how much is restored between two looks at the free space.
const restoreCheckBytes = 16 << 20

// Restore makes the state that of a snapshot and of the increments on it, in the order of their indices, whatever
// it was before. It is durable when Restore returns; on an error, ErrSnapshot among them, the state is what it was.
// Views that are open keep what they read.
func (s *Store) Restore(r io.Reader, increments ...io.Reader) error {
	return s.restore(append([]io.Reader{r}, increments...), nil)
}

// RestoreAs is Restore of what change makes of each record of a snapshot, in ascending order of their keys: another
// value, or nothing. It refuses a stream that goes on behind the snapshot.
func (s *Store) RestoreAs(r io.Reader, change func(key, value []byte) (became []byte, keep bool, err error)) error {
	return s.restore([]io.Reader{r}, change)
}

func (s *Store) restore(readers []io.Reader, change func(key, value []byte) ([]byte, bool, error)) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.closed {
		return closedError("restore")
	}
	ls, err := openLayers(readers)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	e, err := openEngine(s.nextEngineDir(), ls.index(), s.options)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err = s.load(e, ls, change); err == nil && change != nil {
		err = ls.ended()
	}
	if err == nil && s.dir != nil {
		err = errors.Join(s.syncEngine(e), syncAll(e.dir))
	}
	if err != nil {
		return fmt.Errorf("restore: %w", errors.Join(err, discard(e)))
	}
	return s.replace(e)
}

// nextEngineDir answers a directory that is not there, or none in memory.
func (s *Store) nextEngineDir() string {
	s.engines++
	return s.dir.engineDir(fmt.Sprint(enginePrefix, s.engines))
}

// load writes the layers into a new engine. Each entry keeps the index it was written at, for later increments.
func (s *Store) load(to *engine, ls layers, change func(key, value []byte) ([]byte, bool, error)) error {
	b := to.db.NewManagedWriteBatch()
	defer b.Cancel()
	b.SetMaxPendingTxns(1) // each holds what it writes in memory
	for unchecked := restoreCheckBytes; ; {
		if unchecked >= restoreCheckBytes {
			if err := s.checkSpace(MinFreeBytes); err != nil {
				return err
			}
			unchecked = 0
		}
		e, more, err := ls.next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if change != nil {
			var keep bool
			if e.value, keep, err = change(e.key, e.value); err != nil {
				return err
			}
			if !keep {
				continue
			}
		}
		head, parts := split(e.value)
		if len(parts) > 0 {
			to.split[string(e.key)] = struct{}{}
		}
		err = b.SetEntryAt(badger.NewEntry(headKey(e.key), head).WithMeta(byte(len(parts))), e.version)
		for i := 0; i < len(parts) && err == nil; i++ {
			err = b.SetEntryAt(badger.NewEntry(partKey(e.key, i+1), parts[i]), e.version)
		}
		if err != nil {
			return err
		}
		unchecked += len(e.key) + len(e.value)
	}
	if err := ls.finish(); err != nil {
		return err
	}
	return b.Flush()
}

// replace makes a loaded engine the current one. The old one goes when nobody reads it any more.
func (s *Store) replace(e *engine) error {
	s.syncing <- struct{}{}
	defer func() { <-s.syncing }()
	if s.dir != nil {
		if err := s.dir.write(record{Engine: e.name(), Durable: e.horizon.watermark()}); err != nil {
			// Which engine the record names is unknown; both stay until the next Open.
			err = fmt.Errorf("restore: write watermark: %w", errors.Join(err, e.close()))
			s.fail("restore", err)
			return err
		}
	}
	old := s.engine.Swap(e)
	s.failed.Store(nil)
	old.horizon.retire()
	s.retired.Go(func() {
		select {
		case <-old.horizon.drained:
		case <-s.closing:
		}
		if err := discard(old); err != nil {
			s.log.Warn("remove old engine", "err", err) // the next Open does
		}
	})
	return nil
}

// discard closes an engine and removes its files.
func discard(e *engine) error {
	err := e.close()
	if e.dir != "" {
		err = errors.Join(err, os.RemoveAll(e.dir))
	}
	return err
}
