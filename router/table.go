package router

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// Table says what answers a request. It is immutable; a Router swaps it whole. Explicit routes win over the default
// paths of functions without routes.
type Table struct {
	hosts    map[string]*node // patterns that name a host, by host; they win
	routes   *node            // patterns for any host
	defaults *node            // /NAME and below, /APP/NAME and below
	apps     map[string]map[string]*function
	pieces   bool // a candidate takes bodies in pieces
}

// function is what a table knows of a function, for those who call it by name.
type function struct {
	gate     *gate
	versions map[int]*target
	aliases  map[string]*choice
}

// gate counts the invocations of a function that are running. It outlives tables, so that a deploy does not
// forget them.
type gate struct {
	running atomic.Int64
}

// target is a version, ready to be invoked.
type target struct {
	version     *registry.Version
	gate        *gate
	timeout     time.Duration
	concurrency int64
	instruments atomic.Pointer[instruments]
}

// meters answers the version's instruments. Those of live versions are there before the first request.
func (t *target) meters(m *metrics) *instruments {
	if i := t.instruments.Load(); i != nil {
		return i
	}
	i := m.instruments(t.version)
	t.instruments.Store(i)
	return i
}

// candidate is a version that has a route.
type candidate struct {
	*target
	weight  int
	upto    int      // sum of the weights up to and with this one
	pattern string   // the route as deployed; empty for a default path and for calls by name
	names   []string // of the pattern's parameters, in order
	payload registry.Payload
	cors    *registry.Cors // nil: none
	schemas schemas        // nil: none
	async   bool           // requests are run later
	pieces  bool           // it takes a body that is too large to be read whole
}

// choice is one or more versions of one function, picked among by weight.
type choice struct {
	candidates []candidate
}

func (c *choice) add(k candidate) {
	k.upto = k.weight
	if n := len(c.candidates); n > 0 {
		k.upto += c.candidates[n-1].upto
	}
	c.candidates = append(c.candidates, k)
}

// pick answers a candidate, each as often as its weight says.
func (c *choice) pick() *candidate {
	if len(c.candidates) == 1 {
		return &c.candidates[0]
	}
	at := rand.IntN(c.candidates[len(c.candidates)-1].upto)
	for i := range c.candidates {
		if at < c.candidates[i].upto {
			return &c.candidates[i]
		}
	}
	panic("router: weights do not add up")
}

// lookup finds what answers a request for the decoded path. It allocates nothing.
func (t *Table) lookup(method, host, path string, v *values) (*choice, int) {
	if n := t.hosts[host]; n != nil {
		if c, used := n.match(method, path, v); c != nil {
			return c, used
		}
	}
	if c, used := t.routes.match(method, path, v); c != nil {
		return c, used
	}
	return t.defaults.match(method, path, v)
}

// allowed answers the methods that have a route at the decoded path; none when nothing is there.
func (t *Table) allowed(host, path string) []string {
	var methods []string
	if n := t.hosts[host]; n != nil {
		methods = n.allowed(path, methods)
	}
	return t.routes.allowed(path, methods)
}

// resolve finds the versions a qualifier names: an alias, or a version as 4 or v4; empty is the alias live.
func (t *Table) resolve(app, name, qualifier string) (*candidate, error) {
	f := t.apps[app][name]
	if f == nil {
		return nil, registry.NoFunction(app, name)
	}
	if qualifier == "" {
		qualifier = registry.LiveAlias
	}
	if c := f.aliases[qualifier]; c != nil {
		return c.pick(), nil
	}
	if number, is := registry.ParseVersion(qualifier); is {
		if v := f.versions[number]; v != nil {
			return &candidate{target: v}, nil
		}
	}
	return nil, abi.WithCode(abi.NotFound, fmt.Errorf("function %s: no alias or version %s", name, qualifier))
}

// builder makes a table, taking over what the last one knew.
type builder struct {
	table    *Table
	previous *Table // nil: none
	metrics  *metrics
	faults   []error
	owners   map[*choice]string // whose route it is, to refuse a tie by name
}

// build makes the table for these functions. Errors name every route that two functions share, and every one that
// does not parse; the registry lets neither through.
func build(functions []*registry.Function, previous *Table, m *metrics) (*Table, error) {
	b := builder{previous: previous, metrics: m, owners: map[*choice]string{}}
	b.table = &Table{hosts: map[string]*node{}, routes: new(node), defaults: new(node), apps: map[string]map[string]*function{}}
	for _, f := range functions {
		b.add(f)
	}
	if err := errors.Join(b.faults...); err != nil {
		return nil, fmt.Errorf("build route table: %w", err)
	}
	for _, tree := range slices.Concat([]*node{b.table.routes}, slices.Collect(maps.Values(b.table.hosts))) {
		tree.each(func(l *leaf) { b.mergeAny(l) })
	}
	return b.table, nil
}

// mergeAny gives a method's choice also the versions of the same function that answer the same path for any
// method, so that weights hold while one live version names the method and another does not.
func (b *builder) mergeAny(l *leaf) {
	if l.any == nil {
		return
	}
	for _, m := range l.methods {
		if b.owners[m.choice] != b.owners[l.any] {
			continue
		}
		for _, k := range l.any.candidates {
			if !slices.ContainsFunc(m.choice.candidates, func(o candidate) bool { return o.target == k.target }) {
				m.choice.add(k)
			}
		}
	}
}

func (b *builder) add(r *registry.Function) {
	f := &function{versions: map[int]*target{}, aliases: map[string]*choice{}}
	old := b.old(r.App, r.Name)
	if f.gate = new(gate); old != nil {
		f.gate = old.gate
	}
	for i := range r.Versions {
		v := &r.Versions[i]
		f.versions[v.Number] = b.target(v, f.gate, old)
	}
	for alias, weights := range r.Aliases {
		c := new(choice)
		for _, w := range weights {
			if v := f.versions[w.Version]; v != nil && w.Weight > 0 {
				c.add(candidate{target: v, weight: w.Weight})
			}
		}
		if len(c.candidates) > 0 {
			f.aliases[alias] = c
		}
	}
	if b.table.apps[r.App] == nil {
		b.table.apps[r.App] = map[string]*function{}
	}
	b.table.apps[r.App][r.Name] = f
	if live := f.aliases[registry.LiveAlias]; live != nil {
		for _, k := range live.candidates {
			k.meters(b.metrics)
			b.route(r, k)
		}
	}
}

func (b *builder) old(app, name string) *function {
	if b.previous == nil {
		return nil
	}
	return b.previous.apps[app][name]
}

// target takes over the previous table's, when it is the same version: a function removed and deployed again
// starts at version 1 with other bytes.
func (b *builder) target(v *registry.Version, g *gate, old *function) *target {
	if old != nil {
		if t := old.versions[v.Number]; t != nil && sameVersion(t.version, v) {
			return t
		}
	}
	return &target{
		version:     v,
		gate:        g,
		timeout:     v.Settings.Timeout(),
		concurrency: int64(v.Settings.Concurrency()),
	}
}

func sameVersion(a, b *registry.Version) bool {
	return a.Created.Equal(b.Created) && a.Module.Digest == b.Module.Digest && a.Settings.Equal(b.Settings)
}

// route enters the routes of one live version.
func (b *builder) route(r *registry.Function, k candidate) {
	routes := k.version.RoutePatterns()
	for _, route := range routes {
		p, err := registry.ParsePattern(route.Pattern)
		if err != nil {
			b.faults = append(b.faults, fmt.Errorf("function %s/%s version %d: %w", r.App, r.Name, k.version.Number, err))
			continue
		}
		k.pattern, k.payload, k.names, k.cors, k.async = route.Pattern, route.Payload, parameters(p), route.Cors, route.Async
		if k.schemas, err = compile(route.Schemas); err != nil {
			b.faults = append(b.faults, fmt.Errorf("function %s/%s version %d: route %s: %w", r.App, r.Name, k.version.Number, route.Pattern, err))
			continue
		}
		k.pieces = k.version.Settings.Streaming && k.schemas == nil
		tree := b.table.routes
		if p.Host != "" {
			if tree = b.table.hosts[p.Host]; tree == nil {
				tree = new(node)
				b.table.hosts[p.Host] = tree
			}
		}
		b.enter(tree, p, r, k)
	}
	if k.version.OnDefaultPath() {
		p, err := registry.ParsePattern(registry.DefaultPath(r.App, r.Name) + "/{path...}")
		if err != nil {
			b.faults = append(b.faults, fmt.Errorf("function %s/%s: %w", r.App, r.Name, err))
			return
		}
		k.pattern, k.payload, k.names, k.cors, k.schemas, k.async = "", registry.PayloadRaw, nil, nil, nil, false
		k.pieces = k.version.Settings.Streaming
		b.enter(b.table.defaults, p, r, k)
	}
}

func (b *builder) enter(tree *node, p registry.Pattern, r *registry.Function, k candidate) {
	b.table.pieces = b.table.pieces || k.pieces
	c := tree.insert(p.Segments).at(p.Method)
	owner := r.App + "/" + r.Name
	if other := b.owners[c]; other != "" && other != owner {
		b.faults = append(b.faults, abi.WithCode(abi.Conflict,
			fmt.Errorf("route %q: functions %s and %s both answer it", p, other, owner)))
		return
	}
	b.owners[c] = owner
	if !slices.ContainsFunc(c.candidates, func(o candidate) bool { return o.target == k.target }) {
		c.add(k)
	}
}

// parameters are the names of a pattern's parameters, in order.
func parameters(p registry.Pattern) (names []string) {
	for _, s := range p.Segments {
		if s.Kind != registry.Literal {
			names = append(names, s.Text)
		}
	}
	return names
}
