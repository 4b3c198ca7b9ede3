package sett

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a pattern, the same as the node's.
const (
	maxPatternBytes = 1024
	maxSegments     = 32
	maxParamName    = 63
)

// Kinds of a segment. A smaller one is more specific.
const (
	literal = iota // exactly text
	param          // one segment that is not empty: {id}
	rest           // everything that follows, also nothing: {rest...}
)

type segment struct {
	kind int
	text string // the literal, percent-decoded, or the parameter's name
}

// pattern is a parsed route. The node parses and ranks patterns by the same rules; a test compares the two.
type pattern struct {
	text     string // as registered
	method   string // empty: any
	host     string // lower case, without port; empty: any
	segments []segment
}

// parsePattern answers a fault in words when s is malformed.
func parsePattern(s string) (p pattern, fault string) {
	if len(s) > maxPatternBytes {
		return p, "longer than " + strconv.Itoa(maxPatternBytes) + " bytes"
	}
	p.text = s
	if i := strings.IndexAny(s, " \t/"); i >= 0 && s[i] != '/' {
		p.method, s = s[:i], strings.TrimLeft(s[i:], " \t")
		if !validMethod(p.method) {
			return p, strconv.Quote(p.method) + " is no method; write it in upper case, then one space"
		}
	}
	host, path, ok := strings.Cut(s, "/")
	if !ok {
		return p, `the path is missing; write "/users/{id}"`
	}
	if p.host = strings.ToLower(host); !validHost(p.host) {
		return p, strconv.Quote(host) + " is no host name; write it without scheme and port"
	}
	for more := true; more; {
		var text string
		text, path, more = strings.Cut(path, "/")
		if len(p.segments) == maxSegments {
			return p, "more than " + strconv.Itoa(maxSegments) + " segments"
		}
		if fault = p.add(text, more); fault != "" {
			return p, fault
		}
	}
	return p, ""
}

// add parses one segment; more says whether others follow.
func (p *pattern) add(text string, more bool) (fault string) {
	if text == "" && more {
		return "a segment is empty; write one slash, not two"
	}
	if !strings.ContainsAny(text, "{}") {
		decoded, ok := unescape(text)
		if !ok || strings.ContainsAny(text, " \t?#") || !printable(decoded) || decoded == "." || decoded == ".." {
			return "segment " + strconv.Quote(text) + " is no path segment; write other characters percent-encoded"
		}
		p.segments = append(p.segments, segment{literal, decoded})
		return ""
	}
	name, kind := text, param
	name, opened := strings.CutPrefix(name, "{")
	name, closed := strings.CutSuffix(name, "}")
	name, all := strings.CutSuffix(name, "...")
	if all {
		kind = rest
	}
	if !opened || !closed || !validParam(name) {
		return "segment " + strconv.Quote(text) + ` is no parameter; write "{name}", or "{name...}" at the end`
	}
	if all && more {
		return "{" + name + "...} takes the rest of the path and must be the last segment"
	}
	for _, s := range p.segments {
		if s.kind != literal && strings.EqualFold(s.text, name) {
			return "the parameter " + strconv.Quote(name) + " is there twice"
		}
	}
	p.segments = append(p.segments, segment{kind, name})
	return ""
}

func validMethod(m string) bool {
	for _, c := range []byte(m) {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return m != ""
}

// validHost accepts the empty host, DNS names and IPv4 addresses.
func validHost(h string) bool {
	if h == "" {
		return true
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return len(h) <= 253
}

func validParam(name string) bool {
	for i, c := range []byte(name) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= maxParamName
}

// printable reports whether s is UTF-8 without control characters.
func printable(s string) bool {
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return utf8.ValidString(s)
}

// covers reports whether method a, or "" for any, answers all that b stands for.
func covers(a, b string) bool { return a == "" || a == b || a == "GET" && b == "HEAD" }

// within reports whether b matches every single segment that a matches.
func (a segment) within(b segment) bool {
	switch b.kind {
	case literal:
		return a == b
	case param:
		return a.kind == param || a.kind == literal && a.text != ""
	}
	return true
}

// within reports whether q matches every request that p matches, hosts aside.
func (p *pattern) within(q *pattern) bool {
	if !covers(q.method, p.method) {
		return false
	}
	for i, b := range q.segments {
		if b.kind == rest {
			return true
		}
		if i == len(p.segments) || !p.segments[i].within(b) {
			return false
		}
	}
	return len(p.segments) == len(q.segments)
}

// overlaps reports whether some request matches both.
func (p *pattern) overlaps(q *pattern) bool {
	if p.host != "" && q.host != "" && p.host != q.host || !covers(p.method, q.method) && !covers(q.method, p.method) {
		return false
	}
	for i := 0; ; i++ {
		pEnd, qEnd := i == len(p.segments), i == len(q.segments)
		switch {
		case !pEnd && p.segments[i].kind == rest, !qEnd && q.segments[i].kind == rest:
			return true
		case pEnd || qEnd:
			return pEnd && qEnd
		case !p.segments[i].within(q.segments[i]) && !q.segments[i].within(p.segments[i]):
			return false
		}
	}
}

// conflicts reports whether p and q tie: some request matches both, and neither is more specific.
func (p *pattern) conflicts(q *pattern) bool {
	return p.overlaps(q) && p.host == q.host && p.within(q) == q.within(p)
}

// compare is negative where p must be tried before q: patterns with a host first, then segment by segment
// literals, parameters, the rest, then HEAD, other methods, any.
func (p *pattern) compare(q *pattern) int {
	if (p.host == "") != (q.host == "") {
		return -cmp.Compare(p.host, q.host)
	}
	for i := range min(len(p.segments), len(q.segments)) {
		if c := cmp.Compare(p.segments[i].kind, q.segments[i].kind); c != 0 {
			return c
		}
	}
	if c := cmp.Compare(len(p.segments), len(q.segments)); c != 0 {
		return c
	}
	return cmp.Compare(methodRank(p.method), methodRank(q.method))
}

func methodRank(m string) int {
	switch m {
	case "HEAD":
		return 0
	case "":
		return 2
	}
	return 1
}
