package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/sett-run/sett/sdk/abi"
)

// world is a network in memory, which lives in a synctest bubble too.
type world struct {
	t         testing.TB
	mu        sync.Mutex
	listeners map[string]*pipeListener // by address
	dialed    []Node
}

func newWorld(t testing.TB) *world { return &world{t: t, listeners: map[string]*pipeListener{}} }

func (w *world) dial(ctx context.Context, address, id string) (net.Conn, error) {
	w.mu.Lock()
	l := w.listeners[address]
	w.dialed = append(w.dialed, Node{id, address})
	w.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *world) listen(address string) *pipeListener {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	w.mu.Lock()
	w.listeners[address] = l
	w.mu.Unlock()
	return l
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// client asks as the node self.
func (w *world) client(self string) *Client {
	w.t.Helper()
	c, err := NewClient(ClientConfig{Dial: w.dial, Self: self})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// serve answers as the node id with a handler of the test.
func (w *world) serve(id string, h http.Handler) Node {
	s := &http.Server{Handler: h}
	l := w.listen(id + ":1")
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	w.t.Cleanup(func() { s.Close(); <-done })
	return Node{ID: id, Address: id + ":1"}
}

// server answers as the node id.
func (w *world) server(id string, config ServerConfig) (*Server, Node) {
	w.t.Helper()
	if config.Modules == nil {
		config.Modules = newModules(w.t)
	}
	if config.Invoker == nil {
		config.Invoker = invokerFunc(func(context.Context, Invocation) (*abi.Result, error) { return nil, ErrNotHere })
	}
	if config.Fetcher == nil {
		config.Fetcher = fetcherFunc(func(context.Context, FetchRequest, Sink) error { return nil })
	}
	s, err := NewServer(config)
	if err != nil {
		w.t.Fatal(err)
	}
	l := w.listen(id + ":1")
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	w.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx)
		if err := <-done; err != nil {
			w.t.Errorf("Serve = %v, want nil", err)
		}
	})
	return s, Node{ID: id, Address: id + ":1"}
}

type invokerFunc func(ctx context.Context, i Invocation) (*abi.Result, error)

func (f invokerFunc) Invoke(ctx context.Context, i Invocation) (*abi.Result, error) { return f(ctx, i) }

type fetcherFunc func(ctx context.Context, r FetchRequest, into Sink) error

func (f fetcherFunc) Fetch(ctx context.Context, r FetchRequest, into Sink) error {
	return f(ctx, r, into)
}

// modules keeps modules in a directory, as package runtime's Modules does.
type modules struct {
	dir  string
	fail error // of Put
}

func newModules(t testing.TB, contents ...[]byte) *modules {
	t.Helper()
	m := &modules{dir: t.TempDir()}
	for _, b := range contents {
		if _, err := m.Put(t.Context(), digestOf(b), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *modules) Has(digest string) bool {
	_, err := os.Stat(filepath.Join(m.dir, digest))
	return err == nil
}

func (m *modules) Put(ctx context.Context, digest string, r io.Reader) (int64, error) {
	b, err := io.ReadAll(r)
	switch {
	case err != nil:
		return 0, abi.WithCode(abi.InvalidInput, fmt.Errorf("read upload: %w", err))
	case m.fail != nil:
		return 0, m.fail
	case digestOf(b) != digest:
		return 0, abi.WithCode(abi.InvalidInput, errors.New("wrong digest"))
	}
	temporary := filepath.Join(m.dir, fmt.Sprintf("%s.%d", digest, rand.Uint64()))
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		return 0, err
	}
	return int64(len(b)), os.Rename(temporary, filepath.Join(m.dir, digest))
}

func (m *modules) Open(digest string) (*os.File, error) {
	f, err := os.Open(filepath.Join(m.dir, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, abi.WithCode(abi.NotFound, err)
	}
	return f, err
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// bytesOf are n bytes that look like nothing else.
func bytesOf(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

const silent = -1 // status of a keeper that never answers

// keeper is a node that has one module, and a fault.
type keeper struct {
	content []byte
	cut     int64 // breaks off after so many bytes of each answer; 0: never
	stall   bool  // at the cut, falls silent instead
	alter   func(h http.Header)
	gone    int64 // after so many requests it answers 404; 0: never
	fails   int64 // so many requests it answers with 500
	status  int   // answers with nothing else, or silent

	asked  atomic.Int64
	sent   atomic.Int64
	mu     sync.Mutex
	ranges []string // of each request
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := k.asked.Add(1)
	k.mu.Lock()
	k.ranges = append(k.ranges, r.Header.Get("Range"))
	k.mu.Unlock()
	if k.status == silent {
		<-r.Context().Done()
		return
	}
	switch {
	case k.status != 0:
		w.WriteHeader(k.status)
		return
	case k.gone > 0 && n > k.gone:
		w.WriteHeader(http.StatusNotFound)
		return
	case n <= k.fails:
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	from := int64(0)
	status := http.StatusOK
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(k.content)-1, len(k.content)))
	}
	rest := k.content[from:]
	w.Header().Set("Content-Length", fmt.Sprint(len(rest)))
	if k.alter != nil {
		k.alter(w.Header())
	}
	w.WriteHeader(status)
	if k.cut == 0 || k.cut >= int64(len(rest)) {
		sent, _ := w.Write(rest)
		k.sent.Add(int64(sent))
		return
	}
	sent, _ := w.Write(rest[:k.cut])
	k.sent.Add(int64(sent))
	http.NewResponseController(w).Flush()
	if k.stall {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

// want reports a count that is off.
func (k *keeper) want(t *testing.T, name string, asked, sent int64) {
	t.Helper()
	synctest.Wait() // until it has counted
	if k.asked.Load() != asked || k.sent.Load() != sent {
		t.Errorf("%s was asked %d times and sent %d bytes, want %d and %d", name, k.asked.Load(), k.sent.Load(), asked, sent)
	}
}
