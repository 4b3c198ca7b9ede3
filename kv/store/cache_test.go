package store

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
)

// openCached opens a store on disk whose keys share so many slots.
func openCached(t *testing.T, slots int) *Store {
	s := open(t, Config{Dir: t.TempDir()})
	s.engine.Load().cache = newCache(slots, s.Applied())
	return s
}

// isCached says whether a key's value is read without the engine.
func isCached(s *Store, key string) bool {
	e := s.engine.Load().cache.slot([]byte(key)).entry.Load()
	return e != nil && string(e.key) == key
}

func wantGet(t *testing.T, v *View, key, want string) {
	t.Helper()
	value, found, err := v.Get([]byte(key))
	if err != nil || found != (want != "") || string(value) != want {
		t.Errorf("%s = %.20q, %v, %v at index %d, want %.20q", key, value, found, err, v.Index(), want)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	s := openCached(t, 1)
	apply(t, s, put("a", "a1"), put("b", "b1"))
	if isCached(s, "a") || isCached(s, "b") {
		t.Error("what nobody has read is cached")
	}
	first := view(t, s)
	wantGet(t, first, "a", "a1")
	if !isCached(s, "a") {
		t.Error("what was read is not cached")
	}
	wantGet(t, first, "b", "b1")
	if !isCached(s, "b") {
		t.Error("what was read last is not cached")
	}
	value, _, _ := first.Get([]byte("b"))
	value[0] = 'x' // the caller owns it
	wantGet(t, first, "b", "b1")

	apply(t, s, put("a", "a2"), put("b", "b2"))
	second := view(t, s)
	if !isCached(s, "b") {
		t.Error("what was written is not cached any more")
	}
	wantGet(t, first, "b", "b1")
	if e := s.engine.Load().cache.slots[0].entry.Load(); e.index != 2 {
		t.Errorf("a view of index 1 has left the value of index %d", e.index)
	}
	for range 2 {
		wantGet(t, second, "b", "b2")
		wantGet(t, second, "a", "a2")
	}
	apply(t, s, del("a"))
	wantGet(t, view(t, s), "a", "")
	wantGet(t, second, "a", "a2")
	wantGet(t, first, "a", "a1")
	wantGet(t, view(t, s), "a", "")
}

func TestCacheLimit(t *testing.T) {
	t.Parallel()
	s := openCached(t, cacheSlots)
	for _, over := range []int{0, 1, 0} {
		value := string(bytes.Repeat([]byte("v"), maxCachedBytes-len("k")+over))
		apply(t, s, put("k", value))
		v := view(t, s)
		for range 2 {
			wantGet(t, v, "k", value)
			if got := isCached(s, "k"); got != (over == 0) {
				t.Errorf("value of %d bytes is cached: %v", len(value), got)
			}
		}
	}
}

// TestCacheHammer reads keys that share a slot, at the newest index, which is not the newest for long: they are written to meanwhile.
func TestCacheHammer(t *testing.T) {
	t.Parallel()
	const keys, indices, readers = 3, 3000, 4
	key := func(k uint64) string { return fmt.Sprint("key-", k) }
	s := openCached(t, 1)
	var group sync.WaitGroup
	done := make(chan struct{})
	defer group.Wait()
	defer close(done)
	for r := range readers {
		group.Go(func() {
			for i := uint64(r); ; i++ {
				select {
				case <-done:
					return
				default:
				}
				v, err := s.View()
				if err != nil {
					t.Error(err)
					return
				}
				k, at := i%keys, v.Index()
				want := "" // the newest index up to the view's that writes this key
				if at > k {
					want = fmt.Sprint(at - (at-k-1)%keys)
				}
				wantGet(t, v, key(k), want)
				wantGet(t, v, key(k), want)
				v.Close()
			}
		})
	}
	for index := uint64(1); index <= indices; index++ {
		apply(t, s, put(key((index-1)%keys), fmt.Sprint(index)))
	}
}
