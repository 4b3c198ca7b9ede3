package component

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// finishWith finishes a body with trailers.
func (w *world) finishWith(body, stream uint64, trailers ...string) {
	w.do(drop+"output-stream", stream)
	ptr, n := w.pairs(trailers...)
	w.do("[static]fields.from-list", ptr, n/2, result)
	w.do("[static]outgoing-body.finish", body, 1, w.u32(result+4), result)
	if w.u8(result) != 0 {
		w.t.Errorf("finish = %d", w.u8(result))
	}
}

// TestResponseTrailers: they come with a response that is held, and at the end of one that was begun; what is begun
// behind them announces them in place of its length.
func TestResponseTrailers(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(w *world, body, stream uint64)
		head string // "name: value" of what was sent first; "": it is held
	}{
		{"held", func(w *world, body, stream uint64) {
			w.write(stream, "a")
			w.finishWith(body, stream, "X-Sum", "1", "x-sum", "2")
		}, ""},
		{"begun", func(w *world, body, stream uint64) {
			w.write(stream, "a")
			w.sleep(time.Second)
			w.finishWith(body, stream, "X-Sum", "1", "x-sum", "2")
		}, "A: b"},
		{"finished, and then waits", func(w *world, body, stream uint64) {
			w.write(stream, "a")
			w.finishWith(body, stream, "X-Sum", "1", "x-sum", "2")
			w.sleep(time.Second)
		}, "A: b|Trailer: X-Sum, x-sum"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				_, out := w.begin(new(abi.Event))
				to := new(client)
				w.call.Pieces = to
				body, stream := w.open(out, "A", "b")
				c.run(w, body, stream)
				var reply abi.Reply
				if err := w.call.Reply(&reply); err != nil {
					t.Fatal(err)
				}
				if want := []abi.Field{{Name: "X-Sum", Value: "1"}, {Name: "x-sum", Value: "2"}}; !slices.Equal(reply.Trailers, want) {
					t.Errorf("trailers %v, want %v", reply.Trailers, want)
				}
				var head []string
				if to.head != nil {
					for _, h := range to.head.Headers {
						head = append(head, h.Name+": "+h.Value)
					}
				}
				if got := strings.Join(head, "|"); got != c.head {
					t.Errorf("head %q, want %q", got, c.head)
				}
			})
		})
	}
}

// TestTrailersOfWrongBody: a body that is not what its headers announce has no trailers, and nothing of them is held.
func TestTrailersOfWrongBody(t *testing.T) {
	w := newWorld(t)
	_, out := w.begin(new(abi.Event))
	body, stream := w.open(out, "Content-Length", "2")
	w.write(stream, "a")
	w.do(drop+"output-stream", stream)
	held := w.call.held
	ptr, n := w.pairs("X", "1")
	w.do("[static]fields.from-list", ptr, n/2, result)
	w.do("[static]outgoing-body.finish", body, 1, w.u32(result+4), result)
	if w.u8(result) != 1 || w.call.held != held {
		t.Errorf("finish = %d, %d bytes are held, want %d", w.u8(result), w.call.held, held)
	}
}

// getTrailers takes a future's trailers as "name value ..."; ready says whether they are there, and code is an error's,
// or 255.
func (w *world) getTrailers(future uint64) (list string, ready bool, code byte) {
	if w.do("[method]future-trailers.get", future, result); w.u8(result) == 0 {
		return "", false, 255
	}
	switch {
	case w.u8(result+8) != 0:
		w.t.Error("they were taken before")
	case w.u8(result+16) != 0:
		return "", true, w.u8(result + 24)
	case w.u8(result+24) != 0:
		f := w.u32(result + 28)
		w.do("[method]fields.entries", f, result)
		list = strings.Join(w.strings(result, 2), " ")
		w.do(drop+"fields", f)
	}
	if w.do("[method]future-trailers.get", future, result); w.u8(result) != 1 || w.u8(result+8) != 1 {
		w.t.Error("trailers can be had twice")
	}
	return list, true, 255
}

func TestRequestTrailers(t *testing.T) {
	w := newWorld(t)
	for _, read := range []bool{false, true} {
		r, _ := w.begin(&abi.Event{Body: []byte("abc"), Trailers: []abi.Field{{Name: "X-Sum", Value: "1"}, {Name: "X-Sum", Value: "2"}}})
		w.do("[method]incoming-request.consume", r, result)
		body := w.u32(result + 4)
		if read {
			w.do("[method]incoming-body.stream", body, result)
			stream := w.u32(result + 4)
			w.do("[method]input-stream.read", stream, 100, result)
			w.do(drop+"input-stream", stream)
		}
		future := w.do("[static]incoming-body.finish", body)
		p := w.do("[method]future-trailers.subscribe", future)
		w.do("[method]pollable.block", p)
		w.do(drop+"pollable", p)
		if list, ready, _ := w.getTrailers(future); !ready || list != "x-sum 1 x-sum 2" {
			t.Errorf("body read %v: trailers %q, ready %v", read, list, ready)
		}
		if w.do(drop+"future-trailers", future); w.call.held != 0 {
			t.Errorf("%d bytes are held for nothing", w.call.held)
		}
	}
}

// TestRequestTrailersInPieces: they are there when the body has ended, whether its guest has read it or not.
func TestRequestTrailersInPieces(t *testing.T) {
	for _, c := range []struct {
		name string
		read bool // all of the body, by the guest
		end  error
		list string
		code byte
	}{
		{"read", true, nil, "x-sum 1", 255},
		{"not read", false, nil, "x-sum 1", 255},
		{"broken off", false, abi.WithCode(abi.InvalidInput, errors.New("the client has left")), "", codeTerminated},
		{"in no known way", false, errors.New("oh"), "", codeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				to, u, stream, _ := w.consume()
				if c.read {
					go func() {
						to.Write([]byte("b"))
						u.trailers = []abi.Field{{Name: "X-Sum", Value: "1"}}
						to.CloseWithError(c.end)
					}()
					for {
						if _, fault := w.take("blocking-read", stream); fault != nil {
							break
						}
					}
				}
				w.do(drop+"input-stream", stream)
				future := w.do("[static]incoming-body.finish", u.handle)
				if !c.read {
					if _, ready, _ := w.getTrailers(future); ready {
						t.Error("they are there before the body is")
					}
					go func() {
						to.Write(make([]byte, 3*maxRoom))
						u.trailers = []abi.Field{{Name: "X-Sum", Value: "1"}}
						to.CloseWithError(c.end)
					}()
				}
				p := w.do("[method]future-trailers.subscribe", future)
				w.do("[method]pollable.block", p)
				if list, ready, code := w.getTrailers(future); !ready || list != c.list || code != c.code {
					t.Errorf("trailers %q, ready %v, code %d, want %q, code %d", list, ready, code, c.list, c.code)
				}
			})
		})
	}
}

// TestOutgoingTrailers: a request is sent with the trailers its body was finished with, and those of its reply are
// there with it.
func TestOutgoingTrailers(t *testing.T) {
	for _, before := range []bool{true, false} { // the body is finished before the request is handled
		w := newWorld(t)
		s := &sender{answer: func(_ context.Context, r *abi.FetchRequest) (*abi.Reply, error) {
			return &abi.Reply{Status: 200, Body: r.Body, Trailers: r.Trailers}, nil
		}}
		w.call.Sender = s
		r := w.request()
		w.do("[method]outgoing-request.body", r, result)
		body := w.u32(result + 4)
		w.do("[method]outgoing-body.write", body, result)
		stream := w.u32(result + 4)
		w.write(stream, "abc")
		if before {
			w.finishWith(body, stream, "X-Sum", "1")
		}
		w.do("wasi:http/outgoing-handler@0.2#handle", r, 0, 0, result)
		future := w.u32(result + 8)
		if !before {
			w.finishWith(body, stream, "X-Sum", "1")
		}
		p := w.do("[method]future-incoming-response.subscribe", future)
		w.do("[method]pollable.block", p)
		w.do(drop+"pollable", p)
		w.do("[method]future-incoming-response.get", future, result)
		reply := w.u32(result + 24)
		w.do("[method]incoming-response.consume", reply, result)
		trailers := w.do("[static]incoming-body.finish", w.u32(result+4))
		w.do(drop+"incoming-response", reply)
		w.do(drop+"future-incoming-response", future)
		if list, ready, _ := w.getTrailers(trailers); !ready || list != "x-sum 1" {
			t.Errorf("trailers of the reply: %q, %v", list, ready)
		}
		if want := []abi.Field{{Name: "X-Sum", Value: "1"}}; len(s.sent) != 1 || !slices.Equal(s.sent[0].Trailers, want) {
			t.Errorf("sent %+v, want trailers %v", s.sent, want)
		}
		if w.do(drop+"future-trailers", trailers); w.call.held != 0 {
			t.Errorf("%d bytes are held for nothing", w.call.held)
		}
	}
}
