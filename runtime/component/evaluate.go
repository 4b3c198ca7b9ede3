package component

import (
	"fmt"

	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/sdk/abi"
)

// item is what an index of a component stands for. Which fields count depends on the sort.
type item struct {
	sort      sort
	host      string          // interface of an import, as written: a host's instance, function or type
	name      string          // of a host's function or type in it
	realloc   int             // of a host's function, lowered: which of plan.reallocs; -1: none
	drops     bool            // the core function that drops a handle of the host's type name
	source    wasmbin.Source  // of a core function, table, memory or global that a module exports
	bag       map[string]item // of an instance; of a core instance that is no module's
	module    []byte          // of a core module
	part      int             // of a module's core instance
	component *closure
	lifted    *lifted
	own       bool // a type of resources that the component defines
}

// closure is a component with what is around it.
type closure struct {
	decoded *decoded
	outer   *scope
}

// lifted is a core function as others call it.
type lifted struct {
	function   item
	postReturn *item
}

// scope is a component while it is evaluated: its index spaces, so far.
type scope struct {
	outer   *scope
	args    map[string]item // nil: the outermost, whose imports are the host's
	spaces  [sorts][]item
	exports map[string]item
	depth   int
}

// evaluator evaluates a component symbolically: nothing runs, every definition becomes what it stands for, and what is
// left are the modules that are instantiated and where each of their imports comes from.
type evaluator struct {
	plan  plan
	count int // of definitions, over all instances of components
}

// instantiate evaluates a component.
func (e *evaluator) instantiate(c *decoded, s *scope) error {
	if s.depth > MaxNesting {
		return tooLarge("component instances more than %d within each other", MaxNesting)
	}
	s.exports = make(map[string]item)
	for i := range c.definitions {
		if e.count++; e.count > MaxDefinitions {
			return tooLarge("more than %d definitions in all its instances", MaxDefinitions)
		}
		d := &c.definitions[i]
		if d.action == doExport {
			x, err := s.get(d.sort, d.index)
			if err != nil {
				return err
			}
			s.exports[d.name] = x
			s.add(x)
			continue
		}
		x, err := e.define(d, s)
		if err != nil {
			return err
		}
		x.sort = d.sort
		s.add(x)
	}
	return nil
}

func (s *scope) add(x item) { s.spaces[x.sort] = append(s.spaces[x.sort], x) }

// get answers what an index stands for.
func (s *scope) get(of sort, index uint32) (item, error) {
	if of >= sorts || int64(index) >= int64(len(s.spaces[of])) {
		return item{}, invalid("index %d of sort %#x, there are %d", index, byte(of), len(s.spaces[min(of, sorts-1)]))
	}
	return s.spaces[of][index], nil
}

func (e *evaluator) define(d *definition, s *scope) (item, error) {
	switch d.action {
	case doModule:
		return item{module: d.bytes}, nil
	case doComponent:
		return item{component: &closure{d.nested, s}}, nil
	case doType:
		return item{own: d.resource}, nil
	case doInstantiate:
		if d.sort == sortCoreInstance {
			return e.instantiateCore(d, s)
		}
		return e.nested(d, s)
	case doBag:
		bag, err := s.collect(d.args)
		return item{bag: bag, part: wasmbin.Host}, err
	case doAliasExport:
		return s.exportOf(d)
	case doAliasCore:
		from, err := s.get(sortCoreInstance, d.index)
		if err != nil {
			return item{}, err
		}
		return from.coreExport(d.name, d.sort)
	case doAliasOuter:
		for range d.depth {
			if s = s.outer; s == nil {
				return item{}, invalid("alias of a component further out than there is one")
			}
		}
		return s.get(d.sort, d.index)
	case doImport:
		return e.imported(d, s)
	}
	return e.function(d, s)
}

// collect answers what a list of arguments stands for.
func (s *scope) collect(args []argument) (map[string]item, error) {
	bag := make(map[string]item, len(args))
	for _, a := range args {
		x, err := s.get(a.sort, a.index)
		if err != nil {
			return nil, err
		}
		if _, twice := bag[a.name]; twice {
			return nil, invalid("name %q comes twice", a.name)
		}
		bag[a.name] = x
	}
	return bag, nil
}

// nested evaluates an instance of a component.
func (e *evaluator) nested(d *definition, s *scope) (item, error) {
	c, err := s.get(sortComponent, d.index)
	if err != nil {
		return item{}, err
	}
	args, err := s.collect(d.args)
	if err != nil {
		return item{}, err
	}
	if c.component == nil {
		return item{}, unsupported("imports a component")
	}
	inner := &scope{outer: c.component.outer, args: args, depth: s.depth + 1}
	if err := e.instantiate(c.component.decoded, inner); err != nil {
		return item{}, err
	}
	return item{bag: inner.exports}, nil
}

// exportOf answers what an instance exports under a name.
func (s *scope) exportOf(d *definition) (item, error) {
	from, err := s.get(sortInstance, d.index)
	if err != nil {
		return item{}, err
	}
	if from.host != "" {
		return item{host: from.host, name: d.name}, nil
	}
	x, ok := from.bag[d.name]
	if !ok || x.sort != d.sort {
		return item{}, invalid("an instance does not export %q", d.name)
	}
	return x, nil
}

// coreExport answers what a core instance exports under a name.
func (x item) coreExport(name string, of sort) (item, error) {
	if x.part >= 0 && x.bag == nil {
		return item{sort: of, source: wasmbin.Source{Part: x.part, Name: name}}, nil
	}
	found, ok := x.bag[name]
	if !ok || found.sort != of {
		return item{}, invalid("a core instance does not export %q", name)
	}
	return found, nil
}

// imported answers what an import stands for.
func (e *evaluator) imported(d *definition, s *scope) (item, error) {
	if s.args != nil {
		x, ok := s.args[d.name]
		if !ok || x.sort != d.sort {
			return item{}, invalid("import %q of an inner component is not given", d.name)
		}
		return x, nil
	}
	switch d.sort {
	case sortInstance:
		e.plan.interfaces = append(e.plan.interfaces, d.name)
		return item{host: d.name}, nil
	case sortType:
		return item{host: d.name, name: d.name}, nil
	}
	return item{}, unsupported("imports %s, which is no interface", d.name)
}

// function answers what crosses between components: a function lifted or lowered, or one that works on handles.
func (e *evaluator) function(d *definition, s *scope) (item, error) {
	if d.action == doLift {
		return lift(d, s)
	}
	if d.action == doLower {
		f, err := s.get(sortFunc, d.index)
		if err != nil {
			return item{}, err
		}
		if f.host == "" {
			return item{}, unsupported("is composed of components that call each other")
		}
		f.realloc = -1
		if i := d.options.realloc; i >= 0 {
			g, err := s.get(sortCoreFunc, uint32(i))
			if err != nil {
				return item{}, err
			}
			f.realloc, err = e.plan.reallocOf(g)
			return f, err
		}
		return f, nil
	}
	t, err := s.get(sortType, d.index)
	switch {
	case err != nil:
		return item{}, err
	case t.own || t.host == "" || d.action != doResourceDrop:
		return item{}, unsupported("defines types of resources")
	}
	return item{host: t.host, name: t.name, drops: true, realloc: -1}, nil
}

func lift(d *definition, s *scope) (item, error) {
	f, err := s.get(sortCoreFunc, d.index)
	if err != nil {
		return item{}, err
	}
	l := &lifted{function: f}
	if i := d.options.postReturn; i >= 0 {
		after, err := s.get(sortCoreFunc, uint32(i))
		if err != nil {
			return item{}, err
		}
		l.postReturn = &after
	}
	return item{lifted: l}, nil
}

// instantiateCore adds a module to the plan, with where its imports come from.
func (e *evaluator) instantiateCore(d *definition, s *scope) (item, error) {
	m, err := s.get(sortCoreModule, d.index)
	if err != nil {
		return item{}, err
	}
	if m.module == nil {
		return item{}, unsupported("imports a module")
	}
	args, err := s.collect(d.args)
	if err != nil {
		return item{}, err
	}
	if len(e.plan.parts) == wasmbin.MaxParts {
		return item{}, tooLarge("instantiates more than %d modules", wasmbin.MaxParts)
	}
	if e.plan.bytes += len(m.module); e.plan.bytes > MaxLinkedBytes {
		return item{}, tooLarge("instantiates modules of more than %d MiB together", MaxLinkedBytes>>20)
	}
	read, err := wasmbin.Read(m.module)
	if err != nil {
		return item{}, moduleError(len(e.plan.parts), err)
	}
	part := wasmbin.Part{Binary: m.module, Imports: make([]wasmbin.Source, len(read.Imports))}
	for i := range read.Imports {
		im := &read.Imports[i]
		from, ok := args[im.Module]
		if !ok {
			return item{}, invalid("module imports from %q, which it is not given", im.Module)
		}
		x, err := from.coreExport(im.Name, coreSort+sort(im.Kind))
		if err != nil {
			return item{}, fmt.Errorf("import %q %q: %w", im.Module, im.Name, err)
		}
		if part.Imports[i], err = e.plan.bind(x, im); err != nil {
			return item{}, err
		}
	}
	e.plan.parts, e.plan.modules = append(e.plan.parts, part), append(e.plan.modules, read)
	return item{part: len(e.plan.parts) - 1}, nil
}

func invalid(format string, args ...any) error {
	return abi.WithCode(abi.InvalidModule, fmt.Errorf("component "+format, args...))
}

func unsupported(format string, args ...any) error {
	return abi.WithCode(abi.Unsupported, fmt.Errorf("component "+format, args...))
}

func tooLarge(format string, args ...any) error {
	return abi.WithCode(abi.TooLarge, fmt.Errorf("component "+format, args...))
}

// moduleError tells which module of a component is wrong.
func moduleError(number int, err error) error {
	return fmt.Errorf("module %d of the component: %w", number, err)
}
