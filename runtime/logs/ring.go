package logs

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/sdk/abi"
)

// entry is a line with its place among all lines of the node.
type entry struct {
	order uint64
	line  abi.Line
}

// entryBytes is what an entry takes besides the text it points to.
const entryBytes = 192

func (e entry) size() int {
	return entryBytes + len(e.line.Message) + len(e.line.Attrs) + len(e.line.Invocation)
}

// ring is one function's lines, oldest first.
type ring struct {
	at source

	mu      sync.Mutex // guards what follows
	entries []entry
	bytes   int
	swept   bool // it is empty and no longer in the map: nothing may be added
}

// add appends a copy of line and drops the oldest ones over limit, but never the line itself. It answers how many bytes
// more the ring has now.
func (r *ring) add(line abi.Line, order *atomic.Uint64, limit int) (e entry, change int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.swept {
		return e, 0, false
	}
	r.own(&line)
	e = entry{order: order.Add(1), line: line}
	before := r.bytes
	r.entries = append(r.entries, e)
	r.bytes += e.size()
	r.shrink(limit)
	return e, r.bytes - before, true
}

// own makes line share memory with nothing but the ring.
func (r *ring) own(line *abi.Line) {
	line.App, line.Function = r.at.app, r.at.function
	line.Message, line.Attrs = strings.Clone(line.Message), strings.Clone(line.Attrs)
	if n := len(r.entries); n > 0 {
		last := &r.entries[n-1].line
		line.Invocation = sameOrClone(line.Invocation, last.Invocation)
		line.Stream, line.Level = sameOrClone(line.Stream, last.Stream), sameOrClone(line.Level, last.Level)
		return
	}
	line.Invocation = strings.Clone(line.Invocation)
	line.Stream, line.Level = strings.Clone(line.Stream), strings.Clone(line.Level)
}

func sameOrClone(s, kept string) string {
	if s == kept {
		return kept
	}
	return strings.Clone(s)
}

// shrink drops the oldest lines until at most limit bytes or the newest line are left. The caller holds r.mu.
func (r *ring) shrink(limit int) {
	n := 0
	for ; n < len(r.entries)-1 && r.bytes > limit; n++ {
		r.bytes -= r.entries[n].size()
	}
	r.drop(n)
}

// drop takes the first n entries away. The array behind them is left when append next needs a larger one, which
// copies what is kept.
func (r *ring) drop(n int) {
	clear(r.entries[:n])
	if r.entries = r.entries[n:]; len(r.entries) == 0 {
		r.entries = nil
	}
}

func (r *ring) expire(before time.Time) (freed int, empty bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for ; n < len(r.entries) && r.entries[n].line.Time.Before(before); n++ {
		freed += r.entries[n].size()
	}
	r.bytes -= freed
	r.drop(n)
	return freed, len(r.entries) == 0
}

// match appends to found the newest entries that q asks for, at most limit, newest first.
func (r *ring) match(found []entry, q Query, limit int) []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.entries) - 1; i >= 0 && limit > 0; i-- {
		if e := r.entries[i]; q.matches(&e.line) {
			found = append(found, e)
			limit--
		}
	}
	return found
}

// reclaim frees an eighth of all memory, from the rings that hold most: each is cut to one common size.
func (l *Logs) reclaim() {
	if !l.reclaims.TryLock() {
		return // someone is at it
	}
	defer l.reclaims.Unlock()
	rings := l.all("", "")
	sizes := make([]int, len(rings))
	for i, r := range rings {
		r.mu.Lock()
		sizes[i] = r.bytes
		r.mu.Unlock()
	}
	limit := commonLimit(sizes, l.config.TotalBytes-l.config.TotalBytes/8)
	for _, r := range rings {
		r.mu.Lock()
		before := r.bytes
		r.shrink(limit)
		l.bytes.Add(int64(r.bytes - before))
		r.mu.Unlock()
	}
}

// commonLimit answers a limit for which sizes sum to at most total when each is cut to it, and which
// cuts no more than it must.
func commonLimit(sizes []int, total int) int {
	sizes = slices.Clone(sizes)
	slices.SortFunc(sizes, cmp.Compare)
	for i, size := range sizes {
		rest := len(sizes) - i
		if size*rest > total {
			return total / rest
		}
		total -= size
	}
	return slices.Max(append(sizes, 0))
}
