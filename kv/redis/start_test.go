package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tidwall/redcon"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// start serves cfg on loopback until the test ends and answers where. Without a store it is a new op.Memory.
func start(t testing.TB, cfg Config) (*Server, string) {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = new(op.Memory)
	}
	if cfg.Anonymous == "" && cfg.Authorize == nil {
		cfg.Anonymous = "default"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * DefaultTimeout // a machine may be slow
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return s, ln.Addr().String()
}

// onStores runs a test on the model of the store and on the store itself.
func onStores(t *testing.T, test func(*testing.T, Store)) {
	t.Run("model", func(t *testing.T) { test(t, newMemory()) })
	t.Run("store", func(t *testing.T) { test(t, openStore(t)) })
}

// openStore opens a store of one node, in memory.
func openStore(t *testing.T) *kv.Store {
	t.Helper()
	s, err := kv.Open(t.Context(), kv.Config{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// pipes is a listener in memory, for bubbles of virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-p.conns:
		return nc, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// startInMemory serves cfg without sockets until stop, which fails the test when it cannot end.
func startInMemory(t *testing.T, cfg Config) (s *Server, connect func() *client, stop func()) {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = new(op.Memory)
	}
	if cfg.Anonymous == "" && cfg.Authorize == nil {
		cfg.Anonymous = "default"
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	connect = func() *client {
		ours, theirs := net.Pipe()
		ln.conns <- theirs
		return newClient(t, ours)
	}
	return s, connect, func() {
		t.Helper()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve = %v", err)
		}
	}
}

// tokens is an Authorize that knows one token an app.
func tokens(good map[string]string) func(context.Context, string, string) error {
	return func(_ context.Context, app, token string) error {
		if want, found := good[app]; !found || want != token {
			return abi.WithCode(abi.Unauthorized, errors.New("unknown token"))
		}
		return nil
	}
}

// client is a connection that tests speak the protocol on.
type client struct {
	t  testing.TB
	nc net.Conn
	br *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return newClient(t, nc)
}

func newClient(t testing.TB, nc net.Conn) *client { return &client{t, nc, bufio.NewReader(nc)} }

// send sends a command written as for redis-cli.
func (c *client) send(line string) {
	c.t.Helper()
	args, ok := splitLine([]byte(line))
	if !ok {
		c.t.Fatalf("%q: unbalanced quotes", line)
	}
	b := redcon.AppendArray(nil, len(args))
	for _, a := range args {
		b = redcon.AppendBulk(b, a)
	}
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatalf("%q: %v", line, err)
	}
}

// do sends a command and answers its reply as readReply does.
func (c *client) do(line string) string {
	c.t.Helper()
	c.send(line)
	return c.reply()
}

func (c *client) reply() string {
	c.t.Helper()
	got, err := readReply(c.br)
	if err != nil {
		c.t.Fatalf("read reply: %v", err)
	}
	return got
}

// want does a command and holds its reply to what is wanted.
func (c *client) want(line, want string) {
	c.t.Helper()
	if got := c.do(line); got != want {
		c.t.Errorf("%s = %s, want %s", line, got, want)
	}
}

// readReply reads a reply and writes it as text: "value", 1, OK, nil, [1 "a"], {"a" 1}, -ERR text.
func readReply(br *bufio.Reader) (string, error) {
	line, err := br.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimSuffix(line[1:], "\r\n")
	n, _ := strconv.Atoi(rest)
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "-" + rest, nil
	case '_':
		return "nil", nil
	case '$', '=':
		if n < 0 {
			return "nil", nil
		}
		text := make([]byte, n+2)
		_, err := io.ReadFull(br, text)
		return strconv.Quote(string(text[:n])), err
	case '*', '~':
		return readList(br, "[", n, "]")
	case '%':
		return readList(br, "{", 2*n, "}")
	}
	return "", fmt.Errorf("reply %q", line)
}

func readList(br *bufio.Reader, open string, n int, shut string) (string, error) {
	if n < 0 {
		return "nil list", nil
	}
	var all []string
	for range n {
		one, err := readReply(br)
		if err != nil {
			return "", err
		}
		all = append(all, one)
	}
	return open + strings.Join(all, " ") + shut, nil
}

// realRedis starts a redis-server and answers where. The test is skipped when there is none, but fails when
// SETT_TEST_ALL is set.
func realRedis(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv("SETT_TEST_ALL") == "" {
		t.Skip("no redis-server to compare with; SETT_TEST_ALL=1 makes that a failure")
	}
	if err != nil {
		t.Fatal(err)
	}
	socket := t.TempDir() + "/redis.sock"
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if strings.Contains(lines.Text(), "ready to accept connections") || strings.Contains(lines.Text(), "now ready") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return socket
		}
	}
	t.Fatalf("redis-server does not start:\n%s", said.String())
	return ""
}
