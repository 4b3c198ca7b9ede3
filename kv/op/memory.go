package op

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of a Memory.
const (
	DefaultHistory = 10000 // changes kept for watches when Memory.History is 0
	keptListings   = 100   // listings that have more pages; the cursors of older ones answer ErrCompacted
	revisionStep   = 4096  // from one transaction's revision to the next's; in the replicated store, too, they leave gaps
)

// Memory is a store in memory, and the model of all others: it does what this package says in the most obvious way.
// Tests use it, of guests too. The zero value is empty and ready; its methods may be called concurrently.
type Memory struct {
	// History is how many changes are kept for watches; 0 means DefaultHistory. A watch that begins or falls further
	// behind ends with ErrCompacted. It is not changed after the first call of a method.
	History int

	mu        sync.Mutex // guards what follows
	revision  uint64
	spaces    map[string]*space
	due       time.Time // no key expires before; zero: none ever does
	history   []event
	compacted uint64 // the newest revision that is no longer in history
	listings  []listing
	changed   chan struct{} // closed and replaced when the history grows; nil: nobody has waited yet
}

// space is what a namespace holds.
type space struct {
	items map[string]Item // never changed in place: neither items nor their values
	quota Quota
}

// event is an entry of the history.
type event struct {
	namespace string
	Change
}

// listing is what a cursor goes on with.
type listing struct {
	id    uint64
	page  Page   // its revision
	items []Item // those that were not in a page yet
	query Query
	space string
}

// Get answers a key's value, which the caller owns, or ErrNotFound. Every consistency is Strong here.
func (m *Memory) Get(ctx context.Context, namespace, key string, r Read) (Item, error) {
	items, err := m.GetMany(ctx, namespace, []string{key}, r)
	if err != nil {
		return Item{}, err
	}
	if items[0].Revision == 0 {
		return Item{}, fmt.Errorf("get: %.80q: %w", key, ErrNotFound)
	}
	return items[0], nil
}

// GetMany answers the keys asked for, in their order and as they are at one moment. One that is absent has
// revision 0.
func (m *Memory) GetMany(ctx context.Context, namespace string, keys []string, r Read) ([]Item, error) {
	if err := firstError(ctx.Err(), ValidateNamespace(namespace), ValidateKeys(keys), r.Validate()); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.space(namespace)
	items, size := make([]Item, len(keys)), 0
	for i, k := range keys {
		items[i] = s.items[k].clone()
		items[i].Key = k
		if size += len(items[i].Value); size > MaxPageBytes {
			return nil, fmt.Errorf("get: %w", ErrGets)
		}
	}
	return items, nil
}

// List answers a page of keys. Listings keep the moment of their first page, and the last keptListings of them can
// go on.
func (m *Memory) List(ctx context.Context, namespace string, q Query) (Page, error) {
	if err := firstError(ctx.Err(), ValidateNamespace(namespace), q.Validate()); err != nil {
		return Page{}, fmt.Errorf("list: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.listing(namespace, q)
	if err != nil {
		return Page{}, fmt.Errorf("list: %w", err)
	}
	l.items = slices.Clone(l.items)
	l.items = slices.DeleteFunc(l.items, func(i Item) bool { return i.Key < q.From })
	page, rest := nextPage(l, q)
	if len(rest) > 0 {
		page.Cursor = m.keep(l, rest)
	}
	return page, nil
}

// Commit does t whole or not at all. Its errors are ErrInvalid and ErrTooLarge, ErrConflict of a check, ErrNotInteger
// and ErrRange of Incr, and ErrQuota.
func (m *Memory) Commit(ctx context.Context, t Txn) (Result, error) {
	if err := firstError(ctx.Err(), t.Validate()); err != nil {
		return Result{}, fmt.Errorf("commit: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.space(t.Namespace)
	d := draft{before: s.items, after: maps.Clone(s.items), revision: m.revision + revisionStep, now: time.Now()}
	results, err := d.run(t)
	if err == nil {
		err = s.quota.Refuses(usage(d.before), usage(d.after))
	}
	if err != nil {
		return Result{}, fmt.Errorf("commit: %w", err)
	}
	m.replace(t.Namespace, d.after)
	return Result{Revision: m.revision, Ops: results}, nil
}

// Watch yields the changes of the keys that start with prefix, those after a revision first and then new ones as
// they come, until ctx ends, which is no error. After 0 means from the call of Watch on. ErrCompacted ends it.
func (m *Memory) Watch(ctx context.Context, namespace, prefix string, after uint64) iter.Seq2[Change, error] {
	if after == 0 {
		after = m.Revision()
	}
	return func(yield func(Change, error) bool) {
		if err := firstError(ValidateNamespace(namespace), ValidatePrefix(prefix)); err != nil {
			yield(Change{}, fmt.Errorf("watch: %w", err))
			return
		}
		for after := after; ctx.Err() == nil; {
			news, err := m.since(namespace, prefix, &after)
			if err != nil {
				yield(Change{}, fmt.Errorf("watch: %w", err))
				return
			}
			for _, c := range news {
				if !yield(c, nil) {
					return
				}
			}
			m.wait(ctx, after)
		}
	}
}

// Changes answers changes, as soon as there is one, or none when Follow.Wait is over. op.ErrCompacted says that some of
// what was asked for is forgotten: Oldest is where to go on.
func (m *Memory) Changes(ctx context.Context, namespace string, f Follow) (Changes, error) {
	if err := firstError(ValidateNamespace(namespace), ValidatePrefix(f.Prefix)); err != nil {
		return Changes{}, fmt.Errorf("changes: %w", err)
	}
	c := Changes{Next: f.After}
	waiting, cancel := context.WithTimeout(ctx, f.Wait)
	defer cancel()
	for {
		var err error
		if c.Changes, err = m.since(namespace, f.Prefix, &c.Next); err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return Changes{}, fmt.Errorf("changes: %w", err)
		}
		if c.Newest = c.Next; len(c.Changes) > 0 || waiting.Err() != nil {
			return c, nil
		}
		m.wait(waiting, c.Next)
	}
}

// Oldest answers the newest revision whose changes are forgotten.
func (m *Memory) Oldest() (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.compacted, nil
}

// Usage answers what a namespace holds and may hold.
func (m *Memory) Usage(ctx context.Context, namespace string) (Usage, error) {
	if err := firstError(ctx.Err(), ValidateNamespace(namespace)); err != nil {
		return Usage{}, fmt.Errorf("read usage: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.space(namespace)
	u := usage(s.items)
	u.Quota = s.quota
	return u, nil
}

// SetQuota limits a namespace from now on. One that holds more keeps it.
func (m *Memory) SetQuota(ctx context.Context, namespace string, q Quota) error {
	if err := firstError(ctx.Err(), ValidateNamespace(namespace), q.Validate()); err != nil {
		return fmt.Errorf("set quota: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.space(namespace).quota = q
	return nil
}

// Revision answers the newest revision.
func (m *Memory) Revision() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	return m.revision
}

// space answers a namespace as it is now, without what has expired. The caller holds mu, as for all that follows.
func (m *Memory) space(namespace string) *space {
	m.expire()
	if m.spaces == nil {
		m.spaces = make(map[string]*space)
	}
	s := m.spaces[namespace]
	if s == nil {
		s = &space{}
		m.spaces[namespace] = s
	}
	return s
}

// expire deletes the keys whose time has come.
func (m *Memory) expire() {
	now := time.Now()
	if m.due.IsZero() || m.due.After(now) {
		return
	}
	for _, namespace := range slices.Sorted(maps.Keys(m.spaces)) {
		live := maps.Clone(m.spaces[namespace].items)
		maps.DeleteFunc(live, func(_ string, i Item) bool { return i.Expired(now) })
		if len(live) != len(m.spaces[namespace].items) {
			m.replace(namespace, live)
		}
	}
	m.due = time.Time{}
	for _, s := range m.spaces {
		for _, i := range s.items {
			m.dueAt(i.Expires)
		}
	}
}

func (m *Memory) dueAt(t time.Time) {
	if !t.IsZero() && (m.due.IsZero() || t.Before(m.due)) {
		m.due = t
	}
}

// replace makes items a namespace's content, at the next revision, and writes the history of it.
func (m *Memory) replace(namespace string, items map[string]Item) {
	m.revision += revisionStep
	s := m.spaces[namespace]
	before := s.items
	s.items = items
	keys := make(map[string]bool)
	for k, i := range items {
		if i.Revision == m.revision {
			keys[k] = true
			m.dueAt(i.Expires)
		}
	}
	for k := range before {
		if _, stays := items[k]; !stays {
			keys[k] = true
		}
	}
	now := time.Now()
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		i, stays := items[k]
		old, existed := before[k]
		m.history = append(m.history, event{namespace, Change{
			Key: k, Value: i.Value, Revision: m.revision, Expires: i.Expires, Deleted: !stays, Time: now,
			Existed: existed, Expired: !stays && old.Expired(now), Previous: old.Value, PreviousRevision: old.Revision}})
	}
	m.forget()
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// forget shortens the history, by whole transactions.
func (m *Memory) forget() {
	limit := m.History
	if limit == 0 {
		limit = DefaultHistory
	}
	if extra := len(m.history) - limit; extra > 0 {
		m.compacted = m.history[extra-1].Revision
		m.history = slices.DeleteFunc(m.history, func(e event) bool { return e.Revision <= m.compacted })
	}
}

// since answers the changes after a revision and moves it to the newest.
func (m *Memory) since(namespace, prefix string, after *uint64) ([]Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expire()
	if *after < m.compacted {
		return nil, fmt.Errorf("revision %d, the oldest there is follows %d: %w", *after, m.compacted, ErrCompacted)
	}
	var changes []Change
	for _, e := range m.history {
		if e.namespace == namespace && strings.HasPrefix(e.Key, prefix) && e.Revision > *after {
			e.Value, e.Previous = slices.Clone(e.Value), slices.Clone(e.Previous)
			changes = append(changes, e.Change)
		}
	}
	*after = max(*after, m.revision)
	return changes, nil
}

// wait returns when there is more than revision after, or a key's time may have come, or ctx has ended.
func (m *Memory) wait(ctx context.Context, after uint64) {
	m.mu.Lock()
	if m.changed == nil {
		m.changed = make(chan struct{})
	}
	changed, due, already := m.changed, m.due, m.revision > after
	m.mu.Unlock()
	if already {
		return
	}
	var timer <-chan time.Time
	if !due.IsZero() {
		timer = time.After(time.Until(due))
	}
	select {
	case <-changed:
	case <-timer:
	case <-ctx.Done():
	}
}

// listing begins one, or finds the one that q's cursor goes on with.
func (m *Memory) listing(namespace string, q Query) (listing, error) {
	if q.Cursor == "" {
		s := m.space(namespace)
		l := listing{page: Page{Revision: m.revision}, query: q, space: namespace}
		for _, k := range slices.Sorted(maps.Keys(s.items)) {
			if strings.HasPrefix(k, q.Prefix) {
				l.items = append(l.items, s.items[k])
			}
		}
		return l, nil
	}
	id, err := strconv.ParseUint(q.Cursor, 36, 64)
	if err != nil {
		return listing{}, fmt.Errorf("cursor %.80q is not one of this store: %w", q.Cursor, ErrInvalid)
	}
	for _, l := range m.listings {
		if l.id != id {
			continue
		}
		if l.space != namespace || l.query.Prefix != q.Prefix {
			return listing{}, fmt.Errorf("the cursor is that of another query: %w", ErrInvalid)
		}
		return l, nil
	}
	return listing{}, fmt.Errorf("the cursor is too old, begin anew: %w", ErrCompacted)
}

// keep remembers what is left of a listing and answers its cursor.
func (m *Memory) keep(l listing, rest []Item) (cursor string) {
	l.items = rest
	l.id = 1
	if n := len(m.listings); n > 0 {
		l.id = m.listings[n-1].id + 1
	}
	m.listings = append(m.listings, l)
	if len(m.listings) > keptListings {
		m.listings = slices.Delete(m.listings, 0, 1)
	}
	return strconv.FormatUint(l.id, 36)
}

// nextPage takes a page off the items of a listing.
func nextPage(l listing, q Query) (page Page, rest []Item) {
	page = l.page
	size := 0
	for n, i := range l.items {
		listed := Listed{Item: i.clone(), Size: len(i.Value)}
		if q.KeysOnly {
			listed.Value = nil
		}
		size += len(i.Key) + len(listed.Value)
		if n == q.Keys() || n > 0 && size > MaxPageBytes {
			return page, l.items[n:]
		}
		page.Items = append(page.Items, listed)
	}
	return page, nil
}

func usage(items map[string]Item) (u Usage) {
	for k, i := range items {
		u.Keys++
		u.Bytes += int64(len(k) + len(i.Value))
	}
	return u
}

// clone answers i with a value of its own.
func (i Item) clone() Item {
	i.Value = slices.Clone(i.Value)
	return i
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
