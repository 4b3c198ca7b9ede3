package blob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// over answers o as an invocation sees it whose effects happen later, and how to have them happen.
func over(t *testing.T, o *Objects) (seen *Objects, commit func() error) {
	overlay := op.NewObjectsOverlay(o.store, app)
	return o.Over(overlay), func() error {
		checks, ops := overlay.Effects()
		_, err := o.store.Commit(t.Context(), op.Txn{Namespace: op.ObjectsOf(app), Checks: checks, Ops: ops})
		return err
	}
}

func keysOf(t *testing.T, o *Objects) string {
	t.Helper()
	all, _ := listAll(t, o, Query{})
	return strings.Join(all, " ")
}

// TestOver changes objects for an invocation, which sees it, and nobody else before its effects happen.
func TestOver(t *testing.T) {
	ctx := t.Context()
	o := withBucket(t)
	put(t, o, "a", []byte("a"))
	put(t, o, "b", []byte("old"))
	settle(t, o)
	seen, commit := over(t, o.By(Origin{Function: "f", Depth: 2}))
	data := noise(1, ChunkBytes+1)
	put(t, seen, "c", []byte("first"))
	put(t, seen, "c", data)
	put(t, seen, "b", []byte("newer"))
	_, copyErr := seen.Copy(ctx, Copy{Name: pics("d"), From: pics("c")})
	found, deleteErr := seen.Delete(ctx, pics("a"), Condition{})
	if copyErr != nil || deleteErr != nil || !found {
		t.Fatalf("copy = %v, delete = %v, %v", copyErr, found, deleteErr)
	}
	if got := read(t, seen, "d"); string(got) != string(data) {
		t.Errorf("its own object has %d bytes", len(got))
	}
	if _, err := seen.Head(ctx, pics("a")); !errors.Is(err, op.ErrNoObject) {
		t.Errorf("an object it has deleted: %v", err)
	}
	if _, err := seen.Put(ctx, Put{Name: pics("c"), Body: body(nil), If: Condition{Absent: true}}); !errors.Is(err, op.ErrPrecondition) {
		t.Errorf("a condition on its own object: %v", err)
	}
	if got := keysOf(t, seen); got != "b c d" {
		t.Errorf("it sees %s", got)
	}
	if got := keysOf(t, o); got != "a b" || string(read(t, o, "b")) != "old" {
		t.Errorf("others see %s before it is committed", got)
	}
	put(t, o, "e", []byte("other")) // changes the same counters
	if err := commit(); err != nil {
		t.Fatal(err)
	}
	if got := keysOf(t, o); got != "b c d e" || string(read(t, o, "b")) != "newer" || string(read(t, o, "c")) != string(data) {
		t.Errorf("others see %s", got)
	}
	if u, err := o.Usage(ctx, app, "pics"); err != nil || u.Objects != 4 || u.Bytes != int64(2*len(data)+10) {
		t.Errorf("Usage = %+v, %v", u, err)
	}
	events, err := o.Events(ctx, app)
	var by int
	for _, e := range events {
		if e.Key == "c" && e.Size != int64(len(data)) {
			t.Errorf("what it was for a while is told: %+v", e)
		}
		if e.Origin == (Origin{Function: "f", Depth: 2}) {
			by++
		}
	}
	if err != nil || len(events) != 5 || by != 4 {
		t.Errorf("events = %+v, %v, want 4 of the function's and another", events, err)
	}
}

func settle(t *testing.T, o *Objects) {
	t.Helper()
	events, err := o.Events(t.Context(), app)
	for _, e := range events {
		err = errors.Join(err, o.Settle(t.Context(), app, e.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOverConflicts: what an invocation has looked at must be as it was.
func TestOverConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		do, other func(o *Objects)
		err       error
	}{
		"another puts it, too": {func(o *Objects) { put(t, o, "k", nil) }, func(o *Objects) { put(t, o, "k", nil) }, op.ErrConflict},
		"another deletes what it read": {func(o *Objects) { read(t, o, "a"); put(t, o, "k", nil) },
			func(o *Objects) { o.Delete(t.Context(), pics("a"), Condition{}) }, op.ErrConflict},
		"another replaces what it lists": {func(o *Objects) { keysOf(t, o); put(t, o, "k", nil) },
			func(o *Objects) { put(t, o, "a", []byte("new")) }, op.ErrConflict},
		"another deletes the bucket's objects and it": {func(o *Objects) { put(t, o, "k", nil) }, func(o *Objects) {
			o.Delete(t.Context(), pics("a"), Condition{})
			if err := o.DeleteBucket(t.Context(), app, "pics"); err != nil {
				t.Fatal(err)
			}
		}, op.ErrConflict},
		"another fills the quota": {func(o *Objects) { put(t, o, "k", nil) }, func(o *Objects) { put(t, o, "b", nil) }, op.ErrRange},
		"another puts another":    {func(o *Objects) { put(t, o, "a", []byte("new")) }, func(o *Objects) { put(t, o, "b", nil) }, nil},
	} {
		o := withBucket(t)
		put(t, o, "a", []byte("a"))
		if err := o.SetQuota(t.Context(), app, Quota{Objects: 2}); err != nil {
			t.Fatal(err)
		}
		seen, commit := over(t, o)
		c.do(seen)
		c.other(o)
		if err := commit(); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

// TestOverList lists what is in the store and what is the invocation's own, page by page.
func TestOverList(t *testing.T) {
	o := withBucket(t)
	var want []string
	seen, _ := over(t, o)
	for i := range 30 {
		key := fmt.Sprintf("%c/%02d", 'a'+i%4, i)
		if want = append(want, key); i%3 == 0 {
			put(t, o, key, nil)
		} else {
			put(t, seen, key, nil)
		}
	}
	slices.Sort(want)
	for limit := range 12 {
		if got, _ := listAll(t, seen, Query{Limit: limit}); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
		if got, _ := listAll(t, seen, Query{Limit: limit, Delimiter: "/"}); strings.Join(got, " ") != "a/: b/: c/: d/:" {
			t.Errorf("pages of %d: %v", limit, got)
		}
		if got, _ := listAll(t, seen, Query{Limit: limit, After: "b/01"}); !slices.Equal(got, want[slices.Index(want, "b/01")+1:]) {
			t.Errorf("pages of %d behind b/01: %v", limit, got)
		}
	}
}

// TestOverAtOnce has an invocation put and list several objects at once, and several invocations put beside one another:
// the counters are exact.
func TestOverAtOnce(t *testing.T) {
	o := withBucket(t)
	var invocations sync.WaitGroup
	for i := range 4 {
		seen, commit := over(t, o)
		invocations.Go(func() {
			var puts sync.WaitGroup
			for k := range 4 {
				puts.Go(func() {
					_, err := seen.Put(t.Context(), Put{Name: pics(fmt.Sprint(i, "/", k)), Body: body([]byte("x"))})
					if err == nil {
						_, err = seen.List(t.Context(), app, "pics", Query{Prefix: fmt.Sprint(i, "/")})
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			puts.Wait()
			if err := commit(); err != nil {
				t.Error(err)
			}
		})
	}
	invocations.Wait()
	if u, err := o.Usage(t.Context(), app, "pics"); err != nil || u.Objects != 16 || u.Bytes != 16 {
		t.Errorf("Usage = %+v, %v, want 16", u, err)
	}
	if all, _ := listAll(t, o, Query{}); len(all) != 16 {
		t.Errorf("there are %d objects, want 16", len(all))
	}
}

// TestOverForgotten: of an invocation that fails nothing stays for more than a day.
func TestOverForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := withBucket(t)
		defer maintain(t, o)()
		seen, _ := over(t, o)
		put(t, seen, "k", []byte("never"))
		if n := count(t, o); n != 1 {
			t.Fatalf("%d chunks, want 1", n)
		}
		time.Sleep(24 * time.Hour)
		if n := count(t, o); n != 0 {
			t.Errorf("after a day there are %d chunks", n)
		}
		next, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		for _, err := range seen.Happened(next, app) { // events are those of the store
			if err != nil {
				t.Error(err)
			}
			break
		}
	})
}
