package component

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// sender answers requests as a test says.
type sender struct {
	refuse error
	answer func(ctx context.Context, r *abi.FetchRequest) (*abi.Reply, error)
	sent   []*abi.FetchRequest
}

func (s *sender) Send(r *abi.FetchRequest) (func(context.Context) (*abi.Reply, error), error) {
	if s.refuse != nil {
		return nil, s.refuse
	}
	s.sent = append(s.sent, r)
	return func(ctx context.Context) (*abi.Reply, error) { return s.answer(ctx, r) }, nil
}

// request makes a request to https://b.org/c.
func (w *world) request() uint64 {
	r := w.do("[constructor]outgoing-request", w.do("[constructor]fields"))
	for _, set := range []struct{ name, text string }{{"authority", "b.org"}, {"path-with-query", "/c?d"}} {
		ptr, n := w.text(first, set.text)
		if w.do("[method]outgoing-request.set-"+set.name, r, 1, ptr, n) != 0 {
			w.t.Fatalf("%s %q is refused", set.name, set.text)
		}
		w.do("[method]outgoing-request."+set.name, r, result)
		if w.u8(result) != 1 || w.string(result+4) != set.text {
			w.t.Errorf("%s = %q, want %q", set.name, w.string(result+4), set.text)
		}
	}
	return r
}

func TestOutgoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.cancel()
		s := &sender{answer: func(ctx context.Context, r *abi.FetchRequest) (*abi.Reply, error) {
			time.Sleep(time.Second)
			return &abi.Reply{Status: 404, Headers: []abi.Field{{Name: "X", Value: "y"}}, Body: []byte("not there")}, nil
		}}
		w.call.Sender = s
		r := w.request()
		w.do("[method]outgoing-request.set-method", r, 2, 0, 0)
		w.do("[method]outgoing-request.set-scheme", r, 1, 0, 0, 0)
		w.do("[method]outgoing-request.body", r, result)
		body := w.u32(result + 4)
		w.do("[method]outgoing-body.write", body, result)
		stream := w.u32(result + 4)
		w.do("wasi:http/outgoing-handler@0.2#handle", r, 0, 0, result)
		if w.u8(result) != 0 {
			t.Fatalf("handle: error %d", w.u8(result+8))
		}
		future := w.u32(result + 8)
		ptr, n := w.text(first, "hello")
		w.do("[method]output-stream.blocking-write-and-flush", stream, ptr, n, result)
		w.do(drop+"output-stream", stream)
		if w.do("[method]future-incoming-response.get", future, result); w.u8(result) != 0 || len(s.sent) != 0 {
			t.Error("there is a response before the request has its body")
		}
		w.do("[static]outgoing-body.finish", body, 0, 0, result)
		p := w.do("[method]future-incoming-response.subscribe", future)
		w.do("[method]pollable.block", p)
		w.do("[method]future-incoming-response.get", future, result)
		if w.u8(result) != 1 || w.u8(result+8) != 0 || w.u8(result+16) != 0 {
			t.Fatalf("get: %d %d %d", w.u8(result), w.u8(result+8), w.u8(result+16))
		}
		in := w.u32(result + 24)
		if w.do("[method]future-incoming-response.get", future, result); w.u8(result) != 1 || w.u8(result+8) != 1 {
			t.Error("a response can be had twice")
		}
		if got := w.do("[method]incoming-response.status", in); got != 404 {
			t.Errorf("status %d, want 404", got)
		}
		h := w.do("[method]incoming-response.headers", in)
		w.do("[method]fields.entries", h, result)
		if got := strings.Join(w.strings(result, 2), " "); got != "x y" {
			t.Errorf("headers %q, want x y", got)
		}
		w.do(drop+"fields", h)
		w.do("[method]incoming-response.consume", in, result)
		b := w.u32(result + 4)
		w.do("[method]incoming-body.stream", b, result)
		w.do("[method]input-stream.blocking-read", w.u32(result+4), 100, result)
		if got := w.string(result + 4); got != "not there" {
			t.Errorf("body %q", got)
		}
		q := s.sent[0]
		if q.Method != "POST" || q.URL != "http://b.org/c?d" || string(q.Body) != "hello" {
			t.Errorf("sent %s %s %q", q.Method, q.URL, q.Body)
		}
	})
}

// TestArrived has more replies come than the host keeps: the last are errors.
func TestArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.cancel()
		body := make([]byte, 6<<20)
		w.call.Sender = &sender{answer: func(context.Context, *abi.FetchRequest) (*abi.Reply, error) {
			return &abi.Reply{Status: 200, Body: body}, nil
		}}
		var futures []uint64
		for range 7 {
			w.do("wasi:http/outgoing-handler@0.2#handle", w.request(), 0, 0, result)
			futures = append(futures, w.u32(result+8))
		}
		synctest.Wait()
		refused := 0
		for _, f := range futures {
			w.do("[method]future-incoming-response.get", f, result)
			if w.u8(result+16) == 0 {
				w.do(drop+"incoming-response", w.u32(result+24))
			} else if refused++; w.u8(result+24) != codeResponseBodySize {
				t.Errorf("error %d, want %d", w.u8(result+24), codeResponseBodySize)
			}
		}
		if refused != 2 || w.call.running.arrived.Load() != 0 {
			t.Errorf("%d of 7 replies of 6 MiB refused, want 2; %d bytes count as arrived", refused, w.call.running.arrived.Load())
		}
	})
}

// TestOutgoingEnds drops a future, and ends a call while a request is under way: both end it.
func TestOutgoingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.cancel()
		ended := 0
		w.call.Sender = &sender{answer: func(ctx context.Context, r *abi.FetchRequest) (*abi.Reply, error) {
			<-ctx.Done()
			ended++
			return nil, ctx.Err()
		}}
		w.do("wasi:http/outgoing-handler@0.2#handle", w.request(), 0, 0, result)
		w.do(drop+"future-incoming-response", w.u32(result+8))
		synctest.Wait()
		if ended != 1 {
			t.Error("a dropped future's request goes on")
		}
		w.do("wasi:http/outgoing-handler@0.2#handle", w.request(), 0, 0, result)
		w.call.Close()
		if ended != 2 {
			t.Error("Close does not wait for requests")
		}
	})
}

func TestOutgoingErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want byte
	}{
		{fmt.Errorf("x: %w", abi.ErrDenied), codeRequestDenied}, {abi.ErrResolve, codeDNS}, {abi.ErrConnect, codeConnectionRefused},
		{abi.ErrTLS, codeTLSProtocol}, {abi.ErrBroken, codeProtocol}, {abi.ErrOverLimit, codeResponseBodySize},
		{abi.ErrBusy, codeConnectionLimit}, {context.DeadlineExceeded, codeResponseTimeout}, {errors.New("own"), codeInternal},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.cancel()
			s := &sender{answer: func(context.Context, *abi.FetchRequest) (*abi.Reply, error) { return nil, c.err }}
			w.call.Sender = s
			for _, refuse := range []error{nil, c.err} {
				s.refuse = refuse
				w.do("wasi:http/outgoing-handler@0.2#handle", w.request(), 0, 0, result)
				future := w.u32(result + 8)
				w.do("[method]pollable.block", w.do("[method]future-incoming-response.subscribe", future))
				w.do("[method]future-incoming-response.get", future, result)
				if w.u8(result) != 1 || w.u8(result+8) != 0 || w.u8(result+16) != 1 || w.u8(result+24) != c.want {
					t.Errorf("%v: %d %d %d, error %d, want %d", c.err, w.u8(result), w.u8(result+8), w.u8(result+16), w.u8(result+24), c.want)
				}
			}
		})
	}
	w := newWorld(t)
	if w.do("wasi:http/outgoing-handler@0.2#handle", w.request(), 0, 0, result); w.u8(result) != 1 || w.u8(result+8) != codeConfiguration {
		t.Errorf("handle where nobody sends: %d %d", w.u8(result), w.u8(result+8))
	}
}

func TestOutgoingRequest(t *testing.T) {
	w := newWorld(t)
	r := w.request()
	for _, c := range []struct {
		name, text string
		want       uint64
	}{
		{"authority", "a b", 1}, {"authority", "user@b.org", 1}, {"authority", "b.org/c", 1}, {"authority", "[::1]:80", 0},
		{"path-with-query", "/a#b", 1}, {"path-with-query", "/a b", 1}, {"path-with-query", "/a\r\n", 1}, {"path-with-query", "/a?b=c", 0},
		{"path-with-query", strings.Repeat("a", abi.MaxURLBytes+1), 1},
	} {
		ptr, n := w.text(first, c.text)
		if got := w.do("[method]outgoing-request.set-"+c.name, r, 1, ptr, n); got != c.want {
			t.Errorf("set-%s(%.20q) = %d, want %d", c.name, c.text, got, c.want)
		}
	}
	for text, want := range map[string]uint64{"BREW": 0, "A B": 1, "": 1} {
		ptr, n := w.text(first, text)
		if got := w.do("[method]outgoing-request.set-method", r, 9, ptr, n); got != want {
			t.Errorf("set-method(%q) = %d, want %d", text, got, want)
		}
	}
	w.do("[method]outgoing-request.method", r, result)
	if w.u8(result) != 9 || w.string(result+4) != "BREW" {
		t.Errorf("method %d %q", w.u8(result), w.string(result+4))
	}
	if w.do("[method]outgoing-request.scheme", r, result); w.u8(result) != 0 {
		t.Error("there is a scheme")
	}
	w.do("[method]outgoing-request.set-scheme", r, 1, 1, 0, 0)
	if w.do("[method]outgoing-request.scheme", r, result); w.u8(result) != 1 || w.u8(result+4) != 1 {
		t.Error("there is no scheme")
	}
	w.do(drop+"fields", w.do("[method]outgoing-request.headers", r))
	o := w.do("[constructor]request-options")
	for _, name := range []string{"connect-timeout", "first-byte-timeout", "between-bytes-timeout"} {
		if w.do("[method]request-options."+name, o, result); w.u8(result) != 0 {
			t.Errorf("there is a %s", name)
		}
		w.do("[method]request-options.set-"+name, o, 1, 5)
		if w.do("[method]request-options."+name, o, result); w.u8(result) != 1 || w.u64(result+8) != 5 {
			t.Errorf("%s = %d, want 5", name, w.u64(result+8))
		}
	}
	w.do(drop+"request-options", o)
	w.do(drop+"outgoing-request", r)
}

// unstoppable is a body that is all there.
type unstoppable struct{ io.Reader }

// TestRequestBodyOverLimit: a request's body that is too long ends its stream with an error that has a code, and the request
// is answered with that, whether it was handled before or after.
func TestRequestBodyOverLimit(t *testing.T) {
	for _, before := range []bool{true, false} {
		w := newWorld(t)
		s := &sender{}
		w.call.Sender = s
		r := w.request()
		w.do("[method]outgoing-request.body", r, result)
		body := w.u32(result + 4)
		w.do("[method]outgoing-body.write", body, result)
		stream := w.u32(result + 4)
		if before {
			w.do("wasi:http/outgoing-handler@0.2#handle", r, 0, 0, result)
		}
		future := w.u32(result + 8)
		piece, written := strings.Repeat("a", maxRoom), 0
		for ; written <= abi.MaxFetchRequestBytes; written += maxRoom {
			if w.write(stream, piece); w.u8(result) != 0 {
				break
			}
		}
		if written != abi.MaxFetchRequestBytes {
			t.Errorf("%d bytes are taken, want %d", written, abi.MaxFetchRequestBytes)
		}
		cause := w.u32(result + 8)
		w.do("wasi:http/types@0.2#http-error-code", cause, result)
		if w.u8(result) != 1 || w.u8(result+8) != codeRequestBodySize {
			t.Errorf("the write fails with code %d", w.u8(result+8))
		}
		w.do(drop+"error", cause)
		if !before {
			w.do("wasi:http/outgoing-handler@0.2#handle", r, 0, 0, result)
			future = w.u32(result + 8)
		}
		w.do("[method]future-incoming-response.get", future, result)
		if w.u8(result) != 1 || w.u8(result+16) != 1 || w.u8(result+24) != codeRequestBodySize {
			t.Errorf("handled before %v: the answer is there %d, fails %d, with code %d", before, w.u8(result), w.u8(result+16), w.u8(result+24))
		}
		w.do(drop+"output-stream", stream)
		w.do("[static]outgoing-body.finish", body, 0, 0, result)
		if w.u8(result) != 1 || w.u8(result+8) != codeRequestBodySize {
			t.Errorf("finish says %d, code %d", w.u8(result), w.u8(result+8))
		}
		w.do(drop+"future-incoming-response", future)
		if len(s.sent) != 0 {
			t.Errorf("%d requests are sent", len(s.sent))
		}
		if w.call.held != 0 {
			t.Errorf("%d bytes are held for nothing", w.call.held)
		}
	}
}

// TestRequestBodyNeverWhole: who waits for the response to a request whose body never becomes whole is told, at once.
func TestRequestBodyNeverWhole(t *testing.T) {
	drops := func(w *world, body uint64) { w.do(drop+"outgoing-body", body) }
	finishes := func(w *world, body uint64) {
		if w.do("[static]outgoing-body.finish", body, 0, 0, result); w.u8(result) != 1 {
			t.Error("a body that is too short can be finished")
		}
	}
	for _, c := range []struct {
		name   string
		before bool // the request is handled before its body is given up
		giveUp func(w *world, body uint64)
	}{
		{"dropped", true, drops}, {"dropped before", false, drops}, {"short", true, finishes}, {"short before", false, finishes},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			s := new(sender)
			w.call.Sender = s
			ptr, n := w.pairs("content-length", "9")
			w.do("[static]fields.from-list", ptr, n/2, result)
			r := w.do("[constructor]outgoing-request", w.u32(result+4))
			w.do("[method]outgoing-request.body", r, result)
			body := w.u32(result + 4)
			handle := func() uint64 {
				w.do("wasi:http/outgoing-handler@0.2#handle", r, 0, 0, result)
				return w.u32(result + 8)
			}
			var future uint64
			if c.before {
				future = handle()
			}
			if c.giveUp(w, body); !c.before {
				future = handle()
			}
			w.do("[method]future-incoming-response.get", future, result)
			if w.u8(result) != 1 || w.u8(result+16) != 1 || w.u8(result+24) != codeInternal {
				t.Errorf("the answer is there %d, fails %d, with code %d; want 1, 1, %d", w.u8(result), w.u8(result+16), w.u8(result+24), codeInternal)
			}
			w.do(drop+"future-incoming-response", future)
			if len(s.sent) != 0 || w.call.held != 0 {
				t.Errorf("%d requests are sent, %d bytes are held for nothing", len(s.sent), w.call.held)
			}
		})
	}
}
