package memory

import (
	"fmt"
	"sync/atomic"
)

// Slot is the memory of one instance. It has the methods of wazero's experimental.LinearMemory, so that the engine
// uses it in place of its own. Reallocate is called by the engine alone, and Free by anyone at any time; the other
// methods belong to the instance's owner, who calls them one at a time.
type Slot struct {
	slots  *Slots
	image  *Image // nil: zeros
	region *region
	limit  uint64 // bytes the guest may have
	floor  uint64 // bytes handed out at least: the image's size, or what the engine asked for first
	size   uint64 // bytes handed out now
	// high is up to where there may be private pages: the largest size since all were dropped.
	high    uint64
	charged int64 // bytes held against the budget
	resets  uint
	opened  bool  // the engine has asked for memory
	armed   bool  // the next Reallocate answers floor bytes
	clean   bool  // nothing ran since the last Reset
	refusal error // why the memory did not grow
	state   atomic.Uint32
}

// States of a slot.
const (
	stateIdle    = iota // quiescent
	stateRunning        // a call runs in it, or a reset
	stateLeaving        // freed while a call ran: its end gives the slot back
	stateSpoiled        // a reset failed: only Free is left
	stateFreed
)

// Reallocate answers the slot's first size bytes, or the image's size where less is asked for. It answers nil above
// the limit and where the budget is used up; Refusal tells which. Nothing is ever copied, and the memory does not
// move.
func (s *Slot) Reallocate(size uint64) []byte {
	switch s.state.Load() {
	case stateIdle, stateRunning:
	default:
		return nil
	}
	if s.armed {
		s.armed = false
		s.size = s.floor
		return s.Bytes()
	}
	if size > s.limit {
		s.refusal = fmt.Errorf("grow memory to %d bytes: %w of %d", size, ErrLimit, s.limit)
		return nil
	}
	size = max(size, s.size, s.floor)
	if grown := int64(size - max(s.size, s.floor)); grown > 0 && s.image != nil { // without one, all is charged
		if !s.slots.budget.take(grown) {
			s.refusal = fmt.Errorf("grow memory to %d bytes: %w of %d", size, ErrBudget, s.slots.budget.limit)
			return nil
		}
		s.charged += grown
	}
	if !s.opened {
		s.opened, s.floor = true, size
	}
	s.size, s.high = size, max(s.high, size)
	return s.Bytes()
}

// Bytes is the memory as handed out last. It is valid until Free.
func (s *Slot) Bytes() []byte { return s.region.base[:s.size:s.size] }

// Refusal says why Reallocate answered nil last: ErrLimit or ErrBudget. It is nil when it did not since the last
// Reset.
func (s *Slot) Refusal() error { return s.refusal }

// Begin is called before every call into the instance: until End the slot is not given to anyone else, whatever
// closes the module. It answers false when the slot is freed or spoiled, and the instance must not be called.
func (s *Slot) Begin() bool {
	if !s.state.CompareAndSwap(stateIdle, stateRunning) {
		return false
	}
	s.clean = false
	return true
}

// End is called after every call that Begin allowed. It answers false when the slot was freed meanwhile: the memory
// is gone.
func (s *Slot) End() bool {
	if s.state.CompareAndSwap(stateRunning, stateIdle) {
		return true
	}
	if s.state.CompareAndSwap(stateLeaving, stateFreed) {
		s.giveBack(true)
	}
	return false
}

// spoil is End where the memory is not what it should be.
func (s *Slot) spoil() {
	if s.state.CompareAndSwap(stateRunning, stateSpoiled) {
		return
	}
	if s.state.CompareAndSwap(stateLeaving, stateFreed) {
		s.giveBack(false)
	}
}

// Free gives the slot back; the engine calls it when the module is closed. While a call runs it only takes note,
// and the call's End gives the slot back. A second Free does nothing.
func (s *Slot) Free() {
	for {
		switch state := s.state.Load(); state {
		case stateFreed, stateLeaving:
			return
		case stateRunning:
			if s.state.CompareAndSwap(state, stateLeaving) {
				return
			}
		default:
			if s.state.CompareAndSwap(state, stateFreed) {
				s.giveBack(state == stateIdle)
				return
			}
		}
	}
}

// giveBack returns the region to the free ones, or unmaps it when it cannot be cleaned.
func (s *Slot) giveBack(sound bool) {
	if sound && s.region.retire(s.high) == nil {
		s.slots.put(s.region, s.image)
	} else {
		s.region.drop()
		s.slots.miss()
	}
	s.letGo()
}

// letGo returns what the slot was charged and its image.
func (s *Slot) letGo() {
	s.slots.budget.correct(s.charged, 0)
	if s.image != nil {
		s.image.release()
	}
}
