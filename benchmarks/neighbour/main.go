// Neighbour measures what one function's endless loop does to another function on the same node, or with -upload what the
// deployment of a large module does.
//
//	go run ./benchmarks/neighbour
//	go run ./benchmarks/neighbour -rounds 2 -upload app.wasm
//
// It runs a node in a process of its own and calls a small function and /healthz over HTTP, one request after the other,
// in interleaved rounds with and without that beside, and prints the percentiles and their ratios.
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
	"slices"
	"sync"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
)

// loopMS is how long a loop lasts, in milliseconds; a round of requests must fit.
const loopMS = 4000

func main() {
	serve := flag.String(subject.Flag, "", "run the node in this data directory (for the program's own use)")
	loops := flag.Int("loops", 1, "invocations that loop at once")
	upload := flag.String("upload", "", "deploy this module beside, instead of loops")
	rounds := flag.Int("rounds", 5, "rounds of each kind")
	requests := flag.Int("requests", 1000, "requests a round")
	flag.Parse()
	var err error
	if *serve != "" {
		err = serveNode(context.Background(), *serve, os.Stdin, os.Stdout)
	} else {
		err = measure(plan{*upload, *loops, *rounds, *requests})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "neighbour:", err)
		os.Exit(1)
	}
}

// serveNode is the node's process.
func serveNode(ctx context.Context, dir string, in io.Reader, out io.Writer) error {
	n, err := node.Start(ctx, node.Config{Data: dir, HTTP: "127.0.0.1:0", Admin: "127.0.0.1:0", Cluster: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	return subject.Serve(ctx, n, in, out)
}

// plan is what is measured.
type plan struct {
	upload                  string // file; empty: loops
	loops, rounds, requests int
}

func measure(c plan) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "sett-neighbour")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := subject.Start(ctx, dir)
	if err != nil {
		return err
	}
	defer p.Stop() //nolint:errcheck // loops are cut off, which the node reports
	n := &child{p}
	if err := errors.Join(n.deploy(ctx, "hello", hello()), n.deploy(ctx, "loop", loop())); err != nil {
		return err
	}
	var alone, beside took
	for i := range c.rounds {
		err := n.round(ctx, c.requests, 0, &alone)
		if err == nil && c.upload != "" {
			err = n.uploading(ctx, c, i, &beside)
		} else if err == nil {
			err = n.round(ctx, c.requests, c.loops, &beside)
		}
		if err != nil {
			return err
		}
	}
	what := fmt.Sprintf("beside %d endless loops", c.loops)
	if c.upload != "" {
		what = "beside a deployment"
	}
	for k, target := range targets() {
		a, b := percentiles(alone[k]), percentiles(beside[k])
		fmt.Printf("%-28s %10s %10s %10s\n", target, "p50", "p99", "max")
		fmt.Printf("  %-26s %10v %10v %10v\n", "alone", a[0], a[1], a[2])
		fmt.Printf("  %-26s %10v %10v %10v\n", what, b[0], b[1], b[2])
		fmt.Printf("  %-26s %9.2fx %9.2fx %9.2fx\n", "ratio", ratio(b[0], a[0]), ratio(b[1], a[1]), ratio(b[2], a[2]))
	}
	return nil
}

// targets are what is called, in turn.
func targets() [2]string { return [2]string{"/hello", "/healthz"} }

// took holds how long each call of each target took.
type took [2][]time.Duration

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// percentiles answers the 50th, the 99th and the highest.
func percentiles(all []time.Duration) [3]time.Duration {
	slices.Sort(all)
	at := func(p int) time.Duration { return all[(len(all)-1)*p/100].Round(time.Microsecond) }
	return [3]time.Duration{at(50), at(99), at(100)}
}

// child is a node in a process of its own.
type child struct{ *subject.Process }

func (n *child) deploy(ctx context.Context, name string, module []byte) error {
	return subject.Deploy(ctx, n.Admin, name, module, registry.Settings{TimeoutMS: loopMS})
}

// uploading calls the targets as long as a deployment takes, of a module that is not known yet.
func (n *child) uploading(ctx context.Context, c plan, round int, t *took) error {
	module, err := os.ReadFile(c.upload)
	if err != nil {
		return err
	}
	module = append(module, 0, 2, 1, byte('a'+round)) // a custom section
	deployed := make(chan error, 1)
	go func() { deployed <- n.deploy(ctx, "large", module) }()
	for {
		if err := n.round(ctx, 10, 0, t); err != nil {
			return err
		}
		select {
		case err := <-deployed:
			return err
		default:
		}
	}
}

// round calls the targets, with loops running beside, and adds how long it took.
func (n *child) round(ctx context.Context, requests, loops int, t *took) error {
	var looping sync.WaitGroup
	defer looping.Wait() // they end at their deadline
	for range loops {
		looping.Go(func() { n.get(ctx, n.HTTP, "/loop") }) //nolint:errcheck // it never answers
	}
	if loops > 0 {
		time.Sleep(100 * time.Millisecond) // they are under way
	}
	began := time.Now()
	for range requests {
		for k, path := range targets() {
			start := time.Now()
			if err := n.get(ctx, []string{n.HTTP, n.Admin}[k], path); err != nil {
				return err
			}
			t[k] = append(t[k], time.Since(start))
		}
	}
	if loops > 0 && time.Since(began) > loopMS*time.Millisecond {
		return errors.New("the loops ended before the requests did: ask for fewer requests a round")
	}
	return nil
}

func (n *child) get(ctx context.Context, address, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if _, err = io.Copy(io.Discard, reply.Body); err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", path, reply.Status)
	}
	return err
}

func hello() []byte {
	reply := "Content-Type: text/plain\n\nhello\n"
	var m wasmtest.Module
	fdWrite := m.Import("wasi_snapshot_preview1", "fd_write", "iiii:i")
	m.Memory(0, 1)
	m.Data(64, reply)
	m.Func("_start", "", wasmtest.Write(fdWrite, 1, 64, int32(len(reply))))
	return m.Bytes()
}

func loop() []byte {
	var m wasmtest.Module
	m.Memory(0, 1)
	m.Func("_start", "", wasmtest.Loop())
	return m.Bytes()
}
