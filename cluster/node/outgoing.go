package node

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/sdk/abi"
)

// forbidden says of an address whether it is one of this node's listeners that trust whoever reaches them, or are for
// nodes alone. No function's settings open them.
func (n *Node) forbidden(to netip.AddrPort) bool {
	for _, own := range n.private() {
		if own.Port() == to.Port() && sameHost(own.Addr().Unmap(), to.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// private are the addresses of the admin plane, the Redis protocol and the cluster: of the last also those it is told by.
func (n *Node) private() (addrs []netip.AddrPort) {
	all := []string{n.den.bound.String(), n.den.port.Addr().String(), n.den.gossip.Bound().String(), n.den.gossip.Addr()}
	for _, l := range []net.Listener{n.adminListener, n.redisListener} {
		if l != nil {
			all = append(all, l.Addr().String())
		}
	}
	for _, text := range all {
		if a, err := netip.ParseAddrPort(text); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// sameHost says whether a connection to an address may reach a listener on another.
func sameHost(own, to netip.Addr) bool {
	switch {
	case own == to, to.IsUnspecified():
		return true
	case own.IsLoopback():
		return to.IsLoopback()
	case !own.IsUnspecified():
		return false
	case to.IsLoopback():
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == to {
			return true
		}
	}
	return false
}

// outgoing runs functions for functions.
type outgoing struct{ *Node }

// Invoke is for host.Invoker.
func (n outgoing) Invoke(ctx context.Context, i host.Invocation) (*abi.Result, error) {
	return n.router.Dispatch(ctx, router.Call{App: i.App, Function: i.Function, Qualifier: i.Qualifier, Event: i.Event})
}

// Enqueue is for host.Invoker.
func (n outgoing) Enqueue(ctx context.Context, i host.Invocation) (id string, err error) {
	return n.Node.Enqueue(ctx, router.Call{App: i.App, Function: i.Function, Qualifier: i.Qualifier, Event: i.Event})
}

// poster posts what is published to topics.
type poster struct{ client *host.Client }

// Post is for trigger.Poster. Whoever subscribed the URL has allowed its host by that.
func (p poster) Post(ctx context.Context, app, to string, header []abi.Field, body []byte) (status int, err error) {
	u, err := url.Parse(to)
	if err != nil {
		return 0, err
	}
	reply, err := p.client.Fetch(ctx, host.Caller{App: app, Egress: []string{strings.ToLower(u.Host)}},
		&abi.FetchRequest{Method: "POST", URL: to, Headers: header, Body: body})
	if err != nil {
		return 0, err
	}
	return reply.Status, nil
}
