package router

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/sdk/abi"
)

// checkTrailers refuses trailers that HTTP cannot carry, and drops those that may not be any, those whose name Connection
// names, and those that have the name of a header: whoever puts the two lists together would take one for the other. It
// is for r.Headers as checkReply found them or left them. Errors are as checkReply's.
func checkTrailers(r *abi.Reply) error {
	if len(r.Trailers) == 0 {
		return nil
	}
	if len(r.Trailers) > abi.MaxHeaders || abi.FieldBytes(r.Trailers) > MaxReplyHeaderBytes {
		return badReply("trailers: more than %d, or %d bytes", abi.MaxHeaders, MaxReplyHeaderBytes)
	}
	taken := takenNames(r.Headers)
	kept := make([]abi.Field, 0, len(r.Trailers))
	for _, f := range r.Trailers {
		if !validName(f.Name) {
			return badReply("trailer %.80q: not a header name", f.Name)
		}
		if !validValue(f.Value) {
			return badReply("trailer %s: its value holds a control character", f.Name)
		}
		if abi.MayTrail(f.Name) && !taken[strings.ToLower(f.Name)] {
			kept = append(kept, f)
		}
	}
	r.Trailers = kept
	return nil
}

// takenNames are the names, in lower case, that no trailer of a message with these headers has.
func takenNames(headers []abi.Field) map[string]bool {
	taken := make(map[string]bool, len(headers))
	for _, h := range headers {
		taken[strings.ToLower(h.Name)] = true
		if strings.EqualFold(h.Name, "Connection") {
			for name := range strings.SplitSeq(h.Value, ",") {
				taken[strings.ToLower(strings.Trim(name, " \t"))] = true
			}
		}
	}
	return taken
}

// announced are the names of trailers that a reply's Trailer headers tell, those that may be any.
func announced(r *abi.Reply) (names []string) {
	var taken map[string]bool
	for _, h := range r.Headers {
		if len(h.Name) != len("Trailer") || !strings.EqualFold(h.Name, "Trailer") {
			continue
		}
		if taken == nil {
			taken = takenNames(r.Headers)
		}
		for name := range strings.SplitSeq(h.Value, ",") {
			name = strings.Trim(name, " \t")
			lower := strings.ToLower(name)
			if validName(name) && abi.MayTrail(name) && !taken[lower] {
				taken[lower] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// trail has fasthttp send the trailers of a checked reply behind its body, where the client's version and method let it.
func trail(h *fasthttp.ResponseHeader, e *abi.Event, r *abi.Reply) {
	if len(r.Trailers) == 0 || e.Proto != "HTTP/1.1" || e.Method == "HEAD" {
		return
	}
	for _, f := range r.Trailers {
		if h.AddTrailerBytes(raw(f.Name)) == nil { // it knows no other names that may be none
			h.AddBytesKV(raw(f.Name), raw(f.Value))
		}
	}
}

// readTrailers answers the trailers of a request whose body has been read, but those that may be none, which fasthttp
// refuses in part. Names are in canonical form, and nothing of h is kept. Errors are the client's fault.
func readTrailers(h *fasthttp.RequestHeader) (list []abi.Field, err error) {
	if len(h.PeekTrailerKeys()) == 0 { // neither announced nor there
		return nil, nil
	}
	for raw := h.TrailerHeader(); len(raw) > 2; { // the last line is an empty one
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' || len(list) == abi.MaxHeaders {
			return nil, faultTrailer
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		n, err := canonicalName(line)
		if err != nil {
			return nil, faultTrailer
		}
		f := abi.Field{Name: string(line[:n]), Value: string(trimSpace(line[n+1:]))}
		if !validName(f.Name) || !validValue(f.Value) {
			return nil, faultTrailer
		}
		if abi.MayTrail(f.Name) {
			list = append(list, f)
		}
	}
	return list, nil
}

// trailerSection is how trailers follow the last chunk of a body.
func trailerSection(list []abi.Field) []byte {
	b := make([]byte, 0, len("0\r\n\r\n")+abi.FieldBytes(list)+4*len(list))
	b = append(b, "0\r\n"...)
	for _, f := range list {
		b = append(append(append(append(b, f.Name...), ": "...), f.Value...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}
