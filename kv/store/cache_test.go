package store

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/sett-run/sett/kv/fsm"
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

// TestCacheRoom reads and writes more than there is room for.
func TestCacheRoom(t *testing.T) {
	t.Parallel()
	s := openCached(t, cacheSlots)
	const room, perApply = 1 << 20, 100
	const keys = room/maxCachedBytes + 200
	c := s.engine.Load().cache
	c.bytes.Add(cacheBytes - room) // taken
	key := func(i int) string { return fmt.Sprintf("key-%06d", i) }
	writeAll := func(value string) {
		for i := 0; i < keys; i += perApply {
			var writes []fsm.Write
			for k := i; k < min(i+perApply, keys); k++ {
				writes = append(writes, put(key(k), value))
			}
			apply(t, s, writes...)
		}
	}
	long := string(bytes.Repeat([]byte("v"), maxCachedBytes-len(key(0))))
	for _, value := range []string{"short", long} { // what is cached grows by reading it, and by writing it
		writeAll(value)
		v := view(t, s)
		for k := range keys {
			wantGet(t, v, key(k), value)
		}
		if value == "short" {
			if sum := wantSum(t, c, room); sum > room/2 {
				t.Fatalf("%d short values take %d bytes", keys, sum)
			}
			writeAll(long)
		}
		if sum := wantSum(t, c, room); sum < room*9/10 {
			t.Errorf("entries take %d bytes, want nearly %d", sum, room)
		}
	}
}

// wantSum answers how many bytes the entries take, and checks that this is what the cache counts, of which all but room
// were taken before, and that there is room for it.
func wantSum(t *testing.T, c *cache, room int64) (sum int64) {
	t.Helper()
	for i := range c.slots {
		sum += c.slots[i].entry.Load().size()
	}
	if got := c.bytes.Load() - (cacheBytes - room); got != sum || sum > room {
		t.Errorf("the cache counts %d bytes, its entries take %d, there is room for %d", got, sum, room)
	}
	return sum
}

// TestCacheHammer reads keys at the newest index, which is not the newest for long: they are written to meanwhile. They
// share a slot, or have room for one of them in all.
func TestCacheHammer(t *testing.T) {
	t.Parallel()
	t.Run("one slot", func(t *testing.T) { hammerCache(t, openCached(t, 1), 3000) })
	t.Run("room for one", func(t *testing.T) {
		s := openCached(t, cacheSlots)
		c := s.engine.Load().cache
		const room = 3 * entryOverhead / 2
		c.bytes.Add(cacheBytes - room) // taken
		hammerCache(t, s, 500)
		wantSum(t, c, room)
	})
}

func hammerCache(t *testing.T, s *Store, indices uint64) {
	const keys, readers = 3, 4
	key := func(k uint64) string { return fmt.Sprint("key-", k) }
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
