package admin

import (
	"context"
	"sync"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

// memory is a store in memory whose failing can be asked for.
type memory struct {
	op.Memory
	mu    sync.Mutex // guards the rest
	lists int        // how often List was called
	fail  error      // what every call answers, when set
}

func newMemory() *memory { return &memory{} }

func (m *memory) List(ctx context.Context, namespace string, q op.Query) (op.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists++
	if m.fail != nil {
		return op.Page{}, m.fail
	}
	return m.Memory.List(ctx, namespace, q)
}

func (m *memory) Commit(ctx context.Context, t op.Txn) (op.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return op.Result{}, m.fail
	}
	return m.Memory.Commit(ctx, t)
}

// put writes a record of the platform's own.
func (m *memory) put(t testing.TB, key, value string) {
	t.Helper()
	o := op.Op{Kind: op.Set, Key: key, Value: []byte(value)}
	if _, err := m.Commit(context.Background(), op.Txn{Namespace: op.System, Ops: []op.Op{o}}); err != nil {
		t.Fatal(err)
	}
}
