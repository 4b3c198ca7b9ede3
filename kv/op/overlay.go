package op

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Reader is a store that is read. The errors of its methods are those of Memory's.
type Reader interface {
	GetMany(ctx context.Context, namespace string, keys []string, r Read) ([]Item, error)
	List(ctx context.Context, namespace string, q Query) (Page, error)
}

// firstProvisional is below the revisions of an Overlay's own changes. No store gets so far.
const firstProvisional = 1 << 62

// Overlay is a namespace of a store as an invocation sees it whose changes happen when it has succeeded: it reads what
// the store has, and what it has changed itself. What it has read, and what it has changed, Effects answers. Its methods
// may be called concurrently.
//
// A key that a change answers something of (Incr, Append, Touch, conditions, previous values) counts as read, and so does
// every key of a page. That no key came between those of a page is not looked at.
type Overlay struct {
	under     Reader
	namespace string
	sums      bool // what Incr answers is told to nobody

	mu       sync.Mutex // guards what follows
	cells    map[string]*overlaid
	reads    map[string]uint64 // keys that were read, and their revision in the store; 0: absent
	changed  []string          // keys, in the order of their first change
	pages    map[string]string // the last key before a cursor
	revision uint64            // of the last change
}

// overlaid is a key whose value is known.
type overlaid struct {
	base    uint64 // revision in the store; 0: absent
	changed bool
	item    Item // as it is now; Revision 0: absent
	sum     *Op  // the Incrs that are all its changes, as one; nil: it has others, or none
	set     bool // it has others, in an Overlay of sums
}

// read notes that a key of the store was read, the first time.
func (o *Overlay) read(key string, base uint64) {
	if c := o.cells[key]; c != nil && c.changed && c.sum == nil {
		return // what was read is a change of here
	}
	if _, known := o.reads[key]; !known {
		o.reads[key] = base
	}
}

// NewOverlay answers an Overlay of a namespace that nothing is changed in yet.
func NewOverlay(under Reader, namespace string) *Overlay {
	return &Overlay{under: under, namespace: namespace, cells: map[string]*overlaid{}, reads: map[string]uint64{},
		pages: map[string]string{}, revision: firstProvisional}
}

// NewObjectsOverlay answers an Overlay of the namespace of an app's objects. Their counters change with each of them, and
// nobody is told what Incr answers there: it does not count as read, and what it has added is added at the end, within the
// bounds of the last one that grew.
func NewObjectsOverlay(under Reader, app string) *Overlay {
	o := NewOverlay(under, ObjectsOf(app))
	o.sums = true
	return o
}

// Get answers a key's value, which the caller owns, or ErrNotFound.
func (o *Overlay) Get(ctx context.Context, namespace, key string, r Read) (Item, error) {
	items, err := o.GetMany(ctx, namespace, []string{key}, r)
	if err != nil {
		return Item{}, err
	}
	if items[0].Revision == 0 {
		return Item{}, fmt.Errorf("get: %.80q: %w", key, ErrNotFound)
	}
	return items[0], nil
}

// GetMany answers the keys asked for. One that is absent has revision 0.
func (o *Overlay) GetMany(ctx context.Context, namespace string, keys []string, r Read) ([]Item, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := firstError(o.own(namespace), o.fetch(ctx, keys, r)); err != nil {
		return nil, err
	}
	items := make([]Item, len(keys))
	for i, k := range keys {
		c := o.cells[k]
		o.read(k, c.base)
		items[i] = c.item.clone()
		items[i].Key = k
	}
	return items, nil
}

func (o *Overlay) own(namespace string) error {
	if namespace != o.namespace {
		return fmt.Errorf("namespace %s, this is one of %s: %w", namespace, o.namespace, ErrInvalid)
	}
	return nil
}

// fetch has all keys among the cells.
func (o *Overlay) fetch(ctx context.Context, keys []string, r Read) error {
	var unknown []string
	for _, k := range keys {
		if o.cells[k] == nil && !slices.Contains(unknown, k) {
			unknown = append(unknown, k)
		}
	}
	if r.Seen > firstProvisional {
		r.Seen = 0 // its own changes, which are here
	}
	for part := range slices.Chunk(unknown, MaxGets) {
		items, err := o.under.GetMany(ctx, o.namespace, part, r)
		if err != nil {
			return err
		}
		for _, i := range items {
			o.cells[i.Key] = &overlaid{base: i.Revision, item: i}
		}
	}
	return nil
}

// List answers a page of keys, with what was changed here. It may hold some more keys than were asked for.
func (o *Overlay) List(ctx context.Context, namespace string, q Query) (Page, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.own(namespace); err != nil {
		return Page{}, err
	}
	if q.Read.Seen > firstProvisional {
		q.Read.Seen = 0
	}
	page, err := o.under.List(ctx, namespace, q)
	if err != nil {
		return Page{}, err
	}
	after := o.pages[q.Cursor]
	last := ""
	if n := len(page.Items); n > 0 {
		last = page.Items[n-1].Key
	}
	page.Items = slices.DeleteFunc(page.Items, func(l Listed) bool {
		o.read(l.Key, l.Revision)
		c := o.cells[l.Key]
		return c != nil && c.changed
	})
	for _, k := range o.changed {
		if strings.HasPrefix(k, q.Prefix) && k >= q.From && k > after && (k <= last || page.Cursor == "") && o.cells[k].item.Revision != 0 {
			l := Listed{Item: o.cells[k].item.clone(), Size: len(o.cells[k].item.Value)}
			if q.KeysOnly {
				l.Value = nil
			}
			page.Items = append(page.Items, l)
		}
	}
	slices.SortFunc(page.Items, func(a, b Listed) int { return cmp.Compare(a.Key, b.Key) })
	if page.Cursor != "" {
		o.pages[page.Cursor] = last
	}
	return page, nil
}

// Commit does t here, whole or not at all. Its revision is of this invocation alone.
func (o *Overlay) Commit(ctx context.Context, t Txn) (Result, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := firstError(o.own(t.Namespace), t.Validate()); err != nil {
		return Result{}, fmt.Errorf("commit: %w", err)
	}
	keys, err := o.touched(ctx, t)
	if err != nil {
		return Result{}, fmt.Errorf("commit: %w", err)
	}
	now := time.Now()
	d := draft{after: map[string]Item{}, revision: o.revision + 1, now: now}
	for k := range keys {
		if i := o.cells[k].item; i.Revision != 0 && (i.Expires.IsZero() || i.Expires.After(now)) {
			d.after[k] = i
		}
	}
	results, err := d.run(t)
	if err != nil {
		return Result{}, fmt.Errorf("commit: %w", err)
	}
	o.revision = d.revision
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		c := o.cells[k]
		if keys[k] {
			o.read(k, c.base)
		}
		i, there := d.after[k]
		if there && i.Revision != d.revision || !there && c.item.Revision == 0 {
			continue
		}
		c.item = i
		if !c.changed {
			c.changed = true
			o.changed = append(o.changed, k)
		}
	}
	if o.sums {
		o.add(t.Ops)
	}
	return Result{Revision: o.revision, Ops: results}, nil
}

// add sums what ops add to keys that are not changed otherwise. A key that is, after it was added to, was read for that or
// has nothing left of it.
func (o *Overlay) add(ops []Op) {
	for _, p := range ops {
		if p.Kind == DeletePrefix {
			for k, c := range o.cells {
				if strings.HasPrefix(k, p.Key) {
					c.sum, c.set = nil, true
				}
			}
			continue
		}
		c := o.cells[p.Key]
		switch {
		case p.Kind != Incr:
			c.sum, c.set = nil, true
		case c.set:
		case c.sum == nil:
			c.sum = &p
		default:
			delta := c.sum.Delta + p.Delta
			if p.Bounded {
				*c.sum = p
			}
			c.sum.Delta = delta
		}
	}
}

// touched fetches the keys of a transaction, and says of each whether that reads it.
func (o *Overlay) touched(ctx context.Context, t Txn) (keys map[string]bool, err error) {
	keys = map[string]bool{}
	for _, c := range t.Checks {
		keys[c.Key] = true
	}
	for _, p := range t.Ops {
		if p.Kind == DeletePrefix {
			if err := o.below(ctx, p.Key, keys); err != nil {
				return nil, err
			}
			continue
		}
		keys[p.Key] = keys[p.Key] || p.Previous || p.Kind != Set && p.Kind != Delete && !(o.sums && p.Kind == Incr)
	}
	return keys, o.fetch(ctx, slices.Sorted(maps.Keys(keys)), Read{})
}

// below adds the keys that start with a prefix, of which there may be MaxDeleteKeys.
func (o *Overlay) below(ctx context.Context, prefix string, keys map[string]bool) error {
	for _, k := range o.changed {
		if strings.HasPrefix(k, prefix) {
			keys[k] = true
		}
	}
	page, err := o.under.List(ctx, o.namespace, Query{Prefix: prefix, KeysOnly: true, Limit: MaxDeleteKeys})
	for _, l := range page.Items {
		keys[l.Key] = true
	}
	return err
}

// Effects answers what was changed, and what that depends on.
func (o *Overlay) Effects() (checks []Check, ops []Op) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(o.reads)) {
		checks = append(checks, Check{Key: k, Revision: o.reads[k]})
	}
	for _, k := range o.changed {
		c := o.cells[k]
		if c.sum != nil {
			if p := *c.sum; p.Delta != 0 {
				p.Bounded = p.Bounded && p.Delta > 0
				if !p.Bounded {
					p.Min, p.Max = 0, 0
				}
				ops = append(ops, p)
			}
			continue
		}
		p := Op{Kind: Set, Key: k, Value: c.item.Value}
		if !c.item.Expires.IsZero() {
			p.TTL = max(MinTTL, time.Until(c.item.Expires))
		}
		if c.item.Revision == 0 {
			p = Op{Kind: Delete, Key: k}
		}
		ops = append(ops, p)
	}
	return checks, ops
}
