//go:build !wasip1

package settest

import (
	"context"
	"sync"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

var (
	storesMu sync.Mutex // guards stores
	stores   = map[testing.TB]*op.Memory{}
)

// store answers the store of a test, which lives as long as the test.
func store(t testing.TB) *op.Memory {
	storesMu.Lock()
	defer storesMu.Unlock()
	s := stores[t]
	if s == nil {
		s = &op.Memory{}
		stores[t] = s
		t.Cleanup(func() {
			storesMu.Lock()
			defer storesMu.Unlock()
			delete(stores, t)
		})
	}
	return s
}

// Context answers a context with which package kv works on the test's store, outside of an invocation: to fill it
// before one, or to look at it after. Packages fetch and invoke ask what Fetches and Invocations have named before.
//
//	kv.Set(settest.Context(t), "visits", []byte("41"))
//	settest.Get(t, "/visits")
func Context(t testing.TB) context.Context {
	return host.WithWorld(host.WithStore(t.Context(), store(t)), world(t))
}
