package blob

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// CreateBucket makes a bucket, or answers op.ErrBucketExists.
func (o *Objects) CreateBucket(ctx context.Context, app string, b Bucket) error {
	err := validate(app, b.Name)
	if err == nil {
		err = o.fewBuckets(ctx, app)
	}
	if err == nil {
		_, err = o.store.Commit(ctx, op.Txn{Namespace: op.System, Ops: []op.Op{{Kind: op.Set, Key: appPrefix + app}}})
	}
	if err == nil {
		b.Created, b.Events = time.Now(), b.Events || o.heard(app, b.Name)
		key := bucketKey(b.Name)
		_, err = o.store.Commit(ctx, op.Txn{Namespace: op.ObjectsOf(app), Checks: []op.Check{{Key: key}},
			Ops: []op.Op{{Kind: op.Set, Key: key, Value: encode(b)}}})
	}
	return coded("create bucket", conflict(err, op.ErrBucketExists))
}

func (o *Objects) fewBuckets(ctx context.Context, app string) error {
	all, err := o.buckets(ctx, app)
	if err == nil && len(all) >= op.MaxBuckets {
		err = fmt.Errorf("%d buckets, at most %d are allowed: %w", len(all)+1, op.MaxBuckets, op.ErrTooLarge)
	}
	return err
}

// ChangeBucket gives a bucket other settings: whether what becomes of its objects is told from now on.
func (o *Objects) ChangeBucket(ctx context.Context, app string, b Bucket) error {
	err := validate(app, b.Name)
	if err == nil {
		err = o.change(ctx, func() (op.Txn, error) {
			now, err := o.look(ctx, app, b.Name)
			now.bucket.Events = b.Events || o.heard(app, b.Name)
			return op.Txn{Namespace: op.ObjectsOf(app), Checks: now.checks(),
				Ops: []op.Op{{Kind: op.Set, Key: bucketKey(b.Name), Value: encode(now.bucket)}}}, err
		})
	}
	return coded("change bucket", err)
}

// Bucket answers a bucket, or op.ErrNoBucket.
func (o *Objects) Bucket(ctx context.Context, app, bucket string) (b Bucket, err error) {
	if err = validate(app, bucket); err == nil {
		var now present
		now, err = o.look(ctx, app, bucket)
		b = now.bucket
	}
	return b, coded("get bucket", err)
}

// Buckets answers an app's, in the order of their names.
func (o *Objects) Buckets(ctx context.Context, app string) (all []Bucket, err error) {
	if err = op.ValidateApp(app); err == nil {
		all, err = o.buckets(ctx, app)
	}
	return all, coded("list buckets", err)
}

func (o *Objects) buckets(ctx context.Context, app string) (all []Bucket, err error) {
	q := op.Query{Prefix: bucketPrefix, Read: op.Read{Consistency: op.Strong}}
	for i, err := range op.All(ctx, o.store, op.ObjectsOf(app), q) {
		if err != nil {
			return nil, err
		}
		var b Bucket
		if err := decode(i.Value, &b); err != nil {
			return nil, err
		}
		b.Name = strings.TrimPrefix(i.Key, bucketPrefix)
		all = append(all, b)
	}
	return all, nil
}

// DeleteBucket takes a bucket without objects away, or answers op.ErrNotEmpty. Uploads in it can be completed no more.
func (o *Objects) DeleteBucket(ctx context.Context, app, bucket string) error {
	err := validate(app, bucket)
	if err == nil {
		err = o.change(ctx, func() (op.Txn, error) { return o.deleteBucket(ctx, app, bucket) })
	}
	return coded("delete bucket", err)
}

func (o *Objects) deleteBucket(ctx context.Context, app, bucket string) (t op.Txn, err error) {
	now, err := o.lookBeside(ctx, app, bucket, nil, []string{countOf(bucket)})
	if err != nil {
		return t, err
	}
	count := now.others[0]
	if count.Revision != 0 && string(count.Value) != "0" {
		return t, fmt.Errorf("%s has %s objects: %w", bucket, count.Value, op.ErrNotEmpty)
	}
	return op.Txn{
		Namespace: op.ObjectsOf(app),
		Checks:    append(now.checks(), op.Check{Key: countOf(bucket), Revision: count.Revision}),
		Ops: []op.Op{{Kind: op.Delete, Key: bucketKey(bucket)}, {Kind: op.Delete, Key: countOf(bucket)},
			{Kind: op.Delete, Key: bytesOf(bucket)}},
	}, nil
}

// Usage answers what an app holds, or when a bucket is named what that holds.
func (o *Objects) Usage(ctx context.Context, app, bucket string) (u Usage, err error) {
	keys := []string{countKey, bytesKey, quotaKey}
	if err = op.ValidateApp(app); err == nil && bucket != "" {
		err = op.ValidateBucket(bucket)
		keys = []string{countOf(bucket), bytesOf(bucket), quotaKey, bucketKey(bucket)}
	}
	if err == nil {
		u, err = o.usage(ctx, app, keys)
	}
	return u, coded("read usage", err)
}

func (o *Objects) usage(ctx context.Context, app string, keys []string) (u Usage, err error) {
	items, err := o.store.GetMany(ctx, op.ObjectsOf(app), keys, op.Read{Consistency: op.Strong})
	if err != nil {
		return u, err
	}
	if len(items) > 3 && items[3].Revision == 0 {
		return u, op.ErrNoBucket
	}
	for i, to := range []*int64{&u.Objects, &u.Bytes} {
		if items[i].Revision != 0 && err == nil {
			*to, err = strconv.ParseInt(string(items[i].Value), 10, 64)
		}
	}
	if items[2].Revision != 0 && err == nil {
		err = decode(items[2].Value, &u.Quota)
	}
	return u, err
}

// SetQuota limits an app's objects from now on. What is there already stays, also above the quota.
func (o *Objects) SetQuota(ctx context.Context, app string, q Quota) error {
	err := op.ValidateApp(app)
	if err == nil {
		err = q.Validate()
	}
	if err == nil {
		_, err = o.store.Commit(ctx, op.Txn{Namespace: op.ObjectsOf(app), Ops: []op.Op{{Kind: op.Set, Key: quotaKey, Value: encode(q)}}})
	}
	return coded("set quota", err)
}
