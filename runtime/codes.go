package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// giveBackBytes is from which size on, as rewritten, a module has the memory that compiling it took, some 30 times as much,
// given back to the system at once. Lower, more deployments cost a collection of garbage; higher, more is kept until the
// heap has doubled.
const giveBackBytes = 1 << 20

// giveBack gives the system the memory that work on a module of this size took.
func giveBack(moduleBytes int) {
	if moduleBytes >= giveBackBytes {
		debug.FreeOSMemory()
	}
}

// code is a module compiled and in memory. What is below ready is written before ready is closed.
type code struct {
	digest string
	ready  chan struct{}
	err    error
	traits
	module   *wasmbin.Rewritten // as rewritten, until the first image is taken; guarded by codes.mu
	compiled wazero.CompiledModule
	handles  int           // times compiled must be closed
	bytes    int64         // estimate of the memory it takes
	took     time.Duration // it took to compile or load

	uses    int    // guarded by codes.mu
	used    uint64 // when it was last asked for; guarded by codes.mu
	dropped bool   // close it when it is not used any more; guarded by codes.mu
}

// codes keeps compiled modules under a budget, the least recently used leaving first, and loads each at most
// once at a time. What is in use never leaves.
type codes struct {
	r     *Runtime
	disk  *disk
	slots chan struct{} // holds one value for each compilation that runs
	live  sync.Mutex    // guards disk.live
	wg    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	all    map[string]*code
	bytes  int64
	clock  uint64
	inUse  int // the sum of all uses
	closed bool
	idle   chan struct{} // closed when closed and nothing is in use
}

func newCodes(r *Runtime, d *disk) *codes {
	c := &codes{r: r, disk: d, slots: make(chan struct{}, r.config.Compiles),
		all: make(map[string]*code), idle: make(chan struct{})}
	r.modules.removed = func(digest string) {
		for _, p := range r.pools.list() {
			if p.key.digest == digest {
				p.evict()
			}
		}
		c.drop(digest)
		d.remove(digest)
	}
	return c
}

// acquire answers the module's code, loading it when it is not in memory; cold says whether the caller waited.
// Call release when done with it. When ctx ends first, the loading goes on for the next caller.
func (s *codes) acquire(ctx context.Context, digest string) (c *code, cold bool, err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, false, errClosing
	}
	c = s.all[digest]
	if c == nil {
		c = &code{digest: digest, ready: make(chan struct{})}
		s.all[digest] = c
		s.wg.Add(1)
		go s.load(c)
	}
	s.use(c)
	s.mu.Unlock()
	if cold = !isReady(c); cold {
		select {
		case <-c.ready:
		case <-ctx.Done():
			s.release(c)
			return nil, true, ctx.Err()
		}
	}
	if c.err != nil {
		s.release(c)
		return nil, cold, c.err
	}
	return c, cold, nil
}

// acquireReady answers the module's code when it is in memory, else nil. Call release when done with it.
func (s *codes) acquireReady(digest string) *code {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.all[digest]
	if s.closed || c == nil || !isReady(c) || c.err != nil {
		return nil
	}
	s.use(c)
	return c
}

// use counts a use of c, which is now the last used one. With mu held.
func (s *codes) use(c *code) {
	s.clock++
	c.uses, c.used = c.uses+1, s.clock
	s.inUse++
}

func (s *codes) release(c *code) {
	s.mu.Lock()
	c.uses--
	if s.inUse--; s.inUse == 0 && s.closed {
		close(s.idle)
	}
	var gone []*code
	if c.uses == 0 && c.dropped {
		gone = append(gone, c)
	}
	gone = append(gone, s.shrink()...)
	s.mu.Unlock()
	s.free(gone)
}

// drop forgets the module's code in memory; it is freed when nothing uses it any more.
func (s *codes) drop(digest string) {
	s.mu.Lock()
	c := s.all[digest]
	var gone []*code
	if c != nil && isReady(c) {
		s.forget(c)
		if c.uses == 0 {
			gone = append(gone, c)
		}
	}
	s.mu.Unlock()
	s.free(gone)
}

// forget takes c out of the map. With mu held.
func (s *codes) forget(c *code) {
	delete(s.all, c.digest)
	s.bytes -= c.bytes
	c.dropped = true
}

// shrink forgets what is over the budget and not in use, and answers it. With mu held.
func (s *codes) shrink() (gone []*code) {
	for s.bytes > s.r.config.CodeBytes || len(s.all) > s.r.config.CodeModules {
		var oldest *code
		for _, c := range s.all {
			if c.uses == 0 && isReady(c) && (oldest == nil || c.used < oldest.used) {
				oldest = c
			}
		}
		if oldest == nil {
			return gone
		}
		s.forget(oldest)
		gone = append(gone, oldest)
	}
	return gone
}

func isReady(c *code) bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// free closes compiled modules that nothing uses.
func (s *codes) free(gone []*code) {
	for _, c := range gone {
		for ; c.handles > 0; c.handles-- {
			_ = c.compiled.Close(context.Background()) // never fails
		}
	}
}

// close refuses more, and waits until nothing is in use or being loaded. When ctx ends before, it answers false.
func (s *codes) close(ctx context.Context) bool {
	s.mu.Lock()
	if !s.closed && s.inUse == 0 {
		close(s.idle)
	}
	s.closed = true
	s.mu.Unlock()
	select {
	case <-s.idle:
		s.wg.Wait()
		return true
	case <-ctx.Done():
		return false
	}
}

// load fills c and makes it ready.
func (s *codes) load(c *code) {
	defer s.wg.Done()
	start := time.Now()
	c.err = s.fill(c)
	c.took = time.Since(start)
	s.mu.Lock()
	if c.err != nil {
		delete(s.all, c.digest) // the next caller tries again
	} else {
		s.bytes += c.bytes
	}
	close(c.ready)
	gone := s.shrink()
	s.mu.Unlock()
	s.free(gone)
}

func (s *codes) fill(c *code) (err error) {
	defer func() {
		if p := recover(); p != nil { // the engine met a module it is not written for
			err = invalid("compile module: the engine gave up: %v", p)
		}
	}()
	if c.bytes, err = s.fromDisk(c); err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errForeign) {
		s.r.config.Log.Warn("load code", "module", c.digest, "err", err)
	}
	if c.traits, c.module, err = s.rewritten(c.digest); err != nil {
		return err
	}
	c.bytes, err = s.compile(c)
	return err
}

// rewritten reads an uploaded module and answers it as it is run.
func (s *codes) rewritten(digest string) (traits, *wasmbin.Rewritten, error) {
	binary, err := s.r.modules.Read(digest)
	if err != nil {
		return traits{}, nil, err
	}
	if sum := sha256.Sum256(binary); hex.EncodeToString(sum[:]) != digest {
		return traits{}, nil, fmt.Errorf("read module %s: the file is damaged; deploy the module again", digest)
	}
	return rewrite(binary)
}

// takeModule answers the module as rewritten, with the data segments an image is built from, and whether it was compiled
// just before.
func (s *codes) takeModule(c *code) (m *wasmbin.Rewritten, compiled bool, err error) {
	s.mu.Lock()
	m = c.module
	c.module = nil
	s.mu.Unlock()
	if m != nil {
		return m, true, nil
	}
	_, m, err = s.rewritten(c.digest)
	return m, false, err
}

// fromDisk loads what was compiled before and answers the memory it takes.
func (s *codes) fromDisk(c *code) (int64, error) {
	s.live.Lock()
	defer s.live.Unlock()
	start := time.Now()
	k, err := s.disk.link(c.digest)
	if err != nil {
		return 0, err
	}
	defer s.disk.unlink(c.digest, k.entry.Name, k.traits, k.wasm)
	if c.compiled, err = s.r.engine.CompileModule(context.Background(), k.wasm); err != nil {
		s.disk.remove(c.digest)
		return 0, fmt.Errorf("load code: %w", err)
	}
	c.handles, c.traits = 1, k.traits
	s.r.metrics.load.Observe(time.Since(start).Seconds())
	return k.entry.Code.Size + 2*k.entry.Wasm.Size, nil
}

// compile compiles in an engine of its own, whose result becomes an entry on disk, and loads that. Where the
// disk does not take it, the module is compiled in memory alone.
func (s *codes) compile(c *code) (int64, error) {
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	start := time.Now()
	err := s.stage(c)
	giveBack(len(c.module.Bytes)) // before the next one compiles
	if abi.CodeOf(err) == abi.InvalidModule {
		return 0, err
	}
	s.r.metrics.compile.Observe(time.Since(start).Seconds())
	if err == nil {
		var size int64
		if size, err = s.fromDisk(c); err == nil {
			return size, nil
		}
	}
	s.r.config.Log.Warn("keep code", "module", c.digest, "err", err)
	return s.inMemory(c)
}

// stage compiles and stores the result on disk. Errors are coded abi.InvalidModule when it is the module's fault.
func (s *codes) stage(c *code) (err error) {
	dir, err := s.disk.stage()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return err
	}
	ctx := experimental.WithCompilationWorkers(context.Background(), s.r.config.Workers)
	engine := wazero.NewRuntimeWithConfig(ctx, engineConfig().WithCompilationCache(cache))
	_, err = engine.CompileModule(ctx, c.module.Bytes)
	if err = compileError(err); err == nil {
		err = s.disk.store(c.digest, dir, c.traits, c.module.Bytes)
	}
	return errors.Join(err, engine.Close(ctx), cache.Close(ctx))
}

// compileError tells the module's faults from the disk's.
func compileError(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	if err == nil || errors.As(err, &path) || errors.As(err, &link) || isNoSpace(err) {
		return err
	}
	return invalid("compile module: %w", err)
}

// inMemory compiles without a file. The engine keeps what it compiled even when it could not write the file, and
// a second call answers that; each call counts as one use of it.
func (s *codes) inMemory(c *code) (size int64, err error) {
	s.live.Lock()
	defer s.live.Unlock()
	binary := c.module.Bytes
	defer s.disk.unlink(c.digest, "", c.traits, binary)
	for range 2 {
		c.handles++
		if c.compiled, err = s.r.engine.CompileModule(context.Background(), binary); err == nil {
			return 5 * int64(len(binary)), nil // native code is two to four times as large as wasm, which is kept decoded
		}
	}
	return 0, compileError(err)
}

// over says whether there is more than the budget allows. It is in use, or it would have left.
func (s *codes) over() bool {
	bytes, modules := s.size()
	return bytes > s.r.config.CodeBytes || modules > s.r.config.CodeModules
}

// size answers what is in memory now.
func (s *codes) size() (bytes int64, modules int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes, len(s.all)
}
