package runtime

import "github.com/tetratelabs/wazero/experimental"

// builderMemory is the linear memory of an instance that an image is built from: zeros up to the function's limit,
// which it refuses to pass. Where the system has address space to reserve, growing moves nothing and the pages go
// back to the system when the image is taken.
type builderMemory struct {
	limit    uint64
	refused  bool   // a growth was refused
	reserved []byte // the whole reservation, nil when there is none
	current  []byte
}

// Allocate is called by the engine once, when the instance is made. The engine must not be given a module that
// starts above the limit.
func (m *builderMemory) Allocate(_, maximum uint64) experimental.LinearMemory {
	m.reserved, _ = reserve(int(min(m.limit, maximum))) // without it, memory comes from Go's heap
	return m
}

// Reallocate answers the memory with the new size, or nil when the limit does not allow it.
func (m *builderMemory) Reallocate(size uint64) []byte {
	if size > m.limit {
		m.refused = true
		return nil
	}
	switch {
	case size <= uint64(len(m.reserved)):
		m.current = m.reserved[:size:size]
	case size <= uint64(cap(m.current)):
		m.current = m.current[:size]
	default:
		bigger := make([]byte, size, min(m.limit, size+size/4))
		copy(bigger, m.current)
		m.current = bigger
	}
	return m.current
}

// Free gives the memory back. No guest code may run on it any more. It may be called twice.
func (m *builderMemory) Free() {
	m.current = nil
	if m.reserved != nil {
		release(m.reserved)
		m.reserved = nil
	}
}
