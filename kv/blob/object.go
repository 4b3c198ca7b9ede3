package blob

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// Head answers what is known of an object, or op.ErrNoObject, or op.ErrNoBucket.
func (o *Objects) Head(ctx context.Context, n Name) (Info, error) {
	m, err := o.manifest(ctx, n)
	if err != nil {
		return Info{}, coded("get object", err)
	}
	return m.info(n.Bucket, n.Key), nil
}

func (o *Objects) manifest(ctx context.Context, n Name) (*manifest, error) {
	if err := n.Validate(); err != nil {
		return nil, err
	}
	now, err := o.look(ctx, n.App, n.Bucket, n.Key)
	if err != nil {
		return nil, err
	}
	if now.objects[0] == nil {
		return nil, fmt.Errorf("%.80q: %w", n.Key, op.ErrNoObject)
	}
	return now.objects[0], nil
}

// Copy keeps another object, or the same with another About. No bytes are copied.
func (o *Objects) Copy(ctx context.Context, c Copy) (info Info, err error) {
	err = errors.Join(c.Name.Validate(), c.From.Validate())
	if err == nil && c.Name.App != c.From.App {
		err = fmt.Errorf("the source is another app's: %w", op.ErrInvalid)
	}
	if err == nil && c.About != nil {
		err = c.About.Validate()
	}
	if err == nil {
		err = o.change(ctx, func() (t op.Txn, err error) {
			t, info, err = o.copy(ctx, c)
			return t, err
		})
	}
	return info, coded("copy object", err)
}

// copy has the source be as it was when the copy is made, so that what it is made of is not collected.
func (o *Objects) copy(ctx context.Context, c Copy) (op.Txn, Info, error) {
	from, err := o.look(ctx, c.From.App, c.From.Bucket, c.From.Key)
	if err != nil {
		return op.Txn{}, Info{}, err
	}
	source := from.objects[0]
	if source == nil {
		return op.Txn{}, Info{}, fmt.Errorf("%.80q: %w", c.From.Key, op.ErrNoObject)
	}
	if c.FromTag != "" && c.FromTag != source.ETag {
		return op.Txn{}, Info{}, fmt.Errorf("the source's ETag is %s: %w", source.ETag, op.ErrPrecondition)
	}
	p := pending{objects: o, put: Put{Name: c.Name, If: c.If}, begun: time.Now(), manifest: *source, event: CreatedCopy}
	p.manifest.ID = newID(p.begun)
	if c.About != nil {
		p.manifest.About = *c.About
	}
	key := objectKey(c.From.Bucket, c.From.Key)
	p.extra = func(present) (tally, []op.Check, []op.Op, error) {
		return tally{}, []op.Check{{Kind: op.HasRevision, Key: key, Revision: from.revisions[1]}}, nil, nil
	}
	return p.txn(ctx)
}

// Delete takes an object away, and says whether there was one.
func (o *Objects) Delete(ctx context.Context, n Name, c Condition) (found bool, err error) {
	if err = n.Validate(); err == nil {
		found, err = o.delete(ctx, n.App, n.Bucket, map[string]Condition{n.Key: c})
	}
	return found, coded("delete object", err)
}

// deleted is how many objects a transaction deletes, each of which is two ops.
const deleted = 40

// DeleteMany takes up to op.MaxObjectDeletes objects away, not all at one moment: after an error some are gone. Keys of
// none are no error.
func (o *Objects) DeleteMany(ctx context.Context, app, bucket string, keys ...string) error {
	err := validate(app, bucket)
	if err == nil && len(keys) > op.MaxObjectDeletes {
		err = fmt.Errorf("%d keys, at most %d are deleted at once: %w", len(keys), op.MaxObjectDeletes, op.ErrTooLarge)
	}
	for _, k := range keys {
		if err == nil {
			err = op.ValidateObjectKey(k)
		}
	}
	for part := range slices.Chunk(keys, deleted) {
		if err == nil {
			err = o.deletePart(ctx, app, bucket, part)
		}
	}
	return coded("delete objects", err)
}

// deletePart deletes fewer at once when their manifests are too large to be read together.
func (o *Objects) deletePart(ctx context.Context, app, bucket string, keys []string) error {
	all := make(map[string]Condition)
	for _, k := range keys {
		all[k] = Condition{}
	}
	_, err := o.delete(ctx, app, bucket, all)
	if half := len(keys) / 2; half > 0 && errors.Is(err, op.ErrGets) {
		if err = o.deletePart(ctx, app, bucket, keys[:half]); err == nil {
			err = o.deletePart(ctx, app, bucket, keys[half:])
		}
	}
	return err
}

func (o *Objects) delete(ctx context.Context, app, bucket string, all map[string]Condition) (found bool, err error) {
	keys := slices.Sorted(maps.Keys(all))
	err = o.change(ctx, func() (op.Txn, error) {
		found = false
		now, err := o.look(ctx, app, bucket, keys...)
		if err != nil {
			return op.Txn{}, err
		}
		t := op.Txn{Namespace: op.ObjectsOf(app), Checks: now.checks(keys...)}
		var less tally
		for i, m := range now.objects {
			if err := holds(all[keys[i]], m); err != nil {
				return op.Txn{}, err
			}
			if m == nil {
				continue
			}
			found = true
			less.objects--
			less.bytes -= m.Size
			t.Ops = append(t.Ops, op.Op{Kind: op.Delete, Key: objectKey(bucket, keys[i])})
			if now.bucket.Events {
				t.Ops = append(t.Ops, o.eventOf(RemovedDelete, m.info(bucket, keys[i])))
			}
		}
		t.Ops = append(t.Ops, less.ops(bucket, now.quota)...)
		return t, nil
	})
	return found, err
}
