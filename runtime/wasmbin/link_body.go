package wasmbin

// relocator copies the bodies of a part's functions with the whole's indices.
type relocator struct {
	*linked
	reader
	out   []byte
	from  int // what stands before is copied
	named map[uint32]bool
}

// appendBodies appends all bodies of the part, each behind its size, and notes in named the functions that ref.func names.
func (n *linked) appendBodies(dst []byte, named map[uint32]bool) ([]byte, error) {
	r := &relocator{linked: n, named: named}
	for _, body := range n.module.bodies {
		r.reader = reader{data: n.data, at: body.from, end: body.to, section: "code"}
		r.out, r.from = r.out[:0], body.from
		r.body()
		if r.failed() {
			return nil, r.err
		}
		r.out = append(r.out, n.data[r.from:body.to]...)
		dst = appendU32(dst, uint32(len(r.out)))
		dst = append(dst, r.out...)
	}
	return dst, nil
}

func (r *relocator) body() {
	for range r.count("groups of locals", 2, MaxLocals) {
		r.u32()
		r.plain()
	}
	for r.left() > 0 {
		r.instruction()
	}
}

// plain reads a value type that names no type.
func (r *relocator) plain() {
	at := r.at
	if t := r.valType(len(r.types)); t == RefNull || t == Ref {
		r.failAt(at, Unsupported, "a reference to a type (typed function references)")
	}
}

// put replaces what was read since at by an index.
func (r *relocator) put(at int, index uint32) {
	if r.failed() {
		return
	}
	r.out = append(r.out, r.data[r.from:at]...)
	r.out = appendU32(r.out, index)
	r.from = r.at
}

func (r *relocator) mapped(what string, to []uint32) {
	at := r.at
	if i := r.index(what, len(to)); !r.failed() {
		r.put(at, to[i])
	}
}

func (r *relocator) function() { r.mapped("function", r.linked.functions) }
func (r *relocator) refFunc() {
	at := r.at
	i := r.index("function", len(r.linked.functions))
	if !r.failed() && !r.isDeclared(i) {
		r.failAt(at, Malformed, "ref.func of function %d, which no element segment, global or export names", i)
	}
	if !r.failed() {
		r.named[r.linked.functions[i]] = true
		r.put(at, r.linked.functions[i])
	}
}

func (r *relocator) table()  { r.mapped("table", r.linked.tables) }
func (r *relocator) global() { r.mapped("global", r.linked.globals) }
func (r *relocator) tag()    { r.mapped("tag", r.linked.tags) }

func (r *relocator) typeIndex() {
	at := r.at
	i := r.index("type", len(r.types))
	r.put(at, r.typeBase+i)
}

func (r *relocator) dataIndex() {
	at := r.at
	i := r.index("data segment", len(r.segments))
	r.put(at, r.dataBase+i)
}

func (r *relocator) elementIndex() {
	at := r.at
	i := r.index("element segment", r.linked.elements)
	r.put(at, r.elemBase+i)
}

func (r *relocator) instruction() {
	op := r.byte()
	switch {
	case opFirstPlain <= op && op <= opLastPlain:
	case opLocalGet <= op && op <= opLocalTee:
		r.u32()
	case opFirstLoad <= op && op <= opLastStore:
		r.u32()
		r.u32()
	case op == opI32Const:
		r.signed(32)
	case op == opGlobalGet || op == opGlobalSet:
		r.global()
	case op == opCall || op == opTailCall:
		r.function()
	case op == opRefFunc:
		r.refFunc()
	case op == opMisc:
		r.misc()
	case op == opVector:
		r.vector()
	case op == opAtomic:
		r.atomic()
	default:
		r.rest(op)
	}
}

func (r *relocator) rest(op byte) {
	switch op {
	case opUnreachable, opNop, opElse, opEnd, opReturn, opDrop, opSelect, opRefIsNull, opThrowRef:
	case opBlock, opLoop, opIf:
		r.blockType()
	case opBr, opBrIf:
		r.u32()
	case opBrTable:
		for range r.count("labels", 1, MaxBodyBytes) + 1 {
			r.u32()
		}
	case opCallIndirect, opTailCallIndirect:
		r.typeIndex()
		r.table()
	case opSelectTyped:
		for range r.count("types of select", 1, MaxParams) {
			r.plain()
		}
	case opTableGet, opTableSet:
		r.table()
	case opMemorySize, opMemoryGrow:
		r.memory()
	case opI64Const:
		r.signed(64)
	case opF32Const:
		r.skip(4)
	case opF64Const:
		r.skip(8)
	case opRefNull:
		r.abstract()
	case opThrow:
		r.tag()
	case opTryTable:
		r.tryTable()
	default:
		r.failAt(r.at-1, Unsupported, "instruction %#x is unknown or names types (typed function references)", op)
	}
}

// memory reads a memory's index, which must be the only one.
func (r *relocator) memory() {
	if i := r.u32(); i != 0 {
		r.failAt(r.at-1, Unsupported, "memory %d (multi-memory), want 0", i)
	}
}

// abstract reads a heap type that names no type.
func (r *relocator) abstract() {
	switch t := ValType(r.byte()); t {
	case FuncRef, ExternRef, ExnRef:
	default:
		r.failAt(r.at-1, Unsupported, "heap type %#x (typed function references)", byte(t))
	}
}

func (r *relocator) blockType() {
	if r.left() > 0 {
		switch b := r.data[r.at]; {
		case b == blockEmpty:
			r.at++
			return
		case b&0xc0 == 0x40:
			r.plain()
			return
		}
	}
	at := r.at
	i := r.signed(33)
	if i < 0 || i >= int64(len(r.types)) {
		r.failAt(at, Malformed, "block's type is %d, but there are %d", i, len(r.types))
		return
	}
	r.out = append(r.out, r.data[r.from:at]...)
	r.out = appendS64(r.out, int64(r.typeBase)+i)
	r.from = r.at
}

func (r *relocator) tryTable() {
	r.blockType()
	for range r.count("catches", 2, MaxBodyBytes) {
		at := r.at
		switch kind := r.byte(); kind {
		case 0, 1:
			r.tag()
		case 2, 3:
		default:
			r.failAt(at, Malformed, "catch is of kind %#x, want 0 to 3", kind)
		}
		r.u32()
	}
}

func (r *relocator) misc() {
	at := r.at
	switch op := r.u32(); op {
	case miscMemoryInit:
		r.dataIndex()
		r.memory()
	case miscDataDrop:
		r.dataIndex()
	case miscMemoryCopy:
		r.memory()
		r.memory()
	case miscMemoryFill:
		r.memory()
	case miscTableInit:
		r.elementIndex()
		r.table()
	case miscElemDrop:
		r.elementIndex()
	case miscTableCopy:
		r.table()
		r.table()
	case miscTableGrow, miscTableSize, miscTableFill:
		r.table()
	default:
		if op > miscLastPlain {
			r.failAt(at, Unsupported, "instruction 0xfc %#x is unknown", op)
		}
	}
}

// vector reads an instruction behind the prefix 0xfd, as plan.vector does.
func (r *relocator) vector() {
	at := r.at
	op := r.byte()
	switch {
	case op >= 0x80:
		if b := r.byte(); b != 1 {
			r.failAt(at, Unsupported, "instruction 0xfd %#x %#x is unknown (relaxed SIMD)", op, b)
		}
	case op <= 0x0b, op == 0x5c, op == 0x5d:
		r.u32()
		r.u32()
	case op == vectorConst, op == 0x0d:
		r.skip(16)
	case 0x15 <= op && op <= 0x22:
		r.skip(1)
	case 0x54 <= op && op <= 0x5b:
		r.u32()
		r.u32()
		r.skip(1)
	}
}

func (r *relocator) atomic() {
	at := r.at
	switch op := r.byte(); {
	case op <= 2, 0x10 <= op && op <= 0x4e:
		r.u32()
		r.u32()
	case op == 3:
		r.skip(1)
	default:
		r.failAt(at, Unsupported, "instruction 0xfe %#x is unknown", op)
	}
}
