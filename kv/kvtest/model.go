package kvtest

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/sett-run/sett/kv/op"
)

// testModel compares the store with op.Memory under random transactions.
func testModel(t *testing.T, s Store) {
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		m := model{store: s, namespace: fmt.Sprintf("model-%d", round), revisions: map[uint64]uint64{0: 0}} // empty for each round
		for range rapid.IntRange(1, 8).Draw(r, "transactions") {
			m.step(t, r)
		}
	})
}

type model struct {
	store     Store
	want      op.Memory
	namespace string
	revisions map[uint64]uint64 // of the store, by those of want
}

// step does a random transaction in both and compares what it did and what is there.
func (m *model) step(t *testing.T, r *rapid.T) {
	txn := op.Txn{Namespace: m.namespace}
	theirs := txn
	for range rapid.IntRange(0, 2).Draw(r, "checks") {
		c, w := m.check(t, r)
		txn.Checks, theirs.Checks = append(txn.Checks, c), append(theirs.Checks, w)
	}
	for range rapid.IntRange(0, 4).Draw(r, "ops") {
		txn.Ops = append(txn.Ops, someOp(r))
	}
	theirs.Ops = txn.Ops
	want, wantErr := m.want.Commit(t.Context(), theirs)
	got, err := m.store.Commit(t.Context(), txn)
	for _, e := range []error{op.ErrConflict, op.ErrNotInteger, op.ErrRange} {
		if errors.Is(err, e) != errors.Is(wantErr, e) {
			r.Fatalf("Commit(%+v) = %v, want %v", txn, err, wantErr)
		}
	}
	if (err == nil) != (wantErr == nil) || fmt.Sprint(got.Ops) != fmt.Sprint(want.Ops) {
		r.Fatalf("Commit(%+v) = %+v, %v, want %+v, %v", txn, got, err, want, wantErr)
	}
	m.revisions[want.Revision] = got.Revision
	m.compare(t, r)
}

// check answers one for the store and the same for the model. One in four does not hold.
func (m *model) check(t *testing.T, r *rapid.T) (ours, theirs op.Check) {
	theirs.Key = someKey.Draw(r, "checked")
	items, err := m.want.GetMany(t.Context(), m.namespace, []string{theirs.Key}, op.Read{})
	if err != nil {
		r.Fatal(err)
	}
	wrong := rapid.IntRange(0, 3).Draw(r, "wrong") == 0
	switch theirs.Kind = op.CheckKind(rapid.IntRange(0, 2).Draw(r, "check")); theirs.Kind {
	case op.HasValue:
		if theirs.Value = items[0].Value; wrong {
			theirs.Value = []byte("never")
		}
	case op.HasRevision:
		theirs.Revision = items[0].Revision
		ours = theirs
		if ours.Revision = m.revisions[theirs.Revision]; wrong {
			ours.Revision++
			theirs.Revision++
		}
		return ours, theirs
	}
	return theirs, theirs
}

var someKey = rapid.SampledFrom([]string{"a", "ab", "b", "c"})

func someOp(r *rapid.T) op.Op {
	o := op.Op{Kind: op.Kind(rapid.IntRange(1, 6).Draw(r, "op")), Key: someKey.Draw(r, "key")}
	switch o.Kind {
	case op.Set, op.Append:
		o.Value = []byte(rapid.SampledFrom([]string{"", "1", "-7", "text"}).Draw(r, "value"))
		o.Previous = rapid.Bool().Draw(r, "previous")
	case op.Delete:
		o.Previous = rapid.Bool().Draw(r, "previous")
	case op.Incr:
		o.Delta = rapid.Int64Range(-2, 2).Draw(r, "delta")
		if o.Bounded = rapid.Bool().Draw(r, "bounded"); o.Bounded {
			o.Min, o.Max = -3, 3
		}
	}
	return o
}

func (m *model) compare(t *testing.T, r *rapid.T) {
	want, err := m.want.List(t.Context(), m.namespace, op.Query{})
	if err != nil {
		r.Fatal(err)
	}
	got, err := m.store.List(t.Context(), m.namespace, op.Query{Read: strong})
	if err != nil || len(got.Items) != len(want.Items) {
		r.Fatalf("List = %+v, %v, want %+v", got, err, want)
	}
	for i, w := range want.Items {
		if w.Revision = m.revisions[w.Revision]; !same(got.Items[i].Item, w.Item) || got.Items[i].Size != w.Size {
			r.Fatalf("List = %+v at %d, want %+v", got.Items[i], i, w)
		}
	}
	used, _ := m.want.Usage(t.Context(), m.namespace)
	if u, err := m.store.Usage(t.Context(), m.namespace); err != nil || u != used {
		r.Fatalf("Usage = %+v, %v, want %+v", u, err, used)
	}
}
