package redis

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// sendMore sends what a client sends that does not listen yet, slowly enough for a reset to come back.
func (c *client) sendMore() {
	c.t.Helper()
	for range 20 {
		time.Sleep(time.Millisecond)
		if _, err := io.WriteString(c.nc, strings.Repeat("PING\r\n", 100)); err != nil {
			c.t.Fatalf("send more: %v", err)
		}
	}
}

// last holds the next reply to what is wanted, and the connection to its end after it.
func (c *client) last(want string) {
	c.t.Helper()
	if got := c.reply(); got != want {
		c.t.Errorf("reply = %s, want %s", got, want)
	}
	if _, err := c.br.ReadByte(); !errors.Is(err, io.EOF) {
		c.t.Errorf("after the last reply: %v, want EOF", err)
	}
}

// TestRefusedConnection: a client that is one too many, and sends before it listens, is told so.
func TestRefusedConnection(t *testing.T) {
	const full = "-ERR max number of clients reached"
	s, addr := start(t, Config{MaxConnections: 1})
	dial(t, addr).want("PING", "PONG")
	c := dial(t, addr)
	c.sendMore()
	c.last(full)
	for range maxRefused + 1 { // more than are lingered for
		c := dial(t, addr)
		defer c.nc.Close()
		c.last(full)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.refused); n > maxRefused {
		t.Errorf("%d refused connections are lingered for, want at most %d", n, maxRefused)
	}
}

// TestBrokenProtocol: a client that breaks the protocol, and goes on sending much, is told so.
func TestBrokenProtocol(t *testing.T) {
	_, addr := start(t, Config{})
	c := dial(t, addr)
	if _, err := io.WriteString(c.nc, "*1\r\n$x\r\n"); err != nil {
		t.Fatal(err)
	}
	c.sendMore()
	if _, err := io.WriteString(c.nc, strings.Repeat("x", 4*MaxCommandBytes)); err != nil {
		t.Fatalf("send much: %v", err)
	}
	c.last("-ERR " + errBulkLength.Error())
}

// TestPanicWithinPipeline: a client whose command panics is told so, also when it has sent others after it.
func TestPanicWithinPipeline(t *testing.T) {
	store := newSpy()
	store.fail = func(context.Context) error { panic("a bug") }
	_, addr := start(t, Config{Store: store})
	c := dial(t, addr)
	c.send("GET a")
	c.sendMore()
	c.last("-" + string(errInternal))
}

// TestShutdownWithinPipeline: a command that was done is answered when the server closes, also when its client has sent
// others after it, which are not done any more.
func TestShutdownWithinPipeline(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	store := newSpy()
	store.fail = func(context.Context) error { close(entered); <-release; return nil }
	s, addr := start(t, Config{Store: store})
	c := dial(t, addr)
	c.send("SET a 1")
	<-entered
	c.sendMore()
	var down sync.WaitGroup
	down.Go(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
	for !s.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	close(release)
	down.Wait() // the connection is closed now
	c.last("OK")
}
