package memory

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// way is a way of resetting slots.
type way struct {
	name      string
	configure func(*Slots)
}

// newTestImage makes an image without a zero byte, closed at the test's end.
func newTestImage(t testing.TB, size int) *Image {
	t.Helper()
	mem := make([]byte, size)
	random := rand.New(rand.NewPCG(1, uint64(size)))
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint64(mem[i:], random.Uint64()|0x0101010101010101)
	}
	return newImageOf(t, mem)
}

func newImageOf(t testing.TB, mem []byte) *Image {
	t.Helper()
	img, err := NewImage(mem)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(img.Close)
	return img
}

// newTestSlots makes slots that must all be free, and uncharged, at the test's end.
func newTestSlots(t testing.TB, c Config) *Slots {
	t.Helper()
	slots := New(c)
	t.Cleanup(func() {
		if err := slots.Close(); err != nil {
			t.Error(err)
		}
		if used := slots.Stats().ResidentBytes; used != 0 {
			t.Errorf("%d bytes are charged when no slot is taken", used)
		}
	})
	return slots
}

// takeTestSlot takes a slot, asks for its memory as an engine does, and frees it at the test's end.
func takeTestSlot(t testing.TB, slots *Slots, limit uint64, img *Image) *Slot {
	t.Helper()
	slot, err := slots.Take(limit, img)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slot.Free)
	if img != nil {
		slot.Reallocate(0)
	}
	return slot
}

// sparse makes a memory of random runs of zeros and noise.
func sparse(random *rand.Rand, size int) []byte {
	mem := make([]byte, size)
	for at := 0; at < size; {
		n := min(1+random.IntN(5*block), size-at)
		if random.IntN(2) == 0 {
			noise(random, mem[at:at+n])
		}
		at += n
	}
	return mem
}

func noise(random *rand.Rand, b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, random.Uint64())
	}
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}
