package op

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// draft is a namespace while a transaction of Memory works on it.
type draft struct {
	before, after map[string]Item // equal at first; nothing in them has expired
	revision      uint64          // of the transaction
	now           time.Time
	written       int // bytes of keys and values that were written, and of keys that were deleted
	previous      int // bytes of previous values that are answered
	deleted       int // keys that went by DeletePrefix
}

// run does t on after and holds what it does to the limits.
func (d *draft) run(t Txn) ([]OpResult, error) {
	for _, c := range t.Checks {
		if !d.holds(c) {
			return nil, fmt.Errorf("%.80q: %w", c.Key, ErrConflict)
		}
	}
	if d.after == nil {
		d.after = make(map[string]Item)
	}
	results := make([]OpResult, len(t.Ops))
	for n, o := range t.Ops {
		r, err := d.do(o)
		if err == nil {
			err = d.tooLarge()
		}
		if err != nil {
			return nil, fmt.Errorf("%.80q: %w", o.Key, err)
		}
		results[n] = r
	}
	return results, nil
}

func (d *draft) tooLarge() error {
	if d.written > MaxTxnBytes {
		return fmt.Errorf("the transaction writes more than %d bytes: %w", MaxTxnBytes, ErrTooLarge)
	}
	if d.previous > MaxPreviousBytes {
		return fmt.Errorf("the previous values have more than %d bytes: %w", MaxPreviousBytes, ErrTooLarge)
	}
	if d.deleted > MaxDeleteKeys {
		return fmt.Errorf("more than %d keys are deleted by prefix: %w", MaxDeleteKeys, ErrTooLarge)
	}
	return nil
}

func (d *draft) holds(c Check) bool {
	item, found := d.after[c.Key]
	switch c.Kind {
	case HasValue:
		return found && bytes.Equal(item.Value, c.Value)
	case IsPresent:
		return found
	}
	return item.Revision == c.Revision
}

func (d *draft) do(o Op) (r OpResult, err error) {
	old, found := d.after[o.Key]
	r.Found = found
	if o.Previous && found {
		r.Previous = slices.Clone(old.Value)
		d.previous += len(old.Value)
	}
	switch o.Kind {
	case Set:
		d.put(o.Key, append([]byte{}, o.Value...), d.expiry(o))
	case Delete:
		d.remove(o.Key)
	case Incr:
		r.Integer, err = d.incr(o, old, found)
	case Append:
		r.Integer, err = d.append(o, old, found)
	case Touch:
		if found {
			d.put(o.Key, old.Value, d.expiry(o))
		}
	case DeletePrefix:
		r.Integer = d.deletePrefix(o.Key)
		r.Found = r.Integer > 0
	}
	return r, err
}

func (d *draft) put(key string, value []byte, expires time.Time) {
	d.after[key] = Item{Key: key, Value: value, Revision: d.revision, Expires: expires}
	d.written += len(key) + len(value)
}

func (d *draft) remove(key string) {
	if _, found := d.after[key]; found {
		delete(d.after, key)
		d.written += len(key)
	}
}

// expiry is when a key that o makes expires.
func (d *draft) expiry(o Op) time.Time {
	if o.TTL == 0 {
		return time.Time{}
	}
	return d.now.Add(o.TTL).Round(0).UTC()
}

func (d *draft) incr(o Op, old Item, found bool) (n int64, err error) {
	if !found {
		old.Expires = d.expiry(o)
	} else if n, err = ParseInteger(old.Value); err != nil {
		return 0, err
	}
	if n, err = o.Sum(n); err != nil {
		return 0, err
	}
	d.put(o.Key, FormatInteger(n), old.Expires)
	return n, nil
}

func (d *draft) append(o Op, old Item, found bool) (length int64, err error) {
	if !found {
		old.Expires = d.expiry(o)
	}
	value := slices.Concat([]byte{}, old.Value, o.Value)
	if err := validateValue(o.Key, value); err != nil {
		return 0, err
	}
	d.put(o.Key, value, old.Expires)
	return int64(len(value)), nil
}

func (d *draft) deletePrefix(prefix string) (deleted int64) {
	for _, k := range slices.Sorted(maps.Keys(d.after)) {
		if strings.HasPrefix(k, prefix) && deleted < MaxDeleteKeys {
			d.remove(k)
			deleted++
		}
	}
	d.deleted += int(deleted)
	return deleted
}
