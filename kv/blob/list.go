package blob

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/sett-run/sett/kv/op"
)

// List answers objects and common prefixes, as they were at the moment of the first page if the next ones follow within
// some minutes (store.KeepVersions), and else as they are when they come. Common prefixes are not read through.
func (o *Objects) List(ctx context.Context, app, bucket string, q Query) (page Page, err error) {
	if err = validate(app, bucket); err == nil {
		err = q.Validate()
	}
	if err == nil && q.Token == "" {
		_, err = o.look(ctx, app, bucket)
	}
	if err == nil {
		page, err = o.list(ctx, app, bucket, q)
	}
	return page, coded("list objects", err)
}

// listing is a List under way.
type listing struct {
	query Query
	page  Page
	token token // where it goes on
}

func (o *Objects) list(ctx context.Context, app, bucket string, q Query) (Page, error) {
	l := listing{query: q}
	if l.query.Limit == 0 || l.query.Limit > op.MaxObjectPage {
		l.query.Limit = op.MaxObjectPage
	}
	if q.After != "" {
		l.token.from = q.After + "\x00"
		if p := common(q, q.After); p != "" && p == q.After {
			l.token.from = past(p)
		}
	}
	if q.Token != "" {
		var err error
		if l.token, err = parseToken(q.Token); err != nil {
			return Page{}, err
		}
	}
	for {
		room := l.query.Limit - len(l.page.Objects) - len(l.page.Prefixes)
		page, err := o.read(ctx, app, bucket, &l, max(1, room))
		if err != nil {
			return Page{}, err
		}
		if room == 0 {
			if len(page.Items) > 0 {
				l.page.Token = l.token.String()
			}
			return l.page, nil
		}
		more, err := l.take(page, bucket)
		if more {
			l.page.Token = l.token.String()
		}
		if err != nil || more || page.Cursor == "" {
			return l.page, err
		}
	}
}

// read answers a page of the store with as many keys at most, from where the listing is on.
func (o *Objects) read(ctx context.Context, app, bucket string, l *listing, keys int) (op.Page, error) {
	base := objectKey(bucket, "")
	q := op.Query{Prefix: base + l.query.Prefix, Cursor: l.token.cursor, Limit: keys, Read: op.Read{Consistency: op.Strong}}
	if l.token.from != "" {
		q.From = base + l.token.from
	}
	page, err := o.store.List(ctx, op.ObjectsOf(app), q)
	if errors.Is(err, op.ErrCompacted) {
		q.Cursor = ""
		page, err = o.store.List(ctx, op.ObjectsOf(app), q)
	}
	if q.Cursor != "" && errors.Is(err, op.ErrInvalid) {
		err = errors.Join(ErrOldToken, err)
	}
	return page, err
}

// take takes what the store answered, up to the limit, and says whether that left some: an op.Overlay answers more keys
// than are asked for. The listing goes on among them then.
func (l *listing) take(page op.Page, bucket string) (more bool, err error) {
	skipping := ""
	for _, i := range page.Items {
		key := strings.TrimPrefix(i.Key, objectKey(bucket, ""))
		if skipping != "" && strings.HasPrefix(key, skipping) {
			continue
		}
		if len(l.page.Objects)+len(l.page.Prefixes) == l.query.Limit {
			return true, nil
		}
		if skipping = common(l.query, key); skipping != "" {
			l.page.Prefixes = append(l.page.Prefixes, skipping)
			l.page.Last, l.token.from = skipping, past(skipping)
			continue
		}
		m, err := decodeManifest(i.Value)
		if err != nil {
			return false, err
		}
		l.page.Objects = append(l.page.Objects, m.info(bucket, key))
		l.page.Last, l.token.from = key, key+"\x00"
	}
	l.token.cursor = page.Cursor
	return false, nil
}

// common answers the common prefix that a key belongs to, or nothing.
func common(q Query, key string) string {
	rest, ok := strings.CutPrefix(key, q.Prefix)
	if !ok || q.Delimiter == "" {
		return ""
	}
	before, _, found := strings.Cut(rest, q.Delimiter)
	if !found {
		return ""
	}
	return q.Prefix + before + q.Delimiter
}

// past is above all keys that start with a prefix, which is UTF-8, and not above any other key that is above it.
func past(prefix string) string { return prefix + "\xff" }

// token says where a listing goes on.
type token struct {
	from   string // keys from here on
	cursor string // of the store, at or before from; empty: at no moment in particular
}

// String is base64url of from, after its length as two bytes, and the cursor.
func (t token) String() string {
	b := append([]byte{byte(len(t.from) >> 8), byte(len(t.from))}, t.from...)
	return base64.RawURLEncoding.EncodeToString(append(b, t.cursor...))
}

func parseToken(text string) (token, error) {
	if len(text) > op.MaxObjectTokenBytes {
		return token{}, ErrOldToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 2 {
		return token{}, ErrOldToken
	}
	n := int(b[0])<<8 | int(b[1])
	if n > len(b)-2 || n == 0 || n > op.MaxObjectKeyBytes+2 {
		return token{}, ErrOldToken
	}
	return token{from: string(b[2 : 2+n]), cursor: string(b[2+n:])}, nil
}
