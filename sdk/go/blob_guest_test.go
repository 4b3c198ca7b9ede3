package sett

import (
	"context"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/blob"
	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/runtime"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/sdk/abi"
)

// guestObjects are objects as a node gives them to functions.
type guestObjects struct{ *blob.Objects }

func (g guestObjects) By(origin op.ObjectOrigin, _ host.Store) host.ObjectCalls {
	return g.Objects.By(origin)
}

// TestBlobGuestRuns has a module built by the Go toolchain work on objects on disk.
func TestBlobGuestRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles WebAssembly modules")
	}
	objects, err := blob.Open(blob.Config{Dir: t.TempDir(), Store: &op.Memory{}})
	if err != nil {
		t.Fatal(err)
	}
	defer objects.Close()
	if err := objects.CreateBucket(t.Context(), "shop", op.Bucket{Name: "pics", Events: true}); err != nil {
		t.Fatal(err)
	}
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
