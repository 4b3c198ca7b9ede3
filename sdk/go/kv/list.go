package kv

import (
	"context"
	"iter"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Page is a part of a listing.
type Page = op.Page

// ListOption says more of a listing. Consistency is one.
type ListOption interface {
	list(q *op.Query)
}

// Limit is how many keys a listing has at most; without it, List has all and ListPage 1000.
type Limit int

func (n Limit) list(q *op.Query) { q.Limit = max(1, int(n)) }

type keysOnly bool

// KeysOnly leaves values out.
const KeysOnly keysOnly = true

func (k keysOnly) list(q *op.Query) { q.KeysOnly = bool(k) }

func (c Consistency) list(q *op.Query) { q.Read.Consistency = op.Consistency(c) }

// List yields the keys that start with prefix, ascending by their bytes, as they are at one moment. An error ends it;
// ErrCompacted when the loop took so long that the moment is gone.
func List(ctx context.Context, prefix string, options ...ListOption) iter.Seq2[Item, error] {
	first := query(prefix, "", options)
	return func(yield func(Item, error) bool) {
		q := first
		for {
			page, err := host.KVList(ctx, q)
			if err != nil {
				yield(Item{}, wrap(err))
				return
			}
			for _, i := range page.Items {
				if !yield(i.Item, nil) {
					return
				}
			}
			q.Cursor = page.Cursor
			if q.Limit -= len(page.Items); q.Cursor == "" || first.Limit > 0 && q.Limit <= 0 {
				return
			}
			q.Limit = max(0, q.Limit)
		}
	}
}

// ListKeys is List of keys alone.
func ListKeys(ctx context.Context, prefix string, options ...ListOption) iter.Seq2[string, error] {
	items := List(ctx, prefix, append(options[:len(options):len(options)], KeysOnly)...)
	return func(yield func(string, error) bool) {
		for i, err := range items {
			if !yield(i.Key, err) {
				return
			}
		}
	}
}

// ListPage answers one page of a listing, for who carries the cursor from one request to the next. An empty cursor
// begins; Page.Cursor is that of the next page, at the same moment of the store, and empty behind the last. A page has
// 1000 keys and 4 MiB at most.
func ListPage(ctx context.Context, prefix, cursor string, options ...ListOption) (Page, error) {
	p, err := host.KVList(ctx, query(prefix, cursor, options))
	return p, wrap(err)
}

func query(prefix, cursor string, options []ListOption) op.Query {
	q := op.Query{Prefix: prefix, Cursor: cursor}
	for _, option := range options {
		option.list(&q)
	}
	return q
}
