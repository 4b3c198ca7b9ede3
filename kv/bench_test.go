package kv

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/store"
)

const (
	benchKeys  = 10000
	benchValue = 128 // bytes
)

func benchKey(i int) string { return fmt.Sprintf("bench/%08d", i%benchKeys) }

// BenchmarkGet reads a key from memory, beside Badger alone.
func BenchmarkGet(b *testing.B) {
	s := openTest(b, Config{Dir: b.TempDir()})
	db, err := badger.Open(badger.DefaultOptions(b.TempDir()).WithLogger(nil).WithMetricsEnabled(false))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	value := make([]byte, benchValue)
	keys := make([]string, benchKeys)
	for i := range keys {
		keys[i] = benchKey(i)
	}
	for i := 0; i < benchKeys; i += 100 {
		var ops []op.Op
		for _, k := range keys[i : i+100] {
			ops = append(ops, op.Op{Kind: op.Set, Key: k, Value: value})
		}
		if _, err := s.Commit(b.Context(), op.Txn{Namespace: "app", Ops: ops}); err != nil {
			b.Fatal(err)
		}
		if err := db.Update(func(txn *badger.Txn) error {
			for _, k := range keys[i : i+100] {
				if err := txn.Set([]byte(k), value); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("badger", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := db.View(func(txn *badger.Txn) error {
				item, err := txn.Get([]byte(keys[i*7919%benchKeys]))
				if err != nil {
					return err
				}
				_, err = item.ValueCopy(nil)
				return err
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, c := range map[string]op.Consistency{"local": op.Local, "strong": op.Strong} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Get(b.Context(), "app", keys[i*7919%benchKeys], op.Read{Consistency: c}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkApply does entries of 64 commands, each of which sets a key: what every node does with the log.
func BenchmarkApply(b *testing.B) {
	state, err := store.Open(store.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { state.Close() })
	m := newMachine(state, fsm.Level)
	value := make([]byte, benchValue)
	b.ReportAllocs()
	index := uint64(0)
	commands := make([][]byte, 64)
	for b.Loop() {
		index++
		for i := range commands {
			c := fsm.Command{Kind: fsm.Transact, Namespace: "app", Ops: []op.Op{
				{Kind: op.Set, Key: benchKey((int(index)*64 + i) * 7919), Value: value}}}
			binary.BigEndian.PutUint64(c.Request[8:], index*64+uint64(i))
			commands[i] = c.Append(nil)
		}
		if _, err := m.Apply(index, fsm.AppendEntry(nil, time.Now(), commands...)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/command")
}
