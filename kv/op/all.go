package op

import (
	"context"
	"iter"
)

// Lister answers pages. Package kv's Store is one.
type Lister interface {
	List(ctx context.Context, namespace string, q Query) (Page, error)
}

// All yields every item of a namespace that starts with prefix, page by page, as they were at one moment. An error
// ends it.
func All(ctx context.Context, l Lister, namespace, prefix string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		q := Query{Prefix: prefix}
		for {
			page, err := l.List(ctx, namespace, q)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, i := range page.Items {
				if !yield(i.Item, nil) {
					return
				}
			}
			if q.Cursor = page.Cursor; q.Cursor == "" {
				return
			}
		}
	}
}
