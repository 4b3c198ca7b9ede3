package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/kv/op"
)

// memory is a View of a map, and what applies writes to it.
type memory struct {
	data map[string][]byte
	keys []string // sorted; nil: to be made
	fail error    // of every read
}

func newMemory() *memory {
	return &memory{data: map[string][]byte{}}
}

func (m *memory) clone() *memory {
	return &memory{data: maps.Clone(m.data)}
}

func (m *memory) Get(key []byte) ([]byte, bool, error) {
	v, found := m.data[string(key)]
	return bytes.Clone(v), found, m.fail
}

func (m *memory) Scan(prefix, from []byte, visit func(k, v []byte) bool) error {
	if m.keys == nil {
		m.keys = slices.Sorted(maps.Keys(m.data))
	}
	start, _ := slices.BinarySearch(m.keys, max(string(prefix), string(from)))
	for _, k := range m.keys[start:] {
		// Only what is valid until visit returns is given.
		key, value := []byte(k), bytes.Clone(m.data[k])
		more := strings.HasPrefix(k, string(prefix)) && visit(key, value)
		clear(key)
		clear(value)
		if !more {
			break
		}
	}
	return m.fail
}

func (m *memory) write(writes []Write) {
	m.keys = nil
	for _, w := range writes {
		if w.Delete {
			delete(m.data, string(w.Key))
			continue
		}
		m.data[string(w.Key)] = w.Value
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// entry applies commands in one entry at the next index, checks what must hold of all writes, and answers the
// outcomes.
func (m *memory) entry(t fataler, now time.Time, commands ...Command) []Outcome {
	t.Helper()
	p, err := ReadProgress(m)
	if err != nil {
		t.Fatalf("ReadProgress = %v", err)
	}
	var encoded [][]byte
	for _, c := range commands {
		encoded = append(encoded, c.Append(nil))
	}
	entry := AppendEntry(nil, now, encoded...)
	applied, err := Apply(m, p.Index+1, entry, Level)
	if err != nil {
		t.Fatalf("Apply = %v", err)
	}
	checkWrites(t, m, applied)
	again, err := Apply(m, p.Index+1, bytes.Clone(entry), Level)
	if err != nil || !sameWrites(applied.Writes, again.Writes) {
		t.Fatalf("Apply on the same state gives %v, %v, want %v", again.Writes, err, applied.Writes)
	}
	m.write(applied.Writes)
	for i, o := range applied.Outcomes {
		decoded, err := DecodeOutcome(o.Append(nil))
		if err != nil || fmt.Sprintf("%+v", decoded) != fmt.Sprintf("%+v", o) {
			t.Fatalf("DecodeOutcome(Append(%+v)) = %+v, %v", o, decoded, err)
		}
		applied.Outcomes[i] = decoded
	}
	return applied.Outcomes
}

func sameWrites(a, b []Write) bool {
	return slices.EqualFunc(a, b, func(x, y Write) bool {
		return bytes.Equal(x.Key, y.Key) && bytes.Equal(x.Value, y.Value) && x.Delete == y.Delete && x.Passing == y.Passing
	})
}

func checkWrites(t fataler, before *memory, a Applied) {
	t.Helper()
	seen := map[string]bool{}
	size := 0
	for _, w := range a.Writes {
		if seen[string(w.Key)] {
			t.Fatalf("two writes of key %q", w.Key)
		}
		if _, found := before.data[string(w.Key)]; w.Delete && !found {
			t.Fatalf("delete of key %q, which is not there", w.Key)
		}
		if w.Passing != (w.Key[0] == changesKind && !w.Delete) {
			t.Fatalf("write of key %q: passing is %v", w.Key, w.Passing)
		}
		seen[string(w.Key)] = true
		size += len(w.Key) + len(w.Value)
	}
	if size > MaxWriteBytes {
		t.Fatalf("writes of %d bytes, at most %d are allowed", size, MaxWriteBytes)
	}
}

// check holds the state together: what is derived from the data says what the data says, and what is to be forgotten
// will be.
func (m *memory) check(t fataler) {
	t.Helper()
	p, err := readProgress(m)
	if err != nil {
		t.Fatalf("%v", err)
	}
	passed, err := Passed(m)
	if err != nil {
		t.Fatalf("Passed = %v", err)
	}
	usages := map[string]op.Usage{}
	want := map[string]string{} // keys and values of expiries, keys of changes and requests
	for k, v := range m.data {
		switch k[0] {
		case dataKind:
			namespace, key, _ := strings.Cut(k[1:], "\x00")
			s, err := decodeState(v)
			if err != nil || s.expires != 0 && s.expires < p.expired {
				t.Fatalf("%q expires at %d, before %d: %v", k, s.expires, p.expired, err)
			}
			u := usages[namespace]
			usages[namespace] = op.Usage{Keys: u.Keys + 1, Bytes: u.Bytes + int64(len(key)+len(s.value))}
			if s.expires != 0 {
				want[string(expiryKey(s.expires, namespace, key))] = string(binary.AppendUvarint(nil, uint64(s.size)))
			}
		case historyKind, requestsKind:
			oldest := p.history
			if k[0] == requestsKind {
				oldest = p.requests
			}
			if index := indexOf([]byte(k)); oldest.time == 0 || index < oldest.index {
				t.Fatalf("%q is older than the oldest, %+v", k, oldest)
			}
			for _, key := range kept(k, v) {
				want[key] = ""
			}
		}
	}
	for namespace, u := range m.checkQueues(t, p) {
		usages[namespace] = op.Usage{Keys: usages[namespace].Keys + u.Keys, Bytes: usages[namespace].Bytes + u.Bytes}
	}
	for k, v := range m.data {
		switch k[0] {
		case usageKind:
			u, _, err := decodeUsage(v)
			want := usages[k[1:]]
			delete(usages, k[1:])
			if want.Quota = u.Quota; err != nil || u != want {
				t.Fatalf("usage of %s is %+v, %v, want %+v", k[1:], u, err, want)
			}
		case expiryKind, changesKind, requestKind:
			if k[0] == changesKind && indexOf([]byte(k)) < passed {
				t.Fatalf("%q is there, all below index %d should have passed", k, passed)
			}
			if w, found := want[k]; !found || k[0] == expiryKind && string(v) != w {
				t.Fatalf("%q is %q, want %q", k, v, w)
			}
			delete(want, k)
		}
	}
	if len(usages)+len(want) > 0 {
		t.Fatalf("missing: usages %v, %q", usages, want)
	}
}

// kept answers the keys that a record of an entry's history stands for.
func kept(k string, v []byte) (keys []string) {
	f := fields{rest: v}
	f.natural()
	if k[0] == historyKind {
		f.uvarint()
	}
	for len(f.rest) > 0 {
		namespace := string(f.text())
		if k[0] == historyKind {
			keys = append(keys, string(changesKey(namespace, indexOf([]byte(k)))))
		} else {
			keys = append(keys, string(requestKey(namespace, Request(f.raw(16)))))
		}
	}
	return keys
}

// content answers a namespace as "a=1 b=2".
func (m *memory) content(t testing.TB, namespace string, now time.Time) string {
	t.Helper()
	page, err := List(m, namespace, op.Query{}, now)
	if err != nil {
		t.Fatalf("List = %v", err)
	}
	var all []string
	for _, i := range page.Items {
		all = append(all, fmt.Sprintf("%s=%s", i.Key, i.Value))
	}
	return strings.Join(all, " ")
}

var errView = errors.New("disk on fire")
