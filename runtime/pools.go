package runtime

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/runtime/registry"
)

// errRemoved says that a pool was forgotten meanwhile, and that there may be another.
var errRemoved = errors.New("pool was removed")

// How long pools keep what is not used.
const (
	sweepEvery      = 5 * time.Second
	releaseAfter    = 10 * time.Second // an idle instance gives its private memory back; sooner costs its next call faults
	idleAfter       = 5 * time.Minute  // a version that is not invoked keeps its provisioned instances only
	retireAfter     = time.Minute      // a version that is not live any more, and not invoked, leaves memory
	provisionedLead = 1000 * time.Hour // by so much later does a provisioned version count as used when one must go
	imageGrace      = 10 * time.Minute // the image of a deployment that failed, or is under way, stays on disk

	maxDirty = 1024 // instances that wait to be cleaned in order; whoever takes one of the others cleans it

	// cleanAfter is how long an instance waits for somebody who has a moment to clean it; then a goroutine is woken
	// for it, which costs several times what the reset of a small instance does. Longer has more requests wait for the
	// reset of the one before, shorter wakes more goroutines.
	cleanAfter = time.Millisecond
)

// take answers a pristine instance of v and the pool to give it back to; cold says whether the caller waited for
// code or image.
func (s *pools) take(ctx context.Context, v *registry.Version) (p *pool, i *instance, cold bool, err error) {
	for {
		p = s.of(v)
		if i, cold, err = p.take(ctx, v); !errors.Is(err, errRemoved) {
			return p, i, cold, err
		}
	}
}

// pools holds every version's pool, and what cleans, shrinks and fills them.
type pools struct {
	r     *Runtime
	dirty chan *pool  // a pool for each instance that is to be cleaned
	timer *time.Timer // cleans what waits
	armed atomic.Bool // the timer runs

	mu  sync.RWMutex // guards what follows
	all map[poolKey]*pool
}

func newPools(r *Runtime) *pools {
	s := &pools{r: r, dirty: make(chan *pool, maxDirty), all: make(map[poolKey]*pool)}
	s.timer = time.AfterFunc(cleanAfter, func() {
		s.armed.Store(false)
		r.background(func() {
			for s.cleanOne() {
			}
		})
	})
	r.background(s.sweepAll)
	return s
}

// of answers v's pool, which is made when there is none.
func (s *pools) of(v *registry.Version) *pool {
	key := keyOf(v)
	s.mu.RLock()
	p := s.all[key]
	s.mu.RUnlock()
	if p != nil {
		return p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p = s.all[key]; p == nil {
		p = &pool{r: s.r, key: key, version: v}
		s.all[key] = p
	}
	return p
}

// list answers all pools there are.
func (s *pools) list() []*pool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*pool, 0, len(s.all))
	for _, p := range s.all {
		all = append(all, p)
	}
	return all
}

// soil says that an instance of p is to be cleaned: by Runtime.Clean, by the timer, by whoever takes it, or by the
// next sweep.
func (s *pools) soil(p *pool) {
	select {
	case s.dirty <- p:
	default:
	}
	if s.armed.CompareAndSwap(false, true) {
		s.timer.Reset(cleanAfter)
	}
}

// cleanOne cleans an instance that waits for it, and answers whether there was one.
func (s *pools) cleanOne() bool {
	select {
	case p := <-s.dirty:
		p.cleanOne()
		return true
	default:
		return false
	}
}

// Clean resets one instance that has answered, if there is any: who has a moment between two requests calls it, so
// that no request waits for the reset and no goroutine is woken for it.
func (r *Runtime) Clean() { r.pools.cleanOne() }

func (s *pools) sweepAll() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.sweep(now)
		case <-s.r.life.Done():
			return
		}
	}
}

// sweep shrinks pools, drops those of versions that are not live any more, and fills up what is provisioned.
func (s *pools) sweep(now time.Time) {
	s.trim()
	for _, p := range s.list() {
		for p.cleanOne() {
		}
		p.mu.Lock()
		unlisted, last, v, n := p.unlisted, p.used, p.version, p.provisioned
		p.mu.Unlock()
		if !unlisted.IsZero() && now.Sub(unlisted) > retireAfter && now.Sub(last) > retireAfter {
			s.remove(p)
			continue
		}
		p.shrink(now)
		if n > 0 {
			s.fill(p, v, n)
		}
	}
}

// trim evicts what was invoked longest ago while code or images are over their budget.
func (s *pools) trim() {
	for s.r.codes.over() || s.r.used.imageBytes.Load() > s.r.config.ImageBytes {
		if !s.relieve(nil) {
			return
		}
	}
}

func (s *pools) fill(p *pool, v *registry.Version, n int) {
	if err := p.provide(s.r.life, v, n); err != nil && s.r.life.Err() == nil {
		s.r.config.Log.Warn("provision", "app", v.App, "function", v.Function, "err", err)
	}
}

// remove forgets a pool that nobody uses.
func (s *pools) remove(p *pool) {
	s.mu.Lock()
	p.mu.Lock()
	p.removed = p.taken == 0 && p.opening == nil
	removed := p.removed
	if removed {
		delete(s.all, p.key)
	}
	p.mu.Unlock()
	s.mu.Unlock()
	if removed {
		p.evict()
	}
}

// relieve evicts the resident version that was invoked longest ago and of which nothing is taken, other than that
// of p. It answers false when there is none. What is provisioned goes last.
func (s *pools) relieve(p *pool) bool {
	for {
		oldest := s.oldest(p)
		if oldest == nil {
			return false
		}
		if oldest.evict() {
			return true
		} // else somebody else was quicker
	}
}

// oldest answers the pool that relieve evicts, nil for none.
func (s *pools) oldest(but *pool) *pool {
	var oldest *pool
	var since time.Time
	for _, q := range s.list() {
		if q == but {
			continue
		}
		q.mu.Lock()
		used := q.used
		if q.provisioned > 0 {
			used = used.Add(provisionedLead)
		}
		if q.resident != nil && q.taken == 0 && (oldest == nil || used.Before(since)) {
			oldest, since = q, used
		}
		q.mu.Unlock()
	}
	return oldest
}

// close refuses to give out instances, stops the goroutines and evicts everything; what is taken goes when it is
// given back.
func (s *pools) close() {
	s.timer.Stop()
	s.r.stop()
	for _, p := range s.list() {
		p.evict()
	}
}

// Retain says which versions are live and which others may be asked for. Live ones that are provisioned get their
// instances, in the background and again whenever they lack; versions that are not live leave memory a while after
// their last invocation, and the images of those not named at all leave the disk.
func (r *Runtime) Retain(live, others []*registry.Version) {
	listed := make(map[poolKey]*registry.Version, len(live))
	keep := make(map[string]bool, len(live)+len(others))
	for _, v := range live {
		listed[keyOf(v)] = v
		keep[r.images.path(imageKey(v))] = true
		if v.Settings.Provisioned > 0 {
			r.pools.of(v)
		}
	}
	for _, v := range others {
		keep[r.images.path(imageKey(v))] = true
	}
	for _, p := range r.pools.list() {
		v := listed[p.key]
		p.mu.Lock()
		switch {
		case v != nil:
			p.version, p.provisioned, p.unlisted = v, v.Settings.Provisioned, time.Time{}
		default:
			p.provisioned = 0
			if p.unlisted.IsZero() {
				p.unlisted = time.Now()
			}
		}
		n := p.provisioned
		p.mu.Unlock()
		if n > 0 {
			r.background(func() { r.pools.fill(p, v, n) })
		}
	}
	r.background(func() {
		if err := r.images.collect(keep, imageGrace); err != nil {
			r.config.Log.Warn("collect images", "err", err)
		}
	})
}

// Evict drops v's instances, image and compiled code from memory; the next invocation loads them from disk. Running
// ones go on.
func (r *Runtime) Evict(v *registry.Version) {
	r.pools.of(v).evict()
	r.codes.drop(v.Module.Digest)
}
