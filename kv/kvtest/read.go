package kvtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

func testGetMany(t *testing.T, s Store) {
	commit(t, s, "app", set("a", "1"), set("b", "2"))
	items, err := s.GetMany(t.Context(), "app", []string{"b", "none", "a", "b"}, strong)
	var got []string
	for _, i := range items {
		got = append(got, fmt.Sprintf("%s=%s/%v", i.Key, i.Value, i.Revision > 0))
	}
	if want := "b=2/true none=/false a=1/true b=2/true"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("GetMany = %v, %v, want %v", got, err, want)
	}
	if items, err := s.GetMany(t.Context(), "app", nil, strong); err != nil || len(items) != 0 {
		t.Errorf("GetMany of nothing = %v, %v", items, err)
	}
	commit(t, s, "app", set("large", strings.Repeat("x", op.MaxValueBytes)))
	large := []string{"large", "large", "large", "large"}
	if items, err := s.GetMany(t.Context(), "app", large, strong); err != nil || len(items) != len(large) {
		t.Errorf("GetMany of %d bytes = %d items, %v", op.MaxPageBytes, len(items), err)
	}
	if _, err := s.GetMany(t.Context(), "app", append(large, "a"), strong); !errors.Is(err, op.ErrTooLarge) {
		t.Errorf("GetMany of more than %d bytes = %v, want ErrTooLarge", op.MaxPageBytes, err)
	}
}

// testConsistency reads what was just written, as a session and strongly.
func testConsistency(t *testing.T, s Store) {
	for i := range 20 {
		want := fmt.Sprint(i)
		r := commit(t, s, "app", set("k", want))
		for _, read := range []op.Read{{Seen: r.Revision}, {Consistency: op.Strong}} {
			item, err := s.Get(t.Context(), "app", "k", read)
			if err != nil || string(item.Value) != want || item.Revision != r.Revision {
				t.Errorf("Get(%+v) = %+v, %v, want %s at revision %d", read, item, err, want, r.Revision)
			}
			page, err := s.List(t.Context(), "app", op.Query{Read: read})
			if err != nil || len(page.Items) != 1 || string(page.Items[0].Value) != want || page.Revision < r.Revision {
				t.Errorf("List(%+v) = %+v, %v, want %s", read, page, err, want)
			}
		}
		if _, err := s.Get(t.Context(), "app", "k", op.Read{Consistency: op.Local}); err != nil && !errors.Is(err, op.ErrNotFound) {
			t.Errorf("Get locally = %v", err)
		}
	}
}

// testPages lists in pages, which stay at the moment of the first one.
func testPages(t *testing.T, s Store) {
	commit(t, s, "app", set("a", "1"), set("b", "2"), set("c", "3"), set("d", "4"))
	first, err := s.List(t.Context(), "app", op.Query{Limit: 2, Read: strong})
	if err != nil || len(first.Items) != 2 || first.Cursor == "" {
		t.Fatalf("List = %+v, %v, want two items and a cursor", first, err)
	}
	commit(t, s, "app", del("c"), set("d", "new"), set("e", "5"))
	for range 2 { // a cursor can be used again
		rest, err := s.List(t.Context(), "app", op.Query{Cursor: first.Cursor, Limit: 2})
		if err != nil || len(rest.Items) != 2 || rest.Cursor != "" || rest.Revision != first.Revision ||
			string(rest.Items[0].Value)+string(rest.Items[1].Value) != "34" {
			t.Fatalf("second page = %+v, %v, want c and d as they were and no cursor", rest, err)
		}
	}
	for _, q := range []op.Query{{From: "cc"}, {From: "b"}, {From: "d", Prefix: "d"}, {Cursor: first.Cursor, From: "cc"}, {Cursor: first.Cursor, From: "a"}, {From: "f"}} {
		if q.Cursor == "" {
			q.Read = strong
		}
		page, err := s.List(t.Context(), "app", q)
		var got string
		for _, i := range page.Items {
			got += i.Key
		}
		want := map[string]string{"cc": "de", "b": "bde", "d": "d"}[q.From]
		if q.Cursor != "" {
			want = map[string]string{"cc": "d", "a": "cd"}[q.From]
		}
		if err != nil || got != want {
			t.Errorf("List(%+v) = %s, %v, want %s", q, got, err, want)
		}
	}
	if _, err := s.List(t.Context(), "app", op.Query{Cursor: first.Cursor, Prefix: "x"}); !errors.Is(err, op.ErrInvalid) {
		t.Errorf("List with the cursor of another query = %v, want %v", err, op.ErrInvalid)
	}
	commit(t, s, "app", op.Op{Kind: op.DeletePrefix})
	fill(t, s, op.MaxPageKeys+1)
	for limit, want := range map[int]int{0: op.MaxPageKeys, op.MaxPageKeys + 1: op.MaxPageKeys, 7: 7} {
		page, err := s.List(t.Context(), "app", op.Query{Limit: limit, Read: strong})
		if err != nil || len(page.Items) != want || page.Cursor == "" {
			t.Errorf("List with limit %d = %d items, %v, want %d and a cursor", limit, len(page.Items), err, want)
		}
	}
	keys := 0
	for i, err := range op.All(t.Context(), s, "app", op.Query{Prefix: "k"}) {
		if want := fmt.Sprintf("k%04d", keys); err != nil || i.Key != want {
			t.Fatalf("All yields %+v, %v, want %s", i, err, want)
		}
		keys++
	}
	if keys != op.MaxPageKeys+1 {
		t.Errorf("All yields %d keys, want %d", keys, op.MaxPageKeys+1)
	}
}

func testPageBytes(t *testing.T, s Store) {
	for i := range 5 {
		commit(t, s, "app", set(fmt.Sprint(i), string(make([]byte, op.MaxValueBytes))))
	}
	page, err := s.List(t.Context(), "app", op.Query{Read: strong})
	if err != nil || len(page.Items) != 3 || page.Cursor == "" { // the fourth does not fit, because of the keys
		t.Errorf("List = %d items, %v, want 3 and a cursor", len(page.Items), err)
	}
	page, err = s.List(t.Context(), "app", op.Query{KeysOnly: true, Read: strong})
	if err != nil || len(page.Items) != 5 || page.Items[0].Size != op.MaxValueBytes || len(page.Items[0].Value) != 0 {
		t.Errorf("List of keys only = %d items, %v, want 5 with sizes and no values", len(page.Items), err)
	}
}

// testWatch reads changes that have happened.
func testWatch(t *testing.T, s Store) {
	first := commit(t, s, "app", set("a", "1")).Revision
	commit(t, s, "other", set("a", "other"))
	second := commit(t, s, "app", set("b", "1"), set("ab", "1"), set("gone", ""), del("gone"), del("never"), set("a", "2")).Revision
	commit(t, s, "app", del("b"), op.Op{Kind: op.Touch, Key: "a"}, op.Op{Kind: op.Touch, Key: "never"})
	commit(t, s, "app", set("end", ""), set("aend", ""))
	for _, c := range []struct {
		prefix string
		after  uint64
		want   string
	}{
		{"", first, "a=2 ab=1 b=1 a=2 -b aend="},
		{"a", first, "a=2 ab=1 a=2 aend="},
		{"", second, "a=2 -b aend="},
		{"aend", first, "aend="},
	} {
		var got []string
		last := c.after
		for x, err := range s.Watch(t.Context(), "app", c.prefix, c.after) {
			if err != nil || x.Revision < last || x.Revision <= c.after {
				t.Fatalf("Watch(%q, %d) yields %+v, %v after revision %d", c.prefix, c.after, x, err, last)
			}
			last = x.Revision
			if got = append(got, describe(x)); x.Key == "aend" {
				break
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("Watch(%q, %d) yields %q, want %q", c.prefix, c.after, got, c.want)
		}
	}
}

func describe(c op.Change) string {
	if c.Deleted {
		return "-" + c.Key
	}
	return fmt.Sprintf("%s=%s", c.Key, c.Value)
}

// testWatchLive reads changes as they happen, from now on, until its context ends.
func testWatchLive(t *testing.T, s Store) {
	const changes = 50
	commit(t, s, "app", set("before", ""))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch := s.Watch(ctx, "app", "", 0) // now begins here
	done := make(chan []string)
	go func() {
		var got []string
		for c, err := range watch {
			if err != nil {
				got = append(got, err.Error())
				break
			}
			if got = append(got, describe(c)); len(got) == changes {
				cancel()
			}
		}
		done <- got
	}()
	var want []string
	for i := range changes {
		commit(t, s, "app", set("k", fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("k=%d", i))
	}
	if got := <-done; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("Watch yields %q, want %q", got, want)
	}
}
