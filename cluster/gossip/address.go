package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// resolver finds the IP addresses of a name. A cluster.Network that is one is asked instead of the machine's.
type resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
}

func resolverOf(network any) resolver {
	if r, ok := network.(resolver); ok {
		return r
	}
	return net.DefaultResolver
}

// resolve answers the first IP address of a HOST:PORT, IPv4 before IPv6: memberlist knows no names.
func resolve(ctx context.Context, r resolver, address string) (netip.AddrPort, error) {
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("resolve address: %w", err)
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("resolve address %q: port is no number", address)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), uint16(port)), nil
	}
	texts, err := r.LookupHost(ctx, host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("resolve address: %w", err)
	}
	ip := preferred(texts, netip.Addr.Is4)
	if !ip.IsValid() {
		return netip.AddrPort{}, fmt.Errorf("resolve address %q: it has no IP address", address)
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

// preferred answers the first address that is preferred, else the first.
func preferred(texts []string, prefer func(netip.Addr) bool) netip.Addr {
	var first netip.Addr
	for _, text := range texts {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		if ip = ip.Unmap(); prefer(ip) {
			return ip
		}
		if !first.IsValid() {
			first = ip
		}
	}
	return first
}

// advertised answers the address others reach this node by. wanted is what was asked for, or empty; bound is where it
// listens.
func advertised(ctx context.Context, r resolver, wanted, bound string) (netip.AddrPort, error) {
	here, err := resolve(ctx, r, bound)
	if err != nil {
		return here, err
	}
	if wanted != "" {
		a, err := resolve(ctx, r, wanted)
		if err == nil && a.Addr().IsUnspecified() {
			err = errors.New("others cannot reach it")
		}
		if err != nil {
			err = fmt.Errorf("advertise %q: %w", wanted, err)
		}
		if a.Port() == 0 {
			a = netip.AddrPortFrom(a.Addr(), here.Port())
		}
		return a, err
	}
	if !here.Addr().IsUnspecified() {
		return here, nil
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return here, fmt.Errorf("list interfaces: %w", err)
	}
	ip := choose(addresses)
	if !ip.IsValid() {
		return here, errors.New("advertise: no interface beyond loopback; give an address others reach this node by")
	}
	return netip.AddrPortFrom(ip, here.Port()), nil
}

// choose answers the first private address of the interfaces, else the first that others can reach.
func choose(addresses []net.Addr) netip.Addr {
	var texts []string
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && !prefix.Addr().IsLoopback() && !prefix.Addr().IsLinkLocalUnicast() {
			texts = append(texts, prefix.Addr().String())
		}
	}
	return preferred(texts, netip.Addr.IsPrivate)
}
