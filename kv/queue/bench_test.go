package queue_test

import (
	"fmt"
	"testing"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime/registry"
)

// BenchmarkQueue sends, receives and deletes messages of 128 bytes in batches, one after the other, on disk.
func BenchmarkQueue(b *testing.B) {
	for _, size := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			q := openQueues(b, kv.Config{Dir: b.TempDir()})
			if err := q.Put(b.Context(), "app", registry.Queue{Name: "q"}); err != nil {
				b.Fatal(err)
			}
			batch := make([]op.Outgoing, size)
			for i := range batch {
				batch[i] = op.Outgoing{Body: make([]byte, 128)}
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := q.Send(b.Context(), "app", "q", batch...); err != nil {
					b.Fatal(err)
				}
				got, err := q.Receive(b.Context(), "app", "q", op.Receive{Max: size})
				if err != nil || len(got) != size {
					b.Fatalf("%d messages, %v", len(got), err)
				}
				receipts := make([]string, len(got))
				for i, m := range got {
					receipts[i] = m.Receipt
				}
				if _, err := q.Delete(b.Context(), "app", "q", receipts...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
