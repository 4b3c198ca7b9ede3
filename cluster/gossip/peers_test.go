package gossip

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPeersFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers.json")
	if got, err := readPeers(path); err != nil || len(got.Peers) != 0 {
		t.Errorf("readPeers of no file = %v, %v", got, err)
	}
	good := peer{ID: "a", Boot: 3, Addr: "10.0.0.1:7946", Seen: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), About: full()}
	bad := []peer{{ID: "", Boot: 1, Addr: "10.0.0.1:7"}, {ID: "b", Boot: 0, Addr: "10.0.0.1:7"}, {ID: "c", Boot: 1, Addr: "x"}}
	if err := (peersFile{Boot: 5, Peers: append(bad, good)}).write(path); err != nil {
		t.Fatal(err)
	}
	got, err := readPeers(path)
	if err != nil || got.Boot != 5 || len(got.Peers) != 1 || got.Peers[0] != good {
		t.Errorf("readPeers = %+v, %v, want %+v", got, err, good)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600", info.Mode(), err)
	}
	for _, text := range []string{"", "[]", `{"boot":-1}`, strings.Repeat(" ", maxPeersBytes+1)} {
		if _, err := parsePeers([]byte(text)); err == nil {
			t.Errorf("parsePeers(%.20q) = nil", text)
		}
	}
}

// TestPeersFileHoldsAll shows that a file of as many and as large peers as there can be is read again.
func TestPeersFileHoldsAll(t *testing.T) {
	t.Parallel()
	var file peersFile
	for range maxMembers {
		p := peer{ID: strings.Repeat("i", maxIDBytes), Boot: 1, Addr: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", Seen: time.Now(), About: full()}
		p.About.Name = strings.Repeat("\x01", 400) // six bytes each in JSON
		file.Peers = append(file.Peers, p)
	}
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parsePeers(data); err != nil || len(got.Peers) != maxMembers {
		t.Errorf("parsePeers of %d bytes = %d peers, %v", len(data), len(got.Peers), err)
	}
}

func TestPeersSurvive(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		d.grow(3)
		time.Sleep(2 * time.Second)
		boot := d.members["n02"].boot
		for _, id := range []string{"n00", "n01", "n02"} {
			d.crash(id)
		}
		c := d.config("n02")
		g := d.open(c)
		if g.boot <= boot {
			t.Errorf("boot = %d, want more than %d", g.boot, boot)
		}
		if m := d.member("n02", "n00"); m.State != Dead || m.Addr != "10.0.0.1:7946" || m.About.Name != "name-n00" {
			t.Errorf("after a restart n02 knows n00 as %+v", m)
		}
		d.open(d.config("n00"))
		d.open(d.config("n01"))
		d.within(20*time.Second, "all find all", func() bool { return d.all(Alive, "n00", "n01", "n02") })
		d.crash("n02")
		d.must(os.WriteFile(c.PeersFile, []byte("garbage"), 0o600))
		d.open(c)
		d.within(20*time.Second, "found without a peers file", func() bool { return d.all(Alive, "n00", "n01", "n02") })
		if d.log.count("start without peers") != 1 {
			t.Error("the lost file is not logged")
		}
		c = d.config("n03")
		c.PeersFile = filepath.Join(d.dir, "no", "such", "directory")
		if _, err := Open(context.Background(), c); err == nil {
			t.Error("Open with a peers file that cannot be written = nil")
		}
	})
}

func FuzzPeers(f *testing.F) {
	f.Add([]byte(`{"boot":1,"peers":[{"id":"a","boot":2,"addr":"1.2.3.4:5","seen":"2026-01-01T00:00:00Z","about":{"name":"n"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parsePeers(data)
		if err != nil {
			return
		}
		table := newTable("self", file.Boot+1, func(string) time.Duration { return 0 })
		for _, p := range file.Peers {
			table.remember(p)
		}
		if again, err := json.Marshal(peersFile{file.Boot, table.peers()}); err == nil && !bytes.Equal(again, nil) {
			if _, err := parsePeers(again); err != nil {
				t.Errorf("parsePeers(%s) = %v", again, err)
			}
		}
	})
}
