package wasmbin

// instruction reads one instruction. Every one costs 1, except that block, loop, else, end, nop and drop are
// free and that those which work on a range cost more by its size.
func (p *plan) instruction() {
	at := p.at
	constant := p.constant
	p.constant = -1
	op := p.byte()
	switch op {
	case opNop, opDrop:
		return
	case opBlock:
		p.blockType()
		p.open(frameBlock)
		return
	case opLoop:
		p.blockType()
		p.openLoop()
		return
	case opElse:
		p.readElse()
		return
	case opEnd:
		p.readEnd(at)
		return
	}
	p.charge(1)
	switch {
	case opFirstPlain <= op && op <= opLastPlain:
	case opLocalGet <= op && op <= opLocalTee:
		p.index("local", p.locals)
	case opFirstLoad <= op && op <= opLastStore:
		p.memoryArgument()
	case op == opI32Const:
		p.constant = int64(uint32(p.signed(32)))
	case op == opGlobalGet:
		p.index("global", len(p.m.globals))
	case op == opGlobalSet:
		p.globalSet(at)
	case op == opMisc:
		p.misc(at, constant)
	case op == opVector:
		p.vector(at)
	case op == opAtomic:
		p.atomic(at)
	case op < opDrop || op == opTryTable || op == opBrOnNull || op == opBrOnNonNull:
		p.control(op, at)
	default:
		p.rest(op, at)
	}
}

// control reads an instruction that branches, calls or returns.
func (p *plan) control(op byte, at int) {
	switch op {
	case opUnreachable:
		p.site = dead
	case opThrow, opThrowRef:
		if op == opThrow {
			p.index("tag", p.m.tags)
		}
		p.flags |= Exceptions
		p.site = dead
	case opIf:
		p.blockType()
		p.open(frameIf)
		if p.site != dead {
			p.startSite(editSite)
		}
	case opBr:
		p.branch(p.u32())
		p.site = dead
	case opBrIf, opBrOnNull, opBrOnNonNull:
		p.branch(p.u32())
		if p.site != dead {
			p.startSite(editSite)
		}
	case opBrTable:
		for range p.count("labels", 1, MaxBodyBytes) + 1 {
			p.branch(p.u32())
		}
		p.site = dead
	case opReturn:
		p.leave(at)
	case opCall, opTailCall:
		p.call(op, at)
	case opCallIndirect, opTailCallIndirect:
		p.index("type", len(p.m.types))
		p.index("table", len(p.m.tables))
		p.called(at, op == opTailCallIndirect)
	case opCallRef, opTailCallRef:
		p.index("type", len(p.m.types))
		p.called(at, op == opTailCallRef)
	case opTryTable:
		p.tryTable()
	default:
		p.failAt(at, Unsupported, "instruction %#x is unknown", op)
	}
}

func (p *plan) call(op byte, at int) {
	from := p.at
	f := p.index("function", len(p.m.functions))
	p.beforeCall(at, op == opTailCall)
	if i := p.newIndex(f); i != f {
		p.change(editIndex, from, i)
	}
	p.afterCall(op == opTailCall)
}

func (p *plan) called(at int, tail bool) {
	p.beforeCall(at, tail)
	p.afterCall(tail)
}

func (p *plan) tryTable() {
	p.blockType()
	p.catches = true
	p.flags |= Exceptions
	for range p.count("catches", 2, MaxBodyBytes) {
		at := p.at
		switch kind := p.byte(); kind {
		case 0, 1:
			p.index("tag", p.m.tags)
		case 2, 3:
		default:
			p.failAt(at, Malformed, "catch is of kind %#x, want 0 to 3", kind)
		}
		p.branch(p.u32())
	}
	p.open(frameBlock)
}

// rest reads the instructions left over: constants, references, tables, memory size and growth.
func (p *plan) rest(op byte, at int) {
	switch op {
	case opSelect, opRefIsNull, opRefAsNonNull:
	case opSelectTyped:
		if n := p.byte(); n != 1 {
			p.failAt(at, Malformed, "select has %d types, want 1", n)
		}
		p.valType(len(p.m.types))
	case opTableGet, opTableSet:
		p.index("table", len(p.m.tables))
		if op == opTableSet {
			p.write(at, TableSet)
		}
	case opMemorySize:
		p.memoryIndex()
	case opMemoryGrow:
		p.memoryIndex()
		p.change(editCall, at, p.routine(routineGrow, 0))
	case opI64Const:
		p.signed(64)
	case opF32Const:
		p.skip(4)
	case opF64Const:
		p.skip(8)
	case opRefNull:
		p.m.refNull(&p.reader)
	case opRefFunc:
		p.refFunc(at)
	default:
		p.failAt(at, Unsupported, "instruction %#x is unknown", op)
	}
}

// globalSet reads global.set. Only numbers can be set from outside.
func (p *plan) globalSet(at int) {
	i := p.index("global", len(p.m.globals))
	if p.failed() {
		return
	}
	if t := p.m.globals[i].ValType; t == V128 || t.IsReference() {
		p.insert(editWrite, at, 0)
	}
}

func (p *plan) refFunc(at int) {
	from := p.at
	f := p.index("function", len(p.m.functions))
	if !p.failed() && !p.m.isDeclared(f) {
		p.failAt(at, Malformed, "ref.func of function %d, which no element segment, global or export names", f)
		return
	}
	if i := p.newIndex(f); i != f {
		p.change(editIndex, from, i)
	}
}

// blockType reads the type of a block: none, one value, or a function type's index.
func (p *plan) blockType() {
	if p.left() > 0 {
		switch b := p.data[p.at]; {
		case b == 0x40:
			p.at++
			return
		case b&0xc0 == 0x40:
			p.valType(len(p.m.types))
			return
		}
	}
	at := p.at
	if i := p.signed(33); i < 0 || i >= int64(len(p.m.types)) {
		p.failAt(at, Malformed, "block's type is %d, but there are %d", i, len(p.m.types))
	}
}

func (p *plan) memoryArgument() {
	at := p.at
	if align := p.u32(); align >= 32 {
		p.failAt(at, Malformed, "alignment 2^%d is unknown", align)
	}
	p.u32()
	p.needMemory(at)
}

// memoryIndex reads the index of the only memory.
func (p *plan) memoryIndex() {
	at := p.at
	if b := p.byte(); b != 0 {
		p.failAt(at, Unsupported, "memory %d (multi-memory), want 0", b)
	}
	p.needMemory(at)
}

// needMemory sees that the module had a memory.
func (p *plan) needMemory(at int) {
	if len(p.m.memories) == 0 {
		p.failAt(at, Malformed, "memory 0, but there is none")
	}
}

// misc reads an instruction behind the prefix 0xfc.
func (p *plan) misc(at int, constant int64) {
	op := p.u32()
	switch op {
	case miscMemoryInit:
		i := p.dataIndex(at)
		p.memoryIndex()
		p.memoryInit(at, i)
	case miscDataDrop:
		p.dataIndex(at)
		p.write(at, DataDrop)
	case miscMemoryCopy:
		p.memoryIndex()
		p.memoryIndex()
		p.bulk(at, routineCopy, constant)
	case miscMemoryFill:
		p.memoryIndex()
		p.bulk(at, routineFill, constant)
	case miscTableInit:
		p.u32()
		p.index("table", len(p.m.tables))
		p.entries(at, TableInit)
	case miscElemDrop:
		p.u32()
		p.write(at, ElementDrop)
	case miscTableCopy:
		p.index("table", len(p.m.tables))
		p.index("table", len(p.m.tables))
		p.entries(at, TableCopy)
	case miscTableGrow:
		p.index("table", len(p.m.tables))
		p.entries(at, TableGrow)
	case miscTableSize:
		p.index("table", len(p.m.tables))
	case miscTableFill:
		p.index("table", len(p.m.tables))
		p.entries(at, TableFill)
	default:
		if op > miscLastPlain {
			p.failAt(at, Unsupported, "instruction 0xfc %#x is unknown", op)
		}
	}
}

// dataIndex reads a data segment's index, which asks for a data count section.
func (p *plan) dataIndex(at int) uint32 {
	i := p.index("data segment", len(p.m.segments))
	if p.m.dataCount < 0 {
		p.failAt(at, Malformed, "data segment %d is named, but there is no data count section", i)
	}
	p.usesData = true
	return i
}

// bulk charges memory.copy and memory.fill by their size: at once when it is a small constant, else in a routine.
func (p *plan) bulk(at int, r routineKind, constant int64) {
	if 0 <= constant && constant <= chunkBytes {
		p.charge(uint64(constant) >> bulkShift)
		return
	}
	p.bulks = true
	p.change(editBulk, at, p.routine(r, 0))
}

// memoryInit charges memory.init by its size, and splits it when the segment is large.
func (p *plan) memoryInit(at int, segment uint32) {
	if p.failed() {
		return
	}
	if p.m.segments[segment].bytes.len() > chunkBytes {
		p.change(editCall, at, p.routine(routineInit, segment))
		return
	}
	p.insert(editCall, at, p.routine(routineBytes, 0))
}

// entries charges an instruction that works on a range of a table.
func (p *plan) entries(at int, flag Flags) {
	p.write(at, flag)
	p.insert(editCall, at, p.routine(routineEntries, 0))
}

// vector reads an instruction behind the prefix 0xfd. The engine reads one byte, and the second byte of the
// longer numbers, which is always 1, as a nop; nothing else may stand there.
func (p *plan) vector(at int) {
	op := p.byte()
	if op >= 0x80 {
		if b := p.byte(); b != 1 {
			p.failAt(at, Unsupported, "instruction 0xfd %#x %#x is unknown (relaxed SIMD)", op, b)
		}
		return
	}
	switch {
	case op <= 0x0b, op == 0x5c, op == 0x5d: // loads and stores
		p.memoryArgument()
	case op == vectorConst, op == 0x0d: // v128.const, i8x16.shuffle
		p.skip(16)
	case 0x15 <= op && op <= 0x22: // extract and replace lane
		p.skip(1)
	case 0x54 <= op && op <= 0x5b: // loads and stores of a lane
		p.memoryArgument()
		p.skip(1)
	}
}

// atomic reads an instruction behind the prefix 0xfe.
func (p *plan) atomic(at int) {
	p.flags |= Atomics
	switch op := p.byte(); {
	case op <= 2, 0x10 <= op && op <= 0x4e:
		p.memoryArgument()
	case op == 3: // atomic.fence
		p.skip(1)
	default:
		p.failAt(at, Unsupported, "instruction 0xfe %#x is unknown", op)
	}
}
