package registry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// Limits of a function's aliases.
const (
	MaxAliases = 32
	MaxWeight  = 100
)

// The transitions below are pure: each answers a changed copy and leaves f as it was. All keep these rules: versions
// ascend by number, a number is given once, the alias live exists, aliases name versions that exist, and besides
// those that an alias names the last Retained versions are kept.

// Version answers the version of this number, nil when there is none.
func (f *Function) Version(number int) *Version {
	i, found := slices.BinarySearchFunc(f.Versions, number, func(v Version, n int) int { return cmp.Compare(v.Number, n) })
	if !found {
		return nil
	}
	return &f.Versions[i]
}

// Live answers the versions that answer requests, heaviest first.
func (f *Function) Live() []*Version {
	live := make([]*Version, 0, len(f.Aliases[LiveAlias]))
	for _, w := range f.Aliases[LiveAlias] {
		live = append(live, f.Version(w.Version))
	}
	return live
}

// deploy adds a version of c, which is valid and complete, and makes it all of live. When it is what is live
// already, nothing changes.
func (f Function) deploy(c Change, now time.Time) (next Function, d Deployed) {
	if live := f.Live(); len(live) == 1 && live[0].Module.Digest == c.Module.Digest && live[0].Settings.Equal(c.Settings) {
		return f, Deployed{Version: *live[0], Unchanged: true}
	}
	next = f.copy()
	next.Latest++
	v := Version{App: f.App, Function: f.Name, Number: next.Latest, Created: now, Module: c.Module, Settings: c.Settings.Complete(),
		Seed: c.Seed, Holders: c.Holders}
	next.Versions = append(next.Versions, v)
	next.Aliases[LiveAlias] = []Weight{{Version: v.Number, Weight: MaxWeight}}
	return next.retire(Retained), Deployed{Version: v}
}

// rollback makes a version all of live; 0 stands for the one before the newest live version.
func (f Function) rollback(number int) (Function, error) {
	if number == 0 {
		newest := 0
		for _, w := range f.Aliases[LiveAlias] {
			newest = max(newest, w.Version)
		}
		for _, v := range f.Versions {
			if v.Number < newest {
				number = v.Number // they ascend
			}
		}
		if number == 0 {
			return f, abi.WithCode(abi.NotFound, fmt.Errorf("function %s: no version before %d is kept", f.Name, newest))
		}
	}
	return f.setAlias(LiveAlias, []Weight{{Version: number, Weight: MaxWeight}})
}

// setAlias points an alias, new or not, to versions.
func (f Function) setAlias(alias string, weights []Weight) (Function, error) {
	if err := CheckName("alias", alias); err != nil {
		return f, err
	}
	if err := f.checkWeights(weights); err != nil {
		return f, fmt.Errorf("alias %s: %w", alias, err)
	}
	if f.Aliases[alias] == nil && len(f.Aliases) == MaxAliases {
		return f, abi.WithCode(abi.TooLarge, fmt.Errorf("alias %s: function %s has %d aliases, the most allowed",
			alias, f.Name, MaxAliases))
	}
	next := f.copy()
	next.Aliases[alias] = slices.SortedFunc(slices.Values(weights), func(a, b Weight) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Version, b.Version))
	})
	return next.retire(Retained), nil
}

func (f Function) checkWeights(weights []Weight) error {
	if len(weights) == 0 {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("names no version; give at least one, such as v%d=100", f.Latest))
	}
	seen := map[int]bool{}
	for _, w := range weights {
		if w.Weight < 1 || w.Weight > MaxWeight {
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("weight %d of version %d is not between 1 and %d", w.Weight, w.Version, MaxWeight))
		}
		if seen[w.Version] {
			return abi.WithCode(abi.InvalidInput, fmt.Errorf("version %d is named twice", w.Version))
		}
		seen[w.Version] = true
		if f.Version(w.Version) == nil {
			return abi.WithCode(abi.NotFound, fmt.Errorf("function %s has no version %d; it has %s", f.Name, w.Version, f.numbers()))
		}
	}
	return nil
}

// removeAlias takes an alias away. The alias live stays.
func (f Function) removeAlias(alias string) (Function, error) {
	if alias == LiveAlias {
		return f, abi.WithCode(abi.InvalidInput, fmt.Errorf("alias %s always exists; to stop function %s remove it", alias, f.Name))
	}
	if f.Aliases[alias] == nil {
		return f, abi.WithCode(abi.NotFound, fmt.Errorf("function %s has no alias %s", f.Name, quoteShort(alias)))
	}
	next := f.copy()
	delete(next.Aliases, alias)
	return next.retire(Retained), nil
}

// retire drops all versions but those an alias names and the last keep of the others. It changes f's own slices,
// so f is a copy.
func (f Function) retire(keep int) Function {
	named := map[int]bool{}
	for _, weights := range f.Aliases {
		for _, w := range weights {
			named[w.Version] = true
		}
	}
	surplus := len(f.Versions) - len(named) - keep
	f.Versions = slices.DeleteFunc(f.Versions, func(v Version) bool {
		if named[v.Number] || surplus <= 0 {
			return false
		}
		surplus--
		return true
	})
	return f
}

// copy answers a Function whose versions and aliases can be changed without changing those of f.
func (f Function) copy() Function {
	f.Versions = slices.Clone(f.Versions)
	if f.Aliases = maps.Clone(f.Aliases); f.Aliases == nil {
		f.Aliases = map[string][]Weight{}
	}
	return f
}

// numbers lists f's versions for a person.
func (f Function) numbers() string {
	parts := make([]string, 0, len(f.Versions))
	for _, v := range f.Versions {
		parts = append(parts, fmt.Sprint(v.Number))
	}
	return strings.Join(parts, ", ")
}

// check reports how a record that was read breaks the rules; a node trusts none that does.
func (f Function) check() error {
	last := 0
	for _, v := range f.Versions {
		if v.Number <= last || v.Number > f.Latest || v.App != f.App || v.Function != f.Name {
			return fmt.Errorf("version %d stands wrong", v.Number)
		}
		last = v.Number
	}
	if f.Aliases[LiveAlias] == nil {
		return fmt.Errorf("there is no alias %s", LiveAlias)
	}
	for _, alias := range slices.Sorted(maps.Keys(f.Aliases)) {
		if err := f.checkWeights(f.Aliases[alias]); err != nil {
			return fmt.Errorf("alias %s: %w", alias, err)
		}
	}
	return nil
}
