package registry

import (
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
	"pgregory.net/rapid"
)

func mustParse(t testing.TB, s string) Pattern {
	t.Helper()
	p, err := ParsePattern(s)
	if err != nil {
		t.Fatalf("ParsePattern(%q) = %v", s, err)
	}
	return p
}

func TestParsePattern(t *testing.T) {
	lit := func(s string) Segment { return Segment{Literal, s} }
	for _, c := range []struct {
		in, canonical string
		want          Pattern
	}{
		{"/", "/", Pattern{"", "", []Segment{lit("")}}},
		{"/users", "/users", Pattern{"", "", []Segment{lit("users")}}},
		{"/users/", "/users/", Pattern{"", "", []Segment{lit("users"), lit("")}}},
		{"GET /users/{id}", "GET /users/{id}", Pattern{"GET", "", []Segment{lit("users"), {Param, "id"}}}},
		{"GET \t /x", "GET /x", Pattern{"GET", "", []Segment{lit("x")}}},
		{"POST Shop.Example/f/{p...}", "POST shop.example/f/{p...}",
			Pattern{"POST", "shop.example", []Segment{lit("f"), {Rest, "p"}}}},
		{"10.0.0.1/{_A1...}", "10.0.0.1/{_A1...}", Pattern{"", "10.0.0.1", []Segment{{Rest, "_A1"}}}},
		{"/a%2fb/%7Bx%7D/%20", "/a%2Fb/%7Bx%7D/%20", Pattern{"", "", []Segment{lit("a/b"), lit("{x}"), lit(" ")}}},
		{"/größe", "/gr%C3%B6%C3%9Fe", Pattern{"", "", []Segment{lit("größe")}}},
		{"M-SEARCH /{a}/{b}", "M-SEARCH /{a}/{b}", Pattern{"M-SEARCH", "", []Segment{{Param, "a"}, {Param, "b"}}}},
	} {
		p := mustParse(t, c.in)
		if p.Method != c.want.Method || p.Host != c.want.Host || !slices.Equal(p.Segments, c.want.Segments) {
			t.Errorf("ParsePattern(%q) = %#v, want %#v", c.in, p, c.want)
		}
		if got := p.String(); got != c.canonical {
			t.Errorf("ParsePattern(%q).String() = %q, want %q", c.in, got, c.canonical)
		}
	}
}

func TestParsePatternFaults(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", `pattern "": position 1: empty`},
		{"get /x", `position 1: "get" is not a method; write it in upper case`},
		{" /x", "position 1: starts with a space"},
		{"GET ", "position 5: missing path"},
		{"GET example.com", "position 16: missing path"},
		{"GET example.com:80/x", `position 5: host "example.com:80": write it without scheme and port`},
		{"http://example.com/x", `position 1: host "http:": write it without scheme`},
		{"*.example.com/x", `"*" is not a DNS label; a host has no wildcards`},
		{"users/{id}/{id}", `position 12: the name "id" is used twice`},
		{"/{id}/{ID}", `position 7: the name "ID" is used twice`},
		{"/a//b", "position 4: empty segment"},
		{"//", "position 2: empty segment"},
		{"/a/{r...}/b", `position 4: {r...} takes the rest of the path and must be the last`},
		{"/a/{r...}/", "must be the last segment"},
		{"/a{id}", `position 2: "a{id}": a parameter is a whole segment`},
		{"/{id", `position 2: "{id": a parameter is a whole segment`},
		{"/{}", "a parameter's name is 1 to 63"},
		{"/{...}", "a parameter's name is 1 to 63"},
		{"/{1a}", "starts with no digit"},
		{"/{a-b}", "letters, digits and _"},
		{"/{$}", "letters, digits and _"},
		{"/{proxy+}", "letters, digits and _"},
		{"/{" + strings.Repeat("a", 64) + "}", "1 to 63"},
		{"/x?y=1", `position 2: "?" in the path; a pattern has no query`},
		{"/x y", `a literal " " is written %20`},
		{"/100%", "a percent sign is written %25"},
		{"/%ff", "is not UTF-8"},
		{"/a\x00", "control character"},
		{"/a/../b", `position 4: ".." never reaches a function`},
		{"/%2e", `"." never reaches a function`},
		{"-a.example/", `"-a" is not a DNS label`},
		{strings.Repeat("a.", 130) + "a/", "longer than 253"},
		{strings.Repeat("/a", MaxSegments+1), "position 66: more than 32 segments"},
		{"/" + strings.Repeat("a", MaxPatternBytes), "has 1025 bytes; at most 1024"},
	} {
		_, err := ParsePattern(c.in)
		if err == nil || !strings.Contains(err.Error(), c.want) || abi.CodeOf(err) != abi.InvalidInput {
			t.Errorf("ParsePattern(%q) = %v (%s), want %q", c.in, err, abi.CodeOf(err), c.want)
		}
	}
	mustParse(t, "/"+strings.Repeat("a", MaxPatternBytes-1))
	mustParse(t, strings.Repeat("/a", MaxSegments))
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, method, host, path string
		want                        bool
	}{
		{"/", "GET", "", "/", true},
		{"/", "GET", "", "/a", false},
		{"/a", "GET", "", "/a/", false},
		{"/a/", "GET", "", "/a", false},
		{"/{x}", "GET", "", "/", false},
		{"/a/{x}", "GET", "", "/a/", false},
		{"/a/{x}", "GET", "", "/a/b%2Fc", true},
		{"/a/{r...}", "GET", "", "/a", true},
		{"/a/{r...}", "GET", "", "/a/", true},
		{"/a/{r...}", "GET", "", "/a/b//c", true},
		{"/a/{r...}", "GET", "", "/ab", false},
		{"/{r...}", "GET", "", "/", true},
		{"GET /a", "HEAD", "", "/a", true},
		{"HEAD /a", "GET", "", "/a", false},
		{"POST /a", "GET", "", "/a", false},
		{"h.test/a", "GET", "h.test", "/a", true},
		{"h.test/a", "GET", "g.test", "/a", false},
		{"/a%2Fb", "GET", "", "/a%2fb", true},
		{"/a%2Fb", "GET", "", "/a/b", false},
		{"/a", "GET", "", "/%61", true},
		{"/{x}", "GET", "", "/%zz", false},
		{"/a", "OPTIONS", "", "*", false},
	} {
		if got := mustParse(t, c.pattern).Match(c.method, c.host, c.path); got != c.want {
			t.Errorf("%q.Match(%q, %q, %q) = %v, want %v", c.pattern, c.method, c.host, c.path, got, c.want)
		}
	}
}

func TestConflicts(t *testing.T) {
	const first, second, tie, apart = "first wins", "second wins", "tie", "apart"
	for _, c := range []struct{ p, q, want string }{
		{"/a", "/a", tie},
		{"/{x}", "/{y}", tie},
		{"/a", "/{x}", first},
		{"/a/{x}", "/{y}/b", tie},
		{"/a/{x}", "/b/{x}", apart},
		{"/a", "/a/", apart},
		{"/a/", "/a/{x}", apart},
		{"/a", "/a/{r...}", first},
		{"/a/{r...}", "/{r...}", first},
		{"/a/{r...}", "/{x}", tie},
		{"/{x}/{r...}", "/{r...}", first},
		{"GET /a", "/a", first},
		{"GET /a", "POST /a", apart},
		{"HEAD /a", "GET /a", first},
		{"GET /{x}", "/a", tie},
		{"GET /a", "HEAD /{x}", tie},
		{"h.test/{r...}", "/a", first},
		{"h.test/a", "g.test/a", apart},
		{"h.test/{x}", "h.test/a", second},
	} {
		p, q := mustParse(t, c.p), mustParse(t, c.q)
		got := apart
		switch {
		case p.Conflicts(q):
			got = tie
		case p.MoreSpecific(q):
			got = first
		case q.MoreSpecific(p):
			got = second
		}
		if got != c.want || p.Conflicts(q) != q.Conflicts(p) {
			t.Errorf("%q and %q: %s, want %s", c.p, c.q, got, c.want)
		}
	}
}

type request struct{ method, host, path string }

// universe is enough requests to tell all patterns of drawPattern apart.
func universe() (all []request) {
	paths := []string{""}
	for from, n := 0, 0; n < 4; n++ {
		upTo := len(paths)
		for _, p := range paths[from:upTo] {
			for _, s := range []string{"", "a", "b", "c"} {
				paths = append(paths, p+"/"+s)
			}
		}
		from = upTo
	}
	for _, p := range paths[1:] {
		for _, h := range []string{"h.test", "g.test", "other.test"} {
			for _, m := range []string{"GET", "HEAD", "POST", "PUT"} {
				all = append(all, request{m, h, p})
			}
		}
	}
	return all
}

func drawPattern(t *rapid.T, label string) Pattern {
	p := Pattern{
		Method: rapid.SampledFrom([]string{"", "GET", "HEAD", "POST"}).Draw(t, label+" method"),
		Host:   rapid.SampledFrom([]string{"", "", "h.test", "g.test"}).Draw(t, label+" host"),
	}
	for range rapid.IntRange(0, 3).Draw(t, label+" length") {
		s := rapid.SampledFrom([]Segment{{Literal, "a"}, {Literal, "b"}, {Param, "x"}}).Draw(t, label+" segment")
		p.Segments = append(p.Segments, s)
	}
	end := rapid.SampledFrom([]string{"", "/", "..."}).Draw(t, label+" end")
	if end == "..." {
		p.Segments = append(p.Segments, Segment{Rest, "r"})
	} else if end == "/" || len(p.Segments) == 0 {
		p.Segments = append(p.Segments, Segment{Literal, ""})
	}
	return p
}

// TestSpecificityAgreesWithBruteForce compares the relation with what each pattern matches in a small universe.
func TestSpecificityAgreesWithBruteForce(t *testing.T) {
	all := universe()
	rapid.Check(t, func(t *rapid.T) {
		p, q := drawPattern(t, "p"), drawPattern(t, "q")
		var both, onlyP, onlyQ int
		for _, r := range all {
			inP, inQ := p.Match(r.method, r.host, r.path), q.Match(r.method, r.host, r.path)
			switch {
			case inP && inQ:
				both++
			case inP:
				onlyP++
			case inQ:
				onlyQ++
			}
		}
		pWins := both > 0 && onlyP == 0 && onlyQ > 0
		qWins := both > 0 && onlyQ == 0 && onlyP > 0
		if both > 0 && p.Host != q.Host { // naming the host decides before anything else
			pWins, qWins = p.Host != "", q.Host != ""
		}
		tie := both > 0 && !pWins && !qWins
		if p.MoreSpecific(q) != pWins || q.MoreSpecific(p) != qWins || p.Conflicts(q) != tie || q.Conflicts(p) != tie {
			t.Fatalf("%q, %q: MoreSpecific %v %v, Conflicts %v; brute force %v %v, %v", p, q,
				p.MoreSpecific(q), q.MoreSpecific(p), p.Conflicts(q), pWins, qWins, tie)
		}
		if c := p.Compare(q); pWins && c >= 0 || qWins && c <= 0 || c != -q.Compare(p) {
			t.Fatalf("Compare(%q, %q) = %d, reversed %d; wins %v %v", p, q, c, q.Compare(p), pWins, qWins)
		}
	})
}

// TestCompareIsAnOrder checks that sorting by Compare puts every pattern before those it wins over.
func TestCompareIsAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Pattern { return drawPattern(t, "p") }), 2, 12).Draw(t, "ps")
		slices.SortFunc(ps, Pattern.Compare)
		for i, p := range ps {
			for _, q := range ps[i+1:] {
				if q.MoreSpecific(p) || p.Compare(q) > 0 {
					t.Fatalf("%q sorts before %q", p, q)
				}
			}
		}
	})
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"/", "GET /users/{id}", "h.test/a%2Fb/{r...}", "/a//b", "/{", "GET", "\t/", "/%", "É/{é}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePattern(s)
		if err != nil {
			if abi.CodeOf(err) != abi.InvalidInput || len(err.Error()) > 8*MaxPatternBytes {
				t.Fatalf("ParsePattern(%q): code %s, %d bytes: %v", s, abi.CodeOf(err), len(err.Error()), err)
			}
			return
		}
		if len(p.String()) > MaxPatternBytes { // escaping makes it longer
			return
		}
		q, err := ParsePattern(p.String())
		if err != nil || q.Method != p.Method || q.Host != p.Host || !slices.Equal(q.Segments, p.Segments) {
			t.Fatalf("ParsePattern(%q).String() = %q, which reads as %#v, %v", s, p, q, err)
		}
		if !p.Conflicts(q) || p.Compare(q) != 0 {
			t.Fatalf("%q does not tie with itself", p)
		}
	})
}
