package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sett-run/sett/kv/op"
)

// transact does a transaction whole or refuses it.
func (b *batch) transact(revision uint64, c Command) ([]op.OpResult, error) {
	d := draft{batch: b, revision: revision}
	results, err := d.part(c.Namespace, c.Checks, c.Ops)
	if err == nil && c.Record.Key != "" {
		err = d.end(c)
	}
	if err == nil && len(c.Objects.Checks)+len(c.Objects.Ops) > 0 {
		_, err = d.part(op.ObjectsOf(c.Namespace), c.Objects.Checks, c.Objects.Ops)
	}
	if err == nil {
		err = d.commit(d.previous + resultBytes*len(results))
	}
	if err != nil {
		d.rollBack()
		return nil, err
	}
	return results, nil
}

// part does what a transaction does in one namespace, each of which has one part.
func (d *draft) part(namespace string, checks []op.Check, ops []op.Op) ([]op.OpResult, error) {
	s, err := d.batch.space(namespace)
	if err != nil {
		return nil, err
	}
	for _, k := range checks {
		if err := d.batch.check(s, k); err != nil {
			return nil, err
		}
	}
	results := make([]op.OpResult, len(ops))
	for i := range ops {
		if results[i], err = d.do(s, &ops[i]); err != nil {
			return nil, err
		}
	}
	after := s.usage
	for _, t := range d.touched {
		if t.space == s {
			after = t.count(after)
		}
	}
	return results, refuse(s.usage.Quota.Refuses(s.usage, after))
}

// end deletes or changes a record of the platform's, if it is as it has to be.
func (d *draft) end(c Command) error {
	s, err := d.batch.space(op.System)
	if err == nil {
		err = d.batch.check(s, c.Record)
	}
	if err == nil {
		o := op.Op{Kind: op.Delete, Key: c.Record.Key}
		if c.Becomes != nil {
			o = op.Op{Kind: op.Set, Key: c.Record.Key, Value: c.Becomes}
		}
		_, err = d.do(s, &o)
	}
	return err
}

const resultBytes = 16 // what an op's result has at most when a request is remembered, but for a previous value

func (b *batch) check(s *space, k op.Check) error {
	c, err := b.cell(s, k.Key)
	if err != nil {
		return err
	}
	live := c.now.live(b.now())
	switch k.Kind {
	case op.IsPresent:
		if !live {
			return refuse(fmt.Errorf("%.80q is not there: %w", k.Key, op.ErrConflict))
		}
	case op.HasValue:
		if !live || !bytes.Equal(c.now.value, k.Value) {
			return refuse(fmt.Errorf("%.80q has another value: %w", k.Key, op.ErrConflict))
		}
	default:
		revision := c.now.revision
		if !live {
			revision = 0
		}
		if revision != k.Revision {
			return refuse(fmt.Errorf("%.80q has revision %d, not %d: %w", k.Key, revision, k.Revision, op.ErrConflict))
		}
	}
	return nil
}

// do does one op, on what the ones before it left.
func (d *draft) do(s *space, o *op.Op) (r op.OpResult, err error) {
	if o.Kind == op.DeletePrefix {
		r.Integer, err = d.deletePrefix(s, o.Key)
		r.Found = r.Integer > 0
	} else {
		r, err = d.change(s, o)
	}
	if err == nil {
		err = d.tooLarge()
	}
	if err != nil {
		return op.OpResult{}, fmt.Errorf("%.80q: %w", o.Key, err)
	}
	return r, nil
}

func (d *draft) tooLarge() error {
	switch {
	case d.written > op.MaxTxnBytes:
		return refuse(fmt.Errorf("the transaction writes more than %d bytes: %w", op.MaxTxnBytes, op.ErrTooLarge))
	case d.previous > op.MaxPreviousBytes:
		return refuse(fmt.Errorf("the previous values have more than %d bytes: %w", op.MaxPreviousBytes, op.ErrTooLarge))
	case d.deleted > op.MaxDeleteKeys:
		return refuse(fmt.Errorf("more than %d keys are deleted by prefix: %w", op.MaxDeleteKeys, op.ErrTooLarge))
	}
	return nil
}

// change does an op of one key.
func (d *draft) change(s *space, o *op.Op) (r op.OpResult, err error) {
	c, err := d.batch.cell(s, o.Key)
	if err != nil {
		return r, err
	}
	var old state
	if c.now.live(d.batch.now()) {
		old = c.now
	}
	r.Found = old.present
	if o.Previous && old.present {
		r.Previous = append([]byte{}, old.value...)
		d.previous += old.size
	}
	switch o.Kind {
	case op.Set:
		d.set(c, o.Value, d.expiry(o))
	case op.Delete:
		if old.present {
			d.put(c, state{})
		}
	case op.Touch:
		if old.present {
			d.set(c, old.value, d.expiry(o))
		}
	case op.Incr:
		r.Integer, err = d.incr(c, old, o)
	case op.Append:
		r.Integer, err = d.append(c, old, o)
	}
	return r, err
}

// expiry is when a key that o makes expires.
func (d *draft) expiry(o *op.Op) int64 {
	if o.TTL == 0 {
		return 0
	}
	return d.batch.now() + int64(o.TTL)
}

func (d *draft) incr(c *cell, old state, o *op.Op) (n int64, err error) {
	expires := old.expires
	if !old.present {
		expires = d.expiry(o)
	} else if n, err = op.ParseInteger(old.value); err != nil {
		return 0, refuse(err)
	}
	if n, err = o.Sum(n); err != nil {
		return 0, refuse(err)
	}
	d.set(c, op.FormatInteger(n), expires)
	return n, nil
}

func (d *draft) append(c *cell, old state, o *op.Op) (length int64, err error) {
	expires := old.expires
	if !old.present {
		expires = d.expiry(o)
	}
	if n := old.size + len(o.Value); n > op.MaxValueBytes {
		return 0, refuse(fmt.Errorf("value of %d bytes, at most %d are allowed: %w", n, op.MaxValueBytes, op.ErrTooLarge))
	}
	value := slices.Concat(old.value, o.Value)
	d.set(c, value, expires)
	return int64(len(value)), nil
}

// deletePrefix deletes the first op.MaxDeleteKeys keys that start with prefix.
func (d *draft) deletePrefix(s *space, prefix string) (deleted int64, err error) {
	found, err := d.withPrefix(s, prefix)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(found, func(x, y *cell) int { return strings.Compare(x.key, y.key) })
	found = found[:min(len(found), op.MaxDeleteKeys)]
	for _, c := range found {
		s.cells[c.key] = c
		d.put(c, state{})
	}
	d.deleted += len(found)
	return int64(len(found)), nil
}

// withPrefix answers the live cells under a prefix, in any order: all that the entry came upon, and the first
// op.MaxDeleteKeys of the others, which are not in the space yet.
func (d *draft) withPrefix(s *space, prefix string) (found []*cell, err error) {
	now := d.batch.now()
	for key, c := range s.cells {
		if strings.HasPrefix(key, prefix) && c.now.live(now) {
			found = append(found, c)
		}
	}
	others, skip := 0, len(dataKey(s.name, ""))
	scanned := d.batch.view.Scan(dataKey(s.name, prefix), nil, func(k, v []byte) bool {
		if _, known := s.cells[string(k[skip:])]; known {
			return true
		}
		var stored state
		if stored, err = decodeState(v); err != nil || !stored.live(now) {
			return err == nil
		}
		if s.keeps && d.read+stored.size <= maxImageBytes {
			d.read += stored.size
			stored.value = append([]byte{}, stored.value...)
		} else {
			stored.value = nil
		}
		found = append(found, &cell{space: s, key: string(k[skip:]), stored: stored, now: stored, hollow: true})
		others++
		return others < op.MaxDeleteKeys
	})
	return found, errors.Join(err, scanned)
}
