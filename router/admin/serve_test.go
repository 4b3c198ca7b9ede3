package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

func TestUploadIsStreamed(t *testing.T) {
	w := newWorld(t)
	began, total := make(chan struct{}), 0
	w.put = func(_ string, r io.Reader) (int64, error) {
		first := make([]byte, 1)
		if _, err := io.ReadFull(r, first); err != nil {
			return 0, err
		}
		close(began)
		n, err := io.Copy(io.Discard, r)
		total = int(n) + 1
		return n + 1, err
	}
	_, server := w.start(t, nil)
	reader, writer := io.Pipe()
	go func() {
		writer.Write([]byte("a"))
		<-began // the rest is sent only once the beginning has been read at the other end
		writer.Write(bytes.Repeat([]byte("b"), 1<<20))
		writer.Close()
	}()
	m, err := connect(t, server, "").UploadModule(context.Background(), client.Upload{Digest: digestOf("x"), SizeBytes: 1<<20 + 1, Body: reader})
	if err != nil || m.SizeBytes != 1<<20+1 || total != 1<<20+1 {
		t.Errorf("upload: %+v, %v", m, err)
	}
}

func TestUploadErrors(t *testing.T) {
	const limit = 1000
	for _, test := range []struct {
		name    string
		body    string
		chunked bool
		put     func(string, io.Reader) (int64, error)
		status  int
		code    abi.Code
		want    string
	}{
		{"other bytes", "other", false, nil, 400, abi.InvalidInput, "another digest"},
		{"too large, length said", strings.Repeat("x", limit+1), false, nil, 413, abi.TooLarge, "limit of 1000 bytes"},
		{"too large, length not said", strings.Repeat("x", limit+1), true, nil, 413, abi.TooLarge, "limit of 1000 bytes"},
		{"at the limit", strings.Repeat("x", limit), true, nil, 201, "", ""},
		{"disk full, coded", "x", false, func(string, io.Reader) (int64, error) {
			return 0, abi.WithCode(abi.NoSpace, errors.New("store module: disk full"))
		}, 507, abi.NoSpace, "disk full"},
		{"disk full, from the system", "x", false, func(string, io.Reader) (int64, error) {
			return 0, fmt.Errorf("write module: %w", syscall.ENOSPC)
		}, 507, abi.NoSpace, "no space left"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.put = test.put
			_, server := w.start(t, func(c *Config) { c.Limits.ModuleBytes = limit })
			body := io.Reader(strings.NewReader(test.body))
			if test.chunked {
				body = io.MultiReader(body) // of unknown length
			}
			digest := digestOf(strings.Repeat("x", limit))
			r, err := http.NewRequest(http.MethodPut, server.URL+"/v1/modules/"+digest, body)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			if res.StatusCode != test.status || !strings.Contains(string(text), test.want) || !strings.Contains(string(text), string(test.code)) {
				t.Errorf("%d %s; want %d %s %q", res.StatusCode, text, test.status, test.code, test.want)
			}
			if w.Has(digest) != (test.status == 201) {
				t.Errorf("module kept: %v", w.Has(digest))
			}
		})
	}
}

// dial opens a connection and sends the beginning of a request.
func dial(t *testing.T, server *httptest.Server, begin string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, begin); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func TestSlowBodiesAreGivenUp(t *testing.T) {
	for name, begin := range map[string]string{
		"upload": "PUT /v1/modules/" + digestOf("x") + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc",
		"JSON":   "POST /v1/apps/default/deployments HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",
	} {
		w := newWorld(t)
		_, server := w.start(t, func(c *Config) {
			c.Limits.Stall, c.Limits.ReadTimeout = 50*time.Millisecond, 50*time.Millisecond
		})
		_, in := dial(t, server, begin)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode != 408 || !strings.Contains(string(text), "too slowly") {
			t.Errorf("%s: %d %s, want 408", name, res.StatusCode, text)
		}
	}
}

// TestSilentBodiesAreGivenUp: a body that no handler reads, and that does not come, does not keep the answer back.
func TestSilentBodiesAreGivenUp(t *testing.T) {
	_, server := newWorld(t).start(t, func(c *Config) { c.Limits.ReadTimeout = 50 * time.Millisecond })
	for begin, status := range map[string]int{
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\n":                         200,
		"POST /v1/apps/default/deployments HTTP/1.1\r\nHost: evil.example\r\n": 403,
	} {
		_, in := dial(t, server, begin+"Content-Length: 10\r\n\r\n")
		if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != status {
			t.Errorf("%.20q: %+v, %v; want %d", begin, res, err, status)
		}
	}
}

func TestUploadThatTricklesHasAnEnd(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, func(c *Config) { c.Limits.Stall, c.Limits.UploadTime = time.Hour, 50*time.Millisecond })
	conn, in := dial(t, server, "PUT /v1/modules/"+digestOf("x")+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
	go func() {
		for {
			if _, err := conn.Write([]byte("a")); err != nil {
				return
			}
		}
	}()
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 408 {
		t.Errorf("upload that never ends: %+v, %v; want 408", res, err)
	}
}

// TestReaderThatStopsReadingIsLetGo holds for a whole response, a followed log and a watch.
func TestReaderThatStopsReadingIsLetGo(t *testing.T) {
	for _, path := range []string{"/v1/logs", "/v1/logs?follow=true", "/v1/apps/shop/kv/watch?from=1"} {
		w := newWorld(t)
		for range 16 {
			set(t, &w.keys, "k", strings.Repeat("x", op.MaxValueBytes))
		}
		line := abi.Line{Stream: abi.StreamLog, Message: strings.Repeat("x", 16<<10)}
		for range client.DefaultLogLines {
			w.lines = append(w.lines, line) // 16 MB, more than sockets hold
		}
		c := w.config()
		c.Limits.ReplyTime, c.Limits.Stall = 50*time.Millisecond, 50*time.Millisecond
		a, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(done)
			a.ServeHTTP(w, r)
		}))
		dial(t, server, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		<-done // never, if nothing lets the reader go
		server.CloseClientConnections()
		server.Close()
	}
}

// pipes is a listener in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if nc, ok := <-p; ok {
		return nc, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// piped serves one connection in memory, until end.
func piped(t *testing.T, c Config) (conn net.Conn, end func()) {
	t.Helper()
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, served := make(pipes), make(chan error)
	go func() { served <- a.Serve(l) }()
	conn, theirs := net.Pipe()
	l <- theirs
	return conn, func() {
		conn.Close()
		if err := a.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// TestReadDeadlineEndsWithTheBody holds that a long invocation outlives the time its body had to arrive.
func TestReadDeadlineEndsWithTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dispatch = func(ctx context.Context, _ router.Call) (*abi.Result, error) {
			select {
			case <-ctx.Done():
				return nil, errors.New("the request ended while it ran")
			case <-time.After(4 * defaultReadTimeout):
				return &abi.Result{}, nil
			}
		}
		conn, end := piped(t, w.config())
		if _, err := io.WriteString(conn, "POST /v1/apps/default/functions/f/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
			t.Fatal(err)
		}
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 200 {
			t.Errorf("invocation longer than the body's time: %+v, %v", res, err)
		}
		end()
	})
}

func TestEveryGateAnswersTooManyRequests(t *testing.T) {
	w := newWorld(t)
	w.deployed(t, "default", "f", "m", registry.Settings{})
	inside, leave := make(chan struct{}), make(chan struct{})
	wait := func() { inside <- struct{}{}; <-leave }
	w.put = func(string, io.Reader) (int64, error) { wait(); return 0, nil }
	w.dispatch = func(context.Context, router.Call) (*abi.Result, error) { wait(); return &abi.Result{}, nil }
	w.follow = func(context.Context, client.LogQuery) iter.Seq[abi.Line] { return func(func(abi.Line) bool) { wait() } }
	w.bench = func(_ *registry.Version, _ *abi.Event, path string, _ int) ([]time.Duration, error) {
		if path == client.PathCold {
			wait()
		}
		return nil, nil
	}
	const function = "/v1/apps/default/functions/f"
	for _, test := range []struct {
		name, method, path string
		limits             Limits
	}{
		{"requests", "POST", function + "/invoke", Limits{Requests: 1}},
		{"uploads", "PUT", "/v1/modules/" + digestOf("x"), Limits{Uploads: 1}},
		{"benches", "POST", function + "/bench", Limits{Benches: 1}},
		{"followers", "GET", "/v1/logs?follow=true", Limits{Followers: 1}},
	} {
		_, server := w.start(t, func(c *Config) { c.Limits, c.Metrics = test.limits, nil })
		first := make(chan int)
		go func() {
			r, _ := http.NewRequest(test.method, server.URL+test.path, nil)
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				first <- 0
				return
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			first <- res.StatusCode
		}()
		<-inside
		res, text := call(t, server, test.method, test.path, "")
		if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" || !strings.Contains(text, "at once") {
			t.Errorf("%s: second is %d %s, want 429 with Retry-After", test.name, res.StatusCode, text)
		}
		if res, _ := call(t, server, "GET", "/healthz", ""); res.StatusCode != 200 {
			t.Errorf("%s: health while full: %d", test.name, res.StatusCode)
		}
		leave <- struct{}{}
		if status := <-first; status/100 != 2 {
			t.Errorf("%s: first is %d", test.name, status)
		}
	}
}

func TestFollowedLogsComeAsTheyAreWritten(t *testing.T) {
	w := newWorld(t)
	written, left := make(chan string), make(chan struct{})
	w.follow = func(ctx context.Context, q client.LogQuery) iter.Seq[abi.Line] {
		return func(yield func(abi.Line) bool) {
			defer close(left)
			for {
				select {
				case m := <-written:
					if !yield(abi.Line{App: q.App, Message: m, Stream: abi.StreamLog}) {
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}
	}
	_, server := w.start(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { written <- "one" }()
	var last error
	for line, err := range connect(t, server, "").Logs(ctx, client.LogQuery{App: "shop", Follow: true}) {
		if last = err; err != nil {
			break
		}
		switch line.Message { // each line is sent only after the one before was received
		case "one":
			go func() { written <- "two" }()
		case "two":
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("following ended with %v, want %v", last, context.Canceled)
	}
	<-left
}

func TestDrainEndsFollowersAndReadiness(t *testing.T) {
	w := newWorld(t)
	a, server := w.start(t, nil)
	c := connect(t, server, "")
	w.lines = []abi.Line{{Message: "one", Stream: abi.StreamLog}}
	var last error
	for _, err := range c.Logs(context.Background(), client.LogQuery{Follow: true}) {
		last = err
		a.Drain()
	}
	if last != nil {
		t.Errorf("followed log at drain ended with %v, want a clean end", last)
	}
	if err := c.Ready(context.Background()); abi.CodeOf(err) != abi.Unavailable || !strings.Contains(err.Error(), "draining") {
		t.Errorf("ready while draining: %v", err)
	}
	if res, text := call(t, server, "GET", "/healthz", ""); res.StatusCode != 200 || text != "ok\n" {
		t.Errorf("health while draining: %d %q", res.StatusCode, text)
	}
	starting := newWorld(t)
	starting.ready = errors.New("the node is starting")
	_, server = starting.start(t, nil)
	if res, text := call(t, server, "GET", "/readyz", ""); res.StatusCode != 503 || !strings.Contains(text, "starting") {
		t.Errorf("ready while starting: %d %s", res.StatusCode, text)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	w := newWorld(t)
	w.dispatch = func(context.Context, router.Call) (*abi.Result, error) { panic("secret of the house") }
	w.follow = func(context.Context, client.LogQuery) iter.Seq[abi.Line] {
		return func(yield func(abi.Line) bool) {
			yield(abi.Line{Stream: abi.StreamLog, Message: "one"})
			panic("halfway")
		}
	}
	a, server := w.start(t, nil)
	res, text := call(t, server, "POST", "/v1/apps/default/functions/f/invoke", "")
	if res.StatusCode != 500 || !strings.Contains(text, `"code":"internal"`) || strings.Contains(text, "secret") {
		t.Errorf("panic: %d %s, want 500 without its words", res.StatusCode, text)
	}
	var last error
	for _, err := range connect(t, server, "").Logs(context.Background(), client.LogQuery{Follow: true}) {
		last = err
	}
	if abi.CodeOf(last) != abi.Unavailable {
		t.Errorf("panic halfway through a response: %v, want it cut off", last)
	}
	server.Close() // waits for the handlers
	if len(a.requests) != 0 || len(a.followers) != 0 {
		t.Errorf("gates hold %d and %d after panics", len(a.requests), len(a.followers))
	}
	if !strings.Contains(w.logged.String(), "secret of the house") || !strings.Contains(w.logged.String(), "halfway") {
		t.Error("the log does not tell of the panics")
	}
}

func TestMetricsInEveryFormat(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	call(t, server, "GET", "/v1/node", "")
	call(t, server, "GET", "/nowhere/at/all", "")
	_, text := call(t, server, "GET", "/metrics", "")
	for _, want := range []string{`sett_router_admin_requests_total{route="GET /v1/node",status="200"} 1`, `sett_router_admin_requests_total{route="none",status="404"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s:\n%s", want, text)
		}
	}
	if res, text := call(t, server, "GET", "/metrics", "", "Accept", "application/openmetrics-text; version=1.0.0"); !strings.HasSuffix(text, "# EOF\n") {
		t.Errorf("OpenMetrics: %s", res.Header.Get("Content-Type"))
	}
	accept := "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
	res, _ := call(t, server, "GET", "/metrics", "", "Accept", accept)
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "application/vnd.google.protobuf") {
		t.Errorf("protobuf, which native histograms need: %s", res.Header.Get("Content-Type"))
	}
}

func TestServeRefusesOtherMachinesWithoutTokens(t *testing.T) {
	w := newWorld(t)
	a, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Serve(named{l, &net.TCPAddr{IP: net.IPv4zero, Port: 8081}}); err == nil || !strings.Contains(err.Error(), "0.0.0.0:8081 is not loopback") {
		t.Errorf("Serve on every address with Loopback: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("refused listener: %v, want it closed", err)
	}
}

// named is a listener that gives itself another address.
type named struct {
	net.Listener
	addr net.Addr
}

func (n named) Addr() net.Addr { return n.addr }

func TestShutdownWaitsForRequests(t *testing.T) {
	w := newWorld(t)
	inside, leave := make(chan struct{}), make(chan struct{})
	w.dispatch = func(context.Context, router.Call) (*abi.Result, error) {
		close(inside)
		<-leave
		return &abi.Result{}, nil
	}
	a, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served, invoked := make(chan error, 1), make(chan error, 1)
	go func() { served <- a.Serve(l) }()
	c, err := client.New(l.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := c.Invoke(context.Background(), client.InvokeTarget{App: "default", Function: "f"}, client.InvokeRequest{})
		invoked <- err
	}()
	<-inside
	down := make(chan error, 1)
	go func() { down <- a.Shutdown(context.Background()) }()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v, want nil after Shutdown", err)
	}
	close(leave)
	if err := <-invoked; err != nil {
		t.Errorf("request under way: %v, want it served", err)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := a.Shutdown(context.Background()); err != nil {
		t.Errorf("second Shutdown: %v", err)
	}
	if err := a.Serve(named{l, l.Addr()}); err == nil {
		t.Error("Serve after Shutdown served")
	}
}

func TestShutdownThatMayNotWaitCutsConnections(t *testing.T) {
	w := newWorld(t)
	inside := make(chan struct{})
	w.dispatch = func(ctx context.Context, _ router.Call) (*abi.Result, error) {
		close(inside)
		<-ctx.Done() // never, if the connection is left alone
		return &abi.Result{}, ctx.Err()
	}
	a, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- a.Serve(l) }()
	_, in := dial(t, &httptest.Server{Listener: l}, "POST /v1/apps/default/functions/f/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := a.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown that may not wait: %v, want %v", err, context.Canceled)
	}
	if res, err := http.ReadResponse(in, nil); err == nil {
		t.Errorf("request under way: %d, want its connection cut", res.StatusCode)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Modules is missing") || !strings.Contains(err.Error(), "Gatherer is missing") {
		t.Errorf("New of nothing: %v", err)
	}
	w := newWorld(t)
	c := w.config()
	c.Metrics = prometheus.WrapRegistererWithPrefix("", w.metrics)
	if _, err := New(c); err != nil {
		t.Fatal(err)
	}
	if _, err := New(c); err == nil {
		t.Error("two admin planes registered the same figures")
	}
}
