package component

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// pairs writes a list of pairs of strings, and answers where.
func (w *world) pairs(list ...string) (ptr, n uint64) {
	at := uint32(16 << 10)
	for i, s := range list {
		p, n := w.text(at+8<<10+uint32(i)*256, s)
		w.module.Memory().WriteUint32Le(at+8*uint32(i), uint32(p))
		w.module.Memory().WriteUint32Le(at+8*uint32(i)+4, uint32(n))
	}
	return uint64(at), uint64(len(list))
}

func TestFields(t *testing.T) {
	w := newWorld(t)
	ptr, n := w.pairs("A", "1", "b", "2", "a", "3")
	w.do("[static]fields.from-list", ptr, n/2, result)
	if w.u8(result) != 0 {
		t.Fatalf("from-list failed with %d", w.u8(result+4))
	}
	f := w.u32(result + 4)
	name, nn := w.text(first, "a")
	value, vn := w.text(second, "4")
	entries := func(h uint64) string {
		w.do("[method]fields.entries", h, result)
		return strings.Join(w.strings(result, 2), " ")
	}
	w.do("[method]fields.get", f, name, nn, result)
	if got := strings.Join(w.strings(result, 1), " "); got != "1 3" {
		t.Errorf("get = %q, want 1 3", got)
	}
	c := w.do("[method]fields.clone", f)
	w.do("[method]fields.append", f, name, nn, value, vn, result)
	if got := entries(f); got != "A 1 b 2 a 3 a 4" {
		t.Errorf("behind append: %q", got)
	}
	list, ln := w.pairs("5", "6")
	w.do("[method]fields.set", f, name, nn, list, ln, result)
	if got := entries(f); got != "b 2 a 5 a 6" {
		t.Errorf("behind set: %q", got)
	}
	w.do("[method]fields.delete", f, name, nn, result)
	if got := entries(f); got != "b 2" || w.do("[method]fields.has", f, name, nn) != 0 {
		t.Errorf("behind delete: %q", got)
	}
	if got := entries(c); got != "A 1 b 2 a 3" {
		t.Errorf("the clone changed too: %q", got)
	}
	w.do(drop+"fields", f)
	w.do(drop+"fields", c)
	if w.call.held != 0 {
		t.Errorf("%d bytes are held for no fields", w.call.held)
	}
}

func TestFieldErrors(t *testing.T) {
	w := newWorld(t)
	r, _ := w.begin(&abi.Event{Headers: []abi.Field{{Name: "X-A", Value: "b"}, {Name: "Host", Value: "c"}}})
	mutable, immutable := w.do("[constructor]fields"), w.do("[method]incoming-request.headers", r)
	for _, c := range []struct {
		handle      uint64
		name, value string
		want        headerError
	}{
		{mutable, "x-a", "b\tc", headerFine}, {mutable, "x a", "b", headerSyntax}, {mutable, "", "b", headerSyntax},
		{mutable, "x", "a\r\nb: c", headerSyntax}, {mutable, "x", "a\x00", headerSyntax},
		{mutable, "Transfer-Encoding", "chunked", headerForbidden}, {mutable, "HOST", "x", headerForbidden},
		{mutable, "connection", "x", headerForbidden}, {immutable, "x-a", "b", headerImmutable},
	} {
		name, nn := w.text(first, c.name)
		value, vn := w.text(second, c.value)
		w.do("[method]fields.append", c.handle, name, nn, value, vn, result)
		if got := headerError(w.u8(result) * (1 + w.u8(result+1))); got != c.want {
			t.Errorf("append %q: %q = %d, want %d", c.name, c.value, got, c.want)
		}
		list, ln := w.pairs(c.value)
		w.do("[method]fields.set", c.handle, name, nn, list, ln, result)
		if got := headerError(w.u8(result) * (1 + w.u8(result+1))); got != c.want {
			t.Errorf("set %q: %q = %d, want %d", c.name, c.value, got, c.want)
		}
		if c.handle == mutable {
			list, ln = w.pairs(c.name, c.value)
			w.do("[static]fields.from-list", list, ln/2, result)
			if got := headerError(w.u8(result) * (1 + w.u8(result+4))); c.want != headerFine && got != c.want {
				t.Errorf("from-list %q: %q = %d, want %d", c.name, c.value, got, c.want)
			}
		}
	}
	w.do("[method]fields.entries", immutable, result)
	if got := strings.Join(w.strings(result, 2), " "); got != "x-a b" {
		t.Errorf("the request's headers are %q, want x-a b", got)
	}
}

func TestMaxFields(t *testing.T) {
	w := newWorld(t)
	f := w.do("[constructor]fields")
	name, n := w.text(first, "a")
	for range abi.MaxHeaders {
		w.do("[method]fields.append", f, name, n, name, n, result)
	}
	w.traps("more than", "[method]fields.append", f, name, n, name, n, result)
}

func TestHeldBytes(t *testing.T) {
	w := newWorld(t)
	f := w.do("[constructor]fields")
	name, nn := w.text(first, "a")
	w.call.held = MaxHeldBytes - 100
	w.do("[method]fields.append", f, name, nn, name, nn, result)
	w.traps("more than 33554432 bytes", "[method]fields.append", f, name, nn, name, nn, result)
}

// TestCopiedBytes gives the host lists that name the same large text again and again.
func TestCopiedBytes(t *testing.T) {
	w := newWorld(t)
	w.call.Store = new(state)
	b := w.bucket("@0.2")
	const n = 40
	for i := range uint32(4 * n) { // texts of 1 MiB, and as pairs
		w.module.Memory().WriteUint32Le(1<<19+8*i, 1<<20)
		w.module.Memory().WriteUint32Le(1<<19+8*i+4, 1<<20)
	}
	name, nn := w.text(first, "a")
	for call, args := range map[string][]uint64{
		"[method]fields.set":                  {w.do("[constructor]fields"), name, nn, 1 << 19, n, result},
		"[static]fields.from-list":            {1 << 19, n, result},
		"wasi:keyvalue/batch@0.2#set-many":    {b, 1 << 19, n, result},
		"wasi:keyvalue/batch@0.2#delete-many": {b, 1 << 19, n, result},
	} {
		if call == "[static]fields.from-list" {
			w.module.Memory().WriteUint32Le(1<<19+4, 1) // of a valid name
			w.module.Memory().WriteByte(1<<20, 'a')
		}
		_, err := w.try(call, args...)
		var trap *Trap
		if !errors.As(err, &trap) && w.u8(result) == 0 {
			t.Errorf("%s: %v, want a trap or an error", call, err)
		}
		if w.call.copied > MaxHeldBytes+1<<20+fieldBytes {
			t.Errorf("%s: %d bytes copied", call, w.call.copied)
		}
	}
	w.traps("more than 33554432 bytes at once", "wasi:keyvalue/batch@0.2#delete-many", b, 1<<19, n, result)
	w.traps("more than 33554432 bytes at once", "[method]fields.set", w.do("[constructor]fields"), name, nn, 1<<19, n, result)
}

func TestIncomingRequest(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		e                                   abi.Event
		method, scheme                      byte
		other, otherScheme, path, authority string
	}{
		{abi.Event{Method: "GET", Scheme: "http", Path: "/a", Query: "b=c", Host: "d:80"}, 0, 0, "", "", "/a?b=c", "d:80"},
		{abi.Event{Method: "PATCH", Scheme: "https", Path: "/"}, 8, 1, "", "", "/", "localhost"},
		{abi.Event{Method: "BREW", Scheme: "coap", Path: "/"}, 9, 2, "BREW", "coap", "/", "localhost"},
	} {
		r, _ := w.begin(&c.e)
		if w.do("[method]incoming-request.method", r, result); w.u8(result) != c.method || c.other != "" && w.string(result+4) != c.other {
			t.Errorf("%s: method %d", c.e.Method, w.u8(result))
		}
		w.do("[method]incoming-request.scheme", r, result)
		if w.u8(result) != 1 || w.u8(result+4) != c.scheme || c.otherScheme != "" && w.string(result+8) != c.otherScheme {
			t.Errorf("%s: scheme %d", c.e.Scheme, w.u8(result+4))
		}
		if w.do("[method]incoming-request.path-with-query", r, result); w.u8(result) != 1 || w.string(result+4) != c.path {
			t.Errorf("path %q, want %q", w.string(result+4), c.path)
		}
		if w.do("[method]incoming-request.authority", r, result); w.u8(result) != 1 || w.string(result+4) != c.authority {
			t.Errorf("authority %q, want %q", w.string(result+4), c.authority)
		}
		if w.do("[method]incoming-request.consume", r, result); w.u8(result) != 0 {
			t.Error("the body cannot be had")
		}
		body := w.u32(result + 4)
		if w.do("[method]incoming-request.consume", r, result); w.u8(result) != 1 {
			t.Error("the body can be had twice")
		}
		trailers := w.do("[static]incoming-body.finish", body)
		p := w.do("[method]future-trailers.subscribe", trailers)
		w.do("[method]pollable.block", p)
		w.do("[method]future-trailers.get", trailers, result)
		if w.u8(result) != 1 || w.u8(result+8) != 0 || w.u8(result+16) != 0 || w.u8(result+24) != 0 {
			t.Error("there are trailers")
		}
		if w.do("[method]future-trailers.get", trailers, result); w.u8(result) != 1 || w.u8(result+8) != 1 {
			t.Error("trailers can be had twice")
		}
	}
}

// respond answers with a status and a body, up to where it is finished.
func (w *world) respond(outparam, status uint64, headers []string, text string) (body uint64) {
	ptr, n := w.pairs(headers...)
	w.do("[static]fields.from-list", ptr, n/2, result)
	r := w.do("[constructor]outgoing-response", w.u32(result+4))
	if w.do("[method]outgoing-response.set-status-code", r, status) != 0 {
		w.t.Fatalf("status %d is refused", status)
	}
	w.do("[method]outgoing-response.body", r, result)
	body = w.u32(result + 4)
	w.do("[static]response-outparam.set", outparam, 0, r, 0, 0, 0, 0, 0, 0)
	w.do("[method]outgoing-body.write", body, result)
	stream := w.u32(result + 4)
	ptr, n = w.text(first, text)
	w.do("[method]output-stream.blocking-write-and-flush", stream, ptr, n, result)
	w.do(drop+"output-stream", stream)
	return body
}

func TestResponse(t *testing.T) {
	w := newWorld(t)
	_, out := w.begin(new(abi.Event))
	body := w.respond(out, 201, []string{"a", "b", "Content-Length", "5"}, "hello")
	var reply abi.Reply
	if err := w.call.Reply(&reply); err == nil || !strings.Contains(err.Error(), "not finished") {
		t.Errorf("Reply before the body is finished: %v", err)
	}
	w.do("[static]outgoing-body.finish", body, 0, 0, result)
	if err := w.call.Reply(&reply); err != nil || w.u8(result) != 0 {
		t.Fatal(err)
	}
	want := []abi.Field{{Name: "a", Value: "b"}, {Name: "Content-Length", Value: "5"}}
	if reply.Status != 201 || string(reply.Body) != "hello" || !slices.Equal(reply.Headers, want) {
		t.Errorf("reply %+v", reply)
	}
	w.traps("stands for nothing, want a response-outparam", "[static]response-outparam.set", out, 0, 1, 0, 0, 0, 0, 0, 0)
}

// TestResponseWithoutItsBody answers with a length whose body does not come, which HEAD and status 304 allow.
func TestResponseWithoutItsBody(t *testing.T) {
	for _, c := range []struct {
		method string
		status uint64
		ok     bool
	}{{"HEAD", 200, true}, {"GET", 304, true}, {"GET", 200, false}, {"POST", 204, false}} {
		w := newWorld(t)
		_, out := w.begin(&abi.Event{Method: c.method})
		w.do("[static]outgoing-body.finish", w.respond(out, c.status, []string{"content-length", "9"}, ""), 0, 0, result)
		var reply abi.Reply
		if err := w.call.Reply(&reply); (w.u8(result) == 0) != c.ok || (err == nil) != c.ok || c.ok && len(reply.Headers) != 1 {
			t.Errorf("%s, %d: finish = %d, Reply = %v with headers %v; want that it is a reply: %v", c.method, c.status, w.u8(result), err, reply.Headers, c.ok)
		}
	}
}

func TestResponseFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(w *world, out uint64)
		want string
	}{
		{"none", func(*world, uint64) {}, "set no response"},
		{"error", func(w *world, out uint64) {
			w.do("[static]response-outparam.set", out, 1, 15, 0, 0, 0, 0, 0, 0)
		}, "answered with an error: HTTP-request-denied"},
		{"text", func(w *world, out uint64) {
			ptr, n := w.text(first, "oh")
			w.do("[static]response-outparam.set", out, 1, codeInternal, 1, ptr, n, 0, 0, 0)
		}, "answered with an error: internal-error: oh"},
		{"unknown", func(w *world, out uint64) {
			w.do("[static]response-outparam.set", out, 1, 1000, 0, 0, 0, 0, 0, 0)
		}, "error code 1000"},
		{"dropped", func(w *world, out uint64) {
			w.do(drop+"outgoing-body", w.respond(out, 200, nil, "x"))
		}, "dropped before it was finished"},
		{"short", func(w *world, out uint64) {
			w.do("[static]outgoing-body.finish", w.respond(out, 200, []string{"content-length", "9"}, "x"), 0, 0, result)
			if w.u8(result) != 1 || w.u8(result+8) != codeRequestBodySize || w.u8(result+16) != 1 || w.u64(result+24) != 1 {
				w.t.Errorf("finish: %d %d %d %d", w.u8(result), w.u8(result+8), w.u8(result+16), w.u64(result+24))
			}
		}, "it has 1 bytes, its headers announce 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			_, out := w.begin(new(abi.Event))
			c.run(w, out)
			if err := w.call.Reply(new(abi.Reply)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Reply: %v, want %q", err, c.want)
			}
		})
	}
	w := newWorld(t)
	_, out := w.begin(new(abi.Event))
	w.call.MaxReply = 5
	r := w.do("[constructor]outgoing-response", w.do("[constructor]fields"))
	if w.do("[method]outgoing-response.set-status-code", r, 99) != 1 || w.do("[method]outgoing-response.status-code", r) != 200 {
		t.Error("status 99 is taken")
	}
	h := w.do("[method]outgoing-response.headers", r)
	w.traps("1 of its parts", "[static]response-outparam.set", out, 0, r, 0, 0, 0, 0, 0, 0)
	w.do(drop+"fields", h)
	w.do("[method]outgoing-response.body", r, result)
	body := w.u32(result + 4)
	if w.do("[method]outgoing-response.body", r, result); w.u8(result) != 1 {
		t.Error("a response gives its body away twice")
	}
	w.do("[method]outgoing-body.write", body, result)
	stream := w.u32(result + 4)
	if w.do("[method]outgoing-body.write", body, result); w.u8(result) != 1 {
		t.Error("a body gives its stream away twice")
	}
	w.traps("over the limit of 5 bytes", "[method]output-stream.write", stream, first, 6, result)
}

func (unstoppable) Stop()                 {}
func (unstoppable) Trailers() []abi.Field { return []abi.Field{{Name: "X", Value: "y"}} }

// FuzzCalls has a hostile guest: it calls any functions with any numbers. It may trap, and nothing else.
func FuzzCalls(f *testing.F) {
	w := newWorld(f)
	list := functions()
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add([]byte("\x00\x01\x02\x01\x30\x31\x32\x33"))
	f.Fuzz(func(t *testing.T, data []byte) {
		request, outparam := w.begin(&abi.Event{Method: "POST", Path: "/", Body: []byte("hello"), Headers: []abi.Field{{Name: "a", Value: "b"}},
			Trailers: []abi.Field{{Name: "c", Value: "d"}}})
		ctx, cancel := context.WithTimeout(w.ctx, time.Millisecond)
		defer cancel()
		w.call.Process.Env = []string{"A=b"}
		w.call.Sender = &sender{answer: func(ctx context.Context, r *abi.FetchRequest) (*abi.Reply, error) {
			return &abi.Reply{Status: 200, Body: r.Body}, nil
		}}
		if len(data)%2 == 1 {
			w.call.Pieces, w.call.Body = new(client), unstoppable{strings.NewReader("world")}
		}
		w.module.Memory().WriteUint32Le(16, 1<<16)
		last := []uint64{request, outparam, 0, 0}
		next := func() (b byte) {
			if len(data) > 0 {
				b, data = data[0], data[1:]
			}
			return b
		}
		for calls := 0; len(data) > 0 && calls < 64; calls++ {
			fn := &list[int(next())%len(list)]
			params, results, _ := strings.Cut(fn.sig, ":")
			args := make([]uint64, len(params))
			for i := range args {
				switch b := next(); {
				case b < 128: // a small number: a handle, a length, a case
					args[i] = uint64(b % 16)
				case b < 192: // a place in memory
					args[i] = uint64(b) << 4
				case b < 224: // what was answered before
					args[i] = last[b%4]
				default:
					args[i] = uint64(int64(int8(b)))
				}
			}
			answers, err := w.module.ExportedFunction(fn.name).Call(ctx, args...)
			var bug interface{ RuntimeError() }
			if errors.As(err, &bug) {
				t.Fatalf("%s%v: %v", fn.name, args, err)
			}
			if err == nil && results != "" {
				last[calls%4] = answers[0]
			}
		}
		var reply abi.Reply
		_ = w.call.Reply(&reply)
		w.call.Close()
		if w.call.held < 0 {
			t.Fatalf("%d bytes are held", w.call.held)
		}
	})
}
