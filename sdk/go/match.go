package sett

import "strings"

// target is a request's path cut into segments once, so that each pattern compares strings only.
type target struct {
	host  string // as sent
	path  string // as sent
	count int    // segments; those beyond maxSegments are not in part
	valid int    // segments before the first one that is not percent-encoded
	part  [maxSegments]string
	start [maxSegments]int // where the segment stands in path
}

// parse cuts a path at each slash after the first, before it is percent-decoded. It reports whether it is one.
func (t *target) parse(host, path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	t.host, t.path, t.count, t.valid = host, path, 0, maxSegments
	start, encoded := 1, false
	for i := 1; i < len(path); i++ {
		switch path[i] {
		case '/':
			t.add(path[start:i], start, encoded)
			start, encoded = i+1, false
		case '%':
			encoded = true
		}
	}
	t.add(path[start:], start, encoded)
	return true
}

// add stores a segment, which stands at start.
func (t *target) add(text string, start int, encoded bool) {
	if t.count < maxSegments {
		if encoded {
			decoded, ok := unescape(text)
			if text = decoded; !ok {
				t.valid = min(t.valid, t.count)
			}
		}
		t.part[t.count], t.start[t.count] = text, start
	}
	t.count++
}

// matches reports whether p's host and path match t.
func (p *pattern) matches(t *target) bool {
	if p.host != "" && p.host != bareHost(t.host) {
		return false
	}
	for i, s := range p.segments {
		if s.kind == rest {
			return true
		}
		if i >= t.count || i >= t.valid || s.kind == literal && s.text != t.part[i] || s.kind == param && t.part[i] == "" {
			return false
		}
	}
	return len(p.segments) == t.count
}

// values appends what p's parameters stand for in t, in p's order.
func (p *pattern) values(values []string, t *target) []string {
	for i, s := range p.segments {
		switch {
		case s.kind == param:
			values = append(values, t.part[i])
		case s.kind == rest && i >= t.count:
			values = append(values, "")
		case s.kind == rest:
			text := t.path[t.start[i]:]
			if decoded, ok := unescape(text); ok {
				text = decoded
			}
			values = append(values, text)
		}
	}
	return values
}

// find answers the route for a request, or nil and the methods the path does answer.
func find(method string, t *target) (found *route, allow []string) {
	for i := range table.routes {
		r := &table.routes[i]
		if !r.matches(t) {
			continue
		}
		if covers(r.method, method) {
			return r, nil
		}
		allow = append(allow, r.method)
	}
	return nil, allow
}

// bareHost is a Host header in lower case, without its port and its final dot.
func bareHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// unescape decodes percent-encoded text; a plus sign stays one. It answers s itself and false when s is not
// percent-encoded.
func unescape(s string) (string, bool) {
	first := strings.IndexByte(s, '%')
	if first < 0 {
		return s, true
	}
	b := make([]byte, first, len(s))
	copy(b, s)
	for i := first; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return s, false
			}
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high < 0 || low < 0 {
				return s, false
			}
			c = byte(high<<4 | low)
			i += 2
		}
		b = append(b, c)
	}
	return string(b), true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
