package router

import (
	"context"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// invoker is a function in Go.
type invoker func(ctx context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error)

func (f invoker) Invoke(ctx context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error) {
	return f(ctx, v, e)
}

// answer is a function that always answers the same text.
func answer(body string) invoker {
	b := []byte(body)
	return func(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
		return &abi.Result{Start: abi.Warm, Reply: abi.Reply{
			Headers: []abi.Field{{Name: "Content-Type", Value: "text/plain"}}, Body: b,
		}}, nil
	}
}

// snapshot is functions as a registry's Snapshot has them.
type snapshot []*registry.Function

func (s snapshot) Functions() []*registry.Function { return s }

// newRouter is a router that serves these functions.
func newRouter(t testing.TB, c Config, functions ...*registry.Function) *Router {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err = r.Swap(snapshot(functions)); err != nil {
		t.Fatal(err)
	}
	return r
}

// live is a function of app default whose versions, one for each of the settings, share the alias live equally.
func live(name string, settings ...registry.Settings) *registry.Function {
	f := &registry.Function{App: registry.DefaultApp, Name: name, Latest: len(settings), Aliases: map[string][]registry.Weight{}}
	for i, s := range settings {
		f.Versions = append(f.Versions, registry.Version{
			App: f.App, Function: name, Number: i + 1, Created: time.Unix(int64(i), 0), Settings: s,
			Module: registry.Module{Digest: name, Kind: registry.KindSett},
		})
		f.Aliases[registry.LiveAlias] = append(f.Aliases[registry.LiveAlias], registry.Weight{Version: i + 1, Weight: 1})
	}
	return f
}

// routes are settings with these patterns.
func routes(patterns ...string) registry.Settings {
	var s registry.Settings
	for _, p := range patterns {
		s.Routes = append(s.Routes, registry.Route{Pattern: p})
	}
	return s
}
