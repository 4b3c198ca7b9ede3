package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

// serveGuest runs a whole node with a function that answers the request: resets, fuel, logs and metrics are on. The
// caller calls stop.
func serveGuest(ctx context.Context, name string) (address string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "sett-http")
	if err != nil {
		return "", nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	module := smallGuest()
	if name == "go" {
		if module, err = subject.GoModule(ctx, dir, "benchmarks/http/testdata/guest"); err != nil {
			return "", nil, errors.Join(err, remove())
		}
	}
	n, err := node.Start(ctx, node.Config{
		Data: filepath.Join(dir, "data"), HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Cluster: "127.0.0.1:0",
	})
	if err != nil {
		return "", nil, errors.Join(err, remove())
	}
	stop = func() error { return errors.Join(n.Close(context.Background()), remove()) }
	err = subject.Deploy(ctx, n.AdminAddr(), "users", module, registry.Settings{
		Routes: []registry.Route{{Pattern: "GET /users/{id}"}}, Reserved: 1000,
	})
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return n.HTTPAddr(), stop, nil
}

// smallGuest is a module of one page of memory that reads the event and writes the reply.
func smallGuest() []byte {
	reply := string(abi.AppendReply(nil, &abi.Reply{
		Headers: []abi.Field{{Name: "Content-Type", Value: "application/json"}}, Body: []byte(body),
	}))
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
	return m.Bytes()
}
