package memory

import "sync/atomic"

// budget counts bytes against a limit. It may be used by many goroutines at once.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take charges n bytes, or nothing and answers false where that would pass the limit.
func (b *budget) take(n int64) bool {
	for {
		used := b.used.Load()
		if n > b.limit-used {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// correct changes what is charged to what was measured. It may pass the limit: the bytes are there already.
func (b *budget) correct(from, to int64) { b.used.Add(to - from) }
