// Package runtime runs WebAssembly: it keeps modules by their digest, says what a module is and what it lacks,
// compiles it off the request path, and answers an event with a fresh instance.
//
// Its main type is Runtime. Its guarantees: no instance ever answers two events; a guest that loops, grows,
// overflows, traps or exits ends as an error with a code while others go on; and what a guest wrote is with the
// Sink before its reply is. The engine (wazero) is known to this room alone.
package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	goruntime "runtime"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sett-run/sett/runtime/host"
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

	MaxHeaderBytes  = 64 << 10 // a reply's header: names and values together
	MaxLineBytes    = 16 << 10 // a line of a guest's output; longer ones are split
	MaxReasonBytes  = 8 << 10  // why an invocation failed, stack trace included
	MaxTableEntries = 1 << 20  // elements that a module's tables start with; 8 bytes each
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

	MaxModuleBytes int64 // default DefaultModuleBytes; higher makes one upload cost more memory to compile
	MaxReplyBytes  int   // default DefaultReplyBytes; higher lets one invocation hold more memory outside its limit
	MaxLogBytes    int   // default DefaultLogBytes; higher lets one invocation push out more of others' lines

	Compiles    int   // compiled at once; default half the processors. Each can take hundreds of megabytes
	CodeBytes   int64 // default DefaultCodeBytes; lower makes rarely used functions start cold more often
	CodeModules int   // default DefaultCodeModules; as CodeBytes
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
	setDefault(&c.Compiles, max(1, goruntime.GOMAXPROCS(0)/2))
	setDefault(&c.CodeBytes, DefaultCodeBytes)
	setDefault(&c.CodeModules, DefaultCodeModules)
	return nil
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
	metrics *metrics
	start   wazero.ModuleConfig // of every instance
	used    usage
}

// usage is what is in use now, read by gauges.
type usage struct {
	instances   atomic.Int64
	memoryBytes atomic.Int64
}

// features is what a module may use: WebAssembly 2.0 and constant expressions as compilers write them. Threads
// are not among them, nor tail calls, which the deadline could not end.
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
	cache, err := wazero.NewCompilationCacheWithDir(disk.live)
	if err != nil {
		return nil, fmt.Errorf("open code cache: %w", err)
	}
	r := &Runtime{
		config:  c,
		modules: modules,
		closer:  cache,
		engine:  wazero.NewRuntimeWithConfig(ctx, engineConfig().WithCompilationCache(cache)),
		start:   wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(rand.Reader),
	}
	err = errors.Join(wasip1.Instantiate(ctx, r.engine), host.Instantiate(ctx, r.engine))
	if err == nil {
		r.codes = newCodes(r, disk)
		r.metrics, err = newMetrics(c.Metrics, r)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open runtime: %w", err), r.engine.Close(ctx), cache.Close(ctx))
	}
	return r, nil
}

// engineConfig is the configuration that compiled code depends on. Debug information is not read: it costs
// memory and comes from outside; function names in traces come from the name section.
func engineConfig() wazero.RuntimeConfig {
	return wazero.NewRuntimeConfigCompiler().
		WithCoreFeatures(features).
		WithCloseOnContextDone(true).
		WithDebugInfoEnabled(false)
}

// Modules answers the store of module files.
func (r *Runtime) Modules() *Modules { return r.modules }

// Close refuses further invocations, waits for those that run, and frees everything. Modules and the disk cache
// stay. When ctx ends before they do, it leaves the engine to them and answers an error.
func (r *Runtime) Close(ctx context.Context) error {
	if !r.codes.close(ctx) {
		return fmt.Errorf("close runtime: %d invocations still run: %w", r.used.instances.Load(), ctx.Err())
	}
	r.metrics.unregister()
	return errors.Join(r.engine.Close(ctx), r.closer.Close(ctx))
}
