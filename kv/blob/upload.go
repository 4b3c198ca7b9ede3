package blob

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// Upload names an object that is put in parts.
type Upload struct {
	Name
	ID string
}

// Part is a part of an upload.
type Part struct {
	Number   int // 1 to MaxParts
	Size     int64
	ETag     string // MD5, without quotes
	Modified time.Time
}

// Create begins an upload. It is aborted when it is not complete after UploadLife.
func (o *Objects) Create(ctx context.Context, n Name, a About) (Upload, error) {
	u := Upload{Name: n, ID: newID(time.Now())}
	err := n.Validate()
	if err == nil {
		err = a.Validate()
	}
	if err == nil {
		err = o.change(ctx, func() (op.Txn, error) {
			now, err := o.look(ctx, n.App, n.Bucket)
			record := encode(started{Started: time.Now().UnixNano(), About: a})
			return op.Txn{Namespace: op.ObjectsOf(n.App), Checks: now.checks(),
				Ops: []op.Op{{Kind: op.Set, Key: uploadKey(u), Value: record}}}, err
		})
	}
	return u, coded("create upload", err)
}

func (u Upload) validate() error {
	if err := u.Name.Validate(); err != nil {
		return err
	}
	if !isID(u.ID) {
		return fmt.Errorf("%.80q: %w", u.ID, ErrNoUpload)
	}
	return nil
}

// PutPart keeps a part, replacing what had its number. Parts may come in any order and at the same time.
func (o *Objects) PutPart(ctx context.Context, u Upload, number int, b Body) (Part, error) {
	err := u.validate()
	if err == nil && (number < 1 || number > MaxParts) {
		err = fmt.Errorf("part %d, 1 to %d are allowed: %w", number, MaxParts, op.ErrInvalid)
	}
	if err == nil {
		err = o.earlyPart(ctx, u, number, b)
	}
	begun := time.Now()
	var w written
	if err == nil {
		w, err = o.write(ctx, b)
	}
	if err != nil {
		return Part{}, coded("put part", err)
	}
	s := segment{Span: w.span, MD5: w.md5, Put: time.Now().UnixNano()}
	err = o.change(ctx, func() (op.Txn, error) {
		if time.Since(begun) > MaxPutTime {
			return op.Txn{}, ErrTooSlow
		}
		return o.putPart(ctx, u, number, s)
	})
	return s.part(number), coded("put part", err)
}

// earlyPart refuses what could not be committed as things are, before the body is read.
func (o *Objects) earlyPart(ctx context.Context, u Upload, number int, b Body) error {
	now, err := o.upload(ctx, u, segmentKey(u.ID, number), bytesKey)
	if err != nil {
		return err
	}
	grows, err := growth(max(0, b.Size), now.others[0])
	if err != nil {
		return err
	}
	return tally{uploads: grows}.fits(u.Bucket, now.quota, now.others)
}

// growth is by how much a part of a size makes an upload larger that has an old one, or none.
func growth(size int64, old op.Item) (int64, error) {
	if old.Revision == 0 {
		return size, nil
	}
	s, err := decodeSegment(old.Value)
	return size - s.Span.Size, err
}

func (s segment) part(number int) Part {
	return Part{Number: number, Size: s.Span.Size, ETag: hex.EncodeToString(s.MD5), Modified: time.Unix(0, s.Put).UTC()}
}

func (o *Objects) putPart(ctx context.Context, u Upload, number int, s segment) (t op.Txn, err error) {
	key := segmentKey(u.ID, number)
	now, err := o.upload(ctx, u, key)
	if err != nil {
		return t, err
	}
	old := now.others[0]
	grows, err := growth(s.Span.Size, old)
	if err != nil {
		return t, err
	}
	t = op.Txn{Namespace: op.ObjectsOf(u.App), Checks: []op.Check{{Kind: op.IsPresent, Key: uploadKey(u)}, {Key: key, Revision: old.Revision}}}
	t.Ops = append(tally{uploads: grows}.ops(u.Bucket, now.quota), op.Op{Kind: op.Set, Key: key, Value: encode(s)},
		op.Op{Kind: op.Incr, Key: partialPrefix + u.ID, Delta: grows})
	return t, nil
}

// upload is what the store has of an upload.
type upload struct {
	started
	revision uint64
	quota    Quota
	held     op.Item // bytes of its parts
	bytes    int64   // the same
	others   []op.Item
}

// upload answers an upload, or ErrNoUpload, and other keys at the same moment.
func (o *Objects) upload(ctx context.Context, u Upload, others ...string) (found upload, err error) {
	keys := append([]string{uploadKey(u), partialPrefix + u.ID, quotaKey}, others...)
	items, err := o.store.GetMany(ctx, op.ObjectsOf(u.App), keys, op.Read{Consistency: op.Strong})
	if err != nil {
		return found, err
	}
	if items[0].Revision == 0 {
		return found, fmt.Errorf("%s: %w", u.ID, ErrNoUpload)
	}
	err = decode(items[0].Value, &found.started)
	if items[2].Revision != 0 && err == nil {
		err = decode(items[2].Value, &found.quota)
	}
	if items[1].Revision != 0 && err == nil {
		found.bytes, err = strconv.ParseInt(string(items[1].Value), 10, 64)
	}
	found.revision, found.held, found.others = items[0].Revision, items[1], items[3:]
	return found, err
}

// ended are the ops that take an upload away, and its checks. Its segments stay for the collector.
func (f upload) ended(u Upload) ([]op.Check, []op.Op) {
	held := partialPrefix + u.ID
	return []op.Check{{Key: uploadKey(u), Revision: f.revision}, {Key: held, Revision: f.held.Revision}},
		[]op.Op{{Kind: op.Delete, Key: uploadKey(u)}, {Kind: op.Delete, Key: held}}
}

// Abort ends an upload. Its parts go.
func (o *Objects) Abort(ctx context.Context, u Upload) error {
	err := u.validate()
	if err == nil {
		err = o.change(ctx, func() (op.Txn, error) {
			now, err := o.upload(ctx, u)
			if err != nil {
				return op.Txn{}, err
			}
			checks, ops := now.ended(u)
			return op.Txn{Namespace: op.ObjectsOf(u.App), Checks: checks,
				Ops: append(ops, tally{uploads: -now.bytes}.ops(u.Bucket, now.quota)...)}, nil
		})
	}
	return coded("abort upload", err)
}

// Complete makes an object of parts, which are named by number and ETag in ascending order; each but the last has
// MinPartBytes at least. Other parts go. Of an upload that is complete already it answers the object, while that is
// there: whoever lost the answer may ask again.
func (o *Objects) Complete(ctx context.Context, u Upload, parts []Part, c Condition) (Info, error) {
	err := u.validate()
	var before upload
	if err == nil {
		before, err = o.upload(ctx, u)
	}
	var m manifest
	if errors.Is(err, ErrNoUpload) {
		if there, lookErr := o.manifest(ctx, u.Name); lookErr == nil && there.Source == u.ID && u.ID != "" {
			return there.info(u.Bucket, u.Key), nil
		}
	}
	if err == nil {
		m, err = o.join(ctx, u, parts)
	}
	if err != nil {
		return Info{}, coded("complete upload", err)
	}
	m.About = before.About
	p := pending{objects: o, put: Put{Name: u.Name, If: c}, begun: time.Now(), manifest: m, event: CreatedComplete}
	p.extra = func(present) (tally, []op.Check, []op.Op, error) {
		now, err := o.upload(ctx, u)
		if err == nil && now.held.Revision != before.held.Revision {
			err = fmt.Errorf("a part came while the upload was completed: %w", ErrPart)
		}
		checks, ops := now.ended(u)
		return tally{uploads: -now.bytes}, checks, ops, err
	}
	info, err := p.commit(ctx)
	return info, coded("complete upload", err)
}

// join looks at the parts of an upload and answers the manifest of the object they make.
func (o *Objects) join(ctx context.Context, u Upload, parts []Part) (m manifest, err error) {
	if len(parts) == 0 || len(parts) > MaxParts {
		return m, fmt.Errorf("%d parts, 1 to %d are allowed: %w", len(parts), MaxParts, op.ErrInvalid)
	}
	m = manifest{ID: newID(time.Now()), Source: u.ID}
	sum := md5.New()
	next := 0
	for p, err := range o.parts(ctx, u, 0) {
		if err != nil {
			return m, err
		}
		if next == len(parts) || p.Number != parts[next].Number {
			continue
		}
		last := next == len(parts)-1
		switch {
		case p.ETag != strings.ToLower(parts[next].ETag):
			return m, fmt.Errorf("part %d has the ETag %s: %w", p.Number, p.ETag, ErrPart)
		case p.Size < MinPartBytes && !last:
			return m, fmt.Errorf("part %d has %d bytes, all but the last have %d at least: %w", p.Number, p.Size, MinPartBytes, ErrTooSmall)
		}
		digest, _ := hex.DecodeString(p.ETag) // a segment's MD5
		sum.Write(digest)
		m.Segments = append(m.Segments, reference{Number: p.Number, Size: p.Size})
		m.Size += p.Size
		next++
	}
	if next < len(parts) {
		return m, fmt.Errorf("part %d is not there, or not in ascending order: %w", parts[next].Number, ErrPart)
	}
	if m.Size > op.MaxObjectBytes {
		return m, fmt.Errorf("object has %d bytes, at most %d are allowed: %w", m.Size, int64(op.MaxObjectBytes), op.ErrTooLarge)
	}
	m.ETag = fmt.Sprintf("%x-%d", sum.Sum(nil), len(parts))
	return m, nil
}

// Parts answers up to limit parts with numbers above after, in ascending order; 0 and more than op.MaxObjectPage mean
// op.MaxObjectPage.
func (o *Objects) Parts(ctx context.Context, u Upload, after, limit int) (parts []Part, more bool, err error) {
	if limit <= 0 || limit > op.MaxObjectPage {
		limit = op.MaxObjectPage
	}
	if err = u.validate(); err == nil {
		_, err = o.upload(ctx, u)
	}
	if err != nil {
		return nil, false, coded("list parts", err)
	}
	for p, err := range o.parts(ctx, u, after) {
		if err != nil {
			return nil, false, coded("list parts", err)
		}
		if len(parts) == limit {
			return parts, true, nil
		}
		parts = append(parts, p)
	}
	return parts, false, nil
}

// parts yields an upload's, in the order of their numbers.
func (o *Objects) parts(ctx context.Context, u Upload, after int) func(func(Part, error) bool) {
	prefix := segmentPrefix + u.ID + "/"
	q := op.Query{Prefix: prefix, From: segmentKey(u.ID, after+1), Read: op.Read{Consistency: op.Strong}}
	return func(yield func(Part, error) bool) {
		for i, err := range op.All(ctx, o.store, op.ObjectsOf(u.App), q) {
			var p Part
			if err == nil {
				p, err = partOf(strings.TrimPrefix(i.Key, prefix), i.Value)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

func partOf(number string, record []byte) (Part, error) {
	s, err := decodeSegment(record)
	n, numberErr := strconv.Atoi(number)
	if err = errors.Join(err, numberErr); err == nil && len(s.MD5) != md5.Size {
		err = errDamaged
	}
	return s.part(n), err
}

// Uploads answers those of a bucket that are under way, of keys that start with prefix, in the order of key and id; and
// more of them after the one given.
func (o *Objects) Uploads(ctx context.Context, app, bucket, prefix string, after Upload) (all []Upload, more bool, err error) {
	if err = validate(app, bucket); err == nil {
		_, err = o.look(ctx, app, bucket)
	}
	if err == nil {
		err = Query{Prefix: prefix, After: after.Key}.Validate()
	}
	if err != nil {
		return nil, false, coded("list uploads", err)
	}
	base := uploadPrefix + bucket + "/"
	q := op.Query{Prefix: base + prefix, Limit: op.MaxObjectPage, KeysOnly: true, Read: op.Read{Consistency: op.Strong}}
	if after.Key != "" {
		after.Bucket = bucket
		q.From = uploadKey(after) + "\x00"
		if after.ID == "" {
			q.From = uploadKey(after) + "\xff" // behind all of the key
		}
	}
	page, err := o.store.List(ctx, op.ObjectsOf(app), q)
	if err != nil {
		return nil, false, coded("list uploads", err)
	}
	for _, i := range page.Items {
		key, id, _ := strings.Cut(strings.TrimPrefix(i.Key, base), "\x00")
		all = append(all, Upload{Name: Name{App: app, Bucket: bucket, Key: key}, ID: id})
	}
	return all, page.Cursor != "", nil
}

// Started is when an upload was.
func (u Upload) Started() time.Time { return timeOf(u.ID).UTC() }
