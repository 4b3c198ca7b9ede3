package kv_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/sdk/go/kv"
	"github.com/sett-run/sett/sdk/go/settest"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestValues(t *testing.T) {
	ctx := settest.Context(t)
	if _, err := kv.Get(ctx, "a"); !errors.Is(err, kv.ErrNotFound) || err.Error() != `kv: "a": key not found` {
		t.Errorf("Get of an absent key: %v", err)
	}
	if ok := must(kv.Exists(ctx, "a")); ok {
		t.Error("an absent key exists")
	}
	if err := kv.Set(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	if v := must(kv.Get(ctx, "a", kv.Local, kv.Strong)); v == nil || len(v) != 0 {
		t.Errorf("Get of an empty value = %v, want empty and not nil", v)
	}
	if n := must(kv.Append(ctx, "a", []byte("xy"))); n != 2 {
		t.Errorf("Append = %d, want 2", n)
	}
	r := must(kv.Put(ctx, "b", []byte("1")))
	items := must(kv.GetMany(ctx, []string{"b", "none", "a"}))
	if len(items) != 3 || items[0].Revision != r || items[1].Revision != 0 || items[1].Key != "none" || string(items[2].Value) != "xy" {
		t.Errorf("GetMany = %+v", items)
	}
	if !must(kv.Exists(ctx, "b")) {
		t.Error("b does not exist")
	}
	if err := kv.SetMany(ctx, []kv.Item{{Key: "c", Value: []byte("2")}, {Key: "d"}}); err != nil {
		t.Fatal(err)
	}
	if err := kv.DeleteMany(ctx, []string{"a", "b", "none"}); err != nil {
		t.Fatal(err)
	}
	if keys := all(t, kv.ListKeys(ctx, "")); !slices.Equal(keys, []string{"c", "d"}) {
		t.Errorf("keys = %q, want c d", keys)
	}
	if err := errors.Join(kv.Delete(ctx, "c"), kv.Delete(ctx, "c")); err != nil || must(kv.Exists(ctx, "c")) {
		t.Errorf("Delete: %v", err)
	}
}

func TestIncr(t *testing.T) {
	ctx := settest.Context(t)
	bounds := kv.Bounds{Min: 0, Max: 10}
	if n := must(kv.Incr(ctx, "n", 7, bounds)); n != 7 {
		t.Errorf("Incr = %d, want 7", n)
	}
	if n, err := kv.Incr(ctx, "n", 4, bounds); !errors.Is(err, kv.ErrRange) || n != 0 {
		t.Errorf("Incr over its bounds = %d, %v, want %v", n, err, kv.ErrRange)
	}
	if n := must(kv.Increment(ctx, "n", -8)); n != -1 {
		t.Errorf("Increment = %d, want -1", n)
	}
	kv.Set(ctx, "text", []byte("x"))
	if _, err := kv.Incr(ctx, "text", 1); !errors.Is(err, kv.ErrNotInteger) {
		t.Errorf("Incr of text: %v, want %v", err, kv.ErrNotInteger)
	}
	if _, err := kv.Incr(ctx, "n", 1, kv.Previous); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("Incr with an option of Set: %v, want %v", err, kv.ErrInvalid)
	}
}

func TestConditions(t *testing.T) {
	ctx := settest.Context(t)
	set := func(o ...kv.Option) error { return kv.Set(ctx, "a", []byte("1"), o...) }
	r := must(kv.Put(ctx, "a", []byte("1"), kv.IfAbsent))
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"absent", set(kv.IfAbsent), kv.ErrConflict},
		{"other revision", set(kv.IfRevision(r + 1)), kv.ErrConflict},
		{"other value", set(kv.IfValue("2")), kv.ErrConflict},
		{"revision", set(kv.IfRevision(r), kv.IfPresent, kv.IfValue("1")), nil},
		{"delete", kv.Delete(ctx, "a", kv.IfRevision(r)), kv.ErrConflict},
		{"swap absent", kv.CompareAndSet(ctx, "b", nil, []byte("1")), nil},
		{"swap absent again", kv.CompareAndSet(ctx, "b", nil, []byte("2")), kv.ErrConflict},
		{"swap empty", kv.CompareAndSet(ctx, "b", []byte{}, []byte("2")), kv.ErrConflict},
		{"swap", kv.CompareAndSet(ctx, "b", []byte("1"), []byte("2")), nil},
		{"present", set(kv.IfPresent), nil},
	} {
		if !errors.Is(tt.err, tt.want) || tt.want == nil && tt.err != nil {
			t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.want)
		}
	}
}

func TestTxn(t *testing.T) {
	ctx := settest.Context(t)
	kv.SetMany(ctx, []kv.Item{{Key: "p/1"}, {Key: "p/2"}, {Key: "stock", Value: []byte("5")}})
	var txn kv.Txn
	txn.Check("stock", kv.IfPresent).Check("order", kv.IfAbsent)
	txn.Set("order", []byte("one"), kv.TTL(time.Hour)).Incr("stock", -1, kv.Bounds{Min: 0, Max: 9}).
		Append("log", []byte("abc"), kv.Previous).Touch("order", 0).DeletePrefix("p/").Delete("stock", kv.Previous)
	r := must(txn.Commit(ctx))
	if len(r.Ops) != 6 || r.Ops[1].Integer != 4 || r.Ops[2].Integer != 3 || !r.Ops[3].Found || r.Ops[4].Integer != 2 || string(r.Ops[5].Previous) != "4" {
		t.Errorf("Commit = %+v", r)
	}
	if i := must(kv.GetItem(ctx, "order")); i.Revision != r.Revision || !i.Expires.IsZero() {
		t.Errorf("order = %+v, want revision %d and no end", i, r.Revision)
	}
	if _, err := txn.Commit(ctx); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("Commit again: %v, want %v", err, kv.ErrConflict)
	}
	var many kv.Txn
	for n := range kv.MaxOps + 1 {
		many.Set(fmt.Sprint(n), nil)
	}
	if _, err := many.Commit(ctx); !errors.Is(err, kv.ErrTooLarge) {
		t.Errorf("Commit of %d operations: %v, want %v", kv.MaxOps+1, err, kv.ErrTooLarge)
	}
}

func TestLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := settest.Context(t)
		kv.Set(ctx, "a", []byte("1"), kv.TTL(time.Minute))
		kv.Incr(ctx, "n", 1, kv.TTL(time.Minute))
		if i := must(kv.GetItem(ctx, "a")); time.Until(i.Expires) != time.Minute {
			t.Errorf("a expires in %v, want %v", time.Until(i.Expires), time.Minute)
		}
		time.Sleep(59 * time.Second)
		if err := kv.Touch(ctx, "a", time.Hour); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if n := must(kv.Incr(ctx, "n", 1)); n != 1 {
			t.Errorf("a counter whose window is over counts on: %d", n)
		}
		if !must(kv.Exists(ctx, "a")) {
			t.Error("a key that was touched has expired")
		}
		time.Sleep(time.Hour)
		if err := kv.Touch(ctx, "a", time.Hour); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("Touch of an expired key: %v, want %v", err, kv.ErrNotFound)
		}
	})
}

// all collects a listing.
func all(t *testing.T, keys func(func(string, error) bool)) (found []string) {
	t.Helper()
	for k, err := range keys {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, k)
	}
	return found
}

func TestList(t *testing.T) {
	ctx := settest.Context(t)
	const keys = 2500 // three pages
	var want []string
	for n := range keys {
		want = append(want, fmt.Sprintf("k/%04d", n))
	}
	for some := range slices.Chunk(want, kv.MaxOps) {
		var txn kv.Txn
		for _, key := range some {
			txn.Set(key, []byte("v"))
		}
		must(txn.Commit(ctx))
	}
	kv.Set(ctx, "l", nil)
	if got := all(t, kv.ListKeys(ctx, "k/", kv.Strong)); !slices.Equal(got, want) {
		t.Errorf("ListKeys has %d keys, want %d", len(got), len(want))
	}
	for _, limit := range []int{1, 1000, 1001, 2500, 9999} {
		if got := all(t, kv.ListKeys(ctx, "k/", kv.Limit(limit))); !slices.Equal(got, want[:min(limit, keys)]) {
			t.Errorf("ListKeys of %d has %d keys", limit, len(got))
		}
	}
	n := 0
	for i, err := range kv.List(ctx, "k/") {
		if n++; err != nil || string(i.Value) != "v" || i.Revision == 0 {
			t.Fatalf("List yields %+v, %v", i, err)
		}
		if n == 3 {
			break
		}
	}
	cursor, seen := "", 0
	for {
		page := must(kv.ListPage(ctx, "k/", cursor, kv.Limit(999), kv.KeysOnly))
		for _, i := range page.Items {
			if i.Key != want[seen] || i.Value != nil || i.Size != 1 {
				t.Fatalf("item %d = %+v", seen, i)
			}
			seen++
		}
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	if seen != keys {
		t.Errorf("pages have %d keys, want %d", seen, keys)
	}
	for _, err := range kv.List(ctx, strings.Repeat("k", kv.MaxKeyBytes+1)) {
		if !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("List of a long prefix: %v, want %v", err, kv.ErrTooLarge)
		}
	}
	if _, err := kv.ListPage(ctx, "", "?"); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("ListPage of a foreign cursor: %v, want %v", err, kv.ErrInvalid)
	}
}

func TestJSON(t *testing.T) {
	ctx := settest.Context(t)
	type point struct{ X, Y int }
	r := must(kv.SetJSON(ctx, "p", point{1, 2}))
	var p point
	if got := must(kv.GetJSON(ctx, "p", &p)); got != r || p != (point{1, 2}) {
		t.Errorf("GetJSON = %+v at %d, want %d", p, got, r)
	}
	if _, err := kv.SetJSON(ctx, "p", p, kv.IfRevision(r-1)); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("SetJSON: %v, want %v", err, kv.ErrConflict)
	}
	kv.Set(ctx, "p", []byte("{"))
	if _, err := kv.GetJSON(ctx, "p", &p); err == nil || !strings.HasPrefix(err.Error(), `kv: decode "p": `) {
		t.Errorf("GetJSON of no JSON: %v", err)
	}
	if _, err := kv.GetJSON(ctx, "none", &p); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("GetJSON of an absent key: %v", err)
	}
	if _, err := kv.SetJSON(ctx, "p", func() {}); err == nil || !strings.HasPrefix(err.Error(), `kv: encode "p": `) {
		t.Errorf("SetJSON of a function: %v", err)
	}
}

func TestNoStore(t *testing.T) {
	ctx := context.Background()
	_, err := kv.Get(ctx, "a")
	if !errors.Is(err, kv.ErrUnsupported) || err.Error() != "kv: this node offers functions no store" {
		t.Errorf("Get outside of a test's context: %v", err)
	}
	if err := kv.Set(ctx, "a", nil); !errors.Is(err, kv.ErrUnsupported) {
		t.Errorf("Set: %v", err)
	}
	for _, err := range kv.List(ctx, "") {
		if !errors.Is(err, kv.ErrUnsupported) {
			t.Errorf("List: %v", err)
		}
	}
	done, cancel := context.WithCancel(settest.Context(t))
	cancel()
	if _, err := kv.Get(done, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get of a canceled context: %v", err)
	}
}
