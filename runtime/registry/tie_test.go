package registry

import (
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

func TestTies(t *testing.T) {
	r := openRegistry(t, newMemory())
	mustDeploy(t, r, "default", changeOf("web", 1, "GET /a/{x}", "/static/{p...}"))
	mustDeploy(t, r, "default", changeOf("web", 2, "/b"))
	mustDeploy(t, r, "shop", changeOf("cart", 3, "GET /a/{id}")) // version 1 of web is not live
	mustDeploy(t, r, "default", changeOf("plain", 4))
	mustDeploy(t, r, "default", changeOf("pair", 6, "/pair", "PUT /pair/{x}"))
	mustDeploy(t, r, "default", changeOf("pair", 7, "/pair", "PUT /pair/{x}"))
	if _, err := r.SetAlias(background, "default", "pair", "live", []Weight{{1, 1}, {2, 1}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		do   func() error
		want []string // none: it succeeds
	}{
		{"across apps", deploying(r, "default", changeOf("other", 5, "GET /{y}/b")),
			[]string{`route "GET /{y}/b"`, `"GET /a/{id}"`, "function other", "function shop/cart"}},
		{"same pattern", deploying(r, "default", changeOf("other", 5, "/b")), []string{`function other: route "/b" ties with "/b" of function web`}},
		{"rollback", func() error { _, err := r.Rollback(background, "default", "web", 1); return err },
			[]string{`function web: route "GET /a/{x}" ties with "GET /a/{id}" of function shop/cart`}},
		{"alias", func() error {
			_, err := r.SetAlias(background, "default", "web", "live", []Weight{{2, 99}, {1, 1}})
			return err
		}, []string{"function shop/cart"}},
		{"with versions that share live", deploying(r, "default", changeOf("other", 5, "/pair")), []string{`function other: route "/pair" ties with "/pair" of function pair`}},
		{"otherwise, with versions that share live", deploying(r, "default", changeOf("other", 5, "PUT /{y}/b")), []string{`"PUT /pair/{x}" of function pair; make one more specific`}},
		{"within one deployment", deploying(r, "default", changeOf("p", 5, "GET /p"), changeOf("q", 5, "GET /p/{x...}")), nil},
		{"two of one deployment", deploying(r, "default", changeOf("r", 5, "POST /r/{x}"), changeOf("s", 5, "POST /{y}/s")), []string{"function r", "function s"}},
		{"explicit over default", deploying(r, "default", changeOf("other", 5, "/plain")), nil},
		{"explicit equal to default", deploying(r, "default", changeOf("another", 5, "/plain/{x...}")), nil},
		{"alias that is not live", func() error {
			_, err := r.SetAlias(background, "default", "web", "old", []Weight{{1, 1}})
			return err
		}, nil},
		{"swap in one deployment", deploying(r, "default", changeOf("p", 6, "/swapped"), changeOf("web", 6, "GET /p")), nil},
	} {
		before := r.Snapshot()
		err := c.do()
		if len(c.want) == 0 {
			if err != nil {
				t.Errorf("%s: %v, want none", c.name, err)
			}
			continue
		}
		if abi.CodeOf(err) != abi.Conflict || r.Snapshot() != before {
			t.Errorf("%s: %v (%s), changed %v, want %s", c.name, err, abi.CodeOf(err), r.Snapshot() != before, abi.Conflict)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v, want %q in it", c.name, err, part)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: one tie told twice: %v", c.name, err)
		}
	}
}

func deploying(r *Registry, app string, changes ...Change) func() error {
	return func() error { _, err := r.Deploy(background, app, changes); return err }
}

func TestVersionsThatShareLive(t *testing.T) {
	r := openRegistry(t, newMemory())
	mustDeploy(t, r, "default", changeOf("a", 1, "/a/{x}"))
	mustDeploy(t, r, "default", changeOf("a", 2, "/a/{y}", "/new"))
	mustDeploy(t, r, "default", changeOf("a", 3, "/{z}/b"))
	split := func(v, w int) error {
		_, err := r.SetAlias(background, "default", "a", "live", []Weight{{v, 50}, {w, 50}})
		return err
	}
	if err := split(1, 2); err != nil {
		t.Errorf("versions with the same route: %v", err)
	}
	if err := split(1, 3); abi.CodeOf(err) != abi.Conflict || !strings.Contains(err.Error(), "they cannot be live together") {
		t.Errorf("versions that tie: %v", err)
	}
}
