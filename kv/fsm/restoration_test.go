package fsm

import (
	"errors"
	"testing"

	"github.com/sett-run/sett/kv/op"
)

// FuzzRestoration has any record in a backup.
func FuzzRestoration(f *testing.F) {
	f.Add(dataKey(op.System, "cluster/ca"), state{present: true, revision: 5}.append(nil))
	f.Add(expiryKey(5, op.System, "cluster/ca"), []byte{1})
	f.Add(usageKey(op.System), appendUsage(nil, op.Usage{Keys: 1, Bytes: 1}, false))
	f.Add([]byte(progressKey), progress{index: 1, level: 1}.append(nil))
	f.Add(changesKey("app", 1), []byte("x"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r := Restoration{Drop: []string{"cluster/"}}
		became, keep, err := r.Record(key, value)
		if err != nil {
			if keep || !errors.Is(err, errDamaged) && !errors.Is(err, ErrTooNew) {
				t.Errorf("Record(%q, %q) = %v, %v", key, value, keep, err)
			}
			return
		}
		if keep && string(key) == progressKey {
			if _, err := decodeProgress(became); err != nil {
				t.Errorf("progress %q became %q: %v", value, became, err)
			}
		}
	})
}

func TestRestorationDrops(t *testing.T) {
	live := state{present: true, revision: 5, size: 3, value: []byte("abc")}
	r := Restoration{Drop: []string{"cluster/"}}
	for _, c := range []struct {
		name       string
		key, value []byte
		keep       bool
	}{
		{"a dropped key", dataKey(op.System, "cluster/ca"), live.append(nil), false},
		{"its expiry", expiryKey(7, op.System, "cluster/ca"), []byte{3}, false},
		{"another key", dataKey(op.System, "clusters"), live.append(nil), true},
		{"an app's key", dataKey("app", "cluster/ca"), live.append(nil), true},
		{"an app's expiry", expiryKey(7, "app", "cluster/ca"), []byte{3}, true},
		{"the past", changesKey("app", 5), nil, false},
		{"what is left", usageKey(op.System), appendUsage(nil, op.Usage{Keys: 2, Bytes: 24}, false), true},
	} {
		became, keep, err := r.Record(c.key, c.value)
		if err != nil || keep != c.keep {
			t.Errorf("%s: keep %v, %v, want %v", c.name, keep, err, c.keep)
		}
		if c.name == "what is left" {
			if u, _, err := decodeUsage(became); err != nil || u != (op.Usage{Keys: 1, Bytes: 11}) {
				t.Errorf("usage %+v, %v, want 1 key of 11 bytes", u, err)
			}
		}
	}
	for name, c := range map[string][2][]byte{
		"no key":         {nil, nil},
		"unknown":        {[]byte("zzz"), nil},
		"more dropped":   {usageKey(op.System), appendUsage(nil, op.Usage{Keys: 0, Bytes: 1}, false)},
		"damaged":        {dataKey(op.System, "cluster/ca"), nil},
		"other progress": {[]byte("mmm"), nil},
	} {
		if _, _, err := r.Record(c[0], c[1]); !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v, want %v", name, err, errDamaged)
		}
	}
	if _, _, err := r.Record([]byte(progressKey), progress{index: 1, level: Level + 1}.append(nil)); !errors.Is(err, ErrTooNew) {
		t.Errorf("a newer level: %v, want %v", err, ErrTooNew)
	}
}
