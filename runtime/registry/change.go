package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// Deploy adds a version to each function named, makes functions that are new, and points their alias live to the
// new versions, all at once. A change with the bytes and settings that are live already answers that version as
// Unchanged. The answers are in the order of the changes.
//
// Faults of names, settings, handlers and routes are told all together, coded abi.InvalidInput (abi.InvalidModule
// for patterns that a module describes). Routes that tie with those of another function are coded abi.Conflict.
// The modules are compiled and kept before; Deploy does not look for their bytes.
func (r *Registry) Deploy(ctx context.Context, app string, changes []Change) ([]Deployed, error) {
	if err := checkChanges(app, changes); err != nil {
		return nil, fmt.Errorf("deploy: %w", err)
	}
	var deployed []Deployed
	err := r.change(ctx, func(s *Snapshot) (edit, error) {
		now := time.Now().UTC().Truncate(time.Millisecond)
		e := edit{}
		deployed = deployed[:0]
		for _, c := range changes {
			old := s.Function(app, c.Name)
			if old == nil {
				old = &Function{App: app, Name: c.Name}
			}
			next, d := old.deploy(c, now)
			if deployed = append(deployed, d); !d.Unchanged {
				e[id{app, c.Name}] = &next
			}
		}
		return e, nil
	})
	if err != nil {
		return nil, fmt.Errorf("deploy: %w", err)
	}
	return deployed, nil
}

// Rollback points a function's alias live to one version; 0 stands for the one before the newest live version.
func (r *Registry) Rollback(ctx context.Context, app, name string, version int) (Function, error) {
	return r.update(ctx, app, name, func(f Function) (Function, error) { return f.rollback(version) })
}

// SetAlias points an alias, new or not, to versions with weights between 1 and MaxWeight.
func (r *Registry) SetAlias(ctx context.Context, app, name, alias string, weights []Weight) (Function, error) {
	return r.update(ctx, app, name, func(f Function) (Function, error) { return f.setAlias(alias, weights) })
}

// RemoveAlias takes an alias away, any but live. Versions that only it kept may go with it.
func (r *Registry) RemoveAlias(ctx context.Context, app, name, alias string) (Function, error) {
	return r.update(ctx, app, name, func(f Function) (Function, error) { return f.removeAlias(alias) })
}

// update changes one function that exists, and answers it.
func (r *Registry) update(ctx context.Context, app, name string, next func(Function) (Function, error)) (Function, error) {
	err := r.change(ctx, func(s *Snapshot) (edit, error) {
		f := s.Function(app, name)
		if f == nil {
			return nil, NoFunction(app, name)
		}
		changed, err := next(*f)
		if err != nil || maps.EqualFunc(f.Aliases, changed.Aliases, slices.Equal) {
			return nil, err
		}
		return edit{id{app, name}: &changed}, nil
	})
	if err != nil {
		return Function{}, err
	}
	if f := r.Snapshot().Function(app, name); f != nil {
		return *f, nil
	}
	return Function{}, NoFunction(app, name) // removed since
}

// Remove removes functions with their versions and aliases, all those named or none; nil names are all functions
// of the app, MaxChanges at a time. A function that is deployed again under the name starts at version 1.
func (r *Registry) Remove(ctx context.Context, app string, names []string) error {
	for {
		more := false
		err := r.change(ctx, func(s *Snapshot) (edit, error) {
			e := edit{}
			for _, name := range names {
				if s.Function(app, name) == nil {
					return nil, NoFunction(app, name)
				}
				e[id{app, name}] = nil
			}
			for _, f := range s.functions {
				if names != nil || f.App != app {
					continue
				}
				if more = len(e) == MaxChanges; more {
					break
				}
				e[id{app, f.Name}] = nil
			}
			return e, nil
		})
		if err != nil || !more {
			return err
		}
	}
}

// checkChanges names every fault of a deployment.
func checkChanges(app string, changes []Change) error {
	faults := []error{CheckName("app", app)}
	seen := map[string]bool{}
	if len(changes) > MaxChanges {
		return abi.WithCode(abi.TooLarge, fmt.Errorf("%d functions at once, at most %d are allowed", len(changes), MaxChanges))
	}
	for _, c := range changes {
		if err := CheckName("function", c.Name); err != nil {
			faults = append(faults, err)
			continue
		}
		if seen[c.Name] {
			faults = append(faults, abi.WithCode(abi.InvalidInput, fmt.Errorf("function %s: named twice", c.Name)))
		}
		seen[c.Name] = true
		for _, err := range []error{checkModule(c), c.Settings.Validate(), checkDescribed(c)} {
			if err != nil {
				faults = append(faults, fmt.Errorf("function %s: %w", c.Name, err))
			}
		}
	}
	return errors.Join(faults...)
}

// checkModule checks what the platform itself fills in, and that the handler named is there.
func checkModule(c Change) error {
	m, h := c.Module, c.Settings.Handler
	if raw, err := hex.DecodeString(m.Digest); err != nil || len(raw) != 32 || m.Digest != strings.ToLower(m.Digest) {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("module digest %s: it is 64 hexadecimal digits in lower case", quoteShort(m.Digest)))
	}
	if m.Kind != KindCommand && m.Kind != KindSett && m.Kind != KindComponent {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("module kind %s: unknown", quoteShort(string(m.Kind))))
	}
	if h == "" || m.Kind == KindSett && m.Description == nil {
		return nil
	}
	if m.Kind != KindSett {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("handler %q: a %s has no handlers; leave the name out", h, m.Kind))
	}
	if !slices.Contains(m.Description.Handles, h) {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("handler %q: the module has none of that name; it has %s",
			h, orNone(m.Description.Handles)))
	}
	return nil
}

// checkDescribed checks the patterns that a module describes, where they will be its routes.
func checkDescribed(c Change) error {
	v := Version{Module: c.Module, Settings: c.Settings}
	if len(c.Settings.Routes) > 0 {
		return nil // Validate has seen them
	}
	routes := v.RoutePatterns()
	if len(routes) > MaxRoutes {
		return abi.WithCode(abi.InvalidModule, fmt.Errorf("the module has %d patterns, at most %d are allowed", len(routes), MaxRoutes))
	}
	if _, err := parseRoutes(routes); err != nil {
		return abi.WithCode(abi.InvalidModule, fmt.Errorf("patterns of the module: %w", err))
	}
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
