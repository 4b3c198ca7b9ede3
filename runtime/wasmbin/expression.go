package wasmbin

// Opcodes that this package must tell apart.
const (
	opUnreachable      = 0x00
	opNop              = 0x01
	opBlock            = 0x02
	opLoop             = 0x03
	opIf               = 0x04
	opElse             = 0x05
	opThrow            = 0x08
	opThrowRef         = 0x0a
	opEnd              = 0x0b
	opBr               = 0x0c
	opBrIf             = 0x0d
	opBrTable          = 0x0e
	opReturn           = 0x0f
	opCall             = 0x10
	opCallIndirect     = 0x11
	opTailCall         = 0x12
	opTailCallIndirect = 0x13
	opCallRef          = 0x14
	opTailCallRef      = 0x15
	opDrop             = 0x1a
	opSelect           = 0x1b
	opSelectTyped      = 0x1c
	opTryTable         = 0x1f
	opLocalGet         = 0x20
	opLocalSet         = 0x21
	opLocalTee         = 0x22
	opGlobalGet        = 0x23
	opGlobalSet        = 0x24
	opTableGet         = 0x25
	opTableSet         = 0x26
	opFirstLoad        = 0x28
	opLastStore        = 0x3e
	opMemorySize       = 0x3f
	opMemoryGrow       = 0x40
	opI32Const         = 0x41
	opI64Const         = 0x42
	opF32Const         = 0x43
	opF64Const         = 0x44
	opFirstPlain       = 0x45 // i32.eqz: from here to opLastPlain nothing follows the opcode
	opLastPlain        = 0xc4 // i64.extend32_s
	opI32Eqz           = 0x45
	opI32Ne            = 0x47
	opI32GtU           = 0x4b
	opI32LeU           = 0x4d
	opI64GtU           = 0x56
	opI64GeS           = 0x59
	opI32Add           = 0x6a
	opI32Sub           = 0x6b
	opI32Mul           = 0x6c
	opI32Or            = 0x72
	opI64Add           = 0x7c
	opI64Sub           = 0x7d
	opI64Mul           = 0x7e
	opI64Or            = 0x84
	opI64Shl           = 0x86
	opI64ShrU          = 0x88
	opI64ExtendI32U    = 0xad
	opRefNull          = 0xd0
	opRefIsNull        = 0xd1
	opRefFunc          = 0xd2
	opRefAsNonNull     = 0xd4
	opBrOnNull         = 0xd5
	opBrOnNonNull      = 0xd6
	opMisc             = 0xfc // prefix of bulk memory and saturating conversions
	opVector           = 0xfd // prefix of vector instructions
	opAtomic           = 0xfe // prefix of atomic instructions
)

// Instructions behind the prefix opMisc.
const (
	miscLastPlain  = 7 // 0 to 7: saturating conversions
	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17
)

const vectorConst = 0x0c

const blockEmpty = 0x40 // type of a block without parameters and results

// found is told where a function's index stands that is not in a body, and which function it is.
type found func(at span, function uint32)

// constant passes over a constant expression and its end, and tells f of every function it names.
func (m *module) constant(r *reader, f found) {
	for !r.failed() {
		at := r.at
		switch op := r.byte(); op {
		case opEnd:
			return
		case opI32Const:
			r.signed(32)
		case opI64Const:
			r.signed(64)
		case opF32Const:
			r.skip(4)
		case opF64Const:
			r.skip(8)
		case opI32Add, opI32Sub, opI32Mul, opI64Add, opI64Sub, opI64Mul:
		case opGlobalGet:
			r.index("global", len(m.globals))
		case opRefNull:
			m.refNull(r)
		case opRefFunc:
			m.functionIndex(r, f)
		case opVector:
			if b := r.byte(); b != vectorConst {
				r.failAt(at, Malformed, "instruction 0xfd %#x in a constant expression", b)
			}
			r.skip(16)
		default:
			r.failAt(at, Malformed, "instruction %#x in a constant expression", op)
		}
	}
}

// functionIndex reads a function's index and tells f of it.
func (m *module) functionIndex(r *reader, f found) {
	at := r.at
	i := r.index("function", len(m.functions))
	if f != nil && !r.failed() {
		f(span{at, r.at}, i)
	}
}

// refNull reads the heap type of ref.null: one of the abstract ones in a byte, or a type's index, which the
// engine reads as an unsigned number.
func (m *module) refNull(r *reader) {
	if r.left() > 0 {
		switch ValType(r.data[r.at]) {
		case FuncRef, ExternRef, ExnRef:
			r.at++
			return
		}
	}
	r.index("type", len(m.types))
}
