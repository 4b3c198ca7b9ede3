package server

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/benchmarks/work/answer"
	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// Names of Sett's kinds.
const (
	settGo     = "sett go"
	settRust   = "sett rust"
	settJS     = "sett js"
	settSmall  = "sett small"
	settRouter = "sett router"
)

// setts are Sett with functions in several languages, and two lower bounds: a function that does next to nothing, and none.
func setts() []Kind {
	const whole = "a whole node as sett up starts it; "
	return []Kind{
		{Name: settGo, Works: all(), State: "disk, synced", How: whole + "the works in a function in Go, reset after each request", Prepare: prepareGuest},
		{Name: settRust, Works: all(), State: "disk, synced", How: whole + "wasi:http components in Rust, reset after each request",
			Get: rust().get, Prepare: rust().prepare("work", "count")},
		{Name: settJS, Works: all(), State: "disk, synced", How: whole + "wasi:http components in JavaScript, reset after each request",
			Get: javaScript().get, Prepare: javaScript().prepare("work", "count")},
		{Name: settSmall, Works: []string{"hello"}, How: whole + "a function of a few instructions, reset after each request", Prepare: prepareSmall},
		{Name: settRouter, Works: []string{"hello"}, How: "its router with metrics, and a stub instead of functions"},
	}
}

// prepareGuest builds the function in Go.
func prepareGuest(ctx context.Context, at Site) error {
	_, err := subject.GoModule(ctx, at.Dir, "benchmarks/server/testdata/guest")
	return err
}

// prepareSmall writes a module of one page of memory that reads the event and writes the reply.
func prepareSmall(_ context.Context, at Site) error {
	reply := string(abi.AppendReply(nil, helloReply()))
	m := new(wasmtest.Module)
	read := m.Import(abi.HostModule, abi.ImportEventRead, "ii:i")
	write := m.Import(abi.HostModule, abi.ImportReplyWrite, "ii:")
	m.Memory(0, 1)
	m.Data(1024, reply)
	m.Func(abi.ExportInitialize, "")
	m.Func(abi.ExportVersion, ":i", wasmtest.I32(abi.Version))
	m.Func(abi.ExportHandle, "i:i",
		wasmtest.I32(8192), wasmtest.Get(0), wasmtest.Call(read), wasmtest.Drop(),
		wasmtest.I32(1024), wasmtest.I32(int32(len(reply))), wasmtest.Call(write), wasmtest.I32(0))
	return os.WriteFile(filepath.Join(at.Dir, "guest.wasm"), m.Bytes(), 0o644)
}

func helloReply() *abi.Reply {
	return &abi.Reply{Headers: []abi.Field{{Name: "Content-Type", Value: "text/plain"}}, Body: []byte(answer.Hello)}
}

// function is one of a node's, in the file NAME.wasm.
type function struct{ name, route string }

// settFunctions are the functions of a kind; the last answers what a server is waited for with.
func settFunctions(name string) []function {
	if name == settRust || name == settJS {
		return []function{{"count", "POST /kv/{key}"}, {"work", "/{path...}"}}
	}
	return []function{{"guest", "/{path...}"}}
}

// serveSett runs a node, and deploys functions in dir when it is started for the first time.
func serveSett(ctx context.Context, name, address, dir string) error {
	const free = "127.0.0.1:0"
	data := filepath.Join(dir, "data")
	_, err := os.Stat(data)
	first := errors.Is(err, os.ErrNotExist)
	n, err := node.Start(ctx, node.Config{Data: data, HTTP: address, Admin: free, Cluster: free})
	if err != nil {
		return err
	}
	for _, f := range settFunctions(name) {
		if first {
			err = errors.Join(err, deploy(ctx, n.AdminAddr(), filepath.Join(dir, f.name+".wasm"), f))
		}
	}
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, n.Close(context.WithoutCancel(ctx)))
}

func deploy(ctx context.Context, admin, file string, f function) error {
	module, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return subject.Deploy(ctx, admin, f.name, module, registry.Settings{Routes: []registry.Route{{Pattern: f.route}}, Reserved: 1000})
}

// stub is a function that costs nothing. The router only reads a result of which nothing is to be dropped, so that all
// invocations may share one.
type stub struct{ result *abi.Result }

// Invoke answers the result.
func (s stub) Invoke(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
	return s.result, nil
}

// functions are what the router is given instead of a registry's snapshot.
type functions []*registry.Function

// Functions are all of them.
func (f functions) Functions() []*registry.Function { return f }

// serveRouter serves with Sett's router and a stub.
func serveRouter(ctx context.Context, address string) error {
	r, err := router.New(router.Config{Invoker: stub{&abi.Result{Start: abi.Warm, Reply: *helloReply()}}, Metrics: prometheus.NewRegistry()})
	if err != nil {
		return err
	}
	settings := registry.Settings{Routes: []registry.Route{{Pattern: "/{path...}"}}, Reserved: 1000}
	err = r.Swap(functions{{
		App: registry.DefaultApp, Name: "work", Latest: 1,
		Versions: []registry.Version{{App: registry.DefaultApp, Function: "work", Number: 1, Settings: settings}},
		Aliases:  map[string][]registry.Weight{registry.LiveAlias: {{Version: 1, Weight: 100}}},
	}})
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	return r.Serve(l)
}
