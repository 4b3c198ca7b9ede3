package op

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
)

func set(key, value string) Op { return Op{Kind: Set, Key: key, Value: []byte(value)} }
func del(key string) Op        { return Op{Kind: Delete, Key: key} }

func commit(t *testing.T, m *Memory, ops ...Op) Result {
	t.Helper()
	r, err := m.Commit(t.Context(), Txn{Namespace: "app", Ops: ops})
	if err != nil {
		t.Fatalf("Commit(%+v) = %v", ops, err)
	}
	return r
}

// keys answers all keys and values, as "a=1 b=2".
func keys(t *testing.T, m *Memory) string {
	t.Helper()
	var all []string
	for i, err := range All(t.Context(), m, "app", Query{}) {
		if err != nil {
			t.Fatalf("All = %v", err)
		}
		all = append(all, fmt.Sprintf("%s=%s", i.Key, i.Value))
	}
	return strings.Join(all, " ")
}

func TestMemoryOps(t *testing.T) {
	for _, c := range []struct {
		name string
		op   Op
		want OpResult
		left string
		err  error
	}{
		{"set new", set("k", "v"), OpResult{}, "a=1 ab=x k=v", nil},
		{"set old", Op{Kind: Set, Key: "a", Value: []byte("2"), Previous: true}, OpResult{Found: true, Previous: []byte("1")}, "a=2 ab=x", nil},
		{"delete", Op{Kind: Delete, Key: "a", Previous: true}, OpResult{Found: true, Previous: []byte("1")}, "ab=x", nil},
		{"delete absent", Op{Kind: Delete, Key: "k", Previous: true}, OpResult{}, "a=1 ab=x", nil},
		{"incr", Op{Kind: Incr, Key: "a", Delta: 2}, OpResult{Found: true, Integer: 3}, "a=3 ab=x", nil},
		{"incr absent", Op{Kind: Incr, Key: "k", Delta: -2}, OpResult{Integer: -2}, "a=1 ab=x k=-2", nil},
		{"incr a text", Op{Kind: Incr, Key: "ab", Delta: 1}, OpResult{}, "a=1 ab=x", ErrNotInteger},
		{"incr too far", Op{Kind: Incr, Key: "a", Delta: 1, Max: 1, Bounded: true}, OpResult{}, "a=1 ab=x", ErrRange},
		{"append", Op{Kind: Append, Key: "ab", Value: []byte("yz"), Previous: true}, OpResult{Found: true, Integer: 3, Previous: []byte("x")}, "a=1 ab=xyz", nil},
		{"append absent", Op{Kind: Append, Key: "k", Value: []byte("yz")}, OpResult{Integer: 2}, "a=1 ab=x k=yz", nil},
		{"append too much", Op{Kind: Append, Key: "a", Value: make([]byte, MaxValueBytes)}, OpResult{}, "a=1 ab=x", ErrTooLarge},
		{"touch", Op{Kind: Touch, Key: "a"}, OpResult{Found: true}, "a=1 ab=x", nil},
		{"touch absent", Op{Kind: Touch, Key: "k"}, OpResult{}, "a=1 ab=x", nil},
		{"delete prefix", Op{Kind: DeletePrefix, Key: "a"}, OpResult{Found: true, Integer: 2}, "", nil},
		{"delete another prefix", Op{Kind: DeletePrefix, Key: "b"}, OpResult{}, "a=1 ab=x", nil},
	} {
		var m Memory
		commit(t, &m, set("a", "1"), set("ab", "x"))
		got, err := m.Commit(t.Context(), Txn{Namespace: "app", Ops: []Op{c.op, del("none")}})
		if !errors.Is(err, c.err) || c.err == nil && err != nil {
			t.Errorf("%s: Commit = %v, want %v", c.name, err, c.err)
		}
		if err == nil && fmt.Sprint(got.Ops[0]) != fmt.Sprint(c.want) {
			t.Errorf("%s: result %+v, want %+v", c.name, got.Ops[0], c.want)
		}
		if left := keys(t, &m); left != c.left {
			t.Errorf("%s: leaves %q, want %q", c.name, left, c.left)
		}
	}
}

func TestMemoryChecks(t *testing.T) {
	var m Memory
	at := commit(t, &m, set("a", "1")).Revision
	for _, c := range []struct {
		check Check
		holds bool
	}{
		{Check{Key: "a", Revision: at}, true},
		{Check{Key: "a", Revision: at - 1}, false},
		{Check{Key: "a"}, false},
		{Check{Key: "b"}, true},
		{Check{Key: "a", Kind: HasValue, Value: []byte("1")}, true},
		{Check{Key: "a", Kind: HasValue}, false},
		{Check{Key: "b", Kind: HasValue}, false},
		{Check{Key: "a", Kind: IsPresent}, true},
		{Check{Key: "b", Kind: IsPresent}, false},
	} {
		r, err := m.Commit(t.Context(), Txn{Namespace: "app", Checks: []Check{{Key: "b"}, c.check}})
		if c.holds && (err != nil || r.Revision < at) || !c.holds && !errors.Is(err, ErrConflict) {
			t.Errorf("Commit with check %+v = %+v, %v, want it to hold: %v", c.check, r, err, c.holds)
		}
	}
}

func TestMemoryTransactionIsWhole(t *testing.T) {
	var m Memory
	commit(t, &m, set("a", "1"))
	big := string(make([]byte, MaxValueBytes))
	commit(t, &m, set("big", big))
	commit(t, &m, set("bigger", big))
	for _, ops := range [][]Op{
		{set("a", "2"), {Kind: Incr, Key: "big"}},
		{set("a", "2"), {Kind: Touch, Key: "big"}, {Kind: Touch, Key: "bigger"}},
		{set("a", "2"), {Kind: Delete, Key: "big", Previous: true}, {Kind: Delete, Key: "a", Previous: true}},
	} {
		if _, err := m.Commit(t.Context(), Txn{Namespace: "app", Ops: ops}); err == nil {
			t.Errorf("Commit(%+v) succeeded", ops[1:])
		}
	}
	if i, err := m.Get(t.Context(), "app", "a", Read{}); err != nil || string(i.Value) != "1" {
		t.Errorf("after transactions that failed: Get = %q, %v, want 1", i.Value, err)
	}
	commit(t, &m, set("a", "5"), Op{Kind: Incr, Key: "a", Delta: 1}, Op{Kind: DeletePrefix, Key: "big"}, set("big", "small"))
	if got, want := keys(t, &m), "a=6 big=small"; got != want {
		t.Errorf("ops of one transaction leave %q, want %q", got, want)
	}
}

func TestMemoryDeletePrefixInParts(t *testing.T) {
	var m Memory
	const batch = 100
	for i := range MaxDeleteKeys/batch + 1 {
		ops := make([]Op, batch)
		for j := range ops {
			ops[j] = set(fmt.Sprintf("%02d-%02d", i, j), "")
		}
		commit(t, &m, ops...)
	}
	if _, err := m.Commit(t.Context(), Txn{Namespace: "app", Ops: []Op{{Kind: DeletePrefix}, {Kind: DeletePrefix}}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Commit that deletes more than MaxDeleteKeys = %v, want %v", err, ErrTooLarge)
	}
	for _, want := range []int64{MaxDeleteKeys, batch, 0} {
		if r := commit(t, &m, Op{Kind: DeletePrefix}); r.Ops[0].Integer != want {
			t.Errorf("DeletePrefix = %+v, want %d", r.Ops[0], want)
		}
	}
}

func TestMemoryGetMany(t *testing.T) {
	var m Memory
	commit(t, &m, set("a", "1"), set("b", "2"))
	items, err := m.GetMany(t.Context(), "app", []string{"b", "none", "a", "b"}, Read{Consistency: Strong})
	var got []string
	for _, i := range items {
		got = append(got, fmt.Sprintf("%s=%s/%v", i.Key, i.Value, i.Revision > 0))
	}
	if want := "b=2/true none=/false a=1/true b=2/true"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("GetMany = %v, %v, want %v", got, err, want)
	}
	if _, err := m.GetMany(t.Context(), "app", make([]string, MaxGets+1), Read{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("GetMany of too many = %v, want %v", err, ErrTooLarge)
	}
	if _, err := m.Get(t.Context(), "app", "none", Read{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get of an absent key = %v, want %v", err, ErrNotFound)
	}
}

func TestMemoryListStaysAtItsMoment(t *testing.T) {
	var m Memory
	commit(t, &m, set("a", "1"), set("b", "2"), set("c", "3"), set("d", "4"))
	first, err := m.List(t.Context(), "app", Query{Limit: 2})
	if err != nil || len(first.Items) != 2 || first.Cursor == "" {
		t.Fatalf("List = %+v, %v, want two items and a cursor", first, err)
	}
	commit(t, &m, del("c"), set("d", "new"), set("e", "5"))
	for range 2 { // a cursor can be used again
		rest, err := m.List(t.Context(), "app", Query{Cursor: first.Cursor, Limit: 2})
		if err != nil || len(rest.Items) != 2 || rest.Cursor != "" || rest.Revision != first.Revision ||
			string(rest.Items[0].Value)+string(rest.Items[1].Value) != "34" {
			t.Fatalf("second page = %+v, %v, want c and d as they were", rest, err)
		}
	}
	for cursor, want := range map[string]error{"zz": ErrCompacted, "not one": ErrInvalid} {
		if _, err := m.List(t.Context(), "app", Query{Cursor: cursor}); !errors.Is(err, want) {
			t.Errorf("List with cursor %q = %v, want %v", cursor, err, want)
		}
	}
	if _, err := m.List(t.Context(), "app", Query{Cursor: first.Cursor, Prefix: "b"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("List with the cursor of another query = %v, want %v", err, ErrInvalid)
	}
	for range keptListings {
		if _, err := m.List(t.Context(), "app", Query{Limit: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.List(t.Context(), "app", Query{Cursor: first.Cursor}); !errors.Is(err, ErrCompacted) {
		t.Errorf("List with an old cursor = %v, want %v", err, ErrCompacted)
	}
}

func TestMemoryListBytes(t *testing.T) {
	var m Memory
	for i := range 5 {
		commit(t, &m, set(fmt.Sprint(i), string(make([]byte, MaxValueBytes))))
	}
	page, err := m.List(t.Context(), "app", Query{})
	if err != nil || len(page.Items) != 3 { // the fourth does not fit, because of the keys
		t.Errorf("List = %d items, %v, want 3", len(page.Items), err)
	}
	page, err = m.List(t.Context(), "app", Query{KeysOnly: true})
	if err != nil || len(page.Items) != 5 || page.Items[0].Size != MaxValueBytes || page.Items[0].Value != nil {
		t.Errorf("List of keys only = %d items, %v, want 5 with sizes", len(page.Items), err)
	}
}

func TestMemoryExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Memory
		at := commit(t, &m, Op{Kind: Set, Key: "a", TTL: time.Minute}, set("b", "")).Revision
		commit(t, &m, Op{Kind: Incr, Key: "n", Delta: 1, TTL: time.Minute})
		time.Sleep(time.Minute - 1)
		commit(t, &m, Op{Kind: Incr, Key: "n", Delta: 1, TTL: time.Hour}, Op{Kind: Touch, Key: "b", TTL: time.Hour})
		if got, want := keys(t, &m), "a= b= n=2"; got != want {
			t.Errorf("before the end: %q, want %q", got, want)
		}
		var changes []string
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		for c, err := range m.Watch(ctx, "app", "", at) { // nothing but time makes them
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, fmt.Sprintf("%s deleted=%v", c.Key, c.Deleted))
		}
		if want := "n deleted=false, b deleted=false, n deleted=false, a deleted=true, n deleted=true, b deleted=true"; strings.Join(changes, ", ") != want {
			t.Errorf("watch saw %v, want %v", changes, want)
		}
		if u, err := m.Usage(t.Context(), "app"); err != nil || u.Keys != 0 {
			t.Errorf("Usage = %+v, %v, want nothing left", u, err)
		}
	})
}

func TestMemoryWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := Memory{History: 4}
		first := commit(t, &m, set("a", "1")).Revision
		commit(t, &m, set("b", "1"), set("a", "2"), set("gone", ""), del("gone"), del("never"))
		var seen []string
		ctx, cancel := context.WithCancel(t.Context())
		watch := func(prefix string, after uint64) {
			for c, err := range m.Watch(ctx, "app", prefix, after) {
				if err != nil {
					seen = append(seen, err.Error())
					return
				}
				seen = append(seen, fmt.Sprintf("%s=%s", c.Key, c.Value))
			}
		}
		go watch("", first)
		synctest.Wait()
		commit(t, &m, set("c", "1"))
		synctest.Wait()
		cancel()
		synctest.Wait()
		if got, want := strings.Join(seen, " "), "a=2 b=1 c=1"; got != want {
			t.Errorf("watch saw %q, want %q", got, want)
		}
		for i := range 4 {
			commit(t, &m, set("d", fmt.Sprint(i)))
		}
		for _, err := range m.Watch(t.Context(), "app", "", first) {
			if !errors.Is(err, ErrCompacted) {
				t.Errorf("Watch from an old revision = %v, want %v", err, ErrCompacted)
			}
			break
		}
		now := m.Watch(t.Context(), "app", "", 0)
		commit(t, &m, set("e", "1"))
		for c, err := range now {
			if err != nil || c.Key != "e" {
				t.Errorf("Watch from now on = %+v, %v, want e", c, err)
			}
			break
		}
	})
}

func TestMemoryQuota(t *testing.T) {
	var m Memory
	commit(t, &m, set("a", "123"), set("b", "123"))
	if err := m.SetQuota(t.Context(), "app", Quota{Keys: 1, Bytes: 6}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op   Op
		want error
	}{
		{set("c", ""), ErrQuota}, {set("a", "1234"), ErrQuota}, {set("a", "124"), nil}, {set("a", ""), nil},
		{del("b"), nil}, {set("c", ""), ErrQuota}, {set("a", "12345"), nil}, {set("a", "123456"), ErrQuota},
	} {
		_, err := m.Commit(t.Context(), Txn{Namespace: "app", Ops: []Op{c.op}})
		if !errors.Is(err, c.want) {
			t.Errorf("Commit(%+v) = %v, want %v", c.op, err, c.want)
		}
	}
	want := Usage{Keys: 1, Bytes: 6, Quota: Quota{Keys: 1, Bytes: 6}}
	if u, err := m.Usage(t.Context(), "app"); err != nil || u != want {
		t.Errorf("Usage = %+v, %v, want %+v", u, err, want)
	}
}

func TestMemoryOwnership(t *testing.T) {
	var m Memory
	value := []byte("mine")
	commit(t, &m, Op{Kind: Set, Key: "k", Value: value})
	copy(value, "your")
	got, err := m.Get(t.Context(), "app", "k", Read{})
	if err != nil || string(got.Value) != "mine" {
		t.Fatalf("Get = %q, %v, want what was committed", got.Value, err)
	}
	copy(got.Value, "ours")
	if again, _ := m.Get(t.Context(), "app", "k", Read{}); string(again.Value) != "mine" {
		t.Errorf("Get after its answer was changed = %q, want mine", again.Value)
	}
}

func TestMemoryCancelled(t *testing.T) {
	var m Memory
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, get := m.Get(ctx, "app", "k", Read{})
	_, list := m.List(ctx, "app", Query{})
	_, write := m.Commit(ctx, Txn{Namespace: "app"})
	for _, err := range []error{get, list, write} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with a cancelled context: %v, want %v", err, context.Canceled)
		}
	}
	for c, err := range m.Watch(ctx, "app", "", 1) {
		t.Errorf("Watch with a cancelled context = %+v, %v, want nothing", c, err)
	}
}

func TestMemoryConcurrent(t *testing.T) {
	var m Memory
	const writers, each = 4, 50
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	var watched []int64
	watch := m.Watch(ctx, "app", "n", 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c, err := range watch {
			n, _ := ParseInteger(c.Value)
			if watched = append(watched, n); err != nil || n == writers*each {
				return
			}
		}
	}()
	for range writers {
		group.Go(func() {
			for range each {
				if _, err := m.Commit(t.Context(), Txn{Namespace: "app", Ops: []Op{{Kind: Incr, Key: "n", Delta: 1}}}); err != nil {
					t.Errorf("Commit = %v", err)
				}
				if _, err := m.List(t.Context(), "app", Query{}); err != nil {
					t.Errorf("List = %v", err)
				}
			}
		})
	}
	group.Wait()
	<-done
	cancel()
	if len(watched) != writers*each || !slices.IsSorted(watched) {
		t.Errorf("watch saw %v, want 1 to %d", watched, writers*each)
	}
}
