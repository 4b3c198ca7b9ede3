//go:build !wasip1

package host

import (
	"context"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// World is what functions in the same process reach besides the store. What is nil is not there.
type World struct {
	Fetch   func(ctx context.Context, r *abi.FetchRequest) (*abi.Reply, error)
	Invoke  func(ctx context.Context, r *abi.InvokeRequest) (*abi.Reply, error)
	Queues  Queues
	Objects Objects
	Events  func(ctx context.Context, events []op.Outgoing) ([]op.Sent, error)
}

var world World // of the invocation that runs, guarded by mu

// LendWorld makes w the world of whoever asks without another one in its context, until restore is called.
func LendWorld(w World) (restore func()) { return lend(&world, w) }

type worldKey struct{}

// WithWorld answers a context whose world is w.
func WithWorld(ctx context.Context, w World) context.Context {
	return context.WithValue(ctx, worldKey{}, w)
}

func worldOf(ctx context.Context) World {
	if w, ok := ctx.Value(worldKey{}).(World); ok {
		return w
	}
	mu.Lock()
	defer mu.Unlock()
	return world
}

// Fetch sends an HTTP request and answers the reply, which the caller owns.
func Fetch(ctx context.Context, r *abi.FetchRequest) (*abi.Reply, error) {
	f := worldOf(ctx).Fetch
	if f == nil {
		return nil, abi.ErrNoOutgoing
	}
	return f(ctx, r)
}

// Invoke runs another function, or has it run later, and answers the reply, which the caller owns.
func Invoke(ctx context.Context, r *abi.InvokeRequest) (*abi.Reply, error) {
	f := worldOf(ctx).Invoke
	if f == nil {
		return nil, abi.ErrNoOutgoing
	}
	return f(ctx, r)
}
