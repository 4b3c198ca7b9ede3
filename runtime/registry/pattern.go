package registry

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// Limits of a pattern. Raising them makes the route table deeper and its errors harder to read.
const (
	MaxPatternBytes = 1024 // a pattern as written
	MaxSegments     = 32   // segments of its path
)

// SegmentKind says what a segment of a pattern matches.
type SegmentKind uint8

const (
	Literal SegmentKind = iota // exactly Text
	Param                      // one segment that is not empty: {id}
	Rest                       // all remaining segments, also none: {rest...}; the last segment only
)

// Segment is one part of a pattern's path.
type Segment struct {
	Kind SegmentKind
	Text string // the literal, percent-decoded; the name of a Param or Rest
}

// Pattern is a parsed route: "[METHOD ][HOST]/path/{id}/{rest...}".
//
// A path is cut at each slash after the first, before it is percent-decoded, and compared segment by segment. So
// a path that ends in a slash has an empty last segment: "/users/" is {users, ""}, "/" is {""}, and neither
// "/users" nor "/users/{id}" matches "/users/". "/files/{path...}" matches "/files", "/files/" and all below.
//
// Of several patterns that match a request the most specific one answers: one that names the host before one that
// does not, then the one whose requests are all among those of the other. Two patterns that share a request
// without either being more specific tie, and cannot be deployed together.
type Pattern struct {
	Method   string // upper case; empty: any. GET also answers HEAD
	Host     string // lower case, without port; empty: any
	Segments []Segment
}

// String is the pattern in its one canonical form, which ParsePattern reads back to an equal Pattern.
func (p Pattern) String() string {
	var b strings.Builder
	if p.Method != "" {
		b.WriteString(p.Method)
		b.WriteByte(' ')
	}
	b.WriteString(p.Host)
	for _, s := range p.Segments {
		b.WriteByte('/')
		switch s.Kind {
		case Literal:
			b.WriteString(url.PathEscape(s.Text))
		case Param:
			b.WriteString("{" + s.Text + "}")
		case Rest:
			b.WriteString("{" + s.Text + "...}")
		}
	}
	return b.String()
}

// Match reports whether p matches a request. Path is as sent, percent-encoded; host is lower case and without
// port. It is the plain definition: a route table must agree with it, and is faster.
func (p Pattern) Match(method, host, path string) bool {
	if p.Host != "" && p.Host != host || !coversMethod(p.Method, method) || !strings.HasPrefix(path, "/") {
		return false
	}
	parts := strings.Split(path[1:], "/")
	for i, s := range p.Segments {
		if s.Kind == Rest {
			return true
		}
		if i == len(parts) {
			return false
		}
		text, err := url.PathUnescape(parts[i])
		if err != nil || s.Kind == Literal && text != s.Text || s.Kind == Param && text == "" {
			return false
		}
	}
	return len(parts) == len(p.Segments)
}

// MoreSpecific reports whether p, and not q, answers the requests that both match. It is false when they share
// none.
func (p Pattern) MoreSpecific(q Pattern) bool {
	if !p.overlaps(q) {
		return false
	}
	if p.Host != q.Host {
		return p.Host != ""
	}
	return p.within(q) && !q.within(p)
}

// Conflicts reports whether p and q tie: some request matches both, and neither is more specific.
func (p Pattern) Conflicts(q Pattern) bool {
	return p.overlaps(q) && !p.MoreSpecific(q) && !q.MoreSpecific(p)
}

// Compare orders patterns so that a more specific one comes before those it wins over; where specificity says
// nothing the order is alphabetical. It answers 0 only for patterns that match the same requests.
func (p Pattern) Compare(q Pattern) int {
	if p.Host != q.Host {
		if p.Host == "" || q.Host == "" {
			return -cmp.Compare(p.Host, q.Host)
		}
		return cmp.Compare(p.Host, q.Host)
	}
	if c := slices.CompareFunc(p.Segments, q.Segments, compareSegments); c != 0 {
		// A path that ends where the other has only a Rest left is the narrower one, and sorts first as the shorter.
		return c
	}
	return cmp.Or(cmp.Compare(methodRank(p.Method), methodRank(q.Method)), cmp.Compare(p.Method, q.Method))
}

func compareSegments(a, b Segment) int {
	if c := cmp.Compare(a.Kind, b.Kind); c != 0 || a.Kind != Literal {
		return c
	}
	return cmp.Compare(a.Text, b.Text)
}

// methodRank puts narrower methods first: HEAD lies within GET, and everything within any.
func methodRank(m string) int {
	switch m {
	case "HEAD":
		return 0
	case "":
		return 2
	}
	return 1
}

// coversMethod reports whether a pattern's method answers all that b, a method or "" for any, stands for.
func coversMethod(a, b string) bool {
	return a == "" || a == b || a == "GET" && b == "HEAD"
}

// overlaps reports whether some request matches both.
func (p Pattern) overlaps(q Pattern) bool {
	if p.Host != "" && q.Host != "" && p.Host != q.Host {
		return false
	}
	if !coversMethod(p.Method, q.Method) && !coversMethod(q.Method, p.Method) {
		return false
	}
	for i := 0; ; i++ {
		pEnd, qEnd := i == len(p.Segments), i == len(q.Segments)
		if !pEnd && p.Segments[i].Kind == Rest || !qEnd && q.Segments[i].Kind == Rest {
			return true
		}
		if pEnd || qEnd {
			return pEnd && qEnd
		}
		if a, b := p.Segments[i], q.Segments[i]; !a.within(b) && !b.within(a) {
			return false
		}
	}
}

// within reports whether q matches every request that p matches, hosts aside.
func (p Pattern) within(q Pattern) bool {
	if !coversMethod(q.Method, p.Method) {
		return false
	}
	for i, b := range q.Segments {
		if b.Kind == Rest {
			return true
		}
		if i == len(p.Segments) || !p.Segments[i].within(b) {
			return false
		}
	}
	return len(p.Segments) == len(q.Segments)
}

// within reports whether b matches every single segment that a matches. A Rest lies in nothing but a Rest.
func (a Segment) within(b Segment) bool {
	switch b.Kind {
	case Literal:
		return a.Kind == Literal && a.Text == b.Text
	case Param:
		return a.Kind == Param || a.Kind == Literal && a.Text != ""
	}
	return true
}
