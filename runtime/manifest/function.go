package manifest

import (
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/sett-run/sett/runtime/registry"
)

// settings are the keys that the manifest, provider and a function share. Zero means not given.
type settings struct {
	memoryMB  int
	timeoutMS int
	env       map[string]string
	egress    []string
	cors      *registry.Cors // of httpApi routes
}

// defaults reads what holds for all functions: provider, and egress at the top.
func (r *reader) defaults(sections section) settings {
	var s settings
	if f, ok := sections.find("provider"); ok {
		for _, sub := range r.keys(f, providerWords()) {
			if sub.key == "httpApi" {
				s.cors = r.providerCors(sub)
			}
			r.shared(sub, &s)
		}
	}
	if f, ok := sections.find("egress"); ok {
		s.egress = r.egress(f)
	}
	return s
}

// shared reads one key that provider and functions have in common, and reports whether it is one.
func (r *reader) shared(f field, s *settings) bool {
	switch f.key {
	case "memorySize":
		s.memoryMB = r.number(f, 1, registry.MaxMemoryMB, "megabytes")
	case "timeout":
		s.timeoutMS = r.timeout(f)
	case "environment":
		s.env = r.environment(f)
	default:
		return false
	}
	return true
}

// functions reads every entry.
func (r *reader) functions(at field, defaults settings) []Function {
	before := len(r.faults)
	entries := r.mapping(at)
	if len(entries) == 0 && len(r.faults) == before {
		r.faultAt(at.value, at.path, "empty: a manifest needs at least one function")
	}
	if len(entries) > MaxFunctions {
		r.faultAt(at.value, at.path, "more than %d functions", MaxFunctions)
		return nil
	}
	functions := make([]Function, 0, len(entries))
	claims := &claims{}
	for _, f := range entries {
		functions = append(functions, r.function(f, defaults, claims))
	}
	return functions
}

// function reads one entry.
func (r *reader) function(f field, own settings, claims *claims) Function {
	fn := Function{Name: f.key}
	if err := registry.CheckName("function", f.key); err != nil {
		r.faultAt(f.at, f.path, "%v", err)
	}
	before := len(r.faults)
	inherited := own
	own.env = nil
	s, async := &fn.Settings, asyncReader{reader: r}
	for _, sub := range r.keys(f, functionWords()) {
		if r.shared(sub, &own) || async.read(sub) {
			continue
		}
		switch sub.key {
		case "handler":
			fn.Module, s.Handler = r.handler(sub)
		case "reservedConcurrency":
			s.Reserved = r.number(sub, 1, registry.MaxReserved, "invocations")
		case "provisionedConcurrency":
			s.Provisioned = r.number(sub, 0, registry.MaxReserved, "instances")
		case "isolation":
			s.Isolation = r.isolation(sub)
		case "effects":
			s.Effects = r.effects(sub)
		case "streaming":
			s.Streaming = r.yes(sub)
		case "events":
			s.Routes, s.Triggers = r.events(sub, inherited.cors, claims)
		case "egress":
			own.egress = append(slices.Clone(own.egress), r.egress(sub)...)
		}
	}
	if fn.Module == "" && len(r.faults) == before {
		r.faultAt(f.at, f.path, "handler is missing: it names the module, as in handlers/%s", clip(f.key))
	}
	if s.Handler == "" { // a module's HTTP handlers and a command get the request itself
		for i := range s.Routes {
			s.Routes[i].Payload = registry.PayloadRaw
		}
	}
	s.MemoryMB, s.TimeoutMS, s.Egress = own.memoryMB, own.timeoutMS, own.egress
	s.Env, s.Async = combine(inherited.env, own.env), async.result()
	r.check(f, fn, len(r.faults) == before)
	return fn
}

// check adds what the registry would refuse, so that nothing is uploaded in vain.
func (r *reader) check(f field, fn Function, clean bool) {
	if !clean {
		return // the place of each fault is known already, the registry would only repeat it
	}
	err := fn.Settings.Complete().Validate()
	if err == nil {
		return
	}
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) {
		r.faultAt(f.at, f.path, "%v", err)
		return
	}
	for _, e := range many.Unwrap() {
		r.faultAt(f.at, f.path, "%v", e)
	}
}

// combine answers a function's environment: provider's, overridden by its own.
func combine(inherited, own map[string]string) map[string]string {
	if len(inherited)+len(own) == 0 {
		return nil
	}
	all := make(map[string]string, len(inherited)+len(own))
	for k, v := range inherited {
		all[k] = v
	}
	for k, v := range own {
		all[k] = v
	}
	return all
}

// handler splits "handlers/users.get" into the module's path and the Handle's name. The Handle is what follows
// the last dot of the last element; "users.wasm" and "users.go" name a file.
func (r *reader) handler(f field) (module, handle string) {
	text, ok := r.text(f)
	if !ok {
		return "", ""
	}
	dir, last := path.Split(text)
	switch dot := strings.LastIndexByte(last, '.'); {
	case strings.HasSuffix(last, ".wasm"):
	case strings.HasSuffix(last, ".go"):
		last = strings.TrimSuffix(last, ".go")
	case dot >= 0:
		last, handle = last[:dot], last[dot+1:]
		if handle == "" {
			r.faultAt(f.value, f.path, "%q ends in a dot: name the handler after it, or leave the dot out", clip(text))
		}
	}
	module = path.Clean(dir + last)
	switch {
	case last == "" || last == "." || last == ".wasm":
		r.faultAt(f.value, f.path, "%q names no module; write it as in handlers/users.get", clip(text))
	case strings.ContainsAny(text, "\\\x00\n\r:") || path.IsAbs(module):
		r.faultAt(f.value, f.path, "%q must be a relative path with slashes", clip(text))
	case module == ".." || strings.HasPrefix(module, "../"):
		r.faultAt(f.value, f.path, "%q leaves the manifest's folder", clip(text))
	}
	return module, handle
}

// effects reads when an invocation's writes and messages are to happen.
func (r *reader) effects(f field) registry.Effects {
	s, ok := r.text(f)
	if ok && s != string(registry.EffectsTransactional) {
		r.faultAt(f.value, f.path, "%q: it is %s, or left out", clip(s), registry.EffectsTransactional)
	}
	return registry.Effects(s)
}

// isolation reads how invocations are to be kept apart.
func (r *reader) isolation(f field) registry.Isolation {
	s, ok := r.text(f)
	if ok && s != string(registry.IsolationStrict) {
		r.faultAt(f.value, f.path, "%q: it is %s, or left out", clip(s), registry.IsolationStrict)
	}
	return registry.Isolation(s)
}

// timeout reads seconds, as serverless has them (6, 0.5), or a duration with its unit (500ms).
func (r *reader) timeout(f field) int {
	text, ok := r.text(f)
	if !ok {
		return 0
	}
	d, err := duration(text)
	if err != nil || d < time.Millisecond || d > registry.MaxTimeout {
		r.faultAt(f.value, f.path, "%q is no timeout from 1ms to %s: write seconds (6) or a duration (500ms)",
			clip(text), registry.MaxTimeout)
		return 0
	}
	return int(d.Milliseconds())
}

// environment reads names and values; numbers and true or false become the text they are written as.
func (r *reader) environment(f field) map[string]string {
	env := map[string]string{}
	for _, sub := range r.mapping(f) {
		value, ok := r.value(sub)
		if !ok {
			continue
		}
		one := registry.Settings{Env: map[string]string{sub.key: value}}
		if err := one.Validate(); err != nil {
			r.faultAt(sub.at, sub.path, "%v", err)
			continue
		}
		env[sub.key] = value
	}
	return env
}

// egress reads a list of hosts that functions may call, or one.
func (r *reader) egress(f field) []string {
	var hosts []string
	elements := []field{f}
	if f.value.Kind != yaml.ScalarNode || isNull(f.value) {
		elements = r.list(f)
	}
	for _, e := range elements {
		host, ok := r.text(e)
		if !ok {
			continue
		}
		if err := registry.CheckEgress(host); err != nil {
			r.faultAt(e.value, e.path, "%v", err)
			continue
		}
		hosts = append(hosts, host)
	}
	return hosts
}
