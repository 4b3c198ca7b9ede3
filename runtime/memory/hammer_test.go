package memory

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
)

// brief reports whether tests do less than all: under the race detector, and where SETT_TEST_ALL is not set, as in .ci/run.
func brief() bool { return testing.Short() || os.Getenv("SETT_TEST_ALL") == "" }

// TestResetRestoresEverything does to memories what guests do, in every way, and compares all of each with the
// image after every reset. Slots are used by several goroutines at once, and again by others.
func TestResetRestoresEverything(t *testing.T) {
	lives, resets := 4, 2*sweepEvery
	if brief() {
		lives, resets = 1, sweepEvery+10
	}
	for _, way := range ways(t) {
		t.Run(way.name, func(t *testing.T) {
			slots := newTestSlots(t, Config{FreeSlots: 5})
			way.configure(slots)
			random := rand.New(rand.NewPCG(7, 7))
			images := []*Image{
				nil,
				newImageOf(t, make([]byte, 3*WasmPage)),
				newImageOf(t, sparse(random, 2*WasmPage)),
				newImageOf(t, sparse(random, 19*WasmPage)),
				newTestImage(t, 5*WasmPage),
				newImageOf(t, append(sparse(random, WasmPage), make([]byte, 4*WasmPage)...)),
				reopened(t, sparse(random, 11*WasmPage)),
			}
			var workers sync.WaitGroup
			for worker := range 8 {
				workers.Go(func() {
					random := rand.New(rand.NewPCG(uint64(worker), 1))
					for range lives {
						img := images[random.IntN(len(images))]
						limit := uint64(20+random.IntN(20)) * WasmPage
						if err := live(slots, random, limit, img, resets); err != nil {
							t.Errorf("worker %d: %v", worker, err)
							return
						}
					}
				})
			}
			workers.Wait()
		})
	}
}

// reopened is an image of mem from a file.
func reopened(t *testing.T, mem []byte) *Image {
	t.Helper()
	path := t.TempDir() + "/image"
	if err := newImageOf(t, mem).Save(path, nil, nil); err != nil {
		t.Fatal(err)
	}
	img, _, err := OpenImage(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(img.Close)
	return img
}

// live is a slot's life: many calls and resets, then Free.
func live(slots *Slots, random *rand.Rand, limit uint64, img *Image, resets int) error {
	slot, err := slots.Take(limit, img)
	if err != nil {
		return err
	}
	defer slot.Free()
	if img == nil { // a memory of zeros, as large as its first request
		img = &Image{size: 2 * WasmPage}
		slot.Reallocate(2 * WasmPage)
	} else {
		slot.Reallocate(0)
	}
	if err := Compare(slot, img); err != nil {
		return err
	}
	if behind := slot.Reallocate(limit)[img.size:]; !zero(behind) {
		return errors.New("the memory behind the image is not zero")
	}
	for range resets {
		if !slot.Begin() {
			return ErrSpoiled
		}
		for range random.IntN(12) {
			act(slot, random, limit)
		}
		if !slot.End() {
			return ErrSpoiled
		}
		if _, err := slot.Reset(nil); err != nil {
			return err
		}
		if err := Compare(slot, img); err != nil {
			return err
		}
		if random.IntN(20) == 0 {
			if err := slot.Release(); err != nil {
				return err
			}
		}
	}
	for range random.IntN(12) { // the last call's traces go to nobody
		act(slot, random, limit)
	}
	return nil
}

// act does one thing that a guest may do.
func act(slot *Slot, random *rand.Rand, limit uint64) {
	mem := slot.Bytes()
	at := random.IntN(len(mem))
	n := 1 + random.IntN(min(len(mem)-at, 3*block))
	switch random.IntN(9) {
	case 0: // grow, perhaps in vain
		slot.Reallocate(uint64(len(mem)) + uint64(1+random.IntN(4))*WasmPage)
	case 1: // grow to the limit
		if random.IntN(10) == 0 {
			slot.Reallocate(limit)
		}
	case 2: // read
		for i := 0; i < len(mem); i += block {
			if mem[i] == 1 {
				at++
			}
		}
	case 3: // zeros
		clear(mem[at : at+n])
	case 4: // write and put back
		old := mem[at]
		mem[at] = old + 1
		mem[at] = old
	case 5: // the last byte, and the first
		mem[len(mem)-1]++
		mem[0]++
	case 6: // much
		if random.IntN(10) == 0 {
			for i := 0; i < len(mem); i += block {
				mem[i]++
			}
		}
	default:
		noise(random, mem[at:at+n])
	}
}

// TestFreshSlotsAreTheImage takes a slot for every request, as functions do that cannot be reset: whatever the slot
// before it was, its memory is the image.
func TestFreshSlotsAreTheImage(t *testing.T) {
	fresh := 200
	if brief() {
		fresh = 40
	}
	for _, way := range ways(t) {
		t.Run(way.name, func(t *testing.T) {
			slots := newTestSlots(t, Config{FreeSlots: 3})
			way.configure(slots)
			random := rand.New(rand.NewPCG(3, 3))
			var images []*Image
			for size := 1; size < 12; size += 3 {
				images = append(images, newImageOf(t, sparse(random, size*WasmPage)))
			}
			var workers sync.WaitGroup
			for worker := range 6 {
				workers.Go(func() {
					random := rand.New(rand.NewPCG(uint64(worker), 2))
					for range fresh {
						img := images[random.IntN(len(images))]
						if err := live(slots, random, 12*WasmPage, img, 1); err != nil {
							t.Errorf("worker %d: %v", worker, err)
							return
						}
					}
				})
			}
			workers.Wait()
		})
	}
}

// TestImagesComeAndGo closes images while slots of theirs live, are freed and are taken.
func TestImagesComeAndGo(t *testing.T) {
	slots := newTestSlots(t, Config{FreeSlots: 4})
	path := t.TempDir() + "/image"
	mem := sparse(rand.New(rand.NewPCG(9, 9)), 4*WasmPage)
	if err := newImageOf(t, mem).Save(path, nil, nil); err != nil {
		t.Fatal(err)
	}
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 3))
			for range 60 {
				img, _, err := OpenImage(path, nil, nil)
				if err != nil {
					t.Error(err)
					return
				}
				var lives sync.WaitGroup
				for range 2 {
					seed := random.Uint64()
					lives.Go(func() {
						random := rand.New(rand.NewPCG(seed, 4))
						slot, err := slots.Take(8*WasmPage, img)
						if err != nil {
							return // closed already
						}
						defer slot.Free()
						slot.Reallocate(0)
						for range 3 {
							act(slot, random, 8*WasmPage)
							if _, err := slot.Reset(nil); err != nil {
								t.Error(err)
							}
							if err := Compare(slot, img); err != nil {
								t.Error(err)
							}
						}
					})
				}
				img.Close()
				lives.Wait()
			}
		})
	}
	workers.Wait()
}

// TestFreeFromElsewhere frees slots while calls run in them: nobody else may get the memory before the call's end.
func TestFreeFromElsewhere(t *testing.T) {
	slots := newTestSlots(t, Config{})
	img := newTestImage(t, WasmPage)
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for range 300 {
				slot, err := slots.Take(2*WasmPage, img)
				if err != nil {
					t.Error(err)
					return
				}
				mem := slot.Reallocate(0)
				var closer sync.WaitGroup
				closer.Go(slot.Free)
				if slot.Begin() {
					for i := range 50 {
						mem[100] = byte(worker)
						if i%10 == 0 {
							slot.Reallocate(2 * WasmPage)
						}
						if mem[100] != byte(worker) {
							t.Error("another call wrote into this one's memory")
						}
					}
					slot.End()
				}
				closer.Wait()
				slot.Free()
			}
		})
	}
	workers.Wait()
}
