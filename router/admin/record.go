package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/client"
)

// describe shows a function as it serves now. Base is the data plane's address as a URL.
func describe(f *registry.Function, base string) client.Function {
	out := client.Function{App: f.App, Name: f.Name, Latest: f.Latest, Aliases: f.Aliases, Routes: []string{}, ETag: etagOf(f)}
	v := liveVersion(f)
	if v == nil {
		return out
	}
	patterns := patternsOf(v)
	out.Version, out.Created, out.Settings = v.Number, v.Created, v.Settings
	out.Digest, out.SizeBytes, out.Kind = v.Module.Digest, v.Module.SizeBytes, v.Module.Kind
	out.Isolation, out.IsolationReason = isolationOf(v), v.Module.IsolationReason
	out.Interfaces = v.Module.Interfaces
	out.Routes, out.URL = patterns, firstURL(base, patterns)
	return out
}

// isolationOf answers how v's invocations are kept apart; a record made before that was noted gets a reset.
func isolationOf(v *registry.Version) registry.Isolation {
	if v.Module.Isolation == "" {
		return registry.IsolationReset
	}
	return v.Module.Isolation
}

// liveVersion answers the heaviest version of the alias live; nil: there is none.
func liveVersion(f *registry.Function) *registry.Version {
	if live := f.Live(); len(live) > 0 {
		return live[0]
	}
	return nil
}

func aliasesOf(f *registry.Function, version int) []string {
	names := []string{}
	for name, weights := range f.Aliases {
		if slices.ContainsFunc(weights, func(w registry.Weight) bool { return w.Version == version }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// etagOf is a digest of the record: every change of the function changes it.
func etagOf(f *registry.Function) string {
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // the record was read from JSON
	}
	sum := sha256.Sum256(text)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// patternsOf lists where a version answers; one for events alone nowhere.
func patternsOf(v *registry.Version) []string {
	routes := v.RoutePatterns()
	if v.OnDefaultPath() {
		at := registry.DefaultPath(v.App, v.Function)
		return []string{at, at + "/{path...}"}
	}
	patterns := make([]string, 0, len(routes))
	for _, r := range routes {
		patterns = append(patterns, r.Pattern)
	}
	return patterns
}

// firstURL is where a first request may go: the first pattern without parameters, else the first one as it is.
func firstURL(base string, patterns []string) string {
	if len(patterns) == 0 || base == "" {
		return ""
	}
	best := patterns[0]
	for _, p := range patterns {
		if !strings.Contains(p, "{") {
			best = p
			break
		}
	}
	if _, after, ok := strings.Cut(best, " "); ok {
		best = strings.TrimLeft(after, " ")
	}
	host, path, _ := strings.Cut(best, "/")
	if host != "" {
		scheme, address, _ := strings.Cut(base, "://")
		if _, port, err := net.SplitHostPort(address); err == nil {
			host = net.JoinHostPort(host, port)
		}
		base = scheme + "://" + host
	}
	return base + "/" + path
}

// urlBase is the data plane's address as a URL. Where it listens on every address, the one by which the caller
// came is named.
func (a *Admin) urlBase(r *http.Request) string {
	address := a.config.Node.Info().HTTP
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if by, _, err := net.SplitHostPort(r.Host); err == nil && by != "" {
			host = by
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// functions answers an app's functions by name; with an empty app those of all, by app and name.
func (a *Admin) functions(app string) []*registry.Function {
	var list []*registry.Function
	for _, f := range a.config.Registry.Snapshot().Functions() {
		if app == "" || f.App == app {
			list = append(list, f)
		}
	}
	return list
}

// function answers the function in the path of a request.
func (a *Admin) function(r *http.Request) (*registry.Function, error) {
	app, name := r.PathValue("app"), r.PathValue("function")
	f := a.config.Registry.Snapshot().Function(app, name)
	if f == nil {
		return nil, registry.NoFunction(app, name)
	}
	return f, nil
}
