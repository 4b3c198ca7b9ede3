package store

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sett-run/sett/kv/fsm"
)

// Limits of a cache. It has many more slots than it has room for long values, so that few keys share one.
const (
	cacheSlots     = 1 << 16
	cacheBytes     = 32 << 20 // of all entries
	maxCachedBytes = 2 << 10  // a key with its value; longer ones are read from the engine
	entryOverhead  = 96       // what an entry takes beside them
)

// cache has the newest values of keys that were read a short while ago. The engine looks for a key in every memtable and
// on every level, wherever it finds it first: it does not know that indices ascend.
//
// What is here is the newest value of its key: Apply replaces it before anybody can read at the index it applies. A
// reader puts in what it has read only while no later index than its own has begun, so that Apply, which begins one
// before it looks into the slots, finds it there.
type cache struct {
	seed  maphash.Seed
	begun atomic.Uint64 // the newest index whose writes may be in the engine
	slots []slot
	bytes atomic.Int64  // that the entries take
	hand  atomic.Uint64 // the slot that was emptied last, for want of room
}

// slot has one of the keys that belong in it.
type slot struct {
	mu    sync.Mutex // held to change entry
	entry atomic.Pointer[cached]
}

// cached is the value that a key has from an index on. It never changes.
type cached struct {
	key, value []byte
	index      uint64
}

func newCache(slots int, durable uint64) *cache {
	c := &cache{seed: maphash.MakeSeed(), slots: make([]slot, slots)}
	c.begun.Store(durable)
	return c
}

func (c *cache) slot(key []byte) *slot {
	return &c.slots[maphash.Bytes(c.seed, key)%uint64(len(c.slots))]
}

// get answers the value of a key at an index, which the caller owns.
func (s *slot) get(key []byte, at uint64) (value []byte, found bool) {
	e := s.entry.Load()
	if e == nil || e.index > at || !bytes.Equal(e.key, key) {
		return nil, false
	}
	return bytes.Clone(e.value), true
}

// keep puts in a value that was written at index and read at another one.
func (c *cache) keep(s *slot, key, value []byte, index, at uint64) {
	if !fits(key, value) {
		return
	}
	s.mu.Lock()
	if c.begun.Load() <= at {
		c.put(s, newCached(key, value, index))
	}
	s.mu.Unlock()
	c.shrink()
}

// apply replaces what is here by what was written at index, at which nobody reads yet.
func (c *cache) apply(writes []fsm.Write, index uint64) {
	for _, w := range writes {
		s := c.slot(w.Key)
		s.mu.Lock()
		if e := s.entry.Load(); e != nil && bytes.Equal(e.key, w.Key) {
			if !w.Delete && fits(w.Key, w.Value) {
				c.put(s, newCached(w.Key, w.Value, index))
			} else {
				c.put(s, nil)
			}
		}
		s.mu.Unlock()
	}
	c.shrink()
}

// put puts an entry into a slot, whose mu the caller holds, or empties it.
func (c *cache) put(s *slot, e *cached) { c.bytes.Add(e.size() - s.entry.Swap(e).size()) }

// shrink empties slots, one after the other, until there is room. The caller holds no slot's mu.
func (c *cache) shrink() {
	for c.bytes.Load() > cacheBytes {
		s := &c.slots[c.hand.Add(1)%uint64(len(c.slots))]
		s.mu.Lock()
		c.put(s, nil)
		s.mu.Unlock()
	}
}

func fits(key, value []byte) bool { return len(key)+len(value) <= maxCachedBytes }

// size is how many bytes an entry takes; none takes 0.
func (e *cached) size() int64 {
	if e == nil {
		return 0
	}
	return int64(len(e.key) + len(e.value) + entryOverhead)
}

func newCached(key, value []byte, index uint64) *cached {
	b := slices.Concat(key, value)
	return &cached{key: b[:len(key)], value: b[len(key):], index: index}
}
