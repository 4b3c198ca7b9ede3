package kvtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/sett-run/sett/kv/op"
)

// testModel compares the store with a map under random transactions.
func testModel(t *testing.T, s Store) {
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		m := model{namespace: fmt.Sprintf("model-%d", round), items: map[string]op.Item{}} // empty for each round
		for range rapid.IntRange(1, 8).Draw(t, "transactions") {
			m.step(t, s)
		}
	})
}

type model struct {
	namespace string
	items     map[string]op.Item
}

func (m *model) step(t *rapid.T, s Store) {
	key := rapid.SampledFrom([]string{"a", "ab", "b", "c"})
	txn := op.Txn{Namespace: m.namespace}
	holds := true
	for range rapid.IntRange(0, 2).Draw(t, "checks") {
		c := op.Check{Key: key.Draw(t, "checked")}
		if c.Revision = m.items[c.Key].Revision; rapid.IntRange(0, 3).Draw(t, "wrong") == 0 {
			c.Revision++
			holds = false
		}
		txn.Checks = append(txn.Checks, c)
	}
	for range rapid.IntRange(1, 4).Draw(t, "ops") {
		o := set(key.Draw(t, "key"), rapid.StringN(0, 4, 8).Draw(t, "value"))
		if rapid.Bool().Draw(t, "delete") {
			o = del(o.Key)
		}
		txn.Ops = append(txn.Ops, o)
	}
	revision, err := s.Commit(context.Background(), txn)
	if holds != (err == nil) || err != nil && !errors.Is(err, op.ErrConflict) {
		t.Fatalf("Commit(%+v) = %v, want success %v", txn, err, holds)
	}
	for _, o := range txn.Ops {
		if !holds {
			break
		}
		delete(m.items, o.Key)
		if o.Kind == op.Set {
			m.items[o.Key] = op.Item{Key: o.Key, Value: o.Value, Revision: revision}
		}
	}
	got, err := s.List(context.Background(), m.namespace, "")
	var want []op.Item
	for _, k := range slices.Sorted(maps.Keys(m.items)) {
		want = append(want, m.items[k])
	}
	if err != nil || !slices.EqualFunc(got, want, same) {
		t.Fatalf("after %+v: List = %+v, %v, want %+v", txn, got, err, want)
	}
}

// testIncrements counts from several goroutines by compare-and-set: none may be lost.
func testIncrements(t *testing.T, s Store) {
	const writers, each = 8, 20
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for done := 0; done < each; {
				item, err := s.Get(context.Background(), "app", "n")
				if err != nil && !errors.Is(err, op.ErrNotFound) {
					t.Errorf("Get = %v", err)
					return
				}
				n, _ := strconv.Atoi(string(item.Value))
				_, err = s.Commit(context.Background(), op.Txn{Namespace: "app",
					Checks: []op.Check{{Key: "n", Revision: item.Revision}}, Ops: []op.Op{set("n", strconv.Itoa(n+1))}})
				if err == nil {
					done++
				} else if !errors.Is(err, op.ErrConflict) {
					t.Errorf("Commit = %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	item, err := s.Get(context.Background(), "app", "n")
	if want := strconv.Itoa(writers * each); err != nil || string(item.Value) != want {
		t.Errorf("after %s increments: %q, %v", want, item.Value, err)
	}
}

// testSnapshots lists while others overwrite all keys at once: every listing is of one moment.
func testSnapshots(t *testing.T, s Store) {
	const keys, rounds = 20, 100
	write := func(n int) op.Txn {
		txn := op.Txn{Namespace: "app"}
		for i := range keys {
			txn.Ops = append(txn.Ops, set(fmt.Sprintf("%02d", i), strconv.Itoa(n)))
		}
		return txn
	}
	if _, err := s.Commit(context.Background(), write(0)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			last := uint64(0)
			for running := true; running; {
				select {
				case <-done:
					running = false // once more
				default:
				}
				items, err := s.List(context.Background(), "app", "")
				if err != nil || len(items) != keys {
					t.Errorf("List = %d items, %v, want %d", len(items), err, keys)
					return
				}
				first := items[0]
				if first.Revision < last {
					t.Errorf("List went back from revision %d to %d", last, first.Revision)
				}
				last = first.Revision
				for _, i := range items {
					if string(i.Value) != string(first.Value) || i.Revision != first.Revision {
						t.Errorf("List mixes %+v and %+v", first, i)
						return
					}
				}
			}
		})
	}
	for n := range rounds {
		if _, err := s.Commit(context.Background(), write(n)); err != nil {
			t.Errorf("Commit = %v", err)
			break
		}
	}
	close(done)
	group.Wait()
}
