package registry

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sett-run/sett/sdk/abi"
)

// ParsePattern reads a pattern such as "GET shop.example/users/{id}". Method and host are optional. A literal
// segment is percent-decoded; {name} stands for one whole segment, {name...} for the rest of the path. Errors are
// coded abi.InvalidInput and name the pattern, the position (counted in bytes from 1) and what would be right.
func ParsePattern(s string) (Pattern, error) {
	var p Pattern
	if len(s) > MaxPatternBytes {
		return p, abi.WithCode(abi.InvalidInput,
			fmt.Errorf("pattern %.40q...: has %d bytes; at most %d are allowed", s, len(s), MaxPatternBytes))
	}
	at, fault := p.parse(s)
	if fault != "" {
		return Pattern{}, abi.WithCode(abi.InvalidInput, fmt.Errorf("pattern %q: position %d: %s", s, at+1, fault))
	}
	return p, nil
}

// parse answers where the first fault stands and what it is; no fault is "".
func (p *Pattern) parse(s string) (at int, fault string) {
	if s == "" {
		return 0, `empty; write a path such as "/users/{id}"`
	}
	if i := strings.IndexAny(s, " \t/"); i >= 0 && s[i] != '/' {
		if fault = checkMethod(s[:i]); fault != "" {
			return 0, fault
		}
		p.Method = s[:i]
		at = i + len(s[i:]) - len(strings.TrimLeft(s[i:], " \t"))
	}
	slash := strings.IndexByte(s[at:], '/')
	if slash < 0 {
		return len(s), `missing path; after method and host comes a path, such as "/users"`
	}
	host := strings.ToLower(s[at : at+slash])
	if fault = checkHost(host); fault != "" {
		return at, fault
	}
	p.Host = host
	return p.parsePath(s, at+slash)
}

// parsePath reads s from the slash at position at on.
func (p *Pattern) parsePath(s string, at int) (int, string) {
	names := map[string]bool{}
	for rest := true; rest; {
		at++ // over the slash
		var text string
		text, _, rest = strings.Cut(s[at:], "/")
		seg, fault := parseSegment(text)
		switch {
		case fault != "":
			return at, fault
		case text == "" && rest:
			return at, `empty segment; write one slash, not two`
		case seg.Kind == Rest && rest:
			return at, fmt.Sprintf("{%s...} takes the rest of the path and must be the last segment", seg.Text)
		case seg.Kind != Literal && names[strings.ToUpper(seg.Text)]:
			return at, fmt.Sprintf("the name %q is used twice; parameter names differ, whatever their case", seg.Text)
		case len(p.Segments) == MaxSegments:
			return at, fmt.Sprintf("more than %d segments", MaxSegments)
		}
		if seg.Kind != Literal {
			names[strings.ToUpper(seg.Text)] = true
		}
		p.Segments = append(p.Segments, seg)
		at += len(text)
	}
	return at, ""
}

func parseSegment(text string) (seg Segment, fault string) {
	if strings.ContainsAny(text, "{}") {
		return parseParam(text)
	}
	if i := strings.IndexAny(text, " \t?#"); i >= 0 {
		return seg, fmt.Sprintf("%q in the path; a pattern has no query, and a literal %q is written %%%02X",
			text[i:i+1], text[i:i+1], text[i])
	}
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return seg, fmt.Sprintf("%q is not percent-encoded; a percent sign is written %%25", text)
	}
	if !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, unicode.IsControl) {
		return seg, fmt.Sprintf("%q holds a control character or is not UTF-8", text)
	}
	if decoded == "." || decoded == ".." {
		return seg, fmt.Sprintf("%q never reaches a function; write the path without it", decoded)
	}
	return Segment{Literal, decoded}, ""
}

func parseParam(text string) (seg Segment, fault string) {
	const form = `a parameter is a whole segment, "{name}", or "{name...}" at the end`
	name, opened := strings.CutPrefix(text, "{")
	name, closed := strings.CutSuffix(name, "}")
	name, many := strings.CutSuffix(name, "...")
	if !opened || !closed || strings.ContainsAny(name, "{}") {
		return seg, fmt.Sprintf("%q: %s; a literal brace is written %%7B or %%7D", text, form)
	}
	if !isIdentifier(name) || len(name) > MaxNameBytes {
		return seg, fmt.Sprintf("%q: a parameter's name is 1 to %d letters, digits and _, and starts with no digit; %s",
			text, MaxNameBytes, form)
	}
	if many {
		return Segment{Rest, name}, ""
	}
	return Segment{Param, name}, ""
}

func checkMethod(m string) (fault string) {
	if m == "" {
		return "starts with a space; start with the method or the path"
	}
	for _, c := range m {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return fmt.Sprintf("%q is not a method; write it in upper case, such as GET, then one space", m)
		}
	}
	return ""
}

// checkHost accepts the empty host, DNS names and IPv4 addresses.
func checkHost(h string) (fault string) {
	if h == "" {
		return ""
	}
	if strings.Contains(h, ":") {
		return fmt.Sprintf("host %q: write it without scheme and port; IPv6 addresses are not supported", h)
	}
	if len(h) > 253 {
		return "host is longer than 253 bytes"
	}
	for label := range strings.SplitSeq(h, ".") {
		ok := label != "" && len(label) <= 63 && label[0] != '-' && label[len(label)-1] != '-'
		for _, c := range []byte(label) {
			ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_')
		}
		if !ok {
			return fmt.Sprintf("host %q: %q is not a DNS label; a host has no wildcards or parameters, "+
				"other alphabets are written in their xn-- form, and a path starts with a slash", h, label)
		}
	}
	return ""
}

// isIdentifier reports whether s is letters, digits and underscores of ASCII, not starting with a digit.
func isIdentifier(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
