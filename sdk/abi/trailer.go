package abi

import "strings"

// MayTrail reports whether a header of this name may be a trailer: one that says nothing of where a message goes, how its body
// is framed or read, who sends it or what becomes of it, all of which a receiver has to know before the body, or may have looked
// at in the headers alone. Sett's own names may not either. Whether the name is valid is ValidHeader's to say.
// Source: RFC 9110, 6.5.1, and what other servers leave out.
func MayTrail(name string) bool {
	name = strings.ToLower(name)
	for _, prefix := range []string{"sett-", "sett_", "proxy-", "if-", "x-forwarded", "x-real-ip", "access-control-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	switch name {
	case "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "content-length", // framing
		"host", "forwarded", "max-forwards", "expect", "range", // routing, and how to answer
		"authorization", "www-authenticate", "realm", "cookie", "set-cookie", "set-cookie2", // who it is
		"content-encoding", "content-type", "content-range", // how to read the body
		"age", "cache-control", "pragma", "expires", "date", "location", "retry-after", "vary", "warning", "server": // what becomes of it
		return false
	}
	return true
}

// FieldBytes is how many bytes the names and values of a list of headers or trailers have.
func FieldBytes(list []Field) (n int) {
	for _, f := range list {
		n += len(f.Name) + len(f.Value)
	}
	return n
}
