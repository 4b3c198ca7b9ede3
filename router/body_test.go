package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// count reads an event's body in pieces and answers how long it was.
func count(_ context.Context, e *abi.Event, result *abi.Result) error {
	n, buffer, whole := int64(len(e.Body)), make([]byte, 1000), !e.More
	for {
		k, err := e.Stream.Read(buffer)
		n += int64(k)
		if errors.Is(err, io.EOF) {
			result.Body = []byte(fmt.Sprint(n, " whole ", whole))
			return nil
		}
		if err != nil {
			return abi.WithCode(abi.Unavailable, err)
		}
	}
}

func TestBodyInPieces(t *testing.T) {
	config := Config{Invoker: streaming(count), MaxBodyBytes: 1000, MaxStreamBytes: 100_000}
	address := listen(t, newRouter(t, config, live("f", piecemeal())))
	plain := listen(t, newRouter(t, config, live("f", routes("/{path...}"))))
	config.BodyTimeout = 50 * time.Millisecond
	hasty := listen(t, newRouter(t, config, live("f", piecemeal())))
	known := func(n int, body string) string {
		return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", n, body)
	}
	chunked := func(body string) string {
		return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
	}
	large := strings.Repeat("a", 50_000)
	for _, c := range []struct {
		name, address, request string
		status                 int
		want                   string
		again                  bool // the connection answers another
	}{
		{"small", address, known(1000, large[:1000]), 200, "1000 whole true", true},
		{"large", address, known(50_000, large), 200, "50000 whole false", true},
		{"large for a function that takes none", plain, known(50_000, large), 413, "over the limit of 1000 bytes", false},
		{"chunks", address, chunked("3\r\nabc\r\n1\r\nd\r\n0\r\nX-Late: 1\r\n\r\n"), 200, "4 whole false", true},
		{"chunks for a function that takes none", plain, chunked("3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"), 200, "4 whole true", true},
		{"chunk too large for a function that takes none", plain, chunked("c350\r\n" + large + "\r\n0\r\n\r\n"), 413, "over the limit of 1000 bytes", false},
		{"too large", address, known(100_001, large), 413, "over the limit of 100000 bytes", false},
		{"too many chunks", address, chunked(strings.Repeat("c350\r\n"+large+"\r\n", 3)), 413, "over the limit of 100000 bytes", false},
		{"chunk that is none", address, chunked("3\r\nabc\r\nxyz\r\n"), 400, "", false},
		{"slow", hasty, known(50_000, "abc"), 408, "", false},
		{"expected", address, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50000\r\n\r\n", 100, "", false},
		{"too large to be expected", address, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100001\r\n\r\n", 413, "over the limit of 100000 bytes", false},
		{"expected by none", plain, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 50000\r\n\r\n", 413, "over the limit of 1000 bytes", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := dial(t, c.address, c.request)
			reply := w.reply(t, "POST")
			body, err := io.ReadAll(reply.Body)
			matches := string(body) == c.want || c.status >= 400 && strings.Contains(string(body), c.want)
			if reply.StatusCode != c.status || c.want != "" && !matches || err != nil {
				t.Errorf("reply = %d %q, %v, want %d %q", reply.StatusCode, body, err, c.status, c.want)
			}
			if c.again {
				io.WriteString(w, get)
				if reply := w.reply(t, "GET"); reply.StatusCode != 200 {
					t.Errorf("next reply = %d, want 200", reply.StatusCode)
				}
			}
		})
	}
}

// TestBodyOfClientThatLeaves: a body that ends before it should is no whole one.
func TestBodyOfClientThatLeaves(t *testing.T) {
	for name, settings := range map[string]registry.Settings{"pieces": piecemeal(), "whole": routes("/{path...}")} {
		var ran atomic.Bool
		done := make(chan error, 1)
		r := newRouter(t, Config{MaxBodyBytes: 1000, Invoker: streaming(func(ctx context.Context, e *abi.Event, result *abi.Result) error {
			ran.Store(true)
			err := count(ctx, e, result)
			done <- err
			return err
		})}, live("f", settings))
		length := 1000
		if settings.Streaming {
			length = 2000
		}
		w := dial(t, listen(t, r), fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nabc", length))
		w.Conn.(*net.TCPConn).CloseWrite()
		if reply := w.reply(t, "POST"); reply.StatusCode != 400 {
			t.Errorf("%s: reply = %d, want 400", name, reply.StatusCode)
		}
		if ran.Load() != settings.Streaming {
			t.Errorf("%s: the function ran: %v", name, ran.Load())
		}
		if settings.Streaming {
			if err := <-done; err == nil {
				t.Errorf("%s: the body's end looks like its end", name)
			}
		}
	}
}
