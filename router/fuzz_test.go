package router

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// FuzzServe sends any bytes as a connection's requests. Nothing panics, replies carry an invocation's id, and a
// function sees only events that hold what abi.Event says of them.
func FuzzServe(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a%2Fb?q HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
		"GET http://h/p HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\nX: 1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n1\r\na\r\n0\r\nx: 1\r\nSett-Y : 2\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "GET /..;/ HTTP/1.1\r\nhOST: [::1]:80\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	// One router for all inputs: each keeps records of its last requests, and a table.
	var t *testing.T
	var raw []byte
	r := newRouter(f, Config{MaxBodyBytes: 1 << 10, MaxHeaderBytes: 1 << 10, Invoker: invoker(
		func(_ context.Context, _ *registry.Version, e *abi.Event) (*abi.Result, error) {
			if !strings.HasPrefix(e.Path, "/") || strings.ContainsAny(e.Path, "?# \r\n\x00") || strings.ContainsAny(e.Query, "# \r\n\x00") ||
				!upperCase(e.Method) || !validHost(e.Host) || len(e.Invocation) != invocationIDBytes || e.Proto[:6] != "HTTP/1" {
				t.Errorf("event %+v of %q", e, raw)
			}
			for _, h := range e.Headers {
				if !validName(h.Name) || !validValue(h.Value) || http.CanonicalHeaderKey(h.Name) != h.Name || platformPrefix(h.Name) {
					t.Errorf("header %q: %q of %q", h.Name, h.Value, raw)
				}
			}
			for _, f := range e.Trailers {
				if !validName(f.Name) || !validValue(f.Value) || !abi.MayTrail(f.Name) {
					t.Errorf("trailer %q: %q of %q", f.Name, f.Value, raw)
				}
			}
			return &abi.Result{Start: abi.Warm, Reply: abi.Reply{Body: []byte("ok")}}, nil
		})}, live("f", routes("/{path...}")))
	f.Fuzz(func(now *testing.T, input []byte) {
		t, raw = now, input
		var wire capture
		_ = r.server.ServeConn(&stream{replay{wire: &wire}, raw})
		answers := bufio.NewReader(strings.NewReader(string(wire)))
		for {
			reply, err := http.ReadResponse(answers, nil)
			if err != nil {
				return // the end; or a reply to HEAD, which announces a body that does not come
			}
			if _, err = io.Copy(io.Discard, reply.Body); err != nil {
				return
			}
			if reply.StatusCode != 100 && len(reply.Header.Get("Sett-Invocation-Id")) != invocationIDBytes {
				t.Errorf("reply %v without an invocation's id to %q", reply.Header, raw)
			}
		}
	})
}

// stream is a connection whose client has sent these bytes and no more.
type stream struct {
	replay
	raw []byte
}

func (c *stream) Read(p []byte) (int, error) {
	if len(c.raw) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.raw)
	c.raw = c.raw[n:]
	return n, nil
}
