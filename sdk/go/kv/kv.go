// Package kv is a function's state: keys with values, replicated and durable, shared by all functions of an app and
// by nobody else. A write has happened, on a majority of the nodes' disks, when its call returns:
//
//	visits, err := kv.Incr(ctx, "visits", 1)
//
// An invocation reads its own writes, wherever they are answered. The context's deadline and the invocation's limit
// a call; cancelling the context while a call runs does not end it, since the whole instance waits.
//
// The names of wasi:keyvalue are here with its meaning: Get, Set, Delete, Exists, ListKeys, Increment, GetMany,
// SetMany and DeleteMany; its cas is CompareAndSet. Errors are told apart with errors.Is. All functions may be called
// by several goroutines. Outside WebAssembly package settest has a store for tests. docs/KV.md says more.
package kv

import (
	"context"
	"strconv"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Limits. What is over one is refused with ErrTooLarge.
const (
	MaxKeyBytes   = op.MaxKeyBytes
	MaxValueBytes = op.MaxValueBytes
	MaxGets       = op.MaxGets     // keys of GetMany, which together hold 4 MiB at most
	MaxOps        = op.MaxOps      // operations of a Txn, and keys of SetMany and DeleteMany
	MaxChecks     = op.MaxChecks   // conditions of a Txn
	MaxTxnBytes   = op.MaxTxnBytes // keys and values of a Txn together
)

// Item is a key with its value, the revision at which it was written, and when it expires.
type Item = op.Item

// Consistency says what a read may see.
type Consistency op.Consistency

// Consistencies. A read without one is Session.
const (
	Session = Consistency(op.Session) // all that this invocation has written and seen
	Local   = Consistency(op.Local)   // what the node has, however old
	Strong  = Consistency(op.Strong)  // all that was acknowledged to anybody before the read began
)

// Get answers a key's value, never nil, or ErrNotFound. The caller owns it.
func Get(ctx context.Context, key string, c ...Consistency) ([]byte, error) {
	i, err := GetItem(ctx, key, c...)
	return i.Value, err
}

// GetItem answers a key with its revision, or ErrNotFound.
func GetItem(ctx context.Context, key string, c ...Consistency) (Item, error) {
	items, err := GetMany(ctx, []string{key}, c...)
	if err != nil {
		return Item{}, err
	}
	if items[0].Revision == 0 {
		return Item{}, missing(key)
	}
	if items[0].Value == nil {
		items[0].Value = []byte{}
	}
	return items[0], nil
}

// GetMany answers keys as they are at one moment, in the order asked. One that is absent has revision 0.
func GetMany(ctx context.Context, keys []string, c ...Consistency) ([]Item, error) {
	var last Consistency
	for _, last = range c {
	}
	items, err := host.KVGet(ctx, keys, op.Consistency(last))
	return items, wrap(err)
}

// Exists says whether a key is there.
func Exists(ctx context.Context, key string, c ...Consistency) (bool, error) {
	items, err := GetMany(ctx, []string{key}, c...)
	return err == nil && items[0].Revision != 0, err
}

// Set gives a key a value. Without TTL it lives until it is deleted.
func Set(ctx context.Context, key string, value []byte, options ...Option) error {
	_, err := Put(ctx, key, value, options...)
	return err
}

// Put is Set and answers the key's new revision.
func Put(ctx context.Context, key string, value []byte, options ...Option) (revision uint64, err error) {
	var t Txn
	r, err := t.Set(key, value, options...).Commit(ctx)
	return r.Revision, err
}

// SetMany gives all keys of items their values, or none. It looks at Key and Value alone.
func SetMany(ctx context.Context, items []Item) error {
	var t Txn
	for i := range items {
		t.Set(items[i].Key, items[i].Value)
	}
	_, err := t.Commit(ctx)
	return err
}

// CompareAndSet gives a key the value next if it has the value old, nil meaning that it is absent; else it answers
// ErrConflict.
func CompareAndSet(ctx context.Context, key string, old, next []byte, options ...Option) error {
	var c Condition = IfValue(old)
	if old == nil {
		c = IfAbsent
	}
	var t Txn
	_, err := t.Check(key, c).Set(key, next, options...).Commit(ctx)
	return err
}

// Delete removes a key. One that is absent is no error.
func Delete(ctx context.Context, key string, options ...Option) error {
	var t Txn
	_, err := t.Delete(key, options...).Commit(ctx)
	return err
}

// DeleteMany removes all keys, or none.
func DeleteMany(ctx context.Context, keys []string) error {
	var t Txn
	for _, k := range keys {
		t.Delete(k)
	}
	_, err := t.Commit(ctx)
	return err
}

// Incr adds delta to a key's value, a decimal integer, and answers the new one. An absent key counts as 0. It answers
// ErrNotInteger for another value, and ErrRange when the result is outside of Bounds or of 64 bits; then nothing
// changes. TTL is that of a key it makes.
func Incr(ctx context.Context, key string, delta int64, options ...Option) (int64, error) {
	var t Txn
	r, err := t.Incr(key, delta, options...).Commit(ctx)
	if err != nil {
		return 0, err
	}
	return r.Ops[0].Integer, nil
}

// Increment is Incr without options.
func Increment(ctx context.Context, key string, delta int64) (int64, error) {
	return Incr(ctx, key, delta)
}

// Append lengthens a key's value and answers its new length in bytes. An absent key counts as empty. TTL is that of a
// key it makes.
func Append(ctx context.Context, key string, value []byte, options ...Option) (length int, err error) {
	var t Txn
	r, err := t.Append(key, value, options...).Commit(ctx)
	if err != nil {
		return 0, err
	}
	return int(r.Ops[0].Integer), nil
}

// Touch gives a key a new time to live from now on; 0 lets it live until it is deleted. It answers ErrNotFound when
// the key is absent.
func Touch(ctx context.Context, key string, ttl time.Duration) error {
	var t Txn
	r, err := t.Touch(key, ttl).Commit(ctx)
	if err == nil && !r.Ops[0].Found {
		err = missing(key)
	}
	return err
}

func missing(key string) error {
	return &failure{"kv: " + strconv.Quote(key) + ": " + ErrNotFound.Error(), ErrNotFound}
}
