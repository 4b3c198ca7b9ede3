package component

import (
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of a component. Compilers stay far below. Higher ones let an upload cost more.
const (
	MaxDefinitions = 100_000 // definitions of one component, and entries of one list of it; evaluated ones together
	MaxNesting     = 16      // components, and types, within each other
	MaxNameBytes   = 4 << 10 // of an import, export or label
)

// Sections of a component, by their number. Source: component-model, design/mvp/Binary.md.
const (
	sectionCustom       = 0
	sectionCoreModule   = 1
	sectionCoreInstance = 2
	sectionCoreType     = 3
	sectionComponent    = 4
	sectionInstance     = 5
	sectionAlias        = 6
	sectionType         = 7
	sectionCanon        = 8
	sectionStart        = 9
	sectionImport       = 10
	sectionExport       = 11
)

// sort is what a definition is. Core sorts have coreSort added.
type sort byte

const (
	sortFunc      sort = 0x01
	sortValue     sort = 0x02
	sortType      sort = 0x03
	sortComponent sort = 0x04
	sortInstance  sort = 0x05

	coreSort         sort = 0x20
	sortCoreFunc          = coreSort + 0x00
	sortCoreTable         = coreSort + 0x01
	sortCoreMemory        = coreSort + 0x02
	sortCoreGlobal        = coreSort + 0x03
	sortCoreTag           = coreSort + 0x04
	sortCoreType          = coreSort + 0x10
	sortCoreModule        = coreSort + 0x11
	sortCoreInstance      = coreSort + 0x12
	sorts                 = sortCoreInstance + 1
)

// definition is one entry of a component, which gives the next index of its sort to what it says. Which fields count
// depends on action.
type definition struct {
	action   action
	sort     sort // of the index it gives; of what is exported
	name     string
	index    uint32 // of what it is made of: module, component, instance, function, type
	depth    uint32 // components outwards, of an outer alias
	bytes    []byte // of a core module
	nested   *decoded
	args     []argument
	options  options
	resource bool // a type of resources
}

// action is what a definition does.
type action byte

const (
	doModule action = iota
	doComponent
	doInstantiate
	doBag
	doAliasExport
	doAliasCore
	doAliasOuter
	doType
	doLift
	doLower
	doResourceNew
	doResourceDrop
	doResourceRep
	doImport
	doExport
)

// argument is a named part of a bag, or of what is instantiated.
type argument struct {
	name  string
	sort  sort
	index uint32
}

// options are how a function's values cross between components.
type options struct {
	realloc, postReturn int // core functions; -1: none
}

// decoded is the structure of a component: what it defines, in order.
type decoded struct {
	definitions []definition
}

const preamble = "\x00asm\x0d\x00\x01\x00"

// Is says whether binary starts as a component does.
func Is(binary []byte) bool {
	return len(binary) >= len(preamble) && string(binary[:len(preamble)]) == preamble
}

// decode reads the structure of a component. Modules in it are not looked at.
func decode(binary []byte) (*decoded, error) {
	r := &reader{data: binary, end: len(binary)}
	c := r.component(0)
	return c, r.err
}

// component reads a component up to the reader's end.
func (r *reader) component(depth int) *decoded {
	if depth > MaxNesting {
		r.fail(abi.TooLarge, "components more than %d within each other", MaxNesting)
	}
	if string(r.bytes(min(len(preamble), r.left()))) != preamble {
		r.malformed("a component starts otherwise")
	}
	c := new(decoded)
	for r.left() > 0 {
		id, content := r.section()
		if r.err != nil {
			break
		}
		c.section(id, &content, depth)
		if content.err == nil && content.left() > 0 {
			content.malformed("%d bytes too many in section %d", content.left(), id)
		}
		if r.err = content.err; r.err != nil {
			break
		}
	}
	return c
}

// section reads one section.
func (c *decoded) section(id byte, r *reader, depth int) {
	switch id {
	case sectionCustom:
		r.at = r.end
	case sectionCoreModule:
		c.add(r, definition{action: doModule, sort: sortCoreModule, bytes: r.bytes(r.left())})
	case sectionComponent:
		nested := &reader{data: r.data, at: r.at, end: r.end}
		d := definition{action: doComponent, sort: sortComponent, nested: nested.component(depth + 1)}
		r.at, r.err = r.end, nested.err
		c.add(r, d)
	case sectionCoreInstance:
		c.list(r, (*reader).coreInstance)
	case sectionCoreType:
		c.list(r, (*reader).coreType)
	case sectionInstance:
		c.list(r, (*reader).instance)
	case sectionAlias:
		c.list(r, (*reader).alias)
	case sectionType:
		c.list(r, func(r *reader) definition { return r.definedType(0) })
	case sectionCanon:
		c.list(r, (*reader).canon)
	case sectionImport:
		c.list(r, (*reader).imported)
	case sectionExport:
		c.list(r, (*reader).exported)
	case sectionStart:
		r.refuse("a start function of a component")
	default:
		r.refuse("section %d", id)
	}
}

// list reads the definitions of a section.
func (c *decoded) list(r *reader, read func(*reader) definition) {
	for range r.count("definitions") {
		c.add(r, read(r))
		if r.err != nil {
			return
		}
	}
}

func (c *decoded) add(r *reader, d definition) {
	if len(c.definitions) == MaxDefinitions {
		r.fail(abi.TooLarge, "more than %d definitions", MaxDefinitions)
		return
	}
	c.definitions = append(c.definitions, d)
}

func (r *reader) coreInstance() definition {
	d := r.instanceOf(sortCoreInstance, (*reader).text, (*reader).coreSort)
	for _, a := range d.args {
		if d.action == doInstantiate && a.sort != sortCoreInstance {
			r.malformed("argument %.80q of a module is no instance", a.name)
		}
	}
	return d
}

func (r *reader) instance() definition {
	return r.instanceOf(sortInstance, (*reader).externName, (*reader).sort)
}

// instanceOf reads an instance: of a module or a component, with its arguments, or a bag of exports.
func (r *reader) instanceOf(of sort, name func(*reader) string, sorted func(*reader) sort) definition {
	d := definition{sort: of}
	what := "exports"
	switch form := r.byte(); form {
	case 0:
		d.action, d.index = doInstantiate, r.u32()
		what, name = "arguments", (*reader).text
	case 1:
		d.action = doBag
	default:
		r.malformed("instance is of form %#x", form)
		return definition{}
	}
	for range r.count(what) {
		d.args = append(d.args, argument{name: name(r), sort: sorted(r), index: r.u32()})
	}
	return d
}

func (r *reader) coreSort() sort {
	s := coreSort + sort(r.byte())
	switch s {
	case sortCoreFunc, sortCoreTable, sortCoreMemory, sortCoreGlobal, sortCoreTag, sortCoreType, sortCoreModule, sortCoreInstance:
	default:
		r.malformed("core sort %#x is unknown", byte(s-coreSort))
		return sortCoreFunc
	}
	return s
}

func (r *reader) sort() sort {
	switch s := sort(r.byte()); s {
	case 0:
		return r.coreSort()
	case sortFunc, sortValue, sortType, sortComponent, sortInstance:
		return s
	default:
		r.malformed("sort %#x is unknown", byte(s))
		return sortFunc
	}
}

// externName reads the name of an import or export.
func (r *reader) externName() string {
	if form := r.byte(); form > 1 {
		r.refuse("a name of form %#x", form)
	}
	return r.text()
}

func (r *reader) alias() definition {
	d := definition{sort: r.sort()}
	switch form := r.byte(); form {
	case 0:
		d.action, d.index, d.name = doAliasExport, r.u32(), r.text()
	case 1:
		d.action, d.index, d.name = doAliasCore, r.u32(), r.text()
	case 2:
		d.action, d.depth, d.index = doAliasOuter, r.u32(), r.u32()
	default:
		r.malformed("alias is of form %#x", form)
	}
	return d
}

func (r *reader) canon() definition {
	d := definition{sort: sortCoreFunc}
	switch form := r.byte(); form {
	case 0:
		r.zero()
		d = definition{action: doLift, sort: sortFunc, index: r.u32(), options: r.options()}
		r.u32() // the function's type
	case 1:
		r.zero()
		d.action, d.index, d.options = doLower, r.u32(), r.options()
	case 2:
		d.action, d.index = doResourceNew, r.u32()
	case 3:
		d.action, d.index = doResourceDrop, r.u32()
	case 4:
		d.action, d.index = doResourceRep, r.u32()
	default:
		r.refuse("built-in function %#x (WASI 0.3, or threads)", form)
	}
	return d
}

func (r *reader) zero() {
	if b := r.byte(); b != 0 {
		r.malformed("byte %#x, want 0", b)
	}
}

func (r *reader) options() options {
	o := options{-1, -1}
	for range r.count("options") {
		switch b := r.byte(); b {
		case 0: // strings are UTF-8
		case 1, 2:
			r.refuse("strings that are not UTF-8")
		case 3:
			r.u32() // the memory: there is one
		case 4:
			o.realloc = int(r.u32())
		case 5:
			o.postReturn = int(r.u32())
		default:
			r.refuse("option %#x of a function (WASI 0.3: async)", b)
		}
	}
	return o
}

func (r *reader) imported() definition {
	d := definition{action: doImport, name: r.externName()}
	d.sort, d.resource = r.externType()
	return d
}

func (r *reader) exported() definition {
	d := definition{action: doExport, name: r.externName(), sort: r.sort()}
	d.index = r.u32()
	if b := r.byte(); b == 1 {
		r.externType()
	} else if b != 0 {
		r.malformed("byte %#x, want 0 or 1", b)
	}
	return d
}
