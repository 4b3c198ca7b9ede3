package admin

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// objects keeps those of one bucket in memory, as simply as can be.
type objects struct {
	mu     sync.Mutex // guards the rest
	bucket *op.Bucket
	all    map[string]object
	quota  op.ObjectQuota
}

type object struct {
	info  op.ObjectInfo
	bytes []byte
}

func (o *objects) locked(bucket string) (unlock func(), err error) {
	o.mu.Lock()
	if o.bucket == nil || o.bucket.Name != bucket {
		err = abi.WithCode(abi.NotFound, op.ErrNoBucket)
	}
	return o.mu.Unlock, err
}

func (o *objects) CreateBucket(_ context.Context, _ string, b op.Bucket) error {
	unlock, err := o.locked(b.Name)
	defer unlock()
	if err == nil {
		return op.ErrBucketExists
	}
	b.Created = noon
	o.bucket, o.all = &b, map[string]object{}
	return nil
}

func (o *objects) ChangeBucket(_ context.Context, _ string, b op.Bucket) error {
	unlock, err := o.locked(b.Name)
	defer unlock()
	o.bucket.Events = b.Events
	return err
}

func (o *objects) Bucket(_ context.Context, _, bucket string) (op.Bucket, error) {
	unlock, err := o.locked(bucket)
	defer unlock()
	if err != nil {
		return op.Bucket{}, err
	}
	return *o.bucket, nil
}

func (o *objects) Buckets(context.Context, string) ([]op.Bucket, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bucket == nil {
		return nil, nil
	}
	return []op.Bucket{*o.bucket}, nil
}

func (o *objects) DeleteBucket(_ context.Context, _, bucket string) error {
	unlock, err := o.locked(bucket)
	defer unlock()
	if err == nil && len(o.all) > 0 {
		err = abi.WithCode(abi.Conflict, op.ErrNotEmpty)
	}
	if err == nil {
		o.bucket = nil
	}
	return err
}

func (o *objects) Put(_ context.Context, p op.ObjectPut) (op.ObjectInfo, error) {
	b, err := io.ReadAll(p.Body.Reader)
	if err != nil {
		return op.ObjectInfo{}, err
	}
	unlock, err := o.locked(p.Name.Bucket)
	defer unlock()
	if err != nil {
		return op.ObjectInfo{}, err
	}
	old, found := o.all[p.Name.Key]
	if p.If.Absent && found || p.If.ETag != "" && old.info.ETag != p.If.ETag {
		return op.ObjectInfo{}, abi.WithCode(abi.Conflict, op.ErrPrecondition)
	}
	i := op.ObjectInfo{Bucket: p.Name.Bucket, Key: p.Name.Key, ID: "1", Size: int64(len(b)), ETag: fmt.Sprintf("%x", md5.Sum(b)), Modified: noon, About: p.About}
	o.all[p.Name.Key] = object{i, b}
	return i, nil
}

type closing struct{ *bytes.Reader }

func (closing) Close() error { return nil }

func (o *objects) Open(_ context.Context, n op.ObjectName) (op.ObjectInfo, io.ReadSeekCloser, error) {
	unlock, err := o.locked(n.Bucket)
	defer unlock()
	found, ok := o.all[n.Key]
	if err == nil && !ok {
		err = abi.WithCode(abi.NotFound, op.ErrNoObject)
	}
	return found.info, closing{bytes.NewReader(found.bytes)}, err
}

func (o *objects) List(_ context.Context, _, bucket string, q op.ObjectQuery) (page op.ObjectPage, err error) {
	unlock, err := o.locked(bucket)
	defer unlock()
	for _, k := range slices.Sorted(maps.Keys(o.all)) {
		if strings.HasPrefix(k, q.Prefix) && k > q.After {
			page.Objects = append(page.Objects, o.all[k].info)
		}
	}
	page.Prefixes, page.Token = []string{q.Delimiter}, q.Token
	return page, err
}

func (o *objects) Copy(_ context.Context, c op.ObjectCopy) (op.ObjectInfo, error) {
	unlock, err := o.locked(c.Name.Bucket)
	defer unlock()
	found := o.all[c.From.Key]
	found.info.Key = c.Name.Key
	if err == nil {
		o.all[c.Name.Key] = found
	}
	return found.info, err
}

func (o *objects) Delete(_ context.Context, n op.ObjectName, c op.ObjectCondition) (bool, error) {
	unlock, err := o.locked(n.Bucket)
	defer unlock()
	old, found := o.all[n.Key]
	if err == nil && c.ETag != "" && c.ETag != old.info.ETag {
		err = abi.WithCode(abi.Conflict, op.ErrPrecondition)
	}
	if err == nil {
		delete(o.all, n.Key)
	}
	return found, err
}

func (o *objects) DeleteMany(_ context.Context, _, bucket string, keys ...string) error {
	unlock, err := o.locked(bucket)
	defer unlock()
	for _, k := range keys {
		delete(o.all, k)
	}
	return err
}

func (o *objects) Usage(context.Context, string, string) (op.ObjectUsage, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return op.ObjectUsage{Objects: int64(len(o.all)), Quota: o.quota}, nil
}

func (o *objects) SetQuota(_ context.Context, _ string, q op.ObjectQuota) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.quota = q
	return nil
}

// roundTripObjects holds that what the client sends is what the room gets, and back.
func roundTripObjects(t *testing.T, url string, c *client.Client) {
	o, ctx := c.Objects(), context.Background()
	if b, err := o.PutBucket(ctx, "shop", "pics", client.BucketRequest{}); err != nil || b.Events || !b.Created.Equal(noon) {
		t.Errorf("PutBucket = %+v, %v", b, err)
	}
	if b, err := o.PutBucket(ctx, "shop", "pics", client.BucketRequest{Events: true}); err != nil || !b.Events {
		t.Errorf("PutBucket again = %+v, %v", b, err)
	}
	name := op.ObjectName{App: "shop", Bucket: "pics", Key: "a b/ü+?&\x7f\U0001f9a1"}
	about := op.ObjectAbout{Headers: op.ObjectHeaders{ContentType: "text/html"}, Metadata: map[string]string{"by": "mä\U0001f9a1"}}
	put := op.ObjectPut{Name: name, About: about, Body: op.ObjectBody{Reader: strings.NewReader("0123456789"), Size: 10}, If: op.ObjectCondition{Absent: true}}
	info, err := o.Put(ctx, put)
	if err != nil || info.Key != name.Key || info.About.Metadata["by"] != about.Metadata["by"] || info.Size != 10 {
		t.Fatalf("Put = %+v, %v", info, err)
	}
	put.Body.Reader = strings.NewReader("x")
	put.Body.Size = op.Unsized
	var failed *client.Error
	if _, err := o.Put(ctx, put); !errors.Is(err, op.ErrPrecondition) || !errors.As(err, &failed) || failed.Status != http.StatusPreconditionFailed {
		t.Errorf("Put of what is there = %v", err)
	}
	if head, err := o.Head(ctx, name); err != nil || head.ETag != info.ETag || head.Key != name.Key || head.About.Headers != about.Headers {
		t.Errorf("Head = %+v, %v", head, err)
	}
	for want, r := range map[string]*client.Range{"0123456789": nil, "234": {First: 2, Last: 4}, "89": {First: 8, Last: -1}} {
		got, body, err := o.Get(ctx, name, r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if body.Close(); string(text) != want || got.ETag != info.ETag || err != nil {
			t.Errorf("Get of %+v = %q, %+v, %v, want %q", r, text, got, err, want)
		}
	}
	if copied, err := o.Copy(ctx, op.ObjectName{App: "shop", Bucket: "pics", Key: "copy"}, name); err != nil || copied.Key != "copy" {
		t.Errorf("Copy = %+v, %v", copied, err)
	}
	page, err := o.List(ctx, "shop", "pics", op.ObjectQuery{Prefix: "a", After: "a", Delimiter: "/", Token: "t", Limit: 7})
	if err != nil || len(page.Objects) != 1 || page.Prefixes[0] != "/" || page.Token != "t" {
		t.Errorf("List = %+v, %v", page, err)
	}
	if b, err := o.Bucket(ctx, "shop", "pics"); err != nil || b.Usage.Objects != 2 {
		t.Errorf("Bucket = %+v, %v", b, err)
	}
	if all, err := o.Buckets(ctx, "shop"); err != nil || len(all) != 1 || all[0].Name != "pics" {
		t.Errorf("Buckets = %+v, %v", all, err)
	}
	if err := o.DeleteBucket(ctx, "shop", "pics"); !errors.Is(err, op.ErrNotEmpty) {
		t.Errorf("DeleteBucket = %v", err)
	}
	if _, err := o.Delete(ctx, name, op.ObjectCondition{ETag: "other"}); !errors.Is(err, op.ErrPrecondition) {
		t.Errorf("Delete of another = %v", err)
	}
	if found, err := o.Delete(ctx, name, op.ObjectCondition{ETag: info.ETag}); !found || err != nil {
		t.Errorf("Delete = %t, %v", found, err)
	}
	if _, err := o.Head(ctx, name); !errors.Is(err, op.ErrNoObject) {
		t.Errorf("Head of none = %v", err)
	}
	if err := o.SetQuota(ctx, "shop", op.ObjectQuota{Bytes: 5}); err != nil {
		t.Error(err)
	}
	if u, err := o.Usage(ctx, "shop"); err != nil || u.Objects != 1 || u.Quota.Bytes != 5 {
		t.Errorf("Usage = %+v, %v", u, err)
	}
	res, err := http.Head(url + "/v1/apps/shop/buckets/pics/object?key=copy")
	if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/octet-stream" || res.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("HEAD = %+v, %v, want no page of this origin", res, err)
	}
	res.Body.Close()
	if err := o.DeleteMany(ctx, "shop", "pics", "copy", "none"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(o.DeleteBucket(ctx, "shop", "pics")); err != nil {
		t.Error(err)
	}
	if _, err := o.Bucket(ctx, "shop", "pics"); !errors.Is(err, op.ErrNoBucket) {
		t.Errorf("Bucket = %v", err)
	}
}

// TestObjectConditions holds that a condition that cannot be read changes nothing.
func TestObjectConditions(t *testing.T) {
	_, server := newWorld(t).start(t, nil)
	const bucket = "/v1/apps/shop/buckets/pics"
	call(t, server, "PUT", bucket, "{}")
	for _, test := range []struct {
		header, value string
		status        int
	}{
		{"If-Match", `"R"`, 200}, {"If-Match", `R`, 200}, {"If-Match", `"other"`, 412}, {"If-None-Match", `*`, 412},
		{"If-Match", `""`, 400}, {"If-Match", ``, 400}, {"If-Match", `*`, 400}, {"If-Match", `"R", "other"`, 400},
		{"If-None-Match", `"R"`, 400}, {"If-None-Match", ``, 400},
	} {
		for _, method := range []string{"PUT", "DELETE"} {
			res, text := call(t, server, "PUT", bucket+"/object?key=k", "old")
			value := strings.ReplaceAll(test.value, "R", strings.Trim(res.Header.Get("ETag"), `"`))
			if res.StatusCode != 200 {
				t.Fatalf("PUT: %d %s", res.StatusCode, text)
			}
			if method == "DELETE" && test.value == "*" && test.header == "If-None-Match" {
				continue // of an object that is there
			}
			if res, text = call(t, server, method, bucket+"/object?key=k", "", test.header, value); res.StatusCode != test.status {
				t.Errorf("%s, %s: %s: %d %s, want %d", method, test.header, value, res.StatusCode, text, test.status)
			}
		}
	}
}
