package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sett-run/sett/runtime/memory"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
)

// poolKey says which versions share instances: those with the same image. In practice that is one version, since
// each has a seed of its own.
type poolKey struct {
	digest, function, seed, env string
	memoryMB                    int
}

func keyOf(v *registry.Version) poolKey {
	k := poolKey{digest: v.Module.Digest, function: v.Function, seed: v.Seed, memoryMB: v.Settings.MemoryMB}
	if len(v.Settings.Env) > 0 {
		k.env = strings.Join(settingsEnv(v), "\x00")
	}
	return k
}

// resident is a version's code and image in memory. It goes when the pool and all instances have let go of it.
type resident struct {
	r     *Runtime
	code  *code
	image *image
	bytes int64 // of the image
	refs  atomic.Int64
}

func (s *resident) retain() { s.refs.Add(1) }

func (s *resident) release() {
	if s.refs.Add(-1) == 0 {
		s.r.used.imageBytes.Add(-s.bytes)
		s.image.memory.Close()
		s.r.codes.release(s.code)
	}
}

// pool keeps a version's instances. An instance is idle, or dirty until it is reset, or with whoever took it.
type pool struct {
	r       *Runtime
	key     poolKey
	version *registry.Version // one with the key

	mu          sync.Mutex // guards what follows
	resident    *resident  // nil: not in memory
	opening     *opening   // nil: nobody makes it resident now
	idle        []*instance
	dirty       []*instance
	taken       int // instances that were taken, or are being made or reset
	provisioned int
	fewest      int       // idle at any moment since the last sweep
	used        time.Time // when an instance was taken last
	removed     bool      // nobody finds the pool any more
	unlisted    time.Time // since when no live version has the key; zero: one has, or nobody said
}

var errClosing = abi.WithCode(abi.Unavailable, errors.New("load module: the node is closing"))

// opening is one try to make a version resident.
type opening struct {
	ready chan struct{}
	err   error
}

// take answers a pristine instance; cold says whether the caller waited for code or image. Give it back.
func (p *pool) take(ctx context.Context, v *registry.Version) (i *instance, cold bool, err error) {
	for {
		p.mu.Lock()
		if p.removed {
			p.mu.Unlock()
			return nil, false, errRemoved
		}
		if p.r.life.Err() != nil {
			p.mu.Unlock()
			return nil, false, errClosing
		}
		p.used = time.Now()
		s := p.resident
		if s == nil {
			p.mu.Unlock()
			cold = true
			if err := p.open(ctx, v); err != nil {
				return nil, true, err
			}
			continue
		}
		i, clean := p.pick(v, s)
		if i == nil {
			s.retain() // while the instance is made
		}
		p.taken++
		p.mu.Unlock()
		switch {
		case i == nil:
			i, err = p.make(v, s)
			s.release()
			if err != nil {
				p.untake()
			}
			return i, cold, err
		case clean:
			return i, cold, nil
		}
		if err := p.r.clean(i); err == nil {
			return i, cold, nil
		}
		p.untake()
	}
}

// pick answers an instance to use, the last used first, and whether it is clean already; nil when a new one must be
// made. With mu held.
func (p *pool) pick(v *registry.Version, s *resident) (i *instance, clean bool) {
	if strict(v, s.image) {
		return nil, false
	}
	if n := len(p.idle); n > 0 {
		i, p.idle = p.idle[n-1], p.idle[:n-1]
		p.fewest = min(p.fewest, n-1)
		return i, true
	}
	if n := len(p.dirty); n > 0 {
		i, p.dirty = p.dirty[n-1], p.dirty[:n-1]
		p.fewest = 0
		return i, false
	}
	p.fewest = 0
	return nil, false
}

// strict says whether v's invocations each get an instance of their own.
func strict(v *registry.Version, img *image) bool {
	mode, _ := img.isolation(v)
	return mode == registry.IsolationStrict
}

func (p *pool) untake() {
	p.mu.Lock()
	p.taken--
	p.mu.Unlock()
}

// make makes an instance, and takes memory from pools that wait when there is none left.
func (p *pool) make(v *registry.Version, s *resident) (*instance, error) {
	for {
		i, err := p.r.newInstance(v, s)
		if err == nil || !errors.Is(err, memory.ErrBudget) || !p.r.pools.relieve(p) {
			return i, err
		}
	}
}

// give takes an instance back after its reply is made. It is reset later, or closed.
func (p *pool) give(v *registry.Version, i *instance) {
	p.mu.Lock()
	p.taken--
	keep := i.resident == p.resident && !strict(v, i.image)
	if keep {
		p.dirty = append(p.dirty, i)
	}
	p.mu.Unlock()
	if !keep {
		i.drop()
		return
	}
	p.r.pools.soil(p)
}

// clean resets i, and drops it when that fails.
func (r *Runtime) clean(i *instance) error {
	start := time.Now()
	if err := i.reset(); err != nil {
		if !errors.Is(err, errChanged) {
			r.config.Log.Error("reset instance", "module", i.code.digest, "err", err)
		}
		i.drop()
		return err
	}
	r.metrics.reset.Observe(time.Since(start).Seconds())
	if f := r.onReset.Load(); f != nil {
		(*f)(i)
	}
	i.idle = start
	if s := r.slots.Stats(); s.ResidentBytes > s.BudgetBytes/4*3 { // what waits must not keep others from growing
		if err := i.slot.Release(); err == nil {
			i.released = true
		}
	}
	return nil
}

// cleanOne resets one dirty instance and answers whether there may be more.
func (p *pool) cleanOne() bool {
	p.mu.Lock()
	n := len(p.dirty)
	if n == 0 {
		p.mu.Unlock()
		return false
	}
	i := p.dirty[n-1]
	p.dirty = p.dirty[:n-1]
	p.taken++
	p.mu.Unlock()
	if p.r.clean(i) != nil {
		p.untake()
		return true
	}
	p.put(i, takenFirst)
	return true
}

// Places among the idle instances.
const (
	takenLast  = 0
	takenFirst = math.MaxInt
)

// put has a clean instance, which was taken, wait among the idle ones.
func (p *pool) put(i *instance, at int) {
	p.mu.Lock()
	p.taken--
	keep := i.resident == p.resident
	if keep {
		p.idle = slices.Insert(p.idle, min(at, len(p.idle)), i)
	}
	p.mu.Unlock()
	if !keep {
		i.drop()
	}
}

// open makes the version resident and answers why that cannot be. What takes long goes on when ctx ends.
func (p *pool) open(ctx context.Context, v *registry.Version) error {
	p.mu.Lock()
	if p.resident != nil {
		p.mu.Unlock()
		return nil
	}
	o := p.opening
	if o != nil {
		p.mu.Unlock()
		return o.wait(ctx)
	}
	o = &opening{ready: make(chan struct{})}
	p.opening = o
	p.mu.Unlock()
	if s := p.r.loadSaved(v); s != nil { // microseconds, where waking a goroutine takes tens of them
		p.opened(o, s, nil)
	} else if !p.r.background(func() {
		s, err := p.r.load(v)
		p.opened(o, s, err)
	}) {
		p.opened(o, nil, errClosing)
	}
	return o.wait(ctx)
}

// opened ends an opening with what was loaded, or why nothing was.
func (p *pool) opened(o *opening, s *resident, err error) {
	p.mu.Lock()
	if err == nil && p.r.life.Err() != nil { // nobody would evict it any more
		defer s.release()
		err = errClosing
	}
	if err == nil {
		p.resident = s
		p.fewest = 0
	}
	p.opening, o.err = nil, err
	p.mu.Unlock()
	close(o.ready)
}

func (o *opening) wait(ctx context.Context) error {
	select {
	case <-o.ready:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// loadSaved answers v's code and image where the code is in memory and the image on disk, else nil.
func (r *Runtime) loadSaved(v *registry.Version) *resident {
	c := r.codes.acquireReady(v.Module.Digest)
	if c == nil {
		return nil
	}
	start := time.Now()
	img, err := r.images.open(imageKey(v), len(c.Globals))
	if err != nil || uint64(c.MemoryBytes) > memoryLimit(v) {
		if err == nil {
			img.memory.Close()
		}
		r.codes.release(c)
		return nil
	}
	r.metrics.image.Observe(time.Since(start).Seconds())
	return r.newResident(c, img)
}

// load answers v's code and image, from disk where they are and else made anew.
func (r *Runtime) load(v *registry.Version) (*resident, error) {
	c, _, err := r.codes.acquire(r.life, v.Module.Digest)
	if err != nil {
		return nil, err
	}
	img, err := r.loadImage(v, c)
	if err != nil {
		r.codes.release(c)
		return nil, err
	}
	return r.newResident(c, img), nil
}

// newResident makes room for what was loaded, before anybody can find it to evict it.
func (r *Runtime) newResident(c *code, img *image) *resident {
	s := &resident{r: r, code: c, image: img, bytes: int64(img.memory.StoredBytes())}
	s.retain()
	r.used.imageBytes.Add(s.bytes)
	r.pools.trim()
	return s
}

func (r *Runtime) loadImage(v *registry.Version, c *code) (*image, error) {
	if uint64(c.MemoryBytes) > memoryLimit(v) {
		return nil, abi.WithCode(abi.InvalidModule, tooMuchMemory(c.MemoryBytes, v))
	}
	start, key := time.Now(), imageKey(v)
	img, err := r.images.open(key, len(c.Globals))
	if err == nil {
		r.metrics.image.Observe(time.Since(start).Seconds())
		return img, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, memory.ErrForeign) {
		r.config.Log.Warn("open image", "app", v.App, "function", v.Function, "err", err)
	}
	if img, err = r.build(r.life, v, c); err != nil {
		return nil, err
	}
	if err := r.images.save(key, img); err != nil {
		r.config.Log.Warn("save image", "app", v.App, "function", v.Function, "err", err)
		return img, nil
	}
	// The file's pages are the page cache's, which the kernel takes back when it needs to: use them.
	if saved, err := r.images.open(key, len(c.Globals)); err == nil {
		img.memory.Close()
		return saved, nil
	}
	return img, nil
}

// evict drops the version from memory; instances that are taken go when they are given back. It answers false when
// there was nothing to drop.
func (p *pool) evict() bool {
	p.mu.Lock()
	s, gone := p.resident, slices.Concat(p.idle, p.dirty)
	p.resident, p.idle, p.dirty = nil, nil, nil
	p.mu.Unlock()
	for _, i := range gone {
		i.drop()
	}
	if s == nil {
		return false
	}
	s.release()
	return true
}

// shrink closes what has not been needed since the last call, and lets idle instances give their memory back. What
// is provisioned stays.
func (p *pool) shrink(now time.Time) {
	p.mu.Lock()
	surplus := min((p.fewest+1)/2, len(p.idle)-max(p.provisioned, 1))
	if now.Sub(p.used) > idleAfter {
		surplus = len(p.idle) - p.provisioned
	}
	var gone, rest []*instance
	if surplus > 0 {
		gone = slices.Clone(p.idle[:surplus]) // the longest unused
		p.idle = slices.Delete(p.idle, 0, surplus)
	}
	p.fewest = len(p.idle)
	for k := 0; k < len(p.idle); k++ {
		if i := p.idle[k]; !i.released && now.Sub(i.idle) > releaseAfter {
			rest = append(rest, i)
			p.idle = slices.Delete(p.idle, k, k+1)
			k--
		}
	}
	p.taken += len(rest)
	p.mu.Unlock()
	for _, i := range gone {
		i.drop()
	}
	for _, i := range rest {
		if err := i.slot.Release(); err != nil {
			p.untake()
			p.r.config.Log.Error("release memory", "module", i.code.digest, "err", err)
			i.drop()
			continue
		}
		i.released = true
		p.put(i, takenLast)
	}
}

// provide makes the version resident and as many instances ready as it is to have.
func (p *pool) provide(ctx context.Context, v *registry.Version, n int) error {
	for ctx.Err() == nil {
		p.mu.Lock()
		if p.removed {
			p.mu.Unlock()
			return nil
		}
		s := p.resident
		if s == nil {
			p.mu.Unlock()
			if err := p.open(ctx, v); err != nil {
				return err
			}
			continue
		}
		if strict(v, s.image) || p.taken+len(p.idle)+len(p.dirty) >= n {
			p.mu.Unlock()
			return nil
		}
		s.retain()
		p.taken++
		p.mu.Unlock()
		i, err := p.make(v, s)
		s.release()
		if err != nil {
			p.untake()
			return fmt.Errorf("provision instances: %w", err)
		}
		i.idle = time.Now()
		p.put(i, takenFirst)
	}
	return ctx.Err()
}
