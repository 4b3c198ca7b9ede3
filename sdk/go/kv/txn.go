package kv

import (
	"context"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Txn changes several keys of the app at once, or none: its conditions are looked at first, then its operations are
// done in the order they were added, each on what the ones before it left. The zero value is empty:
//
//	var t kv.Txn
//	t.Check("stock/7", kv.IfPresent)
//	t.Incr("stock/7", -1, kv.Bounds{Min: 0, Max: 1000})
//	t.Set("orders/42", order)
//	result, err := t.Commit(ctx)
//
// It belongs to one goroutine, and may be committed again.
type Txn struct{ txn op.Txn }

// Result is what a transaction did: the revision that all it changed has now, and an OpResult for each operation.
type Result = op.Result

// Option says more of a write. One that does not apply makes it fail with ErrInvalid.
type Option interface {
	apply(t *op.Txn, o *op.Op)
}

// Condition is an Option that must hold for a write to happen; when it does not, the write fails with ErrConflict.
type Condition interface {
	Option
	check(key string) op.Check
}

// TTL is how long the key lives, at least a millisecond: kv.TTL(30*time.Minute). It applies to Set, and to Incr and
// Append when they make the key.
type TTL time.Duration

func (d TTL) apply(_ *op.Txn, o *op.Op) { o.TTL = time.Duration(d) }

// Bounds are the least and the greatest result of Incr, to which alone it applies.
type Bounds struct{ Min, Max int64 }

func (b Bounds) apply(_ *op.Txn, o *op.Op) { o.Min, o.Max, o.Bounded = b.Min, b.Max, true }

type previous bool

// Previous asks for the value the key had before, which is then in the Result. It applies to Set, Delete and Append
// of a Txn. All of a transaction's together may have 1 MiB.
const Previous previous = true

func (p previous) apply(_ *op.Txn, o *op.Op) { o.Previous = bool(p) }

// IfRevision is the condition that a key has this revision.
type IfRevision uint64

// IfAbsent is the condition that a key is absent.
const IfAbsent IfRevision = 0

func (r IfRevision) check(key string) op.Check {
	return op.Check{Kind: op.HasRevision, Key: key, Revision: uint64(r)}
}

func (r IfRevision) apply(t *op.Txn, o *op.Op) { t.Checks = append(t.Checks, r.check(o.Key)) }

// IfValue is the condition that a key is there and has this value.
type IfValue []byte

func (v IfValue) check(key string) op.Check { return op.Check{Kind: op.HasValue, Key: key, Value: v} }

func (v IfValue) apply(t *op.Txn, o *op.Op) { t.Checks = append(t.Checks, v.check(o.Key)) }

type ifPresent bool

// IfPresent is the condition that a key is there.
const IfPresent ifPresent = true

func (ifPresent) check(key string) op.Check { return op.Check{Kind: op.IsPresent, Key: key} }

func (p ifPresent) apply(t *op.Txn, o *op.Op) { t.Checks = append(t.Checks, p.check(o.Key)) }

// Check adds a condition on a key, which need not be one that the transaction changes.
func (t *Txn) Check(key string, c Condition) *Txn {
	t.txn.Checks = append(t.txn.Checks, c.check(key))
	return t
}

// Set adds that a key gets a value, which must not change until Commit returns.
func (t *Txn) Set(key string, value []byte, options ...Option) *Txn {
	return t.add(op.Op{Kind: op.Set, Key: key, Value: value}, options)
}

// Delete adds that a key goes.
func (t *Txn) Delete(key string, options ...Option) *Txn {
	return t.add(op.Op{Kind: op.Delete, Key: key}, options)
}

// DeletePrefix adds that the first 1000 keys that start with prefix go. The result's Integer says how many went.
func (t *Txn) DeletePrefix(prefix string) *Txn {
	return t.add(op.Op{Kind: op.DeletePrefix, Key: prefix}, nil)
}

// Incr adds that delta is added to a key's value. The result's Integer is the new one.
func (t *Txn) Incr(key string, delta int64, options ...Option) *Txn {
	return t.add(op.Op{Kind: op.Incr, Key: key, Delta: delta}, options)
}

// Append adds that a key's value is lengthened. The result's Integer is its new length in bytes.
func (t *Txn) Append(key string, value []byte, options ...Option) *Txn {
	return t.add(op.Op{Kind: op.Append, Key: key, Value: value}, options)
}

// Touch adds that a key gets a new time to live; 0 lets it live until it is deleted. The result's Found says whether
// the key was there.
func (t *Txn) Touch(key string, ttl time.Duration, options ...Option) *Txn {
	return t.add(op.Op{Kind: op.Touch, Key: key, TTL: ttl}, options)
}

// Commit does the transaction. Result.Ops has an element for each operation.
func (t *Txn) Commit(ctx context.Context) (Result, error) {
	r, err := host.KVCommit(ctx, t.txn)
	return r, wrap(err)
}

func (t *Txn) add(o op.Op, options []Option) *Txn {
	for _, option := range options {
		option.apply(&t.txn, &o)
	}
	t.txn.Ops = append(t.txn.Ops, o)
	return t
}
