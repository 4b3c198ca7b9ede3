// Package kvtest is the conformance suite of the store: what every implementation must do, in memory, on disk or
// replicated. Tests call Run with a function that opens an empty store. It needs neither virtual time nor a fast
// machine.
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

// Store is what the suite tests. Package op says what its methods do.
type Store interface {
	Get(ctx context.Context, namespace, key string, r op.Read) (op.Item, error)
	GetMany(ctx context.Context, namespace string, keys []string, r op.Read) ([]op.Item, error)
	List(ctx context.Context, namespace string, q op.Query) (op.Page, error)
	Commit(ctx context.Context, t op.Txn) (op.Result, error)
	Watch(ctx context.Context, namespace, prefix string, after uint64) iter.Seq2[op.Change, error]
	Usage(ctx context.Context, namespace string) (op.Usage, error)
	SetQuota(ctx context.Context, namespace string, q op.Quota) error
}

// Run runs the suite. Open answers a new, empty store and closes it by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s Store)
	}{
		{"SetGetDelete", testSetGetDelete},
		{"Namespaces", testNamespaces},
		{"Checks", testChecks},
		{"Ops", testOps},
		{"Whole", testWhole},
		{"DeletePrefix", testDeletePrefix},
		{"GetMany", testGetMany},
		{"Consistency", testConsistency},
		{"Pages", testPages},
		{"PageBytes", testPageBytes},
		{"Expiry", testExpiry},
		{"Watch", testWatch},
		{"WatchLive", testWatchLive},
		{"Quota", testQuota},
		{"Limits", testLimits},
		{"LargestTransaction", testLargest},
		{"Ownership", testOwnership},
		{"Cancelled", testCancelled},
		{"Model", testModel},
		{"Increments", testIncrements},
		{"Snapshots", testSnapshots},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func set(key, value string) op.Op { return op.Op{Kind: op.Set, Key: key, Value: []byte(value)} }
func del(key string) op.Op        { return op.Op{Kind: op.Delete, Key: key} }

var strong = op.Read{Consistency: op.Strong}

func commit(t testing.TB, s Store, namespace string, ops ...op.Op) op.Result {
	t.Helper()
	r, err := s.Commit(t.Context(), op.Txn{Namespace: namespace, Ops: ops})
	if err != nil {
		t.Fatalf("Commit(%d ops) = %v", len(ops), err)
	}
	return r
}

// content answers a namespace as "a=1 b=2".
func content(t testing.TB, s Store, namespace, prefix string) string {
	t.Helper()
	var all []string
	q := op.Query{Prefix: prefix, Read: strong}
	for {
		page, err := s.List(t.Context(), namespace, q)
		if err != nil {
			t.Fatalf("List = %v", err)
		}
		for _, i := range page.Items {
			all = append(all, fmt.Sprintf("%s=%s", i.Key, i.Value))
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			return strings.Join(all, " ")
		}
	}
}

func same(a, b op.Item) bool {
	return a.Key == b.Key && bytes.Equal(a.Value, b.Value) && a.Revision == b.Revision && a.Expires.Equal(b.Expires)
}

func testSetGetDelete(t *testing.T, s Store) {
	if _, err := s.Get(t.Context(), "app", "k", strong); !errors.Is(err, op.ErrNotFound) {
		t.Errorf("Get of an absent key = %v, want %v", err, op.ErrNotFound)
	}
	first := commit(t, s, "app", set("k", "1"), set("empty", ""), set("\x00\xff", "binary")).Revision
	second := commit(t, s, "app", set("k", "x"), set("k", "2"), del("absent")).Revision
	if second <= first || first == 0 {
		t.Errorf("revisions %d, then %d, want them to grow", first, second)
	}
	for key, want := range map[string]op.Item{
		"k":        {Key: "k", Value: []byte("2"), Revision: second},
		"empty":    {Key: "empty", Value: []byte(""), Revision: first},
		"\x00\xff": {Key: "\x00\xff", Value: []byte("binary"), Revision: first},
	} {
		got, err := s.Get(t.Context(), "app", key, strong)
		if err != nil || !same(got, want) {
			t.Errorf("Get(%q) = %+v, %v, want %+v", key, got, err, want)
		}
	}
	commit(t, s, "app", set("k", "3"), del("k"))
	if _, err := s.Get(t.Context(), "app", "k", strong); !errors.Is(err, op.ErrNotFound) {
		t.Errorf("Get after delete = %v, want %v", err, op.ErrNotFound)
	}
	if again := commit(t, s, "app", set("k", "4")).Revision; again <= second {
		t.Errorf("revision after delete = %d, want above %d", again, second)
	}
}

func testNamespaces(t *testing.T, s Store) {
	for _, ns := range []string{"a", "ab", "b", op.System} {
		commit(t, s, ns, set("k", ns), set("b", ns), set("ka", ns), set("k\x00", ns))
	}
	for _, c := range []struct{ ns, prefix, want string }{
		{"a", "", "b=a k=a k\x00=a ka=a"}, {"ab", "k", "k=ab k\x00=ab ka=ab"}, {"b", "ka", "ka=b"}, {op.System, "z", ""}, {"c", "", ""},
	} {
		if got := content(t, s, c.ns, c.prefix); got != c.want {
			t.Errorf("List(%q, %q) = %q, want %q", c.ns, c.prefix, got, c.want)
		}
	}
}

func testChecks(t *testing.T, s Store) {
	old := commit(t, s, "app", set("a", "1")).Revision
	now := commit(t, s, "app", set("a", "2"), set("b", "")).Revision
	for _, c := range []struct {
		name   string
		checks []op.Check
		holds  bool
	}{
		{"right", []op.Check{{Key: "a", Revision: now}, {Key: "b", Revision: now}}, true},
		{"absent", []op.Check{{Key: "none"}}, true},
		{"old", []op.Check{{Key: "a", Revision: old}}, false},
		{"not absent", []op.Check{{Key: "a"}}, false},
		{"not there", []op.Check{{Key: "none", Revision: now}}, false},
		{"one of two", []op.Check{{Key: "a", Revision: now}, {Key: "b", Revision: old}}, false},
		{"value", []op.Check{{Key: "a", Kind: op.HasValue, Value: []byte("2")}, {Key: "b", Kind: op.HasValue}}, true},
		{"other value", []op.Check{{Key: "a", Kind: op.HasValue, Value: []byte("1")}}, false},
		{"no value", []op.Check{{Key: "none", Kind: op.HasValue}}, false},
		{"present", []op.Check{{Key: "b", Kind: op.IsPresent}}, true},
		{"not present", []op.Check{{Key: "none", Kind: op.IsPresent}}, false},
	} {
		probe := "probe-" + c.name
		_, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Checks: c.checks, Ops: []op.Op{set(probe, "x")}})
		_, got := s.Get(t.Context(), "app", probe, strong)
		if c.holds && (err != nil || got != nil) {
			t.Errorf("%s: Commit = %v, Get = %v, want both to succeed", c.name, err, got)
		}
		if !c.holds && (!errors.Is(err, op.ErrConflict) || !errors.Is(got, op.ErrNotFound)) {
			t.Errorf("%s: Commit = %v, Get = %v, want %v and nothing written", c.name, err, got, op.ErrConflict)
		}
	}
	only, err := s.Commit(t.Context(), op.Txn{Namespace: "app", Checks: []op.Check{{Key: "a", Revision: now}}})
	if err != nil || only.Revision < now {
		t.Errorf("Commit of checks only = %+v, %v, want at least revision %d", only, err, now)
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
		if _, err := s.Commit(t.Context(), c.txn); !errors.Is(err, c.want) {
			t.Errorf("%s: Commit = %v, want %v", c.name, err, c.want)
		} else if len(err.Error()) > 400 {
			t.Errorf("%s: the error has %d bytes", c.name, len(err.Error()))
		}
	}
	if _, err := s.Get(t.Context(), "a", long, strong); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("Get of a long key = %v, want %v", err, op.ErrTooLarge)
	}
	if _, err := s.Get(t.Context(), "A", "k", strong); !errors.Is(err, op.ErrInvalid) {
		t.Errorf("Get in namespace A = %v, want %v", err, op.ErrInvalid)
	}
	if _, err := s.Get(t.Context(), "a", "k", op.Read{Consistency: op.Strong + 1}); !errors.Is(err, op.ErrInvalid) {
		t.Errorf("Get with an unknown consistency = %v, want %v", err, op.ErrInvalid)
	}
	if _, err := s.GetMany(t.Context(), "a", make([]string, op.MaxGets+1), strong); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("GetMany of many keys = %v, want %v", err, op.ErrTooLarge)
	}
	for _, q := range []op.Query{{Prefix: long}, {Cursor: strings.Repeat("c", op.MaxCursorBytes+1)}} {
		if _, err := s.List(t.Context(), "a", q); !errors.Is(err, op.ErrTooLarge) {
			t.Errorf("List(%.80q, %.80q) = %v, want %v", q.Prefix, q.Cursor, err, op.ErrTooLarge)
		}
	}
	for _, q := range []op.Query{{Limit: -1}, {Cursor: "no such cursor"}} {
		if _, err := s.List(t.Context(), "a", q); !errors.Is(err, op.ErrInvalid) {
			t.Errorf("List(%+v) = %v, want %v", q, err, op.ErrInvalid)
		}
	}
	if err := s.SetQuota(t.Context(), "a", op.Quota{Keys: -1}); !errors.Is(err, op.ErrInvalid) {
		t.Errorf("SetQuota below zero = %v, want %v", err, op.ErrInvalid)
	}
	for _, err := range s.Watch(t.Context(), "A", "", 0) {
		if !errors.Is(err, op.ErrInvalid) {
			t.Errorf("Watch in namespace A = %v, want %v", err, op.ErrInvalid)
		}
		break
	}
	if got := content(t, s, "a", ""); got != "" {
		t.Errorf("after refused transactions there is %.80q, want nothing", got)
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
	if _, err := s.Commit(t.Context(), txn); err != nil {
		t.Fatalf("Commit of the largest transaction = %v", err)
	}
	got, err := s.Get(t.Context(), "app", txn.Ops[0].Key, strong)
	if err != nil || !bytes.Equal(got.Value, txn.Ops[0].Value) {
		t.Errorf("Get of the largest value = %d bytes, %v", len(got.Value), err)
	}
	page, err := s.List(t.Context(), "app", op.Query{Read: strong})
	if err != nil || len(page.Items) != op.MaxOps || page.Cursor != "" {
		t.Errorf("List = %d items, cursor %q, %v, want %d", len(page.Items), page.Cursor, err, op.MaxOps)
	}
}

// testOwnership changes what was given and what was answered.
func testOwnership(t *testing.T, s Store) {
	value := []byte("mine")
	commit(t, s, "app", op.Op{Kind: op.Set, Key: "k", Value: value})
	copy(value, "your")
	for range 2 {
		got, err := s.Get(t.Context(), "app", "k", strong)
		if err != nil || string(got.Value) != "mine" {
			t.Fatalf("Get = %q, %v, want what was committed", got.Value, err)
		}
		copy(got.Value, "ours")
		page, err := s.List(t.Context(), "app", op.Query{Read: strong})
		if err != nil || string(page.Items[0].Value) != "mine" {
			t.Fatalf("List = %+v, %v, want what was committed", page.Items, err)
		}
		copy(page.Items[0].Value, "ours")
	}
}

func testCancelled(t *testing.T, s Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := s.Get(ctx, "app", "k", op.Read{})
	_, manyErr := s.GetMany(ctx, "app", []string{"k"}, op.Read{})
	_, listErr := s.List(ctx, "app", op.Query{})
	_, commitErr := s.Commit(ctx, op.Txn{Namespace: "app", Ops: []op.Op{set("k", "v")}})
	_, usageErr := s.Usage(ctx, "app")
	for _, err := range []error{getErr, manyErr, listErr, commitErr, usageErr, s.SetQuota(ctx, "app", op.Quota{})} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with a cancelled context: %v, want %v", err, context.Canceled)
		}
	}
	for c, err := range s.Watch(ctx, "app", "", 1) {
		t.Errorf("Watch with a cancelled context yields %+v, %v, want nothing", c, err)
	}
}
