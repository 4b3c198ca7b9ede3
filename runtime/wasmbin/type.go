package wasmbin

// ValType is the type of a parameter, a result or a global, as its first byte in the binary format.
type ValType byte

const (
	I32       ValType = 0x7f
	I64       ValType = 0x7e
	F32       ValType = 0x7d
	F64       ValType = 0x7c
	V128      ValType = 0x7b
	FuncRef   ValType = 0x70
	ExternRef ValType = 0x6f
	ExnRef    ValType = 0x69
	RefNull   ValType = 0x63 // typed, nullable; a heap type follows
	Ref       ValType = 0x64 // typed, not nullable; a heap type follows
)

// String answers the type's name in the text format.
func (t ValType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	case ExnRef:
		return "exnref"
	case RefNull:
		return "ref null"
	case Ref:
		return "ref"
	}
	return ""
}

// IsReference says whether values of the type point into the engine and mean nothing outside their instance.
func (t ValType) IsReference() bool {
	switch t {
	case FuncRef, ExternRef, ExnRef, RefNull, Ref:
		return true
	}
	return false
}

// signature is a function's type with where its results stand, so that they can be written again as they are.
type signature struct {
	FuncType
	results span // of the result types, without their count
}

// heapFunc, heapExtern and heapExn are the abstract heap types the engine knows.
const (
	heapFunc   = -16
	heapExtern = -17
	heapExn    = -23
)

// valType reads a value type. A typed reference may name a type below types.
func (r *reader) valType(types int) ValType {
	at := r.at
	t := ValType(r.byte())
	switch t {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef, ExnRef:
	case RefNull, Ref:
		r.heapType(types)
	default:
		r.failAt(at, Malformed, "value type %#02x is unknown", byte(t))
	}
	return t
}

func (r *reader) heapType(types int) {
	at := r.at
	switch h := r.signed(33); {
	case h == heapFunc, h == heapExtern, h == heapExn:
	case h < 0:
		r.failAt(at, Unsupported, "heap type %d (garbage collection), want a function type, func, extern or exn", h)
	case h >= int64(types):
		r.failAt(at, Malformed, "unknown type %d, there are %d", h, types)
	}
}

// Leading bytes of what stands in the type section.
const (
	formFunction = 0x60
	formGroup    = 0x4e // types that may refer to each other
)

// types reads the type section's content. Whether a type refers to a later one is left to the engine.
func (m *module) readTypes(r *reader) {
	entries := r.count("types", 1, MaxTypes)
	for range entries {
		if r.left() > 0 && r.data[r.at] == formGroup {
			r.byte()
			for range r.count("types of a group", 3, MaxTypes-len(m.types)) {
				m.readType(r)
			}
		} else {
			m.readType(r)
		}
		if r.failed() {
			return
		}
	}
	m.typeEntries = entries
	if len(m.types) > MaxTypes {
		r.tooLarge("%d types, more than %d", len(m.types), MaxTypes)
	}
}

func (m *module) readType(r *reader) {
	at := r.at
	switch form := r.byte(); form {
	case formFunction:
	case 0x50, 0x4f, 0x5e, 0x5f:
		r.failAt(at, Unsupported, "type form %#02x (garbage collection), want a function type, 0x60", form)
	default:
		r.failAt(at, Malformed, "type form %#02x, want a function type, 0x60", form)
	}
	var s signature
	s.Params = r.valTypes("parameters")
	n := r.count("results", 1, MaxParams)
	s.results.from = r.at
	s.Results = r.valTypeList(n)
	s.results.to = r.at
	m.types = append(m.types, s)
}

func (r *reader) valTypes(what string) []ValType {
	return r.valTypeList(r.count(what, 1, MaxParams))
}

func (r *reader) valTypeList(n int) []ValType {
	if n == 0 {
		return nil
	}
	list := make([]ValType, n)
	for i := range list {
		list[i] = r.valType(MaxTypes)
	}
	return list
}
