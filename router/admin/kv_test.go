package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// oddKeys are what paths, queries and text could harm.
func oddKeys() []string {
	return []string{"a/b", "/", "..", "a//b/./c/", "ü", "a+b c&d=e;f%20#g?", "\x00", "\xff\xfe/", "tail ", `"quoted"`, "\ufffd",
		strings.Repeat("k", op.MaxKeyBytes)}
}

// roundTripKV makes every call of the client's KV.
func roundTripKV(t *testing.T, c *client.Client) {
	ctx, kv := context.Background(), c.KV()
	put, err := kv.Put(ctx, "default", "kept", client.Put{Value: []byte("\x00\xff"), TTL: time.Hour}, client.IfAbsent())
	if err != nil || put.Found || put.Revision == 0 {
		t.Fatalf("put: %+v, %v", put, err)
	}
	item, err := kv.Get(ctx, "default", "kept", op.Read{Consistency: op.Strong, Seen: put.Revision})
	if left := time.Until(item.Expires); err != nil || string(item.Value) != "\x00\xff" || item.Revision != put.Revision ||
		left > time.Hour || left < time.Minute {
		t.Errorf("get: %+v, %v", item, err)
	}
	if n, err := kv.Incr(ctx, "default", "n", client.Incr{Delta: -3, TTL: time.Hour}); err != nil || *n.Integer != -3 || n.Found {
		t.Errorf("incr: %+v, %v; want -3", n, err)
	}
	bound := int64(-2)
	if _, err := kv.Incr(ctx, "default", "n", client.Incr{Delta: 2, Max: &bound}); !errors.Is(err, op.ErrRange) || abi.CodeOf(err) != abi.Conflict {
		t.Errorf("incr over its bound: %v, want %v", err, op.ErrRange)
	}
	if touched, err := kv.Touch(ctx, "default", "n", 0); err != nil || !touched.Found {
		t.Errorf("touch: %+v, %v", touched, err)
	}
	if _, err := kv.Touch(ctx, "default", "absent", time.Minute); !errors.Is(err, op.ErrNotFound) {
		t.Errorf("touch of nothing: %v, want %v", err, op.ErrNotFound)
	}
	roundTripTxn(t, kv)
	if gone, err := kv.Delete(ctx, "default", "n"); err != nil || !gone.Found {
		t.Errorf("delete: %+v, %v", gone, err)
	}
	if gone, err := kv.Delete(ctx, "default", "n"); err != nil || gone.Found {
		t.Errorf("delete again: %+v, %v; want nothing found", gone, err)
	}
	if _, err := kv.Get(ctx, "default", "n", op.Read{}); !errors.Is(err, op.ErrNotFound) || abi.CodeOf(err) != abi.NotFound {
		t.Errorf("get of nothing: %v, want %v", err, op.ErrNotFound)
	}
	if err := kv.SetQuota(ctx, "default", op.Quota{Keys: 5}); err != nil {
		t.Errorf("set quota: %v", err)
	}
	if u, err := kv.Usage(ctx, "default"); err != nil || u.Keys != 2 || u.Bytes != int64(len("kept")+2+len("text")+3) || u.Quota.Keys != 5 {
		t.Errorf("usage: %+v, %v", u, err)
	}
}

func roundTripTxn(t *testing.T, kv client.KV) {
	ctx := context.Background()
	txn := op.Txn{Namespace: "default",
		Checks: []op.Check{{Kind: op.HasValue, Key: "kept", Value: []byte("\x00\xff")}, {Kind: op.IsPresent, Key: "n"}, {Key: "\xff"}},
		Ops: []op.Op{{Kind: op.Set, Key: "\xff", Value: []byte("one"), TTL: 1500 * time.Microsecond},
			{Kind: op.Append, Key: "\xff", Value: []byte("two"), Previous: true}, {Kind: op.Set, Key: "text"},
			{Kind: op.Incr, Key: "n", Delta: 0, Bounded: true, Min: -3, Max: -3}, {Kind: op.Touch, Key: "none", TTL: time.Hour},
			{Kind: op.Delete, Key: "kept", Previous: true}, {Kind: op.Set, Key: "kept", Value: []byte("kk")}, {Kind: op.DeletePrefix, Key: "\xff"},
			{Kind: op.Append, Key: "text", Value: []byte("abc")}}}
	done, err := kv.Commit(ctx, txn)
	want := []op.OpResult{{}, {Found: true, Integer: 6, Previous: []byte("one")}, {}, {Found: true, Integer: -3}, {},
		{Found: true, Previous: []byte("\x00\xff")}, {}, {Found: true, Integer: 1}, {Found: true, Integer: 3}}
	if err != nil || done.Revision == 0 || fmt.Sprint(done.Ops) != fmt.Sprint(want) {
		t.Errorf("commit: %+v, %v; want %+v", done, err, want)
	}
	if _, err := kv.Commit(ctx, txn); !errors.Is(err, op.ErrConflict) || abi.CodeOf(err) != abi.Conflict {
		t.Errorf("commit again: %v, want %v", err, op.ErrConflict)
	}
	items, err := kv.GetMany(ctx, "default", []string{"text", "\xfe", "kept"}, op.Read{Consistency: op.Local})
	if err != nil || string(items[0].Value) != "abc" || items[0].Revision != done.Revision || items[1].Key != "\xfe" ||
		items[1].Revision != 0 || items[1].Value != nil || string(items[2].Value) != "kk" {
		t.Errorf("get many: %+v, %v", items, err)
	}
	page, err := kv.List(ctx, "default", op.Query{Limit: 2, Prefix: ""})
	if err != nil || len(page.Items) != 2 || page.Cursor == "" || page.Revision < done.Revision || string(page.Items[0].Value) != "kk" {
		t.Errorf("list: %+v, %v", page, err)
	}
	var changes []op.Change
	for c, err := range kv.Watch(ctx, "default", "te", done.Revision-1) {
		if err != nil {
			t.Fatalf("watch: %v", err)
		}
		if changes = append(changes, c); len(changes) == 1 {
			break
		}
	}
	if c := changes[0]; c.Key != "text" || string(c.Value) != "abc" || c.Revision != done.Revision || c.Deleted {
		t.Errorf("watch: %+v", changes)
	}
}

func TestKeysMayBeAnyBytes(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	kv, ctx := connect(t, server, "").KV(), context.Background()
	keys := oddKeys()
	for _, key := range keys {
		if _, err := kv.Put(ctx, "shop", key, client.Put{Value: []byte(key)}); err != nil {
			t.Fatalf("put %.40q: %v", key, err)
		}
		if item, err := kv.Get(ctx, "shop", key, op.Read{}); err != nil || string(item.Value) != key {
			t.Errorf("get %.40q: %.40q, %v", key, item.Value, err)
		}
		if item, err := w.keys.Get(ctx, "shop", key, op.Read{}); err != nil || string(item.Value) != key {
			t.Errorf("%.40q arrived as %.40q, %v", key, item.Value, err)
		}
	}
	items, err := kv.GetMany(ctx, "shop", keys, op.Read{})
	for i := range items {
		if items[i].Key != keys[i] || string(items[i].Value) != keys[i] {
			t.Errorf("get many: %.40q has %.40q, want %.40q", items[i].Key, items[i].Value, keys[i])
		}
	}
	if err != nil {
		t.Errorf("get many: %v", err)
	}
	var listed []string
	for item, err := range op.All(ctx, kv, "shop", op.Query{}) {
		if listed = append(listed, item.Key); err != nil || string(item.Value) != item.Key {
			t.Fatalf("list: %+v, %v", item, err)
		}
	}
	if slices.Sort(keys); !slices.Equal(listed, keys) {
		t.Errorf("list: %.40q, want %.40q", listed, keys)
	}
	for _, prefix := range []string{"a/", "a+", "\xff", "\x00", "/"} {
		page, err := kv.List(ctx, "shop", op.Query{Prefix: prefix, KeysOnly: true})
		if err != nil || len(page.Items) == 0 || slices.ContainsFunc(page.Items, func(i op.Listed) bool {
			return !strings.HasPrefix(i.Key, prefix) || i.Value != nil
		}) {
			t.Errorf("list %q: %+v, %v", prefix, page, err)
		}
	}
	for _, key := range keys {
		done, err := kv.Commit(ctx, op.Txn{Namespace: "shop", Checks: []op.Check{{Kind: op.IsPresent, Key: key}}, Ops: []op.Op{{Kind: op.Delete, Key: key}}})
		if err != nil || !done.Ops[0].Found {
			t.Errorf("delete %.40q: %+v, %v", key, done, err)
		}
	}
}

func TestValueHeaders(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	const at = "/v1/apps/shop/kv/value?key=k"
	put, text := call(t, server, "PUT", at+"&ttl=1h", "hi")
	revision := put.Header.Get(client.RevisionHeader)
	if put.StatusCode != 200 || revision == "" || put.Header.Get("ETag") != `"`+revision+`"` || text != `{"revision":`+revision+`,"found":false}`+"\n" {
		t.Errorf("put: %d %v %s", put.StatusCode, put.Header, text)
	}
	for _, method := range []string{"GET", "HEAD"} {
		res, text := call(t, server, method, at, "")
		h := res.Header
		if res.StatusCode != 200 || h.Get("ETag") != `"`+revision+`"` || h.Get(client.RevisionHeader) != revision ||
			h.Get("Content-Type") != "application/octet-stream" || h.Get("X-Content-Type-Options") != "nosniff" || res.ContentLength != 2 {
			t.Errorf("%s: %d %v", method, res.StatusCode, h)
		}
		if expires, err := time.Parse(time.RFC3339Nano, h.Get(client.ExpiresHeader)); err != nil || time.Until(expires) > time.Hour {
			t.Errorf("%s: expires %q, %v", method, h.Get(client.ExpiresHeader), err)
		}
		if want := map[string]string{"GET": "hi"}[method]; text != want {
			t.Errorf("%s: body %q, want %q", method, text, want)
		}
		if res, text := call(t, server, method, at, "", "If-None-Match", `"1", "`+revision+`"`); res.StatusCode != 304 || text != "" {
			t.Errorf("%s with its ETag: %d %q, want 304", method, res.StatusCode, text)
		}
	}
	call(t, server, "POST", "/v1/apps/shop/kv/touch?key=k", "")
	if res, _ := call(t, server, "GET", at, ""); res.Header.Get(client.ExpiresHeader) != "" || res.Header.Get("ETag") == `"`+revision+`"` {
		t.Errorf("after touch: %v; want no expiry and another revision", res.Header)
	}
	if res, text := call(t, server, "DELETE", at, ""); res.StatusCode != 200 || res.Header.Get("ETag") != "" || !strings.HasSuffix(text, `"found":true}`+"\n") {
		t.Errorf("delete: %d %v %s", res.StatusCode, res.Header, text)
	}
	if res, text := call(t, server, "GET", at, ""); res.StatusCode != 404 || !strings.Contains(text, `"reason":"key_not_found"`) || res.Header.Get("ETag") != "" {
		t.Errorf("get of nothing: %d %s", res.StatusCode, text)
	}
	if res, text := call(t, server, "HEAD", at, ""); res.StatusCode != 404 || text != "" {
		t.Errorf("head of nothing: %d %q", res.StatusCode, text)
	}
}

func TestPreconditionsOfAKey(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	for _, test := range []struct {
		method, name, value string
		there, absent       int // status when the key is there with revision R, and when it is not
	}{
		{"PUT", "If-Match", `"R"`, 200, 412},
		{"PUT", "If-Match", `R`, 200, 412},
		{"PUT", "If-Match", `"1"`, 412, 412},
		{"PUT", "If-Match", `*`, 200, 412},
		{"PUT", "If-None-Match", `*`, 412, 200},
		{"DELETE", "If-Match", `"R"`, 200, 412},
		{"DELETE", "If-Match", `"1"`, 412, 412},
		{"PUT", "If-None-Match", `"R"`, 400, 400},
		{"PUT", "If-Match", `"R", "1"`, 400, 400},
		{"PUT", "If-Match", `W/"R"`, 400, 400},
		{"PUT", "If-Match", `"0"`, 400, 400},
		{"PUT", "If-Match", ``, 400, 400},
		{"DELETE", "If-Match", `"18446744073709551616"`, 400, 400},
	} {
		ctx := context.Background()
		done, err := w.keys.Commit(ctx, op.Txn{Namespace: "shop", Ops: []op.Op{{Kind: op.Set, Key: "there"}, {Kind: op.Delete, Key: "absent"}}})
		if err != nil {
			t.Fatal(err)
		}
		value := strings.ReplaceAll(test.value, "R", fmt.Sprint(done.Revision))
		for key, want := range map[string]int{"there": test.there, "absent": test.absent} {
			res, text := call(t, server, test.method, "/v1/apps/shop/kv/value?key="+key, "v", test.name, value)
			if res.StatusCode != want || want == 412 && !strings.Contains(text, `"code":"conflict"`) {
				t.Errorf("%s of what is %s, %s %s: %d %s, want %d", test.method, key, test.name, test.value, res.StatusCode, text, want)
			}
		}
	}
	if res, _ := call(t, server, "PUT", "/v1/apps/shop/kv/value?key=k", "v", "If-Match", `"1"`, "If-None-Match", "*"); res.StatusCode != 400 {
		t.Errorf("both: %d, want 400", res.StatusCode)
	}
}

func TestKVRefuses(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	long := strings.Repeat("k", op.MaxKeyBytes+1)
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/value", "", 400, "query key: missing"},
		{"GET", "/value?key=", "", 400, "empty key"},
		{"GET", "/value?key=" + long, "", 413, "at most 2048 are allowed"},
		{"GET", "/value?key=a&key=b", "", 400, "query key: given twice"},
		{"GET", "/value?ke=a", "", 400, "did you mean key?"},
		{"GET", "/value?key=%zz", "", 400, "invalid URL escape"},
		{"GET", "/value?key=a;b", "", 400, "semicolon"},
		{"GET", "/value?key=a&consistency=eventual", "", 400, "local, session or strong"},
		{"PUT", "/value?key=a&ttl=1", "", 400, "ttl"},
		{"PUT", "/value?key=a&ttl=-1s", "", 400, "ttl"},
		{"PUT", "/value?key=a&ttl=1us", "", 400, "between 1ms and 87600h0m0s"},
		{"PUT", "/value?key=a&ttl=87601h", "", 400, "between 1ms and 87600h0m0s"},
		{"POST", "/incr?key=a&delta=1.5", "", 400, "delta"},
		{"POST", "/incr?key=a&min=5&max=4", "", 400, "above max"},
		{"POST", "/incr?key=a&max=9223372036854775808", "", 400, "64 bits"},
		{"POST", "/touch?ttl=1s", "", 400, "query key: missing"},
		{"GET", "/keys?limit=0", "", 400, "between 1 and 1000"},
		{"GET", "/keys?limit=1001", "", 400, "between 1 and 1000"},
		{"GET", "/keys?values=1", "", 400, "true or false"},
		{"GET", "/keys?cursor=%21", "", 400, "cursor"},
		{"GET", "/keys?prefix=" + long, "", 413, "at most 2048 are allowed"},
		{"GET", "/watch?from=-1", "", 400, "whole number"},
		{"GET", "/watch?prefix=" + long, "", 413, "at most 2048 are allowed"},
		{"POST", "/values", `{"keys":[{"key":"a"},{"key":"b","key_base64":"Yg=="}]}`, 400, "keys[1].key: given as text and in base64"},
		{"POST", "/values", `{"keys":[{"key_base64":"*"}]}`, 400, "keys[0].key_base64: illegal base64"},
		{"POST", "/values", `{"keys":[{}]}`, 400, "empty key"},
		{"POST", "/values", `{"keys":[` + strings.Repeat(`{"key":"a"},`, op.MaxGets) + `{"key":"a"}]}`, 413, "129 keys"},
		{"POST", "/values?consistency=none", `{}`, 400, "consistency"},
		{"POST", "/transactions", `{"ops":[{"op":"frob","key":"a"}]}`, 400, "ops[0].op"},
		{"POST", "/transactions", `{"ops":[{"op":"set","key":"a"}]}`, 400, "ops[0].value: missing"},
		{"POST", "/transactions", "{\"ops\":[{\"op\":\"delete\",\"key\":\"\xff\"}]}", 400, "not UTF-8"},
		{"POST", "/transactions", `{"ops":[` + strings.Repeat(`{"op":"delete","key":"a"},`, op.MaxOps) + `{"op":"delete","key":"a"}]}`, 413, "129 operations"},
		{"POST", "/transactions", `{"ops":[{"op":"set","key":"a","value":"` + strings.Repeat("x", maxTxnJSONBytes) + `"}]}`, 413, "limit of 8388608 bytes"},
		{"POST", "/transactions?key=a", `{}`, 400, "unknown key"},
		{"PUT", "/quota", `{"keys":-1}`, 400, "negative"},
		{"PUT", "/value?key=a", strings.Repeat("x", op.MaxValueBytes+1), 413, `"reason":"over_limit"`},
	} {
		res, text := call(t, server, test.method, "/v1/apps/shop/kv"+test.path, test.body)
		if res.StatusCode != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s %.60s %.60s: %d %.200s, want %d %q", test.method, test.path, test.body, res.StatusCode, text, test.status, test.want)
		}
	}
	for _, app := range []string{"$sett", "%24sett", "Shop", "a_b"} {
		if res, text := call(t, server, "GET", "/v1/apps/"+app+"/kv/value?key=generation", ""); res.StatusCode != 400 || !strings.Contains(text, "app name") {
			t.Errorf("app %s: %d %s, want 400", app, res.StatusCode, text)
		}
	}
	if u, err := w.keys.Usage(context.Background(), "shop"); err != nil || u.Keys != 0 {
		t.Errorf("after refusals: %+v, %v; want nothing", u, err)
	}
}

// TestLargestOfTheStorePasses sends what just fits in the store's limits.
func TestLargestOfTheStorePasses(t *testing.T) {
	w := newWorld(t)
	_, server := w.start(t, nil)
	kv, ctx := connect(t, server, "").KV(), context.Background()
	large := bytes.Repeat([]byte{0}, op.MaxValueBytes) // takes six bytes each as text
	if _, err := kv.Put(ctx, "shop", "large", client.Put{Value: large}); err != nil {
		t.Errorf("largest value: %v", err)
	}
	if item, err := kv.Get(ctx, "shop", "large", op.Read{}); err != nil || !bytes.Equal(item.Value, large) {
		t.Errorf("largest value: %d bytes, %v", len(item.Value), err)
	}
	txn, room := op.Txn{Namespace: "shop"}, op.MaxTxnBytes
	for i := range op.MaxOps {
		key := strings.Repeat("<", op.MaxKeyBytes-3) + fmt.Sprintf("%03d", i) // < takes six, too
		txn.Checks = append(txn.Checks, op.Check{Key: key})
		txn.Ops = append(txn.Ops, op.Op{Kind: op.Set, Key: key})
		room -= 2 * len(key)
	}
	txn.Ops[0].Value, txn.Ops[1].Value = large, large[:room-len(large)]
	first, err := kv.Commit(ctx, txn)
	if err != nil {
		t.Fatalf("largest transaction: %v", err)
	}
	for c, err := range kv.Watch(ctx, "shop", txn.Ops[0].Key, first.Revision-1) {
		if err != nil || !bytes.Equal(c.Value, large) {
			t.Errorf("largest change: %d bytes, %v", len(c.Value), err)
		}
		break
	}
	var keys []string
	for _, o := range txn.Ops[2:] {
		keys = append(keys, o.Key)
	}
	if items, err := kv.GetMany(ctx, "shop", append(keys, "<", ">"), op.Read{}); err != nil || items[0].Revision != first.Revision {
		t.Errorf("get of the most and longest keys: %v", err)
	}
	keys = nil
	for i := range op.MaxPageBytes / op.MaxValueBytes {
		keys = append(keys, fmt.Sprint(i))
		if _, err := kv.Put(ctx, "shop", keys[i], client.Put{Value: large}); err != nil {
			t.Fatal(err)
		}
	}
	if items, err := kv.GetMany(ctx, "shop", keys, op.Read{}); err != nil || len(items) != len(keys) {
		t.Errorf("get of %d bytes: %v", op.MaxPageBytes, err)
	}
	if _, err := kv.GetMany(ctx, "shop", append(keys, "large"), op.Read{}); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("get of more than %d bytes: %v, want %v", op.MaxPageBytes, err, op.ErrTooLarge)
	}
}

func TestNodeWithoutKeys(t *testing.T) {
	w := newWorld(t)
	a, server := w.start(t, func(c *Config) { c.KV = nil })
	for pattern := range a.routes {
		if method, path, _ := strings.Cut(pattern, " "); strings.Contains(path, "/kv/") && method != "HEAD" {
			res, text := call(t, server, method, strings.Replace(path, "{app}", "shop", 1)+"?key=k", "")
			if res.StatusCode != 422 || !strings.Contains(text, `"code":"unsupported"`) {
				t.Errorf("%s: %d %s, want 422", pattern, res.StatusCode, text)
			}
		}
	}
}

// failing is a store that answers an error to everything.
type failing struct{ err error }

func (f failing) Get(context.Context, string, string, op.Read) (op.Item, error) {
	return op.Item{}, f.err
}
func (f failing) GetMany(context.Context, string, []string, op.Read) ([]op.Item, error) {
	return nil, f.err
}
func (f failing) List(context.Context, string, op.Query) (op.Page, error) { return op.Page{}, f.err }
func (f failing) Commit(context.Context, op.Txn) (op.Result, error)       { return op.Result{}, f.err }
func (f failing) Usage(context.Context, string) (op.Usage, error)         { return op.Usage{}, f.err }
func (f failing) SetQuota(context.Context, string, op.Quota) error        { return f.err }
func (f failing) Watch(context.Context, string, string, uint64) iter.Seq2[op.Change, error] {
	return func(yield func(op.Change, error) bool) { yield(op.Change{}, f.err) }
}

// TestErrorsOfTheStoreKeepTheirMeaning holds that whoever uses the client finds the same error as beside the store.
func TestErrorsOfTheStoreKeepTheirMeaning(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		code   abi.Code
	}{
		{op.ErrInvalid, 400, abi.InvalidInput}, {op.ErrNotInteger, 400, abi.InvalidInput}, {op.ErrTooLarge, 413, abi.TooLarge},
		{op.ErrNotFound, 404, abi.NotFound}, {op.ErrConflict, 409, abi.Conflict}, {op.ErrRange, 409, abi.Conflict},
		{op.ErrQuota, 507, abi.NoSpace}, {op.ErrCompacted, 410, abi.InvalidInput},
		{op.ErrUnavailable, 503, abi.Unavailable}, {op.ErrUnknown, 503, abi.Unavailable},
	} {
		w := newWorld(t)
		_, server := w.start(t, func(c *Config) { c.KV = failing{fmt.Errorf("do it: %w", test.err)} })
		kv, ctx := connect(t, server, "").KV(), context.Background()
		_, getErr := kv.Get(ctx, "shop", "k", op.Read{})
		_, manyErr := kv.GetMany(ctx, "shop", []string{"k"}, op.Read{})
		_, listErr := kv.List(ctx, "shop", op.Query{})
		_, commitErr := kv.Commit(ctx, op.Txn{Namespace: "shop"})
		_, usageErr := kv.Usage(ctx, "shop")
		errs := []error{getErr, manyErr, listErr, commitErr, usageErr, kv.SetQuota(ctx, "shop", op.Quota{})}
		for _, err := range kv.Watch(ctx, "shop", "", 1) {
			errs = append(errs, err)
		}
		if len(errs) != 7 {
			t.Errorf("%v: the watch ended without it", test.err)
		}
		for i, err := range errs {
			var e *client.Error
			if !errors.As(err, &e) || e.Status != test.status || e.Code != test.code || !errors.Is(err, test.err) || err.Error() != "do it: "+test.err.Error() {
				t.Errorf("%v: call %d answers %v (%+v), want %d %s", test.err, i, err, e, test.status, test.code)
			}
		}
	}
	w := newWorld(t)
	_, server := w.start(t, func(c *Config) { c.KV = failing{op.ErrClosed} })
	if res, _ := call(t, server, http.MethodGet, "/v1/apps/shop/kv/usage", ""); res.StatusCode != 503 {
		t.Errorf("closed: %d, want 503", res.StatusCode)
	}
}

func TestQuotaHolds(t *testing.T) {
	w := newWorld(t)
	a, server := w.start(t, func(c *Config) { c.Loopback = false })
	ctx := context.Background()
	boss, app := connect(t, server, makeToken(t, a, "")).KV(), connect(t, server, makeToken(t, a, "shop")).KV()
	if err := boss.SetQuota(ctx, "shop", op.Quota{Keys: 1, Bytes: 10}); err != nil {
		t.Fatal(err)
	}
	if err := app.SetQuota(ctx, "shop", op.Quota{}); abi.CodeOf(err) != abi.Forbidden {
		t.Errorf("an app lifts its quota: %v, want %s", err, abi.Forbidden)
	}
	if _, err := app.Put(ctx, "shop", "k", client.Put{Value: []byte("12345678")}); err != nil {
		t.Errorf("put within the quota: %v", err)
	}
	if _, err := app.Put(ctx, "shop", "k", client.Put{Value: []byte("1234567890")}); !errors.Is(err, op.ErrQuota) || abi.CodeOf(err) != abi.NoSpace {
		t.Errorf("put over the quota: %v, want %v", err, op.ErrQuota)
	}
	if _, err := app.Put(ctx, "other", "k", client.Put{}); abi.CodeOf(err) != abi.Forbidden {
		t.Errorf("put in another app: %v, want %s", err, abi.Forbidden)
	}
	if u, err := app.Usage(ctx, "shop"); err != nil || u.Keys != 1 || u.Quota != (op.Quota{Keys: 1, Bytes: 10}) {
		t.Errorf("usage: %+v, %v", u, err)
	}
}
