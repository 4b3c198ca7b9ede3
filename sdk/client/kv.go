package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// KV is the keys and values of a node's apps. Its methods are those of the store, in the words of package kv/op, where
// an app's name is the namespace, and shorter ways for the change of a single key. An error wraps the error of kv/op
// that says the same, where there is one.
//
// A read with consistency session sees what was seen before when Read.Seen is the highest revision among results,
// items and pages so far.
type KV struct{ client *Client }

// KV answers the keys and values of the node's apps.
func (c *Client) KV() KV { return KV{c} }

// IfRevision makes a change happen only while the key has this revision; else it answers op.ErrConflict.
func IfRevision(revision uint64) Option { return IfMatch(etagOf(revision)) }

// IfAbsent makes a change happen only while the key is absent; else it answers op.ErrConflict.
func IfAbsent() Option {
	return func(h http.Header) { h.Set("If-None-Match", "*") }
}

func etagOf(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

// reading adds what a read may see to a request.
func reading(r op.Read, query url.Values) Option {
	if r.Consistency != op.Session {
		query.Set("consistency", consistencyWord(r.Consistency))
	}
	return func(h http.Header) {
		if r.Seen != 0 {
			h.Set(RevisionHeader, strconv.FormatUint(r.Seen, 10))
		}
	}
}

// Get answers a key's value, or op.ErrNotFound.
func (k KV) Get(ctx context.Context, app, key string, r op.Read) (op.Item, error) {
	query := url.Values{"key": {key}}
	call := request{method: http.MethodGet, path: path("apps", app, "kv", "value"), query: query}
	call.options = []Option{reading(r, query)}
	req, err := k.client.newRequest(ctx, call, nil)
	if err != nil {
		return op.Item{}, err
	}
	req.Header.Set("Accept", "application/octet-stream, application/problem+json")
	res, err := k.client.send(req)
	if err != nil {
		return op.Item{}, err
	}
	defer res.Body.Close()
	return k.readItem(ctx, res, key)
}

func (k KV) readItem(ctx context.Context, res *http.Response, key string) (op.Item, error) {
	value, err := io.ReadAll(io.LimitReader(res.Body, op.MaxValueBytes+1))
	switch {
	case err != nil && ctx.Err() != nil:
		return op.Item{}, ctx.Err()
	case err != nil:
		return op.Item{}, newError(abi.Unavailable, 0, fmt.Errorf("node %s: value cut off: %w", k.client.Node(), err))
	case len(value) > op.MaxValueBytes:
		return op.Item{}, newError(abi.TooLarge, 0, fmt.Errorf("node %s: value is over %d bytes", k.client.Node(), op.MaxValueBytes))
	}
	item := op.Item{Key: key, Value: value}
	item.Revision, err = strconv.ParseUint(res.Header.Get(RevisionHeader), 10, 64)
	if expires := res.Header.Get(ExpiresHeader); expires != "" && err == nil {
		item.Expires, err = time.Parse(time.RFC3339Nano, expires)
	}
	if err != nil {
		return op.Item{}, k.client.unknown(err)
	}
	return item, nil
}

// GetMany answers several keys as they are at one moment, in the order asked. An absent one has revision 0. Values of
// more than op.MaxPageBytes together are op.ErrTooLarge: ask for fewer at once.
func (k KV) GetMany(ctx context.Context, app string, keys []string, r op.Read) ([]op.Item, error) {
	query, ask, out := url.Values{}, KVGetRequest{Keys: make([]KVKey, 0, len(keys))}, KVGetResponse{}
	for _, key := range keys {
		ask.Keys = append(ask.Keys, KVKeyOf(key))
	}
	call := request{method: http.MethodPost, path: path("apps", app, "kv", "values"), query: query, in: ask, out: &out}
	call.options = []Option{reading(r, query)}
	if err := k.client.do(ctx, call); err != nil {
		return nil, err
	}
	if len(out.Items) != len(keys) {
		return nil, k.client.unknown(fmt.Errorf("%d items for %d keys", len(out.Items), len(keys)))
	}
	items := make([]op.Item, len(keys))
	for i, shown := range out.Items {
		listed, err := shown.Listed()
		if err != nil {
			return nil, k.client.unknown(err)
		}
		items[i] = listed.Item
	}
	return items, nil
}

// List answers a page of keys. It makes KV an op.Lister, so that op.All yields all of them.
func (k KV) List(ctx context.Context, app string, q op.Query) (op.Page, error) {
	if q.Limit < 0 {
		return op.Page{}, abi.WithCode(abi.InvalidInput, fmt.Errorf("limit %d: %w", q.Limit, op.ErrInvalid))
	}
	query := url.Values{}
	if q.Prefix != "" {
		query.Set("prefix", q.Prefix)
	}
	if q.Cursor != "" {
		query.Set("cursor", q.Cursor)
	}
	if q.Limit != 0 {
		query.Set("limit", strconv.Itoa(min(q.Limit, op.MaxPageKeys)))
	}
	if !q.KeysOnly {
		query.Set("values", "true")
	}
	var out KVPage
	call := request{method: http.MethodGet, path: path("apps", app, "kv", "keys"), query: query, out: &out}
	call.options = []Option{reading(q.Read, query)}
	if err := k.client.do(ctx, call); err != nil {
		return op.Page{}, err
	}
	page := op.Page{Cursor: out.Cursor, Revision: out.Revision}
	for _, shown := range out.Keys {
		listed, err := shown.Listed()
		if err != nil {
			return op.Page{}, k.client.unknown(err)
		}
		page.Items = append(page.Items, listed)
	}
	return page, nil
}

// Commit does a transaction whole or not at all.
func (k KV) Commit(ctx context.Context, t op.Txn) (op.Result, error) {
	var out KVResult
	err := k.client.do(ctx, request{method: http.MethodPost, path: path("apps", t.Namespace, "kv", "transactions"), in: kvTxnOf(t), out: &out})
	if err != nil {
		return op.Result{}, err
	}
	r, err := out.Result()
	if err == nil && len(r.Ops) != len(t.Ops) {
		err = fmt.Errorf("%d results for %d ops", len(r.Ops), len(t.Ops))
	}
	if err != nil {
		return op.Result{}, k.client.unknown(err)
	}
	return r, nil
}

// Put is a value for a key.
type Put struct {
	Value []byte
	TTL   time.Duration // 0: the key lives until it is deleted
}

// Put sets a key's value.
func (k KV) Put(ctx context.Context, app, key string, p Put, options ...Option) (KVWritten, error) {
	query := url.Values{"key": {key}}
	setTTL(query, p.TTL)
	return k.write(ctx, request{method: http.MethodPut, path: path("apps", app, "kv", "value"), query: query, options: options}, p.Value)
}

// Delete deletes a key; Found says whether there was one.
func (k KV) Delete(ctx context.Context, app, key string, options ...Option) (KVWritten, error) {
	query := url.Values{"key": {key}}
	return k.write(ctx, request{method: http.MethodDelete, path: path("apps", app, "kv", "value"), query: query, options: options}, nil)
}

// Incr is how a number grows.
type Incr struct {
	Delta    int64
	Min, Max *int64        // bounds of the result; nil: none
	TTL      time.Duration // of a key that this makes; 0: it lives until it is deleted
}

// Incr adds to a number, which is 0 where the key is absent, and answers the sum.
func (k KV) Incr(ctx context.Context, app, key string, i Incr) (KVWritten, error) {
	query := url.Values{"key": {key}, "delta": {strconv.FormatInt(i.Delta, 10)}}
	for name, bound := range map[string]*int64{"min": i.Min, "max": i.Max} {
		if bound != nil {
			query.Set(name, strconv.FormatInt(*bound, 10))
		}
	}
	setTTL(query, i.TTL)
	out, err := k.write(ctx, request{method: http.MethodPost, path: path("apps", app, "kv", "incr"), query: query}, nil)
	if err == nil && out.Integer == nil {
		return out, k.client.unknown(errors.New("no sum"))
	}
	return out, err
}

// Touch gives a key another time to live, from now on; 0 makes it stay. An absent key is op.ErrNotFound.
func (k KV) Touch(ctx context.Context, app, key string, ttl time.Duration) (KVWritten, error) {
	query := url.Values{"key": {key}}
	setTTL(query, ttl)
	return k.write(ctx, request{method: http.MethodPost, path: path("apps", app, "kv", "touch"), query: query}, nil)
}

// write makes a call that changes one key; the body goes as it is.
func (k KV) write(ctx context.Context, r request, body []byte) (KVWritten, error) {
	req, err := k.client.newRequest(ctx, r, bytes.NewReader(body))
	if err != nil {
		return KVWritten{}, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := k.client.send(req)
	if err != nil {
		return KVWritten{}, err
	}
	defer res.Body.Close()
	var out KVWritten
	err = k.client.decode(ctx, res, &out)
	return out, err
}

func setTTL(query url.Values, ttl time.Duration) {
	if ttl != 0 {
		query.Set("ttl", ttl.String())
	}
}

// Usage answers what an app keeps, and its quota.
func (k KV) Usage(ctx context.Context, app string) (op.Usage, error) {
	var out KVUsage
	err := k.client.do(ctx, request{method: http.MethodGet, path: path("apps", app, "kv", "usage"), out: &out})
	return op.Usage{Keys: out.Keys, Bytes: out.Bytes, Quota: op.Quota(out.Quota)}, err
}

// SetQuota limits what an app may keep. Only an admin may.
func (k KV) SetQuota(ctx context.Context, app string, q op.Quota) error {
	return k.client.do(ctx, request{method: http.MethodPut, path: path("apps", app, "kv", "quota"), in: KVQuota(q)})
}
