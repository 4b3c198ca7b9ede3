// Package runtime runs WebAssembly: it keeps modules by their digest, says what a module is and what it lacks,
// compiles it off the request path, takes the image of its memory after initialisation, and answers each event with
// an instance that is this image, byte for byte. An instance that has answered is reset before it answers again.
//
// Its main type is Runtime. Its guarantees: no event finds anything of another in its instance; a guest that loops, grows,
// overflows, traps or exits ends as an error with a code while others go on; and what a guest wrote is with the
// Sink before its reply is. The engine (wazero) is known to this room alone.
package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sett-run/sett/runtime/component"
	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/memory"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Defaults of Config, and limits that no setting changes.
const (
	DefaultModuleBytes = 64 << 20  // a module
	DefaultReplyBytes  = 6 << 20   // a reply's body
	DefaultLogBytes    = 256 << 10 // what one invocation may log
	DefaultCodeBytes   = 1 << 30   // compiled code kept in memory
	DefaultCodeModules = 4096      // modules kept compiled in memory
	DefaultImageBytes  = 1 << 30   // images kept in memory
	DefaultStoreCalls  = 10_000    // store calls of one invocation
	DefaultQueueCalls  = 1000      // queue and topic calls of one invocation
	DefaultObjectCalls = 100_000   // object calls of one invocation, chunks of bodies among them
	DefaultOutgoing    = 1000      // fetches and invocations of other functions of one invocation

	MaxHeaderBytes = 64 << 10 // a reply's header: names and values together
	MaxLineBytes   = 16 << 10 // a line of a guest's output; longer ones are split
	MaxReasonBytes = 8 << 10  // why an invocation failed, stack trace included
)

// Sink takes what guests and the platform write. Write is called by many goroutines and must not block.
type Sink interface {
	Write(line abi.Line)
}

// Config configures a Runtime. Every field but Dir may be left zero.
type Config struct {
	Dir     string                // modules and compiled code; made when absent
	Log     *slog.Logger          // default: discards
	Metrics prometheus.Registerer // default: none
	Sink    Sink                  // default: discards
	Name    string                // of the software, for guests that ask: "sett/0.1.0"; default "sett"
	Store   host.Store            // functions' state, a namespace for each app; default: they have none
	Queues  host.Queues           // queues and topics of functions' apps; default: they have none
	Objects host.Objects          // objects of functions' apps; default: they have none
	Events  host.Events           // event buses of functions' apps; default: they have none
	Fetcher host.Fetcher          // sends functions' HTTP requests; default: they can send none
	Invoker host.Invoker          // runs functions for others; default: they can invoke none

	MaxModuleBytes int64 // default DefaultModuleBytes; higher makes one upload cost more memory to compile
	MaxReplyBytes  int   // default DefaultReplyBytes; higher lets one invocation hold more memory outside its limit
	MaxLogBytes    int   // default DefaultLogBytes; higher lets one invocation push out more of others' lines
	MaxStoreCalls  int   // default DefaultStoreCalls; higher lets one invocation keep the store busier
	MaxQueueCalls  int   // default DefaultQueueCalls; as MaxStoreCalls
	MaxObjectCalls int   // default DefaultObjectCalls; as MaxStoreCalls, and lower limits how much of objects it reads and writes
	MaxOutgoing    int   // default DefaultOutgoing; higher lets one invocation send more requests and invoke more functions

	Compiles    int   // compiled at once; default half the processors. Each can take hundreds of megabytes
	Workers     int   // processors that one compilation uses; default 1. More leave fewer to invocations meanwhile
	CodeBytes   int64 // default DefaultCodeBytes; lower makes rarely used functions start cold more often
	CodeModules int   // default DefaultCodeModules; as CodeBytes
	ImageBytes  int64 // default DefaultImageBytes; lower makes rarely used functions load their image more often
	MemoryBytes int64 // that instances may use together; default half of Go's memory limit, else memory.DefaultBudgetBytes.
	// Higher lets more of them live, and leaves less for images, code and the rest of the process
}

func (c *Config) complete() error {
	if c.Dir == "" {
		return errors.New("open runtime: no directory given")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Name == "" {
		c.Name = "sett"
	}
	if c.Sink == nil {
		c.Sink = discard{}
	}
	setDefault(&c.MaxModuleBytes, DefaultModuleBytes)
	setDefault(&c.MaxReplyBytes, DefaultReplyBytes)
	setDefault(&c.MaxLogBytes, DefaultLogBytes)
	setDefault(&c.MaxStoreCalls, DefaultStoreCalls)
	setDefault(&c.MaxQueueCalls, DefaultQueueCalls)
	setDefault(&c.MaxObjectCalls, DefaultObjectCalls)
	setDefault(&c.MaxOutgoing, DefaultOutgoing)
	setDefault(&c.Workers, 1)
	setDefault(&c.Compiles, max(1, goruntime.GOMAXPROCS(0)/2))
	setDefault(&c.CodeBytes, DefaultCodeBytes)
	setDefault(&c.CodeModules, DefaultCodeModules)
	setDefault(&c.ImageBytes, DefaultImageBytes)
	setDefault(&c.MemoryBytes, defaultMemoryBytes(debug.SetMemoryLimit(-1)))
	return nil
}

// defaultMemoryBytes is what instances may use where Go's memory limit is so much; math.MaxInt64 means that there is
// none.
func defaultMemoryBytes(limit int64) int64 {
	if limit == math.MaxInt64 {
		return memory.DefaultBudgetBytes
	}
	return limit / 2
}

func setDefault[T int | int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

type discard struct{}

func (discard) Write(abi.Line) {}

// Runtime runs functions. All its methods may be called concurrently.
type Runtime struct {
	config  Config
	modules *Modules
	engine  wazero.Runtime
	closer  wazero.CompilationCache
	codes   *codes
	images  *images
	slots   *memory.Slots
	pools   *pools
	lanes   chan struct{} // of long invocations, see meter
	metrics *metrics
	start   wazero.ModuleConfig // of every instance
	used    usage
	calls   sync.Pool                       // of *call
	onReset atomic.Pointer[func(*instance)] // nil but in tests: called after each reset, before the instance is used again
	offer   func() error                    // has the engine offer what components import, once

	life context.Context // of what runs in the background
	end  context.CancelFunc
	work sync.WaitGroup

	workMu sync.Mutex // held while something is added to work
}

// usage is what is in use now, read by gauges.
type usage struct {
	instances  atomic.Int64
	imageBytes atomic.Int64
}

// features is what a module may use: WebAssembly 2.0 and constant expressions as compilers write them. Threads
// are not among them.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesExtendedConst

// New opens a runtime. Close it.
func New(ctx context.Context, c Config) (*Runtime, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	modules, err := openModules(filepath.Join(c.Dir, "modules"), c.MaxModuleBytes)
	if err != nil {
		return nil, err
	}
	disk, err := openCache(filepath.Join(c.Dir, "cache"), modules.Has)
	if err != nil {
		return nil, err
	}
	images, err := openImages(filepath.Join(c.Dir, "images"))
	if err != nil {
		return nil, err
	}
	cache, err := wazero.NewCompilationCacheWithDir(disk.live)
	if err != nil {
		return nil, fmt.Errorf("open code cache: %w", err)
	}
	r := &Runtime{
		config:  c,
		modules: modules,
		images:  images,
		slots:   memory.New(memory.Config{BudgetBytes: c.MemoryBytes}),
		lanes:   make(chan struct{}, max(1, goruntime.GOMAXPROCS(0)-1)),
		closer:  cache,
		engine:  wazero.NewRuntimeWithConfig(ctx, engineConfig().WithCompilationCache(cache)),
		start:   wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(rand.Reader),
	}
	r.life, r.end = context.WithCancel(context.Background())
	r.offer = sync.OnceValue(func() error { return component.Instantiate(context.Background(), r.engine) }) // it takes milliseconds
	err = errors.Join(wasip1.Instantiate(ctx, r.engine), host.Instantiate(ctx, r.engine), instantiateMeter(ctx, r.engine))
	if err == nil {
		r.codes = newCodes(r, disk)
		r.metrics, err = newMetrics(c.Metrics, r)
	}
	if err != nil {
		r.end()
		return nil, errors.Join(fmt.Errorf("open runtime: %w", err), r.engine.Close(ctx), cache.Close(ctx), r.slots.Close())
	}
	r.pools = newPools(r)
	return r, nil
}

// engineConfig is the configuration that compiled code depends on. Debug information is not read: it costs
// memory and comes from outside; function names in traces come from the name section.
func engineConfig() wazero.RuntimeConfig {
	return wazero.NewRuntimeConfigCompiler().
		WithCoreFeatures(features).
		WithDebugInfoEnabled(false)
}

// Modules answers the store of module files.
func (r *Runtime) Modules() *Modules { return r.modules }

// Close refuses further invocations, waits for those that run, and frees everything. Modules, compiled code and
// images stay on disk. When ctx ends before they do, it leaves the engine to them and answers an error.
func (r *Runtime) Close(ctx context.Context) error {
	r.pools.close()
	if !r.codes.close(ctx) {
		return fmt.Errorf("close runtime: %d invocations still run: %w", r.used.instances.Load(), ctx.Err())
	}
	r.metrics.unregister()
	return errors.Join(r.slots.Close(), r.engine.Close(ctx), r.closer.Close(ctx))
}

// background runs f in a goroutine that Close waits for, unless the runtime is closed.
func (r *Runtime) background(f func()) bool {
	r.workMu.Lock()
	defer r.workMu.Unlock()
	if r.life.Err() != nil {
		return false
	}
	r.work.Go(f)
	return true
}

// stop ends what runs in the background.
func (r *Runtime) stop() {
	r.workMu.Lock()
	r.end()
	r.workMu.Unlock()
	r.work.Wait()
}
