package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/sett-run/sett/kv/op"
	"github.com/sett-run/sett/sdk/client"
)

func TestBehindDashes(t *testing.T) {
	for in, want := range map[string]string{
		"kv incr n -5":                     "kv incr n -- -5",
		"--app shop kv incr n -5 --ttl 1m": "--app shop kv incr n --ttl 1m -- -5",
		"kv incr n 5 --min -5 --max -1":    "kv incr n 5 --min -5 --max -1",
		"kv incr --min -9 n -5":            "kv incr --min -9 n -- -5",
		"kv put temperature -.5":           "kv put temperature -- -.5",
		"kv put n -1e3":                    "kv put n -- -1e3",
		"kv incr n -- -5":                  "kv incr n -- -5",
		"kv put k -":                       "kv put k -",
		"kv put k -o json":                 "kv put k -o json",
		"kv put k -Inf":                    "kv put k -Inf",
		"kv get -5":                        "kv get -5",
		"kv put -5 hello":                  "kv put -5 hello", // it is the key, and must not become the value
		"kv put --ttl 1h -5 hello":         "kv put --ttl 1h -5 hello",
		"kv incr -5 3":                     "kv incr -5 3",
		"kv put --ttl 1h n -5":             "kv put --ttl 1h n -- -5",
		"kv put --ttl=1h n -5":             "kv put --ttl=1h n -- -5",
		"kv put --if-absent n -5":          "kv put --if-absent n -- -5",
		"kv put -o json n -5":              "kv put -o json n -- -5",
		"invoke hello -5":                  "invoke hello -5",
		"":                                 "",
	} {
		given := strings.Fields(in)
		before := slices.Clone(given)
		if got := strings.Join(behindDashes(given), " "); got != want || !slices.Equal(given, before) {
			t.Errorf("behindDashes(%q) = %q, want %q; the arguments are now %q", in, got, want, given)
		}
	}
}

func TestKeyText(t *testing.T) {
	for key, want := range map[string]string{
		"user/ada": "user/ada", "größe 世界": "größe 世界", "": `""`, " a": `" a"`, "a\n": `"a\n"`, "\xff\x00": `"\xff\x00"`,
		`"a"`: `"\"a\""`, "\x1b[2J": `"\x1b[2J"`, "a\u200bb": `"a\u200bb"`, "\ufffd": `"�"`,
	} {
		if got := keyText(key); got != want {
			t.Errorf("keyText(%q) = %s, want %s", key, got, want)
		}
	}
}

// page is one with the widest of everything.
func page() op.Page {
	wide := op.Listed{Item: op.Item{Key: strings.Repeat("\xff", op.MaxKeyBytes), Revision: 1<<64 - 1, Expires: time.Now().Add(op.MaxTTL)}, Size: 1023<<10 + 921}
	cjk := op.Listed{Item: op.Item{Key: strings.Repeat("世", 600), Revision: 1<<64 - 1}, Size: op.MaxValueBytes}
	return op.Page{Items: []op.Listed{wide, cjk}, Cursor: "abc", Revision: 7}
}

func TestKeysFitIn100Columns(t *testing.T) {
	var out, err bytes.Buffer
	c := &cli{out: &out, err: &err, format: formatTable}
	if err := c.showPage(page()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		width := 0
		for _, r := range strings.TrimSuffix(line, "\n") {
			if width++; utf8.RuneLen(r) == 3 {
				width++ // a wide one
			}
		}
		if width > 100 {
			t.Errorf("line of %d columns: %q", width, line)
		}
	}
	if want := "there are more keys; go on with --cursor abc\n"; err.String() != want {
		t.Errorf("beside the table: %q, want %q", err.String(), want)
	}
}

func TestKeysAsJSONAreWhole(t *testing.T) {
	var out, err bytes.Buffer
	c := &cli{out: &out, err: &err, format: formatJSON}
	if err := c.showPage(page()); err != nil {
		t.Fatal(err)
	}
	var got client.KVPage
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for i, want := range page().Items {
		item, err := got.Keys[i].Listed()
		if err != nil || item.Key != want.Key || item.Revision != want.Revision || item.Size != want.Size {
			t.Errorf("key %d = %.40q with revision %d, %v", i, item.Key, item.Revision, err)
		}
	}
	if got.Cursor != "abc" || got.Revision != 7 || err.Len() != 0 {
		t.Errorf("page %q of %d, beside it %q", got.Cursor, got.Revision, err.String())
	}
}

func TestUntilText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		for want, d := range map[string]time.Duration{
			"now": -time.Second, "in 90s": 90 * time.Second, "in 60m": 59*time.Minute + 50*time.Second, "in 59m": 59*time.Minute + 10*time.Second,
			"in 12h": 12*time.Hour - time.Minute, "in 3h": 3*time.Hour + time.Minute, "in 9d": 9*24*time.Hour + time.Hour,
		} {
			if got := untilText(time.Now().Add(d)); got != want {
				t.Errorf("untilText(%v from now) = %q, want %q", d, got, want)
			}
		}
		if got := untilText(time.Time{}); got != "never" {
			t.Errorf("untilText of nothing = %q", got)
		}
	})
}

func TestKVCompletion(t *testing.T) {
	for args, want := range map[string]string{
		"kv wa":                   "watch\tPrint changes",
		"kv get --consistency st": "strong",
	} {
		if _, stdout, _ := try(t, append([]string{"__complete"}, strings.Fields(args)...)...); !strings.Contains(stdout, want) {
			t.Errorf("completion of %q = %q, want %q", args, stdout, want)
		}
	}
}
