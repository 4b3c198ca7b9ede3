package node

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/sett-run/sett/cluster/peer"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// maxSpills is how many nodes are asked to run what has no room here. More find room more often, and make a client
// that is refused in the end wait longer.
const maxSpills = 3

// errNobody says that no other node runs the version; nothing was begun.
var errNobody = errors.New("no node has the version")

// errNoRoom is what a client hears when neither this node nor another has room.
var errNoRoom = abi.WithCode(abi.TooManyRequests, errors.New("the concurrent invocations are at their limit, on other nodes too"))

// invoker runs versions on this node and, as long as it cannot run one yet, on a node that can.
type invoker struct{ *Node }

// anywhere runs a version on this node or on another.
func (n invoker) anywhere(ctx context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error) {
	ready := n.waiting.on(keyOf(v))
	if ready == nil {
		return n.orElsewhere(ctx, v, e)
	}
	result, err := n.elsewhere(ctx, v, e, n.holders(v.Module.Digest))
	if !errors.Is(err, errNobody) {
		return result, err
	}
	select { // it may be about to come
	case <-ready:
	case <-ctx.Done(): // Invoke answers with the right code
	}
	return n.runtime.Invoke(ctx, v, e)
}

// orElsewhere runs a version here or, when this node has no memory for it, where there is room.
func (n *Node) orElsewhere(ctx context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error) {
	result, err := n.runtime.Invoke(ctx, v, e)
	if err == nil || !errors.Is(err, runtime.ErrNoRoom) || ctx.Value(takenKey{}) != nil {
		return result, err
	}
	if other, spilled := n.elsewhere(ctx, v, e, n.withRoom(maxSpills)); !errors.Is(spilled, errNobody) {
		return other, spilled
	}
	return result, err
}

// spill runs on another node what has no room on this one.
type spill struct{ *Node }

// Invoke is for router.Invoker.
func (n spill) Invoke(ctx context.Context, v *registry.Version, e *abi.Event) (*abi.Result, error) {
	result, err := n.elsewhere(ctx, v, e, n.withRoom(maxSpills))
	if errors.Is(err, errNobody) {
		err = errNoRoom
	}
	return result, err
}

// elsewhere runs an invocation on the first of the nodes that takes it; errNobody: none did. It is not run twice, as by
// a node that was asked and went away, unless it is of a kind that may be.
func (n *Node) elsewhere(ctx context.Context, v *registry.Version, e *abi.Event, nodes []peer.Node) (*abi.Result, error) {
	i, sent := peer.Invocation{App: v.App, Function: v.Function, Version: v.Number, Event: e}, *e
	for _, node := range nodes {
		if e.Stream != nil {
			sent.Stream = &distant{e.Stream, n.nameOf(node.ID)}
			i.Event = &sent
		}
		result, err := n.den.client.Invoke(ctx, node, i)
		if errors.Is(err, peer.ErrNotHere) || errors.Is(err, peer.ErrUnreachable) || abi.CodeOf(err) == abi.TooManyRequests ||
			errors.Is(err, peer.ErrUnknown) && safe(e) && !e.More && !result.Streamed {
			continue
		}
		result.Node = n.nameOf(node.ID)
		return result, err
	}
	return new(abi.Result), errNobody
}

// distant is a client here of an invocation on another node.
type distant struct {
	abi.Stream
	node string // its name
}

// Start is for abi.Stream.
func (d *distant) Start(r *abi.Result) error {
	r.Node = d.node
	return d.Stream.Start(r)
}

// safe says whether an event is a request that asks for nothing to be changed. Source: RFC 9110 section 9.2.1.
func safe(e *abi.Event) bool {
	return e.Method == http.MethodGet || e.Method == http.MethodHead || e.Method == http.MethodOptions
}

// taken runs what other nodes send.
type taken struct{ *Node }

// Invoke is for peer.Invoker.
func (n taken) Invoke(ctx context.Context, i peer.Invocation) (*abi.Result, error) {
	if n.waiting.on(versionKey{i.App, i.Function, i.Version}) != nil {
		return new(abi.Result), peer.ErrNotHere
	}
	ctx = context.WithValue(ctx, takenKey{}, true)
	result, err := n.router.Take(ctx, router.Call{App: i.App, Function: i.Function, Event: i.Event}, i.Version)
	switch {
	case abi.CodeOf(err) == abi.NotFound:
		err = peer.ErrNotHere
	case errors.Is(err, runtime.ErrNoRoom):
		err = abi.WithCode(abi.TooManyRequests, err) // nothing was begun
	}
	return result, err
}

// takenKey marks the context of what another node has sent: it is not sent on.
type takenKey struct{}

// holders answers the living nodes that should have a module: those that had it when it was deployed, then the others,
// nearest first.
func (n *Node) holders(digest string) []peer.Node {
	first := n.registry.Snapshot().Holders(digest)
	nodes := n.others()
	slices.SortStableFunc(nodes, func(a, b peer.Node) int {
		return order(slices.Contains(first, b.ID)) - order(slices.Contains(first, a.ID))
	})
	return nodes
}

func order(first bool) int {
	if first {
		return 1
	}
	return 0
}
