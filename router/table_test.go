package router

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	fastrouter "github.com/fasthttp/router"
	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// newTable builds the table of one function with these patterns.
func newTable(t interface{ Fatal(...any) }, patterns ...string) *Table {
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := build([]*registry.Function{live("f", routes(patterns...))}, nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// find answers the pattern and parameters that a table gives a request; the path is as sent.
func find(table *Table, method, host, path string) (pattern string, params []string) {
	decoded, scratch, err := decodePath(path, nil)
	if err != nil {
		return err.Error(), nil
	}
	var v values
	c, used := table.lookup(method, host, decoded, &v)
	if c == nil {
		return "", nil
	}
	restoreSlashes(scratch)
	k := c.pick()
	for i := range used {
		params = append(params, k.names[i]+"="+v[i])
	}
	return k.pattern, params
}

func TestLookup(t *testing.T) {
	table := newTable(t, "/", "/a", "/a/", "/a/{x}", "/a/b", "/a/{x}/c", "/a/b/d", "GET /m", "POST /m", "/m/{r...}",
		"/enc%2Foded", "/sp%20ace", "h.example/a", "GET h.example/only", "/w/{x}/{y}/{z...}", "/w/1/{y}")
	for _, c := range []struct{ method, host, path, want string }{
		{"GET", "", "/", "/"},
		{"GET", "", "/a", "/a"},
		{"GET", "", "/a/", "/a/"},
		{"GET", "", "/a/b", "/a/b"},
		{"GET", "", "/a/%62", "/a/b"},
		{"GET", "", "/a/q", "/a/{x} x=q"},
		{"GET", "", "/a/b/c", "/a/{x}/c x=b"}, // back from the literal
		{"GET", "", "/a/b/d", "/a/b/d"},
		{"GET", "", "/a/b/e", ""},
		{"GET", "", "/a//c", ""}, // a parameter is not empty
		{"GET", "", "/m", "GET /m"},
		{"HEAD", "", "/m", "GET /m"},
		{"PUT", "", "/m", "/m/{r...} r="},
		{"GET", "", "/m/", "/m/{r...} r="},
		{"GET", "", "/m//x/", "/m/{r...} r=/x/"},
		{"GET", "", "/m/x%2Fy", "/m/{r...} r=x/y"},
		{"GET", "", "/enc%2foded", "/enc%2Foded"},
		{"GET", "", "/enc/oded", ""},
		{"GET", "", "/sp ace", "/sp%20ace"},
		{"GET", "h.example", "/a", "h.example/a"},
		{"GET", "h.example", "/a/b", "/a/b"},
		{"GET", "other", "/a", "/a"},
		{"GET", "h.example", "/only", "GET h.example/only"},
		{"POST", "h.example", "/only", ""},
		{"GET", "", "/w/1/2", "/w/1/{y} y=2"},
		{"GET", "", "/w/1/2/3/4", "/w/{x}/{y}/{z...} x=1 y=2 z=3/4"},
		{"GET", "", "/%", errEscape.Error()},
		{"GET", "", "/a/..", errDots.Error()},
		{"GET", "", "/%00", errNUL.Error()},
	} {
		pattern, params := find(table, c.method, c.host, c.path)
		if got := strings.Join(append([]string{pattern}, params...), " "); got != c.want {
			t.Errorf("lookup(%s, %q, %q) = %q, want %q", c.method, c.host, c.path, got, c.want)
		}
	}
}

// TestLookupAgrees compares the tree with the plain definition of matching, on patterns and paths made to collide.
func TestLookupAgrees(t *testing.T) {
	segment := rapid.SampledFrom([]string{"a", "b", "a%2Fb", "{x}", "{y}", "{z...}", ""})
	method := rapid.SampledFrom([]string{"", "GET", "HEAD", "POST"})
	host := rapid.SampledFrom([]string{"", "h"})
	part := rapid.SampledFrom([]string{"a", "b", "%61", "a%2fb", "c", "", "..a"})
	rapid.Check(t, func(t *rapid.T) {
		var patterns []registry.Pattern
		var texts []string
		for range rapid.IntRange(1, 12).Draw(t, "patterns") {
			text := host.Draw(t, "host") + "/" + strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(t, "segments"), "/")
			if m := method.Draw(t, "method"); m != "" {
				text = m + " " + text
			}
			p, err := registry.ParsePattern(text)
			if err != nil || slices.ContainsFunc(patterns, p.Conflicts) {
				continue
			}
			patterns, texts = append(patterns, p), append(texts, text)
		}
		if len(texts) == 0 {
			return
		}
		table := newTable(t, texts...)
		for range 20 {
			m := rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PUT"}).Draw(t, "request method")
			h := rapid.SampledFrom([]string{"h", "g"}).Draw(t, "request host")
			path := "/" + strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, "parts"), "/")
			want := ""
			for i, p := range patterns {
				if !p.Match(m, h, path) {
					continue
				}
				best := !slices.ContainsFunc(patterns, func(q registry.Pattern) bool {
					return q.Match(m, h, path) && q.MoreSpecific(p)
				})
				if best {
					want = texts[i]
				}
			}
			if got, _ := find(table, m, h, path); got != want {
				t.Fatalf("lookup(%s, %s, %q) among %q = %q, want %q", m, h, path, texts, got, want)
			}
		}
	})
}

// TestLookupAgreesWithFasthttpRouter compares with another router where the two mean the same: no {id} beside
// another name, no encoding, and a rest that is not empty.
func TestLookupAgreesWithFasthttpRouter(t *testing.T) {
	patterns := []string{"/", "/users", "/users/{id}", "/users/{id}/orders", "/users/{id}/orders/{order}", "/users/me",
		"/files/{path...}", "/a/{x}/b/{y}", "/a/{x}/b/fixed", "/static/css/{name}", "/static/js/{rest...}"}
	table := newTable(t, patterns...)
	oracle := fastrouter.New()
	oracle.RedirectTrailingSlash, oracle.RedirectFixedPath = false, false
	var matched string
	for _, p := range patterns {
		oracle.GET(strings.ReplaceAll(p, "...}", ":*}"), func(*fasthttp.RequestCtx) { matched = p })
	}
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"users", "me", "orders", "files", "a", "b", "fixed", "static", "css", "js", "1", "22"})
		path := "/" + strings.Join(rapid.SliceOfN(part, 0, 6).Draw(t, "parts"), "/")
		if path == "/files" || path == "/static/js" {
			return
		}
		matched = ""
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetMethod("GET")
		ctx.Request.SetRequestURI(path)
		oracle.Handler(&ctx)
		if got, _ := find(table, "GET", "", path); got != matched {
			t.Fatalf("lookup(%q) = %q, want %q", path, got, matched)
		}
	})
}

// FuzzLookup looks for a path that panics the tree or makes it disagree with the plain definition.
func FuzzLookup(f *testing.F) {
	for _, s := range []string{"/", "/a", "/a/b%2Fc", "/a/../b", "/%zz", "//", "/a/b/c/d/e", "/%00", "/x%2e%2e/y", "/\x00"} {
		f.Add("GET", s)
	}
	texts := []string{"/a", "/a/{x}", "/a/{x}/c", "/a/b%2Fc", "/{x}/{y}/{z}", "POST /a/{x}/c", "/x%2e%2e/y", "/{a}/{b}/{c}/{d}/{r...}"}
	for i, a := range texts {
		for _, b := range texts[i+1:] {
			p, errP := registry.ParsePattern(a)
			q, errQ := registry.ParsePattern(b)
			if errP != nil || errQ != nil || p.Conflicts(q) {
				f.Fatalf("patterns %q and %q tie", a, b)
			}
		}
	}
	table := newTable(f, texts...)
	f.Fuzz(func(t *testing.T, method, path string) {
		if !strings.HasPrefix(path, "/") || strings.IndexByte(path, 0) >= 0 {
			return // neither reaches the table
		}
		got, _ := find(table, method, "", path)
		if _, _, err := decodePath(path, nil); err != nil {
			return
		}
		want := ""
		for _, s := range texts {
			p, err := registry.ParsePattern(s)
			if err != nil {
				t.Fatal(err)
			}
			if p.Match(method, "", path) {
				q, err := registry.ParsePattern(want)
				if want == "" || err == nil && p.MoreSpecific(q) {
					want = s
				}
			}
		}
		if got != want {
			t.Errorf("lookup(%q, %q) = %q, want %q", method, path, got, want)
		}
	})
}

func TestLookupAllocatesNothing(t *testing.T) {
	table := newTable(t, "GET /users/{id}", "/users/{id}/orders/{order}", "POST /users", "GET shop.example/users/{id}", "/files/{path...}")
	var v values
	scratch := make([]byte, 0, 256)
	for _, c := range []struct{ method, host, path string }{
		{"GET", "", "/users/42"}, {"HEAD", "shop.example", "/users/42"}, {"PUT", "", "/users/42/orders/7"},
		{"GET", "", "/files/a/b/c"}, {"GET", "", "/files/a%2Fb%20c"}, {"GET", "", "/nothing/here"},
	} {
		if n := testing.AllocsPerRun(200, func() {
			decoded, s, err := decodePath(c.path, scratch)
			if err != nil {
				t.Fatal(err)
			}
			scratch = s
			if found, _ := table.lookup(c.method, c.host, decoded, &v); found != nil {
				found.pick()
			}
		}); n != 0 {
			t.Errorf("routing %s %s allocates %v times, want 0", c.method, c.path, n)
		}
	}
}

func TestWeights(t *testing.T) {
	f := live("f", routes("/both", "GET /named"), routes("/both", "/named", "/second"), routes("/both"))
	f.Aliases["live"] = []registry.Weight{{Version: 1, Weight: 90}, {Version: 2, Weight: 10}}
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := build([]*registry.Function{f}, nil, m)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]map[int]float64{
		"/both":   {1: 0.9, 2: 0.1},
		"/named":  {1: 0.9, 2: 0.1}, // one version names the method, the other does not
		"/second": {2: 1},
	} {
		const n = 20_000
		got := map[int]float64{}
		var v values
		for range n {
			c, _ := table.lookup("GET", "", path, &v)
			got[c.pick().version.Number] += 1. / n
		}
		for number := range 4 {
			if math.Abs(got[number]-want[number]) > 0.02 { // 9 standard deviations
				t.Errorf("%s: version %d has a share of %.3f, want %.3f", path, number, got[number], want[number])
			}
		}
	}
}

func TestBuildNamesFaults(t *testing.T) {
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		functions []*registry.Function
		want      []string
		code      abi.Code
	}{
		{[]*registry.Function{live("a", routes("GET /x/{id}")), live("b", routes("GET /x/{name}"))},
			[]string{"GET /x/{name}", "default/a", "default/b"}, abi.Conflict},
		{[]*registry.Function{live("a", routes("x", "/{")), live("b", routes("/{"))},
			[]string{"default/a version 1", `"x"`, "default/b version 1"}, abi.InvalidInput},
	} {
		_, err := build(c.functions, nil, m)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("build() = %v, want %q in it", err, want)
			}
		}
		if got := abi.CodeOf(err); got != c.code {
			t.Errorf("build() is coded %s, want %s", got, c.code)
		}
	}
}

func TestResolve(t *testing.T) {
	f := live("f", registry.Settings{}, registry.Settings{}, registry.Settings{})
	f.Aliases["live"] = []registry.Weight{{Version: 2, Weight: 1}}
	f.Aliases["staging"] = []registry.Weight{{Version: 3, Weight: 1}}
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := build([]*registry.Function{f}, nil, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, qualifier string
		want            string
	}{
		{"f", "", "2"}, {"f", "live", "2"}, {"f", "staging", "3"}, {"f", "1", "1"}, {"f", "v3", "3"},
		{"f", "4", "not_found"}, {"f", "nope", "not_found"}, {"g", "", "not_found"}, {"f", "vv1", "not_found"}, {"f", "-1", "not_found"}, {"f", "v+1", "not_found"},
	} {
		k, err := table.resolve("default", c.name, c.qualifier)
		got := string(abi.CodeOf(err))
		if err == nil {
			got = fmt.Sprint(k.version.Number)
		}
		if got != c.want {
			t.Errorf("resolve(%s, %q) = %s, want %s", c.name, c.qualifier, got, c.want)
		}
	}
}

// TestBuildKeepsWhatIsTheSame checks what a table takes over from the one before.
func TestBuildKeepsWhatIsTheSame(t *testing.T) {
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := build([]*registry.Function{live("f", registry.Settings{}), live("g", registry.Settings{})}, nil, m)
	if err != nil {
		t.Fatal(err)
	}
	again := live("f", registry.Settings{}, registry.Settings{MemoryMB: 1})
	other := live("g", registry.Settings{}) // removed and deployed again with other bytes
	other.Versions[0].Module.Digest = "other"
	second, err := build([]*registry.Function{again, other}, first, m)
	if err != nil {
		t.Fatal(err)
	}
	of := func(table *Table, name string) *function { return table.apps["default"][name] }
	if of(second, "f").gate != of(first, "f").gate || of(second, "g").gate != of(first, "g").gate {
		t.Error("a gate did not survive the swap")
	}
	if of(second, "f").versions[1] != of(first, "f").versions[1] {
		t.Error("an unchanged version was made anew")
	}
	if of(second, "g").versions[1] == of(first, "g").versions[1] {
		t.Error("a version with other bytes was taken for the old one")
	}
}
