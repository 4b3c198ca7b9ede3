package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/sett-run/sett/sdk/abi"
)

// protocol is what ALPN picks between nodes.
const protocol = "sett-http/1"

// certified is a TLS configuration for both sides.
func certified() *tls.Config {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{
		Certificates: s.TLS.Certificates, RootCAs: roots, ServerName: "example.com", NextProtos: []string{protocol},
		MinVersion: tls.VersionTLS13,
	}
}

// onLoopback is a server behind a real socket with TLS, and a client.
func onLoopback(t testing.TB, config ServerConfig) (*Client, Node) {
	t.Helper()
	s, err := NewServer(config)
	if err != nil {
		t.Fatal(err)
	}
	secret := certified()
	l, err := tls.Listen("tcp", "127.0.0.1:0", secret)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	c, err := NewClient(ClientConfig{Self: "self", Dial: func(ctx context.Context, address, _ string) (net.Conn, error) {
		return (&tls.Dialer{Config: secret}).DialContext(ctx, "tcp", address)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, Node{ID: "node", Address: l.Addr().String()}
}

// Over TLS too a caller that goes away ends the invocation.
func TestCancelOverTLS(t *testing.T) {
	config := echo(t)
	begun, ended := make(chan struct{}), make(chan struct{})
	config.Invoker = invokerFunc(func(ctx context.Context, i Invocation) (*abi.Result, error) {
		close(begun)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	})
	c, node := onLoopback(t, config)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		select {
		case <-begun:
		case <-t.Context().Done():
		}
		cancel()
	}()
	if _, err := c.Invoke(ctx, node, invocation(nil)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Invoke = %v, want %v", err, context.Canceled)
	}
	<-ended
}

func TestHammer(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("all at once", hammer)
	goleak.VerifyNone(t, before)
}

func hammer(t *testing.T) {
	content := bytesOf(300_000)
	m := Module{Digest: digestOf(content), SizeBytes: int64(len(content))}
	var invoked, answered atomic.Int64
	c, node := onLoopback(t, ServerConfig{
		Modules: newModules(t, content), Log: slog.New(slog.DiscardHandler), MaxInvocations: 4,
		Fetcher: fetcherFunc(func(context.Context, FetchRequest, Sink) error { return nil }),
		Invoker: invokerFunc(func(_ context.Context, i Invocation) (*abi.Result, error) {
			invoked.Add(1)
			return &abi.Result{Reply: abi.Reply{Body: i.Event.Body}}, nil
		}),
	})
	sink := newModules(t)
	l, err := NewLoader(LoaderConfig{Fetcher: c, Modules: sink, Holders: func(string) []Node { return []Node{node} }})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for n := range 30 {
				i := invocation([]byte(fmt.Sprint(g, n)))
				ctx, cancel := context.WithCancel(t.Context())
				if n%5 == 0 {
					go cancel()
				}
				switch r, err := c.Invoke(ctx, node, i); {
				case err == nil:
					answered.Add(1)
					if string(r.Body) != string(i.Event.Body) {
						t.Errorf("the reply is %q, want %q", r.Body, i.Event.Body)
					}
				case abi.CodeOf(err) != abi.TooManyRequests && !errors.Is(err, context.Canceled):
					t.Error(err)
				}
				cancel()
			}
		})
		group.Go(func() {
			for n := range 10 {
				if n%2 == 0 {
					l.Want([]Module{m, moduleOf("nobody has it")})
				} else {
					l.Want(nil)
				}
				l.Retry()
				l.Progress()
				_ = len(l.Missing())
				if err := c.Fetch(t.Context(), FetchRequest{Digest: m.Digest, SizeBytes: m.SizeBytes, Holders: []Node{node}}, sink); err != nil {
					t.Error(err)
				}
				if err := c.Hold(t.Context(), node, m.Digest, m.SizeBytes, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if invoked.Load() < answered.Load() || answered.Load() == 0 {
		t.Errorf("%d invocations ran and %d were answered", invoked.Load(), answered.Load())
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	for range 2 { // a later one may use the names again
		c, err := NewClient(ClientConfig{Self: "self", Metrics: registry, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("connection refused")
		}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewServer(ServerConfig{Modules: newModules(t), Fetcher: c, Metrics: registry,
			Invoker: invokerFunc(func(context.Context, Invocation) (*abi.Result, error) { return nil, nil })})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewServer(s.config); err == nil {
			t.Error("a second server registered its metrics")
		}
		if _, err := NewClient(ClientConfig{Self: "self", Dial: c.config.Dial, Metrics: registry}); err == nil {
			t.Error("a second client registered its metrics")
		}
		c.Invoke(t.Context(), Node{ID: "node"}, invocation(nil))
		wantMetric(t, registry, "sett_cluster_invocations_forwarded_total", "unreachable", 1)
		wantMetric(t, registry, "sett_cluster_module_fetches_total", "ok", 0)
		wantMetric(t, registry, moduleBytesName, "sent", 0)
		wantMetric(t, registry, moduleBytesName, "received", 0)
		c.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("%d families are left, %v", len(families), err)
	}
}

// wantMetric looks for a counter with a label's value.
func wantMetric(t *testing.T, g prometheus.Gatherer, name, label string, want float64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				if got := m.GetCounter().GetValue(); got != want {
					t.Errorf("%s of %s = %v, want %v", name, label, got, want)
				}
				return
			}
		}
	}
	t.Errorf("there is no %s of %s", name, label)
}

// echo answers an event's body.
func echo(t testing.TB) ServerConfig {
	return ServerConfig{
		Modules: newModules(t),
		Fetcher: fetcherFunc(func(context.Context, FetchRequest, Sink) error { return nil }),
		Invoker: invokerFunc(func(_ context.Context, i Invocation) (*abi.Result, error) {
			return &abi.Result{Reply: abi.Reply{Status: http.StatusOK, Body: i.Event.Body}, Start: abi.Warm}, nil
		}),
	}
}

// maxInvokeAllocs is what forwarding costs on both sides together, almost all of it net/http's.
const maxInvokeAllocs = 130

func TestInvokeAllocs(t *testing.T) {
	c, node := onLoopback(t, echo(t))
	i := invocation(make([]byte, 1024))
	n := testing.AllocsPerRun(200, func() {
		if _, err := c.Invoke(t.Context(), node, i); err != nil {
			t.Fatal(err)
		}
	})
	if n > maxInvokeAllocs {
		t.Errorf("an invocation takes %v allocations, want %d at most", n, maxInvokeAllocs)
	}
}

// BenchmarkInvoke forwards an event of 1 KiB over loopback and TLS.
func BenchmarkInvoke(b *testing.B) {
	c, node := onLoopback(b, echo(b))
	i := invocation(make([]byte, 1024))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Invoke(b.Context(), node, i); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMissing is what each invocation pays for the loader.
func BenchmarkMissing(b *testing.B) {
	l, err := NewLoader(LoaderConfig{Fetcher: fetcherFunc(nil), Modules: newModules(b), Holders: func(string) []Node { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		if l.Missing() != nil {
			b.Fatal("something is missing")
		}
	}
}
