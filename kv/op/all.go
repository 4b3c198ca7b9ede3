package op

import (
	"context"
	"iter"
)

// Lister answers pages. Package kv's Store is one.
type Lister interface {
	List(ctx context.Context, namespace string, q Query) (Page, error)
}

// All yields every item that q asks for, page by page from its cursor on, as they were at one moment. An error ends it.
func All(ctx context.Context, l Lister, namespace string, q Query) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		q := q // each loop begins anew
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
