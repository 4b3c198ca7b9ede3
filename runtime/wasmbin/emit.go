package wasmbin

// rewriteBodies rewrites the code of every function.
func (w *rewriter) rewriteBodies() *Error {
	w.code = make([]byte, 0, w.m.sections[codeSection].len()*3/2)
	p := &plan{rewriter: w}
	var body []byte
	for i := range w.m.bodies {
		if err := p.read(i); err != nil {
			return err
		}
		e := emitter{plan: p, out: body[:0], results: &w.m.types[w.m.functions[w.m.importedFunctions+i]]}
		body = e.emit()
		w.code = appendU32(w.code, uint32(len(body)))
		w.code = append(w.code, body...)
	}
	return nil
}

// emitter writes one function's body with the edits of its plan.
//
// While a function runs, its fuel is in a local, which costs a subtraction for each site instead of a load and a
// store; the global has the value around calls and from the return on. A function that catches exceptions works on
// the global, because an exception may come out of a call that has charged fuel.
type emitter struct {
	*plan
	out     []byte
	results *signature

	fuel   int   // local that holds the fuel; -1: the global does
	size   int   // local for the size of bulk instructions; -1: none
	saved  int   // local that holds what StackGlobal was before the call; -1: none
	weight int64 // bytes of stack; 0: it calls nothing, and so takes none
	wrap   bool  // the body is a block of its own, so that its branches to the outermost label come by its end
}

func (e *emitter) emit() []byte {
	e.setUp()
	from := e.code
	for _, c := range e.edits {
		e.out = append(e.out, e.data[from:c.at]...)
		from = c.at + c.skip
		e.apply(c)
	}
	return append(e.out, e.data[from:e.at]...)
}

// setUp decides what the function needs and writes its locals.
func (e *emitter) setUp() {
	e.fuel, e.size, e.saved = -1, -1, -1
	locals := make([]byte, 0, 6)
	groups, next := e.groups, e.locals
	add := func(t ValType) int {
		locals = append(locals, 1, byte(t))
		groups++
		next++
		return next - 1
	}
	if e.calls {
		e.weight = e.frame()
	}
	if !e.catches {
		e.fuel = add(I64)
	} else if e.calls {
		e.saved = add(I64)
	}
	if e.bulks {
		e.size = add(I32)
	}
	e.wrap = e.branches && (e.weight > 0 || e.fuel >= 0)
	e.out = appendU32(e.out, groups)
	e.out = append(e.out, e.data[e.firstGroup:e.code]...)
	e.out = append(e.out, locals...)
}

func (e *emitter) apply(c edit) {
	switch c.kind {
	case editEntry:
		e.enter()
	case editHead:
		e.chargeSite(c.arg)
		e.restoreCaught()
		e.checkHead(c.arg)
	case editSite:
		e.chargeSite(c.arg)
	case editIndex:
		e.out = appendU32(e.out, c.arg)
	case editCall:
		e.flush()
		e.with(opCall, c.arg)
		e.reload()
	case editFlush:
		e.flush()
	case editReload:
		e.reload()
	case editBulk:
		e.bulk(c)
	case editWrite:
		e.with(opGlobalGet, e.writesGlobal())
		e.constant64(1)
		e.op(opI64Add)
		e.with(opGlobalSet, e.writesGlobal())
	case editLeave:
		e.leave()
	case editFinalEnd:
		if e.wrap {
			e.op(opEnd)
		}
		e.leave()
	}
}

func (e *emitter) op(b ...byte)             { e.out = append(e.out, b...) }
func (e *emitter) with(op byte, i uint32)   { e.out = appendU32(append(e.out, op), i) }
func (e *emitter) constant64(v int64)       { e.out = appendS64(append(e.out, opI64Const), v) }
func (e *emitter) local(op byte, local int) { e.with(op, uint32(local)) }

// enter writes what stands at the function's start: its frame is taken from the stack, its first site charged, and
// when it calls others the host is asked if either is used up.
func (e *emitter) enter() {
	if e.weight > 0 {
		e.with(opGlobalGet, e.stackGlobal())
		if e.saved >= 0 {
			e.local(opLocalTee, e.saved)
		}
		e.subtract(e.weight)
		e.with(opGlobalSet, e.stackGlobal())
	}
	e.with(opGlobalGet, e.fuelGlobal())
	if cost := e.sites[0].cost; cost > 0 {
		e.subtract(int64(cost))
	}
	e.setFuel()
	if e.weight > 0 {
		e.getFuel()
		e.with(opGlobalGet, e.stackGlobal())
		e.op(opI64Or)
		e.refillIfNegative()
	}
	if e.wrap {
		e.op(opBlock)
		e.resultType()
	}
}

func (e *emitter) subtract(n int64) {
	e.constant64(n)
	e.op(opI64Sub)
}

// chargeSite writes what charges a site.
func (e *emitter) chargeSite(i uint32) {
	if cost := e.sites[i].cost; cost > 0 {
		e.getFuel()
		e.subtract(int64(cost))
		e.setFuel()
	}
}

// checkHead writes what asks for fuel at the head of a loop, when there is a way back to it.
func (e *emitter) checkHead(i uint32) {
	if e.sites[i].again {
		e.getFuel()
		e.refillIfNegative()
	}
}

// restoreCaught brings the stack to what it is in this function: an exception that was caught has not given back
// the frames it passed.
func (e *emitter) restoreCaught() {
	if e.saved >= 0 {
		e.local(opLocalGet, e.saved)
		e.subtract(e.weight)
		e.with(opGlobalSet, e.stackGlobal())
	}
}

func (e *emitter) getFuel() {
	if e.fuel >= 0 {
		e.local(opLocalGet, e.fuel)
	} else {
		e.with(opGlobalGet, e.fuelGlobal())
	}
}

func (e *emitter) setFuel() {
	if e.fuel >= 0 {
		e.local(opLocalSet, e.fuel)
	} else {
		e.with(opGlobalSet, e.fuelGlobal())
	}
}

// flush puts the fuel into its global, for others to charge.
func (e *emitter) flush() {
	if e.fuel >= 0 {
		e.local(opLocalGet, e.fuel)
		e.with(opGlobalSet, e.fuelGlobal())
	}
}

// reload takes the fuel back from its global.
func (e *emitter) reload() {
	if e.fuel >= 0 {
		e.with(opGlobalGet, e.fuelGlobal())
		e.local(opLocalSet, e.fuel)
	}
}

// refillIfNegative writes: when the value on the stack is below zero, ask the host. The engine takes the state of its
// registers behind the if from the arm that stands first, which therefore is the one without the call: the other
// way around, all that is live would be loaded again each time.
func (e *emitter) refillIfNegative() {
	e.op(opI64Const, 0, opI64GeS, opIf, blockEmpty, opElse)
	e.flush()
	e.with(opCall, e.routine(routineRefill, 0))
	e.reload()
	e.op(opEnd)
}

// bulk writes memory.copy or memory.fill of a size that is not known: small ones as they are, with a charge by
// their size, and large ones by a routine that works in parts.
func (e *emitter) bulk(c edit) {
	e.local(opLocalSet, e.size)
	e.local(opLocalGet, e.size)
	e.out = appendS64(append(e.out, opI32Const), chunkBytes)
	e.op(opI32LeU, opIf)
	e.out = appendS64(e.out, int64(e.signature("\x7f\x7f", 0, nil)))
	e.local(opLocalGet, e.size)
	e.out = append(e.out, e.data[c.at:c.at+c.skip]...)
	e.getFuel()
	e.local(opLocalGet, e.size)
	e.op(opI64ExtendI32U)
	e.constant64(bulkShift)
	e.op(opI64ShrU, opI64Sub)
	e.setFuel()
	e.op(opElse)
	e.local(opLocalGet, e.size)
	e.flush()
	e.with(opCall, c.arg)
	e.reload()
	e.op(opEnd)
}

// leave writes what stands before a return: fuel goes to its global, and the function's frame back to the stack.
func (e *emitter) leave() {
	e.flush()
	switch {
	case e.weight == 0:
		return
	case e.saved >= 0:
		e.local(opLocalGet, e.saved)
	default:
		e.with(opGlobalGet, e.stackGlobal())
		e.constant64(e.weight)
		e.op(opI64Add)
	}
	e.with(opGlobalSet, e.stackGlobal())
}

// resultType writes the type of a block with the function's results.
func (e *emitter) resultType() {
	s := e.results
	results := e.data[s.results.from:s.results.to]
	switch len(s.Results) {
	case 0:
		e.op(blockEmpty)
	case 1:
		e.op(results...)
	default:
		e.out = appendS64(e.out, int64(e.signature("", len(s.Results), results)))
	}
}
