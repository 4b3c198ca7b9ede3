package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/cluster/simnet"
)

// TestLoopback runs three members over real sockets.
func TestLoopback(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var all []*Gossip
	for i := range 3 {
		c := Config{ID: fmt.Sprintf("n%d", i), Bind: "127.0.0.1:0", Keys: [][]byte{keyA}, PeersFile: filepath.Join(t.TempDir(), "peers.json")}
		if i == 0 {
			c.Metrics = registry
		}
		g, err := Open(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		if all = append(all, g); i > 0 {
			if err := g.Join(ctx, []string{all[0].Addr()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	await := func(what string, holds func() bool) {
		t.Helper()
		for {
			changed := all[0].Changed()
			if holds() {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				t.Fatalf("%s: not in time: %+v", what, all[0].Members())
			}
		}
	}
	await("all are there", func() bool { return len(all[0].Members()) == 3 })
	if err := all[2].SetAbout(About{Name: "news"}); err != nil {
		t.Fatal(err)
	}
	await("news arrive", func() bool { return all[0].Members()[2].About.Name == "news" })
	if err := all[2].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	await("leave seen", func() bool { return all[0].Members()[2].State == Left })
	if err := all[1].Close(); err != nil {
		t.Fatal(err)
	}
	await("crash seen", func() bool { return all[0].Members()[1].State == Dead })
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range families {
		fmt.Fprintln(&text, f)
	}
	for _, part := range []string{"sett_cluster_members", `value:"dead"`, "sett_cluster_gossip_packets_total"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("metrics lack %q:\n%s", part, text.String())
		}
	}
	if err := all[0].Close(); err != nil {
		t.Fatal(err)
	}
	if families, _ := registry.Gather(); len(families) != 0 {
		t.Errorf("%d metrics are left after Close", len(families))
	}
	if err := all[0].Join(ctx, []string{"127.0.0.1:1"}); err == nil {
		t.Error("Join after Close = nil")
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		d.grow(1)
		for name, change := range map[string]func(*Config){
			"id":        func(c *Config) { c.ID = "a.b" },
			"no id":     func(c *Config) { c.ID = "" },
			"keys":      func(c *Config) { c.Keys = nil },
			"bind":      func(c *Config) { c.Bind = "n09" },
			"taken":     func(c *Config) { c.Network, c.Bind = d.net.Host("n00"), "n00:7946" },
			"advertise": func(c *Config) { c.Advertise = "nowhere:7946" },
			"everyone":  func(c *Config) { c.Advertise = "[::]:7946" },
		} {
			c := d.config("n09")
			change(&c)
			if g, err := Open(context.Background(), c); err == nil {
				t.Errorf("%s: Open = nil", name)
				g.Close()
			}
		}
		d.open(d.config("n09")) // its address is free
	})
}

func TestAdvertised(t *testing.T) {
	t.Parallel()
	r := resolverOf(simnet.New(1).Host("here"))
	for _, c := range []struct{ wanted, bound, want string }{
		{"", "10.1.2.3:7", "10.1.2.3:7"}, {"", "[::ffff:10.1.2.3]:7", "10.1.2.3:7"}, {"9.9.9.9:8", "0.0.0.0:7", "9.9.9.9:8"},
		{"9.9.9.9:0", "0.0.0.0:7", "9.9.9.9:7"}, {"here:9", "[::]:7", "10.0.0.1:9"}, {"", "127.0.0.1:7", "127.0.0.1:7"},
	} {
		got, err := advertised(context.Background(), r, c.wanted, c.bound)
		if err != nil || got.String() != c.want {
			t.Errorf("advertised(%q, %q) = %v, %v, want %s", c.wanted, c.bound, got, err, c.want)
		}
	}
	addresses := func(texts ...string) (list []net.Addr) {
		for _, text := range texts {
			ip, network, _ := net.ParseCIDR(text)
			list = append(list, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		return list
	}
	for _, c := range []struct {
		from []net.Addr
		want netip.Addr
	}{
		{addresses("127.0.0.1/8", "8.8.8.8/24", "fe80::1/64", "192.168.1.2/24"), netip.MustParseAddr("192.168.1.2")},
		{addresses("127.0.0.1/8", "::1/128", "8.8.8.8/24"), netip.MustParseAddr("8.8.8.8")},
		{addresses("127.0.0.1/8", "fe80::1/64"), netip.Addr{}},
	} {
		if got := choose(c.from); got != c.want {
			t.Errorf("choose(%v) = %v, want %v", c.from, got, c.want)
		}
	}
}

func TestStreamLimits(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		d.grow(1)
		host := d.net.Host("many")
		var conns []net.Conn
		for range maxStreams + 1 {
			c, err := host.Dial(context.Background(), "n00:7946")
			d.must(err)
			conns = append(conns, c)
		}
		time.Sleep(time.Second)
		last := conns[maxStreams]
		last.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := last.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("Read of a stream over the limit = %v, want EOF", err)
		}
		conns[0].SetReadDeadline(time.Now().Add(time.Second))
		if _, err := conns[0].Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			t.Error("a stream within the limit was closed")
		}
		time.Sleep(10 * time.Second) // the silent ones are closed
		g := d.members["n00"]
		g.transport.mu.Lock()
		open, incoming := len(g.transport.open), g.transport.incoming
		g.transport.mu.Unlock()
		if open != 0 || incoming != 0 {
			t.Errorf("%d streams are open, %d incoming, want none", open, incoming)
		}
		c, err := host.Dial(context.Background(), "n00:7946")
		d.must(err)
		s := &stream{Conn: c, transport: g.transport, left: 3}
		go func() { c.Write(nil) }()
		s.left = 0
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, errStreamTooLong) {
			t.Errorf("Read beyond the limit = %v", err)
		}
		c.Close()
	})
}

// TestHammer has all methods called at once; it is for the race detector.
func TestHammer(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		d.grow(3)
		g := d.members["n00"]
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		var group sync.WaitGroup
		for i, do := range []func(n int){
			func(n int) { g.SetAbout(About{Level: uint8(n)}) },
			func(n int) { g.Members() },
			func(n int) { g.Changed() },
			func(n int) { g.Forget(fmt.Sprint("x", n)) },
			func(n int) { g.UseKeys([][][]byte{{keyA, keyB}, {keyA}}[n%2]) },
			func(n int) { g.Join(ctx, []string{"n01:7946"}) },
			func(n int) { d.members["n01"].SetAbout(About{Level: uint8(n)}) },
		} {
			group.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					do(n)
					time.Sleep(time.Duration(i+1) * 3 * time.Millisecond)
				}
			})
		}
		group.Wait()
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() { g.Close() })
		}
		closers.Wait()
	})
}
