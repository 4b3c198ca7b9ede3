// Package sett makes a Go program a function of a Sett node. Handlers are registered while the program is
// initialised; the program is built as a WASI reactor, whose main never runs:
//
//	func init() {
//		sett.HTTP("GET /hello/{name}", func(w sett.ResponseWriter, r *sett.Request) {
//			w.WriteString("hello, " + r.PathValue("name") + "\n")
//		})
//	}
//
//	func main() {}
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o hello.wasm .
//
// Every invocation starts from the same memory: what initialisation built is there, what an earlier invocation
// left is not. So expensive preparation belongs in package variables and init, and a goroutine that is still
// running when its handler returns is gone.
//
// A panic in a handler is not recovered: it ends the invocation, the client gets 502, and the panic with its
// stack is in the function's log. The package uses the standard library only and compiles on every platform;
// package settest runs handlers in ordinary tests.
package sett

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/sett-run/sett/sdk/abi"
)

// Version is the SDK's version, as a module's description says it: "go/" + Version.
const Version = "0.1.0"

// maxHandleName is the longest name of a Handle, in bytes.
const maxHandleName = 63

// handler runs one HTTP request.
type handler func(ResponseWriter, *Request)

// route is a pattern with its handler.
type route struct {
	pattern
	handler handler
}

// handle is a named handler: JSON in, a reply out.
type handle struct {
	name string
	run  func(ctx context.Context, payload []byte) abi.Reply
}

// table holds what the program registered; it does not change after initialisation.
var table struct {
	routes  []route // a more specific pattern before those it wins over
	handles []handle
	warmups []func()
	stock   any // the allocation that stockUp made last
}

// HTTP answers requests that match a pattern, "[METHOD ][HOST]/path/{id}/{rest...}", with fn. {id} is one segment
// that is not empty, {rest...} everything that follows, also nothing. GET also answers HEAD. The most specific
// pattern that matches a request answers it. When the module is deployed without routes of its own, its patterns
// become its routes.
//
// Call it from init or before Main, not from a handler. It panics when the pattern is malformed or ties with
// another one: some request matches both, and neither is more specific.
func HTTP(pattern string, fn func(w ResponseWriter, r *Request)) {
	p, fault := parsePattern(pattern)
	if fault != "" {
		panic("sett: HTTP(" + strconv.Quote(pattern) + "): " + fault)
	}
	if fn == nil {
		panic("sett: HTTP(" + strconv.Quote(pattern) + "): the handler is nil")
	}
	if len(table.routes) == abi.MaxPatterns {
		panic("sett: HTTP(" + strconv.Quote(pattern) + "): more than " + strconv.Itoa(abi.MaxPatterns) + " patterns")
	}
	at := len(table.routes)
	for i := range table.routes {
		q := &table.routes[i].pattern
		if p.conflicts(q) {
			panic("sett: HTTP(" + strconv.Quote(pattern) + "): ties with " + strconv.Quote(q.text))
		}
		if at == len(table.routes) && p.compare(q) < 0 {
			at = i
		}
	}
	table.routes = append(table.routes, route{})
	copy(table.routes[at+1:], table.routes[at:])
	table.routes[at] = route{p, fn}
}

// Handle registers a named handler of JSON payloads, as AWS Lambda has them. A deployment chooses it by its name:
// the handler of function "resize" in sett.yaml is "images.resize" for the Handle "resize" of module images.
//
// The payload is decoded into I as encoding/json does; an empty one leaves I zero, and one that does not fit
// answers 400 without calling fn. O is encoded as the reply's body. An error fails the invocation: its message
// goes to the function's log, an HTTP client gets 502, an event source tries again.
//
// A name has 1 to 63 ASCII letters, digits, _ and -. Handle panics when it is malformed or taken. Call it from
// init or before Main, not from a handler.
func Handle[I, O any](name string, fn func(ctx context.Context, in I) (O, error)) {
	if fn == nil {
		panic("sett: Handle(" + strconv.Quote(name) + "): the handler is nil")
	}
	table.warmups = append(table.warmups, learn[I, O])
	addHandle(name, func(ctx context.Context, payload []byte) abi.Reply {
		var in I
		if len(payload) > 0 {
			if err := json.Unmarshal(payload, &in); err != nil {
				return badPayload(err)
			}
		}
		out, err := fn(ctx, in)
		if err != nil {
			return failure(err)
		}
		body, err := json.Marshal(out)
		if err != nil {
			return failure(err)
		}
		return abi.Reply{Headers: []abi.Field{{Name: "Content-Type", Value: "application/json"}}, Body: body}
	})
}

// learn has encoding/json look at a Handle's types, which takes it ten times as long as a small payload does: what it
// finds is in the memory that every invocation starts from. Types with methods of their own may fail here.
func learn[I, O any]() {
	defer func() { _ = recover() }()
	var in I
	var out O
	_, _ = json.Marshal(out)
	_ = json.Unmarshal([]byte("{}"), &in)
}

func addHandle(name string, run func(context.Context, []byte) abi.Reply) {
	if !validHandle(name) {
		panic("sett: Handle(" + strconv.Quote(name) + "): a name has 1 to 63 ASCII letters, digits, _ and -")
	}
	for i := range table.handles {
		if table.handles[i].name == name {
			panic("sett: Handle(" + strconv.Quote(name) + "): the name is taken")
		}
	}
	if len(table.handles) == abi.MaxHandles {
		panic("sett: Handle(" + strconv.Quote(name) + "): more than " + strconv.Itoa(abi.MaxHandles) + " handles")
	}
	table.handles = append(table.handles, handle{name, run})
}

func validHandle(name string) bool {
	for _, c := range []byte(name) {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return name != "" && len(name) <= maxHandleName
}

// badPayload answers a payload that is not what the Handle takes.
func badPayload(err error) abi.Reply {
	body, _ := json.Marshal(map[string]any{ // text and a number cannot fail
		"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "payload: " + err.Error(),
	})
	return abi.Reply{Status: 400, Headers: []abi.Field{{Name: "Content-Type", Value: problemType}}, Body: body}
}

// failure answers a handler's error. The message is never empty, since an empty one would mean success.
func failure(err error) abi.Reply {
	message := err.Error()
	if message == "" {
		message = "the handler returned an error without a message"
	}
	return abi.Reply{Error: message}
}
