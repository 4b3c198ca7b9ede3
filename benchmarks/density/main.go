// Density measures how many functions fit in a node and how soon one answers that nobody has asked for.
//
//	go run ./benchmarks/density
//
// It deploys functions that are all different modules to a node in a process of its own, restarts it, asks each once
// over one connection, and tells how long those first requests took, with code and image on disk, and what the node's
// resident memory grew by for each function, once all are idle. With -module they are all of one module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
	"github.com/sett-run/sett/sdk/abi"
)

const usage = `density [-small N] [-go N] [-idle D]
       density -module FILE [-functions N] [-idle D]

Prints the latency of N functions' first requests and the memory a function takes when it is idle.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("density", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, usage) }
	small := flags.Int("small", 1000, "functions of one page of memory")
	inGo := flags.Int("go", 24, "functions in Go")
	file := flags.String("module", "", "measure functions of this module instead, which share its code")
	functions := flags.Int("functions", 100, "how many of them")
	idle := flags.Duration("idle", 20*time.Second, "how long nobody asks before memory is read")
	serve := flags.String(subject.Flag, "", "internal: run a node in this data directory")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *small < 1 || *inGo < 0 || *functions < 1 {
		fmt.Fprintln(stderr, "density: -small and -functions are at least 1, -go at least 0")
		return 2
	}
	var err error
	if *serve != "" {
		err = serveNode(ctx, *serve, os.Stdin, stdout)
	} else {
		var families []*family
		if families, err = choose(ctx, chosen{*file, *functions, *small, *inGo}); err == nil {
			err = measure(ctx, families, *idle, stdout)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "density:", err)
		return 1
	}
	return 0
}

// serveNode is the node's process.
func serveNode(ctx context.Context, dir string, in io.Reader, out io.Writer) error {
	n, err := node.Start(ctx, node.Config{Data: dir, HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Cluster: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	return subject.Serve(ctx, n, in, out)
}

// residentKiB is a process's memory, without pages of files that the system may take back.
func residentKiB(p *subject.Process) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("read memory, which this system does not tell: %w", err)
	}
	total := 0
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		if name == "RssAnon" || name == "RssShmem" {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				return 0, err
			}
			total += n
		}
	}
	return total, nil
}

// family is a number of functions of one kind.
type family struct {
	name    string
	count   int
	module  func(i int) []byte
	within  string // what is wanted of them
	first   []time.Duration
	idleKiB float64 // a function
}

// chosen is what is to be measured.
type chosen struct {
	file                   string // empty: the others
	functions, small, inGo int
}

func choose(ctx context.Context, c chosen) (families []*family, err error) {
	if c.file != "" {
		module, err := os.ReadFile(c.file)
		one := func(int) []byte { return module }
		return []*family{{name: filepath.Base(c.file), count: c.functions, module: one, within: "1024 KiB beyond the code"}}, err
	}
	families = []*family{{name: "small", count: c.small, module: smallModule, within: "p50 500us, p99 2ms, 60 KiB"}}
	if c.inGo > 0 {
		dir, err := os.MkdirTemp("", "sett-density")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		module, err := subject.GoModule(ctx, dir, "examples/hello")
		if err != nil {
			return nil, err
		}
		families = append(families, &family{name: "go", count: c.inGo, within: "8192 KiB", module: func(i int) []byte {
			return append(slices.Clone(module), customSection(i)...)
		}})
	}
	return families, nil
}

func measure(ctx context.Context, families []*family, idle time.Duration, out io.Writer) error {
	dir, err := os.MkdirTemp("", "sett-density")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, f := range families {
		if err := f.measure(ctx, filepath.Join(dir, f.name+"-data"), idle); err != nil {
			return err
		}
		slices.Sort(f.first)
		fmt.Fprintf(out, "%s: %d functions; first request with code and image on disk: p50 %v, p99 %v, max %v; idle function: %.0f KiB (wanted: %s)\n",
			f.name, f.count, at(f.first, 50), at(f.first, 99), f.first[len(f.first)-1].Round(time.Microsecond), f.idleKiB, f.within)
	}
	return nil
}

// at is a percentile of sorted durations.
func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)].Round(time.Microsecond)
}

func (f *family) measure(ctx context.Context, dir string, idle time.Duration) error {
	p, err := subject.Start(ctx, dir)
	if err != nil {
		return err
	}
	for i := range f.count {
		if err := subject.Deploy(ctx, p.Admin, functionName(i), f.module(i), registry.Settings{
			Routes: []registry.Route{{Pattern: "GET " + hostName(i) + "/hello/{name}"}},
		}); err != nil {
			return errors.Join(err, p.Stop())
		}
	}
	if err := p.Stop(); err != nil {
		return err
	}
	if p, err = subject.Start(ctx, dir); err != nil {
		return err
	}
	if err := f.ask(ctx, p, idle); err != nil {
		return errors.Join(err, p.Stop())
	}
	return p.Stop()
}

// ask sends each function its first request.
func (f *family) ask(ctx context.Context, p *subject.Process, idle time.Duration) error {
	if _, err := get(ctx, p.HTTP, "none"); err != nil { // the connection
		return err
	}
	before, err := residentKiB(p)
	if err != nil {
		return err
	}
	for i := range f.count {
		began := time.Now()
		status, err := get(ctx, p.HTTP, hostName(i))
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("first request of %s: status %d: %w", functionName(i), status, err)
		}
		f.first = append(f.first, time.Since(began))
	}
	select {
	case <-time.After(idle):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := residentKiB(p)
	f.idleKiB = float64(after-before) / float64(f.count)
	return err
}

func get(ctx context.Context, address, host string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/hello/ada", nil)
	if err != nil {
		return 0, err
	}
	request.Host = host
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, reply.Body)
	return reply.StatusCode, errors.Join(err, reply.Body.Close())
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
