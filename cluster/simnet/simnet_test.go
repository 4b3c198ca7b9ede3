package simnet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/cluster"
)

var background = context.Background()

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// pair answers both ends of a stream from a to b.
func pair(t *testing.T, n *Network) (a, b net.Conn) {
	t.Helper()
	l := must[net.Listener](t)(n.Host("b").Listen(background, "b:0"))
	defer l.Close()
	a = must[net.Conn](t)(n.Host("a").Dial(background, l.Addr().String()))
	b = must[net.Conn](t)(l.Accept())
	return a, b
}

func TestAddresses(t *testing.T) {
	n := New(1)
	a, b := n.Host("a"), n.Host("b")
	if n.Host("a") != a {
		t.Error("Host made a second a")
	}
	l := must[net.Listener](t)(a.Listen(background, "0.0.0.0:7946"))
	if got := l.Addr().String(); got != "a:7946" {
		t.Errorf("Addr() = %s, want a:7946", got)
	}
	for _, c := range []struct {
		from cluster.Network
		to   string
		ok   bool
	}{
		{b, "a:7946", true}, {b, "10.0.0.1:7946", true}, {b, "[::ffff:10.0.0.1]:7946", true}, {a, "localhost:7946", true},
		{a, "127.0.0.1:7946", true}, {a, ":7946", true}, {b, "localhost:7946", false}, {b, "c:7946", false},
		{b, "a:7947", false}, {b, "a", false}, {b, "a:x", false}, {b, "10.0.0.9:7946", false},
	} {
		conn, err := c.from.Dial(background, c.to)
		if (err == nil) != c.ok {
			t.Errorf("Dial(%s) = %v, want ok %v", c.to, err, c.ok)
		}
		if err == nil {
			conn.Close()
		}
	}
	for _, address := range []string{"a:7946", "b:7000", "c:0", "a"} {
		if _, err := a.Listen(background, address); err == nil {
			t.Errorf("Listen(%s) = nil", address)
		}
	}
	p := must[net.PacketConn](t)(a.ListenPacket(background, "a:7946"))
	if _, err := a.ListenPacket(background, "a:7946"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("ListenPacket = %v, want %v", err, syscall.EADDRINUSE)
	}
	ips, err := a.(interface {
		LookupHost(context.Context, string) ([]string, error)
	}).LookupHost(background, "b")
	if err != nil || len(ips) != 1 || ips[0] != "10.0.0.2" {
		t.Errorf("LookupHost(b) = %v, %v", ips, err)
	}
	p.Close()
	l.Close()
	must[net.Listener](t)(a.Listen(background, "a:7946")).Close()
	must[net.PacketConn](t)(a.ListenPacket(background, "a:7946")).Close()
}

func TestPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		a := must[net.PacketConn](t)(n.Host("a").ListenPacket(background, "a:1"))
		b := must[net.PacketConn](t)(n.Host("b").ListenPacket(background, "b:1"))
		seen := 0
		n.Tap(func(Packet) { seen++ })
		send := func(count int) (arrived int) {
			for i := range count {
				must[int](t)(a.WriteTo([]byte{byte(i)}, b.LocalAddr()))
			}
			time.Sleep(time.Second)
			buffer := make([]byte, 10)
			for {
				b.SetReadDeadline(time.Now().Add(time.Millisecond))
				_, from, err := b.ReadFrom(buffer)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					return arrived
				}
				if err != nil || from.String() != "a:1" {
					t.Fatalf("ReadFrom = %v, %v", from, err)
				}
				arrived++
			}
		}
		if got := send(500); got != 500 || seen != 500 {
			t.Errorf("%d of 500 arrived, %d were seen", got, seen)
		}
		if got := send(maxQueued + 100); got != maxQueued {
			t.Errorf("%d arrived, want %d", got, maxQueued)
		}
		n.Loss(0.2)
		if got := send(1000); got < 700 || got > 900 {
			t.Errorf("%d of 1000 arrived with a loss of 0.2", got)
		}
		n.Loss(0)
		n.Isolate("b")
		if got := send(10); got != 0 {
			t.Errorf("%d arrived at an isolated host", got)
		}
		n.Heal()
		n.Latency(100 * time.Millisecond)
		n.Jitter(100 * time.Millisecond)
		start := time.Now()
		must[int](t)(a.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1}))
		b.SetReadDeadline(time.Time{})
		b.ReadFrom(make([]byte, 1))
		if d := time.Since(start); d < 100*time.Millisecond || d > 200*time.Millisecond {
			t.Errorf("latency is %v, want 100 to 200ms", d)
		}
		must[int](t)(a.WriteTo([]byte("x"), b.LocalAddr()))
		n.Partition([]string{"a"})
		time.Sleep(time.Second)
		n.Heal()
		if got := send(0); got != 0 {
			t.Error("a packet on its way outlived a partition")
		}
		n.Inject(Packet{From: "a:1", To: "b:1", Bytes: []byte("y")})
		n.Inject(Packet{From: "a:1", To: "b:2"})
		n.Inject(Packet{From: "z:1", To: "b:1"})
		if got := send(0); got != 1 {
			t.Errorf("%d injected packets arrived, want 1", got)
		}
		if _, err := a.WriteTo(make([]byte, maxPacketBytes+1), b.LocalAddr()); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("WriteTo of a large packet = %v", err)
		}
		b.SetReadDeadline(time.Time{})
		go func() { time.Sleep(time.Second); b.Close() }()
		if _, _, err := b.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrom after Close = %v", err)
		}
		must[int](t)(a.WriteTo([]byte("x"), b.LocalAddr()))
		a.Close()
		if _, err := a.WriteTo(nil, b.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteTo after Close = %v", err)
		}
	})
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		n.Latency(10 * time.Millisecond)
		n.Jitter(20 * time.Millisecond)
		a, b := pair(t, n)
		data := make([]byte, 5*maxStreamBytes/2)
		for i := range data {
			data[i] = byte(rand.Int())
		}
		var group sync.WaitGroup
		for _, ends := range [][2]net.Conn{{a, b}, {b, a}} {
			group.Go(func() {
				for rest := data; len(rest) > 0; {
					part := min(len(rest), 100_003)
					must[int](t)(ends[0].Write(rest[:part]))
					rest = rest[part:]
				}
			})
			group.Go(func() {
				got := make([]byte, len(data))
				must[int](t)(io.ReadFull(ends[1], got))
				if sha256.Sum256(got) != sha256.Sum256(data) {
					t.Error("bytes arrive changed")
				}
			})
		}
		group.Wait()
		must[int](t)(a.Write([]byte("last")))
		a.Close()
		if rest := must[[]byte](t)(io.ReadAll(b)); string(rest) != "last" {
			t.Errorf("after Close the other end reads %q", rest)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write to a closed end = %v", err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close = %v", err)
		}
		b.Close()
		b.Close()
		if len(n.halves) != 0 {
			t.Errorf("%d streams are left", len(n.halves))
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		a, b := pair(t, n)
		start := time.Now()
		expect := func(what string, err error, after time.Duration) {
			t.Helper()
			var timeout net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(start) != after {
				t.Errorf("%s = %v after %v, want a timeout after %v", what, err, time.Since(start), after)
			}
		}
		a.SetReadDeadline(start.Add(time.Second))
		_, err := a.Read(make([]byte, 1))
		expect("Read", err, time.Second)
		a.SetWriteDeadline(start.Add(2 * time.Second))
		wrote, err := a.Write(make([]byte, maxStreamBytes+1))
		expect("Write", err, 2*time.Second)
		if wrote != maxStreamBytes {
			t.Errorf("Write wrote %d, want %d", wrote, maxStreamBytes)
		}
		go func() { time.Sleep(time.Second); a.SetDeadline(time.Unix(1, 0)) }()
		a.SetDeadline(time.Time{})
		_, err = a.Read(make([]byte, 1))
		expect("Read", err, 3*time.Second)
		a.SetDeadline(time.Time{})
		must[int](t)(b.Write([]byte("x")))
		must[int](t)(a.Read(make([]byte, 1)))
		go func() { time.Sleep(time.Second); a.Close() }()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read while closing = %v", err)
		}
		if err := a.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetDeadline after Close = %v", err)
		}
		b.Close()
	})
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		l := must[net.Listener](t)(n.Host("b").Listen(background, "b:1"))
		a, b := pair(t, n)
		n.Host("c")
		n.Partition([]string{"a", "c"}, []string{"b"})
		ctx, cancel := context.WithTimeout(background, time.Second)
		defer cancel()
		if _, err := n.Host("a").Dial(ctx, "b:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial while parted = %v", err)
		}
		start := time.Now()
		if _, err := n.Host("c").Dial(background, "b:1"); !errors.Is(err, syscall.ETIMEDOUT) || time.Since(start) != dialTimeout {
			t.Errorf("Dial while parted = %v after %v", err, time.Since(start))
		}
		must[int](t)(a.Write([]byte("late")))
		a.Close()
		b.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := b.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read while parted = %v", err)
		}
		b.SetReadDeadline(time.Time{})
		go func() { time.Sleep(time.Second); n.Heal() }()
		conn := must[net.Conn](t)(n.Host("a").Dial(background, "b:1"))
		if got := must[[]byte](t)(io.ReadAll(b)); !bytes.Equal(got, []byte("late")) {
			t.Errorf("after Heal %q arrives", got)
		}
		n.Isolate("b")
		n.Crash("b")
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Crash = %v", err)
		}
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read from an isolated host that crashed = %v, want it not to know", err)
		}
		n.Heal()
		conn.SetReadDeadline(time.Time{})
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read after Heal = %v, want %v", err, syscall.ECONNRESET)
		}
		conn.Close()
		b.Close()
	})
}

func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		l := must[net.Listener](t)(n.Host("b").Listen(background, "b:1"))
		p := must[net.PacketConn](t)(n.Host("b").ListenPacket(background, "b:1"))
		a, b := pair(t, n)
		waiting := must[net.Conn](t)(n.Host("a").Dial(background, "b:1"))
		go func() { time.Sleep(time.Second); n.Crash("b"); n.Crash("nobody") }()
		for _, c := range []net.Conn{a, b, waiting} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Read after Crash = %v", err)
			}
			if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Write after Crash = %v", err)
			}
			c.Close()
		}
		if _, _, err := p.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrom after Crash = %v", err)
		}
		if _, err := n.Host("a").Dial(background, "b:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial after Crash = %v", err)
		}
		l.Close()
		l = must[net.Listener](t)(n.Host("b").Listen(background, "b:1"))
		for range maxBacklog {
			must[net.Conn](t)(n.Host("a").Dial(background, "b:1"))
		}
		if _, err := n.Host("a").Dial(background, "b:1"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial beyond the backlog = %v", err)
		}
		l.Close()
	})
}

// TestOutside has hosts talk in real time while faults come and go; it is for the race detector.
func TestOutside(t *testing.T) {
	n := New(1)
	n.Latency(time.Microsecond)
	var group sync.WaitGroup
	l := must[net.Listener](t)(n.Host("b").Listen(background, "b:1"))
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { io.Copy(c, c); c.Close() })
		}
	})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 20 {
				c, err := n.Host("a").Dial(background, "b:1")
				if err != nil {
					t.Error(err)
					return
				}
				go c.Write(make([]byte, 1000))
				io.ReadFull(c, make([]byte, 1000))
				c.Close()
			}
		})
	}
	faults := make(chan struct{})
	group.Go(func() {
		for {
			select {
			case <-faults:
				return
			default:
				n.Isolate("a")
				n.Heal()
			}
		}
	})
	clients.Wait()
	close(faults)
	l.Close()
	group.Wait()
}
