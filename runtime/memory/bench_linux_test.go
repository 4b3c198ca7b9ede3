//go:build linux && !sett_portable

package memory

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkReset shows what a request costs that writes so many pages of a 4 MiB image all of which was read: ns/op
// is writing them, with the faults, and resetting; reset-ns is the reset alone. All ways stand side by side in one
// run; copy is what other systems do.
func BenchmarkReset(b *testing.B) {
	const size = 4 << 20
	for _, way := range append(copyingWays(b), ways(b)[0], way{"copy", func(*Slots) {}}) {
		for _, dirty := range []int{0, 2, 10, 50, 250, 1000} {
			b.Run(fmt.Sprintf("%s/pages=%d", way.name, dirty), func(b *testing.B) {
				slots, img := newTestSlots(b, Config{}), newTestImage(b, size)
				way.configure(slots)
				slot := takeTestSlot(b, slots, 128<<20, img)
				mem := slot.Reallocate(0)
				if err := Compare(slot, img); err != nil { // reads
					b.Fatal(err)
				}
				took := time.Duration(0)
				for b.Loop() {
					touch(mem, dirty)
					start := time.Now()
					if way.name == "copy" {
						img.restore(mem, 0)
					} else if _, err := slot.Reset(nil); err != nil {
						b.Fatal(err)
					}
					took += time.Since(start)
				}
				b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "reset-ns/op")
			})
		}
	}
}

// touch writes to so many pages, spread over mem.
func touch(mem []byte, pages int) {
	for i := range pages {
		mem[i*(len(mem)/pages)&^7]++
	}
}

// BenchmarkFresh shows what a memory costs that is made for one request which writes so many pages: map takes a slot
// and frees it, copy fills a memory of its own with the image.
func BenchmarkFresh(b *testing.B) {
	const dirty = 10
	for _, size := range []int{64 << 10, 1600 << 10, 4 << 20, 16 << 20} {
		for _, kind := range []string{"map", "copy"} {
			b.Run(fmt.Sprintf("%s/size=%dKiB", kind, size>>10), func(b *testing.B) {
				img, slots := newTestImage(b, size), newTestSlots(b, Config{})
				armed := img
				if kind == "copy" {
					armed = nil
				}
				for b.Loop() {
					slot, err := slots.Take(128<<20, armed)
					if err != nil {
						b.Fatal(err)
					}
					mem := slot.Reallocate(uint64(size))
					if kind == "copy" {
						img.restore(mem, 0)
					}
					touch(mem, dirty)
					slot.Free()
				}
			})
		}
	}
}

// BenchmarkOpenImage opens and closes image files as large as guests' are: so many blocks of 4 KiB in runs of 16,
// checked whole and known to be right.
func BenchmarkOpenImage(b *testing.B) {
	for _, guest := range []struct {
		name         string
		size, blocks int
	}{{"tiny", 64 << 10, 4}, {"C", 1600 << 10, 100}, {"Go", 5 << 20, 800}, {"JS", 16 << 20, 500}} {
		mem := make([]byte, guest.size)
		for i := range guest.blocks {
			at := i%16*block + i/16*(len(mem)/block/(guest.blocks/16+1))*block
			for j := range block {
				mem[at+j] = byte(i+7*j) | 1
			}
		}
		img, path := newImageOf(b, mem), b.TempDir()+"/image"
		if err := img.Save(path, nil, nil); err != nil {
			b.Fatal(err)
		}
		for name, checked := range map[string]*Checked{"first": nil, "again": new(Checked)} {
			b.Run(guest.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					opened, _, err := OpenImage(path, nil, checked)
					if err != nil {
						b.Fatal(err)
					}
					opened.Close()
				}
			})
		}
	}
}
