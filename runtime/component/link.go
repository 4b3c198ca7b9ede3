// Package component runs WebAssembly components that answer HTTP requests: those that export wasi:http/incoming-handler of
// WASI 0.2. Link turns one into a single core module, which the runtime images, resets and meters as any other; what it
// asks of the host is looked at there, with its core signatures, and refused by name where it is not offered.
//
// Its main type is Call, one invocation's world: its handles, streams, requests and response, by the canonical ABI. The host
// module holds no state: every call finds its Call in the context, under Key, so that one module serves all invocations
// at once. A guest that hands over what is not its own ends with a Trap, and nothing that it makes the host keep is without
// a limit.
//
// Source: github.com/WebAssembly/component-model, design/mvp; github.com/WebAssembly/WASI, 0.2.
package component

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/sdk/abi"
)

const (
	// MaxLinkedBytes is how large the modules that a component instantiates may be together. A module that is
	// instantiated twice counts twice.
	MaxLinkedBytes = 128 << 20
	// MaxReallocs is how many functions a component may name that give the host memory. Compilers name one or two.
	MaxReallocs = 4
)

// Version names what Link does. It changes whenever Link may answer other bytes for the same component.
const Version = "1"

// Names of what a linked component imports and exports.
const (
	HostModule       = "wasi"
	ExportHandle     = "handle"
	ExportPostReturn = "post-return"
	exportRealloc    = "realloc/" // and a number
)

// handler is what a component must export, and handlerFunction the function of it.
const (
	handler         = "wasi:http/incoming-handler@0.2"
	handlerFunction = "handle"
)

// Traits are what serving needs to know of a component besides its module.
type Traits struct {
	Interfaces []string `json:"interfaces"`            // imported and exported ones, with their versions, as written
	PostReturn bool     `json:"post_return,omitempty"` // handle has something to run behind it
	Memory     Memory   `json:"-"`
}

// Memory is how large a component's memory is, in bytes.
type Memory struct {
	MinBytes int64
	MaxBytes uint64
}

// plan is how a component becomes a module.
type plan struct {
	parts      []wasmbin.Part
	offers     []wasmbin.Offer
	interfaces []string
	reallocs   []wasmbin.Source
	missing    []string // imports that no host offers
	different  []string // imports that are offered with another signature
	functions  map[string]*function
	modules    []*wasmbin.Module // of the parts
	memory     Memory
	bytes      int
}

// Read says what a component is, without linking it. Errors are coded as Link's.
func Read(binary []byte) (*Traits, error) {
	p, err := evaluate(binary)
	if err != nil {
		return nil, err
	}
	return &Traits{Interfaces: p.interfaces, Memory: p.memory,
		PostReturn: slices.ContainsFunc(p.offers, func(o wasmbin.Offer) bool { return o.Name == ExportPostReturn })}, nil
}

// Link answers a component as one core module: its modules' imports of each other are bound, what it asks of the host
// it imports from HostModule, and it exports the function that answers requests. Instances of it are imaged, reset and
// metered as those of any other module. Errors are coded abi.InvalidModule, abi.Unsupported or abi.TooLarge, and name
// what is wrong; those of its modules are of type *wasmbin.Error.
func Link(binary []byte) ([]byte, error) {
	p, err := evaluate(binary)
	if err != nil {
		return nil, err
	}
	return wasmbin.Link(p.parts, p.offers)
}

// findMemory finds the one memory that all modules share.
func (p *plan) findMemory() error {
	memories := 0
	for _, m := range p.modules {
		for _, l := range m.Memories {
			memories++
			p.memory = Memory{int64(l.Min) * wasmbin.PageBytes, wasmbin.MaxMemoryPages * wasmbin.PageBytes}
			if l.HasMax {
				p.memory.MaxBytes = l.Max * wasmbin.PageBytes
			}
			if l.Shared || l.Is64 {
				return unsupported("has a shared or 64-bit memory, which is not offered")
			}
		}
	}
	if memories != 1 {
		return unsupported("has %d memories, want one (components that are composed of others have several)", memories)
	}
	return nil
}

// evaluate answers a component's plan.
func evaluate(binary []byte) (*plan, error) {
	c, err := decode(binary)
	if err != nil {
		return nil, err
	}
	e := &evaluator{plan: plan{functions: offered()}}
	root := new(scope)
	if err := e.instantiate(c, root); err != nil {
		return nil, err
	}
	p := &e.plan
	for _, check := range []func() error{p.lacking, func() error { return p.offer(root.exports) }, p.findMemory} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// bind answers where a module's import comes from.
func (p *plan) bind(x item, im *wasmbin.Import) (wasmbin.Source, error) {
	if x.host == "" {
		return x.source, nil
	}
	name := hostName(x)
	f := p.functions[name]
	switch {
	case f == nil:
		p.miss(x)
	case !f.signature().Equal(im.Type):
		p.different = append(p.different, fmt.Sprintf("%s as %s, which Sett offers as %s", name, im.Type, f.signature()))
	}
	if f != nil && f.allocates {
		if x.realloc < 0 {
			return wasmbin.Source{}, invalid("names no realloc for %s", name)
		}
		name += variant(x.realloc)
	}
	return wasmbin.Source{Part: wasmbin.Host, Module: HostModule, Name: name}, nil
}

// variant is what the name of a function that allocates ends in, for each function it may allocate by.
func variant(realloc int) string { return "/" + strconv.Itoa(realloc) }

// hostName is a host's function's name: "wasi:io/poll@0.2#poll".
func hostName(x item) string {
	if x.drops {
		return drop + resourceName(x.name)
	}
	return key(x.host) + "#" + x.name
}

// key is an interface's name with its version's major and minor number alone: those that differ in the rest are the
// same to whoever uses what both have.
func key(name string) string {
	path, version, ok := strings.Cut(name, "@")
	if !ok {
		return name
	}
	version, pre, _ := strings.Cut(version, "-")
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return name
	}
	path += "@" + parts[0] + "." + parts[1]
	switch pre {
	case "", "draft", "rc.1": // of wasi:keyvalue, wasi:config and wasi:logging, which have no other versions yet
		return path
	}
	return path + "-" + pre // what was published before is another interface
}

// miss notes an import that no host offers: its interface when nothing of that is offered, else the function.
func (p *plan) miss(x item) {
	name := x.host
	if prefix := key(x.host) + "#"; x.drops {
		name = "resource " + x.name + " of " + x.host
	} else {
		for known := range p.functions {
			if strings.HasPrefix(known, prefix) {
				name = x.host + "#" + x.name
				break
			}
		}
	}
	if !slices.Contains(p.missing, name) {
		p.missing = append(p.missing, name)
	}
}

// lacking names the imports that are not met.
func (p *plan) lacking() error {
	switch {
	case len(p.missing) > 0:
		slices.Sort(p.missing)
		return unsupported("imports %s, which Sett does not offer", wasmbin.Enumerate(p.missing))
	case len(p.different) > 0:
		return invalid("imports %s", wasmbin.Enumerate(p.different))
	}
	return nil
}

// reallocOf numbers a function that gives the host memory.
func (p *plan) reallocOf(f item) (int, error) {
	if f.host != "" {
		return 0, invalid("names a function of the host as its realloc")
	}
	i := slices.Index(p.reallocs, f.source)
	if i < 0 {
		if len(p.reallocs) == MaxReallocs {
			return 0, tooLarge("names more than %d functions as realloc", MaxReallocs)
		}
		i = len(p.reallocs)
		p.reallocs = append(p.reallocs, f.source)
	}
	return i, nil
}

// offer fills in what the module exports.
func (p *plan) offer(exports map[string]item) error {
	var found *lifted
	for name, x := range exports {
		if key(name) == handler && x.sort == sortInstance {
			found = x.bag[handlerFunction].lifted
			p.interfaces = append(p.interfaces, name)
		}
	}
	if found == nil {
		names := make([]string, 0, len(exports))
		for name := range exports {
			names = append(names, name)
		}
		slices.Sort(names)
		has := "nothing"
		if len(names) > 0 {
			has = wasmbin.Enumerate(names)
		}
		return abi.WithCode(abi.InvalidModule, fmt.Errorf("component exports %s, want %s", has, handler))
	}
	add := func(name string, from wasmbin.Source) {
		p.offers = append(p.offers, wasmbin.Offer{Name: name, Source: from})
	}
	if found.function.host != "" || found.postReturn != nil && found.postReturn.host != "" {
		return invalid("exports a function of the host")
	}
	add(ExportHandle, found.function.source)
	if found.postReturn != nil {
		add(ExportPostReturn, found.postReturn.source)
	}
	for i, from := range p.reallocs {
		add(exportRealloc+strconv.Itoa(i), from)
	}
	slices.Sort(p.interfaces)
	p.interfaces = slices.Compact(p.interfaces)
	return p.check()
}

// check sees that what the host calls has the signatures by which it does.
func (p *plan) check() error {
	i32 := wasmbin.I32
	for _, o := range p.offers {
		want := wasmbin.FuncType{Params: []wasmbin.ValType{i32, i32}}
		switch {
		case o.Name == ExportPostReturn:
			want = wasmbin.FuncType{}
		case strings.HasPrefix(o.Name, exportRealloc):
			want = wasmbin.FuncType{Params: []wasmbin.ValType{i32, i32, i32, i32}, Results: []wasmbin.ValType{i32}}
		}
		if have, ok := p.typeOf(o.Source); !ok || !have.Equal(want) {
			return invalid("has %s as %s, want %s", o.Name, have, want)
		}
	}
	return nil
}

// typeOf answers the signature of what a part exports.
func (p *plan) typeOf(from wasmbin.Source) (wasmbin.FuncType, bool) {
	if from.Part < 0 || from.Part >= len(p.parts) {
		return wasmbin.FuncType{}, false
	}
	return p.modules[from.Part].Func(from.Name)
}
