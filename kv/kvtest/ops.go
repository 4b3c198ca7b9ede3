package kvtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// testOps does each kind of op on what is there and on what is not.
func testOps(t *testing.T, s Store) {
	for i, c := range []struct {
		op   op.Op
		want op.OpResult
		left string
		err  error
	}{
		{set("k", "v"), op.OpResult{}, "a=1 ab=x k=v", nil},
		{op.Op{Kind: op.Set, Key: "a", Value: []byte("2"), Previous: true}, op.OpResult{Found: true, Previous: []byte("1")}, "a=2 ab=x", nil},
		{op.Op{Kind: op.Set, Key: "k", Previous: true}, op.OpResult{}, "a=1 ab=x k=", nil},
		{op.Op{Kind: op.Delete, Key: "a", Previous: true}, op.OpResult{Found: true, Previous: []byte("1")}, "ab=x", nil},
		{op.Op{Kind: op.Delete, Key: "k", Previous: true}, op.OpResult{}, "a=1 ab=x", nil},
		{op.Op{Kind: op.Incr, Key: "a", Delta: 2}, op.OpResult{Found: true, Integer: 3}, "a=3 ab=x", nil},
		{op.Op{Kind: op.Incr, Key: "k", Delta: -2}, op.OpResult{Integer: -2}, "a=1 ab=x k=-2", nil},
		{op.Op{Kind: op.Incr, Key: "a", Delta: 1, Min: 0, Max: 2, Bounded: true}, op.OpResult{Found: true, Integer: 2}, "a=2 ab=x", nil},
		{op.Op{Kind: op.Incr, Key: "a", Delta: 1, Min: 0, Max: 1, Bounded: true}, op.OpResult{}, "a=1 ab=x", op.ErrRange},
		{op.Op{Kind: op.Incr, Key: "ab", Delta: 1}, op.OpResult{}, "a=1 ab=x", op.ErrNotInteger},
		{op.Op{Kind: op.Append, Key: "ab", Value: []byte("yz"), Previous: true}, op.OpResult{Found: true, Integer: 3, Previous: []byte("x")}, "a=1 ab=xyz", nil},
		{op.Op{Kind: op.Append, Key: "k", Value: []byte("yz")}, op.OpResult{Integer: 2}, "a=1 ab=x k=yz", nil},
		{op.Op{Kind: op.Append, Key: "a", Value: make([]byte, op.MaxValueBytes)}, op.OpResult{}, "a=1 ab=x", op.ErrTooLarge},
		{op.Op{Kind: op.Touch, Key: "a"}, op.OpResult{Found: true}, "a=1 ab=x", nil},
		{op.Op{Kind: op.Touch, Key: "k", TTL: time.Hour}, op.OpResult{}, "a=1 ab=x", nil},
		{op.Op{Kind: op.DeletePrefix, Key: "a"}, op.OpResult{Found: true, Integer: 2}, "", nil},
		{op.Op{Kind: op.DeletePrefix, Key: "b"}, op.OpResult{}, "a=1 ab=x", nil},
		{op.Op{Kind: op.DeletePrefix}, op.OpResult{Found: true, Integer: 2}, "", nil},
	} {
		namespace := fmt.Sprint("ops-", i)
		commit(t, s, namespace, set("a", "1"), set("ab", "x"))
		got, err := s.Commit(t.Context(), op.Txn{Namespace: namespace, Ops: []op.Op{c.op, del("none")}})
		if c.err == nil && err != nil || !errors.Is(err, c.err) {
			t.Errorf("%d: Commit = %v, want %v", i, err, c.err)
		}
		if err == nil && (len(got.Ops) != 2 || fmt.Sprint(got.Ops[0]) != fmt.Sprint(c.want)) {
			t.Errorf("%d: results %+v, want %+v first", i, got.Ops, c.want)
		}
		if left := content(t, s, namespace, ""); left != c.left {
			t.Errorf("%d: leaves %.80q, want %q", i, left, c.left)
		}
	}
}

// testWhole does transactions whose later ops see what earlier ones did, or undo it by failing.
func testWhole(t *testing.T, s Store) {
	incr := op.Op{Kind: op.Incr, Key: "a", Delta: 1}
	commit(t, s, "app", set("a", "1"), set("text", "x"))
	commit(t, s, "app", set("a", "5"), incr, op.Op{Kind: op.DeletePrefix, Key: "t"}, set("text", "y"), incr)
	want := "a=7 text=y"
	if got := content(t, s, "app", ""); got != want {
		t.Errorf("ops of one transaction leave %q, want %q", got, want)
	}
	_, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{set("a", "1"), {Kind: op.DeletePrefix}, set("b", "x"), {Kind: op.Incr, Key: "b"}}})
	if got := content(t, s, "app", ""); !errors.Is(err, op.ErrNotInteger) || got != want {
		t.Errorf("a transaction that failed with %v leaves %q, want %v and %q", err, got, op.ErrNotInteger, want)
	}
	if r := commit(t, s, "app"); r.Revision == 0 || len(r.Ops) != 0 {
		t.Errorf("a transaction of nothing answers %+v, want the newest revision", r)
	}
	big := make([]byte, op.MaxValueBytes)
	commit(t, s, "app", op.Op{Kind: op.Set, Key: "b", Value: big})
	commit(t, s, "app", op.Op{Kind: op.Set, Key: "c", Value: big})
	for _, ops := range [][]op.Op{
		{{Kind: op.Touch, Key: "b"}, {Kind: op.Touch, Key: "c"}},                                      // writes too much
		{{Kind: op.Delete, Key: "b", Previous: true}, {Kind: op.Delete, Key: "text", Previous: true}}, // answers too much
	} {
		if _, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: ops}); !errors.Is(err, op.ErrTooLarge) {
			t.Errorf("Commit(%+v) = %v, want %v", ops, err, op.ErrTooLarge)
		}
	}
}

// testDeletePrefix deletes more than goes at once.
func testDeletePrefix(t *testing.T, s Store) {
	fill(t, s, op.MaxDeleteKeys+24)
	commit(t, s, "app", set("other", ""))
	all := op.Op{Kind: op.DeletePrefix, Key: "k"}
	if _, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{all, all}}); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("Commit that deletes more than op.MaxDeleteKeys = %v, want %v", err, op.ErrTooLarge)
	}
	for _, want := range []int64{op.MaxDeleteKeys, 24, 0} {
		if r := commit(t, s, "app", all); r.Ops[0].Integer != want || r.Ops[0].Found != (want > 0) {
			t.Errorf("DeletePrefix = %+v, want %d keys", r.Ops[0], want)
		}
	}
	if got := content(t, s, "app", ""); got != "other=" {
		t.Errorf("what is left is %.80q, want the other key", got)
	}
}

// fill makes n keys k0000, k0001, ...
func fill(t *testing.T, s Store, n int) {
	t.Helper()
	for i := 0; i < n; {
		var ops []op.Op
		for ; i < n && len(ops) < op.MaxOps; i++ {
			ops = append(ops, set(fmt.Sprintf("k%04d", i), ""))
		}
		commit(t, s, "app", ops...)
	}
}

// testExpiry waits for keys to end, however long the store takes; times are not compared with the machine's clock.
func testExpiry(t *testing.T, s Store) {
	first := commit(t, s, "app", op.Op{Kind: op.Set, Key: "long", TTL: time.Hour}, op.Op{Kind: op.Incr, Key: "count", Delta: 1, TTL: time.Hour}, set("stays", ""))
	before, err := s.GetMany(t.Context(), "app", []string{"long", "count", "stays"}, strong)
	if err != nil || before[0].Expires.IsZero() || !before[0].Expires.Equal(before[1].Expires) || !before[2].Expires.IsZero() {
		t.Errorf("GetMany = %+v, %v, want two keys that expire at once", before, err)
	}
	commit(t, s, "app", op.Op{Kind: op.Touch, Key: "long"}, op.Op{Kind: op.Incr, Key: "count", Delta: 1, TTL: 2 * time.Hour},
		op.Op{Kind: op.Touch, Key: "stays", TTL: time.Hour})
	after, err := s.GetMany(t.Context(), "app", []string{"long", "count", "stays"}, strong)
	if err != nil || !after[0].Expires.IsZero() || !after[1].Expires.Equal(before[1].Expires) || after[2].Expires.IsZero() {
		t.Errorf("GetMany = %+v, %v, want a life without end, the same one, and one with an end", after, err)
	}
	commit(t, s, "app", op.Op{Kind: op.Set, Key: "short", TTL: op.MinTTL}, op.Op{Kind: op.Set, Key: "short2", TTL: op.MinTTL})
	var gone []string
	for c, err := range s.Watch(t.Context(), "app", "short", first.Revision) {
		if err != nil {
			t.Fatalf("Watch = %v", err)
		}
		if c.Deleted {
			gone = append(gone, c.Key)
		} else if c.Expires.IsZero() {
			t.Errorf("Watch yields %+v, want when it expires", c)
		}
		if len(gone) == 2 {
			break
		}
	}
	if got, want := content(t, s, "app", ""), "count=2 long= stays="; strings.Join(gone, " ") != "short short2" || got != want {
		t.Errorf("%q are gone and %q is left, want %q", gone, got, want)
	}
	if r := commit(t, s, "app", del("short")); r.Ops[0].Found {
		t.Errorf("an expired key is found by delete")
	}
}

func testQuota(t *testing.T, s Store) {
	commit(t, s, "app", set("a", "123"), set("b", "123"))
	commit(t, s, "other", set("a", "123"))
	quota := op.Quota{Keys: 1, Bytes: 6}
	if err := s.SetQuota(t.Context(), "app", quota); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		op   op.Op
		want error
	}{
		{set("c", ""), op.ErrQuota}, {set("a", "1234"), op.ErrQuota}, {set("a", "124"), nil}, {set("a", ""), nil},
		{del("b"), nil}, {set("c", ""), op.ErrQuota}, {set("a", "12345"), nil}, {set("a", "123456"), op.ErrQuota},
	} {
		_, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Ops: []op.Op{c.op}})
		if c.want == nil && err != nil || !errors.Is(err, c.want) {
			t.Errorf("%d: Commit = %v, want %v", i, err, c.want)
		}
	}
	for namespace, want := range map[string]op.Usage{"app": {Keys: 1, Bytes: 6, Quota: quota}, "other": {Keys: 1, Bytes: 4}, "none": {}} {
		if u, err := s.Usage(t.Context(), namespace); err != nil || u != want {
			t.Errorf("Usage(%q) = %+v, %v, want %+v", namespace, u, err, want)
		}
	}
}
