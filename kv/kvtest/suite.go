// Package kvtest is the conformance suite of the store: what every implementation must do, in memory, on disk or
// replicated. Tests call Run with a function that opens an empty store.
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/abi"
)

// Store is what the suite tests.
type Store interface {
	Get(ctx context.Context, namespace, key string) (op.Item, error)
	List(ctx context.Context, namespace, prefix string) ([]op.Item, error)
	Commit(ctx context.Context, t op.Txn) (revision uint64, err error)
}

// Run runs the suite. Open answers a new, empty store and closes it by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Run("SetGetDelete", func(t *testing.T) { testSetGetDelete(t, open(t)) })
	t.Run("Namespaces", func(t *testing.T) { testNamespaces(t, open(t)) })
	t.Run("Checks", func(t *testing.T) { testChecks(t, open(t)) })
	t.Run("Limits", func(t *testing.T) { testLimits(t, open(t)) })
	t.Run("LargestTransaction", func(t *testing.T) { testLargest(t, open(t)) })
	t.Run("Ownership", func(t *testing.T) { testOwnership(t, open(t)) })
	t.Run("Cancelled", func(t *testing.T) { testCancelled(t, open(t)) })
	t.Run("Model", func(t *testing.T) { testModel(t, open(t)) })
	t.Run("Increments", func(t *testing.T) { testIncrements(t, open(t)) })
	t.Run("Snapshots", func(t *testing.T) { testSnapshots(t, open(t)) })
}

func set(key, value string) op.Op { return op.Op{Kind: op.Set, Key: key, Value: []byte(value)} }
func del(key string) op.Op        { return op.Op{Kind: op.Delete, Key: key} }

func commit(t testing.TB, s Store, ns string, ops ...op.Op) uint64 {
	t.Helper()
	revision, err := s.Commit(context.Background(), op.Txn{Namespace: ns, Ops: ops})
	if err != nil {
		t.Fatalf("Commit(%v) = %v", ops, err)
	}
	return revision
}

func testSetGetDelete(t *testing.T, s Store) {
	ctx := context.Background()
	if _, err := s.Get(ctx, "app", "k"); !errors.Is(err, op.ErrNotFound) || abi.CodeOf(err) != abi.NotFound {
		t.Errorf("Get of an absent key = %v, want %v", err, op.ErrNotFound)
	}
	first := commit(t, s, "app", set("k", "1"), set("empty", ""), set("\x00\xff", "binary"))
	second := commit(t, s, "app", set("k", "x"), set("k", "2"), del("absent"))
	if second <= first || first == 0 {
		t.Errorf("revisions %d, then %d, want them to grow", first, second)
	}
	for key, want := range map[string]op.Item{
		"k":        {Key: "k", Value: []byte("2"), Revision: second},
		"empty":    {Key: "empty", Value: []byte(""), Revision: first},
		"\x00\xff": {Key: "\x00\xff", Value: []byte("binary"), Revision: first},
	} {
		got, err := s.Get(ctx, "app", key)
		if err != nil || !same(got, want) {
			t.Errorf("Get(%q) = %+v, %v, want %+v", key, got, err, want)
		}
	}
	commit(t, s, "app", set("k", "3"), del("k"))
	if _, err := s.Get(ctx, "app", "k"); !errors.Is(err, op.ErrNotFound) {
		t.Errorf("Get after delete = %v, want %v", err, op.ErrNotFound)
	}
	if again := commit(t, s, "app", set("k", "4")); again <= second {
		t.Errorf("revision after delete = %d, want above %d", again, second)
	}
}

func same(a, b op.Item) bool {
	return a.Key == b.Key && bytes.Equal(a.Value, b.Value) && a.Revision == b.Revision
}

func testNamespaces(t *testing.T, s Store) {
	for _, ns := range []string{"a", "ab", "b", op.System} {
		commit(t, s, ns, set("k", ns), set("b", ns), set("ka", ns), set("k\x00", ns))
	}
	for _, c := range []struct{ ns, prefix, want string }{
		{"a", "", "b k k\x00 ka"}, {"ab", "k", "k k\x00 ka"}, {"b", "ka", "ka"}, {op.System, "z", ""}, {"c", "", ""},
	} {
		items, err := s.List(context.Background(), c.ns, c.prefix)
		if err != nil {
			t.Fatalf("List(%q, %q) = %v", c.ns, c.prefix, err)
		}
		var keys []string
		for _, i := range items {
			keys = append(keys, i.Key)
			if string(i.Value) != c.ns || i.Revision == 0 {
				t.Errorf("List(%q, %q) answers %+v of another namespace", c.ns, c.prefix, i)
			}
		}
		if got := strings.Join(keys, " "); got != c.want {
			t.Errorf("List(%q, %q) = %q, want %q", c.ns, c.prefix, got, c.want)
		}
	}
}

func testChecks(t *testing.T, s Store) {
	old := commit(t, s, "app", set("a", "1"))
	now := commit(t, s, "app", set("a", "2"), set("b", "1"))
	for _, c := range []struct {
		name   string
		checks []op.Check
		ok     bool
	}{
		{"right", []op.Check{{Key: "a", Revision: now}, {Key: "b", Revision: now}}, true},
		{"absent", []op.Check{{Key: "none"}}, true},
		{"old", []op.Check{{Key: "a", Revision: old}}, false},
		{"present", []op.Check{{Key: "a"}}, false},
		{"not there", []op.Check{{Key: "none", Revision: now}}, false},
		{"one of two", []op.Check{{Key: "a", Revision: now}, {Key: "b", Revision: old}}, false},
	} {
		probe := "probe-" + c.name
		_, err := s.Commit(context.Background(), op.Txn{Namespace: "app", Checks: c.checks, Ops: []op.Op{set(probe, "x")}})
		_, got := s.Get(context.Background(), "app", probe)
		if c.ok && (err != nil || got != nil) {
			t.Errorf("%s: Commit = %v, Get = %v, want both to succeed", c.name, err, got)
		}
		if !c.ok && (!errors.Is(err, op.ErrConflict) || abi.CodeOf(err) != abi.Conflict || !errors.Is(got, op.ErrNotFound)) {
			t.Errorf("%s: Commit = %v, Get = %v, want %v and nothing written", c.name, err, got, op.ErrConflict)
		}
	}
	only, err := s.Commit(context.Background(), op.Txn{Namespace: "app", Checks: []op.Check{{Key: "a", Revision: now}}})
	if err != nil || only < now {
		t.Errorf("Commit of checks only = %d, %v, want at least %d", only, err, now)
	}
}

func testLimits(t *testing.T, s Store) {
	long := strings.Repeat("k", op.MaxKeyBytes+1)
	big := strings.Repeat("v", op.MaxValueBytes+1)
	half := strings.Repeat("v", op.MaxValueBytes)
	many := make([]op.Op, op.MaxOps+1)
	for i := range many {
		many[i] = set(fmt.Sprint(i), "")
	}
	for _, c := range []struct {
		name string
		txn  op.Txn
		want error
	}{
		{"no namespace", op.Txn{}, op.ErrInvalid},
		{"namespace with slash", op.Txn{Namespace: "a/b"}, op.ErrInvalid},
		{"namespace with zero", op.Txn{Namespace: "a\x00b"}, op.ErrInvalid},
		{"long namespace", op.Txn{Namespace: strings.Repeat("a", 64)}, op.ErrInvalid},
		{"empty key", op.Txn{Namespace: "a", Ops: []op.Op{set("", "")}}, op.ErrInvalid},
		{"empty checked key", op.Txn{Namespace: "a", Checks: []op.Check{{}}}, op.ErrInvalid},
		{"no kind", op.Txn{Namespace: "a", Ops: []op.Op{{Key: "k"}}}, op.ErrInvalid},
		{"delete with value", op.Txn{Namespace: "a", Ops: []op.Op{{Kind: op.Delete, Key: "k", Value: []byte("v")}}}, op.ErrInvalid},
		{"long key", op.Txn{Namespace: "a", Ops: []op.Op{set(long, "")}}, op.ErrTooLarge},
		{"long checked key", op.Txn{Namespace: "a", Checks: []op.Check{{Key: long}}}, op.ErrTooLarge},
		{"big value", op.Txn{Namespace: "a", Ops: []op.Op{set("k", big)}}, op.ErrTooLarge},
		{"many ops", op.Txn{Namespace: "a", Ops: many}, op.ErrTooLarge},
		{"many checks", op.Txn{Namespace: "a", Checks: make([]op.Check, op.MaxChecks+1)}, op.ErrTooLarge},
		{"big transaction", op.Txn{Namespace: "a", Ops: []op.Op{set("a", half), set("b", half)}}, op.ErrTooLarge},
	} {
		if _, err := s.Commit(context.Background(), c.txn); !errors.Is(err, c.want) {
			t.Errorf("%s: Commit = %v, want %v", c.name, err, c.want)
		} else if len(err.Error()) > 400 {
			t.Errorf("%s: the error has %d bytes", c.name, len(err.Error()))
		}
	}
	if _, err := s.Get(context.Background(), "a", long); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("Get of a long key = %v, want %v", err, op.ErrTooLarge)
	}
	if _, err := s.Get(context.Background(), "A", "k"); !errors.Is(err, op.ErrInvalid) {
		t.Errorf("Get in namespace A = %v, want %v", err, op.ErrInvalid)
	}
	if _, err := s.List(context.Background(), "a", long); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("List of a long prefix = %v, want %v", err, op.ErrTooLarge)
	}
	if items, err := s.List(context.Background(), "a", ""); err != nil || len(items) != 0 {
		t.Errorf("List after refused transactions = %d items, %v, want none", len(items), err)
	}
}

// testLargest commits what just fits in every limit at once.
func testLargest(t *testing.T, s Store) {
	txn := op.Txn{Namespace: "app"}
	room := op.MaxTxnBytes
	for i := range op.MaxChecks {
		c := op.Check{Key: fmt.Sprintf("check-%03d", i)}
		txn.Checks = append(txn.Checks, c)
		room -= len(c.Key)
	}
	for i := range op.MaxOps {
		key := fmt.Sprintf("%03d", i) + strings.Repeat("k", op.MaxKeyBytes-3)
		room -= len(key)
		txn.Ops = append(txn.Ops, set(key, ""))
	}
	txn.Ops[0].Value = bytes.Repeat([]byte("v"), op.MaxValueBytes)
	txn.Ops[1].Value = bytes.Repeat([]byte("w"), room-op.MaxValueBytes)
	if _, err := s.Commit(context.Background(), txn); err != nil {
		t.Fatalf("Commit of the largest transaction = %v", err)
	}
	got, err := s.Get(context.Background(), "app", txn.Ops[0].Key)
	if err != nil || !bytes.Equal(got.Value, txn.Ops[0].Value) {
		t.Errorf("Get of the largest value = %d bytes, %v", len(got.Value), err)
	}
	items, err := s.List(context.Background(), "app", "")
	if err != nil || len(items) != op.MaxOps {
		t.Errorf("List = %d items, %v, want %d", len(items), err, op.MaxOps)
	}
}

// testOwnership changes what was given and what was answered.
func testOwnership(t *testing.T, s Store) {
	value := []byte("mine")
	commit(t, s, "app", op.Op{Kind: op.Set, Key: "k", Value: value})
	copy(value, "your")
	got, err := s.Get(context.Background(), "app", "k")
	if err != nil || string(got.Value) != "mine" {
		t.Fatalf("Get = %q, %v, want what was committed", got.Value, err)
	}
	copy(got.Value, "ours")
	if again, _ := s.Get(context.Background(), "app", "k"); string(again.Value) != "mine" {
		t.Errorf("Get after its answer was changed = %q, want %q", again.Value, "mine")
	}
}

func testCancelled(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, getErr := s.Get(ctx, "app", "k")
	_, listErr := s.List(ctx, "app", "")
	_, commitErr := s.Commit(ctx, op.Txn{Namespace: "app", Ops: []op.Op{set("k", "v")}})
	for _, err := range []error{getErr, listErr, commitErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with a cancelled context: %v, want %v", err, context.Canceled)
		}
	}
}
