package router

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/sett-run/sett/sdk/abi"
)

func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hold{release: make(chan struct{})}
		r := newRouter(t, Config{Invoker: h}, live("f", routes("/")))
		ln := fasthttputil.NewInmemoryListener()
		served := make(chan error, 1)
		go func() { served <- r.Serve(ln) }()
		busy := open(t, ln, get)
		idle := open(t, ln, "")
		half := open(t, ln, "GET / HTTP/1.1\r\nHost")
		synctest.Wait()
		var other abi.Code
		var running sync.WaitGroup
		running.Go(func() { // one that did not come over HTTP
			_, err := r.Dispatch(t.Context(), Call{App: "default", Function: "f", Event: new(abi.Event)})
			other = abi.CodeOf(err)
		})
		synctest.Wait()
		down := make(chan error, 1)
		go func() { down <- r.Shutdown(context.Background()) }()
		time.Sleep(time.Second)
		if err := <-served; err != nil {
			t.Errorf("Serve() = %v", err)
		}
		select {
		case err := <-down:
			t.Fatalf("Shutdown() = %v while an invocation runs", err)
		default:
		}
		if _, err := half.Write([]byte(": a\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if got := status(t, half); got != "HTTP/1.1 503 Service Unavailable, close" {
			t.Errorf("request while draining = %q", got)
		}
		close(h.release)
		if got := status(t, busy); got != "HTTP/1.1 200 OK, close" {
			t.Errorf("request that ran = %q", got)
		}
		if err := <-down; err != nil {
			t.Errorf("Shutdown() = %v", err)
		}
		running.Wait()
		if other != "" {
			t.Errorf("invocation that ran is coded %s", other)
		}
		if got := status(t, idle); !strings.Contains(got, "EOF") {
			t.Errorf("idle connection = %q, want its end", got)
		}
		if _, err := r.Dispatch(t.Context(), Call{App: "default", Function: "f", Event: new(abi.Event)}); abi.CodeOf(err) != abi.Unavailable {
			t.Errorf("Dispatch() after Shutdown = %v", err)
		}
		if err := r.Serve(fasthttputil.NewInmemoryListener()); abi.CodeOf(err) != abi.Unavailable {
			t.Errorf("Serve() after Shutdown = %v", err)
		}
		time.Sleep(11 * time.Second)
	})
}

// TestShutdownForced checks the two ways to end what does not end by itself.
func TestShutdownForced(t *testing.T) {
	for _, again := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := &hold{}
			s := routes("/")
			s.TimeoutMS = 600_000
			r := newRouter(t, Config{Invoker: h}, live("f", s))
			ln := fasthttputil.NewInmemoryListener()
			served := make(chan error, 1)
			go func() { served <- r.Serve(ln) }()
			busy := open(t, ln, get)
			synctest.Wait()
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if again {
				time.AfterFunc(5*time.Second, func() {
					if err := r.Shutdown(context.Background()); err != nil {
						t.Errorf("second Shutdown() = %v", err)
					}
				})
			}
			err := r.Shutdown(ctx)
			took := time.Since(start)
			if again && (err != nil || took != 5*time.Second) || !again && (!errors.Is(err, context.DeadlineExceeded) || took != time.Minute) {
				t.Errorf("again %v: Shutdown() = %v after %v", again, err, took)
			}
			synctest.Wait()
			if n := h.ended.Load(); n != 1 {
				t.Errorf("again %v: %d invocations were ended, want 1", again, n)
			}
			if err := <-served; err != nil {
				t.Errorf("Serve() = %v", err)
			}
			// It is closed at once, or right behind the answer to what was ended.
			if err := busy.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			closing := time.Now()
			_, _ = io.Copy(io.Discard, busy) // which error closes it is not the question
			if waited := time.Since(closing); waited > 0 {
				t.Errorf("again %v: the connection is still open after %v", again, waited)
			}
			time.Sleep(11 * time.Second)
		})
	}
}

// TestSlowClients checks each phase's limit in virtual time. A limit is late by a sweep at most.
func TestSlowClients(t *testing.T) {
	const slack = time.Second
	for _, c := range []struct {
		name, raw string
		limit     time.Duration
		want      string
	}{
		{"idle from the start", "", 40 * time.Second, "EOF"},
		{"header", "GET / HTTP/1.1\r\nHo", 10 * time.Second, "HTTP/1.1 408 Request Timeout, close"},
		{"body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", 20 * time.Second, "HTTP/1.1 408 Request Timeout, close"},
		{"chunked body", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", 20 * time.Second, "HTTP/1.1 408 Request Timeout, close"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRouter(t, Config{Invoker: answer("ok"), HeaderTimeout: 10 * time.Second, BodyTimeout: 20 * time.Second,
					IdleTimeout: 40 * time.Second}, live("f", routes("/")))
				bubble(t, r, func(ln *fasthttputil.InmemoryListener) {
					for _, kept := range []bool{false, true} {
						conn := open(t, ln, "")
						if kept {
							if _, err := conn.Write([]byte(get)); err != nil {
								t.Fatal(err)
							}
							if got := status(t, conn); got != "HTTP/1.1 200 OK" {
								t.Fatalf("first request = %q", got)
							}
						}
						start := time.Now()
						if _, err := conn.Write([]byte(c.raw)); err != nil {
							t.Fatal(err)
						}
						got := status(t, conn)
						if took := time.Since(start); got != c.want || took < c.limit-slack || took > c.limit+2*slack {
							t.Errorf("kept alive %v: %q after %v, want %q after %v", kept, got, took, c.want, c.limit)
						}
					}
				})
			})
		})
	}
}

// TestSlowReader checks that a client that does not read its reply is cut. In memory writes do not block, so the
// sweep is asked what it does to a connection that has been writing for long.
func TestSlowReader(t *testing.T) {
	r := newRouter(t, Config{Invoker: answer("ok"), WriteTimeout: time.Minute}, live("f", routes("/")))
	deadlines := &deadlineConn{}
	c := &conn{Conn: deadlines, router: r}
	r.conns[c] = struct{}{}
	c.enter(phaseWrite)
	r.clock.Store(int64(59 * time.Second))
	r.endSlow()
	if deadlines.write {
		t.Error("cut before its limit")
	}
	r.clock.Store(int64(61 * time.Second))
	r.endSlow()
	if !deadlines.write {
		t.Error("not cut after its limit")
	}
	c.enter(phaseServe)
	deadlines.write = false
	r.clock.Store(int64(time.Hour))
	if r.endSlow(); deadlines.write || deadlines.read || deadlines.closed {
		t.Error("a connection whose function runs was ended")
	}
}

// deadlineConn notes what is done to it.
type deadlineConn struct {
	net.Conn
	read, write, closed bool
}

func (c *deadlineConn) SetReadDeadline(time.Time) error  { c.read = true; return nil }
func (c *deadlineConn) SetWriteDeadline(time.Time) error { c.write = true; return nil }
func (c *deadlineConn) Close() error                     { c.closed = true; return nil }

// shutdown begins to shut a router down, and answers what waits for the end of that.
func shutdown(t *testing.T, r *Router) (ended func()) {
	t.Helper()
	down := make(chan error, 1)
	go func() { down <- r.Shutdown(context.Background()) }()
	await(t, "shutdown", r.draining.Load)
	return func() {
		t.Helper()
		if err := <-down; err != nil {
			t.Errorf("Shutdown() = %v", err)
		}
	}
}
