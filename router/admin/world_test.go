package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/router/trigger"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// world is a node's rooms in memory: a real registry, and stand-ins for the rest.
type world struct {
	store    *memory
	keys     op.Memory // the apps' keys and values
	channels channels
	objects  objects
	registry *registry.Registry
	metrics  *prometheus.Registry
	logged   *logged

	mu      sync.Mutex // guards the rest
	modules map[string][]byte
	lines   []abi.Line
	ready   error
	awaited uint64 // generation

	put      func(digest string, r io.Reader) (int64, error) // instead of keeping a module
	deploy   func([]registry.Change) error                   // before deploying
	dispatch func(context.Context, router.Call) (*abi.Result, error)
	bench    func(*registry.Version, *abi.Event, string, int) ([]time.Duration, error)
	follow   func(context.Context, client.LogQuery) iter.Seq[abi.Line]
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{store: newMemory(), modules: map[string][]byte{}, metrics: prometheus.NewRegistry(), logged: &logged{}}
	var err error
	if w.registry, err = registry.Open(context.Background(), w.store); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) config() Config {
	return Config{
		Modules: w, Deployer: w, Registry: w.registry, Changes: w.registry, Invoker: w, Bencher: w, Logs: w, Tokens: w.store,
		Node: w, KV: &w.keys, Queues: &w.channels, Objects: &w.objects, Subscriptions: &w.channels, Events: &w.channels, Schedules: &w.channels, Async: &w.channels,
		Gatherer: w.metrics, Metrics: w.metrics, Loopback: true, Check: trigger.Check,
		Log: slog.New(slog.NewTextHandler(w.logged, nil)),
	}
}

// logged is what the admin plane logs.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// patience is how long calls may take that a test does not mean to end: a slow machine takes its time for large bodies.
const patience = 10 * time.Minute

// start serves the world's admin plane, every response compared with its description.
func (w *world) start(t testing.TB, change func(*Config)) (*Admin, *httptest.Server) {
	t.Helper()
	c := w.config()
	c.Limits = Limits{ReadTimeout: patience, Stall: patience, Time: patience, ReplyTime: patience}
	if change != nil {
		change(&c)
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(newDescribed(t, a))
	t.Cleanup(func() { a.Drain(); server.Close() })
	return a, server
}

func connect(t testing.TB, server *httptest.Server, token string) *client.Client {
	t.Helper()
	c, err := client.New(server.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// makeToken makes a token of an app, "" for an admin's, and answers its secret.
func makeToken(t testing.TB, a *Admin, app string) string {
	t.Helper()
	made, err := a.CreateToken(context.Background(), client.TokenRequest{Name: "test", App: app})
	if err != nil {
		t.Fatal(err)
	}
	return made.Secret
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// deployed puts a function there without the admin plane.
func (w *world) deployed(t testing.TB, app, name, module string, settings registry.Settings) {
	t.Helper()
	w.mu.Lock()
	w.modules[digestOf(module)] = []byte(module)
	w.mu.Unlock()
	change := registry.Change{Name: name, Module: registry.Module{Digest: digestOf(module)}, Settings: settings}
	if _, err := w.Deploy(context.Background(), app, []registry.Change{change}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) Has(digest string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.modules[digest]
	return ok
}

func (w *world) Put(_ context.Context, digest string, r io.Reader) (int64, error) {
	if w.put != nil {
		return w.put(digest, r)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return 0, fmt.Errorf("store module: %w", err)
	}
	if digestOf(string(text)) != digest {
		return 0, abi.WithCode(abi.InvalidInput, errors.New("bytes have another digest"))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.modules[digest] = text
	return int64(len(text)), nil
}

func (w *world) Deploy(ctx context.Context, app string, changes []registry.Change) ([]Deployed, error) {
	if w.deploy != nil {
		if err := w.deploy(changes); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	for i := range changes {
		changes[i].Module.SizeBytes = int64(len(w.modules[changes[i].Module.Digest]))
		changes[i].Module.Kind = registry.KindSett
		changes[i].Module.Description = &abi.Description{ABI: abi.Version, SDK: "go/0.1.0", Handles: []string{"resize"}}
	}
	w.mu.Unlock()
	done, err := w.registry.Deploy(ctx, app, changes)
	if err != nil {
		return nil, err
	}
	out := make([]Deployed, 0, len(done))
	for _, d := range done {
		out = append(out, Deployed{Deployed: d, Compile: 1234567 * time.Nanosecond})
	}
	return out, nil
}

func (w *world) Dispatch(ctx context.Context, c router.Call) (*abi.Result, error) {
	if w.dispatch != nil {
		return w.dispatch(ctx, c)
	}
	return nil, abi.WithCode(abi.NotFound, errors.New("no function"))
}

func (w *world) Bench(_ context.Context, v *registry.Version, e *abi.Event, path string, count int) ([]time.Duration, error) {
	if w.bench != nil {
		return w.bench(v, e, path, count)
	}
	return slices.Repeat([]time.Duration{time.Millisecond}, count), nil
}

func (w *world) Read(_ context.Context, q client.LogQuery) []abi.Line {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []abi.Line
	for _, l := range w.lines {
		if matches(l, q) {
			out = append(out, l)
		}
	}
	return out[max(0, len(out)-q.Limit):]
}

func matches(l abi.Line, q client.LogQuery) bool {
	return (q.App == "" || q.App == l.App) && (q.Function == "" || q.Function == l.Function) &&
		(q.Invocation == "" || q.Invocation == l.Invocation) && !l.Time.Before(q.Since)
}

func (w *world) Follow(ctx context.Context, q client.LogQuery) iter.Seq[abi.Line] {
	if w.follow != nil {
		return w.follow(ctx, q)
	}
	return func(yield func(abi.Line) bool) {
		for _, l := range w.Read(ctx, q) {
			if !yield(l) {
				return
			}
		}
		<-ctx.Done()
	}
}

func (w *world) Serving(_ context.Context, generation uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaited = generation
}

func (w *world) Info() client.Node {
	return client.Node{Name: "n1", Version: "0.1.0", Region: "eu", HTTP: "127.0.0.1:8080", Admin: "127.0.0.1:8081",
		Started: time.Now().Add(-90 * time.Second)}
}

func (w *world) Ready() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ready
}

// noFigures is a gatherer without any.
type noFigures struct{}

func (noFigures) Gather() ([]*dto.MetricFamily, error) { return nil, nil }

// call sends a request as it is and answers the response with its body.
func call(t testing.TB, server *httptest.Server, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, server.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res, string(text)
}
