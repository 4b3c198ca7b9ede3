package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Objects are the buckets and objects of a node's apps. An error wraps the error of kv/op that says the same, where there
// is one.
type Objects struct{ client *Client }

// Objects answers the buckets and objects of the node's apps.
func (c *Client) Objects() Objects { return Objects{c} }

func bucketPath(app, bucket string, more ...string) string {
	return path(append([]string{"apps", app, "buckets", bucket}, more...)...)
}

// PutBucket makes a bucket, or gives one that is there other settings.
func (o Objects) PutBucket(ctx context.Context, app, bucket string, r BucketRequest) (BucketInfo, error) {
	var out BucketInfo
	err := o.client.do(ctx, request{method: http.MethodPut, path: bucketPath(app, bucket), in: r, out: &out})
	return out, err
}

// Bucket answers a bucket and what it holds.
func (o Objects) Bucket(ctx context.Context, app, bucket string) (BucketInfo, error) {
	var out BucketInfo
	err := o.client.do(ctx, request{method: http.MethodGet, path: bucketPath(app, bucket), out: &out})
	return out, err
}

// Buckets answers an app's, by name.
func (o Objects) Buckets(ctx context.Context, app string) ([]op.Bucket, error) {
	var out BucketList
	err := o.client.do(ctx, request{method: http.MethodGet, path: path("apps", app, "buckets"), out: &out})
	return out.Buckets, err
}

// DeleteBucket deletes a bucket without objects. One that has some is op.ErrNotEmpty.
func (o Objects) DeleteBucket(ctx context.Context, app, bucket string) error {
	return o.client.do(ctx, request{method: http.MethodDelete, path: bucketPath(app, bucket)})
}

// Usage answers what an app's objects take, and may take.
func (o Objects) Usage(ctx context.Context, app string) (op.ObjectUsage, error) {
	var out op.ObjectUsage
	err := o.client.do(ctx, request{method: http.MethodGet, path: path("apps", app, "objects", "usage"), out: &out})
	return out, err
}

// SetQuota limits an app's objects from now on. Only an admin may.
func (o Objects) SetQuota(ctx context.Context, app string, q op.ObjectQuota) error {
	return o.client.do(ctx, request{method: http.MethodPut, path: path("apps", app, "objects", "quota"), in: q})
}

// matching adds a condition to a request.
func matching(c op.ObjectCondition) Option {
	return func(h http.Header) {
		if c.Absent {
			h.Set("If-None-Match", "*")
		}
		if c.ETag != "" {
			h.Set("If-Match", `"`+c.ETag+`"`)
		}
	}
}

// Put puts an object. The body is read once, from another goroutine, until Put returns; of an unknown size it is sent in
// chunks. It has an MD5 only in the node's answer.
func (o Objects) Put(ctx context.Context, p op.ObjectPut) (op.ObjectInfo, error) {
	call := request{method: http.MethodPut, path: bucketPath(p.Name.App, p.Name.Bucket, "object"), query: url.Values{"key": {p.Name.Key}},
		options: []Option{matching(p.If)}}
	req, err := o.client.newRequest(ctx, call, &progressReader{r: p.Body.Reader})
	if err != nil {
		return op.ObjectInfo{}, err
	}
	about, err := ObjectText(p.About)
	if err != nil {
		return op.ObjectInfo{}, err
	}
	req.Header.Set(ObjectHeader, about)
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Expect", "100-continue") // a refusal comes before the bytes are sent
	if req.ContentLength = p.Body.Size; p.Body.Size == 0 {
		req.Body = http.NoBody
	}
	res, err := o.client.send(req)
	if err != nil {
		return op.ObjectInfo{}, err
	}
	defer res.Body.Close()
	var out op.ObjectInfo
	err = o.client.decode(ctx, res, &out)
	return out, err
}

// Range is a part of an object, in bytes.
type Range struct {
	First int64
	Last  int64 // included; -1: to the end
}

// Get answers an object, or a part of it when r is not nil, which the caller closes. Its bytes may break off; then the
// reader's error is not io.EOF.
func (o Objects) Get(ctx context.Context, n op.ObjectName, r *Range) (op.ObjectInfo, io.ReadCloser, error) {
	call := request{method: http.MethodGet, path: bucketPath(n.App, n.Bucket, "object"), query: url.Values{"key": {n.Key}}}
	call.options = []Option{func(h http.Header) {
		h.Set("Accept", "application/octet-stream, application/problem+json")
		if r != nil && r.Last < 0 {
			h.Set("Range", fmt.Sprintf("bytes=%d-", r.First))
		} else if r != nil {
			h.Set("Range", fmt.Sprintf("bytes=%d-%d", r.First, r.Last))
		}
	}}
	return o.open(ctx, call)
}

// Head answers what is known of an object beside its bytes.
func (o Objects) Head(ctx context.Context, n op.ObjectName) (op.ObjectInfo, error) {
	call := request{method: http.MethodGet, path: bucketPath(n.App, n.Bucket, "object"), query: url.Values{"key": {n.Key}, "about": {"true"}}}
	info, body, err := o.open(ctx, call)
	if err == nil {
		body.Close()
	}
	return info, err
}

func (o Objects) open(ctx context.Context, call request) (info op.ObjectInfo, body io.ReadCloser, err error) {
	req, err := o.client.newRequest(ctx, call, nil)
	if err != nil {
		return info, nil, err
	}
	res, err := o.client.send(req)
	if err != nil {
		return info, nil, err
	}
	if err := json.Unmarshal([]byte(res.Header.Get(ObjectHeader)), &info); err != nil {
		res.Body.Close()
		return info, nil, o.client.unknown(err)
	}
	return info, res.Body, nil
}

// List answers a page of objects and common prefixes.
func (o Objects) List(ctx context.Context, app, bucket string, q op.ObjectQuery) (op.ObjectPage, error) {
	if q.Limit < 0 {
		return op.ObjectPage{}, abi.WithCode(abi.InvalidInput, errors.New("limit is negative"))
	}
	query := url.Values{}
	for name, v := range map[string]string{"prefix": q.Prefix, "delimiter": q.Delimiter, "after": q.After, "cursor": q.Token} {
		if v != "" {
			query.Set(name, v)
		}
	}
	if q.Limit != 0 {
		query.Set("limit", strconv.Itoa(min(q.Limit, op.MaxObjectPage)))
	}
	var out op.ObjectPage
	err := o.client.do(ctx, request{method: http.MethodGet, path: bucketPath(app, bucket, "objects"), query: query, out: &out})
	return out, err
}

// Copy has an object be as another one of the same app is. No bytes are copied.
func (o Objects) Copy(ctx context.Context, to, from op.ObjectName) (op.ObjectInfo, error) {
	var out op.ObjectInfo
	ask := CopyRequest{Key: to.Key, FromBucket: from.Bucket, FromKey: from.Key}
	err := o.client.do(ctx, request{method: http.MethodPost, path: bucketPath(to.App, to.Bucket, "copy"), in: ask, out: &out})
	return out, err
}

// Delete deletes an object, and says whether there was one.
func (o Objects) Delete(ctx context.Context, n op.ObjectName, c op.ObjectCondition) (found bool, err error) {
	var out DeletedResponse
	call := request{method: http.MethodDelete, path: bucketPath(n.App, n.Bucket, "object"), query: url.Values{"key": {n.Key}}, out: &out,
		options: []Option{matching(c)}}
	err = o.client.do(ctx, call)
	return out.Found, err
}

// DeleteMany deletes up to op.MaxObjectDeletes objects. After an error some are gone.
func (o Objects) DeleteMany(ctx context.Context, app, bucket string, keys ...string) error {
	return o.client.do(ctx, request{method: http.MethodPost, path: bucketPath(app, bucket, "delete"), in: DeleteRequest{Keys: keys}})
}
