//go:build !wasip1

package host

import (
	"context"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// App is whose state functions have here.
const App = "test"

// Store is the state of functions in the same process.
type Store interface {
	GetMany(ctx context.Context, namespace string, keys []string, r op.Read) ([]op.Item, error)
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
}

var store Store // of the invocation that runs, guarded by mu; nil: there is none

// Lend makes s the store of whoever asks without another one in its context, until restore is called.
func Lend(s Store) (restore func()) { return lend(&store, s) }

type storeKey struct{}

// WithStore answers a context whose store is s.
func WithStore(ctx context.Context, s Store) context.Context {
	return context.WithValue(ctx, storeKey{}, s)
}

func storeOf(ctx context.Context) (Store, error) {
	if s, ok := ctx.Value(storeKey{}).(Store); ok {
		return s, nil
	}
	mu.Lock()
	defer mu.Unlock()
	if store == nil {
		return nil, abi.ErrNoStore
	}
	return store, nil
}

// KVGet reads keys: an item each, in their order.
func KVGet(ctx context.Context, keys []string, c op.Consistency) ([]op.Item, error) {
	s, err := storeOf(ctx)
	if err != nil {
		return nil, err
	}
	return s.GetMany(ctx, App, keys, op.Read{Consistency: c})
}

// KVList reads a page of keys.
func KVList(ctx context.Context, q op.Query) (op.Page, error) {
	s, err := storeOf(ctx)
	if err != nil {
		return op.Page{}, err
	}
	return s.List(ctx, App, q)
}

// KVCommit does a transaction in the app's namespace.
func KVCommit(ctx context.Context, t op.Txn) (op.Result, error) {
	s, err := storeOf(ctx)
	if err != nil {
		return op.Result{}, err
	}
	t.Namespace = App
	return s.Commit(ctx, t)
}
