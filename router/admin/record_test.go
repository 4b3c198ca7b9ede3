package admin

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// at is a node that listens at an address.
type at string

func (a at) Info() client.Node               { return client.Node{HTTP: string(a)} }
func (a at) Ready() error                    { return nil }
func (a at) Serving(context.Context, uint64) {}

func TestURLOfADeployment(t *testing.T) {
	routes := func(patterns ...string) (out []registry.Route) {
		for _, p := range patterns {
			out = append(out, registry.Route{Pattern: p})
		}
		return out
	}
	for _, test := range []struct {
		listens, asked, app string
		routes              []registry.Route
		want                string
	}{
		{"127.0.0.1:8080", "localhost:8081", "default", nil, "http://127.0.0.1:8080/f"},
		{"127.0.0.1:8080", "localhost:8081", "shop", nil, "http://127.0.0.1:8080/shop/f"},
		{"127.0.0.1:8080", "localhost:8081", "default", routes("GET /users/{id}", "POST /users"), "http://127.0.0.1:8080/users"},
		{"127.0.0.1:8080", "localhost:8081", "default", routes("/users/{id}"), "http://127.0.0.1:8080/users/{id}"},
		{"127.0.0.1:8080", "localhost:8081", "default", routes("GET api.example/"), "http://api.example:8080/"},
		{"[::]:8080", "edge.example:8081", "default", nil, "http://edge.example:8080/f"},
		{"0.0.0.0:8080", "edge.example", "default", nil, "http://127.0.0.1:8080/f"},
		{":8080", "[::1]:8081", "default", nil, "http://[::1]:8080/f"},
		{"", "localhost:8081", "default", nil, ""},
	} {
		a := &Admin{config: Config{Node: at(test.listens)}}
		r := httptest.NewRequest("GET", "/v1/functions", nil)
		r.Host = test.asked
		v := &registry.Version{App: test.app, Function: "f", Settings: registry.Settings{Routes: test.routes}}
		if got := firstURL(a.urlBase(r), patternsOf(v)); got != test.want {
			t.Errorf("node at %q asked by %q, routes %v: %q, want %q", test.listens, test.asked, test.routes, got, test.want)
		}
	}
}

func TestFunctionWithoutALiveVersionIsShown(t *testing.T) {
	for _, aliases := range []map[string][]registry.Weight{nil, {registry.LiveAlias: {{Version: 7, Weight: 1}}}} {
		got := describe(&registry.Function{App: "default", Name: "f", Latest: 3, Aliases: aliases}, "http://127.0.0.1:8080")
		if got.Version != 0 || got.Latest != 3 || got.Routes == nil || got.ETag == "" {
			t.Errorf("describe = %+v", got)
		}
	}
}

func TestETagChangesWithEveryChange(t *testing.T) {
	f := registry.Function{App: "default", Name: "f", Latest: 1, Versions: []registry.Version{{Number: 1}},
		Aliases: map[string][]registry.Weight{"live": {{Version: 1, Weight: 100}}, "a": {{Version: 1, Weight: 1}}}}
	tags := map[string]bool{etagOf(&f): true}
	f.Aliases["a"][0].Weight = 2
	tags[etagOf(&f)] = true
	f.Versions[0].Module = registry.Module{Description: &abi.Description{ABI: 1}}
	tags[etagOf(&f)] = true
	f.Latest = 2
	tags[etagOf(&f)] = true
	if len(tags) != 4 {
		t.Errorf("four states have %d ETags", len(tags))
	}
}
