package router

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// listen serves r on a loopback socket until the test ends.
func listen(t testing.TB, r *Router) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown() = %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve() = %v", err)
		}
	})
	return ln.Addr().String()
}

// send writes raw bytes on a new connection and answers everything that comes back until the server closes it.
func send(t testing.TB, address, raw string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err = c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(c, raw) }() // the answer may come before all is sent
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("read answer to %.80q: %v", raw, err)
	}
	return string(all)
}

// do sends one request with "Connection: close" added and parses the reply.
func do(t testing.TB, address, method, target string, header ...string) (*http.Response, string) {
	t.Helper()
	raw := method + " " + target + " HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n"
	body := ""
	for _, h := range header {
		if b, found := strings.CutPrefix(h, "body="); found {
			body = b
			h = fmt.Sprintf("Content-Length: %d", len(b))
		}
		raw += h + "\r\n"
	}
	return parse(t, method, send(t, address, raw+"\r\n"+body))
}

func parse(t testing.TB, method, answer string) (*http.Response, string) {
	t.Helper()
	reply, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("parse reply %.200q: %v", answer, err)
	}
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatalf("read body of %.200q: %v", answer, err)
	}
	return reply, string(body)
}

// describe answers with what the function was given.
var describe invoker = func(_ context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s?%s %s v%d %q", e.Method, e.Path, e.Query, v.Function, v.Number, e.Pattern)
	for _, p := range e.Params {
		fmt.Fprintf(&b, " %s=%q", p.Name, p.Value)
	}
	return &abi.Result{Start: abi.Warm, Reply: abi.Reply{Body: []byte(b.String())}}, nil
}

func TestServeRoutes(t *testing.T) {
	shop := live("shop", routes("GET /users", "GET /users/{id}", "POST /users", "/files/{path...}", "GET /slash/",
		"HEAD /head", "GET admin.example/users", "/any", "GET /any"))
	r := newRouter(t, Config{Invoker: describe}, shop, live("plain", registry.Settings{}),
		&registry.Function{App: "blog", Name: "post", Latest: 1, Versions: []registry.Version{{App: "blog", Function: "post", Number: 1}},
			Aliases: map[string][]registry.Weight{"live": {{Version: 1, Weight: 1}}}})
	address := listen(t, r)
	for _, c := range []struct {
		method, target string
		status         int
		want           string // the body, or for other statuses than 200 the Allow or Location header
	}{
		{"GET", "/users", 200, `GET /users? shop v1 "GET /users"`},
		{"GET", "/users?a=1&b=%20", 200, `GET /users?a=1&b=%20 shop v1 "GET /users"`},
		{"GET", "/users/42", 200, `GET /users/42? shop v1 "GET /users/{id}" id="42"`},
		{"GET", "/users/a%2Fb%20c", 200, `GET /users/a%2Fb%20c? shop v1 "GET /users/{id}" id="a/b c"`},
		{"GET", "/files/a/b%2fc", 200, `GET /files/a/b%2fc? shop v1 "/files/{path...}" path="a/b/c"`},
		{"GET", "/files", 200, `GET /files? shop v1 "/files/{path...}" path=""`},
		{"PATCH", "/files/", 200, `PATCH /files/? shop v1 "/files/{path...}" path=""`},
		{"POST", "/users", 200, `POST /users? shop v1 "POST /users"`},
		{"HEAD", "/users", 200, ""},
		{"HEAD", "/head", 200, ""},
		{"GET", "/any", 200, `GET /any? shop v1 "GET /any"`},
		{"PUT", "/any", 200, `PUT /any? shop v1 "/any"`},
		{"OPTIONS", "/any", 200, `OPTIONS /any? shop v1 "/any"`},
		{"DELETE", "/users", 405, "GET, HEAD, OPTIONS, POST"},
		{"OPTIONS", "/users", 204, "GET, HEAD, OPTIONS, POST"},
		{"GET", "/head", 405, "HEAD, OPTIONS"},
		{"OPTIONS", "*", 204, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"},
		{"TRACE", "/users", 405, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"},
		{"GET", "/users/", 308, "/users"},
		{"GET", "/users/?a=b", 308, "/users?a=b"},
		{"POST", "/slash", 404, ""},
		{"GET", "/slash?x", 308, "/slash/?x"},
		{"GET", "/slash/", 200, `GET /slash/? shop v1 "GET /slash/"`},
		{"GET", "http://admin.example/users", 200, `GET /users? shop v1 "GET admin.example/users"`},
		{"GET", "http://ADMIN.example.:8080/users", 200, `GET /users? shop v1 "GET admin.example/users"`},
		{"GET", "http://admin.example/users/7", 200, `GET /users/7? shop v1 "GET /users/{id}" id="7"`},
		{"GET", "/plain", 200, `GET /plain? plain v1 ""`},
		{"GET", "/plain/a/b", 200, `GET /plain/a/b? plain v1 ""`},
		{"DELETE", "/blog/post/1", 200, `DELETE /blog/post/1? post v1 ""`},
		{"GET", "/blog", 404, ""},
		{"GET", "/post", 404, ""},
		{"GET", "/shop", 404, ""}, // it has routes, so no default path
		{"GET", "/", 404, ""},
		{"GET", "//users", 404, ""},
		{"GET", "/users//", 404, ""},
	} {
		reply, body := do(t, address, c.method, c.target)
		got := body
		switch {
		case reply.StatusCode == 405 || reply.StatusCode == 204:
			got = reply.Header.Get("Allow")
		case reply.StatusCode != 200:
			got = reply.Header.Get("Location")
		}
		if reply.StatusCode != c.status || got != c.want {
			t.Errorf("%s %s = %d %q, want %d %q", c.method, c.target, reply.StatusCode, got, c.status, c.want)
		}
		if id := reply.Header.Get("Sett-Invocation-Id"); len(id) != invocationIDBytes {
			t.Errorf("%s %s: Sett-Invocation-Id = %q", c.method, c.target, id)
		}
		if c.method == "HEAD" && reply.ContentLength <= 0 {
			t.Errorf("HEAD %s: Content-Length = %d, want GET's", c.target, reply.ContentLength)
		}
		if reply.StatusCode >= 400 {
			checkProblem(t, reply, body)
		}
	}
}

// checkProblem checks that an error is a problem document that agrees with its reply.
func checkProblem(t testing.TB, reply *http.Response, body string) {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Errorf("problem %q: %v", body, err)
	}
	if reply.Header.Get("Content-Type") != "application/problem+json" || p.Status != reply.StatusCode || p.Code == "" ||
		p.Title == "" || p.Invocation != reply.Header.Get("Sett-Invocation-Id") || p.Type != "about:blank" {
		t.Errorf("problem %s with %v, status %d", body, reply.Header, reply.StatusCode)
	}
}
