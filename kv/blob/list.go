package blob

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/sett-run/sett/kv/op"
)

// Query asks for a bucket's objects in ascending order of their keys' bytes.
type Query struct {
	Prefix    string
	Delimiter string // keys that have it after the prefix are one common prefix, which ends with it
	After     string // only keys above this one, which need not be there; of the first page
	Token     string // of the page before
	Limit     int    // objects and prefixes; 0 and more than MaxPage mean MaxPage
}

// Page is a part of what was asked for. Objects and prefixes are each in order.
type Page struct {
	Objects  []Info
	Prefixes []string
	Token    string // for the next page; empty: there is none
	Last     string // key or prefix that comes last in the page
}

// List answers objects and common prefixes, as they were at the moment of the first page if the next ones follow within
// some minutes (store.KeepVersions), and else as they are when they come. Common prefixes are not read through.
func (o *Objects) List(ctx context.Context, app, bucket string, q Query) (page Page, err error) {
	if err = validate(app, bucket); err == nil {
		err = q.validate()
	}
	if err == nil && q.Token == "" {
		_, err = o.look(ctx, app, bucket)
	}
	if err == nil {
		page, err = o.list(ctx, app, bucket, q)
	}
	return page, coded("list objects", err)
}

func (q Query) validate() error {
	for _, text := range []string{q.Prefix, q.Delimiter, q.After} {
		if len(text) > MaxKeyBytes {
			return fmt.Errorf("prefix, delimiter or key %.40q... has %d bytes, at most %d are allowed: %w", text, len(text), MaxKeyBytes, ErrTooLarge)
		}
		if err := validateText(text); err != nil {
			return err
		}
	}
	if q.Limit < 0 {
		return fmt.Errorf("limit %d is negative: %w", q.Limit, ErrInvalid)
	}
	return nil
}

// listing is a List under way.
type listing struct {
	query Query
	page  Page
	token token // where it goes on
}

func (o *Objects) list(ctx context.Context, app, bucket string, q Query) (Page, error) {
	l := listing{query: q}
	if l.query.Limit == 0 || l.query.Limit > MaxPage {
		l.query.Limit = MaxPage
	}
	if q.After != "" {
		l.token.from = q.After + "\x00"
		if p := q.common(q.After); p != "" && p == q.After {
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
		if err := l.take(page, bucket); err != nil || page.Cursor == "" {
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

// take takes what the store answered.
func (l *listing) take(page op.Page, bucket string) error {
	skipping := ""
	for _, i := range page.Items {
		key := strings.TrimPrefix(i.Key, objectKey(bucket, ""))
		if skipping != "" && strings.HasPrefix(key, skipping) {
			continue
		}
		if skipping = l.query.common(key); skipping != "" {
			l.page.Prefixes = append(l.page.Prefixes, skipping)
			l.page.Last, l.token.from = skipping, past(skipping)
			continue
		}
		m, err := decodeManifest(i.Value)
		if err != nil {
			return err
		}
		l.page.Objects = append(l.page.Objects, m.info(bucket, key))
		l.page.Last, l.token.from = key, key+"\x00"
	}
	l.token.cursor = page.Cursor
	return nil
}

// common answers the common prefix that a key belongs to, or nothing.
func (q Query) common(key string) string {
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
	if len(text) > MaxTokenBytes {
		return token{}, ErrOldToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 2 {
		return token{}, ErrOldToken
	}
	n := int(b[0])<<8 | int(b[1])
	if n > len(b)-2 || n == 0 || n > MaxKeyBytes+2 {
		return token{}, ErrOldToken
	}
	return token{from: string(b[2 : 2+n]), cursor: string(b[2+n:])}, nil
}
