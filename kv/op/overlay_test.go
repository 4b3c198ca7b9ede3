package op

import (
	"context"
	"errors"
	"fmt"
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
		key := rapid.SampledFrom([]string{"a", "b", "c/1", "c/2", "c/3"})
		some := func() Txn {
			txn := Txn{Namespace: "app"}
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
		o := NewOverlay(under, "app")
		for range rapid.IntRange(1, 6).Draw(t, "transactions") {
			txn := some()
			got, err := o.Commit(ctx, txn)
			want, wantErr := model.Commit(ctx, txn)
			if (err == nil) != (wantErr == nil) || fmt.Sprint(got.Ops) != fmt.Sprint(want.Ops) {
				t.Fatalf("%+v = %+v, %v, want %+v, %v", txn, got.Ops, err, want.Ops, wantErr)
			}
			page, err := o.List(ctx, "app", Query{Limit: 2})
			all := page.Items
			for err == nil && page.Cursor != "" {
				page, err = o.List(ctx, "app", Query{Limit: 2, Cursor: page.Cursor})
				all = append(all, page.Items...)
			}
			wanted, _ := model.List(ctx, "app", Query{})
			if err != nil || !slices.EqualFunc(all, wanted.Items, func(a, b Listed) bool { return a.Key == b.Key && string(a.Value) == string(b.Value) }) {
				t.Fatalf("list = %v, %v, want %v", all, err, wanted.Items)
			}
		}
		checks, ops := o.Effects()
		if _, err := under.Commit(ctx, Txn{Namespace: "app", Checks: checks, Ops: ops}); err != nil {
			t.Fatal(err)
		}
		got, _ := under.List(ctx, "app", Query{})
		want, _ := model.List(ctx, "app", Query{})
		if !slices.EqualFunc(got.Items, want.Items, func(a, b Listed) bool {
			return a.Key == b.Key && string(a.Value) == string(b.Value) && a.Expires.IsZero() == b.Expires.IsZero()
		}) {
			t.Fatalf("the store has %v, want %v", got.Items, want.Items)
		}
	})
}
