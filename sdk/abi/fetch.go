package abi

// Limits of a fetch. Raising one lets an invocation hold more of the host's memory.
const (
	MaxURLBytes          = 8 << 10  // a URL
	MaxFetchHeaderBytes  = 64 << 10 // names and values of a request's headers, or of a reply's; and as many of trailers
	MaxFetchRequestBytes = 6 << 20  // a request's body
	MaxFetchReplyBytes   = 6 << 20  // a reply's body
)

// FetchRequest is an HTTP request that a function sends.
type FetchRequest struct {
	Method  string // upper case; empty means GET
	URL     string // absolute, http or https
	Headers []Field
	Body    []byte

	// Trailers are the headers behind the body. They stay on the host's side: the wire form of a fetch has none.
	Trailers []Field
}

// Field numbers of FetchRequest.
const (
	fetchMethod  = 1
	fetchURL     = 2
	fetchHeaders = 3
	fetchBody    = 4
)

// AppendFetch appends the wire form of r to dst and answers the longer slice. It allocates at most once.
func AppendFetch(dst []byte, r *FetchRequest) []byte {
	b := grow(dst, 32+len(r.Method)+len(r.URL)+boundFields(r.Headers)+len(r.Body))
	b = appendBytes(b, fetchMethod, r.Method)
	b = appendBytes(b, fetchURL, r.URL)
	b = appendFields(b, fetchHeaders, r.Headers)
	return appendBytes(b, fetchBody, r.Body)
}

// DecodeFetch reads the wire form of a fetch and holds it to its limits. Strings are copies, the Body is part of data.
// Whether method, URL and headers are valid is for the caller to check.
func DecodeFetch(data []byte) (r FetchRequest, err error) {
	o, err := scan(data, fetchBody)
	switch {
	case err != nil:
		return r, err
	case len(o.body) > MaxFetchRequestBytes:
		return r, overLimit(MaxFetchRequestBytes, "bytes of body")
	case o.count[fetchHeaders] > MaxHeaders:
		return r, overLimit(MaxHeaders, "headers")
	}
	r.Headers, r.Body = room(r.Headers, o.count[fetchHeaders]), o.body
	size := 0
	for i := 0; i < len(o.text); {
		t, ok := nextToken(o.text, i)
		if !ok {
			return r, malformed()
		}
		switch t.is() {
		case lengthy(fetchMethod):
			r.Method = o.text[t.from:t.next]
		case lengthy(fetchURL):
			r.URL = o.text[t.from:t.next]
		case lengthy(fetchHeaders):
			f, ok := decodeField(o.text[t.from:t.next])
			if !ok {
				return r, malformed()
			}
			size += len(f.Name) + len(f.Value)
			r.Headers = append(r.Headers, f)
		}
		i = t.next
	}
	if len(r.URL) > MaxURLBytes {
		return r, overLimit(MaxURLBytes, "bytes of URL")
	}
	if size > MaxFetchHeaderBytes {
		return r, overLimit(MaxFetchHeaderBytes, "bytes of headers")
	}
	return r, nil
}
