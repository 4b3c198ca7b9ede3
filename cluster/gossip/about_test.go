package gossip

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/memberlist"

	"github.com/sett-run/sett/cluster/simnet"
	"github.com/sett-run/sett/sdk/abi"
)

func full() About {
	return About{Name: "name", Region: "eu-west", Version: "v1.2.3", Level: 7, Port: "10.0.0.1:7947", HTTP: "10.0.0.1:8080",
		Admin: "10.0.0.1:8081", Engine: "0123456789abcdef", Load: Load{Running: 12, Capacity: 100}}
}

func TestAbout(t *testing.T) {
	t.Parallel()
	for _, want := range []told{{}, {About: full()}, {About: full(), Left: true}} {
		data, err := want.encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := newDecoder().told(data); err != nil || got != want {
			t.Errorf("decode(encode(%+v)) = %+v, %v", want, got, err)
		}
	}
	a := full()
	a.Name = strings.Repeat("n", maxAboutBytes)
	if _, err := (told{About: a}).encode(); abi.CodeOf(err) != abi.TooLarge {
		t.Errorf("encode of a long about = %v, want code %s", err, abi.TooLarge)
	}
	if _, err := newDecoder().told(make([]byte, maxAboutBytes+1)); err == nil {
		t.Error("decode takes more than is allowed")
	}
}

func TestAboutTooLarge(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, d *den) {
		d.grow(2)
		long := About{Version: strings.Repeat("v", maxAboutBytes)}
		if err := d.members["n00"].SetAbout(long); abi.CodeOf(err) != abi.TooLarge {
			t.Errorf("SetAbout = %v, want code %s", err, abi.TooLarge)
		}
		c := d.config("n02")
		c.About = long
		if _, err := Open(context.Background(), c); abi.CodeOf(err) != abi.TooLarge {
			t.Errorf("Open = %v, want code %s", err, abi.TooLarge)
		}
		c.About = About{Version: strings.Repeat("v", maxAboutBytes-10)}
		d.must(d.open(c).Join(context.Background(), []string{"n00:7946"}))
		d.within(3*time.Second, "the largest about reaches all", func() bool { return d.member("n01", "n02").About == c.About })
	})
}

func FuzzAbout(f *testing.F) {
	data, _ := told{About: full(), Left: true}.encode()
	f.Add(data)
	f.Add([]byte{0xa1, 1, 0xa0})
	d := newDecoder()
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := d.told(data)
		if err != nil {
			return
		}
		again, err := got.encode()
		if errors.Is(err, nil) && len(again) <= maxAboutBytes {
			if back, err := d.told(again); err != nil || back != got {
				t.Errorf("told %+v came back as %+v, %v", got, back, err)
			}
		}
	})
}

// FuzzPacket gives a member packets and streams as strangers send them.
func FuzzPacket(f *testing.F) {
	f.Add([]byte{244, 3, 'a', 'b', 'c', 1}, false)
	f.Add([]byte{10, 0, 0, 0, 40, 1, 2, 3}, true)
	f.Add(bytes.Repeat([]byte{1}, 60), false)
	f.Fuzz(func(t *testing.T, data []byte, isStream bool) {
		synctest.Test(t, func(t *testing.T) {
			net := simnet.New(1)
			g, err := Open(context.Background(), Config{ID: "a", Network: net.Host("a"), Bind: "a:7946", Keys: [][]byte{keyA}})
			if err != nil {
				t.Fatal(err)
			}
			if isStream {
				conn, err := net.Host("b").Dial(context.Background(), "a:7946")
				if err != nil {
					t.Fatal(err)
				}
				conn.Write(data)
				conn.Close()
			} else if len(data) > 0 {
				g.transport.packets <- &memberlist.Packet{Buf: data, From: g.transport.packet.LocalAddr(), Timestamp: time.Now()}
			}
			synctest.Wait()
			if m := g.Members(); len(m) != 1 || m[0].State != Alive {
				t.Errorf("members after garbage: %+v", m)
			}
			if err := g.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
			time.Sleep(10 * time.Second)
		})
	})
}

func TestPad(t *testing.T) {
	t.Parallel()
	lengths := map[int]bool{}
	for range 1000 {
		data, err := (told{About: About{Name: "a"}}).encode()
		if err != nil {
			t.Fatal(err)
		}
		lengths[len(data)] = true
	}
	if len(lengths) <= maxPadBytes/2 {
		t.Errorf("1000 messages have %d lengths", len(lengths))
	}
	for n := 1; ; n++ { // up to the limit of what is told
		plain, err := cbor.Marshal(told{About: About{Name: strings.Repeat("a", n)}})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			_, err = told{About: About{Name: strings.Repeat("a", n)}}.encode()
			if (err == nil) != (len(plain) <= maxAboutBytes) {
				t.Fatalf("%d bytes without a pad: %v", len(plain), err)
			}
		}
		if err != nil {
			break
		}
	}
}
