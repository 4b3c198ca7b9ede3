package router

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// sendMore sends what a client sends that does not listen yet, slowly enough for a reset to come back.
func (w *wire) sendMore(t *testing.T) {
	t.Helper()
	for range 20 {
		time.Sleep(time.Millisecond)
		if _, err := io.WriteString(w, strings.Repeat("a", 10_000)); err != nil {
			t.Fatalf("send more: %v", err)
		}
	}
}

// TestReplyBeforeBodyIsRead: a function may answer without reading all of a body, and the client gets the answer.
func TestReplyBeforeBodyIsRead(t *testing.T) {
	r := newRouter(t, Config{MaxBodyBytes: 1000, Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
		if e.Path == "/held" {
			result.Body = []byte("no")
			return nil
		}
		return begin(e, result, "no")
	})}, live("f", piecemeal()))
	address := listen(t, r)
	for _, path := range []string{"/held", "/sent"} {
		w := dial(t, address, "POST "+path+" HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("a", 20_000))
		reply := w.reply(t, "POST")
		w.sendMore(t)
		if body, err := io.ReadAll(reply.Body); string(body) != "no" || err != nil {
			t.Errorf("POST %s = %q, %v", path, body, err)
		}
	}
}

// TestRefusedBodyIsRead: a client that sends all of a request before it listens gets the refusal.
func TestRefusedBodyIsRead(t *testing.T) {
	config := Config{MaxBodyBytes: 1000, Invoker: streaming(func(context.Context, *abi.Event, *abi.Result) error { panic("bug") })}
	whole := listen(t, newRouter(t, config, live("f", routes("/{path...}"))))
	pieces := listen(t, newRouter(t, config, live("f", piecemeal())))
	for _, c := range []struct {
		status           int
		address, request string
	}{
		{413, whole, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"},
		{400, whole, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: some\r\n\r\n"},
		{431, whole, "POST / HTTP/1.1\r\nHost: a\r\nX-Long: "},
		{405, pieces, "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"},
		{500, pieces, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"},
	} {
		w := dial(t, c.address, c.request)
		w.sendMore(t)
		if reply := w.reply(t, "POST"); reply.StatusCode != c.status {
			t.Errorf("reply = %d, want %d", reply.StatusCode, c.status)
		}
	}
}

// TestLateBodyIsRead: a client that was too slow may still be sending when it is told so.
func TestLateBodyIsRead(t *testing.T) {
	r := newRouter(t, Config{Invoker: answer("ok"), BodyTimeout: 20 * time.Millisecond}, live("f", routes("/{path...}")))
	w := dial(t, listen(t, r), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
	await(t, "refusal", func() bool {
		records, _ := r.Access(0, 10)
		return len(records) > 0
	})
	w.sendMore(t)
	if reply := w.reply(t, "POST"); reply.StatusCode != 408 {
		t.Errorf("reply = %d, want 408", reply.StatusCode)
	}
}

// TestBodyWhileDraining: a client that sends all of a request to a router that is shutting down is told to go elsewhere.
func TestBodyWhileDraining(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	r := newRouter(t, Config{MaxBodyBytes: 1000, Invoker: streaming(func(context.Context, *abi.Event, *abi.Result) error {
		close(entered)
		<-release
		return nil
	})}, live("f", piecemeal()))
	address := listen(t, r)
	late := dial(t, address, "POST / HTTP/1.1\r\nHost: a\r\nContent-")
	dial(t, address, get)
	<-entered
	ended := shutdown(t, r)
	io.WriteString(late, "Length: 1000000\r\n\r\n")
	late.sendMore(t)
	if reply := late.reply(t, "POST"); reply.StatusCode != 503 {
		t.Errorf("reply = %d, want 503", reply.StatusCode)
	}
	late.Close()
	close(release)
	ended()
}

// TestServeConnectionLimit: clients over the limit are told, also those that are still sending.
func TestServeConnectionLimit(t *testing.T) {
	r := newRouter(t, Config{Invoker: answer("ok"), MaxConnections: 1}, live("f", routes("/")))
	address := listen(t, r)
	first := dial(t, address, get)
	first.reply(t, "GET") // it is being served
	for range 2 {
		w := dial(t, address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
		w.sendMore(t)
		reply := w.reply(t, "POST")
		body, err := io.ReadAll(reply.Body)
		if reply.StatusCode != 503 || !reply.Close || reply.Header.Get("Retry-After") == "" || len(body) == 0 || err != nil {
			t.Errorf("second connection of one = %d %q, %v, closes %v, want 503", reply.StatusCode, body, err, reply.Close)
		}
	}
	// A burst of more than are lingered for is told, too, as far as it can be.
	var burst []*wire
	for range maxTurnedAway + 1 {
		w := dial(t, address, "")
		if reply := w.reply(t, "GET"); reply.StatusCode != 503 {
			t.Fatalf("reply = %d, want 503", reply.StatusCode)
		}
		burst = append(burst, w)
	}
	for _, w := range append(burst, first) {
		w.Close()
	}
	await(t, "end of all connections", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.conns) == 0 && r.turned == 0
	})
	if reply := dial(t, address, get).reply(t, "GET"); reply.StatusCode != 200 {
		t.Errorf("a connection when the others have ended = %d, want 200", reply.StatusCode)
	}
}

// halves is a connection in memory of which one side can be shut.
type halves struct {
	net.Conn
	shut bool
}

func (h *halves) CloseWrite() error { h.shut = true; return nil }

// TestLinger holds how long a client may go on sending, in virtual time.
func TestLinger(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration // between bytes
		bytes int           // after which the client closes; -1: it never does, 0: nor does it send
		want  time.Duration
	}{
		{"leaves at once", 0, 1, 0},
		{"sends with pauses", lingerPause - time.Second, 5, 5 * (lingerPause - time.Second)},
		{"is silent", 0, 0, lingerPause},
		{"never ends", time.Second, -1, lingerTime},
	} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			var client sync.WaitGroup
			client.Go(func() {
				for i := 0; i != c.bytes; i++ {
					time.Sleep(c.every)
					if _, err := ours.Write([]byte("a")); err != nil {
						return
					}
				}
				if c.bytes > 0 {
					ours.Close()
				}
			})
			begin, h := time.Now(), &halves{Conn: theirs}
			served := &conn{Conn: h}
			served.leaveUnread()
			if err := served.Close(); err != nil || !h.shut {
				t.Errorf("%s: Close = %v, its own side is shut %v", c.name, err, h.shut)
			}
			if took := time.Since(begin); took != c.want {
				t.Errorf("%s: Close took %v, want %v", c.name, took, c.want)
			}
			client.Wait()
			ours.Close()
		})
	}
}
