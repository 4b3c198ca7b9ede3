package trust

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStrangersLimits(t *testing.T) {
	all := newStrangers()
	var in []*stranger
	admit := func(host string) error {
		here, there := net.Pipe()
		t.Cleanup(func() { here.Close(); there.Close() })
		s, err := all.admit(pipe{here, memoryAddr(net.JoinHostPort(host, "1"))})
		if err == nil {
			in = append(in, s)
		}
		return err
	}
	for range maxHostStrangers {
		if err := admit("10.0.0.1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := admit("10.0.0.1"); err == nil {
		t.Errorf("a host has more than %d", maxHostStrangers)
	}
	for n := range maxStrangers - maxHostStrangers {
		if err := admit(fmt.Sprintf("10.0.1.%d", n%250)); err != nil {
			t.Fatal(err)
		}
	}
	if err := admit("10.0.2.1"); err == nil {
		t.Errorf("there are more than %d", maxStrangers)
	}
	in[0].known()
	in[0].Close() // leaves once
	if err := admit("10.0.0.1"); err != nil {
		t.Errorf("when one is known the next one is refused: %v", err)
	}
	if err := admit("10.0.0.1"); err == nil {
		t.Error("two come for one that left")
	}
	all.close()
	if err := admit("10.0.0.9"); !errors.Is(err, net.ErrClosed) || len(all.conns) != 0 || len(all.hosts) != 0 {
		t.Errorf("after close: %v, %d strangers, %d hosts", err, len(all.conns), len(all.hosts))
	}
}

func TestStrangerBudget(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	s, err := newStrangers().admit(here)
	if err != nil {
		t.Fatal(err)
	}
	go func() { there.Write(make([]byte, 2*maxHandshakeBytes)) }()
	got := 0
	buf := make([]byte, 1000)
	for err == nil {
		var n int
		n, err = s.Read(buf)
		got += n
	}
	if r := new(refusal); got != maxHandshakeBytes || !errors.As(err, &r) {
		t.Errorf("a stranger's %d bytes were read, then %v, want %d", got, err, maxHandshakeBytes)
	}
	s.known()
	if _, err := s.Read(buf); err != nil {
		t.Errorf("Read of a known node = %v", err)
	}
	s.Close()
}

func TestHostOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8::1:2:3:4]:5": "2001:db8::/64",
		"[fe80::1%eth0]:5": "fe80::/64", "den:7000": "den", "pipe": "pipe",
	} {
		if got := hostOf(memoryAddr(address)); got != want {
			t.Errorf("hostOf(%q) = %q, want %q", address, got, want)
		}
	}
	if got := hostOf(nil); got != "" {
		t.Errorf("hostOf(nil) = %q", got)
	}
}

func TestRefusalsAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		r, err := newRefusals(slog.New(slog.NewTextHandler(log, nil)), nil)
		if err != nil {
			t.Fatal(err)
		}
		why := refused(reasonTimeout, errors.New("too slow"))
		for range 100 {
			r.note("10.0.0.1", why)
			time.Sleep(time.Second)
		}
		r.note("10.0.0.2", errors.New("EOF"))
		time.Sleep(refusalInterval)
		r.note("10.0.0.1", why)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 4 {
			t.Fatalf("%d lines, want 4:\n%s", len(lines), log)
		}
		for n, want := range []string{"from=10.0.0.1 reason=timeout count=1 ", "from=10.0.0.1 reason=timeout count=60 ",
			"from=10.0.0.2 reason=handshake count=1 ", "from=10.0.0.1 reason=timeout count=40 "} {
			if !strings.Contains(lines[n], want) {
				t.Errorf("line %d is %s, want %s", n, lines[n], want)
			}
		}
	})
}

func TestRefusalsHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		r, _ := newRefusals(slog.New(slog.NewTextHandler(log, nil)), nil)
		for n := range 3 * maxRefusedHosts {
			r.note(fmt.Sprint("host", n), errors.New("EOF"))
		}
		if got := strings.Count(log.String(), "\n"); got != maxRefusedHosts+1 || len(r.hosts) != maxRefusedHosts+1 {
			t.Errorf("%d lines of %d hosts, want %d", got, len(r.hosts), maxRefusedHosts+1)
		}
		time.Sleep(refusalInterval)
		r.note("late", errors.New("EOF"))
		if len(r.hosts) != 1 {
			t.Errorf("%d hosts are remembered after a minute, want 1", len(r.hosts))
		}
	})
}
