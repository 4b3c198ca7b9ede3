package registry

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

func TestValidateSettings(t *testing.T) {
	routes := func(ps ...string) (out []Route) {
		for _, p := range ps {
			out = append(out, Route{Pattern: p})
		}
		return out
	}
	many := func(n int) (ps []string) {
		for i := range n {
			ps = append(ps, "/"+strings.Repeat("a", i+1))
		}
		return ps
	}
	for _, c := range []struct {
		name string
		s    Settings
		want []string // parts of the error, none: valid
	}{
		{"zero", Settings{}, nil},
		{"largest", Settings{MemoryMB: MaxMemoryMB, TimeoutMS: 900_000, Reserved: MaxReserved, Provisioned: MaxReserved}, nil},
		{"smallest", Settings{MemoryMB: 1, TimeoutMS: 1, Reserved: 1, Provisioned: 1}, nil},
		{"memory below", Settings{MemoryMB: -1}, []string{"memory: -1 MB; it is between 1 and 4096 MB"}},
		{"memory above", Settings{MemoryMB: MaxMemoryMB + 1}, []string{"memory: 4097"}},
		{"timeout below", Settings{TimeoutMS: -1}, []string{"timeout: -1 ms"}},
		{"timeout above", Settings{TimeoutMS: 900_001}, []string{"timeout: 900001 ms; it is between 1 ms and 15m0s"}},
		{"reserved above", Settings{Reserved: MaxReserved + 1}, []string{"reserved: 10001"}},
		{"reserved below", Settings{Reserved: -1}, []string{"reserved: -1"}},
		{"provisioned above default", Settings{Provisioned: DefaultConcurrency + 1}, []string{"provisioned: 101"}},
		{"provisioned above reserved", Settings{Reserved: 2, Provisioned: 3}, []string{"concurrency, 2"}},
		{"provisioned below", Settings{Provisioned: -1}, []string{"provisioned: -1"}},
		{"handler long", Settings{Handler: strings.Repeat("h", MaxHandlerBytes+1)}, []string{"handler: "}},
		{"handler control", Settings{Handler: "a\nb"}, []string{"handler: "}},
		{"env", Settings{Env: map[string]string{"A_1": "x=y\n", "_b": ""}}, nil},
		{"env empty name", Settings{Env: map[string]string{"": "x"}}, []string{`env ""`}},
		{"env name", Settings{Env: map[string]string{"A=B": "x", "1A": "x"}}, []string{`env "A=B"`, `env "1A"`}},
		{"env value", Settings{Env: map[string]string{"A": "x\x00y", "B": "\xff"}}, []string{"env A: ", "env B: "}},
		{"env reserved", Settings{Env: map[string]string{"PATH_INFO": "", "HTTP_PROXY": "", "SETT_TRIGGER": "", "PATH": "/"}},
			[]string{"env PATH_INFO: ", "env HTTP_PROXY: ", "env SETT_TRIGGER: "}},
		{"env full", Settings{Env: map[string]string{"A": strings.Repeat("x", MaxEnvBytes-3)}}, nil},
		{"env too large", Settings{Env: map[string]string{"A": strings.Repeat("x", MaxEnvBytes-2)}}, []string{"env: 32769 bytes"}},
		{"routes", Settings{Routes: routes("/a", "/{x}")}, nil},
		{"routes full", Settings{Routes: routes(many(MaxRoutes)...)}, nil},
		{"routes too many", Settings{Routes: routes(many(MaxRoutes + 1)...)}, []string{"routes: 129; at most 128"}},
		{"route invalid", Settings{Routes: routes("a", "/{")}, []string{`route: pattern "a"`, `route: pattern "/{"`}},
		{"route tie", Settings{Routes: routes("/a/{x}", "/{y}/b")}, []string{`patterns "/a/{x}" and "/{y}/b" tie`}},
		{"payload", Settings{Handler: "h", Routes: []Route{{Pattern: "/a", Payload: PayloadHTTP}, {Pattern: "/b", Payload: PayloadHTTPAPI}}}, nil},
		{"payload unknown", Settings{Handler: "h", Routes: []Route{{Pattern: "/a", Payload: "soap"}}}, []string{`unknown payload "soap"`}},
		{"payload without handler", Settings{Routes: []Route{{Pattern: "/a", Payload: PayloadHTTP}}}, []string{"needs a handler"}},
		{"all at once", Settings{MemoryMB: -1, TimeoutMS: -1, Reserved: -1, Env: map[string]string{"": ""}, Routes: routes("x")},
			[]string{"memory", "timeout", "reserved", "env", "route"}},
	} {
		err := c.s.Validate()
		if len(c.want) == 0 {
			if err != nil {
				t.Errorf("%s: Validate() = %v, want none", c.name, err)
			}
			continue
		}
		if err == nil || abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("%s: Validate() = %v (%s), want %s", c.name, err, abi.CodeOf(err), abi.InvalidInput)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: Validate() = %v, want %q in it", c.name, err, part)
			}
		}
		if got := len(strings.Split(err.Error(), "\n")); got != len(c.want) {
			t.Errorf("%s: Validate() names %d faults, want %d: %v", c.name, got, len(c.want), err)
		}
	}
}

func TestComplete(t *testing.T) {
	env := map[string]string{"A": "1"}
	routes := []Route{{Pattern: "/a"}}
	s := Settings{Env: env, Routes: routes}.Complete()
	env["A"], routes[0].Pattern = "2", "/b"
	if s.MemoryMB != 128 || s.TimeoutMS != 30_000 || s.Env["A"] != "1" || s.Routes[0].Pattern != "/a" {
		t.Errorf("Complete() = %+v: defaults missing or memory shared", s)
	}
	empty := Settings{Env: map[string]string{}, Routes: []Route{}}
	if c := empty.Complete(); c.Env != nil || c.Routes != nil {
		t.Errorf("Complete() = %+v, want nil for empty", c)
	}
	if !empty.Equal(Settings{MemoryMB: 128, TimeoutMS: 30_000}) || empty.Equal(Settings{MemoryMB: 127}) {
		t.Error("Equal does not compare completed settings")
	}
	if s.Timeout() != 30*time.Second || s.Concurrency() != 100 || (Settings{Reserved: 3}).Concurrency() != 3 {
		t.Errorf("Timeout() = %v, Concurrency() = %v", s.Timeout(), s.Concurrency())
	}
}

func TestCheckName(t *testing.T) {
	for _, c := range []struct {
		kind, name string
		ok         bool
	}{
		{"function", "a", true}, {"function", "hello-2", true}, {"function", "4", true}, {"function", "v4", true},
		{"app", strings.Repeat("a", 63), true}, {"app", strings.Repeat("a", 64), false}, {"app", strings.Repeat("a", 300), false},
		{"function", "", false}, {"function", "-a", false}, {"function", "a-", false}, {"function", "getUsers", true}, {"function", "a_b", true}, {"app", "A", false}, {"app", "a_b", false}, {"alias", "A", false},
		{"function", "a/b", false}, {"function", "..", false}, {"function", "é", false},
		{"function", "$sett", false}, {"alias", "canary", true}, {"alias", "v4", false}, {"alias", "12", false}, {"alias", "v4a", true},
	} {
		err := CheckName(c.kind, c.name)
		if (err == nil) != c.ok || err != nil && (abi.CodeOf(err) != abi.InvalidInput || !strings.HasPrefix(err.Error(), c.kind+" name ")) {
			t.Errorf("CheckName(%q, %q) = %v, want ok %v", c.kind, c.name, err, c.ok)
		}
	}
	if err := CheckName("app", strings.Repeat("a", 300)); len(err.Error()) > 200 {
		t.Errorf("CheckName of 300 letters answers %d bytes: %v", len(err.Error()), err)
	}
}

func TestRoutePatterns(t *testing.T) {
	described := Module{Description: &abi.Description{Patterns: []string{"GET /d"}}}
	for _, c := range []struct {
		name string
		v    Version
		want []Route
	}{
		{"none", Version{}, nil},
		{"described", Version{Module: described}, []Route{{Pattern: "GET /d"}}},
		{"settings win", Version{Module: described, Settings: Settings{Routes: []Route{{Pattern: "/s"}}}}, []Route{{Pattern: "/s"}}},
		{"a handler has not the module's patterns", Version{Module: described, Settings: Settings{Handler: "h"}}, nil},
	} {
		if got := c.v.RoutePatterns(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: RoutePatterns() = %v, want %v", c.name, got, c.want)
		}
	}
	if DefaultPath("default", "a") != "/a" || DefaultPath("shop", "a") != "/shop/a" {
		t.Errorf("DefaultPath = %q, %q", DefaultPath("default", "a"), DefaultPath("shop", "a"))
	}
}
