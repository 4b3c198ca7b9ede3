package wasmbin

// calls reads the instructions up to the end of r and reports each direct call. It answers whether the code may
// call anything else: it calls through a table, or holds an instruction that is not known here.
// Source: WebAssembly Core Specification 2.0, 5.4 "Instructions".
func (r *reader) calls(direct func(callee uint32)) (others bool) {
	for r.left() > 0 && !r.failed() {
		switch op := r.byte(); {
		case op == 0x10: // call
			direct(r.u32())
		case op == 0x11: // call_indirect
			return true
		case op <= 0x01, op == 0x05, op == 0x0b, op == 0x0f, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1:
		case op >= 0x02 && op <= 0x04, op == 0x0c, op == 0x0d, op >= 0x20 && op <= 0x26,
			op >= 0x3f && op <= 0x42, op == 0xd0, op == 0xd2: // one number: a type, label, index or constant
			r.numbers(1)
		case op >= 0x28 && op <= 0x3e: // alignment and offset
			r.numbers(2)
		case op == 0x0e: // br_table
			r.numbers(int(r.u32()) + 1)
		case op == 0x1c: // select with types
			r.numbers(int(r.u32()))
		case op == 0x43:
			r.skip(4)
		case op == 0x44:
			r.skip(8)
		case op == 0xfc:
			if !r.bulk() {
				return true
			}
		case op == 0xfd:
			r.vector()
		default:
			return true
		}
	}
	return r.failed()
}

// bulk reads the rest of an instruction on whole memories and tables, or of a saturating conversion.
func (r *reader) bulk() (known bool) {
	switch op := r.u32(); {
	case op <= 7:
	case op == 8, op == 10, op == 12, op == 14:
		r.numbers(2)
	case op <= 17:
		r.numbers(1)
	default:
		return false
	}
	return true
}

// vector reads the rest of an instruction on 128-bit vectors.
func (r *reader) vector() {
	switch op := r.u32(); {
	case op <= 11, op == 92, op == 93: // loads and stores
		r.numbers(2)
	case op == 12, op == 13: // constant, shuffle
		r.skip(16)
	case op >= 21 && op <= 34: // lane
		r.skip(1)
	case op >= 84 && op <= 91: // loads and stores of lanes
		r.numbers(2)
		r.skip(1)
	}
}

// numbers reads n numbers of any size.
func (r *reader) numbers(n int) {
	for ; n > 0 && !r.failed(); n-- {
		for r.byte() >= 0x80 {
		}
	}
}

// graph is which function calls which. Functions are counted from the first defined one.
type graph struct {
	others  []bool      // function may call what is not known
	callees []uint32    // number of calls in each function
	edges   [][2]uint32 // caller and callee
}

// endless answers the functions from which calls can go on for ever: those that reach a cycle of calls, or a
// call of what is not known. All others call a number of functions that their code bounds.
func (g *graph) endless() []bool {
	n := len(g.callees)
	first := make([]uint32, n+1) // callers of f are callers[first[f]:first[f+1]]
	for _, e := range g.edges {
		first[e[1]+1]++
	}
	for f := range n {
		first[f+1] += first[f]
	}
	callers := make([]uint32, len(g.edges))
	next := append([]uint32(nil), first...)
	for _, e := range g.edges {
		callers[next[e[1]]] = e[0]
		next[e[1]]++
	}
	endless := make([]bool, n)
	var bounded []uint32 // whose callers are to be looked at
	for f := range n {
		endless[f] = true
		if g.callees[f] == 0 && !g.others[f] {
			bounded = append(bounded, uint32(f))
		}
	}
	for len(bounded) > 0 {
		f := bounded[len(bounded)-1]
		bounded = bounded[:len(bounded)-1]
		endless[f] = false
		for _, caller := range callers[first[f]:first[f+1]] {
			if g.callees[caller]--; g.callees[caller] == 0 && !g.others[caller] {
				bounded = append(bounded, caller)
			}
		}
	}
	return endless
}
