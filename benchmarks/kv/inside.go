package kv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
)

const (
	insideBlocks = 400  // of each way of reading, taken in turn
	insideReads  = 1000 // in a block, of a few milliseconds: most blocks are over before something else wants the processor
)

// measureInside compares reads of a store within its process to those of Badger with its default options, but for its
// process-wide metrics, which a store has not either: the same keys and values, in memory both.
func measureInside(ctx context.Context, p plan, out *record.Output) error {
	s, err := kv.Open(ctx, kv.Config{Dir: filepath.Join(p.dir, "inside-sett")})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.CaughtUp(ctx); err != nil {
		return err
	}
	db, err := badger.Open(badger.DefaultOptions(filepath.Join(p.dir, "inside-badger")).WithLogger(nil).WithMetricsEnabled(false))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := fillInside(ctx, s, db); err != nil {
		return err
	}
	ways := []struct {
		name string
		read func(key string) error
		took []time.Duration
	}{
		{name: "badger View", read: func(key string) error {
			return db.View(func(txn *badger.Txn) error {
				item, err := txn.Get([]byte(key))
				if err == nil {
					_, err = item.ValueCopy(nil)
				}
				return err
			})
		}},
		{name: "sett local", read: func(key string) error {
			_, err := s.Get(ctx, namespace, key, op.Read{Consistency: op.Local})
			return err
		}},
		{name: "sett strong", read: func(key string) error {
			_, err := s.Get(ctx, namespace, key, op.Read{Consistency: op.Strong})
			return err
		}},
	}
	for range insideBlocks {
		for i := range ways {
			start := time.Now()
			for range insideReads {
				if err := ways[i].read(keyOf(rand.IntN(keyCount))); err != nil {
					return fmt.Errorf("read %s: %w", ways[i].name, err)
				}
			}
			ways[i].took = append(ways[i].took, time.Since(start)/insideReads)
		}
	}
	fmt.Fprintf(out.Out, "read within the process, %d B, one at a time, ns: median of %d blocks, and the quickest tenth\n", smallBytes, insideBlocks)
	base := 0.0
	for _, w := range ways {
		slices.Sort(w.took)
		median := float64(w.took[len(w.took)/2])
		if base == 0 {
			base = median
		}
		fmt.Fprintf(out.Out, "  %-12s %6.0f  %6d   %.2f x\n", w.name, median, w.took[len(w.took)/10], median/base)
	}
	return nil
}

// fillInside puts all keys into both.
func fillInside(ctx context.Context, s *kv.Store, db *badger.DB) error {
	value := make([]byte, smallBytes)
	for i := 0; i < keyCount; i += txnKeys {
		t := op.Txn{Namespace: namespace}
		for k := i; k < min(i+txnKeys, keyCount); k++ {
			t.Ops = append(t.Ops, op.Op{Kind: op.Set, Key: keyOf(k), Value: value})
		}
		if _, err := s.Commit(ctx, t); err != nil {
			return err
		}
		if err := db.Update(func(txn *badger.Txn) error {
			for _, o := range t.Ops {
				if err := txn.Set([]byte(o.Key), value); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
