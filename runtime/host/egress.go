package host

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/sett-run/sett/sdk/abi"
)

// egress is where a function may connect to: what its settings' Egress says, read. The zero value is nowhere.
//
// A name lets URLs with this name through, *.NAME those with a name below it, an address or a network those with an
// address in it. What a name resolves to must be a public address, or one that an address or a network of the list
// names: a name alone, whose owner decides what it resolves to, opens nothing of the private network. The name
// localhost, which has no owner, opens loopback.
type egress struct {
	names    []allowedName
	networks []allowedNetwork
	loopback bool // localhost is among the names
}

type allowedName struct {
	name  string // in lower case
	below bool   // all names below it, and not itself
	port  uint16 // 0: 80 and 443
}

type allowedNetwork struct {
	prefix netip.Prefix
	any    bool   // any port
	port   uint16 // else this one; 0: 80 and 443
}

// parseEgress reads a list that registry.CheckEgress has let through, or hosts of URLs; what it cannot read allows nothing.
func parseEgress(list []string) *egress {
	e := new(egress)
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			e.networks = append(e.networks, allowedNetwork{prefix: plain(p), any: true})
			continue
		}
		host, port := splitPort(s)
		host = strings.TrimSuffix(host, ".") // a URL's may have one
		if a, err := netip.ParseAddr(host); err == nil {
			a = canonical(a)
			e.networks = append(e.networks, allowedNetwork{prefix: netip.PrefixFrom(a, a.BitLen()), port: port})
			continue
		}
		name, below := strings.CutPrefix(host, "*.")
		e.names = append(e.names, allowedName{name, below, port})
		e.loopback = e.loopback || host == localhost
	}
	return e
}

const localhost = "localhost"

// plain answers an IPv4 network that was written as a mapped one as what it is.
func plain(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked()
	}
	return p.Masked()
}

// splitPort takes a port off, 0 when there is none, and the brackets of an IPv6 address.
func splitPort(s string) (host string, port uint16) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, 0
	}
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		n, _ := strconv.ParseUint(s[i+1:], 10, 16)
		s, port = s[:i], uint16(n)
	}
	return strings.Trim(s, "[]"), port
}

// permits reports whether a URL with this host, in lower case, and this port may be asked for.
func (e *egress) permits(host string, port uint16) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return e.reaches(canonical(a), port)
	}
	for _, n := range e.names {
		fits := host == n.name
		if n.below {
			fits = strings.HasSuffix(host, "."+n.name)
		}
		if fits && portFits(n.port, port) {
			return true
		}
	}
	return false
}

// reaches reports whether a network of the list has an address, which is canonical. One that holds a private address
// must be a private network itself: 0.0.0.0/0 names nothing private.
func (e *egress) reaches(a netip.Addr, port uint16) bool {
	private, isPrivate := privateNetwork(a)
	for _, n := range e.networks {
		if !n.prefix.Contains(a) || !n.any && !portFits(n.port, port) {
			continue
		}
		if !isPrivate || n.prefix.Bits() >= private.Bits() {
			return true
		}
	}
	return false
}

func portFits(allowed, port uint16) bool {
	return allowed == port || allowed == 0 && (port == 80 || port == 443)
}

// connects reports whether a connection may be made to an address that host resolved to.
func (e *egress) connects(host string, resolved netip.AddrPort) bool {
	a := canonical(resolved.Addr())
	if a.IsUnspecified() || a.IsMulticast() {
		return false
	}
	if _, private := privateNetwork(a); !private {
		return true
	}
	return e.reaches(a, resolved.Port()) || e.loopback && host == localhost && a.IsLoopback()
}

// canonical answers the address that a leads to: an IPv4 address where it stands for one, mapped or behind a
// translator (NAT64).
func canonical(a netip.Addr) netip.Addr {
	if a = a.WithZone("").Unmap(); nat64().Contains(a) {
		bytes := a.As16()
		return netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return a
}

// nat64 is RFC 6052's well-known prefix.
func nat64() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b}), 96)
}

// privateNetwork answers the network of a canonical address that is not the public internet, if it is in one.
func privateNetwork(a netip.Addr) (netip.Prefix, bool) {
	for _, p := range privateNetworks() {
		if p.Contains(a) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// privateNetworks are those that no public host has an address in. Of IPv6 all but 2000::/3 is among them.
// Source: IANA's special-purpose address registries, RFC 6890.
func privateNetworks() [28]netip.Prefix {
	v4 := func(a, b, c byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c}), bits)
	}
	v6 := func(a, b, c, d byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{a, b, c, d}), bits)
	}
	loopback := netip.PrefixFrom(netip.IPv6Loopback(), 128)
	return [...]netip.Prefix{
		v4(0, 0, 0, 8), v4(10, 0, 0, 8), v4(100, 64, 0, 10), v4(127, 0, 0, 8), v4(169, 254, 0, 16), v4(172, 16, 0, 12),
		v4(192, 0, 0, 24), v4(192, 0, 2, 24), v4(192, 31, 196, 24), v4(192, 52, 193, 24), v4(192, 88, 99, 24),
		v4(192, 168, 0, 16), v4(192, 175, 48, 24), v4(198, 18, 0, 15), v4(198, 51, 100, 24), v4(203, 0, 113, 24),
		v4(224, 0, 0, 4), v4(240, 0, 0, 4),
		loopback, v6(0xfc, 0, 0, 0, 7), v6(0xfe, 0x80, 0, 0, 10),
		v6(0x20, 0x01, 0, 0, 23),       // protocol assignments, Teredo among them
		v6(0x20, 0x01, 0x0d, 0xb8, 32), // documentation
		v6(0x20, 0x02, 0, 0, 16),       // 6to4, which holds IPv4 addresses
		v6(0x3f, 0xff, 0, 0, 20),       // documentation
		v6(0, 0, 0, 0, 3), v6(0x40, 0, 0, 0, 2), v6(0x80, 0, 0, 0, 1),
	}
}

// target is where a URL leads.
type target struct {
	host string // name or address, in lower case, without brackets
	port uint16
}

// targetOf reads where an http or https URL leads.
func targetOf(u *url.URL) (t target, err error) {
	t.host = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	switch port := u.Port(); {
	case port != "":
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return t, fmt.Errorf("port %.10q", port)
		}
		t.port = uint16(n)
	case u.Scheme == "https":
		t.port = 443
	default:
		t.port = 80
	}
	for _, c := range []byte(t.host) {
		// What no name or address has is refused here: net/http would send some of it as an empty Host.
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("-._:", rune(c)) {
			return t, fmt.Errorf("host %.80q has more in it than letters, digits, dots, dashes and underscores", t.host)
		}
	}
	if t.host == "" {
		return t, fmt.Errorf("no host")
	}
	return t, nil
}

// denied is the error of a function that may not go there.
func (t target) denied() error {
	return fmt.Errorf("%s port %d: %w: it is not among its egress hosts", t.host, t.port, abi.ErrDenied)
}
