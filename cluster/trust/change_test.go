package trust

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRemoved(t *testing.T) { synctest.Test(t, testRemoved) }

func testRemoved(t *testing.T) {
	d := newDen(t)
	a, b := d.node("a"), d.node("b")
	echo(t, a.Stream(ProtocolRaft))
	s := b.Stream(ProtocolRaft)
	c, err := s.Dial(t.Context(), "a:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := ask(c); err != nil {
		t.Fatal(err)
	}
	d.remove(a.identity.ID())
	if _, err := s.Dial(t.Context(), "a:7000"); !errors.Is(err, ErrRemoved) {
		t.Errorf("Dial of a removed node = %v, want %v", err, ErrRemoved)
	}
	if _, err := s.DialNode(t.Context(), "nobody:1", a.identity.ID()); !errors.Is(err, ErrRemoved) {
		t.Errorf("DialNode of a removed node = %v, want %v", err, ErrRemoved)
	}
	b.Cut(a.identity.ID())
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the stream that was open goes on after Cut")
	}
	if len(b.open) != 0 {
		t.Errorf("%d streams are open, want none", len(b.open))
	}
}

// TestRotationWhileOpen renews certificates and replaces the root, one node after the other, while both talk.
func TestRotationWhileOpen(t *testing.T) { synctest.Test(t, testRotationWhileOpen) }

func testRotationWhileOpen(t *testing.T) {
	d := newDen(t)
	a, b := d.node("a"), d.node("b")
	sa, sb := a.Stream(ProtocolRaft), b.Stream(ProtocolRaft)
	echo(t, sa)
	echo(t, sb)
	first, err := sa.Dial(t.Context(), "b:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	talk := func(when string) {
		t.Helper()
		for s, to := range map[*Stream]string{sa: "b:7000", sb: "a:7000"} {
			c, err := s.Dial(t.Context(), to)
			if err != nil {
				t.Fatalf("%s: Dial of %s = %v", when, to, err)
			}
			if _, err := ask(c); err != nil {
				t.Fatalf("%s: %s does not answer: %v", when, to, err)
			}
			c.Close()
		}
	}
	renew := func(n *testNode) {
		t.Helper()
		if err := d.records.Renew(t.Context(), n.identity); err != nil {
			t.Fatal(err)
		}
	}
	talk("at first")
	renew(a)
	talk("a has a new certificate")
	rotated, err := d.authority.Rotate()
	if err != nil {
		t.Fatal(err)
	}
	d.replace(rotated)
	renew(a)
	talk("a has the new root's")
	renew(b)
	talk("both have the new root's")
	d.replace(rotated.Retire())
	renew(b)
	talk("b trusts the new root only")
	renew(a)
	talk("both trust the new root only")
	if _, err := ask(first); err != nil {
		t.Errorf("the stream that was open all along: %v", err)
	}
}

// TestExpired: a certificate that has expired is refused in both directions, and a renewed one is accepted at once.
func TestExpired(t *testing.T) { synctest.Test(t, testExpired) }

func testExpired(t *testing.T) {
	d := newDen(t)
	a, b := d.node("a"), d.node("b")
	sa, sb := a.Stream(ProtocolRaft), b.Stream(ProtocolRaft)
	echo(t, sa)
	echo(t, sb)
	time.Sleep(NodeLife + time.Second)
	if err := d.records.Renew(t.Context(), a.identity); err != nil {
		t.Fatal(err)
	}
	if _, err := sa.Dial(t.Context(), "b:7000"); err == nil {
		t.Error("a node whose certificate has expired is dialled")
	}
	c, err := sb.Dial(t.Context(), "a:7000")
	if err == nil { // the other end refuses
		_, err = ask(c)
		c.(*Conn).cut()
	}
	synctest.Wait()
	if err == nil || a.refused(t, reasonCertificate) != 1 {
		t.Errorf("a node whose certificate has expired comes in: %v, %d refused", err, a.refused(t, reasonCertificate))
	}
	if err := d.records.Renew(t.Context(), b.identity); err != nil {
		t.Fatal(err)
	}
	c, err = sb.Dial(t.Context(), "a:7000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := ask(c); err != nil {
		t.Errorf("after its renewal the node is not answered: %v", err)
	}
}

func TestCloseStream(t *testing.T) { synctest.Test(t, testCloseStream) }

func testCloseStream(t *testing.T) {
	d := newDen(t)
	a, b := d.node("a"), d.node("b")
	s, from := a.Stream(ProtocolRaft), b.Stream(ProtocolRaft)
	waits, err := from.Dial(t.Context(), "a:7000")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed stream = %v", err)
	}
	if _, err := s.Dial(t.Context(), "b:7000"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial of a closed stream = %v", err)
	}
	if _, err := waits.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that nobody accepted is open")
	}
	s = a.Stream(ProtocolRaft) // again
	func() {
		defer func() {
			if recover() == nil {
				t.Error("opening a protocol twice does not panic")
			}
		}()
		a.Stream(ProtocolRaft)
	}()
	taken, err := from.Dial(t.Context(), "a:7000")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	go io.WriteString(c, "x")
	if _, err := taken.Read(make([]byte, 1)); err != nil {
		t.Errorf("a connection that was handed out does not go on: %v", err)
	}
	c.Close()
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept of a closed port = %v", err)
	}
	if _, err := a.Stream(ProtocolRaft).Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a stream of a closed port: Accept = %v", err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("a second Close = %v", err)
	}
}

func TestCloseEndsHandshakes(t *testing.T) { synctest.Test(t, testCloseEndsHandshakes) }

func testCloseEndsHandshakes(t *testing.T) {
	d := newDen(t)
	a := d.node("a")
	c, err := d.network.host("x").Dial(t.Context(), "a:7000")
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
	if a.log.String() != "" {
		t.Errorf("the log is %s", a.log)
	}
}

// TestPortHammer dials, renews, removes, cuts and closes at once.
func TestPortHammer(t *testing.T) {
	d := newDen(t)
	a, b, gone := d.node("a"), d.node("b"), d.node("gone")
	echo(t, a.Stream(ProtocolRaft))
	echo(t, b.Stream(ProtocolRaft))
	streams := []*Stream{a.Stream(ProtocolHTTP), b.Stream(ProtocolHTTP)}
	echo(t, streams[0])
	echo(t, streams[1])
	leaving := gone.Stream(ProtocolHTTP)
	var work sync.WaitGroup
	for n := range 4 {
		work.Go(func() {
			for range 10 {
				if c, err := streams[n%2].Dial(t.Context(), []string{"a:7000", "b:7000"}[n/2]); err != nil {
					t.Errorf("Dial = %v", err)
				} else if _, err := ask(c); err != nil {
					t.Errorf("no answer: %v", err)
				} else {
					c.Close()
				}
				if c, err := leaving.Dial(t.Context(), "a:7000"); err == nil {
					ask(c)
					c.(*Conn).cut()
				}
			}
		})
	}
	work.Go(func() {
		for range 10 {
			if err := a.identity.IssuedBy(d.authority); err != nil {
				t.Errorf("IssuedBy = %v", err)
			}
		}
	})
	work.Go(func() {
		d.remove(gone.identity.ID())
		a.Cut(gone.identity.ID())
	})
	work.Wait()
	if _, err := leaving.Dial(t.Context(), "a:7000"); err != nil {
		t.Errorf("a removed node's own Dial = %v, want one that is refused later", err)
	}
	for range 2 {
		work.Go(func() { a.Close() })
		work.Go(func() { streams[0].Close() })
	}
	work.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.open {
		if c.node == gone.identity.ID() {
			t.Error("a removed node is connected")
		}
	}
}
