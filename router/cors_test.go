package router

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// sharing is a function that says itself who may read its replies, in the wrong way.
var sharing invoker = func(_ context.Context, _ *registry.Version, e *abi.Event) (*abi.Result, error) {
	if e.Path == "/fails" {
		return &abi.Result{}, abi.WithCode(abi.FunctionFailed, errFailed)
	}
	return &abi.Result{Reply: abi.Reply{Body: []byte("ran"), Headers: []abi.Field{
		{Name: "access-control-allow-origin", Value: "https://own.example"}, {Name: "X-Own", Value: "kept"}}}}, nil
}

func TestCors(t *testing.T) {
	shop := &registry.Cors{Origins: []string{"https://shop.example"}, Headers: []string{"Content-Type", "X-Key"},
		Expose: []string{"X-Own"}, Credentials: true, MaxAgeSeconds: 600}
	open := &registry.Cors{Origins: []string{"*"}, Methods: []string{"*"}, Headers: []string{"*"}}
	s := registry.Settings{Routes: []registry.Route{
		{Pattern: "GET /items", Cors: shop}, {Pattern: "POST /items", Cors: shop}, {Pattern: "/open", Cors: open},
		{Pattern: "GET /fails", Cors: shop}, {Pattern: "GET /none"},
	}}
	address := listen(t, newRouter(t, Config{Invoker: sharing}, live("f", s)))
	const from, elsewhere = "Origin: https://shop.example", "Origin: https://evil.example"
	for _, c := range []struct {
		method, path, headers string // headers by |
		status                int
		want                  string // those of CORS in the reply, and Vary
	}{
		{"GET", "/items", from, 200, "allow-origin=https://shop.example allow-credentials=true expose-headers=X-Own vary=Origin"},
		{"GET", "/items", elsewhere, 200, "vary=Origin"},
		{"GET", "/items", "", 200, "vary=Origin"},
		{"GET", "/fails", from, 502, "allow-origin=https://shop.example allow-credentials=true expose-headers=X-Own vary=Origin"},
		{"GET", "/open", elsewhere, 200, "allow-origin=*"},
		{"GET", "/none", from, 200, "allow-origin=https://own.example"},
		{"OPTIONS", "/items", from + "|Access-Control-Request-Method: POST|Access-Control-Request-Headers: x-key", 204,
			"allow-origin=https://shop.example allow-credentials=true expose-headers=X-Own allow-methods=GET, POST " +
				"allow-headers=Content-Type, X-Key max-age=600 vary=Origin"},
		{"OPTIONS", "/items", elsewhere + "|Access-Control-Request-Method: POST", 204, "vary=Origin"},
		{"OPTIONS", "/open", elsewhere + "|Access-Control-Request-Method: PUT|Access-Control-Request-Headers: x-a, x-b", 204,
			"allow-origin=* allow-methods=PUT allow-headers=x-a, x-b vary=Access-Control-Request-Headers"},
		{"OPTIONS", "/items", from, 204, ""}, // no preflight: what is allowed at all
		{"OPTIONS", "/open", "", 200, "allow-origin=*"},
		{"OPTIONS", "/none", from + "|Access-Control-Request-Method: GET", 204, ""},
	} {
		var headers []string
		if c.headers != "" {
			headers = strings.Split(c.headers, "|")
		}
		reply, _ := do(t, address, c.method, c.path, headers...)
		if got := corsOf(reply); reply.StatusCode != c.status || got != c.want {
			t.Errorf("%s %s with %q = %d %q, want %d %q", c.method, c.path, c.headers, reply.StatusCode, got, c.status, c.want)
		}
	}
}

// TestCorsOfRefusals: a page may read why its request was refused before a function had it.
func TestCorsOfRefusals(t *testing.T) {
	shop := &registry.Cors{Origins: []string{"https://shop.example"}}
	settings := registry.Settings{Routes: []registry.Route{{Pattern: "POST /items", Cors: shop}, {Pattern: "GET /"}}}
	entered, release := make(chan struct{}), make(chan struct{})
	var holds invoker = func(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
		close(entered)
		<-release
		return new(abi.Result), nil
	}
	r := newRouter(t, Config{Invoker: holds, MaxBodyBytes: 10}, live("f", settings))
	address := listen(t, r)
	const head, rest = "POST /items HTTP/1.1\r\nHost: a\r\n", "Origin: https://shop.example\r\nContent-Length: "
	may := func(w *wire, status int) {
		t.Helper()
		reply := w.reply(t, "POST")
		if got := corsOf(reply); reply.StatusCode != status || got != "allow-origin=https://shop.example vary=Origin" {
			t.Errorf("reply = %d %q, want %d that the page may read", reply.StatusCode, got, status)
		}
	}
	may(dial(t, address, head+rest+"11\r\n\r\nelevenbytes"), 413)
	late := dial(t, address, head)
	dial(t, address, get)
	<-entered
	ended := shutdown(t, r)
	io.WriteString(late, rest+"4\r\n\r\nlate")
	may(late, 503)
	close(release)
	ended()
}

// TestCorsMethods: a preflight tells the methods of the routes that share as the one that is asked for does, which a browser
// keeps, and that one's own.
func TestCorsMethods(t *testing.T) {
	shop, other := &registry.Cors{Origins: []string{"https://shop.example"}}, &registry.Cors{Origins: []string{"https://other.example"}}
	s := registry.Settings{Routes: []registry.Route{
		{Pattern: "GET /items", Cors: shop}, {Pattern: "PUT /items", Cors: &registry.Cors{Origins: []string{"https://shop.example"}}},
		{Pattern: "DELETE /items"}, {Pattern: "POST /items", Cors: other}, {Pattern: "/items", Cors: shop},
	}}
	address := listen(t, newRouter(t, Config{Invoker: sharing}, live("f", s)))
	for method, want := range map[string]string{
		"GET": "GET, PUT", "PUT": "GET, PUT", "HEAD": "GET, HEAD, PUT", "PATCH": "GET, PATCH, PUT", "DELETE": "", "POST": "",
	} {
		reply, _ := do(t, address, "OPTIONS", "/items", "Origin: https://shop.example", "Access-Control-Request-Method: "+method)
		got := strings.Split(reply.Header.Get("Access-Control-Allow-Methods"), ", ")
		slices.Sort(got)
		if strings.Join(got, ", ") != want {
			t.Errorf("preflight for %s tells %q, want %q", method, got, want)
		}
	}
}

// corsOf is the headers of a reply that are about CORS, in one line.
func corsOf(reply *http.Response) string {
	var all []string
	for _, name := range []string{"Allow-Origin", "Allow-Credentials", "Expose-Headers", "Allow-Methods", "Allow-Headers", "Max-Age"} {
		if v := reply.Header.Values("Access-Control-" + name); len(v) > 0 {
			all = append(all, strings.ToLower(name)+"="+strings.Join(v, "|"))
		}
	}
	if v := reply.Header.Values("Vary"); len(v) > 0 {
		all = append(all, "vary="+strings.Join(v, "|"))
	}
	return strings.Join(all, " ")
}

func TestRequestSchema(t *testing.T) {
	schema := json.RawMessage(`{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0}}}`)
	s := registry.Settings{Routes: []registry.Route{
		{Pattern: "POST /users", Schemas: map[string]json.RawMessage{"application/json": schema}},
	}}
	address := listen(t, newRouter(t, Config{Invoker: describe}, live("f", s)))
	const asJSON = "Content-Type: application/json; charset=utf-8"
	for _, c := range []struct {
		kind, body string
		status     int
		want       string // part of the detail
	}{
		{asJSON, `{"name":"Ada","age":36}`, 200, ""},
		{asJSON, `{"age":-1}`, 400, "missing property 'name'"},
		{asJSON, `{"name":7}`, 400, "/name: got number, want string"},
		{asJSON, `{"name":"Ada"`, 400, "not JSON"},
		{asJSON, ``, 400, "not JSON"},
		{"X-Nothing: 1", `{"name":7}`, 400, "/name"},
		{"Content-Type: text/plain", `not looked at`, 200, ""},
	} {
		reply, body := do(t, address, "POST", "/users", c.kind, "body="+c.body)
		if reply.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("POST %q as %q = %d %s, want %d with %q", c.body, c.kind, reply.StatusCode, body, c.status, c.want)
		}
		if c.status == 400 {
			checkProblem(t, reply, body)
		}
	}
	var many []string
	for _, name := range strings.Split("abcdefghijklmnop", "") {
		many = append(many, `"`+name+`"`)
	}
	all, err := compile(map[string]json.RawMessage{"application/json": json.RawMessage(`{"required":[` + strings.Join(many, ",") + `],"properties":{"name":{"type":"string"}},"additionalProperties":{"type":"integer"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]string{"name": "x"}
	for _, n := range strings.Split("abcdefghijklmnop", "") {
		body[n] = "no"
	}
	text, _ := json.Marshal(body) // strings
	if err := all.check(&abi.Event{Body: text}); err == nil || !strings.Contains(err.Error(), "and 6 more") {
		t.Errorf("check() of 16 faults = %v, want %d of them and how many more", err, maxViolations)
	}
}
