package blob

import (
	"context"
	"iter"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Page is a part of a listing. Objects and prefixes are each in order.
type Page = op.ObjectPage

// Entry is an object of a listing, or a common prefix.
type Entry struct {
	Info          // of an object; of a prefix only Bucket
	Prefix string // common prefix of keys, with the delimiter at its end; empty: it is an object
}

// ListOption says more of a listing.
type ListOption interface {
	list(q *op.ObjectQuery)
}

// Delimiter has keys that have it after the listing's prefix be one common prefix: with "/", the keys of a directory.
type Delimiter string

func (d Delimiter) list(q *op.ObjectQuery) { q.Delimiter = string(d) }

// After begins a listing behind a key, which need not be there.
type After string

func (a After) list(q *op.ObjectQuery) { q.After = string(a) }

// Limit is how many objects and prefixes a listing has at most; without it, List has all and ListPage MaxPage.
type Limit int

func (n Limit) list(q *op.ObjectQuery) { q.Limit = max(1, int(n)) }

// List yields the objects whose keys start with prefix, ascending by their bytes, and common prefixes between them. An
// error ends it.
func (b Bucket) List(ctx context.Context, prefix string, options ...ListOption) iter.Seq2[Entry, error] {
	first := query(prefix, "", options)
	return func(yield func(Entry, error) bool) {
		q, left := first, first.Limit
		for {
			page, err := b.page(ctx, prefix, q)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for e := range b.entries(page) {
				if !yield(e, nil) {
					return
				}
			}
			left -= len(page.Objects) + len(page.Prefixes)
			if q.Token = page.Token; q.Token == "" || first.Limit > 0 && left <= 0 {
				return
			}
			q.Limit = max(0, left)
		}
	}
}

// entries yields a page's objects and prefixes in one order.
func (b Bucket) entries(p Page) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		objects, prefixes := p.Objects, p.Prefixes
		for len(objects)+len(prefixes) > 0 {
			var e Entry
			if len(prefixes) == 0 || len(objects) > 0 && objects[0].Key < prefixes[0] {
				e.Info, objects = objects[0], objects[1:]
			} else {
				e.Bucket, e.Prefix, prefixes = string(b), prefixes[0], prefixes[1:]
			}
			if !yield(e) {
				return
			}
		}
	}
}

// ListPage answers one page of a listing, for who carries the token from one request to the next. An empty token begins;
// Page.Token is that of the next page, and empty behind the last.
func (b Bucket) ListPage(ctx context.Context, prefix, token string, options ...ListOption) (Page, error) {
	return b.page(ctx, prefix, query(prefix, token, options))
}

func (b Bucket) page(ctx context.Context, prefix string, q op.ObjectQuery) (Page, error) {
	p, err := host.ObjectList(ctx, &abi.ObjectList{Bucket: string(b), ObjectQuery: q})
	return p, b.wrap("list", prefix, err)
}

func query(prefix, token string, options []ListOption) op.ObjectQuery {
	q := op.ObjectQuery{Prefix: prefix, Token: token}
	for _, option := range options {
		option.list(&q)
	}
	return q
}
