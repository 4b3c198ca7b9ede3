package sett

import (
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
)

// patterns are malformed and well-formed ones, to be compared pairwise.
var patterns = []string{
	"/", "/users", "/users/", "/users/{id}", "/users/{id}/", "/users/me", "GET /users/{id}", "HEAD /users/{id}",
	"POST /users/{id}", "/{path...}", "GET /{path...}", "/files/{path...}", "/files", "/files/", "/files/{a}/{b}",
	"example.com/", "GET Example.COM/users/{id}", "other.example/{path...}", "/a%20b", "/a%2Fb", "/%7Bx%7D", "GET  /tabs",
	"GET\t/tab", "PROP-FIND /x", "/{a}/{b}/{c...}", "/{A}", "/127", "127.0.0.1/x", "_x.y/", "/caf%C3%A9", "/café",

	"", "GET", "users", "get /", " /", "GET/", "G3T /x", "/a//b", "//", "/a b", "/a?b", "/a#b", "/%", "/%2", "/%zz", "/.", "/..",
	"/%2e", "/{", "/}", "/{}", "/{1a}", "/{a", "/a}", "/x{a}", "/{a}x", "/{a...}/b", "/{a...}/", "/{a}/{A}", "/{...}",
	"host:80/", "-h/", "h-/", "h..x/", "hé/", "/%00", "/%ff", "/%c2%85", "http://host/x", "/{a-b}", "GET host",
	"/{" + strings.Repeat("a", 63) + "}", "/{" + strings.Repeat("a", 64) + "}", strings.Repeat("/a", 32), strings.Repeat("/a", 33),
	"/" + strings.Repeat("a", 1024), "/" + strings.Repeat("a", 1023), strings.Repeat("a", 64) + "/",
}

var requests = []struct{ method, host, path string }{
	{"GET", "localhost", "/"}, {"GET", "localhost", "/users"}, {"GET", "localhost", "/users/"}, {"HEAD", "localhost", "/users/7"},
	{"POST", "example.com", "/users/me"}, {"GET", "example.com", "/users/7"}, {"GET", "other.example", "/x"}, {"GET", "x", ""},
	{"GET", "x", "/files"}, {"GET", "x", "/files/"}, {"GET", "x", "/files/a/b"}, {"GET", "x", "/files/%zz"}, {"GET", "x", "/%zz/a"},
	{"GET", "x", "/a%20b"}, {"GET", "x", "/a%2fb"}, {"GET", "x", "/a/b"}, {"GET", "x", "//"}, {"GET", "x", "/%7bx%7d"}, {"GET", "x", "*"},
	{"GET", "x", "/users//7"}, {"GET", "x", strings.Repeat("/a", 32)}, {"GET", "x", strings.Repeat("/a", 33)}, {"GET", "x", strings.Repeat("/a", 40)},
	{"PROP-FIND", "x", "/x"}, {"GET", "x", "/caf%c3%a9"},
}

// TestPatternsAreTheNodes holds the module's patterns to the node's: the same are accepted, the same tie, the same
// match, and of two that match the same one is tried first.
func TestPatternsAreTheNodes(t *testing.T) {
	for _, s := range patterns {
		checkPattern(t, s)
		for _, q := range patterns {
			checkPair(t, s, q)
		}
		for _, r := range requests {
			checkMatch(t, s, r.method, r.host, r.path)
		}
	}
}

func checkPattern(t *testing.T, s string) {
	t.Helper()
	_, fault := parsePattern(s)
	if _, err := registry.ParsePattern(s); (err == nil) != (fault == "") {
		t.Errorf("parsePattern(%.60q) = %q, the node says %v", s, fault, err)
	}
}

func checkPair(t *testing.T, s, u string) {
	t.Helper()
	p, pFault := parsePattern(s)
	q, qFault := parsePattern(u)
	if pFault != "" || qFault != "" {
		return
	}
	nodeP, errP := registry.ParsePattern(s)
	nodeQ, errQ := registry.ParsePattern(u)
	if errP != nil || errQ != nil {
		return
	}
	if got, want := p.conflicts(&q), nodeP.Conflicts(nodeQ); got != want {
		t.Errorf("%q ties with %q: %v, the node says %v", s, u, got, want)
	}
	if nodeP.MoreSpecific(nodeQ) && p.compare(&q) >= 0 {
		t.Errorf("%q is more specific than %q and would be tried after it", s, u)
	}
}

func checkMatch(t *testing.T, s, method, host, path string) {
	t.Helper()
	p, fault := parsePattern(s)
	node, err := registry.ParsePattern(s)
	if fault != "" || err != nil {
		return
	}
	var tg target
	got := tg.parse(host, path) && covers(p.method, method) && p.matches(&tg)
	if want := node.Match(method, host, path); got != want {
		t.Errorf("%q matches %s %s%s: %v, the node says %v", s, method, host, path, got, want)
	}
	if got && strings.Count(s, "{") != len(p.values(nil, &tg)) {
		t.Errorf("%q has values %q for %s", s, p.values(nil, &tg), path)
	}
}

func FuzzPattern(f *testing.F) {
	for i, s := range patterns {
		f.Add(s, patterns[(i+1)%len(patterns)], requests[i%len(requests)].path)
	}
	f.Fuzz(func(t *testing.T, s, u, path string) {
		checkPattern(t, s)
		checkPair(t, s, u)
		checkMatch(t, s, "GET", "localhost", path)
	})
}

func TestParsePatternSaysWhy(t *testing.T) {
	for s, want := range map[string]string{
		"":             "the path is missing",
		"get /x":       `"get" is no method`,
		"h:80/x":       `"h:80" is no host name`,
		"/a//b":        "a segment is empty",
		"/a b":         `"a b" is no path segment`,
		"/{id":         `"{id" is no parameter`,
		"/{a...}/b":    "must be the last segment",
		"/{id}/{ID}":   `"ID" is there twice`,
		"GET /x?y={z}": `is no parameter`,
	} {
		if _, fault := parsePattern(s); !strings.Contains(fault, want) {
			t.Errorf("parsePattern(%q) = %q, want %q", s, fault, want)
		}
	}
}

// TestFinalDotOfHost: the node takes a host with a final dot for the one without, and so do the patterns here.
func TestFinalDotOfHost(t *testing.T) {
	p, fault := parsePattern("GET shop.example/users")
	if fault != "" {
		t.Fatal(fault)
	}
	for host, want := range map[string]bool{
		"shop.example": true, "shop.example.": true, "Shop.Example.:8080": true, "shop.example:80": true,
		"shop.example..": false, "other.example.": false, ".": false, "": false,
	} {
		var to target
		if !to.parse(host, "/users") || p.matches(&to) != want {
			t.Errorf("match of host %q is %v, want %v", host, !want, want)
		}
	}
}
