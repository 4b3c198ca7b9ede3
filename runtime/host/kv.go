package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Store is the state of functions as one invocation sees it. Package kv's Store is one: what is asked of it takes
// effect when it answers. One that collects what an invocation asks for, to be committed with its outcome, is another;
// it lives as long as the invocation.
//
// Keys and values of a transaction belong to the store. Errors wrap those of package op, or ctx's.
type Store interface {
	Get(ctx context.Context, namespace, key string, r op.Read) (op.Item, error)
	GetMany(ctx context.Context, namespace string, keys []string, r op.Read) ([]op.Item, error)
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
}

// ask asks c's store what request, a message, says, and appends the answer to room. The request is the guest's
// memory.
type ask func(ctx context.Context, c *Call, request, room []byte) (answer []byte, err error)

// kvGet reads up to op.MaxGets keys as they are at one moment.
func kvGet() Function {
	return storeCall(abi.ImportKVGet, func(ctx context.Context, c *Call, request, room []byte) ([]byte, error) {
		keys, consistency, err := abi.DecodeKVGet(request)
		if err != nil {
			return nil, err
		}
		items, err := c.get(ctx, keys, op.Read{Consistency: consistency, Seen: c.seen})
		if err != nil {
			return nil, err
		}
		size := 0
		for i := range items {
			size += len(items[i].Key) + len(items[i].Value)
			c.saw(items[i].Revision)
		}
		if size > abi.MaxKVItemsBytes {
			return nil, fmt.Errorf("the %d keys and their values have %d bytes, at most %d are read at once: %w", len(items),
				size, abi.MaxKVItemsBytes, op.ErrTooLarge)
		}
		return abi.AppendKVItems(room, items), nil
	})
}

// get spares the store a list where one key is asked for, as most often.
func (c *Call) get(ctx context.Context, keys []string, r op.Read) ([]op.Item, error) {
	if len(keys) != 1 {
		return c.Store.GetMany(ctx, c.App, keys, r)
	}
	item, err := c.Store.Get(ctx, c.App, keys[0], r)
	if errors.Is(err, op.ErrNotFound) {
		item, err = op.Item{}, nil
	}
	return []op.Item{item}, err
}

// kvList reads a page of keys.
func kvList() Function {
	return storeCall(abi.ImportKVList, func(ctx context.Context, c *Call, request, room []byte) ([]byte, error) {
		q, err := abi.DecodeKVQuery(request)
		if err != nil {
			return nil, err
		}
		q.Read.Seen = c.seen
		page, err := c.Store.List(ctx, c.App, q)
		if err != nil {
			return nil, err
		}
		c.saw(page.Revision)
		return abi.AppendKVPage(room, &page), nil
	})
}

// kvCommit does a transaction.
func kvCommit() Function {
	return storeCall(abi.ImportKVCommit, func(ctx context.Context, c *Call, request, room []byte) ([]byte, error) {
		if len(request) <= abi.MaxKVRequestBytes { // else it is refused
			request = bytes.Clone(request) // the store may keep it, and the guest's memory is reset
		}
		t, err := abi.DecodeKVTxn(request)
		if err != nil {
			return nil, err
		}
		t.Namespace = c.App
		result, err := c.Store.Commit(ctx, t)
		if err != nil {
			return nil, err
		}
		c.saw(result.Revision)
		return abi.AppendKVResult(room, &result), nil
	})
}

// saw remembers what the guest has seen, so that its next read, wherever it is answered, sees no less.
func (c *Call) saw(revision uint64) { c.seen = max(c.seen, revision) }

// storeCall is a function that asks the store.
func storeCall(name string, f ask) Function {
	return asking(name, (*Call).refuse, func(ctx context.Context, c *Call, a asked) ([]byte, error) {
		if err := c.countStoreCall(); err != nil {
			return nil, err
		}
		return c.await(ctx, a.wait, func(ctx context.Context) ([]byte, error) { return f(ctx, c, a.request, a.room) })
	})
}

// countStoreCall counts a call of the store, or refuses one too many.
func (c *Call) countStoreCall() error {
	if c.Store == nil {
		return abi.ErrNoStore
	}
	if c.storeCalls == c.MaxStoreCalls {
		return fmt.Errorf("%w: %d", abi.ErrStoreCalls, c.MaxStoreCalls)
	}
	c.storeCalls++
	return nil
}

// refuse answers the number of an error and keeps its message for the guest.
func (c *Call) refuse(err error) (number int32) {
	number, ok := abi.KVErrorNumber(err)
	switch code := abi.CodeOf(err); {
	case ok:
	case code == abi.InvalidInput: // a message that cannot be read
		number, _ = abi.KVErrorNumber(op.ErrInvalid)
	case code == abi.TooLarge:
		number, _ = abi.KVErrorNumber(op.ErrTooLarge)
	default:
		c.StoreFault, err = err, abi.ErrStoreFailed
	}
	c.answer = []byte(err.Error())
	return number
}
