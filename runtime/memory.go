package runtime

import (
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"
)

// memory is the linear memory of one instance: the engine asks it for the first pages and for every growth, and
// it refuses to pass the function's limit. Where the system has address space to reserve, growing moves nothing
// and the pages go back to the system when the instance ends.
type memory struct {
	limit   uint64
	gauge   *atomic.Int64 // bytes in use by all instances
	refused bool          // a growth was refused
	peak    uint64

	reserved []byte // the whole reservation, nil when there is none
	current  []byte
}

// Allocate is called by the engine once, when the instance is made. The engine must not be given a module that
// starts above the limit.
func (m *memory) Allocate(_, maximum uint64) experimental.LinearMemory {
	m.reserved, _ = reserve(int(min(m.limit, maximum))) // without it, memory comes from Go's heap
	return m
}

// Reallocate answers the memory with the new size, or nil when the limit does not allow it.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	switch {
	case size <= uint64(len(m.reserved)):
		m.use(m.reserved[:size:size])
	case size <= uint64(cap(m.current)):
		m.use(m.current[:size])
	default:
		bigger := make([]byte, size, min(m.limit, size+size/4))
		copy(bigger, m.current)
		m.use(bigger)
	}
	return m.current
}

func (m *memory) use(b []byte) {
	m.gauge.Add(int64(len(b)) - int64(len(m.current)))
	m.current = b
	m.peak = max(m.peak, uint64(len(b)))
}

// Free gives the memory back. No guest code may run on it any more. It may be called twice.
func (m *memory) Free() {
	m.gauge.Add(-int64(len(m.current)))
	m.current = nil
	if m.reserved != nil {
		release(m.reserved)
		m.reserved = nil
	}
}
