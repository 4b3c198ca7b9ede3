package trust

import (
	"testing"

	"github.com/sett-run/sett/cluster"
)

// BenchmarkDial is a new connection over loopback TCP, both ends in this process.
func BenchmarkDial(b *testing.B) {
	a, err := NewAuthority()
	if err != nil {
		b.Fatal(err)
	}
	i, err := OpenIdentity("", newID())
	if err == nil {
		err = i.IssuedBy(a)
	}
	if err != nil {
		b.Fatal(err)
	}
	l, err := cluster.Internet{}.Listen(b.Context(), "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	p, err := OpenPort(Config{Listener: l, Network: cluster.Internet{}, Identity: i})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	s := p.Stream(ProtocolHTTP)
	for b.Loop() {
		c, err := s.Dial(b.Context(), l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		other, err := s.Accept()
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
		other.Close()
	}
}
