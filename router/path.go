package router

import (
	"errors"
	"strings"
	"unsafe"
)

// Faults of a request target. They are answered with 400; the text goes to the client.
var (
	errTarget  = errors.New("request target is not a path or an absolute http URI")
	errEscape  = errors.New("path is not percent-encoded correctly")
	errDots    = errors.New("path has . or .. as a segment")
	errNUL     = errors.New("path holds an encoded NUL")
	errHost    = errors.New("host is missing or not valid")
	errVersion = errors.New("HTTP version is not 1.0 or 1.1")
)

// slashMark stands for an encoded slash in a decoded path, so that it stays inside its segment. It can stand for
// nothing else: a NUL, encoded or not, is refused.
const slashMark = 0

// splitTarget cuts a request target into authority, path and query. The authority is empty for the origin form,
// whose authority is the Host header.
// Source: RFC 9112 section 3.2; the asterisk and authority forms name no resource and are refused.
func splitTarget(target string) (authority, path, query string, err error) {
	if target == "" || strings.IndexByte(target, '#') >= 0 {
		return "", "", "", errTarget
	}
	if target[0] != '/' {
		scheme, rest, found := strings.Cut(target, "://")
		if !found || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return "", "", "", errTarget
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		authority, target = rest[:end], rest[end:]
		if authority == "" {
			return "", "", "", errHost
		}
	}
	path, query, _ = strings.Cut(target, "?")
	if path == "" {
		path = "/"
	}
	return authority, path, query, nil
}

// decodePath answers path percent-decoded, with slashMark for each encoded slash. It shares memory with path or
// with scratch, which is answered grown. Segments . and .. are refused whether encoded or not: a client that means
// them has resolved them, and what is behind us must not.
func decodePath(path string, scratch []byte) (decoded string, _ []byte, err error) {
	decoded = path
	if strings.IndexByte(path, '%') >= 0 {
		if scratch, err = unescape(scratch[:0], path); err != nil {
			return "", scratch, err
		}
		decoded = unsafe.String(unsafe.SliceData(scratch), len(scratch))
	}
	if strings.IndexByte(decoded, '.') >= 0 && hasDots(decoded) {
		return "", scratch, errDots
	}
	return decoded, scratch, nil
}

func unescape(dst []byte, path string) ([]byte, error) {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) {
				return dst, errEscape
			}
			high, low := unhex(path[i+1]), unhex(path[i+2])
			if high > 15 || low > 15 {
				return dst, errEscape
			}
			i += 2
			switch c = high<<4 | low; c {
			case 0:
				return dst, errNUL
			case '/':
				c = slashMark
			}
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// unhex answers the value of a hexadecimal digit, over 15 for anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

// hasDots reports whether a segment of path is . or .. .
func hasDots(path string) bool {
	for {
		i := strings.Index(path, "/.")
		if i < 0 {
			return false
		}
		path = path[i+2:]
		segment := path
		if end := strings.IndexByte(path, '/'); end >= 0 {
			segment = path[:end]
		}
		if segment == "" || segment == "." {
			return true
		}
	}
}

// restoreSlashes turns the slashMarks of a decoded path back into slashes, once it is cut into segments.
func restoreSlashes(scratch []byte) {
	for i, c := range scratch {
		if c == slashMark {
			scratch[i] = '/'
		}
	}
}

// Characters of a host with port, as bits: RFC 3986's unreserved, sub-delims, percent, colon and brackets.
const (
	hostLow  = 1<<'!' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'(' | 1<<')' | 1<<'*' | 1<<'+' | 1<<',' | 1<<'-' | 1<<'.' | 0x3ff<<'0' | 1<<':' | 1<<';' | 1<<'='
	hostHigh = 0x7fffffe | 0x7fffffe<<32 | 1<<('['-64) | 1<<(']'-64) | 1<<('_'-64) | 1<<('~'-64)
)

func validHost(host string) bool {
	for i := range len(host) {
		if c := host[i]; !inSet(c, hostLow, hostHigh) {
			return false
		}
	}
	return true
}

// inSet reports whether c is ASCII and its bit is set: bits 0 to 63 in low, 64 to 127 in high.
func inSet(c byte, low, high uint64) bool {
	if c < 64 {
		return low>>c&1 != 0
	}
	return c < 128 && high>>(c-64)&1 != 0
}

// routeHost appends host to dst as patterns name it: lower case, without port and final dot.
func routeHost(dst []byte, host string) []byte {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	for i := range len(host) {
		c := host[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}
