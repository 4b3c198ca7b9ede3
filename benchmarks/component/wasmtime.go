package component

import (
	"context"
	"net"

	"github.com/sett-run/sett/benchmarks/load"
	"github.com/sett-run/sett/benchmarks/subject"
)

// startWasmtime serves the component with "wasmtime serve", as it is unless told otherwise: a new instance for each request.
func startWasmtime(ctx context.Context, p plan) (*side, error) {
	ports, err := subject.FreePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", ports[0])
	w := subject.NewProgram(ctx, p.wasmtime, "serve", "-Scli", "--addr", address, p.file)
	if err := w.Start(); err != nil {
		return nil, err
	}
	s := &side{name: "wasmtime", address: address, pid: w.PID(), stop: w.Stop}
	if err := w.WaitFor(ctx, func() error { return load.Probe(ctx, address, p.work()) }); err != nil {
		w.Stop()
		return nil, err
	}
	return s, nil
}
