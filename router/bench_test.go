package router

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// replay is a connection whose client sends the same request n times and takes no notice of the answers. It costs
// nothing, so that what is left is the server.
type replay struct {
	net.Conn
	request string
	n       int
	wire    *capture // nil: nobody looks
	rest    string   // of the request that is being sent
}

func (c *replay) Read(p []byte) (int, error) {
	if c.rest == "" {
		if c.n == 0 {
			return 0, io.EOF
		}
		c.n--
		c.rest = c.request
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *replay) Write(p []byte) (int, error) {
	if c.wire != nil {
		*c.wire = append(*c.wire, p...)
	}
	return len(p), nil
}

func (c *replay) Close() error                     { return nil }
func (c *replay) SetDeadline(time.Time) error      { return nil }
func (c *replay) SetReadDeadline(time.Time) error  { return nil }
func (c *replay) SetWriteDeadline(time.Time) error { return nil }
func (c *replay) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4321} }
func (c *replay) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

const benchRequest = "GET /users/42?expand=orders HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0\r\n" +
	"Accept: application/json\r\nAccept-Encoding: gzip, br\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef\r\n" +
	"X-Request-Id: 9f86d081884c7d65\r\n\r\n"

// same is a function that costs nothing: the router only reads a result of which nothing is to be dropped.
type same struct{ result *abi.Result }

func (s same) Invoke(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
	return s.result, nil
}

// reportCPU reports the process's CPU time: wall time is of little use on a machine that is shared.
func reportCPU(b *testing.B) func() {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

func BenchmarkServe(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		reply := []byte("answer")
		s := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType("application/json")
			ctx.Response.SetBodyRaw(reply)
		}}
		b.ReportAllocs()
		defer reportCPU(b)()
		_ = s.ServeConn(&replay{request: benchRequest, n: b.N})
	})
	b.Run("sett", func(b *testing.B) {
		r := newRouter(b, Config{Invoker: same{&abi.Result{Start: abi.Warm, Reply: abi.Reply{Headers: []abi.Field{{Name: "Content-Type", Value: "application/json"}}, Body: []byte("answer")}}}, Metrics: prometheus.NewRegistry()},
			live("users", registry.Settings{Routes: []registry.Route{{Pattern: "GET /users/{id}"}}}))
		b.ReportAllocs()
		b.ResetTimer()
		defer reportCPU(b)()
		_ = r.server.ServeConn(&conn{Conn: &replay{request: benchRequest, n: b.N}, router: r, remote: "192.0.2.7:4321"})
	})
	for name, size := range map[string]int{"sett-post": 200, "sett-post-large": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			r := newRouter(b, Config{Invoker: same{&abi.Result{Start: abi.Warm, Reply: abi.Reply{Body: []byte("answer")}}}, Metrics: prometheus.NewRegistry()},
				live("users", registry.Settings{Routes: []registry.Route{{Pattern: "POST /users"}}}))
			request := "POST /users HTTP/1.1\r\nHost: shop.example\r\nContent-Length: " + strconv.Itoa(size) + "\r\n\r\n" + strings.Repeat("a", size)
			b.ReportAllocs()
			b.ResetTimer()
			defer reportCPU(b)()
			_ = r.server.ServeConn(&conn{Conn: &replay{request: request, n: b.N}, router: r, remote: "192.0.2.7:4321"})
		})
	}
	b.Run("sett-parallel", func(b *testing.B) {
		r := newRouter(b, Config{Invoker: same{&abi.Result{Start: abi.Warm, Reply: abi.Reply{Headers: []abi.Field{{Name: "Content-Type", Value: "application/json"}}, Body: []byte("answer")}}}, Metrics: prometheus.NewRegistry()},
			live("users", registry.Settings{Routes: []registry.Route{{Pattern: "GET /users/{id}"}}}))
		b.ReportAllocs()
		b.ResetTimer()
		defer reportCPU(b)()
		var clients sync.WaitGroup
		for range 2 {
			clients.Go(func() {
				_ = r.server.ServeConn(&conn{Conn: &replay{request: benchRequest, n: b.N / 2}, router: r, remote: "192.0.2.7:4321"})
			})
		}
		clients.Wait()
	})
}
