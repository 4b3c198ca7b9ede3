package sett

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv"
	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/fsm"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/kv/queue"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// guestObjects are objects as a node gives them to functions.
type guestObjects struct{ *blob.Objects }

func (g guestObjects) By(origin op.ObjectOrigin, records host.Store) host.ObjectCalls {
	objects := g.Objects.By(origin)
	if records != nil {
		objects = objects.Over(records)
	}
	return objects
}

// openObjects answers objects on disk, with a bucket pics of app shop.
func openObjects(t *testing.T, s blob.Store) *blob.Objects {
	t.Helper()
	objects, err := blob.Open(blob.Config{Dir: t.TempDir(), Store: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	if err := objects.CreateBucket(t.Context(), "shop", op.Bucket{Name: "pics", Events: true}); err != nil {
		t.Fatal(err)
	}
	return objects
}

// TestBlobGuestRuns has a module built by the Go toolchain work on objects on disk.
func TestBlobGuestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles WebAssembly modules")
	}
	objects := openObjects(t, new(op.Memory))
	r, v, sink := deployedIn(t, runtime.Config{Objects: guestObjects{objects}, MaxObjectCalls: 300}, "blob", "c-shared")
	ask := func(method, path, body, want string) {
		t.Helper()
		got, err := r.Invoke(context.Background(), v, request(method, path, body))
		if err != nil {
			t.Fatalf("%s %s: %v, log %q", method, path, err, sink.take())
		}
		if string(got.Body) != want {
			t.Errorf("%s %s = %q, want %q", method, path, got.Body, want)
		}
	}
	ask("PUT", "/a", "hello", "5d41402abc4b2a76b9719d911017c592")
	ask("PUT", "/a", "other", "object pics/a: put: put object: it is there: "+op.ErrPrecondition.Error())
	ask("GET", "/a", "", "text/plain llo")
	ask("PUT", "/dir/c", "", "d41d8cd98f00b204e9800998ecf8427e")
	ask("GET", "/dir/c", "", "object pics/dir/c: get: byte 2 of 0: "+abi.ErrNoRange.Error())
	ask("POST", "/move", "", "b a true")
	ask("POST", "/half", "", "")
	ask("POST", "/grow/40", strings.Repeat("x", 1<<20), "41943040 41943040")
	ask("POST", "/list", "", "b dir/ large ")
	ask("POST", "/many", "", "object pics/b: head: "+abi.ErrObjectCalls.Error()+": 300")
	events, err := objects.Events(t.Context(), "shop")
	if err != nil || len(events) != 5 || events[0].Origin.Function != v.Function {
		t.Errorf("events %+v, %v, want 5 of %s", events, err, v.Function)
	}
	v.App = "other"
	ask("GET", "/b", "", "object pics/b: get: open object: pics: "+op.ErrNoBucket.Error())
}

// TestBlobGuestEffects has a module's objects, and its state, change when it has succeeded, at once, and not at all when it
// has failed or something it saw has changed.
func TestBlobGuestEffects(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles WebAssembly modules")
	}
	ctx := context.Background()
	s, err := kv.Open(ctx, kv.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := errors.Join(s.CaughtUp(ctx), s.RaiseLevel(ctx, fsm.Level)); err != nil {
		t.Fatal(err)
	}
	objects := openObjects(t, s)
	r, v, _ := deployedIn(t, runtime.Config{Store: s, Objects: guestObjects{objects}}, "blob", "c-shared")
	v.Settings.Effects = registry.EffectsTransactional
	put := func(key string) {
		t.Helper()
		_, err := objects.Put(ctx, op.ObjectPut{Name: op.ObjectName{App: "shop", Bucket: "pics", Key: key}, Body: op.ObjectBody{Reader: strings.NewReader(key), Size: op.Unsized}})
		if err != nil {
			t.Fatal(err)
		}
	}
	there := func(want string) {
		t.Helper()
		page, err := objects.List(ctx, "shop", "pics", op.ObjectQuery{})
		got := ""
		for _, o := range page.Objects {
			got += o.Key + " "
		}
		item, kvErr := s.Get(ctx, "shop", "n", op.Read{Consistency: op.Strong})
		if got += string(item.Value); err != nil || got != want {
			t.Errorf("there is %q, %v, %v, want %q", got, err, kvErr, want)
		}
	}
	invoke := func(path string) *abi.Result {
		got, _ := r.Invoke(ctx, v, request("POST", path, "body"))
		return got
	}
	put("b")
	if got := invoke("/transact/panic"); got.Effects != nil {
		t.Errorf("an invocation that failed asks for %+v", got.Effects)
	}
	there("b ")
	first, second := invoke("/transact/well"), invoke("/transact/well")
	if want := "body true t"; string(first.Body) != want || string(second.Body) != want {
		t.Fatalf("it sees %q and %q, want %q", first.Body, second.Body, want)
	}
	there("b ")
	put("other") // which neither saw, but for the list
	q := queue.Open(s)
	if err := q.Commit(ctx, "shop", first.Effects, op.Ending{}); err != nil {
		t.Fatal(err)
	}
	there("other t 1")
	if err := q.Commit(ctx, "shop", second.Effects, op.Ending{}); !errors.Is(err, op.ErrConflict) {
		t.Errorf("the second = %v, want %v", err, op.ErrConflict)
	}
	there("other t 1")
	if got := invoke("/half"); got.Effects != nil {
		t.Errorf("an object put half asks for %+v", got.Effects)
	}
}
