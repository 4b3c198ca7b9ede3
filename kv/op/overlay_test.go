package op

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func put(key, value string) Op { return Op{Kind: Set, Key: key, Value: []byte(value)} }

func commitTo(t testing.TB, to interface {
	Commit(context.Context, Txn) (Result, error)
}, txn Txn) Result {
	t.Helper()
	txn.Namespace = "app"
	r, err := to.Commit(t.Context(), txn)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOverlay(t *testing.T) {
	m := new(Memory)
	r := commitTo(t, m, Txn{Ops: []Op{put("a", "1"), put("b", "2"), put("n", "5"), put("z", "9")}})
	o := NewOverlay(m, "app")
	if _, err := o.Get(t.Context(), "other", "a", Read{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("another namespace = %v", err)
	}
	if i, err := o.Get(t.Context(), "app", "a", Read{}); err != nil || string(i.Value) != "1" || i.Revision != r.Revision {
		t.Errorf("a = %+v, %v", i, err)
	}
	got := commitTo(t, o, Txn{Checks: []Check{{Key: "b", Kind: IsPresent}}, Ops: []Op{put("c", "x"), put("blind", "y"), {Kind: Incr, Key: "n", Delta: 2}, {Kind: Delete, Key: "b"}}})
	if got.Ops[2].Integer != 7 || !got.Ops[3].Found || got.Ops[0].Found {
		t.Errorf("commit = %+v", got)
	}
	if _, err := o.Commit(t.Context(), Txn{Namespace: "app", Checks: []Check{{Key: "c"}}, Ops: []Op{put("c", "z")}}); !errors.Is(err, ErrConflict) {
		t.Errorf("c is absent = %v, want a conflict with what was set before", err)
	}
	if i, err := o.Get(t.Context(), "app", "c", Read{Seen: got.Revision}); err != nil || string(i.Value) != "x" || i.Revision != got.Revision {
		t.Errorf("c = %+v, %v", i, err)
	}
	if _, err := o.Get(t.Context(), "app", "b", Read{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("b, which was deleted, = %v", err)
	}
	if page, err := o.List(t.Context(), "app", Query{}); err != nil || keysOf(page) != "[a blind c n z]" {
		t.Errorf("list = %s, %v", keysOf(page), err)
	}
	if u, err := m.Usage(t.Context(), "app"); err != nil || u.Keys != 4 {
		t.Errorf("the store holds %d keys, %v; nothing was to change", u.Keys, err)
	}
	checks, ops := o.Effects()
	if text := fmt.Sprintf("%v", names(checks)); text != "[a b n z]" {
		t.Errorf("checks %s, want what was read", text)
	}
	if len(ops) != 4 || ops[0].Key != "b" || ops[0].Kind != Delete || string(ops[3].Value) != "7" {
		t.Errorf("ops %+v", ops)
	}
	commitTo(t, m, Txn{Checks: checks, Ops: ops})
	if i, err := m.Get(t.Context(), "app", "n", Read{}); err != nil || string(i.Value) != "7" {
		t.Errorf("n = %+v, %v", i, err)
	}
	if _, err := m.Commit(t.Context(), Txn{Namespace: "app", Checks: checks, Ops: ops}); !errors.Is(err, ErrConflict) {
		t.Errorf("the same effects again = %v, want a conflict", err)
	}
}

func keysOf(p Page) string {
	var all []string
	for _, i := range p.Items {
		all = append(all, i.Key)
	}
	return fmt.Sprint(all)
}

func names(checks []Check) (all []string) {
	for _, c := range checks {
		all = append(all, c.Key)
	}
	return all
}

// TestOverlayIsLikeTheStore does the same on an overlay and on a store: it reads the same, and its effects make the store
// that it lies over the same.
func TestOverlayIsLikeTheStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		namespace := rapid.SampledFrom([]string{"app", ObjectsOf("app")}).Draw(t, "namespace")
		key := rapid.SampledFrom([]string{"a", "b", "c/1", "c/2", "c/3"})
		some := func() Txn {
			txn := Txn{Namespace: namespace}
			for range rapid.IntRange(1, 4).Draw(t, "ops") {
				p := Op{Kind: Kind(rapid.IntRange(1, 6).Draw(t, "kind")), Key: key.Draw(t, "key")}
				switch p.Kind {
				case Set, Append:
					p.Value = []byte(rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value"))
				case Incr:
					p.Delta = 1
				case Touch:
					p.TTL = time.Hour
				case DeletePrefix:
					p.Key = "c/"
				}
				txn.Ops = append(txn.Ops, p)
			}
			if rapid.Bool().Draw(t, "check") {
				txn.Checks = []Check{{Key: key.Draw(t, "key"), Kind: IsPresent}}
			}
			return txn
		}
		ctx := context.Background()
		under, model := new(Memory), new(Memory)
		first := some()
		_, _ = under.Commit(ctx, first) // as good as it goes
		_, _ = model.Commit(ctx, first)
		o := NewOverlay(under, namespace)
		if IsObjects(namespace) {
			o = NewObjectsOverlay(under, "app")
		}
		for range rapid.IntRange(1, 6).Draw(t, "transactions") {
			txn := some()
			got, err := o.Commit(ctx, txn)
			want, wantErr := model.Commit(ctx, txn)
			if (err == nil) != (wantErr == nil) || fmt.Sprint(got.Ops) != fmt.Sprint(want.Ops) {
				t.Fatalf("%+v = %+v, %v, want %+v, %v", txn, got.Ops, err, want.Ops, wantErr)
			}
			page, err := o.List(ctx, namespace, Query{Limit: 2})
			all := page.Items
			for err == nil && page.Cursor != "" {
				page, err = o.List(ctx, namespace, Query{Limit: 2, Cursor: page.Cursor})
				all = append(all, page.Items...)
			}
			wanted, _ := model.List(ctx, namespace, Query{})
			if err != nil || !slices.EqualFunc(all, wanted.Items, func(a, b Listed) bool { return a.Key == b.Key && string(a.Value) == string(b.Value) }) {
				t.Fatalf("list = %v, %v, want %v", all, err, wanted.Items)
			}
		}
		checks, ops := o.Effects()
		if _, err := under.Commit(ctx, Txn{Namespace: namespace, Checks: checks, Ops: ops}); err != nil {
			t.Fatal(err)
		}
		got, _ := under.List(ctx, namespace, Query{})
		want, _ := model.List(ctx, namespace, Query{})
		if !slices.EqualFunc(got.Items, want.Items, func(a, b Listed) bool {
			return a.Key == b.Key && string(a.Value) == string(b.Value) && a.Expires.IsZero() == b.Expires.IsZero()
		}) {
			t.Fatalf("the store has %v, want %v", got.Items, want.Items)
		}
	})
}

// TestObjectsOverlay: what is added to a counter of objects is added, whatever others add meanwhile, unless it was looked at.
func TestObjectsOverlay(t *testing.T) {
	incr := func(key string, delta, most int64) Txn {
		p := Op{Kind: Incr, Key: key, Delta: delta}
		if most != 0 {
			p.Bounded, p.Min, p.Max = true, math.MinInt64, most
		}
		return Txn{Namespace: ObjectsOf("app"), Ops: []Op{p}}
	}
	for name, c := range map[string]struct {
		do      func(o *Overlay) error // beside adding 2 within 10, and 3
		another int64                  // added by another meanwhile
		err     error
		want    string
	}{
		"alone":              {func(*Overlay) error { return nil }, 0, nil, "6"},
		"another adds":       {func(*Overlay) error { return nil }, 4, nil, "10"},
		"over the bound":     {func(*Overlay) error { return nil }, 5, ErrRange, "6"},
		"less in the end":    {func(o *Overlay) error { _, err := o.Commit(t.Context(), incr("n", -6, 0)); return err }, 10, nil, "10"},
		"nothing in the end": {func(o *Overlay) error { _, err := o.Commit(t.Context(), incr("n", -5, 0)); return err }, 10, nil, "11"},
		"looked at": {func(o *Overlay) error {
			i, err := o.Get(t.Context(), ObjectsOf("app"), "n", Read{})
			if string(i.Value) != "6" {
				t.Errorf("n = %s, want 6", i.Value)
			}
			return err
		}, 1, ErrConflict, "2"},
	} {
		under := new(Memory)
		under.Commit(t.Context(), incr("n", 1, 0))
		o := NewObjectsOverlay(under, "app")
		_, err := o.Commit(t.Context(), incr("n", 2, 10))
		_, more := o.Commit(t.Context(), incr("n", 3, 10))
		if err := errors.Join(err, more, c.do(o)); err != nil {
			t.Fatal(err)
		}
		under.Commit(t.Context(), incr("n", c.another, 0))
		checks, ops := o.Effects()
		_, err = under.Commit(t.Context(), Txn{Namespace: ObjectsOf("app"), Checks: checks, Ops: append(ops, Op{Kind: Set, Key: "x"})})
		i, _ := under.Get(t.Context(), ObjectsOf("app"), "n", Read{})
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || string(i.Value) != c.want {
			t.Errorf("%s: n = %s, %v, want %s, %v", name, i.Value, err, c.want, c.err)
		}
	}
	o := NewObjectsOverlay(new(Memory), "app")
	if _, err := o.Commit(t.Context(), incr("n", 11, 10)); !errors.Is(err, ErrRange) {
		t.Errorf("over the bound at once: %v", err)
	}
}

// TestOverlayFrom: a listing that begins behind a key has nothing of before it.
func TestOverlayFrom(t *testing.T) {
	o := NewOverlay(new(Memory), "app")
	for _, k := range []string{"a", "b", "c"} {
		o.Commit(t.Context(), Txn{Namespace: "app", Ops: []Op{{Kind: Set, Key: k}}})
	}
	page, err := o.List(t.Context(), "app", Query{From: "b"})
	if err != nil || len(page.Items) != 2 || page.Items[0].Key != "b" {
		t.Errorf("list from b = %+v, %v", page, err)
	}
}
