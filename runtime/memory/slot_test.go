package memory

import (
	"errors"
	"testing"
)

func TestTakeRefuses(t *testing.T) {
	slots := newTestSlots(t, Config{BudgetBytes: 64 << 20, MaxSlots: 3})
	small, large := newTestImage(t, WasmPage), newTestImage(t, 3*WasmPage)
	closed, err := NewImage(make([]byte, WasmPage))
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	tests := []struct {
		name  string
		limit uint64
		image *Image
		want  error
	}{
		{"image as large as the limit", 3 * WasmPage, large, nil},
		{"image above the limit", 2 * WasmPage, large, ErrLimit},
		{"largest limit", MaxLimitBytes, small, nil},
		{"limit above the largest", MaxLimitBytes + WasmPage, small, ErrLimit},
		{"closed image", WasmPage, closed, ErrClosed},
		{"no image, within the budget", 32 << 20, nil, nil},
		{"no image, above the budget", 64 << 20, nil, ErrBudget},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			slot, err := slots.Take(test.limit, test.image)
			if !errors.Is(err, test.want) {
				t.Errorf("Take(%d) = %v, want %v", test.limit, err, test.want)
			}
			if slot != nil {
				slot.Free()
			}
		})
	}
	if _, err := slots.Take(WasmPage+1, small); err == nil {
		t.Error("Take took a limit that is not whole pages")
	}
	for range 3 {
		takeTestSlot(t, slots, WasmPage, small)
	}
	if _, err := slots.Take(WasmPage, small); !errors.Is(err, ErrBudget) {
		t.Errorf("Take() = %v with all slots taken, want ErrBudget", err)
	}
	if stats := slots.Stats(); stats.Taken != 3 {
		t.Errorf("Stats() = %+v, want 3 taken", stats)
	}
}

func TestTakeAfterClose(t *testing.T) {
	slots := New(Config{})
	if err := slots.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := slots.Take(WasmPage, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Take() = %v after Close, want ErrClosed", err)
	}
}

func TestBudget(t *testing.T) {
	img := newTestImage(t, WasmPage)
	room := int64(3*slotBytes + 2*WasmPage) // two slots that write everything, and no page more
	slots := newTestSlots(t, Config{BudgetBytes: room})
	first := takeTestSlot(t, slots, 100*WasmPage, img)
	second := takeTestSlot(t, slots, 100*WasmPage, img)
	if _, err := slots.Take(100*WasmPage, img); !errors.Is(err, ErrBudget) {
		t.Fatalf("Take() = %v, want ErrBudget", err)
	}
	first.Reallocate(0)
	if mem := first.Reallocate(2 * WasmPage); mem != nil || !errors.Is(first.Refusal(), ErrBudget) {
		t.Errorf("Reallocate() = %d bytes, %v, want none and ErrBudget", len(mem), first.Refusal())
	}
	if len(first.Bytes()) != WasmPage {
		t.Errorf("the memory is %d bytes after a refused growth, want %d", len(first.Bytes()), WasmPage)
	}
	second.Free()
	if mem := first.Reallocate(2 * WasmPage); len(mem) != 2*WasmPage {
		t.Errorf("Reallocate() = %d bytes, %v, want %d", len(mem), first.Refusal(), 2*WasmPage)
	}
	if _, err := first.Reset(nil); err != nil || first.Refusal() != nil {
		t.Errorf("Reset() = %v, Refusal() = %v, want neither", err, first.Refusal())
	}
	// Nothing was written: what is known now lets a second slot in, and a third.
	if slots.Stats().Method == "copy" {
		return
	}
	takeTestSlot(t, slots, 100*WasmPage, img)
	if used := slots.Stats().ResidentBytes; used > room {
		t.Errorf("%d bytes are charged, budget is %d", used, room)
	}
}

func TestReallocate(t *testing.T) {
	slots := newTestSlots(t, Config{})
	img := newTestImage(t, 2*WasmPage)
	slot := takeTestSlot(t, slots, 4*WasmPage, img)
	tests := []struct{ ask, want uint64 }{
		{0, 2 * WasmPage}, // less than the image
		{WasmPage, 2 * WasmPage},
		{2 * WasmPage, 2 * WasmPage},
		{3 * WasmPage, 3 * WasmPage},
		{5 * WasmPage, 0}, // above the limit
		{4 * WasmPage, 4 * WasmPage},
		{WasmPage, 4 * WasmPage}, // never smaller
	}
	start := &slot.Reallocate(0)[0]
	for _, test := range tests {
		mem := slot.Reallocate(test.ask)
		if uint64(len(mem)) != test.want || uint64(cap(mem)) != test.want {
			t.Errorf("Reallocate(%d) = %d bytes, want %d", test.ask, len(mem), test.want)
		}
		if mem == nil && !errors.Is(slot.Refusal(), ErrLimit) {
			t.Errorf("Refusal() = %v, want ErrLimit", slot.Refusal())
		}
		if mem != nil && &mem[0] != start {
			t.Error("the memory moved")
		}
	}
	slot.Free()
	if slot.Reallocate(0) != nil {
		t.Error("Reallocate answered memory of a freed slot")
	}
}

func TestFreeDuringCall(t *testing.T) {
	slots := newTestSlots(t, Config{})
	img := newTestImage(t, WasmPage)
	slot := takeTestSlot(t, slots, WasmPage, img)
	mem := slot.Reallocate(0)
	if !slot.Begin() || slot.Begin() {
		t.Fatal("Begin() allowed two calls at once, or none")
	}
	mem[7] = 1
	slot.Free()
	slot.Free()
	if stats := slots.Stats(); stats.Taken != 1 || stats.Free != 0 {
		t.Fatalf("Stats() = %+v during the call, want the slot taken", stats)
	}
	mem[8] = 2 // still there
	if slot.End() {
		t.Error("End() = true for a slot that was freed")
	}
	if stats := slots.Stats(); stats.Taken != 0 || stats.Free != 1 {
		t.Errorf("Stats() = %+v after the call, want the slot free", stats)
	}
	next := takeTestSlot(t, slots, WasmPage, img)
	next.Reallocate(0)
	slot.Free() // a late one must not free the next owner's
	if slot.Begin() {
		t.Error("Begin() allowed a call in a freed slot")
	}
	if _, err := slot.Reset(nil); !errors.Is(err, ErrBusy) {
		t.Errorf("Reset() = %v for a freed slot, want ErrBusy", err)
	}
	if !next.Begin() || !next.End() {
		t.Error("the next owner lost the slot")
	}
	if err := Compare(next, img); err != nil {
		t.Error(err)
	}
}

func TestResetWantsQuiet(t *testing.T) {
	slots := newTestSlots(t, Config{})
	slot := takeTestSlot(t, slots, WasmPage, newTestImage(t, WasmPage))
	slot.Reallocate(0)
	slot.Begin()
	if _, err := slot.Reset(nil); !errors.Is(err, ErrBusy) {
		t.Errorf("Reset() = %v during a call, want ErrBusy", err)
	}
	slot.End()
	if err := slot.Release(); !errors.Is(err, ErrBusy) {
		t.Errorf("Release() = %v before a reset, want ErrBusy", err)
	}
	if _, err := slot.Reset(nil); err != nil {
		t.Fatal(err)
	}
	if err := slot.Release(); err != nil {
		t.Fatal(err)
	}
}

// stubborn is an engine's memory that does not shrink.
type stubborn struct {
	size uint32
	ok   bool
}

func (s stubborn) Grow(uint32) (uint32, bool) { return 0, s.ok }
func (s stubborn) Size() uint32               { return s.size }

// TestSpoiledSlotIsNotUsedAgain sees that a memory which could not be restored goes to nobody.
func TestSpoiledSlotIsNotUsedAgain(t *testing.T) {
	tests := []struct {
		name   string
		grow   uint64
		engine stubborn
	}{
		{"engine refuses to grow", 2 * WasmPage, stubborn{2 * WasmPage, false}},
		{"engine grows by itself", 2 * WasmPage, stubborn{2 * WasmPage, true}},
		{"engine has another size", WasmPage, stubborn{2 * WasmPage, true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			slots := newTestSlots(t, Config{})
			slot := takeTestSlot(t, slots, 2*WasmPage, newTestImage(t, WasmPage))
			slot.Reallocate(0)
			slot.Reallocate(test.grow)
			if _, err := slot.Reset(test.engine); !errors.Is(err, ErrSpoiled) {
				t.Fatalf("Reset() = %v, want ErrSpoiled", err)
			}
			if slot.Begin() {
				t.Error("Begin() allowed a call in a spoiled slot")
			}
			if _, err := slot.Reset(nil); !errors.Is(err, ErrBusy) {
				t.Errorf("Reset() = %v for a spoiled slot, want ErrBusy", err)
			}
			slot.Free()
			if stats := slots.Stats(); stats.Taken != 0 || stats.Free != 0 {
				t.Errorf("Stats() = %+v, want the slot gone", stats)
			}
		})
	}
}

// TestCompareSeesDifferences keeps the tests that lean on it honest.
func TestCompareSeesDifferences(t *testing.T) {
	slots := newTestSlots(t, Config{})
	img := newImageOf(t, append(make([]byte, WasmPage), newTestImage(t, WasmPage).backing.view...))
	tests := []struct {
		name  string
		spoil func(s *Slot)
		want  bool
	}{
		{"nothing", func(*Slot) {}, true},
		{"first byte", func(s *Slot) { s.Bytes()[0]++ }, false},
		{"byte in a hole", func(s *Slot) { s.Bytes()[WasmPage/2]++ }, false},
		{"last byte", func(s *Slot) { s.Bytes()[2*WasmPage-1]++ }, false},
		{"size", func(s *Slot) { s.Reallocate(3 * WasmPage) }, false},
		{"byte behind the end", func(s *Slot) {
			s.Reallocate(3 * WasmPage)[3*WasmPage-1] = 1
			s.size = 2 * WasmPage
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			slot := takeTestSlot(t, slots, 4*WasmPage, img)
			slot.Reallocate(0)
			test.spoil(slot)
			if err := Compare(slot, img); (err == nil) != test.want {
				t.Errorf("Compare() = %v, want equal %v", err, test.want)
			}
		})
	}
}

func TestResetDoesNotAllocate(t *testing.T) {
	for _, size := range []int{WasmPage, 8 * WasmPage} {
		slots := newTestSlots(t, Config{})
		slot := takeTestSlot(t, slots, 9*WasmPage, newTestImage(t, size))
		n := testing.AllocsPerRun(200, func() {
			slot.Begin()
			slot.Reallocate(9 * WasmPage)[5]++
			slot.End()
			if _, err := slot.Reset(nil); err != nil {
				t.Fatal(err)
			}
		})
		if n >= 1 {
			t.Errorf("a reset of %d bytes allocates %v times, want none", size, n)
		}
	}
}

// TestEndWithoutBegin sees that an End too many frees nothing.
func TestEndWithoutBegin(t *testing.T) {
	slots := newTestSlots(t, Config{})
	slot := takeTestSlot(t, slots, WasmPage, newTestImage(t, WasmPage))
	slot.Reallocate(0)
	if slot.End() || slots.Stats().Taken != 1 {
		t.Errorf("Stats() = %+v after End without Begin, want the slot taken", slots.Stats())
	}
	if !slot.Begin() || !slot.End() || slot.End() || slots.Stats().Taken != 1 {
		t.Errorf("Stats() = %+v after End twice, want the slot taken", slots.Stats())
	}
}

// TestNeverSmallerThanDeclared sees that an engine whose module declares more than the image holds keeps it: compiled
// code may rely on that.
func TestNeverSmallerThanDeclared(t *testing.T) {
	slots := newTestSlots(t, Config{})
	slot, err := slots.Take(4*WasmPage, newTestImage(t, WasmPage))
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Free()
	slot.Reallocate(2 * WasmPage)
	slot.Reallocate(3 * WasmPage)
	if _, err := slot.Reset(nil); err != nil || len(slot.Bytes()) != 2*WasmPage {
		t.Errorf("Reset() = %v, %d bytes, want %d", err, len(slot.Bytes()), 2*WasmPage)
	}
}
