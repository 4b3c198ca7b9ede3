package store

import (
	"fmt"
	"testing"

	"github.com/sett-run/sett/kv/fsm"
)

// BenchmarkApply writes one index of fresh keys, which is not durable, in memory and on disk.
func BenchmarkApply(b *testing.B) {
	for _, disk := range []bool{false, true} {
		for _, keys := range []int{1, 64} {
			name := "memory"
			if disk {
				name = "disk"
			}
			b.Run(fmt.Sprintf("%s/keys=%d", name, keys), func(b *testing.B) {
				cfg := Config{InMemory: true}
				if disk {
					cfg = Config{Dir: b.TempDir()}
				}
				s := open(b, cfg)
				defer s.Close()
				writes := make([]fsm.Write, keys)
				b.ReportAllocs()
				for index := uint64(1); b.Loop(); index++ {
					for i := range writes {
						writes[i] = fsm.Write{Key: fmt.Appendf(nil, "key-%09d", (index*64+uint64(i))%100_000), Value: make([]byte, 128)}
					}
					if err := s.Apply(index, writes); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkPassing writes 64 values of 4 KiB of 10,000 keys at an index, and beside them what changed, in the engine and
// in files of its own.
func BenchmarkPassing(b *testing.B) {
	for _, passing := range []bool{false, true} {
		b.Run(fmt.Sprintf("files=%v", passing), func(b *testing.B) {
			s := open(b, Config{Dir: b.TempDir()})
			defer s.Close()
			const values, valueBytes = 64, 4 << 10
			b.SetBytes(values * valueBytes)
			writes := make([]fsm.Write, values+1)
			for index := uint64(1); b.Loop(); index++ {
				for i := range values {
					writes[i] = fsm.Write{Key: fmt.Appendf(nil, "key-%09d", (index*7919+uint64(i)*104729)%10_000), Value: make([]byte, valueBytes)}
				}
				writes[values] = fsm.Write{Key: fmt.Appendf(nil, "changes-%09d", index), Value: make([]byte, values*valueBytes), Passing: passing}
				if err := s.Apply(index, writes); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGet reads beside what a read of the engine alone costs, from memtables and from tables.
func BenchmarkGet(b *testing.B) {
	const keys = 100_000
	dir := b.TempDir()
	s := open(b, Config{Dir: dir})
	for i := 0; i < keys; i += 100 {
		var writes []fsm.Write
		for n := range 100 {
			writes = append(writes, put(fmt.Sprintf("key-%09d", i+n), "a value of about a hundred bytes, as most records of an application are: short text"))
		}
		apply(b, s, writes...)
	}
	both := func(b *testing.B, where string) {
		v := view(b, s)
		b.Run(where+"/view", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, found, err := v.Get(fmt.Appendf(nil, "key-%09d", i*7919%keys)); err != nil || !found {
					b.Fatal(found, err)
				}
			}
		})
		b.Run(where+"/engine", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				txn := v.engine.db.NewTransactionAt(v.index, false)
				item, err := txn.Get(fmt.Appendf(nil, "dkey-%09d", i*7919%keys))
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
	both(b, "memtable")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	s = open(b, Config{Dir: dir})
	both(b, "table")
	b.Run("open view", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v, err := s.View()
			if err != nil {
				b.Fatal(err)
			}
			v.Close()
		}
	})
}

// BenchmarkSync makes 100 indices of 1 KiB durable.
func BenchmarkSync(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	for b.Loop() {
		for range 100 {
			apply(b, s, fsm.Write{Key: fmt.Append(nil, "key-", s.Applied()%1000), Value: make([]byte, 1<<10)})
		}
		syncNow(b, s)
	}
}

// BenchmarkSnapshot writes a state of 100 MB.
func BenchmarkSnapshot(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	for i := range 1000 {
		var writes []fsm.Write
		for n := range 100 {
			writes = append(writes, fsm.Write{Key: fmt.Appendf(nil, "key-%09d", i*100+n), Value: make([]byte, 1000)})
		}
		apply(b, s, writes...)
	}
	v := view(b, s)
	b.SetBytes(100_000 * 1000)
	for b.Loop() {
		if err := s.WriteSnapshot(&heapMeter{looked: 1 << 60}, v); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCachedGet reads keys of a store that was written to for a while: one key that is in the cache, and one in the engine alone.
func BenchmarkCachedGet(b *testing.B) {
	s := open(b, Config{Dir: b.TempDir()})
	defer s.Close()
	const keys, rounds = 10_000, 200
	key := func(i int) []byte { return fmt.Appendf(nil, "key-%09d", i%keys) }
	writes := make([]fsm.Write, keys/10)
	for index := range uint64(rounds) {
		for i := range writes {
			writes[i] = fsm.Write{Key: key(int(index)*len(writes) + i), Value: make([]byte, 512)}
		}
		if err := s.Apply(index+1, writes); err != nil {
			b.Fatal(err)
		}
	}
	for _, cached := range []bool{false, true} {
		b.Run(fmt.Sprintf("cached=%v", cached), func(b *testing.B) {
			v := view(b, s)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				k := key(i * 7919)
				if cached {
					k = key(1)
				} else {
					c := s.engine.Load().cache
					c.put(c.slot(k), nil)
				}
				if _, found, err := v.Get(k); err != nil || !found {
					b.Fatal(found, err)
				}
			}
		})
	}
}
