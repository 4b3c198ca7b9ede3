package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Limits of a change.
const (
	MaxChanges  = op.MaxOps - 1 // functions changed at once: a transaction, less the generation
	maxAttempts = 16            // tries of a change while other nodes change functions too
)

// Keys in namespace op.System. Every change checks and sets the generation, so that of two changes on different
// nodes, which might tie, one comes first and the other sees it.
const (
	generationKey = "generation"
	functionKey   = "f/" // then <app>/<name>
)

// Store is where the records are. Package kv's Store is one. Its errors wrap those of package op.
type Store interface {
	Get(ctx context.Context, namespace, key string, r op.Read) (op.Item, error)
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
}

// Registry is the functions of a store. Changes happen one after another, each in one transaction; when a method
// returns without an error the change is durable and Snapshot shows it. All methods may be called concurrently.
type Registry struct {
	store   Store
	current atomic.Pointer[Snapshot]
	mu      sync.Mutex // serialises changes and refreshes of this node
}

// Open reads all records. A record that cannot be read is an error: serving without it would free its routes.
func Open(ctx context.Context, store Store) (*Registry, error) {
	r := &Registry{store: store}
	if _, err := r.refresh(ctx, op.Read{}); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	return r, nil
}

// Snapshot answers the functions as of the last change. It costs one atomic load.
func (r *Registry) Snapshot() *Snapshot { return r.current.Load() }

// Refresh reads the store again if another node has changed functions, and reports whether one has.
func (r *Registry) Refresh(ctx context.Context) (changed bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refresh(ctx, op.Read{Seen: r.current.Load().generation})
}

// refresh does what Refresh says, on what a read may see. The caller holds r.mu.
func (r *Registry) refresh(ctx context.Context, read op.Read) (changed bool, err error) {
	for range maxAttempts {
		before, err := r.generation(ctx, read)
		if err != nil {
			return false, err
		}
		if s := r.current.Load(); s != nil && s.generation == before {
			return false, nil
		}
		byID, moment, err := r.read(ctx, before)
		if err != nil {
			return false, err
		}
		after, err := r.generation(ctx, op.Read{Seen: moment})
		if err != nil {
			return false, err
		}
		if before != after {
			continue // the listing may be of either
		}
		s, err := newSnapshot(after, byID, nil)
		if err != nil {
			return false, err
		}
		r.current.Store(s)
		return true, nil
	}
	return false, abi.WithCode(abi.Unavailable, errors.New("read functions: they keep changing; try again"))
}

func (r *Registry) generation(ctx context.Context, read op.Read) (uint64, error) {
	item, err := r.store.Get(ctx, op.System, generationKey, read)
	if err != nil && !errors.Is(err, op.ErrNotFound) {
		return 0, fmt.Errorf("read generation: %w", err)
	}
	return item.Revision, nil
}

// read answers all functions at one moment, which is not before a generation, and the moment.
func (r *Registry) read(ctx context.Context, generation uint64) (byID map[id]*Function, moment uint64, err error) {
	byID = map[id]*Function{}
	q := op.Query{Prefix: functionKey, Read: op.Read{Seen: generation}}
	for {
		page, err := r.store.List(ctx, op.System, q)
		if err != nil {
			return nil, 0, fmt.Errorf("list functions: %w", err)
		}
		for _, item := range page.Items {
			f, err := decodeFunction(item.Key, item.Value)
			if err != nil {
				return nil, 0, fmt.Errorf("read record %s: %w", item.Key, err)
			}
			byID[id{f.App, f.Name}] = f
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return byID, page.Revision, nil
		}
	}
}

func decodeFunction(key string, value []byte) (*Function, error) {
	f := new(Function)
	if err := json.Unmarshal(value, f); err != nil {
		return nil, err
	}
	if keyOf(id{f.App, f.Name}) != key {
		return nil, fmt.Errorf("it is of function %s in app %s", quoteShort(f.Name), quoteShort(f.App))
	}
	return f, f.check()
}

// encodeFunction retires more versions than usual when the record would be too large for the store.
func encodeFunction(f Function) (Function, []byte, error) {
	for keep := Retained; ; keep-- {
		f = f.copy().retire(keep)
		value, err := json.Marshal(&f)
		if err != nil || len(value) <= op.MaxValueBytes {
			return f, value, err
		}
		if keep == 0 {
			return f, nil, abi.WithCode(abi.TooLarge, fmt.Errorf("function %s: its record has %d bytes, at most %d are allowed; "+
				"name fewer versions by aliases or give them smaller settings", qualified(&f), len(value), op.MaxValueBytes))
		}
	}
}

func keyOf(k id) string { return functionKey + k.app + "/" + k.name }

// edit is what a change does to a snapshot: functions that are new, replaced, or removed (nil).
type edit map[id]*Function

// change applies what plan makes of the newest snapshot, in one transaction, and plans again when another node
// came first. Plan may be called several times. What this node has may be old, and planning on it in vain: hence strong.
func (r *Registry) change(ctx context.Context, plan func(*Snapshot) (edit, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range maxAttempts {
		if _, err := r.refresh(ctx, op.Read{Consistency: op.Strong}); err != nil {
			return err
		}
		s := r.current.Load()
		e, err := plan(s)
		if err != nil || len(e) == 0 {
			return err
		}
		if err = r.commit(ctx, s, e); !errors.Is(err, op.ErrConflict) {
			return err
		}
	}
	return abi.WithCode(abi.Unavailable, errors.New("other nodes keep changing functions; try again"))
}

// commit writes e over s and shows the result.
func (r *Registry) commit(ctx context.Context, s *Snapshot, e edit) error {
	if len(e) > MaxChanges {
		return abi.WithCode(abi.TooLarge, fmt.Errorf("%d functions at once, at most %d are allowed", len(e), MaxChanges))
	}
	t := op.Txn{Namespace: op.System, Checks: []op.Check{{Key: generationKey, Revision: s.generation}}}
	byID := maps.Clone(s.byID)
	for k, f := range e {
		if f == nil {
			delete(byID, k)
			t.Ops = append(t.Ops, op.Op{Kind: op.Delete, Key: keyOf(k)})
			continue
		}
		kept, value, err := encodeFunction(*f)
		if err != nil {
			return err
		}
		byID[k] = &kept
		t.Ops = append(t.Ops, op.Op{Kind: op.Set, Key: keyOf(k), Value: value})
	}
	t.Ops = append(t.Ops, op.Op{Kind: op.Set, Key: generationKey, Value: []byte(time.Now().UTC().Format(time.RFC3339Nano))})
	next, err := newSnapshot(0, byID, s)
	if err != nil {
		return err
	}
	if err := next.checkTies(s); err != nil {
		return err
	}
	done, err := r.store.Commit(ctx, t)
	if err != nil {
		return fmt.Errorf("write functions: %w", err)
	}
	next.generation = done.Revision
	r.current.Store(next)
	return nil
}
