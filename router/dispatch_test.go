package router

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// TestMain starts fasthttp's process-wide clock outside of every bubble.
func TestMain(m *testing.M) {
	_ = (&fasthttp.Server{LazyRequestTime: true, Handler: func(*fasthttp.RequestCtx) {}}).ServeConn(
		&replay{request: "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", n: 1})
	m.Run()
}

// hold is a function that stays until it is released or its context ends.
type hold struct {
	release chan struct{}
	ended   atomic.Int64 // by their context
}

func (h *hold) Invoke(ctx context.Context, _ *registry.Version, _ *abi.Event) (*abi.Result, error) {
	select {
	case <-h.release:
		return &abi.Result{Start: abi.Warm, Reply: abi.Reply{Body: []byte("done")}}, nil
	case <-ctx.Done():
		h.ended.Add(1)
		code := abi.Timeout
		if errors.Is(ctx.Err(), context.Canceled) {
			code = abi.Unavailable
		}
		return new(abi.Result), abi.WithCode(code, ctx.Err())
	}
}

// bubble serves r in memory inside a synctest bubble, and ends it as fasthttp needs.
func bubble(t *testing.T, r *Router, test func(ln *fasthttputil.InmemoryListener)) {
	ln := fasthttputil.NewInmemoryListener()
	served := make(chan error, 1)
	go func() { served <- r.Serve(ln) }()
	synctest.Wait()
	test(ln)
	if err := r.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve() = %v", err)
	}
	time.Sleep(11 * time.Second) // fasthttp's worker pool looks every ten
}

// open connects and sends; what comes back is in the buffer once the connection is closed or read.
func open(t *testing.T, ln *fasthttputil.InmemoryListener, raw string) net.Conn {
	t.Helper()
	c, err := ln.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Write([]byte(raw)); err != nil {
		t.Fatal(err)
	}
	return c
}

// status reads what is there of a reply and answers its status line.
func status(t *testing.T, c net.Conn) string {
	t.Helper()
	buffer := make([]byte, 4096)
	n, err := c.Read(buffer)
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(buffer[:n]), "\r\n")
	if strings.Contains(string(buffer[:n]), "Connection: close") {
		line += ", close"
	}
	return line
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func TestDispatchConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hold{release: make(chan struct{})}
		f, g := live("f", registry.Settings{Reserved: 2}), live("g", registry.Settings{Reserved: 3})
		r := newRouter(t, Config{Invoker: h, MaxConcurrent: 4}, f, g)
		dispatch := func(name string) abi.Code {
			_, err := r.Dispatch(t.Context(), Call{App: "default", Function: name, Event: new(abi.Event)})
			return abi.CodeOf(err)
		}
		var running sync.WaitGroup
		start := func(name string) {
			running.Go(func() {
				if code := dispatch(name); code != "" {
					t.Errorf("Dispatch(%s) is coded %s", name, code)
				}
			})
			synctest.Wait()
		}
		start("f")
		start("f")
		if code := dispatch("f"); code != abi.TooManyRequests {
			t.Errorf("third invocation of two is coded %q, want %q", code, abi.TooManyRequests)
		}
		// A deploy neither forgets those that run nor lets more in.
		if err := r.Swap(snapshot{live("f", registry.Settings{Reserved: 2}, registry.Settings{Reserved: 2}), g}); err != nil {
			t.Fatal(err)
		}
		if code := dispatch("f"); code != abi.TooManyRequests {
			t.Errorf("third invocation of two after a deploy is coded %q, want %q", code, abi.TooManyRequests)
		}
		start("g")
		start("g")
		if code := dispatch("g"); code != abi.TooManyRequests {
			t.Errorf("fifth invocation on the node is coded %q, want %q", code, abi.TooManyRequests)
		}
		close(h.release)
		running.Wait()
		if code := dispatch("f"); code != "" {
			t.Errorf("invocation after the others is coded %q", code)
		}
		if n := r.running.Load(); n != 0 {
			t.Errorf("%d invocations are counted as running, want 0", n)
		}
	})
}

func TestServeTooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hold{release: make(chan struct{})}
		s := routes("/")
		s.Reserved = 1
		r := newRouter(t, Config{Invoker: h}, live("f", s))
		bubble(t, r, func(ln *fasthttputil.InmemoryListener) {
			first := open(t, ln, get)
			synctest.Wait()
			second := open(t, ln, get)
			buffer := make([]byte, 4096)
			n, err := second.Read(buffer)
			if err != nil {
				t.Fatal(err)
			}
			reply, body := parse(t, "GET", string(buffer[:n]))
			checkProblem(t, reply, body)
			if reply.StatusCode != 429 || reply.Header.Get("Retry-After") != "1" {
				t.Errorf("second request = %d, Retry-After %q, want 429, 1", reply.StatusCode, reply.Header.Get("Retry-After"))
			}
			close(h.release)
			if got := status(t, first); got != "HTTP/1.1 200 OK" {
				t.Errorf("first request = %q", got)
			}
		})
	})
}

// TestSpill checks that what has no room here runs elsewhere, as much as could run here, and that Take refuses instead.
func TestSpill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := &hold{release: make(chan struct{})}, &hold{release: make(chan struct{})}
		elsewhere := invoker(func(ctx context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error) {
			result, err := there.Invoke(ctx, v, e)
			result.Node = "b"
			return result, err
		})
		s := routes("/")
		s.Reserved = 1
		r := newRouter(t, Config{Invoker: here, Spill: elsewhere, MaxConcurrent: 2}, live("f", s))
		bubble(t, r, func(ln *fasthttputil.InmemoryListener) {
			conns := []net.Conn{open(t, ln, get)}
			synctest.Wait()
			conns = append(conns, open(t, ln, get), open(t, ln, get))
			synctest.Wait()
			call := Call{App: "default", Function: "f", Event: new(abi.Event)}
			if _, err := r.Dispatch(t.Context(), call); abi.CodeOf(err) != abi.TooManyRequests {
				t.Errorf("invocation with two elsewhere, as many as may: %v, want too many requests", err)
			}
			if _, err := r.Take(t.Context(), call, 1); abi.CodeOf(err) != abi.TooManyRequests {
				t.Errorf("invocation taken for another node with no room: %v, want too many requests", err)
			}
			close(here.release)
			close(there.release)
			for i, c := range conns {
				buffer := make([]byte, 4096)
				n, _ := c.Read(buffer)
				reply, _ := parse(t, "GET", string(buffer[:n]))
				if want := map[bool]string{true: "b"}[i > 0]; reply.StatusCode != 200 || reply.Header.Get("Sett-Node") != want {
					t.Errorf("request %d = %d on node %q, want 200 on %q", i, reply.StatusCode, reply.Header.Get("Sett-Node"), want)
				}
			}
			if result, err := r.Take(t.Context(), call, 1); err != nil || string(result.Body) != "done" {
				t.Errorf("Take() = %q, %v", result.Body, err)
			}
			if _, err := r.Take(t.Context(), call, 2); abi.CodeOf(err) != abi.NotFound {
				t.Errorf("Take() of a version that is not there: %v, want not found", err)
			}
			if n, most := r.Load(); n != 0 || most != 2 || r.spilled.Load() != 0 {
				t.Errorf("Load() = %d of %d, %d elsewhere; want none of 2", n, most, r.spilled.Load())
			}
		})
	})
}

// TestDispatchDeadline checks when an invocation's context ends, in virtual time.
func TestDispatchDeadline(t *testing.T) {
	for _, c := range []struct {
		name    string
		caller  time.Duration // of the caller's deadline; 0: none
		cancel  time.Duration // when the caller gives up; 0: never
		timeout int           // of the function, milliseconds
		want    time.Duration
		code    abi.Code
	}{
		{"function's", 0, 0, 5000, 5 * time.Second, abi.Timeout},
		{"default", 0, 0, 0, registry.DefaultTimeout, abi.Timeout},
		{"caller's, earlier", 2 * time.Second, 0, 5000, 2 * time.Second, abi.Timeout},
		{"caller's, later", 20 * time.Second, 0, 5000, 5 * time.Second, abi.Timeout},
		{"caller cancels", 0, time.Second, 5000, time.Second, abi.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRouter(t, Config{Invoker: &hold{}}, live("f", registry.Settings{TimeoutMS: c.timeout}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.caller > 0 {
					ctx, cancel = context.WithTimeout(ctx, c.caller)
					defer cancel()
				}
				if c.cancel > 0 {
					time.AfterFunc(c.cancel, cancel)
				}
				start := time.Now()
				e := new(abi.Event)
				_, err := r.Dispatch(ctx, Call{App: "default", Function: "f", Event: e})
				if took := time.Since(start); took != c.want || abi.CodeOf(err) != c.code {
					t.Errorf("Dispatch() took %v coded %s, want %v coded %s", took, abi.CodeOf(err), c.want, c.code)
				}
				if c.cancel == 0 && e.DeadlineUnixMS != start.Add(c.want).UnixMilli() {
					t.Errorf("DeadlineUnixMS is %v after the start, want %v", time.UnixMilli(e.DeadlineUnixMS).Sub(start), c.want)
				}
			})
		})
	}
}

// TestInvocationContext checks it where Dispatch's callers cannot look.
func TestInvocationContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, end := context.WithCancel(context.Background())
		defer end()
		type key struct{}
		caller := context.WithValue(context.Background(), key{}, "value")
		c := new(invocationContext)
		c.begin(caller, base, time.Now().Add(time.Minute))
		if c.Err() != nil || c.Value(key{}) != "value" {
			t.Errorf("fresh: Err() = %v, Value() = %v", c.Err(), c.Value(key{}))
		}
		child, cancel := context.WithTimeout(c, time.Hour)
		defer cancel()
		if d, _ := child.Deadline(); !d.Equal(c.deadline) {
			t.Errorf("child's deadline is %v, want %v", d, c.deadline)
		}
		if c.reusable() {
			t.Error("a context that someone waits for would be used again")
		}
		if c.Value(key{}) != "value" {
			t.Errorf("armed: Value() = %v", c.Value(key{}))
		}
		end()
		synctest.Wait()
		if !errors.Is(c.Err(), context.Canceled) || child.Err() == nil {
			t.Errorf("base ended: Err() = %v, child's %v", c.Err(), child.Err())
		}
		unarmed := &invocationContext{caller: context.Background(), base: context.Background(), deadline: time.Now().Add(time.Second)}
		time.Sleep(time.Second)
		if !errors.Is(unarmed.Err(), context.DeadlineExceeded) {
			t.Errorf("past its deadline: Err() = %v", unarmed.Err())
		}
		unarmed.finish()
		<-unarmed.Done() // asked for only now, and ended all the same
		late := &invocationContext{caller: context.Background(), base: base, deadline: time.Now().Add(time.Second)}
		late.finish()
		if !late.reusable() {
			t.Error("a context nobody waits for would not be used again")
		}
		if !errors.Is(late.Err(), context.Canceled) {
			t.Errorf("finished: Err() = %v", late.Err())
		}
	})
}

func TestServePanic(t *testing.T) {
	r := newRouter(t, Config{Invoker: invoker(func(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
		panic("bug")
	})}, live("f", routes("/")))
	address := listen(t, r)
	for range 2 {
		reply, body := do(t, address, "GET", "/")
		if checkProblem(t, reply, body); reply.StatusCode != 500 || strings.Contains(body, "bug") {
			t.Errorf("reply = %d %s, want a 500 that does not say why", reply.StatusCode, body)
		}
	}
	if n := r.running.Load(); n != 0 {
		t.Errorf("%d invocations are counted as running after they panicked", n)
	}
}

func TestDispatchFillsEvent(t *testing.T) {
	var got abi.Event
	f := live("f", registry.Settings{Handler: "resize"})
	r := newRouter(t, Config{Invoker: invoker(func(_ context.Context, _ *registry.Version, e *abi.Event) (*abi.Result, error) {
		got = *e
		return &abi.Result{}, nil
	})}, f)
	e := &abi.Event{Trigger: abi.TriggerInvoke, Method: "POST", Path: "/", Body: []byte("{}")}
	if _, err := r.Dispatch(t.Context(), Call{App: "default", Function: "f", Event: e}); err != nil {
		t.Fatal(err)
	}
	if got.App != "default" || got.Function != "f" || got.Version != 1 || got.Handler != "resize" || got.Attempt != 1 ||
		len(got.Invocation) != invocationIDBytes || got.Trigger != abi.TriggerInvoke || string(got.Body) != "{}" {
		t.Errorf("event = %+v", got)
	}
	e.Attempt, e.Invocation = 3, "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	if _, err := r.Dispatch(t.Context(), Call{App: "default", Function: "f", Qualifier: "v1", Event: e}); err != nil {
		t.Fatal(err)
	}
	if got.Attempt != 3 || got.Invocation != "01ARZ3NDEKTSV4RRFFQ69G5FAV" {
		t.Errorf("event of a third attempt = %+v", got)
	}
	if _, err := r.Dispatch(t.Context(), Call{App: "default", Function: "g", Event: e}); abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Dispatch(g) = %v, want not found", err)
	}
}

func TestInvocationID(t *testing.T) {
	var id [invocationIDBytes]byte
	at := time.UnixMilli(1469918176385)
	seen := map[string]bool{}
	for range 1000 {
		putInvocationID(&id, at)
		if string(id[:10]) != "01ARYZ6S41" { // the ULID specification's own example
			t.Fatalf("id %s of %v, want it to begin with 01ARYZ6S41", id, at)
		}
		if strings.Trim(string(id[:]), crockford) != "" || seen[string(id[:])] {
			t.Fatalf("id %s has other characters than base32's, or was given before", id)
		}
		seen[string(id[:])] = true
	}
	var later [invocationIDBytes]byte
	putInvocationID(&later, at.Add(time.Millisecond))
	if string(later[:]) <= string(id[:]) {
		t.Errorf("id %s of a millisecond later sorts before %s", later, id)
	}
}
