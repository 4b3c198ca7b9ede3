package fsm

import (
	"fmt"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// BenchmarkApply applies entries of 64 keys to a state of 100,000; ns/op are those of a key.
func BenchmarkApply(b *testing.B) {
	value := make([]byte, 128)
	key := func(i int) string { return fmt.Sprintf("key-%06d", i*7919%100_000) }
	for _, c := range []struct {
		name string
		op   func(i int) op.Op
	}{
		{"set", func(i int) op.Op { return op.Op{Kind: op.Set, Key: key(i), Value: value} }},
		{"set with TTL", func(i int) op.Op { return op.Op{Kind: op.Set, Key: key(i), Value: value, TTL: time.Hour} }},
		{"incr one key", func(int) op.Op { return op.Op{Kind: op.Incr, Key: "n", Delta: 1} }},
	} {
		for _, commands := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/commands=%d", c.name, commands), func(b *testing.B) {
				m := newMemory()
				for i := range 100_000 {
					m.data[string(dataKey("app", key(i)))] = state{present: true, revision: 1, value: value}.append(nil)
				}
				now := time.Now()
				b.ReportAllocs()
				for i := 0; i < b.N; i += 64 {
					b.StopTimer() // whoever makes entries does so elsewhere
					entry := entryOf(now, commands, func(n int) op.Op { return c.op(i + n) })
					b.StartTimer()
					if _, err := Apply(m, 1, entry, Level); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// entryOf answers an entry of 64 ops in some commands.
func entryOf(now time.Time, commands int, next func(n int) op.Op) []byte {
	encoded := make([][]byte, commands)
	for i := range encoded {
		c := Command{Kind: Transact, Namespace: "app", Request: Request{byte(i), 1}}
		for n := range 64 / commands {
			c.Ops = append(c.Ops, next(i*64/commands+n))
		}
		encoded[i] = c.Append(nil)
	}
	return AppendEntry(nil, now, encoded...)
}

// BenchmarkRead reads one key of 128 bytes.
func BenchmarkRead(b *testing.B) {
	m := newMemory()
	m.data[string(dataKey("app", "k"))] = state{present: true, revision: 1, value: make([]byte, 128)}.append(nil)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Get(m, "app", "k", now); err != nil {
			b.Fatal(err)
		}
	}
}
