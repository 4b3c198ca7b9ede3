package node

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/sett-run/sett/runtime/registry"
)

// versionKey names a version.
type versionKey struct {
	app, function string
	number        int
}

func keyOf(v *registry.Version) versionKey { return versionKey{v.App, v.Function, v.Number} }

// waiting are the versions that this node does not run yet: their module is not here, or not compiled. Every
// invocation looks here, and as a rule finds nil.
type waiting struct {
	current atomic.Pointer[map[versionKey]chan struct{}] // nil: none waits. Each channel is closed when its version can run
	mu      sync.Mutex                                   // held while current is replaced
}

// on answers what is closed when the version can run here; nil: it can.
func (w *waiting) on(k versionKey) <-chan struct{} {
	all := w.current.Load()
	if all == nil {
		return nil
	}
	return (*all)[k]
}

// keys are the versions that wait.
func (w *waiting) keys() []versionKey {
	all := w.current.Load()
	if all == nil {
		return nil
	}
	keys := make([]versionKey, 0, len(*all))
	for k := range *all {
		keys = append(keys, k)
	}
	return keys
}

// change has more versions wait, and none that keep refuses.
func (w *waiting) change(more []versionKey, keep func(versionKey) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := map[versionKey]chan struct{}{}
	if all := w.current.Load(); all != nil {
		maps.Copy(next, *all)
	}
	for _, k := range more {
		if next[k] == nil {
			next[k] = make(chan struct{})
		}
	}
	for k, c := range next {
		if !keep(k) {
			close(c)
			delete(next, k)
		}
	}
	if len(next) == 0 {
		w.current.Store(nil)
		return
	}
	w.current.Store(&next)
}

// done says that a version can run here.
func (w *waiting) done(k versionKey) {
	w.change(nil, func(other versionKey) bool { return other != k })
}
