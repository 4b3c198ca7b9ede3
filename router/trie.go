package router

import (
	"slices"
	"strings"

	"github.com/sett-run/sett/runtime/registry"
)

// node is a segment of the patterns below it: a tree cut at slashes, in which a literal wins over a parameter and
// a parameter over the rest. It is immutable once its table is in use, and matching allocates nothing.
type node struct {
	first    edge             // one of the literals: most nodes have no more
	literals map[string]*node // the others
	param    *node
	end      *leaf // patterns that end here
	rest     *leaf // patterns whose last segment is {name...} here: also no segment at all
}

// edge leads to the patterns that go on with a literal.
type edge struct {
	text string
	next *node // nil: there is no literal
}

// literal is the node that a literal segment leads to, or nil.
func (n *node) literal(segment string) *node {
	if n.first.text == segment {
		return n.first.next
	}
	if n.literals == nil {
		return nil
	}
	return n.literals[segment]
}

// leaf is what answers one path, by method.
type leaf struct {
	methods []methodChoice // few: compared one after the other
	any     *choice        // patterns without a method
}

type methodChoice struct {
	method string
	choice *choice
}

// values are the parameters of a match, in the pattern's order. The caller owns it, so that a match allocates
// nothing.
type values [registry.MaxSegments]string

// match finds what answers method at the decoded path, which starts with a slash: the most specific pattern wins.
// It answers how many values it wrote. Nil: none does.
func (n *node) match(method, path string, v *values) (*choice, int) {
	return n.walk(method, path[1:], true, v, 0)
}

// walk goes on at what is left of the path; more is false when no segment is left.
// Each node is reached by one way only, so that no path costs more than the tree has nodes.
func (n *node) walk(method, left string, more bool, v *values, used int) (*choice, int) {
	if !more {
		if c := n.end.answer(method); c != nil {
			return c, used
		}
		if c := n.rest.answer(method); c != nil {
			v[used] = ""
			return c, used + 1
		}
		return nil, 0
	}
	segment, after, more := left, "", false
	if i := strings.IndexByte(left, '/'); i >= 0 {
		segment, after, more = left[:i], left[i+1:], true
	}
	if next := n.literal(segment); next != nil {
		if c, used := next.walk(method, after, more, v, used); c != nil {
			return c, used
		}
	}
	if n.param != nil && segment != "" {
		v[used] = segment
		if c, used := n.param.walk(method, after, more, v, used+1); c != nil {
			return c, used
		}
	}
	if c := n.rest.answer(method); c != nil {
		v[used] = left
		return c, used + 1
	}
	return nil, 0
}

// answer is the choice for a method: the method's own, GET's for HEAD, or the one for any.
func (l *leaf) answer(method string) *choice {
	if l == nil {
		return nil
	}
	for i := range l.methods {
		if l.methods[i].method == method {
			return l.methods[i].choice
		}
	}
	if method == "HEAD" {
		for i := range l.methods {
			if l.methods[i].method == "GET" {
				return l.methods[i].choice
			}
		}
	}
	return l.any
}

// allowed appends the methods that some pattern answers at path. It is for refusals, and allocates.
func (n *node) allowed(path string, methods []string) []string {
	return n.walkAllowed(path[1:], true, methods)
}

func (n *node) walkAllowed(left string, more bool, methods []string) []string {
	methods = n.rest.appendMethods(methods)
	if !more {
		return n.end.appendMethods(methods)
	}
	segment, after, more := strings.Cut(left, "/")
	if next := n.literal(segment); next != nil {
		methods = next.walkAllowed(after, more, methods)
	}
	if n.param != nil && segment != "" {
		methods = n.param.walkAllowed(after, more, methods)
	}
	return methods
}

func (l *leaf) appendMethods(methods []string) []string {
	if l == nil {
		return methods
	}
	for _, m := range l.methods {
		methods = append(methods, m.method)
	}
	return methods
}

// allowHeader is the value of Allow for methods: sorted, with the HEAD that GET implies and the OPTIONS that every
// path answers.
func allowHeader(methods []string) string {
	if slices.Contains(methods, "GET") {
		methods = append(methods, "HEAD")
	}
	methods = append(methods, "OPTIONS")
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

// insert answers the leaf where the pattern's path ends, made if it was not there.
func (n *node) insert(segments []registry.Segment) *leaf {
	for _, s := range segments {
		switch s.Kind {
		case registry.Rest:
			return ensure(&n.rest)
		case registry.Param:
			n = ensure(&n.param)
		default:
			text := strings.ReplaceAll(s.Text, "/", string(rune(slashMark)))
			n = n.ensureLiteral(text)
		}
	}
	return ensure(&n.end)
}

func (n *node) ensureLiteral(text string) *node {
	if next := n.literal(text); next != nil {
		return next
	}
	next := new(node)
	switch {
	case n.first.next == nil:
		n.first = edge{text, next}
	case n.literals == nil:
		n.literals = map[string]*node{text: next}
	default:
		n.literals[text] = next
	}
	return next
}

func ensure[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

// at answers the choice for exactly this method, made if it was not there.
func (l *leaf) at(method string) *choice {
	if method == "" {
		return ensure(&l.any)
	}
	for _, m := range l.methods {
		if m.method == method {
			return m.choice
		}
	}
	c := new(choice)
	l.methods = append(l.methods, methodChoice{method, c})
	return c
}

// each visits every leaf of the tree.
func (n *node) each(visit func(*leaf)) {
	if n == nil {
		return
	}
	for _, l := range []*leaf{n.end, n.rest} {
		if l != nil {
			visit(l)
		}
	}
	n.first.next.each(visit)
	for _, next := range n.literals {
		next.each(visit)
	}
	n.param.each(visit)
}
