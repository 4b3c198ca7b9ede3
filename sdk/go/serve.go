package sett

import (
	"errors"
	"slices"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// guest is what one invocation needs, made before the first one and side by side: a small request allocates little, and
// so writes few of the pages that the instance shares with its image. It runs one invocation at a time.
type guest struct {
	event    abi.Event
	ctx      invocation
	request  Request
	response response
	target   target

	values  [8]string
	params  [8]abi.Field
	headers [32]abi.Field // of the request
	fields  [16]abi.Field // of the reply
	body    [nearBytes]byte
	out     [nearBytes]byte
}

// nearBytes is what an event, a reply and its body may take before the guest looks for memory elsewhere.
const nearBytes = 1 << 10

func newGuest() *guest {
	g := new(guest)
	g.prepare()
	return g
}

func (g *guest) prepare() {
	g.event.Headers, g.event.Params = g.headers[:0], g.params[:0]
	g.response.body, g.response.header.fields = g.body[:0], g.fields[:0]
	g.request.values = g.values[:0]
}

// handle runs the invocation that event, a message, asks for. The reply is valid until the next call, and nil when it was sent
// in pieces.
func (g *guest) handle(event []byte) (reply []byte, err error) {
	if err := abi.ReadEvent(event, &g.event); err != nil {
		return nil, err
	}
	g.response.flush, g.response.pieces = nil, true
	r := g.serve()
	if g.response.flush != nil {
		g.response.flush()
		return nil, nil
	}
	return abi.AppendReply(g.out[:0], &r), nil
}

// describe answers the module's description, a message.
func describe() []byte {
	d := abi.Description{ABI: abi.Version, SDK: "go/" + Version}
	for i := range table.handles {
		d.Handles = append(d.Handles, table.handles[i].name)
	}
	for i := range table.routes {
		d.Patterns = append(d.Patterns, table.routes[i].text)
	}
	return abi.AppendDescription(nil, &d)
}

// serve runs the handler that g's event is for. The reply is valid until the next call.
func (g *guest) serve() abi.Reply {
	g.ctx.begin(&g.event)
	defer g.ctx.end()
	if g.event.Handler == "" && len(table.routes) > 0 {
		return g.serveHTTP()
	}
	h, err := findHandle(g.event.Handler)
	if err != nil {
		return failure(err)
	}
	return h.run(&g.ctx, g.event.Body)
}

// findHandle answers the named Handle. A module whose only handler is a Handle needs no name.
func findHandle(name string) (*handle, error) {
	for i := range table.handles {
		if h := &table.handles[i]; h.name == name || name == "" && len(table.handles) == 1 {
			return h, nil
		}
	}
	names := make([]string, len(table.handles))
	for i := range table.handles {
		names[i] = table.handles[i].name
	}
	switch {
	case name != "":
		return nil, errors.New("the module has no Handle " + name + "; it has [" + strings.Join(names, " ") + "]")
	case len(names) > 0:
		return nil, errors.New("no Handle is named, and the module has [" + strings.Join(names, " ") + "]")
	}
	return nil, errors.New("the module registers no handlers; call sett.HTTP or sett.Handle from init")
}

func (g *guest) serveHTTP() abi.Reply {
	e := &g.event
	if !g.target.parse(e.Host, e.Path) {
		return problem(400, "Bad Request")
	}
	found, allow := find(e.Method, &g.target)
	if found == nil {
		return unmatched(e, allow)
	}
	r := &g.request
	r.Method, r.Path, r.RawQuery, r.Host, r.Scheme, r.Proto, r.Remote = e.Method, e.Path, e.Query, e.Host, e.Scheme, e.Proto, e.Remote
	r.Headers, r.Params, r.Body, r.more, r.ctx = e.Headers, e.Params, e.Body, e.More, &g.ctx
	r.pattern, r.values = &found.pattern, found.values(r.values[:0], &g.target)
	g.response.reset()
	found.handler(&g.response, r)
	return g.response.reply()
}

// unmatched answers a request that no pattern answers; allow holds the methods its path has.
func unmatched(e *abi.Event, allow []string) abi.Reply {
	if len(allow) > 0 {
		header := abi.Field{Name: "Allow", Value: allowed(allow)}
		if e.Method == "OPTIONS" {
			return abi.Reply{Status: 204, Headers: []abi.Field{header}}
		}
		r := problem(405, "Method Not Allowed")
		r.Headers = append(r.Headers, header)
		return r
	}
	if other, ok := otherSlash(e); ok {
		return abi.Reply{Status: 308, Headers: []abi.Field{{Name: "Location", Value: other}}}
	}
	return problem(404, "Not Found")
}

// allowed is the Allow header for a path with these methods.
func allowed(methods []string) string {
	all := append([]string{"OPTIONS"}, methods...)
	if slices.Contains(methods, "GET") {
		all = append(all, "HEAD")
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// otherSlash answers where a request belongs whose path is only known with, or without, a slash at its end. A path
// that starts with two slashes would be another host's address in a Location header, and a backslash is a slash
// to browsers.
func otherSlash(e *abi.Event) (location string, ok bool) {
	path, had := strings.CutSuffix(e.Path, "/")
	if !had {
		path += "/"
	}
	if len(path) == 0 || len(path) > 1 && (path[1] == '/' || path[1] == '\\') {
		return "", false
	}
	var t target
	if !t.parse(e.Host, path) {
		return "", false
	}
	if found, allow := find(e.Method, &t); found == nil && allow == nil {
		return "", false
	}
	if e.Query != "" {
		path += "?" + e.Query
	}
	return path, true
}
