package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/benchmarks/subject"
)

// Names of the naive servers: what one writes first with wazero.
const (
	naiveNew   = "wazero new"
	naiveDirty = "wazero dirty"
)

// naiveGuest is the package of their function.
const naiveGuest = "benchmarks/server/testdata/naive"

func naive(name, how string) Kind {
	return Kind{Name: name, Works: all(), State: "memory", How: "fasthttp and wazero's compiler, a function in Go: " + how,
		Prepare: func(ctx context.Context, at Site) error {
			_, err := subject.GoModule(ctx, at.Dir, naiveGuest)
			return err
		}}
}

// naiveServer runs the function of testdata/naive.
type naiveServer struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule

	mu    sync.Mutex // guards value and idle
	value map[string]uint64
	idle  []*naiveInstance // used and not reset; none if each request has a new one
}

// naiveInstance serves one request at a time.
type naiveInstance struct {
	module         api.Module
	buffer, handle api.Function
}

// serveNaive serves at an address with the function in dir.
func serveNaive(ctx context.Context, name, address, dir string) (err error) {
	s := &naiveServer{runtime: wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler()), value: map[string]uint64{}}
	defer func() { err = errors.Join(err, s.runtime.Close(context.WithoutCancel(ctx))) }()
	if err := s.load(ctx, filepath.Join(dir, "guest.wasm")); err != nil {
		return err
	}
	f := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(r *fasthttp.RequestCtx) {
		if err := s.answer(ctx, r, name == naiveDirty); err != nil {
			r.Error(err.Error(), http.StatusInternalServerError)
		}
	}}
	stop := context.AfterFunc(ctx, func() { f.Shutdown() }) //nolint:errcheck // the process ends
	defer stop()
	return f.ListenAndServe(address)
}

// load compiles the function and offers it the store.
func (s *naiveServer) load(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, s.runtime); err != nil {
		return err
	}
	store := s.runtime.NewHostModuleBuilder("store")
	store.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, key, length uint32) uint64 {
		name, _ := m.Memory().Read(key, length)
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.value[string(name)]
	}).Export("get")
	store.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, key, length uint32, value uint64) {
		name, _ := m.Memory().Read(key, length)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.value[string(name)] = value
	}).Export("put")
	if _, err := store.Instantiate(ctx); err != nil {
		return err
	}
	s.compiled, err = s.runtime.CompileModule(ctx, text)
	return err
}

// instance is an idle one, if there is one, or new.
func (s *naiveServer) instance(ctx context.Context) (*naiveInstance, error) {
	s.mu.Lock()
	if last := len(s.idle) - 1; last >= 0 {
		i := s.idle[last]
		s.idle = s.idle[:last]
		s.mu.Unlock()
		return i, nil
	}
	s.mu.Unlock()
	m, err := s.runtime.InstantiateModule(ctx, s.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return nil, err
	}
	return &naiveInstance{m, m.ExportedFunction("buffer"), m.ExportedFunction("handle")}, nil
}

// answer has an instance answer a request, and keeps it for later ones or not.
func (s *naiveServer) answer(ctx context.Context, r *fasthttp.RequestCtx, keep bool) error {
	i, err := s.instance(ctx)
	if err != nil {
		return err
	}
	if err := i.answer(ctx, r); err != nil || !keep {
		return errors.Join(err, i.module.Close(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, i)
	return nil
}

func (i *naiveInstance) answer(ctx context.Context, r *fasthttp.RequestCtx) error {
	request := fmt.Appendf(nil, "%s %s\n", r.Method(), r.Path())
	for name, value := range r.Request.Header.All() {
		request = fmt.Appendf(request, "%s: %s\n", name, value)
	}
	request = append(append(request, '\n'), r.PostBody()...)
	at, err := i.buffer.Call(ctx, uint64(len(request)))
	if err != nil {
		return err
	}
	i.module.Memory().Write(uint32(at[0]), request)
	at, err = i.handle.Call(ctx)
	if err != nil {
		return err
	}
	reply, ok := i.module.Memory().Read(uint32(at[0]>>32), uint32(at[0]))
	if !ok {
		return errors.New("the reply is outside memory")
	}
	kind, body, _ := bytes.Cut(reply, []byte("\n"))
	r.SetContentTypeBytes(kind)
	r.SetBody(body)
	return nil
}
