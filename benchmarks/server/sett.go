package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/runtime/registry"
)

// prepareGuest builds the function in Go.
func prepareGuest(ctx context.Context, at Site) error {
	_, err := subject.GoModule(ctx, at.Dir, "benchmarks/server/testdata/guest")
	return err
}

// serveSett runs a node with the function in Go.
func serveSett(ctx context.Context, address, dir string) error {
	module, err := os.ReadFile(filepath.Join(dir, "guest.wasm"))
	if err != nil {
		return err
	}
	const free = "127.0.0.1:0"
	n, err := node.Start(ctx, node.Config{Data: filepath.Join(dir, "data"), HTTP: address, Admin: free, Cluster: free})
	if err != nil {
		return err
	}
	err = subject.Deploy(ctx, n.AdminAddr(), "work", module, registry.Settings{
		Routes: []registry.Route{{Pattern: "/{path...}"}}, Reserved: 1000,
	})
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, n.Close(context.WithoutCancel(ctx)))
}
