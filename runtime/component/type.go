package component

import "github.com/sett-run/sett/sdk/abi"

// Types are passed over: what crosses is told by the functions of interfaces that are known, whose types are the
// specification's. They count all the same, since others are found by their index.

// definedType reads an entry of the type section.
func (r *reader) definedType(depth int) definition {
	d := definition{action: doType, sort: sortType}
	if depth > MaxNesting {
		r.fail(abi.TooLarge, "types more than %d within each other", MaxNesting)
		return d
	}
	switch form := r.byte(); form {
	case 0x40:
		for range r.count("parameters") {
			r.text()
			r.valueType()
		}
		r.results()
	case 0x41, 0x42:
		for range r.count("declarations") {
			r.declaration(depth)
			if r.err != nil {
				break
			}
		}
	case 0x3f:
		d.resource = true
		r.byte()
		if r.byte() == 1 {
			r.u32()
		}
	case 0x43, 0x3e:
		r.refuse("a type of WASI 0.3 (%#x)", form)
	default:
		r.compound(form)
	}
	return d
}

func (r *reader) results() {
	switch b := r.byte(); b {
	case 0:
		r.valueType()
	case 1:
		r.zero()
	default:
		r.malformed("results of form %#x", b)
	}
}

// declaration reads an entry of an instance's or a component's type.
func (r *reader) declaration(depth int) {
	switch b := r.byte(); b {
	case 0:
		r.coreType()
	case 1:
		r.definedType(depth + 1)
	case 2:
		r.alias()
	case 3, 4:
		r.externName()
		r.externType()
	default:
		r.malformed("declaration of form %#x", b)
	}
}

// externType reads what an import or export is.
func (r *reader) externType() (s sort, resource bool) {
	switch b := r.byte(); b {
	case 0:
		if r.byte() != 0x11 {
			r.malformed("a core import that is no module")
		}
		r.u32()
		return sortCoreModule, false
	case 1:
		r.u32()
		return sortFunc, false
	case 2:
		r.refuse("a value that is imported or exported")
	case 3:
		switch r.byte() {
		case 0:
			r.u32()
		case 1:
			resource = true
		default:
			r.malformed("a type's bound is unknown")
		}
		return sortType, resource
	case 4:
		r.u32()
		return sortComponent, false
	case 5:
		r.u32()
		return sortInstance, false
	default:
		r.malformed("an import or export of kind %#x", b)
	}
	return sortFunc, false
}

// coreType reads a core type: of a function, or a simple one of a module.
func (r *reader) coreType() definition {
	switch form := r.byte(); form {
	case 0x60:
		for range 2 {
			r.bytes(r.count("values"))
		}
	default:
		r.refuse("a core type of form %#x", form)
	}
	return definition{action: doType, sort: sortCoreType}
}

// compound reads a value type that is no function, component, instance or resource, behind its first byte.
func (r *reader) compound(form byte) {
	switch form {
	case 0x72: // record
		for range r.count("fields") {
			r.text()
			r.valueType()
		}
	case 0x71: // variant
		for range r.count("cases") {
			r.text()
			r.optionalType()
			r.zero()
		}
	case 0x70, 0x6b: // list, option
		r.valueType()
	case 0x67: // list of a fixed length
		r.valueType()
		r.u32()
	case 0x6f: // tuple
		for range r.count("types") {
			r.valueType()
		}
	case 0x6e, 0x6d: // flags, enum
		for range r.count("labels") {
			r.text()
		}
	case 0x6a: // result
		r.optionalType()
		r.optionalType()
	case 0x69, 0x68: // own, borrow
		r.u32()
	case 0x66, 0x65, 0x64:
		r.refuse("a type of WASI 0.3 (%#x)", form)
	default:
		if form < 0x73 || form > 0x7f {
			r.malformed("type of form %#x is unknown", form)
		}
	}
}

func (r *reader) optionalType() {
	if b := r.byte(); b == 1 {
		r.valueType()
	} else if b != 0 {
		r.malformed("byte %#x, want 0 or 1", b)
	}
}

// valueType reads a type's index, or the byte of a primitive one, which as a number of 33 bits is negative.
func (r *reader) valueType() {
	switch b := r.peek(); {
	case 0x64 <= b && b <= 0x7f:
		r.byte()
	case b&0xc0 == 0x40:
		r.malformed("type %#x is unknown", b)
	default:
		r.u32()
	}
}
