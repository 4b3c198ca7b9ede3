package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sett-run/sett/kv/op"
)

// memory is a store in a map: a node's has the same methods.
type memory struct {
	mu       sync.Mutex // guards the rest
	items    map[string]op.Item
	revision uint64
	lists    int   // how often List was called
	fail     error // what every call answers, when set
}

func newMemory() *memory { return &memory{items: map[string]op.Item{}} }

func (m *memory) Get(_ context.Context, namespace, key string) (op.Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	item, ok := m.items[namespace+"\x00"+key]
	switch {
	case m.fail != nil:
		return op.Item{}, m.fail
	case !ok:
		return op.Item{}, fmt.Errorf("get %s: %w", key, op.ErrNotFound)
	}
	return item, nil
}

func (m *memory) List(_ context.Context, namespace, prefix string) ([]op.Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists++
	if m.fail != nil {
		return nil, m.fail
	}
	var out []op.Item
	for key, item := range m.items {
		if strings.HasPrefix(key, namespace+"\x00"+prefix) {
			out = append(out, item)
		}
	}
	slices.SortFunc(out, func(a, b op.Item) int { return cmp.Compare(a.Key, b.Key) })
	return out, nil
}

func (m *memory) Commit(_ context.Context, t op.Txn) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return 0, m.fail
	}
	for _, c := range t.Checks {
		if m.items[t.Namespace+"\x00"+c.Key].Revision != c.Revision {
			return 0, fmt.Errorf("commit: %s: %w", c.Key, op.ErrConflict)
		}
	}
	m.revision++
	for _, o := range t.Ops {
		key := t.Namespace + "\x00" + o.Key
		if o.Kind == op.Delete {
			delete(m.items, key)
			continue
		}
		m.items[key] = op.Item{Key: o.Key, Value: slices.Clone(o.Value), Revision: m.revision}
	}
	return m.revision, nil
}
