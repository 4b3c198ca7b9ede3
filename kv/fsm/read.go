package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// Reads hide what has expired at now. Callers give the later of their own clock and the leader time of the newest
// entry they have applied, so that nothing comes back, and so that keys expire while nothing happens. What reads
// answer belongs to the caller.

// Get answers a key, or op.ErrNotFound.
func Get(v View, namespace, key string, now time.Time) (op.Item, error) {
	s, err := get(v, namespace, key, now)
	if err != nil {
		return op.Item{}, err
	}
	if !s.present {
		return op.Item{}, fmt.Errorf("%.80q: %w", key, op.ErrNotFound)
	}
	return s.item(key), nil
}

// GetMany answers keys in the order asked for; one that is absent has revision 0.
func GetMany(v View, namespace string, keys []string, now time.Time) ([]op.Item, error) {
	items, size := make([]op.Item, len(keys)), 0
	for i, key := range keys {
		s, err := get(v, namespace, key, now)
		if err != nil {
			return nil, err
		}
		items[i] = s.item(key)
		if size += len(items[i].Value); size > op.MaxPageBytes {
			return nil, op.ErrGets
		}
	}
	return items, nil
}

// get answers a key's state, not present when it has expired.
func get(v View, namespace, key string, now time.Time) (state, error) {
	raw, found, err := v.Get(dataKey(namespace, key))
	if err != nil || !found {
		return state{}, err
	}
	s, err := decodeState(raw)
	if err != nil {
		return state{}, fmt.Errorf("%.80q: %w", key, err)
	}
	if !s.live(now.UnixNano()) {
		return state{}, nil
	}
	return s, nil
}

// List answers a page of q. Here a cursor is the first key the page may hold, in q and in the page: whoever made the
// view wraps it in one that says how to come back to v and now.
func List(v View, namespace string, q op.Query, now time.Time) (op.Page, error) {
	p, err := readProgress(v)
	if err != nil {
		return op.Page{}, err
	}
	l := lister{query: q, now: now.UnixNano(), skip: len(dataKey(namespace, ""))}
	l.page.Revision = LastRevision(p.index)
	err = v.Scan(dataKey(namespace, q.Prefix), dataKey(namespace, max(q.Cursor, q.From)), l.visit)
	if err = errors.Join(l.err, err); err != nil {
		return op.Page{}, err
	}
	return l.page, nil
}

// lister fills a page.
type lister struct {
	query op.Query
	now   int64
	skip  int // bytes before the key
	page  op.Page
	size  int // of the page, in bytes
	err   error
}

func (l *lister) visit(k, raw []byte) (more bool) {
	s, err := decodeState(raw)
	if err != nil || !s.live(l.now) {
		l.err = err
		return err == nil
	}
	if l.query.KeysOnly {
		s.value = nil
	}
	key := string(k[l.skip:])
	l.size += len(key) + len(s.value)
	if n := len(l.page.Items); n == l.query.Keys() || n > 0 && l.size > op.MaxPageBytes {
		l.page.Cursor = key
		return false
	}
	s.value = bytes.Clone(s.value)
	l.page.Items = append(l.page.Items, op.Listed{Item: s.item(key), Size: s.size})
	return true
}

// Usage answers what a namespace holds and may hold. Keys that have expired count until a Tick deletes them.
func Usage(v View, namespace string) (op.Usage, error) {
	u, _, err := readUsage(v, namespace)
	return u, err
}

// Keeps says whether a namespace's changes have the value before: see KeepPrevious.
func Keeps(v View, namespace string) (bool, error) {
	_, keeps, err := readUsage(v, namespace)
	return keeps, err
}

// Since asks for changes.
type Since struct {
	Namespace string
	Prefix    string // of the keys
	After     uint64 // a revision: only what came later. 0 is before the first change
	Limit     int    // changes looked at, of whatever keys, before the answer ends with the next whole transaction
}

// Changes answers changes, oldest first and by whole transactions, at most some op.MaxPageBytes and a transaction,
// and the revision up to which it looked: After of the next call. When that is LastRevision of v's index, or was
// above it already, there is no more in v.
//
// op.ErrCompacted means that some of what was asked for is forgotten: see HistoryRetention.
func Changes(v View, q Since) (changes []op.Change, next uint64, err error) {
	p, err := readProgress(v)
	if err != nil {
		return nil, 0, err
	}
	if q.After < p.compacted {
		return nil, 0, fmt.Errorf("revision %d, changes up to %d are forgotten, begin anew: %w", q.After, p.compacted, op.ErrCompacted)
	}
	newest := LastRevision(p.index)
	if q.After >= newest {
		return nil, q.After, nil
	}
	c := collector{since: q, next: newest}
	err = v.Scan(spaceKey(changesKind, q.Namespace, ""), changesKey(q.Namespace, Index(q.After+1)), c.visit)
	if err = errors.Join(c.err, err); err != nil {
		return nil, 0, err
	}
	return c.changes, c.next, setTimes(v, c.changes)
}

// setTimes says of changes when their entries were.
func setTimes(v View, changes []op.Change) error {
	var index uint64
	var at time.Time
	for i := range changes {
		c := &changes[i]
		if Index(c.Revision) != index {
			index = Index(c.Revision)
			record, found, err := v.Get(indexKey(historyKind, index))
			if err != nil {
				return err
			}
			f := fields{rest: record}
			if at = timeOf(f.natural()); !found || f.bad {
				return fmt.Errorf("record of entry %d: %w", index, errDamaged)
			}
		}
		c.Time = at
	}
	return nil
}

// collector gathers changes.
type collector struct {
	since   Since
	changes []op.Change
	seen    int    // changes looked at
	size    int    // of those that are answered, in bytes
	last    uint64 // revision of the change looked at last
	next    uint64
	err     error
}

// visit looks at the changes of an entry.
func (c *collector) visit(k, raw []byte) (more bool) {
	for f := (fields{rest: raw}); len(f.rest) > 0; {
		change := f.change(indexOf(k))
		if f.bad {
			c.err = fmt.Errorf("changes: %w", errDamaged)
			return false
		}
		if change.Revision <= c.since.After {
			continue
		}
		if change.Revision != c.last && c.seen > 0 && (c.seen >= c.since.Limit || c.size >= op.MaxPageBytes) {
			c.next = c.last
			return false
		}
		c.last = change.Revision
		c.seen++
		if strings.HasPrefix(change.Key, c.since.Prefix) {
			c.size += len(change.Key) + len(change.Value) + len(change.Previous)
			change.Value, change.Previous = bytes.Clone(change.Value), bytes.Clone(change.Previous)
			c.changes = append(c.changes, change)
		}
	}
	return true
}
