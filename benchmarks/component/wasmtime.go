package component

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"time"
)

// startTime is how long wasmtime may take to compile the component and answer.
const startTime = 3 * time.Minute

// startWasmtime serves the component with "wasmtime serve", as it is unless told otherwise: a new instance for each request.
func startWasmtime(ctx context.Context, p plan) (*side, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, p.wasmtime, "serve", "-Scli", "--addr", address, p.file)
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start wasmtime: %w", err)
	}
	over := make(chan struct{})
	go func() { command.Wait(); close(over) }() //nolint:errcheck // it is killed
	s := &side{name: "wasmtime", url: "http://" + address + p.path, pid: command.Process.Pid, stop: func() {
		command.Process.Kill() //nolint:errcheck // it may be over
		<-over
	}}
	for end := time.Now().Add(startTime); ; {
		_, err := get(ctx, http.DefaultClient, s.url)
		if err == nil {
			return s, nil
		}
		select {
		case <-over:
			return nil, fmt.Errorf("wasmtime has ended: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			s.stop()
			return nil, fmt.Errorf("wasmtime does not answer after %v: %w", startTime, err)
		}
	}
}
