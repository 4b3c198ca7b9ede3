package router

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// MaxReplyHeaderBytes is how large a reply's header names and values may be together. Clients and proxies refuse
// larger ones, so a higher limit would move the error to where nobody can explain it.
const MaxReplyHeaderBytes = 64 << 10

// Characters of a header's name, as bits. Source: RFC 9110 section 5.6.2, token.
const (
	tokenLow  = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' | 0x3ff<<'0'
	tokenHigh = 0x7fffffe | 0x7fffffe<<32 | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
)

func validName(name string) bool {
	for i := range len(name) {
		if !inSet(name[i], tokenLow, tokenHigh) {
			return false
		}
	}
	return name != ""
}

// validValue refuses control characters but tab: CR and LF would end the line.
func validValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// checkReply refuses a reply that HTTP cannot carry, and drops the headers that are ours to write: hop-by-hop ones,
// those named by Connection, framing and Sett-*. A Content-Length that contradicts the body is refused: the
// function meant to send something else. Errors are coded abi.FunctionFailed; their text is for the function's
// log.
func checkReply(r *abi.Reply, maxBody int, head bool) error {
	if r.Status != 0 && (r.Status < 200 || r.Status > 599) {
		return badReply("status %d: a final status is between 200 and 599", r.Status)
	}
	if len(r.Body) > maxBody {
		return badReply("body of %d bytes: at most %d are allowed", len(r.Body), maxBody)
	}
	if err := checkTrailers(r); err != nil {
		return err
	}
	size, ours := 0, 0
	for i := range r.Headers {
		h := &r.Headers[i]
		size += len(h.Name) + len(h.Value)
		if size > MaxReplyHeaderBytes {
			return badReply("headers: more than %d bytes", MaxReplyHeaderBytes)
		}
		if !validName(h.Name) {
			return badReply("header %.80q: not a header name", h.Name)
		}
		if !validValue(h.Value) {
			return badReply("header %s: its value holds a control character", h.Name)
		}
		if platformHeader(h.Name) {
			ours++
		}
	}
	if ours == 0 {
		return nil
	}
	return dropOurs(r, head)
}

func badReply(format string, args ...any) error {
	return abi.WithCode(abi.FunctionFailed, fmt.Errorf("reply: "+format, args...))
}

// dropOurs replaces the headers by those that are the function's to say.
func dropOurs(r *abi.Reply, head bool) error {
	kept := make([]abi.Field, 0, len(r.Headers))
	var named []string
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, "Connection") {
			named = append(named, strings.Split(h.Value, ",")...)
		}
	}
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, "Content-Length") {
			n, err := strconv.ParseUint(h.Value, 10, 62)
			bodyless := len(r.Body) == 0 && (head || r.Status == 204 || r.Status == 304)
			if err != nil || n != uint64(len(r.Body)) && !bodyless {
				return badReply("Content-Length %.20q: the body has %d bytes", h.Value, len(r.Body))
			}
			if head && len(r.Body) == 0 {
				kept = append(kept, h) // what GET would send: written as it is
			}
			continue
		}
		if !platformHeader(h.Name) && !isNamed(named, h.Name) {
			kept = append(kept, h)
		}
	}
	r.Headers = kept
	return nil
}

func isNamed(named []string, name string) bool {
	for _, n := range named {
		if strings.EqualFold(strings.Trim(n, " \t"), name) {
			return true
		}
	}
	return false
}

// platformHeader reports whether a header is the connection's or ours, and not the function's, to say. Date is
// written by the server.
// Source: RFC 9110 section 7.6.1, and the Proxy- headers, which speak of the hop alone.
func platformHeader(name string) bool {
	if platformPrefix(name) {
		return true
	}
	switch len(name) {
	case 2:
		return strings.EqualFold(name, "TE")
	case 4:
		return strings.EqualFold(name, "Date")
	case 7:
		return strings.EqualFold(name, "Trailer") || strings.EqualFold(name, "Upgrade")
	case 10:
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case 14:
		return strings.EqualFold(name, "Content-Length")
	case 16:
		return strings.EqualFold(name, "Proxy-Connection")
	case 17:
		return strings.EqualFold(name, "Transfer-Encoding")
	case 18:
		return strings.EqualFold(name, "Proxy-Authenticate")
	case 19:
		return strings.EqualFold(name, "Proxy-Authorization")
	}
	return false
}

// platformPrefix reports whether a name is one of our own: Sett-*, and Sett_*, which CGI could not tell from it.
func platformPrefix(name string) bool {
	return len(name) > 5 && name[0]|0x20 == 's' && (name[4] == '-' || name[4] == '_') && strings.EqualFold(name[:4], "Sett")
}
