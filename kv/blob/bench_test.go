package blob

import (
	"io"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

// BenchmarkObject puts and reads objects of 64 MiB on this machine's disk.
func BenchmarkObject(b *testing.B) {
	const size = 64 << 20
	o, err := Open(Config{Dir: b.TempDir(), Store: new(op.Memory)})
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	if err := o.CreateBucket(b.Context(), app, Bucket{Name: "pics"}); err != nil {
		b.Fatal(err)
	}
	b.Run("put", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if _, err := o.Put(b.Context(), Put{Name: pics("k"), Body: Body{Reader: io.LimitReader(zeros{}, size), Size: size}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			_, r, err := o.Open(b.Context(), pics("k"))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
			r.Close()
		}
	})
}
