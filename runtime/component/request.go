package component

import (
	"slices"
	"strings"
	"time"

	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero/api"
)

// outgoingRequest is a request that is made. Texts that are empty are not given.
type outgoingRequest struct {
	method, scheme, authority, path string
	texts                           int // bytes of these, counted as held
	fields                          *fields
	body                            outgoingBody
}

func (*outgoingRequest) resource() string { return "outgoing-request" }

func (r *outgoingRequest) drop(c *Call) {
	r.fields.drop(c)
	r.body.dropTrailers(c)
	c.free(len(r.body.b) + r.texts)
}

// request is the request as it is sent.
func (r *outgoingRequest) request() *abi.FetchRequest {
	scheme, path := r.scheme, r.path
	if scheme == "" {
		scheme = "https"
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	out := &abi.FetchRequest{Method: r.method, URL: scheme + "://" + r.authority + path, Body: r.body.b, Trailers: r.body.trailing()}
	for _, h := range r.fields.list {
		switch strings.ToLower(h.Name) {
		case "content-length", "te", "trailer": // the client's to set
		default:
			out.Headers = append(out.Headers, h)
		}
	}
	return out
}

func requestFunctions() []function {
	return append(group(typesName,
		function{"[constructor]outgoing-request", "i:i", false, func(c *Call, p []uint64) {
			r := &outgoingRequest{fields: take[*fields](c, p[0])}
			r.set(c, &r.method, "GET")
			r.body.expect(r.fields)
			p[0] = uint64(c.own(r, 0))
		}},
		function{"[method]outgoing-request.body", "ii:", false, func(c *Call, p []uint64) {
			r := use[*outgoingRequest](c, p[0])
			r.body.request = true
			c.openBody(p[1], &r.body, abi.MaxFetchRequestBytes)
		}},
		function{"[method]outgoing-request.method", "ii:", true, func(c *Call, p []uint64) {
			c.putMethod(c.at(p[1], 4), use[*outgoingRequest](c, p[0]).method)
		}},
		function{"[method]outgoing-request.set-method", "iiii:i", false, setMethod},
		function{"[method]outgoing-request.path-with-query", "ii:", true, optional(func(r *outgoingRequest) *string { return &r.path })},
		function{"[method]outgoing-request.set-path-with-query", "iiii:i", false, setOptional(func(r *outgoingRequest) *string { return &r.path })},
		function{"[method]outgoing-request.scheme", "ii:", true, func(c *Call, p []uint64) {
			r, at := use[*outgoingRequest](c, p[0]), c.at(p[1], 4)
			if r.scheme == "" {
				c.put8(at, 0)
				return
			}
			c.putScheme(at, r.scheme)
		}},
		function{"[method]outgoing-request.set-scheme", "iiiii:i", false, setScheme},
		function{"[method]outgoing-request.authority", "ii:", true, optional(func(r *outgoingRequest) *string { return &r.authority })},
		function{"[method]outgoing-request.set-authority", "iiii:i", false, setOptional(func(r *outgoingRequest) *string { return &r.authority })},
		function{"[method]outgoing-request.headers", "i:i", false, func(c *Call, p []uint64) {
			p[0] = uint64(c.own(use[*outgoingRequest](c, p[0]).fields.frozen(), uint32(p[0])))
		}},
	), dropped[*outgoingRequest]())
}

// optional is a function that answers a text of a request.
func optional(text func(*outgoingRequest) *string) func(*Call, []uint64) {
	return func(c *Call, p []uint64) {
		s, at := *text(use[*outgoingRequest](c, p[0])), c.at(p[1], 4)
		if s == "" {
			c.put8(at, 0)
			return
		}
		c.putSome(at, s)
	}
}

// setOptional is a function that sets a text of a request, which has to fit in a URL.
func setOptional(text func(*outgoingRequest) *string) func(*Call, []uint64) {
	return func(c *Call, p []uint64) {
		r, s := use[*outgoingRequest](c, p[0]), ""
		if api.DecodeU32(p[1]) == 1 {
			s = c.text(p[2], p[3])
		}
		to := text(r)
		if len(s) > abi.MaxURLBytes || !isURLText(s) || to == &r.authority && strings.ContainsAny(s, "/?#@") {
			p[0] = 1
			return
		}
		r.set(c, to, s)
		p[0] = 0
	}
}

// set changes a text of the request, which counts as held.
func (r *outgoingRequest) set(c *Call, to *string, s string) {
	n := len(s) - len(*to)
	c.hold(n)
	r.texts += n
	*to = s
}

// isURLText says whether s has no character that ends a URL.
func isURLText(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f || s[i] == '#' {
			return false
		}
	}
	return true
}

func setMethod(c *Call, p []uint64) {
	r := use[*outgoingRequest](c, p[0])
	i, method := api.DecodeU32(p[1]), ""
	switch list := methods(); {
	case int(i) < len(list):
		method = list[i]
	case int(i) == len(list):
		method = c.text(p[2], p[3])
	default:
		trap("method %d is unknown", i)
	}
	if !abi.ValidHeader(abi.Field{Name: method}) {
		p[0] = 1
		return
	}
	r.set(c, &r.method, method)
	p[0] = 0
}

func setScheme(c *Call, p []uint64) {
	r := use[*outgoingRequest](c, p[0])
	scheme := ""
	if api.DecodeU32(p[1]) == 1 {
		switch api.DecodeU32(p[2]) {
		case 0:
			scheme = "http"
		case 1:
			scheme = "https"
		default:
			scheme = c.text(p[3], p[4])
		}
	}
	if !isURLText(scheme) || strings.ContainsAny(scheme, ":/") {
		p[0] = 1
		return
	}
	r.set(c, &r.scheme, scheme)
	p[0] = 0
}

// requestOptions are timeouts, in nanoseconds, in the order connect, first byte, between bytes.
type requestOptions struct {
	nothing
	timeouts [3]*uint64
}

func (*requestOptions) resource() string { return "request-options" }

// limit is how long a whole reply may take; 0: as long as the invocation.
func (o *requestOptions) limit() (d time.Duration) {
	if first := o.timeouts[1]; first != nil {
		d = time.Duration(min(*first, uint64(maxLimit)))
		if connect := o.timeouts[0]; connect != nil {
			d += time.Duration(min(*connect, uint64(maxLimit)))
		}
		d = max(d, 1)
	}
	return d
}

func optionFunctions() []function {
	list := []function{{"[constructor]request-options", ":i", false, func(c *Call, p []uint64) {
		p[0] = uint64(c.own(new(requestOptions), 0))
	}}}
	for i, name := range []string{"connect-timeout", "first-byte-timeout", "between-bytes-timeout"} {
		list = append(list, function{"[method]request-options." + name, "ii:", false, func(c *Call, p []uint64) {
			v, at := use[*requestOptions](c, p[0]).timeouts[i], c.at(p[1], 8)
			if v == nil {
				c.put8(at, 0)
				return
			}
			c.put8(at, 1)
			c.put64(at+8, *v)
		}}, function{"[method]request-options.set-" + name, "iil:i", false, func(c *Call, p []uint64) {
			o := use[*requestOptions](c, p[0])
			o.timeouts[i] = nil
			if api.DecodeU32(p[1]) == 1 {
				v := p[2]
				o.timeouts[i] = &v
			}
			p[0] = 0
		}})
	}
	return slices.Concat(group(typesName, list...), []function{dropped[*requestOptions]()})
}
