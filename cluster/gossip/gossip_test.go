package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/cluster/simnet"
)

var (
	keyA = bytes.Repeat([]byte{1}, keyBytes)
	keyB = bytes.Repeat([]byte{2}, keyBytes)
)

// den is some members in a bubble.
type den struct {
	t       *testing.T
	net     *simnet.Network
	dir     string
	members map[string]*Gossip
	log     *lines
}

// lines collects log lines.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func bubble(t *testing.T, test func(t *testing.T, d *den)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &den{t: t, net: simnet.New(1), dir: t.TempDir(), members: map[string]*Gossip{}, log: &lines{}}
		d.net.Latency(5 * time.Millisecond)
		d.net.Jitter(5 * time.Millisecond)
		test(t, d)
		for _, g := range d.members {
			if err := g.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
		}
		time.Sleep(10 * time.Second) // memberlist's last probes end
		if t.Failed() {
			t.Log(d.log.text.String())
		}
	})
}

func (d *den) config(id string) Config {
	return Config{ID: id, Network: d.net.Host(id), Bind: id + ":7946", Keys: [][]byte{keyA}, About: About{Name: "name-" + id},
		PeersFile: filepath.Join(d.dir, id+".json"), Log: slog.New(slog.NewTextHandler(d.log, nil)).With("at", id)}
}

func (d *den) open(c Config) *Gossip {
	d.t.Helper()
	g, err := Open(context.Background(), c)
	if err != nil {
		d.t.Fatalf("Open(%s) = %v", c.ID, err)
	}
	d.members[c.ID] = g
	return g
}

// grow opens n members that join the first.
func (d *den) grow(n int) (ids []string) {
	d.t.Helper()
	for i := range n {
		id := fmt.Sprintf("n%02d", i)
		ids = append(ids, id)
		g := d.open(d.config(id))
		if i > 0 {
			d.must(g.Join(context.Background(), []string{ids[0] + ":7946"}))
		}
	}
	return ids
}

func (d *den) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// crash ends a member's process: nothing more comes from it.
func (d *den) crash(id string) {
	d.net.Crash(id)
	d.members[id].Close()
	delete(d.members, id)
}

// member answers what one knows of another; zero when it is not listed.
func (d *den) member(at, of string) Member {
	for _, m := range d.members[at].Members() {
		if m.ID == of {
			return m
		}
	}
	return Member{}
}

// all says whether everybody else lists the given ones in a state.
func (d *den) all(s State, ids ...string) bool {
	for at := range d.members {
		for _, id := range ids {
			if at != id && d.member(at, id).State != s {
				return false
			}
		}
	}
	return true
}

// within waits until something holds.
func (d *den) within(limit time.Duration, what string, holds func() bool) {
	d.t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > limit {
			d.t.Fatalf("not within %v: %s\n%s", limit, what, d)
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.t.Logf("%s: %v", what, time.Since(start))
}

func (d *den) String() string {
	var b strings.Builder
	for at, g := range d.members {
		fmt.Fprintf(&b, "%s:", at)
		for _, m := range g.Members() {
			fmt.Fprintf(&b, " %s=%s", m.ID, m.State)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestThree(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		ids := d.grow(3)
		d.within(5*time.Second, "all see all", func() bool { return d.all(Alive, ids...) })
		m := d.member("n01", "n02")
		if m.About.Name != "name-n02" || m.Addr != "10.0.0.3:7946" || m.Self || !d.member("n01", "n01").Self {
			t.Errorf("n01 knows n02 as %+v", m)
		}
		time.Sleep(30 * time.Second)
		if rtt := d.member("n01", "n02").RTT; rtt < 8*time.Millisecond || rtt > 24*time.Millisecond {
			t.Errorf("RTT = %v, want about 15ms", rtt)
		}
		changed := d.members["n00"].Changed()
		d.must(d.members["n01"].SetAbout(About{Name: "new", Load: Load{Running: 3, Capacity: 10}}))
		<-changed
		d.within(2*time.Second, "news reach all", func() bool {
			return d.member("n00", "n01").About.Load.Running == 3 && d.member("n02", "n01").About.Name == "new"
		})
		d.crash("n02")
		d.within(10*time.Second, "crash seen", func() bool { return d.all(Dead, "n02") })
		d.open(d.config("n02"))
		d.within(20*time.Second, "found again", func() bool { return d.all(Alive, ids...) })
	})
}

func TestLeave(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		d.grow(3)
		d.must(d.members["n02"].Leave(context.Background()))
		d.must(d.members["n02"].Leave(context.Background()))
		d.must(d.members["n02"].Close())
		delete(d.members, "n02")
		d.within(2*time.Second, "leave seen", func() bool { return d.all(Left, "n02") })
		rejoins := gathered(t, d.members["n00"].metrics.rejoins)
		time.Sleep(time.Minute)
		if got := gathered(t, d.members["n00"].metrics.rejoins); got != rejoins {
			t.Errorf("%v attempts to reach who has left", got-rejoins)
		}
		d.open(d.config("n02"))
		d.within(20*time.Second, "back", func() bool { return d.all(Alive, "n02") })
		d.must(d.members["n02"].Leave(context.Background()))
		d.crash("n02")
		d.within(10*time.Second, "left again", func() bool { return d.all(Left, "n02") })
	})
}

func TestPartition(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		ids := d.grow(3)
		d.within(5*time.Second, "all see all", func() bool { return d.all(Alive, ids...) })
		d.net.Partition(ids[:1], ids[1:2], ids[2:])
		d.within(15*time.Second, "nobody sees anybody", func() bool { return d.all(Dead, ids...) })
		time.Sleep(time.Hour) // memberlist has forgotten them
		d.net.Heal()
		d.within(30*time.Second, "found back", func() bool { return d.all(Alive, ids...) })
	})
}

func TestMany(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		d.net.Loss(0.05)
		ids := d.grow(25)
		d.within(30*time.Second, "all see all", func() bool { return d.all(Alive, ids...) })
		time.Sleep(time.Minute)
		if !d.all(Alive, ids...) {
			t.Errorf("5 %% loss makes members doubt each other\n%s", d)
		}
		crashed := ids[20:]
		ids = ids[:20]
		d.crashMany(crashed)
		d.net.Partition(ids[16:])
		d.within(time.Minute, "partition seen", func() bool {
			return d.member("n00", "n16").State == Dead && d.member("n16", "n00").State == Dead
		})
		time.Sleep(5 * time.Minute)
		d.net.Heal()
		d.within(time.Minute, "healed", func() bool { return d.all(Alive, ids...) })
	})
}

// crashSeen is how long 25 members need at the most until all have seen a crash, from what settings says: 12 s until one of
// the others probes the dead one, each of which does once in 24 s (that none has by then happens once in 2^20 crashes), 2 s
// for the probe, 2 x 3 s x log10(25) until nobody has confirmed it, and 2 s until all are told.
const crashSeen = 25 * time.Second

// crashMany has members crash at once, of which most must be seen within 10 s, and all within crashSeen.
func (d *den) crashMany(ids []string) {
	d.t.Helper()
	for _, id := range ids {
		d.crash(id)
	}
	begin := time.Now()
	d.within(10*time.Second, "most crashes seen by all", func() bool {
		seen := 0
		for _, id := range ids {
			if d.all(Dead, id) {
				seen++
			}
		}
		return seen > len(ids)/2
	})
	d.within(crashSeen-time.Since(begin), "all crashes seen by all", func() bool { return d.all(Dead, ids...) })
}

// TestNewAddress restarts a member within a second at another address, and then takes it to another host.
func TestNewAddress(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		d.grow(3)
		d.crash("n02")
		time.Sleep(time.Second)
		c := d.config("n02")
		c.Bind, c.About.Name = "n02:0", "elsewhere"
		moved := d.open(c)
		d.within(3*time.Second, "taken over", func() bool {
			return d.all(Alive, "n02") && d.member("n00", "n02").Addr == moved.Addr() && d.member("n01", "n02").Addr == moved.Addr()
		})
		if moved.Addr() == "10.0.0.3:7946" {
			t.Fatalf("Addr() = %s, want another", moved.Addr())
		}
		for range 300 {
			time.Sleep(100 * time.Millisecond)
			if !d.all(Alive, "n02") {
				t.Fatalf("the end of the first run is taken for the second's\n%s", d)
			}
		}
		d.crash("n02")
		c.Network, c.Bind = d.net.Host("other"), "0.0.0.0:7946"
		c.Advertise = "other:0"
		d.open(c)
		d.within(3*time.Second, "taken over", func() bool {
			return d.all(Alive, "n02") && d.member("n00", "n02").Addr == "10.0.0.4:7946"
		})
	})
}

// TestTwin runs two members under one id, as a copied data directory does.
func TestTwin(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		d.grow(2)
		c := d.config("n01")
		c.Network, c.Bind, c.PeersFile = d.net.Host("copy"), "copy:7946", ""
		twin, err := Open(context.Background(), c)
		d.must(err)
		twin.Join(context.Background(), []string{"n00:7946"})
		time.Sleep(time.Minute)
		if n := d.log.count("see own id elsewhere"); n < 1 || n > 2 {
			t.Errorf("logged %d times that there is a twin, want 1 or 2 in a minute", n)
		}
		d.must(twin.Close())
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		d.grow(3)
		time.Sleep(time.Second)
		for _, at := range []string{"n00", "n01"} {
			d.members[at].Forget("n02")
			d.members[at].Forget(at)
		}
		changed := d.members["n00"].Changed()
		d.members["n00"].Forget("n02")
		select {
		case <-changed:
			t.Error("who was forgotten already is news")
		default:
		}
		if !d.all("", "n02") || d.member("n00", "n00").State != Alive {
			t.Errorf("forgotten ones are listed, or this node is not\n%s", d)
		}
		d.crash("n02")
		d.open(d.config("n02"))
		time.Sleep(time.Minute)
		if d.member("n00", "n02").ID != "" || d.member("n01", "n02").ID != "" {
			t.Errorf("a forgotten one came back\n%s", d)
		}
	})
}

func TestRotateKeys(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		ids := d.grow(4)
		time.Sleep(2 * time.Second)
		for _, keys := range [][][]byte{{keyA, keyB}, {keyB, keyA}, {keyB}} {
			for _, id := range ids {
				d.must(d.members[id].UseKeys(keys))
				time.Sleep(2 * time.Second)
				if !d.all(Alive, ids...) {
					t.Errorf("a step of the rotation loses members\n%s", d)
				}
			}
			time.Sleep(time.Minute)
		}
		if !d.all(Alive, ids...) || d.log.count("refuse gossip") > 0 {
			t.Errorf("rotation refuses members\n%s", d)
		}
		c := d.config("n09")
		old := d.open(c)
		if err := old.Join(context.Background(), []string{"n00:7946"}); err == nil {
			t.Error("a node with the removed key joined")
		}
	})
}

func TestUseKeys(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		g := d.open(d.config("n00"))
		key := func(b byte) []byte { return bytes.Repeat([]byte{b}, keyBytes) }
		for _, ring := range []string{"a", "abc", "cab", "cb", "bdc", "efg", "abcdefgh", "hb", "b"} {
			var keys [][]byte
			for _, b := range []byte(ring) {
				keys = append(keys, key(b))
			}
			d.must(g.UseKeys(keys))
			got := g.keyring.GetKeys()
			if len(got) != len(keys) || !bytes.Equal(got[0], keys[0]) {
				t.Errorf("UseKeys(%s): ring has %d keys, first %c", ring, len(got), got[0][0])
			}
			for _, k := range got {
				if !strings.Contains(ring, string(k[:1])) {
					t.Errorf("UseKeys(%s): ring has %c", ring, k[0])
				}
			}
		}
		for _, keys := range [][][]byte{nil, {keyA[:16]}, make([][]byte, maxKeys+1)} {
			if err := g.UseKeys(keys); err == nil {
				t.Errorf("UseKeys(%d keys) = nil", len(keys))
			}
		}
	})
}

// TestStrangers has nodes of another cluster, garbage, and what was sent before come in.
func TestStrangers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		ids := d.grow(3)
		time.Sleep(2 * time.Second)
		c := d.config("stranger")
		c.Keys = [][]byte{keyB}
		stranger := d.open(c)
		err := stranger.Join(context.Background(), []string{"n00:7946", "n01:1", "nowhere:7946", "stranger:7946"})
		for _, part := range []string{"no installed keys", "connection refused", "no such host", "it is this node"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("Join = %v, want %q in it", err, part)
			}
		}
		host := d.net.Host("garbage")
		for i := range 600 {
			d.net.Inject(simnet.Packet{From: "garbage:7946", To: "n01:7946", Bytes: bytes.Repeat([]byte{byte(i)}, i)})
			if i%20 == 0 {
				conn, err := host.Dial(context.Background(), "n01:7946")
				d.must(err)
				conn.Write(bytes.Repeat([]byte{byte(i)}, 1+i))
				conn.Close()
			}
			time.Sleep(100 * time.Millisecond)
		}
		delete(d.members, "stranger")
		defer stranger.Close()
		if !d.all(Alive, ids...) || !d.all("", "stranger") {
			t.Errorf("strangers changed something\n%s", d)
		}
		if n := d.log.count(`msg="refuse gossip" at=n01 from=garbage`); n < 1 || n > 2 {
			t.Errorf("garbage logged %d times in a minute", n)
		}
		if n := d.log.count(`msg="refuse gossip" at=n00 from=stranger`); n != 1 {
			t.Errorf("stranger logged %d times", n)
		}
	})
}

// TestReplay replays all packets of a cluster's life.
func TestReplay(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		var mu sync.Mutex
		var taken []simnet.Packet
		d.net.Tap(func(p simnet.Packet) {
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, p)
		})
		d.grow(4)
		time.Sleep(5 * time.Second)
		d.must(d.members["n01"].SetAbout(About{Name: "older"}))
		time.Sleep(5 * time.Second)
		d.net.Isolate("n01")
		time.Sleep(15 * time.Second)
		d.net.Heal()
		d.crash("n02")
		time.Sleep(15 * time.Second)
		c := d.config("n02")
		c.Bind = "n02:7999"
		d.open(c)
		d.must(d.members["n03"].Leave(context.Background()))
		d.crash("n03")
		d.must(d.members["n01"].SetAbout(About{Name: "newer"}))
		time.Sleep(2 * time.Minute) // memberlist has forgotten who is gone
		d.net.Tap(nil)
		before := d.String()
		if !strings.Contains(before, "n03=stopped") || !d.all(Alive, "n01", "n02") {
			t.Fatalf("before the replay:\n%s", before)
		}
		changed := []<-chan struct{}{d.members["n00"].Changed(), d.members["n01"].Changed(), d.members["n02"].Changed()}
		for i, p := range taken {
			for _, to := range []string{p.To, "n00:7946", "n02:7999"} {
				d.net.Inject(simnet.Packet{From: p.From, To: to, Bytes: p.Bytes})
			}
			if i%5 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(time.Minute)
		for i, c := range changed {
			select {
			case <-c:
				t.Errorf("replayed packets changed what n%02d says:\n%s", i, d)
			default:
			}
		}
		if m := d.member("n00", "n01"); m.About.Name != "newer" || !d.all(Alive, "n01", "n02") || !d.all(Left, "n03") {
			t.Errorf("after the replay of %d packets n01 is %+v and\n%s", len(taken), m, d)
		}
	})
}

// TestAllTell has members tell something new at once, again and again: as a rule it reaches all before it is repeated, and
// when it is repeated it does, though memberlist's queue loses some of it. Of nine the most are left out: with ten,
// everything is passed on twice as often.
func TestAllTell(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		ids := d.grow(9)
		var late []string // one or none is to be expected, more than 20 if RetransmitMult were memberlist's own
		for round := range 40 {
			time.Sleep(time.Duration(round) * 23 * time.Millisecond) // whatever else goes out at the time
			for _, id := range ids {
				d.must(d.members[id].SetAbout(About{Name: "name-" + id, Level: uint8(round)}))
				time.Sleep(10 * time.Millisecond)
			}
			ignorant := func() (pairs []string) {
				for _, at := range ids {
					for _, of := range ids {
						if got := d.member(at, of).About.Level; got != uint8(round) {
							pairs = append(pairs, fmt.Sprintf("round %d: %s knows level %d of %s", round, at, got, of))
						}
					}
				}
				return pairs
			}
			time.Sleep(repeatAfter - 200*time.Millisecond)
			late = append(late, ignorant()...)
			time.Sleep(2 * time.Second)
			for _, pair := range ignorant() {
				t.Error(pair)
			}
		}
		if len(late) > 8 {
			t.Errorf("%d pieces of news were missed until they were repeated:\n%s", len(late), strings.Join(late, "\n"))
		}
		t.Logf("%d pieces of news were missed until they were repeated", len(late))
	})
}
