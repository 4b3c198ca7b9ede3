package registry

import (
	"errors"
	"fmt"

	"github.com/sett-run/sett/sdk/abi"
)

// routesOf parses what f's live versions answer explicitly. Default paths are not among them: any explicit route
// wins over those, and they never tie with one another.
func routesOf(f *Function) (routes []liveRoute, err error) {
	for _, v := range f.Live() {
		for _, r := range v.RoutePatterns() {
			p, err := ParsePattern(r.Pattern)
			if err != nil {
				return nil, fmt.Errorf("function %s version %d: %w", qualified(f), v.Number, err)
			}
			routes = append(routes, liveRoute{owner: f, version: v.Number, pattern: p})
		}
	}
	return routes, nil
}

// checkTies refuses routes of functions that previous does not have as they are, and that tie with any route of s.
// The error is coded abi.Conflict and names functions and patterns of every tie.
func (s *Snapshot) checkTies(previous *Snapshot) error {
	var ties []error
	done := map[*Function]bool{} // a tie of two changed functions is told once
	for _, f := range s.functions {
		if _, same := previous.routes[f]; same {
			continue
		}
		done[f] = true
		for _, g := range s.functions {
			if g != f && done[g] {
				continue
			}
			ties = append(ties, tiesBetween(s.routes[f], s.routes[g])...)
		}
	}
	return abi.WithCode(abi.Conflict, errors.Join(ties...))
}

// tiesBetween answers the ties of two functions' routes; one that several live versions have is told once.
func tiesBetween(as, bs []liveRoute) (ties []error) {
	told := map[[2]string]bool{}
	for _, a := range as {
		for _, b := range bs {
			if !a.pattern.Conflicts(b.pattern) {
				continue
			}
			both := [2]string{a.pattern.String(), b.pattern.String()}
			switch {
			case a.owner != b.owner:
				if !told[both] {
					ties = append(ties, fmt.Errorf("function %s: route %q ties with %q of function %s; make one more specific",
						qualified(a.owner), a.pattern, b.pattern, qualified(b.owner)))
				}
				told[both] = true
			case a.version < b.version && a.pattern.Compare(b.pattern) != 0:
				// Versions that share live may share routes, but not tie otherwise: the pattern chosen must be one.
				ties = append(ties, fmt.Errorf("function %s: route %q of version %d ties with %q of version %d; they cannot be live together",
					qualified(a.owner), a.pattern, a.version, b.pattern, b.version))
			}
		}
	}
	return ties
}

// qualified names a function for a person: its name in the default app, else app/name.
func qualified(f *Function) string {
	if f.App == DefaultApp {
		return f.Name
	}
	return f.App + "/" + f.Name
}
