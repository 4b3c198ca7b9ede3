package node

import (
	"net/netip"
	"testing"
)

// TestForbidden keeps functions from the cluster's ports where they are, not only where others are told they are.
func TestForbidden(t *testing.T) {
	t.Parallel()
	n := startWith(t, Config{Data: t.TempDir(), Advertise: "10.1.2.3"})
	loopback := netip.MustParseAddr("127.0.0.1")
	for name, told := range map[string]string{"gossip": n.ClusterAddr(), "nodes": n.den.port.Addr().String()} {
		address := netip.MustParseAddrPort(told)
		if address.Addr() == loopback {
			t.Fatalf("%s is told to be at %s", name, told)
		}
		for _, to := range []netip.AddrPort{address, netip.AddrPortFrom(loopback, address.Port())} {
			if !n.forbidden(to) {
				t.Errorf("functions may connect to %s, which is the port of %s", to, name)
			}
		}
	}
	if free := netip.AddrPortFrom(loopback, 1); n.forbidden(free) {
		t.Errorf("functions may not connect to %s", free)
	}
}
