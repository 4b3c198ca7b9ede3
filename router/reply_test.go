package router

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// lines are what a Sink took.
type lines struct{ got []abi.Line }

func (l *lines) Write(line abi.Line) { l.got = append(l.got, line) }

func TestServeReply(t *testing.T) {
	f := func(pairs ...string) (fields []abi.Field) {
		for i := 0; i < len(pairs); i += 2 {
			fields = append(fields, abi.Field{Name: pairs[i], Value: pairs[i+1]})
		}
		return fields
	}
	large := bytes.Repeat([]byte("x"), 1001)
	var reply abi.Reply
	var fault error
	log := new(lines)
	r := newRouter(t, Config{MaxReplyBytes: 1000, Sink: log, Invoker: invoker(
		func(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
			result := &abi.Result{Start: abi.Cold, Reply: reply}
			return result, fault
		})}, live("f", routes("/raw")), live("h", func() registry.Settings {
		s := routes("/handle")
		s.Handler = "h"
		return s
	}()))
	address := listen(t, r)
	for _, c := range []struct {
		name, method, path string
		reply              abi.Reply
		err                error
		status             int
		header             string // "Name: value" lines that must be there, or with "no " before a name must not
		body               string
		logged             string
	}{
		{"empty", "GET", "/raw", abi.Reply{}, nil, 200, "Content-Length: 0\nno Content-Type\nSett-Start: cold", "", ""},
		{"text", "GET", "/raw", abi.Reply{Body: []byte("hi")}, nil, 200, "Content-Type: text/plain; charset=utf-8\nContent-Length: 2", "hi", ""},
		{"JSON of a Handle", "GET", "/handle", abi.Reply{Body: []byte("{}")}, nil, 200, "Content-Type: application/json", "{}", ""},
		{"own type", "GET", "/handle", abi.Reply{Headers: f("content-type", "a/b"), Body: []byte("x")}, nil, 200, "Content-Type: a/b", "x", ""},
		{"cookies", "GET", "/raw", abi.Reply{Headers: f("Set-Cookie", "a=1; Path=/", "X-A", "1", "set-cookie", "a=2", "X-A", "2")}, nil, 200,
			"Set-Cookie: a=1; Path=/\nSet-Cookie: a=2\nX-A: 1\nX-A: 2", "", ""},
		{"status", "GET", "/raw", abi.Reply{Status: 418, Body: []byte("tea")}, nil, 418, "", "tea", ""},
		{"guest's 500 is its own", "GET", "/raw", abi.Reply{Status: 500, Body: []byte("oops")}, nil, 500, "no X-Never", "oops", ""},
		{"204 has no body", "GET", "/raw", abi.Reply{Status: 204, Body: []byte("x")}, nil, 204, "no Content-Length\nno Content-Type", "", ""},
		{"304 has no body", "GET", "/raw", abi.Reply{Status: 304, Headers: f("ETag", `"e"`, "Content-Length", "0"), Body: nil}, nil, 304, "Etag: \"e\"\nno Content-Length", "", ""},
		{"205 has no body", "GET", "/raw", abi.Reply{Status: 205, Body: []byte("x")}, nil, 205, "Content-Length: 0", "", ""},
		{"HEAD drops the body", "HEAD", "/raw", abi.Reply{Body: []byte("hello")}, nil, 200, "Content-Length: 5\nContent-Type: text/plain; charset=utf-8", "", ""},
		{"HEAD's own length", "HEAD", "/raw", abi.Reply{Headers: f("Content-Length", "123")}, nil, 200, "Content-Length: 123", "", ""},
		{"true length", "GET", "/raw", abi.Reply{Headers: f("Content-Length", "2"), Body: []byte("hi")}, nil, 200, "Content-Length: 2", "hi", ""},
		{"wrong length", "GET", "/raw", abi.Reply{Headers: f("Content-Length", "3"), Body: []byte("hi")}, nil, 502, "", "", `Content-Length "3": the body has 2 bytes`},
		{"length of letters", "GET", "/raw", abi.Reply{Headers: f("content-length", "2, 2"), Body: []byte("hi")}, nil, 502, "", "", "Content-Length"},
		{"hop-by-hop", "GET", "/raw", abi.Reply{Headers: f("Connection", "X-Gone, close", "x-gone", "1", "Keep-Alive", "1", "Transfer-Encoding", "chunked",
			"Upgrade", "h2c", "TE", "x", "Trailer", "X-T", "Proxy-Authenticate", "x", "Sett-Invocation-Id", "forged", "sett-start", "warm", "Date", "never", "X-Kept", "1")}, nil, 200,
			"no X-Gone\nno Keep-Alive\nno Transfer-Encoding\nno Upgrade\nno Te\nno Trailer\nno Proxy-Authenticate\nX-Kept: 1\nSett-Start: cold", "", ""},
		{"coding twice", "GET", "/raw", abi.Reply{Headers: f("Content-Encoding", "gzip", "content-encoding", "br")}, nil, 200, "Content-Encoding: gzip, br", "", ""},
		{"server", "GET", "/raw", abi.Reply{Headers: f("Server", "mine")}, nil, 200, "Server: mine", "", ""},
		{"CR LF in a value", "GET", "/raw", abi.Reply{Headers: f("X", "a\r\nSet-Cookie: b=1")}, nil, 502, "no Set-Cookie\nno X", "", "header X: its value holds a control character"},
		{"LF in a value", "GET", "/raw", abi.Reply{Headers: f("X", "a\nb")}, nil, 502, "no X", "", "control character"},
		{"NUL in a value", "GET", "/raw", abi.Reply{Headers: f("X", "a\x00b")}, nil, 502, "no X", "", "control character"},
		{"CR LF in a name", "GET", "/raw", abi.Reply{Headers: f("X\r\nY", "a")}, nil, 502, "no Y", "", "not a header name"},
		{"colon in a name", "GET", "/raw", abi.Reply{Headers: f("X:", "a")}, nil, 502, "", "", "not a header name"},
		{"empty name", "GET", "/raw", abi.Reply{Headers: f("", "a")}, nil, 502, "", "", "not a header name"},
		{"100", "GET", "/raw", abi.Reply{Status: 100}, nil, 502, "", "", "status 100"},
		{"101", "GET", "/raw", abi.Reply{Status: 101, Headers: f("Upgrade", "websocket")}, nil, 502, "no Upgrade", "", "status 101"},
		{"600", "GET", "/raw", abi.Reply{Status: 600}, nil, 502, "", "", "status 600"},
		{"negative status", "GET", "/raw", abi.Reply{Status: -1}, nil, 502, "", "", "status -1"},
		{"large body", "GET", "/raw", abi.Reply{Body: large}, nil, 502, "", "", "body of 1001 bytes"},
		{"largest body", "GET", "/raw", abi.Reply{Body: large[1:]}, nil, 200, "Content-Length: 1000", string(large[1:]), ""},
		{"large headers", "GET", "/raw", abi.Reply{Headers: f("X", strings.Repeat("x", MaxReplyHeaderBytes))}, nil, 502, "", "", "headers: more than"},
		{"handler's error", "GET", "/raw", abi.Reply{Error: "secret detail"}, nil, 502, "Sett-Start: cold", "", ""},
		{"function failed", "GET", "/raw", abi.Reply{}, abi.WithCode(abi.FunctionFailed, errors.New("function failed")), 502, "Sett-Start: cold", "", ""},
		{"timeout", "GET", "/raw", abi.Reply{}, abi.WithCode(abi.Timeout, errors.New("deadline passed")), 504, "", "", ""},
		{"reply over the guest's limit", "GET", "/raw", abi.Reply{}, abi.WithCode(abi.TooLarge, errors.New("reply too large")), 502, "", "", ""},
		{"unavailable", "GET", "/raw", abi.Reply{}, abi.WithCode(abi.Unavailable, errors.New("starting")), 503, "Retry-After: 1", "", ""},
		{"without a code", "GET", "/raw", abi.Reply{}, errors.New("secret path /x"), 500, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			reply, fault, log.got = c.reply, c.err, nil
			got, body := do(t, address, c.method, c.path)
			if got.StatusCode != c.status {
				t.Errorf("status = %d, want %d", got.StatusCode, c.status)
			}
			checkHeader(t, got.Header, c.header)
			if got.StatusCode >= 400 && (c.err != nil || c.reply.Error != "" || c.logged != "") {
				checkProblem(t, got, body)
				if strings.Contains(body, "secret") {
					t.Errorf("body %q tells the client what it must not know", body)
				}
			} else if body != c.body {
				t.Errorf("body = %q, want %q", body, c.body)
			}
			if c.logged == "" && len(log.got) > 0 || c.logged != "" && (len(log.got) != 1 || !strings.Contains(log.got[0].Message, c.logged)) {
				t.Errorf("logged %v, want %q", log.got, c.logged)
			}
			if len(log.got) > 0 && (log.got[0].Function != "f" || log.got[0].Invocation != got.Header.Get("Sett-Invocation-Id")) {
				t.Errorf("logged %+v, want function f and invocation %s", log.got[0], got.Header.Get("Sett-Invocation-Id"))
			}
		})
	}
}

// checkHeader checks lines "Name: value", in their order among lines of that name, and "no Name".
func checkHeader(t *testing.T, h http.Header, want string) {
	t.Helper()
	wanted := http.Header{}
	for line := range strings.Lines(want) {
		line = strings.TrimSuffix(line, "\n")
		if name, found := strings.CutPrefix(line, "no "); found {
			if _, there := h[name]; there {
				t.Errorf("header %s = %q, want none", name, h[name])
			}
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		wanted[name] = append(wanted[name], value)
	}
	for name, values := range wanted {
		if strings.Join(h[name], "|") != strings.Join(values, "|") {
			t.Errorf("header %s = %q, want %q", name, h[name], values)
		}
	}
}

// FuzzReplyHeader looks for a header that gets past checkReply and is more than one line on the wire.
func FuzzReplyHeader(f *testing.F) {
	for _, s := range []string{"X", "x-y", "a\r\nb", "a: b", "Content-Type", "Set-Cookie", "Trailer", "Server", "é", "\x00", ""} {
		f.Add(s, s, 200)
	}
	var reply abi.Reply
	r := newRouter(f, Config{Invoker: invoker(func(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
		return &abi.Result{Start: abi.Warm, Reply: reply}, nil
	})}, live("f", routes("/")))
	f.Fuzz(func(t *testing.T, name, value string, status int) {
		reply = abi.Reply{Status: status, Headers: []abi.Field{{Name: name, Value: value}, {Name: "X-Last", Value: "1"}}, Body: []byte("body")}
		var wire capture
		_ = r.server.ServeConn(&replay{request: "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", n: 1, wire: &wire})
		head, _, found := strings.Cut(string(wire), "\r\n\r\n")
		if !found {
			t.Fatalf("reply %q has no end of its header", wire)
		}
		own := 0
		for line := range strings.SplitSeq(head, "\r\n") {
			field, _, _ := strings.Cut(line, ":")
			switch field {
			case "Date", "Content-Type", "Content-Length", "Sett-Invocation-Id", "Sett-Start", "Connection", "X-Last":
			default:
				own++
			}
			if strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("line %q holds a control character", line)
			}
		}
		if own > 2 { // the status line, and the header
			t.Errorf("header %q: %q became %d lines: %q", name, value, own-1, head)
		}
	})
}

// capture is what was written to a connection.
type capture []byte
