package memory

import (
	"errors"
	"fmt"
)

// sweepEvery is after how many resets one drops the private pages that the last call did not write, instead of
// copying them again each time. More often lets rarely written pages fault again, less often copies them longer.
const sweepEvery = 64

// A reset copies up to so many private pages back and leaves them private; a slot with more has all of them dropped.
// Copying a page costs a tenth of the fault that brings it back, so that the limits are there for memory's sake: more
// keeps more of it resident in instances, less lets guests that write much fault every page in again. The lower one
// holds while more than half of the budget is in use.
const (
	keepPages        = 2048
	keepPagesPressed = 256
)

// Growable is an instance's memory as the engine offers it; wazero's api.Memory is one.
type Growable interface {
	Grow(pages uint32) (previous uint32, ok bool)
	Size() uint32
}

// Restored says what a reset did.
type Restored struct {
	Pages     int  // pages that were private; with Discarded only as far as they were counted, or 0
	Kept      int  // of them those that stayed private, and cost the next call no fault
	Discarded bool // all private pages were dropped instead of copied
}

// pass is a reset's way with private pages.
type pass int

const (
	passCopy  pass = iota // copy the image over all
	passSweep             // copy it over those that differ, drop the rest
	passFirst             // copy, and do not begin to track: see Slot.reset
)

// Reset gives a quiescent slot its image back, byte for byte, and its size: mem, the engine's view of the memory,
// is made to shrink when it grew (nil where there is no engine). It is called after every call that ran in the
// slot, before the next, off the path of its reply. ErrBusy says that a call runs or the slot is freed. After any
// other error the slot is spoiled: Begin refuses, and only Free is left.
//
// The shrink: while the slot is armed, mem.Grow(1) makes wazero ask for one page more and take what it is handed,
// which is the image's size, and refresh its cached base and length. So the module's declared maximum is one page
// above the function's limit. wazero does not promise this; TestShrinkInWazero holds it.
func (s *Slot) Reset(mem Growable) (Restored, error) {
	if !s.state.CompareAndSwap(stateIdle, stateRunning) {
		return Restored{}, fmt.Errorf("reset slot: %w", ErrBusy)
	}
	done, err := s.reset(mem)
	if err != nil {
		s.spoil()
		return done, fmt.Errorf("reset slot: %w: %w", ErrSpoiled, err)
	}
	s.clean = true
	if !s.End() {
		return done, fmt.Errorf("reset slot: %w", ErrBusy)
	}
	return done, nil
}

func (s *Slot) reset(mem Growable) (Restored, error) {
	s.resets++
	pass := passCopy
	switch {
	case s.resets == 1:
		// No call has run yet, and perhaps only one will. Pages that are tracked are brought in one by one, which
		// costs that call several times what it saves the resets after it.
		pass = passFirst
	case s.resets%sweepEvery == 0:
		pass = passSweep
	}
	done, err := s.slots.restorer.restore(s.region, s.high, pass, s.slots.keepPages())
	if err != nil {
		return done, err
	}
	switch {
	case done.Discarded:
		s.high = s.floor
	case pass == passSweep:
		s.high = max(s.size, s.floor)
	}
	if err := s.shrink(mem); err != nil {
		return done, err
	}
	s.refusal = nil
	s.measured(done)
	return done, nil
}

// shrink makes the memory the image's size again.
func (s *Slot) shrink(mem Growable) error {
	if s.size > s.floor {
		if mem == nil {
			s.size = s.floor
			return nil
		}
		s.armed = true
		_, ok := mem.Grow(1)
		if !ok || s.armed {
			s.armed = false
			return errors.New("shrink memory: the engine did not ask for it")
		}
	}
	if mem != nil && uint64(mem.Size()) != s.size {
		return fmt.Errorf("shrink memory: the engine has %d bytes, want %d", mem.Size(), s.size)
	}
	return nil
}

// measured replaces the estimate that is held against the budget.
func (s *Slot) measured(done Restored) {
	if s.image == nil {
		return
	}
	private := int64(done.Kept) * int64(pageSize())
	s.slots.budget.correct(s.charged, slotBytes+private)
	s.charged = slotBytes + private
	if !done.Discarded {
		s.image.private.Store(private)
	}
}

// Release drops the private pages of a slot that was just reset: an idle instance then takes hardly any memory, and
// its next call pays a fault for each page it writes. Its errors are Reset's; ErrBusy also says that the slot is not
// reset.
func (s *Slot) Release() error {
	if !s.clean || !s.state.CompareAndSwap(stateIdle, stateRunning) {
		return fmt.Errorf("release slot: %w", ErrBusy)
	}
	if err := s.region.refresh(s.high); err != nil {
		s.spoil()
		return fmt.Errorf("release slot: %w: %w", ErrSpoiled, err)
	}
	s.high = s.floor
	s.measured(Restored{Discarded: true})
	if !s.End() {
		return fmt.Errorf("release slot: %w", ErrBusy)
	}
	return nil
}

// Compare says whether a quiescent slot's memory is the image's: its size, every byte of it, and zeros wherever it
// may have reached before. The error names the first difference. It reads everything: it is for tests.
func Compare(s *Slot, img *Image) error {
	if s.size != img.size {
		return fmt.Errorf("compare memory: %d bytes, image has %d", s.size, img.size)
	}
	high := max(s.high, s.size)
	for at := uint64(0); at < high; at += block {
		if img.equal(s.region.base[at:at+block], at) {
			continue
		}
		for s.region.base[at] == img.byteAt(at) {
			at++
		}
		return fmt.Errorf("compare memory: byte %#x is %#02x, image has %#02x", at, s.region.base[at], img.byteAt(at))
	}
	return nil
}
