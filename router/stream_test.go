package router

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// patience is how long a test waits for what should come at once, before it fails.
const patience = time.Minute

// await waits for what should come at once.
func await(t *testing.T, what string, come func() bool) {
	t.Helper()
	for start := time.Now(); !come(); time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// streaming is a function that has its event's stream.
func streaming(f func(ctx context.Context, e *abi.Event, result *abi.Result) error) invoker {
	return func(ctx context.Context, _ *registry.Version, e *abi.Event) (*abi.Result, error) {
		result := &abi.Result{Start: abi.Warm}
		return result, f(ctx, e, result)
	}
}

// begin starts a reply and writes these pieces.
func begin(e *abi.Event, result *abi.Result, pieces ...string) error {
	if err := e.Stream.Start(result); err != nil {
		return err
	}
	result.Streamed = true
	for _, p := range pieces {
		if _, err := e.Stream.Write([]byte(p)); err != nil {
			return err
		}
	}
	return nil
}

// piecemeal are settings of a function that takes bodies in pieces.
func piecemeal() registry.Settings {
	s := routes("/{path...}")
	s.Streaming = true
	return s
}

// wire is a connection to a router, with what it answers.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, address, raw string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return &wire{c, bufio.NewReader(c)}
}

// reply reads the head of a reply, whose body comes later.
func (w *wire) reply(t *testing.T, method string) *http.Response {
	t.Helper()
	r, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("read reply: %v", err)
	}
	return r
}

func TestReplyStartsBeforeItEnds(t *testing.T) {
	more := make(chan string)
	r := newRouter(t, Config{Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
		result.Headers = []abi.Field{{Name: "Content-Type", Value: "text/event-stream"}, {Name: "Connection", Value: "X-Drop"}, {Name: "X-Drop", Value: "1"}}
		if err := begin(e, result); err != nil {
			return err
		}
		for piece := range more {
			if _, err := e.Stream.Write([]byte(piece)); err != nil {
				return err
			}
		}
		return nil
	})}, live("f", routes("/{path...}")))
	w := dial(t, listen(t, r), get)
	reply := w.reply(t, "GET") // comes while the function waits
	if reply.StatusCode != 200 || reply.Header.Get("Content-Type") != "text/event-stream" || reply.Header.Get("Sett-Start") != "warm" ||
		reply.Header.Get("X-Drop") != "" || len(reply.Header.Get("Sett-Invocation-Id")) != invocationIDBytes || reply.ContentLength != -1 {
		t.Errorf("reply = %d %v", reply.StatusCode, reply.Header)
	}
	buffer := make([]byte, 100)
	for _, piece := range []string{"data: 1\n\n", "data: 2\n\n"} {
		more <- piece
		n, err := reply.Body.Read(buffer)
		if err != nil || string(buffer[:n]) != piece {
			t.Fatalf("Read = %q, %v, want %q", buffer[:n], err, piece)
		}
	}
	close(more)
	if rest, err := io.ReadAll(reply.Body); err != nil || len(rest) > 0 {
		t.Errorf("the end is %q, %v", rest, err)
	}
	// The connection answers the next request.
	more = make(chan string)
	close(more)
	io.WriteString(w, get)
	if reply := w.reply(t, "GET"); reply.StatusCode != 200 || reply.Close {
		t.Errorf("second reply on the connection = %d, closes %v", reply.StatusCode, reply.Close)
	}
	records, _ := r.Access(0, 10)
	if len(records) != 1 && len(records) != 2 || records[0].Status != 200 || records[0].ReplyBytes != 18 {
		t.Errorf("records = %+v, want 18 bytes", records)
	}
}

// TestStreamFraming is a reply in two pieces as the client's version, method and the function's headers ask for it.
func TestStreamFraming(t *testing.T) {
	length := func(n string) []abi.Field { return []abi.Field{{Name: "content-length", Value: n}} }
	for _, c := range []struct {
		name, request string
		reply         abi.Reply
		want          string // in the reply's head
		body          string // raw, behind the head
		closes        bool
	}{
		{"chunks", get, abi.Reply{}, "Transfer-Encoding: chunked", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false},
		{"length", get, abi.Reply{Headers: length("5")}, "Content-Length: 5", "abcde", false},
		{"too short", get, abi.Reply{Headers: length("6")}, "Content-Length: 6", "abcde", true},
		{"too long", get, abi.Reply{Headers: length("4")}, "Content-Length: 4", "abc", true},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", abi.Reply{}, "Transfer-Encoding: chunked", "", false},
		{"HEAD with a length", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", abi.Reply{Headers: length("5")}, "Content-Length: 5", "", false},
		{"no content", get, abi.Reply{Status: 204}, "204 No Content", "", false},
		{"reset content", get, abi.Reply{Status: 205}, "Content-Length: 0", "", false},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", abi.Reply{}, "Connection: close", "abcde", true},
		{"HTTP/1.0 with a length", "GET / HTTP/1.0\r\n\r\n", abi.Reply{Headers: length("5")}, "Content-Length: 5", "abcde", true},
		{"asked to close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", abi.Reply{}, "Connection: close", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRouter(t, Config{Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
				if e.Path == "/next" {
					return nil
				}
				result.Reply = c.reply
				return begin(e, result, "abc", "de")
			})}, live("f", routes("/{path...}")))
			w := dial(t, listen(t, r), c.request)
			head := readHead(t, w.in)
			if !strings.Contains(head, c.want) {
				t.Errorf("head = %q, want %q in it", head, c.want)
			}
			got := make([]byte, len(c.body))
			if _, err := io.ReadFull(w.in, got); err != nil || string(got) != c.body {
				t.Errorf("body = %q, %v, want %q", got, err, c.body)
			}
			io.WriteString(w, "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			rest, _ := io.ReadAll(w.in)
			if answered := strings.HasPrefix(string(rest), "HTTP/1.1 200 OK\r\n"); answered == c.closes {
				t.Errorf("behind the reply comes %q, closes is to be %v", rest, c.closes)
			}
		})
	}
}

func readHead(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("read head: %v after %q", err, head.String())
		}
		head.WriteString(line)
		if line == "\r\n" {
			return head.String()
		}
	}
}

// TestStreamOfPipelinedRequest: the reply before may wait in fasthttp's buffer, so that there is no stream.
func TestStreamOfPipelinedRequest(t *testing.T) {
	r := newRouter(t, Config{Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
		result.Body = []byte(fmt.Sprint(e.Stream != nil))
		return nil
	})}, live("f", routes("/{path...}")))
	w := dial(t, listen(t, r), get+get)
	for _, want := range []string{"true", "false"} {
		body, _ := io.ReadAll(w.reply(t, "GET").Body)
		if string(body) != want {
			t.Errorf("Stream = %s, want %s", body, want)
		}
	}
}

// TestStreamCutOff: a function that fails after it has begun must not look as if it had finished.
func TestStreamCutOff(t *testing.T) {
	r := newRouter(t, Config{Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
		if err := begin(e, result, "abc"); err != nil {
			return err
		}
		return abi.WithCode(abi.FunctionFailed, errors.New("trap"))
	}), MaxBodyBytes: 1000}, live("f", piecemeal()))
	address := listen(t, r)
	unread := "POST / HTTP/1.0\r\nContent-Length: 5000\r\n\r\nabc"
	for _, request := range []string{get, "GET / HTTP/1.0\r\n\r\n", unread} {
		reply := dial(t, address, request).reply(t, "GET")
		if body, err := io.ReadAll(reply.Body); err == nil {
			t.Errorf("%q: reply = %d %q, want one that breaks off", request, reply.StatusCode, body)
		}
	}
	records, _ := r.Access(0, 10)
	if len(records) != 3 || records[0].Status != 502 || records[0].Code != abi.FunctionFailed || records[0].ReplyBytes != 3 {
		t.Errorf("records = %+v, want the failure and 3 bytes", records)
	}
}

// TestStreamRefused: what HTTP cannot carry is refused before anything is sent, and answered 502.
func TestStreamRefused(t *testing.T) {
	var bad abi.Reply
	r := newRouter(t, Config{Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
		result.Reply = bad
		return begin(e, result, "abc")
	})}, live("f", routes("/{path...}")))
	address := listen(t, r)
	for _, bad = range []abi.Reply{{Status: 101}, {Headers: []abi.Field{{Name: "A B", Value: "c"}}}, {Headers: []abi.Field{{Name: "A", Value: "b\r\nc"}}},
		{Headers: []abi.Field{{Name: "Content-Length", Value: "x"}}}, {Headers: []abi.Field{{Name: "Content-Length", Value: "1"}, {Name: "Content-Length", Value: "2"}}}} {
		if reply := dial(t, address, get).reply(t, "GET"); reply.StatusCode != 502 {
			t.Errorf("%+v is answered %d, want 502", bad, reply.StatusCode)
		}
	}
}

// TestClientLeaves: an invocation ends within a second when nobody waits for it, whether it waits for its context or
// looks at it.
func TestClientLeaves(t *testing.T) {
	for _, mode := range []string{"waits", "looks", "writes"} {
		t.Run(mode, func(t *testing.T) {
			began, ended := make(chan struct{}), make(chan error, 1)
			r := newRouter(t, Config{Invoker: streaming(func(ctx context.Context, e *abi.Event, result *abi.Result) error {
				close(began)
				var err error
				switch mode {
				case "waits":
					<-ctx.Done()
					err = ctx.Err()
				case "looks":
					for err = ctx.Err(); err == nil; err = ctx.Err() {
						time.Sleep(time.Millisecond)
					}
				case "writes":
					for err = begin(e, result); err == nil; {
						_, err = e.Stream.Write(make([]byte, 1000))
						time.Sleep(time.Millisecond)
					}
				}
				ended <- err
				return abi.WithCode(abi.Unavailable, err)
			})}, live("f", routes("/{path...}")))
			w := dial(t, listen(t, r), get)
			<-began
			w.Close()
			left := time.Now()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("it ended without an error")
				}
				t.Logf("ended after %v", time.Since(left))
			case <-time.After(patience):
				t.Error("it goes on")
			}
		})
	}
}

// TestSlowClient: a client that does not take its reply ends the invocation.
func TestSlowClient(t *testing.T) {
	ended := make(chan error, 1)
	r := newRouter(t, Config{WriteTimeout: 100 * time.Millisecond, Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
		err := begin(e, result)
		for err == nil {
			_, err = e.Stream.Write(make([]byte, 1<<20))
		}
		ended <- err
		return err
	})}, live("f", routes("/{path...}")))
	dial(t, listen(t, r), get)
	select {
	case err := <-ended:
		if abi.CodeOf(err) != abi.Timeout {
			t.Errorf("Write = %v, want one coded %s", err, abi.Timeout)
		}
	case <-time.After(patience):
		t.Error("it goes on")
	}
}

// TestStreamStop: whoever reads beside another may be told to stop.
func TestStreamStop(t *testing.T) {
	reading, read := make(chan struct{}), make(chan error, 1)
	r := newRouter(t, Config{MaxBodyBytes: 1000, Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
		go func() {
			close(reading)
			_, err := e.Stream.Read(make([]byte, 10))
			for err == nil {
				_, err = e.Stream.Read(make([]byte, 10))
			}
			read <- err
		}()
		<-reading
		e.Stream.Stop()
		if err := <-read; errors.Is(err, io.EOF) {
			return errors.New("the body has ended")
		}
		return begin(e, result, "done")
	})}, live("f", piecemeal()))
	w := dial(t, listen(t, r), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nabc")
	if body, err := io.ReadAll(w.reply(t, "POST").Body); string(body) != "done" || err != nil {
		t.Errorf("reply = %q, %v", body, err)
	}
}

// TestStreamStopIsNoFault: a function that fails while its body is read has failed, and its client has not.
func TestStreamStopIsNoFault(t *testing.T) {
	r := newRouter(t, Config{MaxBodyBytes: 1000, Invoker: streaming(func(_ context.Context, e *abi.Event, _ *abi.Result) error {
		if _, err := io.ReadFull(e.Stream, make([]byte, 3)); err != nil {
			return err
		}
		read := make(chan error, 1)
		go func() {
			_, err := e.Stream.Read(make([]byte, 10))
			read <- err
		}()
		for range 100 { // mostly it waits then
			runtime.Gosched()
		}
		e.Stream.Stop()
		return abi.WithCode(abi.FunctionFailed, <-read)
	})}, live("f", piecemeal()))
	w := dial(t, listen(t, r), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nabc")
	if reply := w.reply(t, "POST"); reply.StatusCode != 502 || !reply.Close {
		t.Errorf("status %d, close %v, want 502 and the end of the connection", reply.StatusCode, reply.Close)
	}
}

// TestServersChange: when the first function that takes bodies in pieces comes, clients come back to the server that
// lets it.
func TestServersChange(t *testing.T) {
	release := make(chan struct{})
	r := newRouter(t, Config{MaxBodyBytes: 1000, Invoker: streaming(func(ctx context.Context, e *abi.Event, result *abi.Result) error {
		if e.Path == "/hold" {
			<-release
			return nil
		}
		return count(ctx, e, result)
	})}, live("f", routes("/{path...}")))
	address := listen(t, r)
	fresh, idle, busy := dial(t, address, ""), dial(t, address, get), dial(t, address, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
	reply := idle.reply(t, "GET")
	if _, err := io.ReadAll(reply.Body); reply.StatusCode != 200 || reply.Close || err != nil {
		t.Errorf("reply = %d, closes %v, %v", reply.StatusCode, reply.Close, err)
	}
	resting := func() (n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for c := range r.conns {
			if phase(c.state.Load()&(1<<phaseBits-1)) == phaseIdle {
				n++
			}
		}
		return n
	}
	await(t, "one busy, one at rest", func() bool { return r.running.Load() == 1 && resting() == 1 })
	if err := r.Swap(snapshot{live("f", piecemeal())}); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.in.ReadByte(); err == nil {
		t.Error("an idle connection stays")
	}
	close(release)
	if reply := busy.reply(t, "GET"); reply.StatusCode != 200 {
		t.Errorf("reply = %d", reply.StatusCode)
	}
	io.WriteString(fresh, get) // begun with the old server, it is answered and ends
	if reply := fresh.reply(t, "GET"); reply.StatusCode != 200 || !reply.Close {
		t.Errorf("reply = %d, closes %v, want 200 and the end", reply.StatusCode, reply.Close)
	}
	w := dial(t, address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n"+strings.Repeat("a", 2000))
	if body, _ := io.ReadAll(w.reply(t, "POST").Body); string(body) != "2000 whole false" {
		t.Errorf("POST = %q", body)
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
}

// TestShutdownWaitsForPieces: a reply that has begun is ended by its function, and no other begins.
func TestShutdownWaitsForPieces(t *testing.T) {
	release := make(chan struct{})
	r := newRouter(t, Config{Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
		err := begin(e, result, "begun ")
		<-release
		if err == nil {
			_, err = e.Stream.Write([]byte("ended"))
		}
		return err
	})}, live("f", piecemeal()))
	w := dial(t, listen(t, r), get)
	reply := w.reply(t, "GET")
	ended := shutdown(t, r)
	close(release)
	if body, err := io.ReadAll(reply.Body); string(body) != "begun ended" || err != nil {
		t.Errorf("reply = %q, %v", body, err)
	}
	ended()
}

// TestReadBesideReply: a body that is read in another goroutine may end while the reply begins.
func TestReadBesideReply(t *testing.T) {
	var rounds atomic.Int64
	r := newRouter(t, Config{MaxBodyBytes: 100, Invoker: streaming(func(_ context.Context, e *abi.Event, result *abi.Result) error {
		read := make(chan int64, 1)
		go func() {
			n, _ := io.Copy(io.Discard, e.Stream)
			read <- n
		}()
		for range rounds.Add(5) { // the body ends before, while, or after the reply begins
			runtime.Gosched()
		}
		if err := begin(e, result, "a"); err != nil {
			return err
		}
		_, err := fmt.Fprintf(e.Stream, "%d", <-read)
		return err
	})}, live("f", piecemeal()))
	w := dial(t, listen(t, r), "")
	for range 20 {
		fmt.Fprintf(w, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
		reply := w.reply(t, "POST")
		if body, err := io.ReadAll(reply.Body); string(body) != "a3" || err != nil {
			t.Fatalf("reply = %q, %v", body, err)
		}
		if reply.Close {
			w = dial(t, listen(t, r), "")
		}
	}
}
