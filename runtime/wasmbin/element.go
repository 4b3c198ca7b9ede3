package wasmbin

// readElements passes over the element segments and notes the functions they name.
func (m *module) readElements(r *reader) { m.elementSegments(r, m.declare) }

// elementSegments passes over the element segments and tells f of every function they name.
func (m *module) elementSegments(r *reader, f found) {
	for range r.count("element segments", 2, MaxElements) {
		m.elementSegment(r, f)
		if r.failed() {
			return
		}
	}
}

// elementSegment reads one segment. The bits of its first number say: 1 not active (passive, or declarative with
// bit 2), 2 a table's index follows, 4 entries are expressions.
func (m *module) elementSegment(r *reader, f found) {
	at := r.at
	flags := r.u32()
	if flags > 7 {
		r.failAt(at, Malformed, "element segment's kind is %d, want 0 to 7", flags)
		return
	}
	if flags&1 == 0 {
		if flags&2 != 0 {
			r.index("table", len(m.tables))
		}
		m.constant(r, f)
	}
	expressions := flags&4 != 0
	if flags&3 != 0 {
		if expressions {
			r.valType(len(m.types))
		} else if b := r.byte(); b != 0 {
			r.fail("element kind is %#x, want 0 (functions)", b)
		}
	}
	for range r.length("elements") {
		if expressions {
			m.constant(r, f)
		} else {
			m.functionIndex(r, f)
		}
		if r.failed() {
			return
		}
	}
}
