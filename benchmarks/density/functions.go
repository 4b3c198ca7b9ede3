package density

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/sett-run/sett/sdk/client"
)

// batch is how many functions are deployed at once: as many as a deployment may have.
const batch = 100

// deploy deploys all functions to a node that has its data in dir.
func (f family) deploy(ctx context.Context, dir string) (err error) {
	n, err := subject.StartNode(ctx, dir, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Stop()) }()
	c, err := client.New("http://"+n.Admin, "")
	if err != nil {
		return err
	}
	defer c.Close()
	for from := 0; from < f.count; from += batch {
		var r client.DeployRequest
		for i := from; i < min(from+batch, f.count); i++ {
			digest, err := subject.Upload(ctx, c, f.module(i))
			if err != nil {
				return err
			}
			r.Functions = append(r.Functions, client.DeployFunction{Name: functionName(i), Digest: digest, Settings: registry.Settings{
				Routes: []registry.Route{{Pattern: "GET " + hostName(i) + "/hello/{name}"}},
			}})
		}
		if _, err := c.Deploy(ctx, registry.DefaultApp, r); err != nil {
			return err
		}
	}
	return nil
}

// askedPath is what functions are asked for, each by its own host.
const askedPath = "/hello/ada"

// ask sends each function its first request, over one connection.
func (f family) ask(ctx context.Context, n *subject.Process) (took []time.Duration, err error) {
	if _, err := subject.Get(ctx, n.HTTP, askedPath, "none"); err != nil { // the connection
		return nil, err
	}
	for i := range f.count {
		began := time.Now()
		status, err := subject.Get(ctx, n.HTTP, askedPath, hostName(i))
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		if err != nil {
			return nil, fmt.Errorf("first request of %s: %w", functionName(i), err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

func functionName(i int) string { return "f" + strconv.Itoa(i) }

// hostName is the host whose requests a function answers.
func hostName(i int) string { return functionName(i) + ".example" }

// smallModule has one page of memory and answers its number.
func smallModule(i int) []byte {
	reply := string(abi.AppendReply(nil, &abi.Reply{Body: []byte(strconv.Itoa(i))}))
	m := new(wasmtest.Module)
	write := m.Import(abi.HostModule, abi.ImportReplyWrite, "ii:")
	m.Memory(0, 1)
	m.Data(1024, reply)
	m.Func(abi.ExportInitialize, "")
	m.Func(abi.ExportVersion, ":i", wasmtest.I32(abi.Version))
	m.Func(abi.ExportHandle, "i:i",
		wasmtest.I32(1024), wasmtest.I32(int32(len(reply))), wasmtest.Call(write), wasmtest.I32(0))
	return m.Bytes()
}

// customSection makes a module another one without changing what it does.
func customSection(i int) []byte {
	name := "n" + strconv.Itoa(i)
	return append([]byte{0, byte(len(name) + 1), byte(len(name))}, name...)
}
