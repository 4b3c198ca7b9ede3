package registry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/sett-run/sett/sdk/abi"
)

// Snapshot is all functions at one moment. It never changes, nor does what it answers: callers only read it.
type Snapshot struct {
	generation uint64 // revision of the last change; 0: none yet
	functions  []*Function
	byID       map[id]*Function
	routes     map[*Function][]liveRoute
}

type id struct{ app, name string }

// liveRoute is a route that a function's live versions answer.
type liveRoute struct {
	owner   *Function
	version int
	pattern Pattern
}

// newSnapshot takes over the parsed routes of functions that previous, which may be nil, has too.
func newSnapshot(generation uint64, byID map[id]*Function, previous *Snapshot) (*Snapshot, error) {
	s := &Snapshot{generation: generation, byID: byID, routes: make(map[*Function][]liveRoute, len(byID))}
	s.functions = slices.SortedFunc(maps.Values(byID), func(a, b *Function) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Name, b.Name))
	})
	for _, f := range s.functions {
		if previous != nil {
			if routes, ok := previous.routes[f]; ok {
				s.routes[f] = routes
				continue
			}
		}
		routes, err := routesOf(f)
		if err != nil {
			return nil, err
		}
		s.routes[f] = routes
	}
	return s, nil
}

// Functions answers all functions by app, then name.
func (s *Snapshot) Functions() []*Function { return s.functions }

// Function answers the function of an app, nil when there is none.
func (s *Snapshot) Function(app, name string) *Function { return s.byID[id{app, name}] }

// Generation grows with every change; snapshots of one generation are equal.
func (s *Snapshot) Generation() uint64 { return s.generation }

// Target is a version with its share of an alias.
type Target struct {
	Version *Version
	Weight  int
}

// Resolve answers the versions that a qualifier names, heaviest first: an alias, or a version as 4 or v4; the
// empty qualifier is the alias live. What is not there is coded abi.NotFound.
func (s *Snapshot) Resolve(app, name, qualifier string) ([]Target, error) {
	f := s.Function(app, name)
	if f == nil {
		return nil, NoFunction(app, name)
	}
	weights, ok := f.Aliases[cmp.Or(qualifier, LiveAlias)]
	if !ok {
		number, isVersion := ParseVersion(qualifier)
		if v := f.Version(number); isVersion && v != nil {
			return []Target{{Version: v, Weight: MaxWeight}}, nil
		}
		return nil, abi.WithCode(abi.NotFound, fmt.Errorf("function %s has no alias or version %s", name, quoteShort(qualifier)))
	}
	targets := make([]Target, 0, len(weights))
	for _, w := range weights {
		targets = append(targets, Target{Version: f.Version(w.Version), Weight: w.Weight})
	}
	return targets, nil
}

// Modules answers the modules that any version names, their sizes in bytes by digest; all others may be collected.
func (s *Snapshot) Modules() map[string]int64 {
	sizes := map[string]int64{}
	for _, f := range s.functions {
		for i := range f.Versions {
			m := &f.Versions[i].Module
			sizes[m.Digest] = m.SizeBytes
		}
	}
	return sizes
}

// NoFunction is the error for a function that an app does not have, coded abi.NotFound.
func NoFunction(app, name string) error {
	return abi.WithCode(abi.NotFound, fmt.Errorf("function %s in app %s: no such function", shortName(name), shortName(app)))
}

// Holders answers the ids of the nodes that had a module when versions with it were deployed.
func (s *Snapshot) Holders(digest string) []string {
	var ids []string
	for _, f := range s.functions {
		for i := range f.Versions {
			if v := &f.Versions[i]; v.Module.Digest == digest {
				ids = append(ids, v.Holders...)
			}
		}
	}
	return ids
}
