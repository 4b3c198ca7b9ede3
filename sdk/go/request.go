package sett

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Request is an HTTP request, or another trigger's event as POST /. It and what it refers to belong to the handler
// until it returns.
type Request struct {
	Method   string      // upper case
	Path     string      // as sent: percent-encoded, never stripped of the route's prefix
	RawQuery string      // without the question mark
	Host     string      // Host header, with port when sent
	Scheme   string      // "http" or "https"
	Proto    string      // "HTTP/1.1"
	Remote   string      // client address, host:port
	Headers  []abi.Field // in order, duplicates kept
	Params   []abi.Field // what the deployed route captured; PathValue looks here last
	Body     []byte      // nil when there is none; Reader tells when there is more

	more    bool // Body is only the beginning
	ctx     context.Context
	pattern *pattern
	values  []string
}

// Context is done at the invocation's deadline. Invocation answers what it belongs to.
func (r *Request) Context() context.Context { return r.ctx }

// Pattern is the pattern given to HTTP that this request matched.
func (r *Request) Pattern() string {
	if r.pattern == nil {
		return ""
	}
	return r.pattern.text
}

// PathValue is what the parameter of that name stands for, percent-decoded: first of the pattern given to HTTP, then
// of the deployed route. It is empty when neither has it.
func (r *Request) PathValue(name string) string {
	if r.pattern != nil {
		n := 0
		for _, s := range r.pattern.segments {
			if s.kind == literal {
				continue
			}
			if s.text == name {
				return r.values[n]
			}
			n++
		}
	}
	for i := range r.Params {
		if r.Params[i].Name == name {
			return r.Params[i].Value
		}
	}
	return ""
}

// Reader reads the body. It is Body, and where the function is deployed with streaming what follows it: a body that is too large
// for the node to read it before the function runs, or that does not say how large it is. Then Body is only the beginning, or
// empty. Each Reader begins with Body; what follows can be read once. When the client breaks off, the invocation ends where it is.
func (r *Request) Reader() io.Reader {
	if !r.more {
		return bytes.NewReader(r.Body)
	}
	return io.MultiReader(bytes.NewReader(r.Body), following{})
}

// More reports whether Body is only the beginning of the body; see Reader.
func (r *Request) More() bool { return r.more }

// following reads what follows an event's body.
type following struct{}

func (following) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n := host.BodyRead(b)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// PathNames answers the names of the pattern's parameters, in its order.
func (r *Request) PathNames() []string {
	if r.pattern == nil {
		return nil
	}
	var names []string
	for _, s := range r.pattern.segments {
		if s.kind != literal {
			names = append(names, s.text)
		}
	}
	return names
}

// Header is the first value of a header, whatever the name's case, and empty when it was not sent.
func (r *Request) Header(name string) string {
	value, _ := firstOf(r.Headers, name)
	return value
}

// Query is the first value of a query parameter, decoded, and empty when there is none. As in net/url, a plus sign
// is a space, and a pair that is not percent-encoded or holds a semicolon is ignored.
func (r *Request) Query(name string) string {
	for pair := range strings.SplitSeq(r.RawQuery, "&") {
		if pair == "" || strings.Contains(pair, ";") {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		key, ok := unescape(strings.ReplaceAll(key, "+", " "))
		if !ok || key != name {
			continue
		}
		if value, ok = unescape(strings.ReplaceAll(value, "+", " ")); ok {
			return value
		}
	}
	return ""
}
