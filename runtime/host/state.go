package host

import (
	"context"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Items reads up to op.MaxGets keys of the guest's state as they are at one moment. An absent one has no revision. As in
// all of these calls, the guest's errors are those of packages op and abi.
func (c *Call) Items(ctx context.Context, keys []string) (items []op.Item, err error) {
	err = c.askStore(ctx, func(ctx context.Context) error {
		items, err = c.get(ctx, keys, op.Read{Seen: c.seen})
		return err
	})
	for i := range items {
		c.saw(items[i].Revision)
	}
	return items, err
}

// Page lists keys of the guest's state.
func (c *Call) Page(ctx context.Context, q op.Query) (page op.Page, err error) {
	q.Read.Seen = c.seen
	err = c.askStore(ctx, func(ctx context.Context) error {
		page, err = c.Store.List(ctx, c.App, q)
		return err
	})
	c.saw(page.Revision)
	return page, err
}

// Commit changes the guest's state. The transaction belongs to the store from then on.
func (c *Call) Commit(ctx context.Context, t op.Txn) (result op.Result, err error) {
	t.Namespace = c.App
	err = c.askStore(ctx, func(ctx context.Context) error {
		result, err = c.Store.Commit(ctx, t)
		return err
	})
	c.saw(result.Revision)
	return result, err
}

// askStore counts a call of the store and runs it, and keeps to itself what is not the guest's to know.
func (c *Call) askStore(ctx context.Context, ask func(context.Context) error) error {
	if err := c.countStoreCall(); err != nil {
		return err
	}
	_, err := c.await(ctx, 0, func(ctx context.Context) ([]byte, error) { return nil, ask(ctx) })
	if err == nil {
		return nil
	}
	if _, known := abi.KVErrorNumber(err); known || abi.CodeOf(err) == abi.InvalidInput || abi.CodeOf(err) == abi.TooLarge {
		return err
	}
	c.StoreFault = err
	return abi.ErrStoreFailed
}
