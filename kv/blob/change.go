package blob

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// present is what the store has of some objects of a bucket, at one moment.
type present struct {
	bucket    Bucket
	quota     Quota
	objects   []*manifest // in the order asked for; nil: there is none
	revisions []uint64    // of the bucket, and then of the objects

	others []op.Item // other keys that were asked for
}

// look answers what there is, or op.ErrNoBucket.
func (o *Objects) look(ctx context.Context, app, bucket string, keys ...string) (present, error) {
	return o.lookBeside(ctx, app, bucket, keys, nil)
}

// lookBeside is look that also answers keys of the store, at the same moment.
func (o *Objects) lookBeside(ctx context.Context, app, bucket string, keys, others []string) (p present, err error) {
	ask := []string{bucketKey(bucket), quotaKey}
	for _, k := range keys {
		ask = append(ask, objectKey(bucket, k))
	}
	ask = append(ask, others...)
	items, err := o.store.GetMany(ctx, op.ObjectsOf(app), ask, op.Read{Consistency: op.Strong})
	if err != nil {
		return p, err
	}
	if items[0].Revision == 0 {
		return p, fmt.Errorf("%s: %w", bucket, op.ErrNoBucket)
	}
	err = decode(items[0].Value, &p.bucket)
	p.bucket.Name = bucket
	if err == nil && items[1].Revision != 0 {
		err = decode(items[1].Value, &p.quota)
	}
	p.revisions = []uint64{items[0].Revision}
	for _, i := range items[2 : 2+len(keys)] {
		var m *manifest
		if i.Revision != 0 && err == nil {
			m = new(manifest)
			*m, err = decodeManifest(i.Value)
		}
		p.objects, p.revisions = append(p.objects, m), append(p.revisions, i.Revision)
	}
	p.others = items[2+len(keys):]
	return p, err
}

// checks are those that what was looked at, of objects with keys, is still so.
func (p present) checks(keys ...string) []op.Check {
	checks := []op.Check{{Kind: op.HasRevision, Key: bucketKey(p.bucket.Name), Revision: p.revisions[0]}}
	for i, k := range keys {
		checks = append(checks, op.Check{Kind: op.HasRevision, Key: objectKey(p.bucket.Name, k), Revision: p.revisions[1+i]})
	}
	return checks
}

// change commits what plan says again and again, until nobody comes between.
func (o *Objects) change(ctx context.Context, plan func() (op.Txn, error)) error {
	for range maxAttempts {
		t, err := plan()
		if err != nil || len(t.Ops) == 0 {
			return err
		}
		_, err = o.store.Commit(ctx, t)
		switch {
		case errors.Is(err, op.ErrRange):
			return fmt.Errorf("%w (%w)", op.ErrQuota, err)
		case !errors.Is(err, op.ErrConflict):
			return err
		}
	}
	return ErrContended
}

// tally is by how much a change makes a bucket and its app larger.
type tally struct {
	objects, bytes int64
	uploads        int64 // bytes that are the app's but no bucket's
}

// ops count, within a quota.
func (t tally) ops(bucket string, q Quota) (ops []op.Op) {
	for _, c := range []struct {
		key         string
		delta, most int64
	}{
		{countKey, t.objects, q.Objects}, {bytesKey, t.bytes + t.uploads, q.Bytes},
		{countOf(bucket), t.objects, 0}, {bytesOf(bucket), t.bytes, 0},
	} {
		if c.delta == 0 {
			continue
		}
		o := op.Op{Kind: op.Incr, Key: c.key, Delta: c.delta}
		if c.delta > 0 && c.most > 0 {
			o.Bounded, o.Min, o.Max = true, math.MinInt64, c.most
		}
		ops = append(ops, o)
	}
	return ops
}

// fits refuses a change that the quota would refuse, were it committed with what is held as it is: its body need not be
// read then.
func (t tally) fits(bucket string, q Quota, held []op.Item) error {
	for _, o := range t.ops(bucket, q) {
		i := slices.IndexFunc(held, func(i op.Item) bool { return i.Key == o.Key })
		if i < 0 || !o.Bounded {
			continue
		}
		n, err := int64(0), error(nil)
		if held[i].Revision != 0 {
			n, err = op.ParseInteger(held[i].Value)
		}
		if err != nil {
			return err
		}
		if _, err := o.Sum(n); err != nil {
			return fmt.Errorf("%w (%w)", op.ErrQuota, err)
		}
	}
	return nil
}

// pending is an object whose bytes are kept and that nobody sees yet. Its methods are called by one goroutine.
type pending struct {
	objects  *Objects
	put      Put
	begun    time.Time
	manifest manifest
	segment  *segment // with the manifest's id; nil: it needs none
	event    string

	extra func(present) (tally, []op.Check, []op.Op, error) // of an upload that is completed, a copy; nil: there is none
	keys  []string                                          // of the store, that extra looks at
}

// commit makes the object visible.
func (p *pending) commit(ctx context.Context) (info Info, err error) {
	err = p.objects.change(ctx, func() (t op.Txn, err error) {
		t, info, err = p.txn(ctx)
		return t, err
	})
	return info, err
}

// txn answers the transaction that makes the object visible and what it then is. It holds of the moment it is called
// at: when something came between, committing it answers op.ErrConflict, and txn is to be called again; op.ErrRange
// means that it is over the quota.
func (p *pending) txn(ctx context.Context) (op.Txn, Info, error) {
	if time.Since(p.begun) > MaxPutTime {
		return op.Txn{}, Info{}, ErrTooSlow
	}
	now, err := p.objects.lookBeside(ctx, p.put.Name.App, p.put.Name.Bucket, []string{p.put.Name.Key}, p.keys)
	if err != nil {
		return op.Txn{}, Info{}, err
	}
	old := now.objects[0]
	if err := holds(p.put.If, old); err != nil {
		return op.Txn{}, Info{}, err
	}
	m := p.manifest
	m.Modified = time.Now().UnixNano()
	grows := tally{objects: 1, bytes: m.Size}
	if old != nil {
		grows = tally{bytes: m.Size - old.Size}
	}
	t := op.Txn{Namespace: op.ObjectsOf(p.put.Name.App), Checks: now.checks(p.put.Name.Key)}
	if p.extra != nil {
		more, checks, ops, err := p.extra(now)
		if err != nil {
			return op.Txn{}, Info{}, err
		}
		grows.uploads += more.uploads
		t.Checks, t.Ops = append(t.Checks, checks...), append(t.Ops, ops...)
	}
	t.Ops = append(t.Ops, op.Op{Kind: op.Set, Key: objectKey(p.put.Name.Bucket, p.put.Name.Key), Value: encode(m)})
	if p.segment != nil {
		t.Ops = append(t.Ops, op.Op{Kind: op.Set, Key: segmentKey(m.ID, 0), Value: encode(p.segment)})
	}
	t.Ops = append(t.Ops, grows.ops(p.put.Name.Bucket, now.quota)...)
	info := m.info(p.put.Name.Bucket, p.put.Name.Key)
	if now.bucket.Events {
		t.Ops = append(t.Ops, p.objects.eventOf(p.event, info))
	}
	return t, info, nil
}
