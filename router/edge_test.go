package router

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// show answers with the event's headers and body, one a line.
var show invoker = func(_ context.Context, _ *registry.Version, e *abi.Event) (*abi.Result, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s\n", e.Method, e.Host, e.Path, e.Proto)
	for _, h := range e.Headers {
		fmt.Fprintf(&b, "%s=%s\n", h.Name, h.Value)
	}
	b.Write(e.Body)
	return &abi.Result{Start: abi.Warm, Reply: abi.Reply{Body: []byte(b.String())}}, nil
}

// TestServeRawBytes sends what clients and proxies get wrong, or attackers right. Each case is one connection; a
// second request follows in the same bytes, to show whether the first ended where it should.
func TestServeRawBytes(t *testing.T) {
	const next = "GET /next HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
	r := newRouter(t, Config{Invoker: show, MaxBodyBytes: 1000, MaxHeaderBytes: 4096}, live("f", routes("/{path...}")))
	address := listen(t, r)
	for _, c := range []struct {
		name, raw string
		statuses  string // of all replies on the connection
		want      string // in the first body
	}{
		{"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n" + next, "200 200", "GET a / HTTP/1.1"},
		{"HTTP/1.0 without host", "GET / HTTP/1.0\r\n\r\n" + next, "200", "GET  / HTTP/1.0"},
		{"HTTP/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + next, "200 200", ""},
		{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n" + next, "505", ""},
		{"HTTP/0.9", "GET /\r\n\r\n" + next, "400", ""},
		{"missing host", "GET / HTTP/1.1\r\n\r\n" + next, "400", ""},
		{"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n" + next, "400", ""},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + next, "400", ""},
		{"host with userinfo", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" + next, "400", ""},
		{"host with slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" + next, "400", ""},
		{"absolute form wins over host", "GET http://c:8080/p HTTP/1.1\r\nHost: a\r\n\r\n" + next, "200 200", "GET c:8080 /p HTTP/1.1\nHost=c:8080\n"},
		{"absolute form without path", "GET http://c HTTP/1.1\r\nHost: a\r\n\r\n" + next, "200 200", "GET c / HTTP"},
		{"absolute form with userinfo", "GET http://u@c/ HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"absolute form of another scheme", "GET file:///etc HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"absolute URI inside a path", "GET //x?u=http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n" + next, "200 200", "GET a //x HTTP"},
		{"authority form", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"relative path", "GET a HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"space in path", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"CR LF in path", "GET /a\r\nX: b HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"bare CR in path", "GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"encoded CR LF in path stays encoded", "GET /a%0d%0ab HTTP/1.1\r\nHost: a\r\n\r\n" + next, "200 200", "GET a /a%0d%0ab HTTP"},
		{"NUL in path", "GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"encoded NUL", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"bad escape", "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"cut escape", "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"dot segments", "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"encoded dot segments", "GET /a/%2e%2E/b HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"final dot segment", "GET /a/. HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"dots in a name", "GET /a/.b/..c/... HTTP/1.1\r\nHost: a\r\n\r\n" + next, "200 200", ""},
		{"lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"invalid method", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n" + next, "400", ""},
		{"unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n" + next, "200 200", "BREW a /"},
		{"body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + next, "200 200", "Content-Length=3\nabc"},
		{"body of GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + next, "200 200", "Content-Length=3\nabc"},
		{"chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\n\r\n" + next, "200 200", "\nabcd"},
		{"trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Late: 1\r\n\r\n" + next, "200 200", "\na"},
		{"TE and CL", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next, "400", ""},
		{"CL and TE", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + next, "400", ""},
		{"TE in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next, "400", ""},
		{"TE identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n" + next, "400", ""},
		{"TE gzip, chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + next, "400", ""},
		{"TE twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + next, "400", ""},
		{"TE with a tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + next, "200 200", ""},
		{"TE with a vertical tab", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n" + next, "400", ""},
		{"TE with a space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + next, "400", ""},
		{"TE after a folded line", "POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n" + next, "400", ""},
		{"two different CLs", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd" + next, "400", ""},
		{"two equal CLs", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + next, "400", ""},
		{"CL list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc" + next, "400", ""},
		{"signed CL", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc" + next, "400", ""},
		{"hexadecimal CL", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc" + next, "400", ""},
		{"negative CL", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n" + next, "400", ""},
		{"huge CL", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n" + next, "400", ""},
		{"large CL", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n" + next, "413", ""},
		{"large chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + next, "413", ""},
		{"huge chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + next, "400", ""},
		{"bad chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" + next, "400", ""},
		{"negative chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" + next, "400", ""},
		{"chunk longer than its size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + next, "400", ""},
		{"chunk extension with LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\nx\r\na\r\n0\r\n\r\n" + next, "400", ""},
		{"space in a name", "GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n" + next, "400", ""},
		{"space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : z\r\n\r\n" + next, "400", ""},
		{"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n" + next, "400", ""},
		{"no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n" + next, "400", ""},
		{"folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n" + next, "400", ""},
		{"bare LF", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n" + next, "400", ""},
		{"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n" + next, "400", ""},
		{"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: y\x00z\r\n\r\n" + next, "400", ""},
		{"large header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 5000) + "\r\n\r\n" + next, "431", "request header is over the limit of 4096 bytes"},
		{"long path", "GET /" + strings.Repeat("y", 5000) + " HTTP/1.1\r\nHost: a\r\n\r\n" + next, "431", ""},
		{"empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" + next, "200 200", ""},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			answers := bufio.NewReader(strings.NewReader(send(t, address, c.raw)))
			statuses, first := []string{}, ""
			for {
				reply, err := http.ReadResponse(answers, nil)
				if err != nil {
					break
				}
				body, err := io.ReadAll(reply.Body)
				if err != nil {
					t.Fatal(err)
				}
				if len(statuses) == 0 {
					first = string(body)
				}
				statuses = append(statuses, fmt.Sprint(reply.StatusCode))
				if reply.StatusCode >= 400 {
					checkProblem(t, reply, string(body))
				}
			}
			if got := strings.Join(statuses, " "); got != c.statuses || !strings.Contains(first, c.want) {
				t.Errorf("statuses = %q, want %q; first body %q, want %q in it", got, c.statuses, first, c.want)
			}
		})
	}
}

func TestServeHeaders(t *testing.T) {
	address := listen(t, newRouter(t, Config{Invoker: show}, live("f", routes("/{path...}"))))
	_, body := do(t, address, "GET", "/",
		"x-one: 1", "COOKIE: a=1", "X-Two: 2", "cookie: b=2", "x-ONE:  3 \t", "X-Empty:", "X-Utf8: grüße",
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic x", "TE: trailers",
		"Trailer: X-Late", "Upgrade: h2c", "Sett-Trigger: schedule", "sett_trigger: schedule", "Settle: kept",
		"X-Named: gone", "Connection: x-named, keep-alive, close")
	want := "GET shop.example / HTTP/1.1\nHost=shop.example\nX-One=1\nCookie=a=1\nX-Two=2\nCookie=b=2\nX-One=3\nX-Empty=\nX-Utf8=grüße\nSettle=kept\n"
	if body != want {
		t.Errorf("event = %q, want %q", body, want)
	}
}

// TestServeContinue checks that a body announced with Expect is asked for.
func TestServeContinue(t *testing.T) {
	address := listen(t, newRouter(t, Config{Invoker: show, MaxBodyBytes: 100}, live("f", routes("/{path...}"))))
	for _, c := range []struct{ length, body, want string }{
		{"3", "abc", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"},
		{"101", "", "HTTP/1.1 413 Request Entity Too Large\r\n"}, // before the body is sent
	} {
		raw := "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: " + c.length + "\r\n\r\n"
		if got := send(t, address, raw+c.body); !strings.HasPrefix(got, c.want) {
			t.Errorf("answer = %q, want it to begin with %q", got, c.want)
		}
	}
}

// TestServeClientLeaves checks that a client that is gone before its answer costs nothing but the invocation.
func TestServeClientLeaves(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := newRouter(t, Config{Invoker: invoker(func(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
		entered <- struct{}{}
		<-leave
		return &abi.Result{Reply: abi.Reply{Body: make([]byte, 1<<20)}}, nil
	})}, live("f", routes("/")))
	address := listen(t, r)
	for range 3 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-entered
		if err = c.Close(); err != nil {
			t.Fatal(err)
		}
		leave <- struct{}{}
	}
	await(t, "end of connections and invocations whose clients have left", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.conns) == 0 && r.running.Load() == 0
	})
}
