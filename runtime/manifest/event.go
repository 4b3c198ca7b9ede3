package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/runtime/registry"
)

// claims are the patterns of one manifest, to find those that tie before anything is uploaded.
type claims struct {
	patterns []registry.Pattern
	owners   []string // path of the event that claims the pattern
}

// events reads the list of what triggers a function. Cors is what httpApi routes have.
func (r *reader) events(f field, cors *registry.Cors, claims *claims) (routes []registry.Route, triggers []registry.Trigger) {
	for _, item := range r.list(f) {
		if item.value.Kind == yaml.ScalarNode {
			if text, ok := r.text(item); ok {
				r.eventKind(field{text, join(f.path, text), item.at, item.value})
			}
			continue
		}
		for _, sub := range r.mapping(item) {
			switch sub.key {
			case "http", "httpApi":
				route, ok := r.route(sub)
				if sub.key == "httpApi" {
					route.Cors = cors
				}
				if ok && r.claim(sub, route, claims) {
					routes = append(routes, route)
				}
			case "schedule", "sqs", "sns", "stream", "s3":
				if trigger, ok := r.trigger(sub); ok {
					triggers = append(triggers, trigger)
				}
			case "eventBridge":
				triggers = append(triggers, r.eventBridge(sub)...)
			default:
				r.eventKind(sub)
			}
		}
	}
	if len(routes) > registry.MaxRoutes {
		r.faultAt(f.at, f.path, "more than %d routes", registry.MaxRoutes)
	}
	return routes, triggers
}

// eventKind reports an event that is only a word, or of a kind we do not offer.
func (r *reader) eventKind(f field) {
	example := map[string]string{"http": "'GET /users/{id}'", "httpApi": "'GET /users/{id}'", "schedule": "rate(1 hour)",
		"sqs": "orders", "sns": "orders", "eventBridge": "{pattern: {source: [shop]}}", "stream": "users/", "s3": "pictures"}[f.key]
	need := map[string]string{"http": "a method and a path", "httpApi": "a method and a path", "schedule": "the times it fires at",
		"sqs": "a queue", "sns": "a topic", "eventBridge": "a pattern or a schedule", "stream": "the keys whose changes are wanted",
		"s3": "a bucket"}[f.key]
	ours := map[string]string{"queue": "sqs", "topic": "sns", "cron": "schedule", "rate": "schedule",
		"event": "eventBridge", "bus": "eventBridge", "change": "stream", "upload": "s3", "bucket": "s3"}[f.key]
	switch {
	case example != "":
		r.faultAt(f.at, f.path, "needs %s, as in %s: %s", need, f.key, example)
	case slices.Contains(eventWords().refused, f.key):
		r.faultAt(f.at, f.path, "%s events are not offered yet", f.key)
	case ours != "":
		r.faultAt(f.at, f.path, "unknown event%s", didYouMean(ours))
	default:
		r.unknown(f, "event", eventWords())
	}
}

// route reads an http or httpApi event.
func (r *reader) route(f field) (registry.Route, bool) {
	route := registry.Route{Payload: registry.PayloadHTTPAPI}
	known := httpAPIWords()
	if f.key == "http" {
		route.Payload, known = registry.PayloadHTTP, httpWords()
	}
	before := len(r.faults)
	method, where := "", ""
	switch {
	case isNull(f.value):
		r.eventKind(f)
	case f.value.Kind != yaml.MappingNode:
		method, where = r.methodAndPath(f)
	default:
		for _, sub := range r.keys(f, known) {
			switch sub.key {
			case "method":
				method, _ = r.text(sub)
			case "path":
				where, _ = r.text(sub)
			case "async":
				route.Async = r.yes(sub)
			case "cors":
				route.Cors = r.cors(sub)
			case "request":
				route.Schemas = r.request(sub)
			}
		}
		if len(r.faults) == before && (where == "" || method == "" && where != "*") {
			r.faultAt(f.at, f.path, "needs both method and path")
		}
	}
	route.Pattern = pattern(method, where)
	return route, len(r.faults) == before
}

// methodAndPath reads 'GET /users/{id}' or '*'.
func (r *reader) methodAndPath(f field) (method, where string) {
	text, ok := r.text(f)
	parts := strings.Fields(text)
	switch {
	case !ok:
	case len(parts) == 1 && parts[0] == "*":
		return "*", "*"
	case len(parts) != 2:
		r.faultAt(f.value, f.path, "%q is no method and path, as in 'GET /users/{id}' or '*'", clip(text))
	default:
		return parts[0], parts[1]
	}
	return "", ""
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
