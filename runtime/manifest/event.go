package manifest

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/runtime/registry"
)

// claims are the patterns of one manifest, to find those that tie before anything is uploaded.
type claims struct {
	patterns []registry.Pattern
	owners   []string // path of the event that claims the pattern
}

// events reads the list of what triggers a function.
func (r *reader) events(f field, claims *claims) []registry.Route {
	if isNull(f.value) {
		return nil
	}
	if f.value.Kind != yaml.SequenceNode {
		r.faultAt(f.value, f.path, "%s where a list is needed", kindName(f.value))
		return nil
	}
	var routes []registry.Route
	for _, item := range f.value.Content {
		item = follow(item)
		if !r.count(item) {
			return nil
		}
		if item.Kind == yaml.ScalarNode {
			r.eventKind(field{item.Value, join(f.path, item.Value), item, item})
			continue
		}
		for _, sub := range r.mapping(f.path, item) {
			route, ok := r.event(sub)
			if ok && r.claim(sub, route, claims) {
				routes = append(routes, route)
			}
		}
	}
	if len(routes) > registry.MaxRoutes {
		r.faultAt(f.at, f.path, "more than %d routes", registry.MaxRoutes)
	}
	return routes
}

// eventKind reports an event that is only a word, or of a kind we do not offer.
func (r *reader) eventKind(f field) {
	for _, kind := range eventWords().offered {
		if f.key == kind {
			r.faultAt(f.at, f.path, "needs a method and a path, as in %s: 'GET /users/{id}'", kind)
			return
		}
	}
	for _, kind := range eventWords().refused {
		if f.key == kind {
			r.faultAt(f.at, f.path, "%s events are not offered yet", kind)
			return
		}
	}
	r.unknown(f, "event", eventWords())
}

// event reads one event to a route.
func (r *reader) event(f field) (registry.Route, bool) {
	payload, known := registry.PayloadHTTPAPI, httpAPIWords()
	switch f.key {
	case "httpApi":
	case "http":
		payload, known = registry.PayloadHTTP, httpWords()
	default:
		r.eventKind(f)
		return registry.Route{}, false
	}
	method, where, ok := r.methodAndPath(f, known)
	if !ok {
		return registry.Route{}, false
	}
	return registry.Route{Pattern: pattern(method, where), Payload: payload}, true
}

// methodAndPath reads 'GET /users/{id}', '*', or a mapping with method and path.
func (r *reader) methodAndPath(f field, known words) (method, where string, ok bool) {
	if isNull(f.value) {
		r.eventKind(f)
		return "", "", false
	}
	if f.value.Kind != yaml.MappingNode {
		text, ok := r.text(f)
		parts := strings.Fields(text)
		switch {
		case !ok:
			return "", "", false
		case len(parts) == 1 && parts[0] == "*":
			return "*", "*", true
		case len(parts) != 2:
			r.faultAt(f.value, f.path, "%q is no method and path, as in 'GET /users/{id}' or '*'", clip(text))
			return "", "", false
		}
		return parts[0], parts[1], true
	}
	before := len(r.faults)
	for _, sub := range r.mapping(f.path, f.value) {
		switch sub.key {
		case "method":
			method, _ = r.text(sub)
		case "path":
			where, _ = r.text(sub)
		default:
			r.other(sub, known)
		}
	}
	if len(r.faults) > before {
		return "", "", false
	}
	if where == "" || (method == "" && where != "*") {
		r.faultAt(f.at, f.path, "needs both method and path")
		return "", "", false
	}
	return method, where, true
}

// pattern writes serverless's method and path as a pattern of ours: {proxy+} is {proxy...}, any method is none.
func pattern(method, where string) string {
	if where == "*" {
		where = "/{proxy...}"
	}
	if !strings.HasPrefix(where, "/") {
		where = "/" + where
	}
	where = strings.ReplaceAll(where, "+}", "...}")
	if method == "*" || method == "" || strings.EqualFold(method, "any") {
		return where
	}
	return strings.ToUpper(method) + " " + where
}

// claim checks a route's pattern, alone and against those of the manifest's other functions.
func (r *reader) claim(f field, route registry.Route, claims *claims) bool {
	p, err := registry.ParsePattern(route.Pattern)
	if err != nil {
		r.faultAt(f.value, f.path, "%v", err)
		return false
	}
	for i, other := range claims.patterns {
		if p.Conflicts(other) {
			r.faultAt(f.value, f.path, "%s ties with %s of %s", p, other, claims.owners[i])
			return false
		}
	}
	claims.patterns = append(claims.patterns, p)
	claims.owners = append(claims.owners, f.path)
	return true
}
