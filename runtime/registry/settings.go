package registry

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sett-run/sett/sdk/abi"
)

// Limits of a function's settings.
const (
	MaxReserved     = 10_000 // concurrent invocations a function may reserve; more needs more memory than a node has
	MaxHandlerBytes = 255    // the name of a Handle
)

// Complete answers s with its defaults filled in. Empty maps and lists become nil, and the answer shares no memory
// with s, so that equal settings compare equal and a version cannot change.
func (s Settings) Complete() Settings {
	if s.MemoryMB == 0 {
		s.MemoryMB = DefaultMemoryMB
	}
	if s.TimeoutMS == 0 {
		s.TimeoutMS = int(DefaultTimeout / time.Millisecond)
	}
	if s.Env = maps.Clone(s.Env); len(s.Env) == 0 {
		s.Env = nil
	}
	routes := s.Routes
	s.Routes = nil
	for _, r := range routes {
		s.Routes = append(s.Routes, r.complete())
	}
	triggers := s.Triggers
	s.Triggers = nil
	for _, t := range triggers {
		s.Triggers = append(s.Triggers, t.complete())
	}
	s.Async = s.Async.complete()
	if s.Egress = slices.Compact(slices.Sorted(slices.Values(s.Egress))); len(s.Egress) == 0 {
		s.Egress = nil
	}
	return s
}

// Timeout is the wall time an invocation may take.
func (s Settings) Timeout() time.Duration {
	if s.TimeoutMS == 0 {
		return DefaultTimeout
	}
	return time.Duration(s.TimeoutMS) * time.Millisecond
}

// Concurrency is how many invocations may run at once: Reserved, else DefaultConcurrency.
func (s Settings) Concurrency() int {
	if s.Reserved == 0 {
		return DefaultConcurrency
	}
	return s.Reserved
}

// Equal reports whether s and t mean the same.
func (s Settings) Equal(t Settings) bool { return reflect.DeepEqual(s.Complete(), t.Complete()) }

// Validate names every fault of s at once, each coded abi.InvalidInput. Zero values stand for their defaults.
func (s Settings) Validate() error {
	s = s.Complete()
	var faults faults
	maxMS := int(MaxTimeout / time.Millisecond)
	if s.MemoryMB < 1 || s.MemoryMB > MaxMemoryMB {
		faults.add("memory: %d MB; it is between 1 and %d MB", s.MemoryMB, MaxMemoryMB)
	}
	if s.TimeoutMS < 1 || s.TimeoutMS > maxMS {
		faults.add("timeout: %d ms; it is between 1 ms and %v", s.TimeoutMS, MaxTimeout)
	}
	if s.Reserved < 0 || s.Reserved > MaxReserved {
		faults.add("reserved: %d; it is between 0 (%d) and %d", s.Reserved, DefaultConcurrency, MaxReserved)
	} else if s.Provisioned < 0 || s.Provisioned > s.Concurrency() {
		faults.add("provisioned: %d; it is between 0 and the function's concurrency, %d", s.Provisioned, s.Concurrency())
	}
	if s.Isolation != "" && s.Isolation != IsolationStrict {
		faults.add("isolation: %.40q; it is %q or left out", s.Isolation, IsolationStrict)
	}
	if s.Effects != "" && s.Effects != EffectsTransactional {
		faults.add("effects: %.40q; it is %q or left out", s.Effects, EffectsTransactional)
	}
	if s.Streaming && s.Effects == EffectsTransactional {
		faults.add("streaming: a reply is sent after the commit where effects are %s, and so is not sent in pieces", EffectsTransactional)
	}
	if len(s.Handler) > MaxHandlerBytes || !isText(s.Handler) {
		faults.add("handler: %.40q; it is at most %d bytes of text", s.Handler, MaxHandlerBytes)
	}
	faults = append(faults, s.validateEnv()...)
	faults = append(faults, s.validateRoutes()...)
	faults = append(faults, s.validateTriggers()...)
	faults = append(faults, s.validateAsync()...)
	faults = append(faults, s.validateEgress()...)
	if size := s.documentBytes(); size > MaxDocumentsBytes {
		faults.add("documents: %d bytes; at most %d are allowed, inputs, filters and schemas together", size, MaxDocumentsBytes)
	}
	return errors.Join(faults...)
}

func (s Settings) validateEnv() []error {
	var faults faults
	size := 0
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		value := s.Env[name]
		size += len(name) + len(value) + len("=\x00")
		if !isIdentifier(name) {
			faults.add("env %.80q: a name is letters, digits and _, and starts with no digit", name)
		} else if ReservedEnv(name) {
			faults.add("env %s: the name belongs to the request (CGI/1.1, HTTP_*, SETT_*)", name)
		}
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			faults.add("env %.80s: its value is not UTF-8 or holds a NUL", name)
		}
	}
	if size > MaxEnvBytes {
		faults.add("env: %d bytes; at most %d are allowed, names and values together", size, MaxEnvBytes)
	}
	return faults
}

// ReservedEnv reports whether a request sets the environment variable, so that settings may not.
// Source: RFC 3875 section 4.1; HTTPS, REMOTE_PORT and REQUEST_URI by custom.
func ReservedEnv(name string) bool {
	switch name {
	case "AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "GATEWAY_INTERFACE", "HTTPS", "PATH_INFO", "PATH_TRANSLATED",
		"QUERY_STRING", "REMOTE_ADDR", "REMOTE_HOST", "REMOTE_IDENT", "REMOTE_PORT", "REMOTE_USER", "REQUEST_METHOD",
		"REQUEST_URI", "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE":
		return true
	}
	return strings.HasPrefix(name, "HTTP_") || strings.HasPrefix(name, "SETT_")
}

func (s Settings) validateRoutes() []error {
	var faults faults
	if len(s.Routes) > MaxRoutes {
		faults.add("routes: %d; at most %d are allowed", len(s.Routes), MaxRoutes)
		return faults
	}
	for _, r := range s.Routes {
		r.validate(s.Handler, &faults)
	}
	if _, err := parseRoutes(s.Routes); err != nil {
		faults.add("%w", err)
	}
	return faults
}

// documentBytes is how much JSON of a person's the settings hold.
func (s Settings) documentBytes() (n int) {
	for _, r := range s.Routes {
		for _, schema := range r.Schemas {
			n += len(schema)
		}
	}
	for _, t := range s.Triggers {
		if t.Schedule != nil {
			n += len(t.Schedule.Input)
		}
		if t.Queue != nil {
			for _, f := range t.Queue.Filters {
				n += len(f)
			}
		}
		if t.Topic != nil {
			n += len(t.Topic.Filter)
		}
		if t.Event != nil {
			n += t.Event.documentBytes()
		}
		if t.Stream != nil {
			for _, f := range t.Stream.Filters {
				n += len(f)
			}
		}
	}
	return n
}

// parseRoutes parses all patterns and refuses those that tie with one another.
func parseRoutes(routes []Route) ([]Pattern, error) {
	var faults []error
	var patterns []Pattern
	for _, r := range routes {
		p, err := ParsePattern(r.Pattern)
		if err != nil {
			faults = append(faults, fmt.Errorf("route: %w", err))
			continue
		}
		for _, q := range patterns {
			if p.Conflicts(q) {
				faults = append(faults, fmt.Errorf("route: patterns %q and %q tie; make one more specific", q, p))
			}
		}
		patterns = append(patterns, p)
	}
	return patterns, errors.Join(faults...)
}

// RoutePatterns answers the routes that v asks for: those of its settings, else those its module describes unless
// a Handle is named. None means that it answers at its DefaultPath and below.
func (v *Version) RoutePatterns() []Route {
	if len(v.Settings.Routes) > 0 || v.Settings.Handler != "" || v.Module.Description == nil {
		return v.Settings.Routes
	}
	routes := make([]Route, 0, len(v.Module.Description.Patterns))
	for _, p := range v.Module.Description.Patterns {
		routes = append(routes, Route{Pattern: p})
	}
	return routes
}

// OnDefaultPath says whether a version answers at DefaultPath: it has no routes, and nothing else invokes it. What is there
// for events alone nobody shall forge one for.
func (v *Version) OnDefaultPath() bool {
	return len(v.RoutePatterns()) == 0 && len(v.Settings.Triggers) == 0
}

// DefaultPath is where a function without routes or triggers answers, it and all below: "/NAME" in app default, else
// "/APP/NAME".
func DefaultPath(app, name string) string {
	if app == DefaultApp {
		return "/" + name
	}
	return "/" + app + "/" + name
}

// CheckName refuses a name that is not a DNS label: 1 to MaxNameBytes of a-z, 0-9 and -, not starting or ending
// with -. Kind ("app", "function", "alias") leads the error, coded abi.InvalidInput. A function's may also have A-Z
// and _, since people's manifests do: getUsers. An alias must not read as a version, such as 4 or v4.
func CheckName(kind, name string) error {
	ok := name != "" && len(name) <= MaxNameBytes && name[0] != '-' && name[len(name)-1] != '-'
	letters := "a-z, 0-9"
	if kind == "function" {
		letters = "a-z, A-Z, 0-9, _"
	}
	for _, c := range []byte(name) {
		plain := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-'
		ok = ok && (plain || kind == "function" && (c >= 'A' && c <= 'Z' || c == '_'))
	}
	if !ok {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf(
			"%s name %s: a name is 1 to %d of %s and -, and neither starts nor ends with -",
			kind, quoteShort(name), MaxNameBytes, letters))
	}
	if _, isVersion := ParseVersion(name); kind == "alias" && isVersion {
		return abi.WithCode(abi.InvalidInput, fmt.Errorf("alias name %q: reads as a version; choose another", name))
	}
	return nil
}

// quoteShort quotes a name of any length and content so that it fits a line.
func quoteShort(s string) string {
	if len(s) > MaxNameBytes+1 {
		return fmt.Sprintf("%.40q... (%d bytes)", s, len(s))
	}
	return fmt.Sprintf("%q", s)
}

// shortName is a function's or app's name as it is, and quoteShort of what is none.
func shortName(s string) string {
	if CheckName("function", s) == nil {
		return s
	}
	return quoteShort(s)
}

// ParseVersion reads a version's number written as 4 or v4.
func ParseVersion(s string) (number int, ok bool) {
	digits := strings.TrimPrefix(s, "v")
	if digits == "" || len(digits) > 9 {
		return 0, false
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		number = number*10 + int(c-'0')
	}
	return number, true
}

func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
