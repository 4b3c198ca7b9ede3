//go:build linux && !sett_portable

package memory

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ways are all ways in which slots can be reset on this system.
func ways(t testing.TB) []way {
	advise := func(s *Slots) { s.restorer.method = methodAdvise }
	scan := func(s *Slots) {
		unix.Close(s.restorer.tracker)
		s.restorer.method, s.restorer.tracker = methodScan, -1
	}
	fewRuns := func(s *Slots) { s.restorer.runs = 3 }
	keepFew := func(s *Slots) { s.keep = 20 }
	both := func(a, b func(*Slots)) func(*Slots) { return func(s *Slots) { a(s); b(s) } }
	all := []way{{methodAdvise, advise}}
	switch newTestSlots(t, Config{}).restorer.method {
	case methodTrack:
		all = append(all,
			way{methodTrack, func(*Slots) {}},
			way{"track and list few runs", fewRuns},
			way{"track and keep few", keepFew},
		)
		fallthrough
	case methodScan:
		all = append(all,
			way{methodScan, scan},
			way{"scan and list few runs", both(scan, fewRuns)},
			way{"scan and keep few", both(scan, keepFew)},
		)
	}
	return all
}

// copyingWays are those that know which pages were written.
func copyingWays(t testing.TB) []way {
	all := ways(t)
	if len(all) == 1 {
		t.Skip("this kernel has no PAGEMAP_SCAN: Linux 6.7 brought it")
	}
	var copying []way
	for _, way := range all {
		if way.name == methodTrack || way.name == methodScan {
			copying = append(copying, way)
		}
	}
	return copying
}

// TestProbe sees that the best way is used wherever the kernel offers it.
func TestProbe(t *testing.T) {
	r := newRestorer()
	defer r.close()
	fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("open pagemap: %v", err)
	}
	defer unix.Close(fd)
	nothing := func(uint64, uint64) bool { return true }
	if err := newScan(1).each(fd, make([]byte, 2*pageSize())[:pageSize()], soughtPrivate(), nothing); err != nil {
		t.Skipf("this kernel has no PAGEMAP_SCAN (%v): Linux 6.7 brought it", err)
	}
	want := methodTrack
	if tracker, err := openTracker(); err != nil {
		want = methodScan
	} else {
		unix.Close(tracker)
	}
	if r.method != want {
		t.Errorf("method = %s, want %s", r.method, want)
	}
}

// TestResetGoesOn writes more runs of pages than a scan can list, so that one which stopped after the first batch
// would leave the rest.
func TestResetGoesOn(t *testing.T) {
	for _, way := range copyingWays(t) {
		t.Run(way.name, func(t *testing.T) {
			slots := newTestSlots(t, Config{})
			way.configure(slots)
			slots.restorer.runs = 8
			img := newTestImage(t, 2<<20)
			slot := takeTestSlot(t, slots, 4<<20, img)
			for range 3 {
				mem := slot.Reallocate(4 << 20)
				written := 0
				for at := 0; at < len(mem); at += 2 * pageSize() {
					mem[at]++
					written++
				}
				done, err := slot.Reset(nil)
				if want := (Restored{Pages: written, Kept: written}); err != nil || done != want {
					t.Fatalf("Reset() = %+v, %v, want %+v", done, err, want)
				}
				if err := Compare(slot, img); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestResetListsWrittenPages sees that what is only read costs a reset nothing, and what is written is found,
// whatever was written: in a fresh slot, and in one that was reset before.
func TestResetListsWrittenPages(t *testing.T) {
	page := uint64(pageSize())
	const size = 1 << 20
	tests := []struct {
		name  string
		touch func(mem []byte)
		want  int
	}{
		{"nothing", func([]byte) {}, 0},
		{"everything read", func(mem []byte) {
			for at := uint64(0); at < uint64(len(mem)); at += page {
				if mem[at] == 1 {
					_ = mem[at+1]
				}
			}
		}, 0},
		{"one byte of the image", func(mem []byte) { mem[5*page] = 0 }, 1},
		{"the image's own bytes", func(mem []byte) { copy(mem[5*page:], string(mem[5*page:5*page+8])) }, 1},
		{"written and put back", func(mem []byte) { mem[5*page]++; mem[5*page]-- }, 1},
		{"zero behind the image", func(mem []byte) { mem[size+3*page] = 0 }, 1},
		{"read, then written, behind the image", func(mem []byte) {
			if mem[size+page] == 0 {
				mem[size+page] = 7
			}
		}, 1},
		{"two neighbours and one apart", func(mem []byte) { mem[page], mem[2*page], mem[9*page] = 1, 2, 3 }, 3},
		{"both sides of the image's end", func(mem []byte) { mem[size-1], mem[size] = 0, 1 }, 2},
	}
	for _, way := range copyingWays(t) {
		for _, test := range tests {
			for _, before := range []int{0, 1} {
				t.Run(fmt.Sprintf("%s/%s/after %d resets", way.name, test.name, before), func(t *testing.T) {
					slots := newTestSlots(t, Config{})
					way.configure(slots)
					img := newTestImage(t, size)
					slot := takeTestSlot(t, slots, 2*size, img)
					for range before {
						slot.Reallocate(0)[7*page]++
						if _, err := slot.Reset(nil); err != nil {
							t.Fatal(err)
						}
					}
					test.touch(slot.Reallocate(2 * size))
					done, err := slot.Reset(nil)
					if want := test.want + before; err != nil || done.Pages != want { // the page written before stays
						t.Errorf("Reset() = %+v, %v, want %d pages", done, err, want)
					}
					if err := Compare(slot, img); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// TestSweepForgetsOldPages sees that a page which was written once is not copied for ever.
func TestSweepForgetsOldPages(t *testing.T) {
	for _, way := range copyingWays(t) {
		t.Run(way.name, func(t *testing.T) {
			slots := newTestSlots(t, Config{})
			way.configure(slots)
			img := newTestImage(t, 1<<20)
			slot := takeTestSlot(t, slots, 1<<20, img)
			mem := slot.Reallocate(0)
			for at := 0; at < len(mem); at += pageSize() {
				mem[at]++
			}
			pages := len(mem) / pageSize()
			for i := 1; i <= sweepEvery+2; i++ {
				mem[3] = byte(i)
				want := Restored{Pages: pages, Kept: pages}
				switch {
				case i == sweepEvery:
					want.Kept = 1
				case i > sweepEvery:
					want = Restored{Pages: 1, Kept: 1}
				}
				if done, err := slot.Reset(nil); err != nil || done != want {
					t.Fatalf("reset %d: Reset() = %+v, %v, want %+v", i, done, err, want)
				}
				if err := Compare(slot, img); err != nil { // and reads every page
					t.Fatal(err)
				}
			}
		})
	}
}

// TestKeepsLessUnderPressure reaches both limits of what a slot may keep.
func TestKeepsLessUnderPressure(t *testing.T) {
	page := pageSize()
	slots := newTestSlots(t, Config{})
	copyingWays(t)
	img := newTestImage(t, (keepPages+64)*page/WasmPage*WasmPage)
	slot := takeTestSlot(t, slots, img.Size(), img)
	mem := slot.Reallocate(0)
	reset := func(pages int) Restored {
		for i := range pages {
			mem[i*page]++
		}
		done, err := slot.Reset(nil)
		if err == nil {
			err = Compare(slot, img)
		}
		if err == nil {
			err = slot.Release() // the next starts with none
		}
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if done := reset(keepPages); done.Discarded || done.Kept != keepPages {
		t.Errorf("%d pages: %+v, want all kept", keepPages, done)
	}
	if done := reset(keepPages + 1); !done.Discarded {
		t.Errorf("%d pages: %+v, want them dropped", keepPages+1, done)
	}
	if !slots.budget.take(DefaultBudgetBytes / 2) {
		t.Fatal("half of the budget is not there")
	}
	defer slots.budget.correct(DefaultBudgetBytes/2, 0)
	if done := reset(keepPagesPressed); done.Discarded {
		t.Errorf("%d pages under pressure: %+v, want all kept", keepPagesPressed, done)
	}
	if done := reset(keepPagesPressed + 1); !done.Discarded {
		t.Errorf("%d pages under pressure: %+v, want them dropped", keepPagesPressed+1, done)
	}
}

// TestSwapped sees that a page which was written and swapped out is restored. It needs swap space.
func TestSwapped(t *testing.T) {
	for _, way := range copyingWays(t) {
		t.Run(way.name, func(t *testing.T) {
			slots := newTestSlots(t, Config{})
			way.configure(slots)
			img := newTestImage(t, 1<<20)
			slot := takeTestSlot(t, slots, 2<<20, img)
			for range 2 {
				mem := slot.Reallocate(2 << 20)
				for at := 0; at < len(mem); at += pageSize() {
					mem[at] = 99
				}
				if err := unix.Madvise(mem, unix.MADV_PAGEOUT); err != nil {
					t.Skipf("page out: %v", err)
				}
				swapped := 0
				for at := 0; at < len(mem); at += pageSize() {
					if pagemapEntry(t, slots, &mem[at])&(1<<62) != 0 {
						swapped++
					}
				}
				if swapped == 0 {
					t.Skip("nothing was swapped out: this system has no swap space")
				}
				done, err := slot.Reset(nil)
				if want := len(mem) / pageSize(); err != nil || done.Pages != want {
					t.Errorf("Reset() = %+v, %v, want %d pages, %d of them swapped", done, err, want, swapped)
				}
				if err := Compare(slot, img); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestTrackingLost sees that a memory whose protection is lifted by someone else is still restored.
func TestTrackingLost(t *testing.T) {
	slots := newTestSlots(t, Config{})
	if slots.restorer.method != methodTrack {
		t.Skip("this process may not have a userfaultfd that tracks writes")
	}
	img := newTestImage(t, 1<<20)
	slot := takeTestSlot(t, slots, 1<<20, img)
	mem := slot.Reallocate(0)
	for _, lose := range []func() error{
		func() error { return nil },
		func() error { return unix.Madvise(mem[:len(mem)/2], unix.MADV_DONTNEED) },
		func() error {
			arg := [3]uint64{addressOf(mem), uint64(len(mem)), 0}
			return ioctl(slots.restorer.tracker, uffdWriteProtect, unsafe.Pointer(&arg))
		},
		func() error {
			arg := [2]uint64{addressOf(mem), uint64(len(mem))}
			return ioctl(slots.restorer.tracker, uffdUnregister, unsafe.Pointer(&arg))
		},
	} {
		for range 2 {
			mem[3], mem[len(mem)-3] = 7, 7
			if _, err := slot.Reset(nil); err != nil {
				t.Fatal(err)
			}
			if err := Compare(slot, img); err != nil {
				t.Fatal(err)
			}
		}
		if err := lose(); err != nil {
			t.Fatal(err)
		}
	}
}

const uffdUnregister = 0x8010aa01 // _IOR(0xaa, 0x01, struct uffdio_range)

func pagemapEntry(t *testing.T, slots *Slots, at *byte) uint64 {
	t.Helper()
	var b [8]byte
	offset := int64(uintptr(unsafe.Pointer(at))) / int64(pageSize()) * 8
	if _, err := unix.Pread(slots.restorer.pagemap, b[:], offset); err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(b[:])
}

// TestReleaseTakesNoMemory sees that an idle slot's memory is the system's again.
func TestReleaseTakesNoMemory(t *testing.T) {
	for _, way := range ways(t) {
		t.Run(way.name, func(t *testing.T) {
			slots := newTestSlots(t, Config{})
			way.configure(slots)
			img := newTestImage(t, 1<<20)
			slot := takeTestSlot(t, slots, 8<<20, img)
			for range sweepEvery {
				mem := slot.Reallocate(2 << 20)
				for at := 0; at < len(mem); at += pageSize() {
					mem[at] = 99
				}
				if _, err := slot.Reset(nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := slot.Release(); err != nil {
				t.Fatal(err)
			}
			if n := privateBytes(t, slot); n != 0 {
				t.Errorf("%d bytes are private after Release, want none", n)
			}
			if used := slots.Stats().ResidentBytes; used != slotBytes {
				t.Errorf("%d bytes are charged after Release, want %d", used, slotBytes)
			}
			if err := Compare(slot, img); err != nil {
				t.Error(err)
			}
		})
	}
}

// privateBytes sums what the kernel says is private in a slot's mappings.
func privateBytes(t *testing.T, slot *Slot) int {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	first := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(slot.region.base))))
	last := first + uint64(len(slot.region.base))
	inside, sum := false, 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uint64
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); n == 2 {
			inside = from >= first && to <= last
		}
		if kb := 0; inside && strings.HasPrefix(lines.Text(), "Anonymous:") {
			fmt.Sscanf(lines.Text(), "Anonymous: %d kB", &kb)
			sum += kb << 10
		}
	}
	return sum
}

// TestNothingLeaks takes, uses and frees slots and images, also from files, and counts what the process has open.
func TestNothingLeaks(t *testing.T) {
	path := t.TempDir() + "/image"
	saved := newTestImage(t, 1<<20)
	if err := saved.Save(path, nil, nil); err != nil {
		t.Fatal(err)
	}
	cycle := func() {
		slots := New(Config{FreeSlots: 2})
		opened, _, err := OpenImage(path, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		made, err := NewImage(make([]byte, WasmPage))
		if err != nil {
			t.Fatal(err)
		}
		var taken []*Slot
		for i := range 6 {
			slot, err := slots.Take(2<<20, []*Image{opened, made, saved}[i%3])
			if err != nil {
				t.Fatal(err)
			}
			slot.Reallocate(2 << 20)[i] = 1
			taken = append(taken, slot)
		}
		opened.Close()
		for _, slot := range taken[1:] {
			slot.Free()
		}
		if err := slots.Close(); err == nil {
			t.Error("Close() = nil with a slot taken, want an error")
		}
		taken[0].Free()
		made.Close()
		if _, _, err := OpenImage(path, []byte("another"), nil); err == nil {
			t.Error("a foreign image was opened")
		}
	}
	cycle() // what Go itself maps at first use
	files, maps := count(t, "/proc/self/fd"), count(t, "/proc/self/maps")
	for range 200 {
		cycle()
	}
	if n := count(t, "/proc/self/fd"); n > files {
		t.Errorf("%d files are open after 200 cycles, %d before", n, files)
	}
	if n := count(t, "/proc/self/maps"); n > maps+50 { // Go's own heap may grow by some
		t.Errorf("%d mappings are there after 200 cycles, %d before", n, maps)
	}
}

func count(t *testing.T, path string) int {
	t.Helper()
	if entries, err := os.ReadDir(path); err == nil {
		return len(entries)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skip(err)
	}
	return strings.Count(string(b), "\n")
}

// TestImageIsSealed sees that nobody can change what slots were armed with.
func TestImageIsSealed(t *testing.T) {
	img := newTestImage(t, WasmPage)
	if _, err := unix.Pwrite(img.backing.fd, []byte{1}, 0); err == nil {
		t.Error("a sealed image was written to")
	}
	if err := unix.Ftruncate(img.backing.fd, 0); err == nil {
		t.Error("a sealed image was truncated")
	}
}
