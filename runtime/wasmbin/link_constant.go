package wasmbin

// MaxTerms is how many instructions a constant expression may have when globals stand in it by their value. Compilers
// write one to three. More lets a few globals that double each other grow without end.
const MaxTerms = 1000

// appendConstant appends a constant expression and its end, with the whole's indices. Globals stand in it by their
// value, because a module must not name its own there; what is a number then is computed.
func (l *linker) appendConstant(dst []byte, n *linked, s span) ([]byte, error) {
	from := len(dst)
	l.terms = 0
	dst, err := l.appendTerms(dst, n, s)
	if err != nil {
		return nil, err
	}
	if v, ok := computed(dst[from:]); ok {
		dst = appendS64(append(dst[:from], opI32Const), int64(v))
	}
	return append(dst, opEnd), nil
}

// appendTerms appends an expression without its end.
func (l *linker) appendTerms(dst []byte, n *linked, s span) (_ []byte, err error) {
	r := &reader{data: n.data, at: s.from, end: s.to, section: "module"}
	for !r.failed() {
		if l.terms++; l.terms > MaxTerms {
			return nil, linkError(TooLarge, "a constant expression of more than %d instructions", MaxTerms)
		}
		at := r.at
		switch op := r.byte(); op {
		case opEnd:
			return dst, nil
		case opI32Const:
			r.signed(32)
		case opI64Const:
			r.signed(64)
		case opF32Const:
			r.skip(4)
		case opF64Const:
			r.skip(8)
		case opI32Add, opI32Sub, opI32Mul, opI64Add, opI64Sub, opI64Mul:
		case opVector:
			r.skip(17)
		case opGlobalGet:
			if dst, err = l.appendValue(dst, n, r.index("global", len(n.globals))); err != nil {
				return nil, err
			}
			continue
		case opRefFunc:
			dst = appendU32(append(dst, op), n.functions[r.index("function", len(n.functions))])
			continue
		case opRefNull:
			if t := ValType(r.byte()); t != FuncRef && t != ExternRef && t != ExnRef {
				r.failAt(at, Unsupported, "heap type %#x (typed function references)", byte(t))
			}
		default:
			r.failAt(at, Malformed, "instruction %#x in a constant expression", op)
		}
		if !r.failed() {
			dst = append(dst, n.data[at:r.at]...)
		}
	}
	return nil, r.err
}

// appendValue appends the value of a global that never changes.
func (l *linker) appendValue(dst []byte, n *linked, global uint32) ([]byte, error) {
	if n.module.globals[global].mutable {
		return nil, n.refuse(Malformed, globalSection, "global %d is mutable and in a constant expression", global)
	}
	if int(global) < n.importedGlobals {
		e := n.imported[Global][global]
		n, global = l.parts[e.part], e.index
	}
	return l.appendTerms(dst, n, n.module.globals[global].init)
}

// computed answers the value of an expression of 32-bit numbers.
func computed(b []byte) (v int32, ok bool) {
	r := &reader{data: b, end: len(b)}
	var stack []int32
	for r.left() > 0 && !r.failed() {
		op := r.byte()
		if op == opI32Const {
			stack = append(stack, int32(r.signed(32)))
			continue
		}
		k := len(stack) - 2
		if k < 0 {
			return 0, false
		}
		x, y := stack[k], stack[k+1]
		switch op {
		case opI32Add:
			x += y
		case opI32Sub:
			x -= y
		case opI32Mul:
			x *= y
		default:
			return 0, false
		}
		stack = append(stack[:k], x)
	}
	if len(stack) != 1 || r.failed() {
		return 0, false
	}
	return stack[0], true
}
