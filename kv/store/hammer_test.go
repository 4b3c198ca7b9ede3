package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
)

const (
	hammerKeys    = 40
	hammerIndices = 90
)

// hammerWrites sets all keys to the index, so that a view that sees two values saw half an index.
func hammerWrites(index uint64) (writes []fsm.Write) {
	for k := range hammerKeys {
		value := append(fmt.Append(nil, index, " "), make([]byte, 4<<10)...)
		writes = append(writes, fsm.Write{Key: fmt.Append(nil, "key-", k), Value: value})
	}
	return writes
}

// checkWhole reads all keys, in two ways.
func checkWhole(v *View) error {
	wrong := func(key, value []byte) error {
		if n, _, _ := bytes.Cut(value, []byte(" ")); string(n) != strconv.FormatUint(v.Index(), 10) {
			return fmt.Errorf("%s = %.20q at index %d", key, value, v.Index())
		}
		return nil
	}
	var found error
	keys := 0
	err := v.Scan([]byte("key-"), nil, func(key, value []byte) bool {
		keys++
		found = errors.Join(found, wrong(key, value))
		if again, _, err := v.Get(key); err == nil {
			found = errors.Join(found, wrong(key, again))
		}
		return true
	})
	if err != nil || found != nil {
		return errors.Join(err, found)
	}
	if want := hammerKeys * min(v.Index(), 1); uint64(keys) != want {
		return fmt.Errorf("%d keys at index %d, want %d", keys, v.Index(), want)
	}
	return nil
}

// TestHammer applies, reads, syncs, takes snapshots and restores them, all at once, and closes below it.
func TestHammer(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{InMemory: true}, {Dir: t.TempDir()}} {
		s := opened(t)(openWith(cfg, busy))
		var group sync.WaitGroup
		var views, restores atomic.Int64
		loop := func(f func() error) {
			group.Go(func() {
				for {
					err := f()
					if errors.Is(err, op.ErrClosed) {
						return
					}
					if err != nil && !errors.Is(err, op.ErrCompacted) {
						t.Error(err)
						return
					}
				}
			})
		}
		read := func(v *View, err error) error {
			if err != nil {
				return err
			}
			defer v.Close()
			views.Add(1)
			return checkWhole(v)
		}
		for range 3 {
			loop(func() error { return read(s.View()) })
		}
		loop(func() error {
			v, err := s.ViewAt(s.Applied())
			if errors.Is(err, ErrAhead) { // a restore went back
				return nil
			}
			return read(v, err)
		})
		loop(func() error { _, err := s.Sync(t.Context()); return err })
		loop(func() error { _, err := s.Backup(io.Discard, 0); return err })
		group.Go(func() { restores.Store(int64(applyAndRestore(t, s))) })
		group.Wait()
		t.Logf("%d views, %d restores", views.Load(), restores.Load())
		if cfg.Dir == "" {
			continue
		}
		s = open(t, cfg)
		if s.Applied() != hammerIndices {
			t.Errorf("Applied = %d, want %d", s.Applied(), hammerIndices)
		}
		if err := checkWhole(view(t, s)); err != nil {
			t.Error(err)
		}
	}
}

// applyAndRestore applies all indices, restores what it has backed up now and then, and closes the store.
func applyAndRestore(t *testing.T, s *Store) (restores int) {
	for index := uint64(1); index <= hammerIndices; index++ {
		if err := s.Apply(index, hammerWrites(index)); err != nil {
			t.Error(err)
		}
		if index%(hammerIndices/3) != 0 {
			continue
		}
		var b bytes.Buffer
		if _, err := s.Backup(&b, 0); err != nil {
			t.Error(err)
		}
		if err := s.Restore(&b); err != nil {
			t.Error(err)
		}
		restores++
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	return restores
}
