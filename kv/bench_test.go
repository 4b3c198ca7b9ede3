package kv

import (
	"context"
	"fmt"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

// BenchmarkGet reads beside what a read of the engine alone costs.
func BenchmarkGet(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	for i := range 1000 {
		put(b, s, fmt.Sprintf("key-%04d", i), "a value of about a hundred bytes, as most records of an application are: short text")
	}
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := s.Get(context.Background(), "app", fmt.Sprintf("key-%04d", i%1000)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("engine", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			txn := s.db.NewTransactionAt(s.horizon.newest(), false)
			item, err := txn.Get([]byte(fmt.Sprintf("dapp\x00key-%04d", i%1000)))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := item.ValueCopy(nil); err != nil {
				b.Fatal(err)
			}
			txn.Discard()
		}
	})
}

// BenchmarkCommit writes one key, durably, beside nothing: the disk's flush is what it costs.
func BenchmarkCommit(b *testing.B) {
	for name, c := range map[string]Config{"memory": {InMemory: true}, "disk": {Dir: b.TempDir()}} {
		b.Run(name, func(b *testing.B) {
			s := open(b, c)
			for b.Loop() {
				if _, err := s.Commit(context.Background(), op.Txn{Namespace: "app",
					Ops: []op.Op{{Kind: op.Set, Key: "k", Value: make([]byte, 128)}}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
