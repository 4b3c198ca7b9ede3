package kv

import (
	"context"
	"fmt"
	"time"

	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/store"
)

// moment is a state of the store, and the time at which keys are looked at: what has expired by then is not there.
type moment struct {
	*store.View
	now time.Time
}

// Get answers the value of key, which the caller owns, or op.ErrNotFound.
func (s *Store) Get(ctx context.Context, namespace, key string, r op.Read) (item op.Item, err error) {
	defer s.metrics.read("get", r.Consistency, time.Now(), &err)
	if err = op.ValidateNamespace(namespace); err == nil {
		err = op.ValidateKey(key)
	}
	if err == nil {
		err = s.read(ctx, r, func(m moment) error {
			item, err = fsm.Get(m, namespace, key, m.now)
			return err
		})
	}
	return item, withCode("get", err)
}

// GetMany answers the values of up to op.MaxGets keys at one moment, in the order asked for. An absent key's item has
// revision 0.
func (s *Store) GetMany(ctx context.Context, namespace string, keys []string, r op.Read) (items []op.Item, err error) {
	defer s.metrics.read("get_many", r.Consistency, time.Now(), &err)
	if err = op.ValidateNamespace(namespace); err == nil {
		err = op.ValidateKeys(keys)
	}
	if err == nil {
		err = s.read(ctx, r, func(m moment) error {
			items, err = fsm.GetMany(m, namespace, keys, m.now)
			return err
		})
	}
	return items, withCode("get", err)
}

// List answers a page of the keys that q asks for. A cursor goes on at the moment of its first page, for as long as
// store.KeepVersions after it was overwritten; then it is op.ErrCompacted.
func (s *Store) List(ctx context.Context, namespace string, q op.Query) (page op.Page, err error) {
	defer s.metrics.read("list", q.Read.Consistency, time.Now(), &err)
	if err = op.ValidateNamespace(namespace); err == nil {
		err = q.Validate()
	}
	if err == nil {
		page, err = s.list(ctx, namespace, q)
	}
	return page, withCode("list", err)
}

func (s *Store) list(ctx context.Context, namespace string, q op.Query) (op.Page, error) {
	var m moment
	if q.Cursor == "" {
		var err error
		if m, err = s.moment(ctx, q.Read); err != nil {
			return op.Page{}, err
		}
	} else {
		c, err := parseCursor(q.Cursor, q.Prefix)
		if err != nil {
			return op.Page{}, err
		}
		if m, err = s.momentOf(ctx, c); err != nil {
			return op.Page{}, err
		}
		q.Cursor = c.key
	}
	defer m.Close()
	page, err := fsm.List(m, namespace, q, m.now)
	if err == nil && page.Cursor != "" {
		page.Cursor = cursor{m.Index(), m.now, page.Cursor}.String()
	}
	return page, err
}

// Usage answers what a namespace holds on this node, and may hold.
func (s *Store) Usage(ctx context.Context, namespace string) (usage op.Usage, err error) {
	defer s.metrics.read("usage", op.Session, time.Now(), &err)
	if err = op.ValidateNamespace(namespace); err == nil {
		err = s.read(ctx, op.Read{}, func(m moment) error {
			usage, err = fsm.Usage(m, namespace)
			return err
		})
	}
	return usage, withCode("usage", err)
}

// read runs f on a state that r may see.
func (s *Store) read(ctx context.Context, r op.Read, f func(moment) error) error {
	m, err := s.moment(ctx, r)
	if err != nil {
		return err
	}
	defer m.Close()
	return f(m)
}

// moment opens the newest state here, once that is one r may see. The caller closes it.
func (s *Store) moment(ctx context.Context, r op.Read) (moment, error) {
	if err := ctx.Err(); err != nil {
		return moment{}, err
	}
	switch r.Consistency {
	case op.Local:
	case op.Session:
		if index := fsm.Index(r.Seen); index > s.state.Applied() {
			if err := s.replica.Wait(ctx, index); err != nil {
				return moment{}, err
			}
		}
	case op.Strong:
		index, err := s.replica.ReadIndex(ctx)
		if err == nil {
			err = s.replica.Wait(ctx, index)
		}
		if err != nil {
			return moment{}, err
		}
	default:
		return moment{}, fmt.Errorf("consistency %d: %w", r.Consistency, op.ErrInvalid)
	}
	view, err := s.state.View()
	if err != nil {
		return moment{}, err
	}
	led, err := s.machine.leaderTime(view)
	if err != nil {
		view.Close()
		return moment{}, err
	}
	now := time.Now()
	if led.After(now) {
		now = led
	}
	return moment{view, now}, nil
}

// momentOf opens the state that a cursor goes on at, on whichever node it was made. The caller closes it.
func (s *Store) momentOf(ctx context.Context, c cursor) (moment, error) {
	if err := ctx.Err(); err != nil {
		return moment{}, err
	}
	if err := s.replica.Wait(ctx, c.index); err != nil {
		return moment{}, err
	}
	view, err := s.state.ViewAt(c.index)
	if err != nil {
		return moment{}, err
	}
	return moment{view, c.now}, nil
}
