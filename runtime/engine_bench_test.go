package runtime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sett-run/sett/runtime/host"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasip1"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// engineGuest is a guest that the engine is measured with.
type engineGuest struct {
	name   string
	module func(testing.TB) []byte
	event  func() *abi.Event
}

func engineGuests() []engineGuest {
	body := `{"id":7,"name":"Ada Lovelace","lines":[` + strings.Repeat(`{"sku":"AB-1234-x","quantity":2,"price":9.5},`, 9) +
		`{"sku":"CD-4321","quantity":1,"price":1}],"tags":{"a":"b","c":"d"}}`
	post := func(path string) func() *abi.Event {
		return func() *abi.Event {
			e := event()
			e.Method, e.Path, e.Body = "POST", path, []byte(body)
			e.Headers = []abi.Field{{Name: "Accept", Value: "*/*"}, {Name: "Content-Type", Value: "application/json"}}
			return e
		}
	}
	return []engineGuest{
		{"tiny", func(testing.TB) []byte { return replying(&abi.Reply{Body: []byte("hello")}).bytes() }, event},
		{"c", buildC, post("/count/1")},
		{"rust", buildRust, post("/")},
		{"js", buildJS, post("/count/1")},
		{"go-light", func(t testing.TB) []byte { return goGuest(t, "heavy") }, post("/light")},
		{"go-json", func(t testing.TB) []byte { return goGuest(t, "heavy") }, post("/heavy")},
	}
}

// BenchmarkEngine measures, guest by guest and in one run, an instance that is never reset (a defect, and the
// yardstick), this engine's isolated requests with the reset in line, the latency that a client sees of them, the ways
// to a first request, and what instantiating anew costs. go run ./benchmarks latency makes a table and a picture of it.
func BenchmarkEngine(b *testing.B) {
	for _, g := range engineGuests() {
		b.Run(g.name, func(b *testing.B) {
			r, err := New(context.Background(), Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close(context.Background())
			v, e := deploy(b, r, g.module(b)), g.event()
			b.Run("never-reset", func(b *testing.B) { benchAnswers(b, r, v, e, false) })
			b.Run("reset", func(b *testing.B) { benchAnswers(b, r, v, e, true) })
			b.Run("strict", func(b *testing.B) { benchStrict(b, r, v, e) })
			b.Run("image-from-disk", func(b *testing.B) { benchPath(b, r, v, e, r.benchImage) })
			b.Run("code-from-disk", func(b *testing.B) { benchPath(b, r, v, e, r.benchCold) })
			b.Run("deploy", func(b *testing.B) { benchDeploy(b, g.module(b)) })
			b.Run("stock", func(b *testing.B) { benchStock(b, g.module(b), v, e) })
		})
	}
}

// benchAnswers has one instance answer again and again.
func benchAnswers(b *testing.B, r *Runtime, v *registry.Version, e *abi.Event, reset bool) {
	ctx := context.Background()
	p, i, _, err := r.pools.take(ctx, v)
	if err != nil {
		b.Fatal(err)
	}
	defer p.give(v, i)
	var answering time.Duration
	var pages int
	for b.Loop() {
		start := time.Now()
		c := r.newCall(ctx, v, e.Invocation, start)
		var result abi.Result
		f := i.answer(c, e, &result)
		c.finish()
		answering += time.Since(start)
		if f != nil && !reset {
			b.Skip("cannot run twice without a reset: ", f.reason)
		}
		if f != nil {
			b.Fatal(f.reason)
		}
		if !reset {
			continue
		}
		done, err := i.slot.Reset(i.memory)
		if err != nil {
			b.Fatal(err)
		}
		pages += done.Pages
		for k, g := range i.globals {
			g.Set(i.image.globals[k])
		}
	}
	b.ReportMetric(float64(answering.Nanoseconds())/float64(b.N), "ns/answer")
	if reset {
		b.ReportMetric(float64(pages)/float64(b.N), "pages/reset")
	}
}

// benchPath reports the median of what a client waits for: what was thrown away before does not count.
func benchPath(b *testing.B, r *Runtime, v *registry.Version, e *abi.Event,
	measure func(context.Context, *registry.Version, *abi.Event) (time.Duration, error)) {
	var took []time.Duration
	for b.Loop() {
		d, err := measure(context.Background(), v, e)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, d)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "ns/answer")
}

// benchDeploy compiles a module that no cache knows, and takes its image.
func benchDeploy(b *testing.B, module []byte) {
	for b.Loop() {
		r, err := New(context.Background(), Config{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		deploy(b, r, module)
		r.Close(context.Background())
	}
}

// benchStrict has a new instance on the image answer each time.
func benchStrict(b *testing.B, r *Runtime, v *registry.Version, e *abi.Event) {
	strict := *v
	strict.Settings.Isolation = registry.IsolationStrict
	for b.Loop() {
		if _, err := r.Invoke(context.Background(), &strict, e); err != nil {
			b.Fatal(err)
		}
	}
}

// benchStock instantiates and initialises the module as it was uploaded, with the engine as it is, for each request.
func benchStock(b *testing.B, module []byte, v *registry.Version, e *abi.Event) {
	ctx := context.Background()
	engine := wazero.NewRuntimeWithConfig(ctx, engineConfig())
	defer engine.Close(ctx)
	if err := wasip1.Instantiate(ctx, engine); err != nil {
		b.Fatal(err)
	}
	if err := host.Instantiate(ctx, engine); err != nil {
		b.Fatal(err)
	}
	code, err := engine.CompileModule(ctx, module)
	if err != nil {
		b.Fatal(err)
	}
	r := &Runtime{config: Config{Sink: discard{}, MaxReplyBytes: DefaultReplyBytes, MaxLogBytes: DefaultLogBytes}}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	for b.Loop() {
		c := r.newCall(ctx, v, e.Invocation, time.Now())
		m, err := engine.InstantiateModule(c, code, config)
		if err != nil {
			b.Fatal(err)
		}
		if v.Module.Kind == registry.KindCommand {
			err = runStockCommand(c, m, v, e)
		} else {
			err = runStock(c, m, e)
		}
		if err != nil {
			b.Fatal(err)
		}
		m.Close(ctx)
		c.finish()
	}
}

func runStock(c *call, m api.Module, e *abi.Event) error {
	if _, err := m.ExportedFunction(abi.ExportInitialize).Call(c); err != nil {
		return err
	}
	c.host.Event, c.host.Phase = abi.AppendEvent(nil, e), host.Handling
	_, err := m.ExportedFunction(abi.ExportHandle).Call(c, uint64(len(c.host.Event)))
	if err == nil && !c.host.Replied {
		err = errors.New("no reply")
	}
	return err
}

func runStockCommand(c *call, m api.Module, v *registry.Version, e *abi.Event) error {
	env, err := environment("sett", v, e)
	if err != nil {
		return err
	}
	stdout := &limited{limit: DefaultReplyBytes}
	c.process.Env, c.process.Stdin, c.process.Stdout = env, e.Body, stdout
	var exit *sys.ExitError
	if _, err = m.ExportedFunction(abi.ExportStart).Call(c); errors.As(err, &exit) && exit.ExitCode() == 0 {
		err = nil
	}
	if err == nil {
		err = parseCGI(stdout.b, new(abi.Reply))
	}
	return err
}
