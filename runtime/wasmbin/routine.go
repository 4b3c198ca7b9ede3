package wasmbin

// Charges by size.
const (
	bulkShift  = 3       // memory.copy, memory.fill, memory.init: an instruction for 8 bytes
	growShift  = 10      // memory.grow: 1,024 instructions for a page, as if every byte of it were written
	chunkBytes = 1 << 20 // larger ranges of memory are worked on in parts of this size, with a look at the fuel between
)

// routine is a function that is added to the module.
type routine struct {
	kind routineKind
	arg  uint32
}

type routineKind byte

const (
	routineRefill  routineKind = iota // func(): asks the host for fuel
	routineGrow                       // func(pages i32) i32: memory.grow
	routineCopy                       // func(to, from, n i32): memory.copy
	routineFill                       // func(to, value, n i32): memory.fill
	routineInit                       // func(to, from, n i32): memory.init of segment arg
	routineBytes                      // func(n i32) i32: charges n bytes, answers n
	routineEntries                    // func(n i32) i32: charges n entries of a table, answers n
)

func (k routineKind) name() string {
	switch k {
	case routineRefill:
		return "refill"
	case routineGrow:
		return "memory.grow"
	case routineCopy:
		return "memory.copy"
	case routineFill:
		return "memory.fill"
	case routineInit:
		return "memory.init"
	case routineBytes:
		return "charge bytes"
	}
	return "charge entries"
}

// routine answers the index of an added function, which it adds when it is asked for the first time.
func (w *rewriter) routine(kind routineKind, arg uint32) uint32 {
	r := routine{kind, arg}
	i, ok := w.routineOf[r]
	if !ok {
		i = uint32(len(w.m.functions) + 1 + len(w.routines))
		w.routineOf[r] = i
		w.routines = append(w.routines, r)
	}
	return i
}

// routineType is the function type of a routine.
func (w *rewriter) routineType(k routineKind) uint32 {
	switch k {
	case routineRefill:
		return w.signature("", 0, nil)
	case routineCopy, routineFill, routineInit:
		return w.signature("\x7f\x7f\x7f", 0, nil)
	}
	return w.signature("\x7f", 1, []byte{byte(I32)})
}

func (w *rewriter) importType() uint32 {
	return w.signature("\x7e\x7e", 1, []byte{byte(I64)})
}

// assembly writes instructions.
type assembly struct {
	*rewriter
	code []byte
}

func (a *assembly) op(b ...byte)           { a.code = append(a.code, b...) }
func (a *assembly) with(op byte, i uint32) { a.code = appendU32(append(a.code, op), i) }
func (a *assembly) i64(v int64)            { a.code = appendS64(append(a.code, opI64Const), v) }
func (a *assembly) i32(v int32)            { a.code = appendS64(append(a.code, opI32Const), int64(v)) }

func (a *assembly) get(locals ...uint32) {
	for _, l := range locals {
		a.with(opLocalGet, l)
	}
}

// wide pushes an i32 local as an unsigned i64.
func (a *assembly) wide(local uint32) {
	a.get(local)
	a.op(opI64ExtendI32U)
}

// charge takes what is on the stack from the fuel, and asks for more when it is used up.
func (a *assembly) charge() {
	// The operands are in the wrong order for a subtraction: add the negative.
	a.i64(-1)
	a.op(opI64Mul)
	a.with(opGlobalGet, a.fuelGlobal())
	a.op(opI64Add)
	a.with(opGlobalSet, a.fuelGlobal())
	a.with(opGlobalGet, a.fuelGlobal())
	a.op(opI64Const, 0, opI64GeS, opIf, blockEmpty, opElse)
	a.with(opCall, a.routine(routineRefill, 0))
	a.op(opEnd)
}

// body answers the code of a routine, with its locals and without its size.
func (w *rewriter) body(r routine) []byte {
	a := &assembly{rewriter: w}
	switch r.kind {
	case routineRefill:
		a.op(0)
		a.with(opGlobalGet, w.fuelGlobal())
		a.with(opGlobalGet, w.stackGlobal())
		a.with(opCall, w.refillImport())
		a.with(opGlobalSet, w.fuelGlobal())
	case routineGrow:
		a.grow()
	case routineCopy, routineFill, routineInit:
		a.split(r)
	case routineBytes, routineEntries:
		a.op(0)
		a.wide(0)
		if r.kind == routineBytes {
			a.i64(bulkShift)
			a.op(opI64ShrU)
		}
		a.bounded(r.kind)
		a.charge()
		a.get(0)
	}
	a.op(opEnd)
	return a.code
}

// bounded makes what is on the stack 0 when it is over what the instruction could work on, for then it fails or
// traps at once.
func (a *assembly) bounded(kind routineKind) {
	limit := int64(MaxTableEntries)
	if kind == routineBytes {
		limit = chunkBytes >> bulkShift
	}
	a.i64(0)
	a.wide(0)
	if kind == routineBytes {
		a.i64(bulkShift)
		a.op(opI64ShrU)
	}
	a.i64(limit)
	a.op(opI64GtU, opI32Eqz, opSelect)
}

// grow is memory.grow, up to the maximum that the module declares; pages it got are charged.
func (a *assembly) grow() {
	const pages, result = 0, 1
	a.op(1, 1, byte(I32)) // one more local
	if l := a.m.memories[0]; a.raised(l) {
		a.op(opMemorySize, 0, opI64ExtendI32U)
		a.wide(pages)
		a.op(opI64Add)
		a.i64(int64(l.Max))
		a.op(opI64GtU, opIf, blockEmpty)
		a.i32(-1)
		a.op(opReturn, opEnd)
	}
	a.get(pages)
	a.op(opMemoryGrow, 0)
	a.with(opLocalTee, result)
	a.i32(-1)
	a.op(opI32Ne, opIf, blockEmpty)
	a.wide(pages)
	a.i64(growShift)
	a.op(opI64Shl)
	a.charge()
	a.op(opEnd)
	a.get(result)
}

// split is an instruction on more than chunkBytes of memory, in parts. When it would trap, it does so before
// anything is written, as the instruction does.
func (a *assembly) split(r routine) {
	a.op(0)
	if r.kind == routineInit { // the others are called for large ranges only
		a.get(2)
		a.i32(chunkBytes)
		a.op(opI32LeU, opIf, blockEmpty)
		a.chargeRange()
		a.whole(r)
		a.op(opReturn, opEnd)
	}
	a.outside(r)
	a.op(opIf, blockEmpty)
	{
		a.whole(r)
		a.op(opReturn, opEnd)
	}
	if r.kind == routineCopy {
		a.get(0, 1)
		a.op(opI32GtU, opIf, blockEmpty)
		{
			a.backwards(r)
			a.op(opReturn, opEnd)
		}
	}
	a.forwards(r)
}

// outside pushes whether the range is out of bounds.
func (a *assembly) outside(r routine) {
	const to, from, n = 0, 1, 2
	a.wide(to)
	a.wide(n)
	a.op(opI64Add, opMemorySize, 0, opI64ExtendI32U)
	a.i64(16)
	a.op(opI64Shl, opI64GtU)
	switch r.kind {
	case routineCopy:
		a.wide(from)
		a.wide(n)
		a.op(opI64Add, opMemorySize, 0, opI64ExtendI32U)
		a.i64(16)
		a.op(opI64Shl, opI64GtU, opI32Or)
	case routineInit:
		a.wide(from)
		a.wide(n)
		a.op(opI64Add)
		a.i64(int64(a.m.segments[r.arg].bytes.len()))
		a.op(opI64GtU, opI32Or)
	}
}

// whole does the instruction on the whole range.
func (a *assembly) whole(r routine) {
	a.get(0, 1, 2)
	a.instruction(r)
}

func (a *assembly) instruction(r routine) {
	switch r.kind {
	case routineCopy:
		a.op(opMisc, miscMemoryCopy, 0, 0)
	case routineFill:
		a.op(opMisc, miscMemoryFill, 0)
	case routineInit:
		a.op(opMisc)
		a.with(miscMemoryInit, r.arg)
		a.op(0)
	}
}

// forwards does the range part by part from its start.
func (a *assembly) forwards(r routine) {
	const n = 2
	a.op(opLoop, blockEmpty)
	a.chargePart()
	a.get(0, 1)
	a.i32(chunkBytes)
	a.instruction(r)
	a.add(0, chunkBytes)
	if r.kind != routineFill {
		a.add(1, chunkBytes)
	}
	a.add(n, -chunkBytes)
	a.again()
	a.chargeRange()
	a.whole(r)
}

// backwards copies the range part by part from its end.
func (a *assembly) backwards(r routine) {
	const to, from, n = 0, 1, 2
	a.op(opLoop, blockEmpty)
	a.chargePart()
	a.add(n, -chunkBytes)
	a.get(to, n)
	a.op(opI32Add)
	a.get(from, n)
	a.op(opI32Add)
	a.i32(chunkBytes)
	a.instruction(r)
	a.again()
	a.chargeRange()
	a.whole(r)
}

// again goes back to the loop's head while more than a part is left.
func (a *assembly) again() {
	a.get(2)
	a.i32(chunkBytes)
	a.op(opI32GtU, opBrIf, 0, opEnd)
}

func (a *assembly) chargeRange() {
	a.wide(2)
	a.i64(bulkShift)
	a.op(opI64ShrU)
	a.charge()
}

func (a *assembly) chargePart() {
	a.i64(chunkBytes >> bulkShift)
	a.charge()
}

func (a *assembly) add(local uint32, v int32) {
	a.get(local)
	a.i32(v)
	a.op(opI32Add)
	a.with(opLocalSet, local)
}
