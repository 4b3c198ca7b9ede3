package memory

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"
)

// Defaults and limits of Config.
const (
	DefaultBudgetBytes = 1 << 30
	DefaultMaxSlots    = 16384
	DefaultFreeSlots   = 256

	slotBytes    = 16 << 10 // page tables and bookkeeping of a slot, charged besides its pages
	smallestSlot = 1 << 20  // bytes of address space
)

// Config is how many slots there may be. Its zero value takes the defaults.
type Config struct {
	// BudgetBytes is how much memory all slots together may use, as far as is known: what each had of its own
	// after its last reset, and what it grew by since. More lets more instances live; it should leave room for
	// images, compiled code and the rest of the process.
	BudgetBytes int64
	// MaxSlots is how many slots may be taken at once. Each needs up to three of a process's mappings, of which
	// Linux allows 65,530 unless vm.max_map_count is raised.
	MaxSlots int
	// FreeSlots is how many freed slots keep their address space, and on Linux the mapping of their last image.
	// They hold no memory. More makes taking a slot cheaper by some 15 us, fewer leaves more mappings.
	FreeSlots int
}

// Slots hands out slots. All methods may be called concurrently.
type Slots struct {
	config   Config
	budget   budget
	keep     int // keepPages
	restorer *restorer

	mu     sync.Mutex // guards what follows
	free   []*region  // clean, the latest last
	taken  int
	closed bool
}

// Stats says what the slots use now.
type Stats struct {
	Taken         int
	Free          int
	ResidentBytes int64 // estimate that is held against the budget
	BudgetBytes   int64
	Method        string // how a reset finds what to restore: track, scan, advise or copy
}

// New makes slots. The caller closes them.
func New(c Config) *Slots {
	if c.BudgetBytes == 0 {
		c.BudgetBytes = DefaultBudgetBytes
	}
	if c.MaxSlots == 0 {
		c.MaxSlots = DefaultMaxSlots
	}
	if c.FreeSlots == 0 {
		c.FreeSlots = DefaultFreeSlots
	}
	return &Slots{config: c, budget: budget{limit: c.BudgetBytes}, keep: keepPages, restorer: newRestorer()}
}

// Take hands out a slot whose memory is img and may grow to limit bytes, a multiple of WasmPage and MaxLimitBytes
// at most. Without an image (nil) the memory is zeros; such a slot is charged its whole limit, since nothing is
// known of what it will use. The caller frees the slot where the engine that was given it does not.
//
// The error is ErrLimit for an image above the limit, ErrBudget where the budget or the number of slots is used
// up, ErrClosed for a closed image or after Close.
func (s *Slots) Take(limit uint64, img *Image) (*Slot, error) {
	slot, err := s.take(limit, img)
	if err != nil {
		return nil, fmt.Errorf("take slot: %w", err)
	}
	return slot, nil
}

func (s *Slots) take(limit uint64, img *Image) (*Slot, error) {
	if err := checkSize(limit); err != nil {
		return nil, err
	}
	slot := &Slot{slots: s, limit: limit, charged: slotBytes + int64(limit)}
	if img != nil {
		if img.size > limit {
			return nil, fmt.Errorf("image of %d bytes: %w of %d", img.size, ErrLimit, limit)
		}
		if !img.retain() {
			return nil, fmt.Errorf("image: %w", ErrClosed)
		}
		slot.image, slot.floor, slot.charged = img, img.size, slotBytes+img.private.Load()
	}
	err := s.outfit(slot)
	if err != nil {
		slot.letGo()
		return nil, err
	}
	return slot, nil
}

// outfit finds the slot a region.
func (s *Slots) outfit(slot *Slot) error {
	if !s.budget.take(slot.charged) {
		n := slot.charged
		slot.charged = 0
		return fmt.Errorf("%w: %d of %d bytes in use, %d more needed", ErrBudget, s.budget.used.Load(), s.budget.limit, n)
	}
	class := classOf(slot.limit)
	r, err := s.pick(class, slot.image)
	if err != nil {
		return err
	}
	if r == nil {
		if r, err = newRegion(class); err != nil {
			s.miss()
			return err
		}
	}
	if err := r.arm(slot.image); err != nil {
		r.drop()
		s.miss()
		return err
	}
	slot.region = r
	return nil
}

// pick counts a slot as taken and finds it a free region of the class: armed with img already, else blank, else
// any. It answers nil where a new one must be made.
func (s *Slots) pick(class uint64, img *Image) (*region, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.taken >= s.config.MaxSlots {
		return nil, fmt.Errorf("%w: all %d slots are taken", ErrBudget, s.config.MaxSlots)
	}
	s.taken++
	if img != nil {
		img.home.Store(s)
	}
	best := -1
	for i, r := range slices.Backward(s.free) {
		if uint64(len(r.base)) != class {
			continue
		}
		if r.image == img {
			best = i
			break
		}
		if best < 0 || r.image == nil && s.free[best].image != nil {
			best = i
		}
	}
	if best < 0 {
		return nil, nil
	}
	r := s.free[best]
	s.free = slices.Delete(s.free, best, best+1)
	return r, nil
}

// miss undoes pick's count.
func (s *Slots) miss() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	s.finish()
}

// put takes back a clean region, or drops it where enough are free.
func (s *Slots) put(r *region, img *Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if img != nil && img.closed.Load() && r.disarm() != nil || s.closed {
		r.drop()
		s.finish()
		return
	}
	s.free = append(s.free, r)
	if len(s.free) > s.config.FreeSlots {
		s.free[0].drop() // the longest unused
		s.free = slices.Delete(s.free, 0, 1)
	}
}

// forget makes no free region keep a closed image in memory.
func (s *Slots) forget(img *Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = slices.DeleteFunc(s.free, func(r *region) bool {
		if r.image != img || r.disarm() == nil {
			return false
		}
		r.drop()
		return true
	})
}

// Stats says what the slots use now.
func (s *Slots) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Taken:         s.taken,
		Free:          len(s.free),
		ResidentBytes: s.budget.used.Load(),
		BudgetBytes:   s.budget.limit,
		Method:        s.restorer.method,
	}
}

// Close gives the free slots' address space back and hands out no more. Slots still taken stay whole until they are
// freed; the error says how many there are.
func (s *Slots) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for _, r := range s.free {
		r.drop()
	}
	s.free = nil
	s.finish()
	if s.taken > 0 {
		return fmt.Errorf("close slots: %w: %d still taken", ErrBusy, s.taken)
	}
	return nil
}

// finish closes the restorer once nobody can need it. mu is held.
func (s *Slots) finish() {
	if s.closed && s.taken == 0 {
		s.restorer.close()
	}
}

// keepPages is how many private pages a slot may keep now.
func (s *Slots) keepPages() int {
	if s.budget.used.Load() > s.budget.limit/2 {
		return min(s.keep, keepPagesPressed)
	}
	return s.keep
}

// classOf is how much address space a slot takes: its limit and the page above that a shrink asks for, rounded up
// to a power of two so that functions with different limits use each other's.
func classOf(limit uint64) uint64 {
	return 1 << bits.Len64(max(limit+WasmPage, smallestSlot)-1)
}
