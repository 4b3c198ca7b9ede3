package component

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

// state is a Store in memory.
type state struct {
	op.Memory
	err error
}

func (s *state) Items(ctx context.Context, keys []string) ([]op.Item, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.GetMany(ctx, "app", keys, op.Read{})
}

func (s *state) Page(ctx context.Context, q op.Query) (op.Page, error) {
	if s.err != nil {
		return op.Page{}, s.err
	}
	q.Limit = 2
	return s.List(ctx, "app", q)
}

func (s *state) Commit(ctx context.Context, t op.Txn) (op.Result, error) {
	if s.err != nil {
		return op.Result{}, s.err
	}
	t.Namespace = "app"
	return s.Memory.Commit(ctx, t)
}

// bucket opens the bucket.
func (w *world) bucket(version string) uint64 {
	name, n := w.text(first, bucketName)
	if w.do("wasi:keyvalue/store"+version+"#open", name, n, result); w.u8(result) != 0 {
		w.t.Fatalf("open: error %d", w.u8(result+4))
	}
	return w.u32(result + 4)
}

func TestState(t *testing.T) {
	for _, version := range []string{"@0.2", "@0.2-draft2"} {
		w := newWorld(t)
		w.call.Store = new(state)
		b := w.bucket(version)
		store, batch, atomics := "wasi:keyvalue/store"+version+"#", "wasi:keyvalue/batch"+version+"#", "wasi:keyvalue/atomics"+version+"#"
		k, n := w.text(first, "key")
		v, m := w.text(second, "value")
		if w.do(store+"[method]bucket.get", b, k, n, result); w.u8(result) != 0 || w.u8(result+4) != 0 {
			t.Error("an absent key has a value")
		}
		if w.do(store+"[method]bucket.set", b, k, n, v, m, result); w.u8(result) != 0 {
			t.Error("set fails")
		}
		if w.do(store+"[method]bucket.get", b, k, n, result); w.u8(result) != 0 || w.u8(result+4) != 1 || w.string(result+8) != "value" {
			t.Errorf("get: %d %d %q", w.u8(result), w.u8(result+4), w.string(result+8))
		}
		if w.do(store+"[method]bucket.exists", b, k, n, result); w.u8(result) != 0 || w.u8(result+4) != 1 {
			t.Error("a key does not exist")
		}
		if w.do(atomics+"increment", b, k, 1, 5, result); w.u8(result) != 0 || w.u64(result+8) != 5 {
			t.Errorf("increment: %d %d, want 5", w.u8(result), w.u64(result+8))
		}
		pairs, pn := w.pairs("a", "1", "b", "")
		if w.do(batch+"set-many", b, pairs, pn/2, result); w.u8(result) != 0 {
			t.Error("set-many fails")
		}
		keys, kn := w.pairs("a", "none", "b")
		w.do(batch+"get-many", b, keys, kn, result)
		at := uint32(w.u32(result + 4))
		if w.u8(result) != 0 || w.u32(result+8) != 3 || w.u8(at) != 1 || w.string(at+4) != "a" || w.string(at+12) != "1" ||
			w.u8(at+20) != 0 || w.u8(at+40) != 1 || w.string(at+44) != "b" || w.string(at+52) != "" {
			t.Errorf("get-many: %d, %d values", w.u8(result), w.u32(result+8))
		}
		if w.do(batch+"delete-many", b, keys, kn, result); w.u8(result) != 0 {
			t.Error("delete-many fails")
		}
		if w.do(store+"[method]bucket.delete", b, k, n, result); w.u8(result) != 0 {
			t.Error("delete fails")
		}
		if w.do(store+"[method]bucket.exists", b, k, n, result); w.u8(result) != 0 || w.u8(result+4) != 0 {
			t.Error("a deleted key exists")
		}
	}
}

func TestStateListing(t *testing.T) {
	w := newWorld(t)
	s := new(state)
	w.call.Store = s
	for i := range 5 {
		if _, err := s.Commit(t.Context(), op.Txn{Ops: []op.Op{{Kind: op.Set, Key: fmt.Sprint("k", i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	b, args := w.bucket("@0.2"), []uint64{0, 0}
	for range 3 {
		w.do("wasi:keyvalue/store@0.2#[method]bucket.list-keys", b, args[0], args[1], result)
		all = append(all, w.strings(result+8, 1)...)
		args = []uint64{uint64(w.u8(result + 16)), w.u64(result + 24)}
	}
	b, args = w.bucket("@0.2-draft2"), []uint64{0, 0, 0}
	for range 3 {
		w.do("wasi:keyvalue/store@0.2-draft2#[method]bucket.list-keys", b, args[0], args[1], args[2], result)
		all = append(all, w.strings(result+4, 1)...)
		args = []uint64{uint64(w.u8(result + 12)), w.u32(result + 16), w.u32(result + 20)}
	}
	if got, want := strings.Join(all, " "), "k0 k1 k2 k3 k4 k0 k1 k2 k3 k4"; got != want || args[0] != 0 {
		t.Errorf("keys %s, want %s", got, want)
	}
	b = w.bucket("@0.2")
	if w.do("wasi:keyvalue/store@0.2#[method]bucket.list-keys", b, 1, 7, result); w.u8(result) != 1 || w.string(result+12) != "cursor 7 is unknown" {
		t.Errorf("an unknown cursor: %d", w.u8(result))
	}
}

func TestSwap(t *testing.T) {
	w := newWorld(t)
	s := new(state)
	w.call.Store = s
	b := w.bucket("@0.2-draft2")
	k, n := w.text(first, "key")
	v, m := w.text(second, "new")
	take := func() uint64 {
		w.do("[static]cas.new", b, k, n, result)
		return w.u32(result + 4)
	}
	absent, other := take(), take()
	if w.do("[method]cas.current", absent, result); w.u8(result) != 0 || w.u8(result+4) != 0 {
		t.Error("an absent key has a value")
	}
	if w.do("swap", absent, v, m, result); w.u8(result) != 0 {
		t.Errorf("swap: error %d", w.u8(result+4))
	}
	if w.do("swap", other, v, m, result); w.u8(result) != 1 || w.u8(result+4) != 1 {
		t.Fatalf("swap of what has changed: %d %d", w.u8(result), w.u8(result+4))
	}
	again := w.u32(result + 8)
	if w.do("[method]cas.current", again, result); w.u8(result+4) != 1 || w.string(result+8) != "new" {
		t.Error("what has changed is not told")
	}
	if w.do("swap", again, v, m, result); w.u8(result) != 0 {
		t.Error("swap of what is current fails")
	}
	last := take()
	s.err = op.ErrUnavailable
	if w.do("swap", last, v, m, result); w.u8(result) != 1 || w.u8(result+4) != 0 || w.u8(result+8) != 2 || w.string(result+12) != s.err.Error() {
		t.Errorf("swap where the store fails: %d %d %d", w.u8(result), w.u8(result+4), w.u8(result+8))
	}
}

func TestStateErrors(t *testing.T) {
	w := newWorld(t)
	name, n := w.text(first, bucketName)
	if w.do("wasi:keyvalue/store@0.2#open", name, n, result); w.u8(result) != 1 || w.u8(result+4) != 0 {
		t.Error("a bucket can be opened where there is no state")
	}
	s := new(state)
	w.call.Store = s
	if w.do("wasi:keyvalue/store@0.2#open", name, 3, result); w.u8(result) != 1 || w.u8(result+4) != 0 {
		t.Error("a bucket of another name can be opened")
	}
	b := w.bucket("@0.2")
	s.err = errors.New("broken")
	for call, args := range map[string][]uint64{
		"wasi:keyvalue/store@0.2#[method]bucket.get":    {b, name, 1, result},
		"wasi:keyvalue/store@0.2#[method]bucket.set":    {b, name, 1, name, 1, result},
		"wasi:keyvalue/store@0.2#[method]bucket.exists": {b, name, 1, result},
		"wasi:keyvalue/store@0.2#[method]bucket.delete": {b, name, 1, result},
		"wasi:keyvalue/batch@0.2#get-many":              {b, name, 0, result},
		"[static]cas.new":                               {b, name, 1, result},
	} {
		if w.do(call, args...); w.u8(result) != 1 || w.u8(result+4) != 2 || w.string(result+8) != "broken" {
			t.Errorf("%s: %d %d, want another error", call, w.u8(result), w.u8(result+4))
		}
	}
	w.do("wasi:keyvalue/atomics@0.2#increment", b, name, 1, 1, result)
	if w.u8(result) != 1 || w.u8(result+8) != 2 || w.string(result+12) != "broken" {
		t.Errorf("increment: %d %d", w.u8(result), w.u8(result+8))
	}
}
