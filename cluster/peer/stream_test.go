package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sett-run/sett/sdk/abi"
)

// near is a client of this node that takes pieces.
type near struct {
	body    io.Reader
	read    atomic.Int64
	stopped chan struct{} // closed by Stop
	head    *abi.Result
	sent    bytes.Buffer
	refuses error // of Write

	trailers []abi.Field // behind the body
}

func (c *near) Trailers() []abi.Field { return c.trailers }

func newNear(body io.Reader) *near { return &near{body: body, stopped: make(chan struct{})} }

func (c *near) Read(b []byte) (int, error) {
	n, err := c.body.Read(b)
	c.read.Add(int64(n))
	return n, err
}

func (c *near) Start(r *abi.Result) error {
	head := *r
	c.head = &head
	return nil
}

func (c *near) Write(b []byte) (int, error) {
	if c.refuses != nil {
		return 0, c.refuses
	}
	return c.sent.Write(b)
}

func (c *near) Stop() { close(c.stopped) }

// blocked is a body that does not come before its client stops it.
type blocked struct {
	c       *near
	entered chan struct{} // closed by Read
}

func (b *blocked) Read([]byte) (int, error) {
	close(b.entered)
	<-b.c.stopped
	return 0, errors.New("stopped")
}

// piecesOf is an invocation with a client.
func piecesOf(c *near, more bool) Invocation {
	return Invocation{App: "default", Function: "f", Version: 1, Event: &abi.Event{Method: "POST", Path: "/", Body: []byte("begin "), More: more, Stream: c}}
}

func TestInvokeInPieces(t *testing.T) {
	large := strings.Repeat("0123456789", 30_000)
	for _, c := range []struct {
		name   string
		more   bool
		invoke func(ctx context.Context, e *abi.Event) (*abi.Result, error)
		head   int // status sent; 0: none
		sent   string
		body   string // of the result
		code   abi.Code
		read   int64 // bytes of what follows the body
	}{
		{"held", false, func(_ context.Context, e *abi.Event) (*abi.Result, error) {
			return &abi.Result{Start: abi.Cold, Reply: abi.Reply{Status: 201, Body: e.Body}}, nil
		}, 0, "", "begin ", "", 0},
		{"held, body not read", true, func(_ context.Context, e *abi.Event) (*abi.Result, error) {
			return &abi.Result{Reply: abi.Reply{Body: e.Body}}, nil
		}, 0, "", "begin ", "", 0},
		{"held, body read", true, func(_ context.Context, e *abi.Event) (*abi.Result, error) {
			rest, err := io.ReadAll(e.Stream)
			return &abi.Result{Reply: abi.Reply{Body: []byte(fmt.Sprint(len(rest)))}}, err
		}, 0, "", "300000", "", 300_000},
		{"echo", true, func(_ context.Context, e *abi.Event) (*abi.Result, error) {
			r := &abi.Result{Start: abi.Cold, Streamed: true, Reply: abi.Reply{Status: 201, Headers: []abi.Field{{Name: "A", Value: "b"}}}}
			if err := e.Stream.Start(r); err != nil {
				return r, err
			}
			_, err := io.Copy(e.Stream, e.Stream)
			return r, err
		}, 201, large, "", "", 300_000},
		{"fails midway", false, func(_ context.Context, e *abi.Event) (*abi.Result, error) {
			r := &abi.Result{Streamed: true, Reply: abi.Reply{Status: 200}}
			e.Stream.Start(r)
			e.Stream.Write([]byte("abc"))
			return r, abi.WithCode(abi.FunctionFailed, errors.New("trap"))
		}, 200, "abc", "", abi.FunctionFailed, 0},
		{"not here", true, func(context.Context, *abi.Event) (*abi.Result, error) { return nil, ErrNotHere }, 0, "", "", abi.Unavailable, 0},
		{"no room", true, func(context.Context, *abi.Event) (*abi.Result, error) {
			return nil, abi.WithCode(abi.TooManyRequests, errors.New("full"))
		}, 0, "", "", abi.TooManyRequests, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			_, node := w.server("b", ServerConfig{Invoker: invokerFunc(func(ctx context.Context, i Invocation) (*abi.Result, error) {
				return c.invoke(ctx, i.Event)
			})})
			to := newNear(strings.NewReader(large))
			result, err := w.client("a").Invoke(t.Context(), node, piecesOf(to, c.more))
			if abi.CodeOf(err) != c.code || string(result.Body) != c.body || to.sent.String() != c.sent {
				t.Errorf("Invoke = %.100q, %v, sent %.100q; want %q, code %q, %.100q", result.Body, err, to.sent.String(), c.body, c.code, c.sent)
			}
			if (to.head != nil) != (c.head > 0) || result.Streamed != (c.head > 0) || to.head != nil && to.head.Status != c.head {
				t.Errorf("head = %+v, result %+v; want status %d", to.head, result, c.head)
			}
			if n := to.read.Load(); n != c.read {
				t.Errorf("%d bytes of the body were read, want %d", n, c.read)
			}
			if c.name == "not here" && !errors.Is(err, ErrNotHere) {
				t.Errorf("Invoke = %v, want ErrNotHere", err)
			}
		})
	}
}

// TestInvokeInPiecesEnds: a client that takes no more ends the invocation on the other node, and one that sends nothing does not
// hold up the end.
func TestInvokeInPiecesEnds(t *testing.T) {
	ended, entered := make(chan error, 1), make(chan struct{})
	w := newWorld(t)
	_, node := w.server("b", ServerConfig{Invoker: invokerFunc(func(ctx context.Context, i Invocation) (*abi.Result, error) {
		r := &abi.Result{Streamed: true, Reply: abi.Reply{Status: 200}}
		err := i.Event.Stream.Start(r)
		if i.Event.More {
			read := make(chan error, 1)
			go func() {
				_, err := i.Event.Stream.Read(make([]byte, 10))
				read <- err
			}()
			<-entered // the body is asked for, and does not come
			i.Event.Stream.Stop()
			<-read
		}
		for err == nil && !i.Event.More {
			_, err = i.Event.Stream.Write(make([]byte, 1000))
		}
		ended <- err
		return r, err
	})})
	to := newNear(strings.NewReader(""))
	to.refuses = abi.WithCode(abi.Timeout, errors.New("too slow"))
	if result, err := w.client("a").Invoke(t.Context(), node, piecesOf(to, false)); abi.CodeOf(err) != abi.Timeout || !result.Streamed {
		t.Errorf("Invoke = %+v, %v, want the client's error", result, err)
	}
	if err := <-ended; err == nil {
		t.Error("the function does not hear of it")
	}
	to = newNear(nil)
	to.body = &blocked{to, entered}
	if _, err := w.client("a").Invoke(t.Context(), node, piecesOf(to, true)); err != nil {
		t.Errorf("Invoke = %v", err)
	}
	<-ended
}

// TestInvokeInPiecesOlderNode: a node that knows no pieces runs what needs none.
func TestInvokeInPiecesOlderNode(t *testing.T) {
	w := newWorld(t)
	s, _ := w.server("c", ServerConfig{Invoker: invokerFunc(func(context.Context, Invocation) (*abi.Result, error) {
		return &abi.Result{Reply: abi.Reply{Body: []byte("held")}}, nil
	})})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /invoke", s.invoke)
	node := w.serve("b", mux)
	if result, err := w.client("a").Invoke(t.Context(), node, piecesOf(newNear(nil), false)); err != nil || string(result.Body) != "held" {
		t.Errorf("Invoke = %+v, %v", result, err)
	}
	if _, err := w.client("a").Invoke(t.Context(), node, piecesOf(newNear(nil), true)); !errors.Is(err, ErrNotHere) {
		t.Errorf("Invoke with a body in pieces = %v, want ErrNotHere", err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(append(appendFrame(nil, frameData, 3), "abcr\x00\x00\x00\x00"...))
	f.Add(appendFrame(nil, frameMore, 0))
	f.Add(appendFrame(nil, frameHead, 1<<31))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, used := &frames{from: bytes.NewReader(data), limit: 1000}, 0
		for {
			kind, payload, err := in.next()
			if err != nil {
				return
			}
			if again := append(appendFrame(nil, kind, len(payload)), payload...); !bytes.HasPrefix(data[used:], again) {
				t.Fatalf("frame %q of %q is not what stands at %d of %q", kind, payload, used, data)
			}
			used += 5 + len(payload)
		}
	})
}
