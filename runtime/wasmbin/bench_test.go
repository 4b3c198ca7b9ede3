package wasmbin

import (
	"context"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// BenchmarkFuel runs each kernel as it is and rewritten, in turns, and reports the rewritten one's time over the
// other's as "ratio", each the best of all rounds.
func BenchmarkFuel(b *testing.B) {
	guests := map[string][]byte{"c": cGuest(b), "go": goGuest(b, "go", "-buildmode=c-shared")}
	for _, k := range kernels() {
		b.Run(k.String(), func(b *testing.B) {
			_, plain := start(b, guests[k.guest], false)
			_, rewritten := start(b, guests[k.guest], true)
			best := func(i *instance, so time.Duration) time.Duration {
				from := time.Now()
				if _, err := i.call(b, k.name, k.many); err != nil {
					b.Fatal(err)
				}
				return min(so, time.Since(from))
			}
			was, is := time.Hour, time.Hour
			for b.Loop() {
				was, is = best(plain, was), best(rewritten, is)
			}
			b.ReportMetric(float64(is)/float64(was), "ratio")
			b.ReportMetric(float64(was.Microseconds()), "plain-us")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkRewrite rewrites a Go guest.
func BenchmarkRewrite(b *testing.B) {
	data := goGuest(b, "go", "-buildmode=c-shared")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		mustRewrite(b, data)
	}
}

// BenchmarkCompile compiles a Go guest as it is and rewritten.
func BenchmarkCompile(b *testing.B) {
	data := goGuest(b, "go", "-buildmode=c-shared")
	for name, data := range map[string][]byte{"plain": data, "rewritten": mustRewrite(b, data).Bytes} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r := wazero.NewRuntimeWithConfig(b.Context(), wazero.NewRuntimeConfigCompiler())
				if _, err := r.CompileModule(b.Context(), data); err != nil {
					b.Fatal(err)
				}
				r.Close(context.Background())
			}
		})
	}
}

// BenchmarkInstantiate instantiates a Go guest as it is, and rewritten with its segments written.
func BenchmarkInstantiate(b *testing.B) {
	data := goGuest(b, "go", "-buildmode=c-shared")
	for name, rewritten := range map[string]bool{"plain": false, "rewritten": true} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, api.CoreFeaturesV2, rewritten)
			offerWASI(b, w)
			var segments []Segment
			if rewritten {
				m := mustRewrite(b, data)
				data, segments = m.Bytes, m.Segments
			}
			code, err := w.CompileModule(b.Context(), data)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				m, err := w.InstantiateModule(b.Context(), code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
				if err != nil {
					b.Fatal(err)
				}
				for _, s := range segments {
					m.Memory().Write(s.Offset, s.Bytes)
				}
				m.Close(b.Context())
			}
		})
	}
}

// BenchmarkOverflow recurses for ever: until the engine's own limit, and until ours.
func BenchmarkOverflow(b *testing.B) {
	guest := &build{}
	guest.function("f", "", "", "", opCall, 0)
	for name, rewritten := range map[string]bool{"plain": false, "rewritten": true} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, api.CoreFeaturesV2, rewritten)
			w.slice = 100_000
			i := mustLoad(b, w, guest.bytes())
			b.ReportAllocs()
			for b.Loop() {
				i.restoreStack()
				if _, err := i.call(b, "f"); err == nil {
					b.Fatal("it returns")
				}
			}
		})
	}
}
