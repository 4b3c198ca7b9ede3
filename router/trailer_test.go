package router

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// fieldsOf makes fields of names and values in turn.
func fieldsOf(pairs ...string) (list []abi.Field) {
	for p := range slices.Chunk(pairs, 2) {
		list = append(list, abi.Field{Name: p[0], Value: p[1]})
	}
	return list
}

// many are n fields with a value of so many bytes.
func many(n, bytes int) (list []abi.Field) {
	for i := range n {
		list = append(list, abi.Field{Name: fmt.Sprintf("X-%d", i), Value: strings.Repeat("v", bytes)})
	}
	return list
}

// TestReplyTrailers answers whole and in pieces, and reads what is on the wire.
func TestReplyTrailers(t *testing.T) {
	const head, old = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"
	sum := fieldsOf("X-Sum", "1", "x-sum", "2", "Empty", "")
	const sumLines = "X-Sum: 1\r\nx-sum: 2\r\nEmpty: \r\n"
	for _, c := range []struct {
		name, request   string
		reply           abi.Reply
		trailer         string // the whole reply's Trailer header
		whole, inPieces string // behind the head
		logged          string // of either
	}{
		{"none", get, abi.Reply{}, "", "abcde", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", ""},
		{"some", get, abi.Reply{Trailers: sum}, "X-Sum, x-sum, Empty", "5\r\nabcde\r\n0\r\n" + sumLines + "\r\n", "3\r\nabc\r\n2\r\nde\r\n0\r\n" + sumLines + "\r\n", ""},
		{"with a length", get, abi.Reply{Headers: fieldsOf("Content-Length", "5"), Trailers: sum}, "X-Sum, x-sum, Empty", "5\r\nabcde\r\n0\r\n" + sumLines + "\r\n", "abcde", ""},
		{"HTTP/1.0", old, abi.Reply{Trailers: sum}, "", "abcde", "abcde", ""},
		{"HEAD", head, abi.Reply{Trailers: sum}, "", "", "", ""},
		{"no content", get, abi.Reply{Status: 204, Trailers: sum}, "", "", "", ""},
		{"of a header's name", get, abi.Reply{Headers: fieldsOf("x-sum", "0"), Trailers: sum}, "Empty", "5\r\nabcde\r\n0\r\nEmpty: \r\n\r\n", "3\r\nabc\r\n2\r\nde\r\n0\r\nEmpty: \r\n\r\n", ""},
		{"forbidden", get, abi.Reply{Headers: fieldsOf("Connection", "X-Hop"), Trailers: fieldsOf("Content-Length", "7", "Host", "b", "Transfer-Encoding", "gzip",
			"Trailer", "X", "Set-Cookie", "a=b", "Sett-Start", "cold", "sett_node", "x", "X-Hop", "1", "Authorization", "x", "Date", "x", "Server", "x", "Ok", "1")},
			"Ok", "5\r\nabcde\r\n0\r\nOk: 1\r\n\r\n", "3\r\nabc\r\n2\r\nde\r\n0\r\nOk: 1\r\n\r\n", ""},
		{"forbidden alone", get, abi.Reply{Trailers: fieldsOf("Host", "b")}, "", "abcde", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", ""},
		{"CR LF in a value", get, abi.Reply{Trailers: fieldsOf("X", "a\r\nY: b")}, "", "", "3\r\nabc\r\n2\r\nde\r\n", "trailer X: its value holds a control character"},
		{"CR LF in a name", get, abi.Reply{Trailers: fieldsOf("X\r\nY", "a")}, "", "", "3\r\nabc\r\n2\r\nde\r\n", "not a header name"},
		{"large", get, abi.Reply{Trailers: many(1, MaxReplyHeaderBytes)}, "", "", "3\r\nabc\r\n2\r\nde\r\n", "trailers: more than"},
		{"many", get, abi.Reply{Trailers: many(abi.MaxHeaders+1, 1)}, "", "", "3\r\nabc\r\n2\r\nde\r\n", "trailers: more than"},
	} {
		for _, pieces := range []bool{false, true} {
			log := new(lines)
			r := newRouter(t, Config{Sink: log, Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
				result.Reply = c.reply
				result.Trailers = slices.Clone(c.reply.Trailers)
				if pieces {
					return begin(e, result, "abc", "de")
				}
				result.Body = []byte("abcde")
				return nil
			})}, live("f", routes("/{path...}")))
			w := dial(t, listen(t, r), strings.Replace(c.request, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
			first := readHead(t, w.in)
			rest, _ := io.ReadAll(w.in)
			if err := r.Shutdown(t.Context()); err != nil { // nothing is logged any more
				t.Fatal(err)
			}
			want, trailer := c.whole, c.trailer
			if pieces {
				want, trailer = c.inPieces, "" // not known when the reply begins
			}
			if c.logged != "" && !pieces {
				if !strings.HasPrefix(first, "HTTP/1.1 502 ") {
					t.Errorf("%s: head %q, want status 502", c.name, first)
				}
			} else if string(rest) != want || strings.Contains(first, "\r\nTrailer: ") != (trailer != "") || !strings.Contains(first, trailer+"\r\n") {
				t.Errorf("%s, in pieces %v: reply %q and %q, want trailer %q and %q", c.name, pieces, first, rest, trailer, want)
			}
			if len(log.got) > 0 != (c.logged != "") || c.logged != "" && !strings.Contains(log.got[0].Message, c.logged) {
				t.Errorf("%s, in pieces %v: logged %v, want %q", c.name, pieces, log.got, c.logged)
			}
		}
	}
}

// TestReplyTrailersAnnounced: a reply in pieces tells in its own Trailer header what follows, and has no length then.
func TestReplyTrailersAnnounced(t *testing.T) {
	for _, c := range []struct {
		headers []abi.Field
		want    string // the Trailer header
		length  bool
	}{
		{fieldsOf("trailer", "X-Sum, Host ,Sett-Start,x-sum,X Y,,X-Other", "Trailer", "Last", "X-Other", "here"), "X-Sum, Last", false},
		{fieldsOf("Trailer", "X-Sum", "Content-Length", "3"), "X-Sum", false},
		{fieldsOf("Trailer", "Host", "Content-Length", "3"), "", true},
	} {
		r := newRouter(t, Config{Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
			result.Headers = c.headers
			err := begin(e, result, "abc")
			result.Trailers = fieldsOf("X-Sum", "1")
			return err
		})}, live("f", routes("/{path...}")))
		w := dial(t, listen(t, r), get)
		head := readHead(t, w.in)
		reply, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(head), w.in)), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(reply.Body)
		if got := strings.Contains(head, "\r\nTrailer: "+c.want+"\r\n"); got != (c.want != "") || reply.ContentLength >= 0 != c.length || string(body) != "abc" || err != nil {
			t.Errorf("%v: head %q, body %q, %v, want trailer %q, length %v", c.headers, head, body, err, c.want, c.length)
		}
		if got := reply.Trailer.Get("X-Sum"); (got == "1") == c.length {
			t.Errorf("%v: trailer %q", c.headers, got)
		}
	}
}

// TestReplyTrailersPipelined: where a reply cannot be sent in pieces its trailers pass all the same, and the next reply
// begins behind them.
func TestReplyTrailersPipelined(t *testing.T) {
	r := newRouter(t, Config{Invoker: invoker(func(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
		return &abi.Result{Start: abi.Warm, Reply: abi.Reply{Body: []byte("a"), Trailers: fieldsOf("X-Sum", "1")}}, nil
	})}, live("f", routes("/{path...}")))
	w := dial(t, listen(t, r), get+get+get)
	for range 3 {
		reply := w.reply(t, "GET")
		if body, err := io.ReadAll(reply.Body); string(body) != "a" || err != nil || reply.Trailer.Get("X-Sum") != "1" || reply.Header.Get("X-Sum") != "" {
			t.Errorf("reply %q, %v, trailers %v, headers %v", body, err, reply.Trailer, reply.Header)
		}
	}
}

// FuzzReplyTrailer looks for a trailer that gets past checkTrailers and is more than one line on the wire, or a
// forbidden one.
func FuzzReplyTrailer(f *testing.F) {
	for _, s := range []string{"X", "x-y", "a\r\nb", "a: b", "Content-Length", "Set-Cookie", "Trailer", "X-Real-Ip", "é", "\x00", ""} {
		f.Add(s, s)
	}
	var reply abi.Reply
	r := newRouter(f, Config{Invoker: invoker(func(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
		return &abi.Result{Start: abi.Warm, Reply: reply}, nil
	})}, live("f", routes("/")))
	f.Fuzz(func(t *testing.T, name, value string) {
		reply = abi.Reply{Trailers: fieldsOf(name, value, "X-Last", "1"), Body: []byte("body")}
		var wire capture
		_ = r.server.ServeConn(&stream{replay{wire: &wire}, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")})
		got, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(wire))), nil)
		if err != nil {
			t.Fatalf("reply %q: %v", wire, err)
		}
		if got.StatusCode != 200 {
			return
		}
		body, err := io.ReadAll(got.Body)
		n := 0
		for name, values := range got.Trailer {
			if n += len(values); !abi.MayTrail(name) {
				t.Errorf("trailer %s is sent", name)
			}
		}
		if string(body) != "body" || err != nil || n > 2 || got.Trailer.Get("X-Last") == "" {
			t.Errorf("%q: %q gave %q: body %q, %v, trailers %v", name, value, wire, body, err, got.Trailer)
		}
	})
}

// linesOf are fields as they stand on the wire.
func linesOf(list []abi.Field) string {
	var b strings.Builder
	for _, f := range list {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	return b.String()
}

// TestRequestTrailers has clients send trailers, also hostile ones, to a function that takes bodies whole and to one that
// takes them in pieces.
func TestRequestTrailers(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: a\r\nX-Up: 1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Never\r\n\r\n3\r\nabc\r\n0\r\n"
	const next = "GET /next HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
	for _, c := range []struct {
		name, trailers string
		want           string // the function's answer; "": the request is refused
		status         int
	}{
		{"none", "", "abc ", 200},
		{"some", "x-sum: 1\r\nX-Sum:  two \t\r\nX-Other: grüße\r\nEmpty:\r\n", "abc X-Sum: 1\r\nX-Sum: two\r\nX-Other: grüße\r\nEmpty: \r\n", 200},
		{"a header's name", "X-Up: 2\r\n", "abc X-Up: 2\r\n", 200},
		{"of ours", "Sett-Trigger: schedule\r\nsett_trigger: x\r\nServer: x\r\nIf-Match: x\r\nX-Sum: 1\r\n", "abc X-Sum: 1\r\n", 200},
		{"that frames", "Content-Length: 5\r\n", "", 400},
		{"that frames again", "Transfer-Encoding: chunked\r\n", "", 400},
		{"that routes", "Host: evil\r\n", "", 400},
		{"that authenticates", "Authorization: Basic x\r\n", "", 400},
		{"NUL", "X-Sum: a\x00b\r\n", "", 400},
		{"DEL", "X-Sum: a\x7fb\r\n", "", 400},
		{"CR", "X-Sum: a\rb\r\n", "", 400},
		{"space in a name", "X Sum: a\r\n", "", 400},
		{"no colon", "X-Sum\r\n", "", 400},
		{"empty name", ": a\r\n", "", 400},
		{"large", "X-Sum: " + strings.Repeat("x", 5000) + "\r\n", "", 431},
		{"many", linesOf(many(abi.MaxHeaders+1, 1)), "", 431},
	} {
		for _, pieces := range []bool{false, true} {
			settings := routes("/{path...}")
			settings.Streaming = pieces
			r := newRouter(t, Config{MaxBodyBytes: 1000, MaxHeaderBytes: 4096, Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
				body, list := e.Body, e.Trailers
				if e.More {
					if early := e.Stream.Trailers(); len(list)+len(early) > 0 {
						t.Errorf("%s: trailers before the body: %v %v", c.name, list, early)
					}
					rest, err := io.ReadAll(e.Stream)
					if err != nil {
						return err
					}
					body, list = append(body, rest...), e.Stream.Trailers()
				}
				result.Body = fmt.Appendf(nil, "%s %s", body, linesOf(list))
				return nil
			})}, live("f", settings))
			w := dial(t, listen(t, r), post+c.trailers+"\r\n"+next)
			reply := w.reply(t, "POST")
			body, _ := io.ReadAll(reply.Body)
			status := c.status
			if pieces && status == 431 {
				status = 400 // the function was reading already
			}
			if reply.StatusCode != status || status == 200 && string(body) != c.want {
				t.Errorf("%s, in pieces %v: reply %d %q, want %d %q", c.name, pieces, reply.StatusCode, body, status, c.want)
			}
			rest, _ := io.ReadAll(w.in)
			if answered := strings.HasPrefix(string(rest), "HTTP/1.1 200 "); answered != (status == 200) || !answered && len(rest) > 0 {
				t.Errorf("%s, in pieces %v: behind it comes %q", c.name, pieces, rest)
			}
			if strings.Contains(string(rest), "X-Sum") {
				t.Errorf("%s, in pieces %v: trailers reach the next request: %q", c.name, pieces, rest)
			}
		}
	}
}

// TestReadTrailers looks at what fasthttp lets through, and at what it would refuse but another version might not.
func TestReadTrailers(t *testing.T) {
	var h fasthttp.RequestHeader
	h.DisableNormalizing()
	for _, f := range many(abi.MaxHeaders+1, 1) {
		_ = h.AddTrailer(f.Name)
		h.Add(f.Name, f.Value)
	}
	if list, err := readTrailers(&h); err == nil {
		t.Errorf("%d trailers, no error", len(list))
	}
	h.Reset()
	if list, err := readTrailers(&h); list != nil || err != nil || testing.AllocsPerRun(100, func() { _, _ = readTrailers(&h) }) > 0 {
		t.Errorf("no trailers: %v, %v, or memory", list, err)
	}
}
