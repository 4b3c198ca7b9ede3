package blob

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

func TestList(t *testing.T) {
	o := withBucket(t)
	o.CreateBucket(t.Context(), app, Bucket{Name: "pics2"})
	keys := []string{"a", "a/", "a/1", "a/2", "a/b/1", "b", "c/1", "c/\U0010ffffz", "c0", "d/x/1", "d/y/1", "ä/1"}
	for _, k := range keys {
		put(t, o, k, []byte(k))
	}
	for _, tt := range []struct {
		query Query
		want  string
	}{
		{Query{}, "a a/ a/1 a/2 a/b/1 b c/1 c/\U0010ffffz c0 d/x/1 d/y/1 ä/1"},
		{Query{Delimiter: "/"}, "a a/: b c/: c0 d/: ä/:"},
		{Query{Delimiter: "/", Prefix: "a/"}, "a/ a/1 a/2 a/b/:"},
		{Query{Delimiter: "/", Prefix: "d/"}, "d/x/: d/y/:"},
		{Query{Prefix: "c/"}, "c/1 c/\U0010ffffz"},
		{Query{Prefix: "none"}, ""},
		{Query{After: "a/2"}, "a/b/1 b c/1 c/\U0010ffffz c0 d/x/1 d/y/1 ä/1"},
		{Query{After: "a/", Delimiter: "/"}, "b c/: c0 d/: ä/:"},
		{Query{After: "a/1", Delimiter: "/"}, "a/: b c/: c0 d/: ä/:"},
		{Query{Delimiter: "/1"}, "a a/ a/1: a/2 a/b/1: b c/1: c/\U0010ffffz c0 d/x/1: d/y/1: ä/1:"},
	} {
		for _, limit := range []int{0, 1, 2, 3} {
			q := tt.query
			q.Limit = limit
			got, pages := listAll(t, o, q)
			if strings.Join(got, " ") != tt.want {
				t.Errorf("List(%+v) = %q, want %q", q, got, tt.want)
			}
			if most := (len(got) + 2) / max(1, limit); limit > 0 && pages > max(1, most) {
				t.Errorf("List(%+v) has %d pages", q, pages)
			}
		}
	}
	if _, err := o.List(t.Context(), app, "none", Query{}); !errors.Is(err, op.ErrNoBucket) {
		t.Errorf("List of no bucket = %v", err)
	}
	for _, token := range []string{"x", "AAAA", strings.Repeat("A", op.MaxObjectTokenBytes+1)} {
		if _, err := o.List(t.Context(), app, "pics", Query{Token: token}); !errors.Is(err, ErrOldToken) {
			t.Errorf("List with a token of nobody = %v", err)
		}
	}
}

// listAll answers keys, and prefixes with a colon, in their common order.
func listAll(t *testing.T, o *Objects, q Query) (all []string, pages int) {
	t.Helper()
	for {
		page, err := o.List(t.Context(), app, "pics", q)
		if err != nil {
			t.Fatalf("List(%+v) = %v", q, err)
		}
		names := map[string]string{}
		for _, i := range page.Objects {
			names[i.Key] = i.Key
		}
		for _, p := range page.Prefixes {
			names[p] = p + ":"
		}
		for _, k := range slices.Sorted(maps.Keys(names)) {
			all = append(all, names[k])
		}
		pages++
		if q.Limit > 0 && len(page.Objects)+len(page.Prefixes) > q.Limit {
			t.Errorf("List(%+v) has a page of %d", q, len(page.Objects)+len(page.Prefixes))
		}
		if q.Token = page.Token; q.Token == "" {
			return all, pages
		}
	}
}

// TestListMoment changes a bucket between pages.
func TestListMoment(t *testing.T) {
	o := withBucket(t)
	for n := range 10 {
		put(t, o, fmt.Sprint(n), nil)
	}
	page, err := o.List(t.Context(), app, "pics", Query{Limit: 4})
	if err != nil || page.Token == "" {
		t.Fatalf("List = %+v, %v", page, err)
	}
	o.Delete(t.Context(), pics("5"), Condition{})
	put(t, o, "55", nil)
	rest, _ := listAll(t, o, Query{Token: page.Token})
	if got := strings.Join(rest, ""); got != "456789" {
		t.Errorf("the rest is %s, want what was there at first", got)
	}
	for range 200 { // of listings: the store forgets the first
		if _, err := o.store.List(t.Context(), op.ObjectsOf(app), op.Query{Limit: 1}); err != nil {
			t.Fatal(err)
		}
	}
	rest, _ = listAll(t, o, Query{Token: page.Token})
	if got := strings.Join(rest, " "); got != "4 55 6 7 8 9" {
		t.Errorf("the rest is %s, want what is there now", got)
	}
}

// TestListSkips counts what the store reads for a common prefix with many keys.
func TestListSkips(t *testing.T) {
	o := withBucket(t)
	for n := range 300 {
		put(t, o, fmt.Sprintf("a/%d", n), nil)
	}
	put(t, o, "b", nil)
	if got, pages := listAll(t, o, Query{Delimiter: "/", Limit: 2}); strings.Join(got, " ") != "a/: b" || pages != 1 {
		t.Errorf("List = %q in %d pages", got, pages)
	}
}
