package wasmbin

// segment is a data segment.
type segment struct {
	at       span // the whole entry
	bytes    span
	passive  bool
	constant bool   // active, at a constant offset
	offset   uint32 // when constant
}

func (m *module) readData(r *reader) {
	n := r.count("data segments", 2, MaxDataSegments)
	m.segments = make([]segment, n)
	for i := range m.segments {
		m.readSegment(r, &m.segments[i])
		if r.failed() {
			return
		}
	}
}

func (m *module) readSegment(r *reader, s *segment) {
	s.at.from = r.at
	switch flags := r.u32(); flags {
	case 0:
		m.readOffset(r, s)
	case 1:
		s.passive = true
	case 2:
		if i := r.u32(); i != 0 {
			r.failAt(s.at.from, Unsupported, "segment of memory %d (multi-memory), want memory 0", i)
		}
		m.readOffset(r, s)
	default:
		r.failAt(s.at.from, Malformed, "segment's kind is %d, want 0 to 2", flags)
	}
	if !s.passive && len(m.memories) == 0 {
		r.failAt(s.at.from, Malformed, "segment of memory 0, but there is none")
	}
	n := r.length("bytes of a segment")
	s.bytes.from = r.skip(n)
	s.bytes.to = s.bytes.from + n
	s.at.to = r.at
}

// readOffset reads where an active segment goes. Only a single i32.const counts as constant: with anything
// else the engine computes the offset, and checks that it may.
func (m *module) readOffset(r *reader, s *segment) {
	if r.left() > 0 && r.data[r.at] == opI32Const {
		before := r.at
		r.at++
		offset := r.signed(32)
		if r.left() > 0 && r.data[r.at] == opEnd {
			r.at++
			s.constant, s.offset = true, uint32(offset)
			return
		}
		if r.failed() {
			return
		}
		r.at = before
	}
	m.constant(r, nil)
}
