// Component measures requests to a wasi:http component in a Sett node and, if it is installed, in "wasmtime serve".
//
//	go run ./benchmarks/component app.wasm
//
// Each server is a process of its own, asked by the same clients over HTTP in rounds that alternate, so that a noisy
// machine is noisy for both. It prints latencies, the servers' CPU time a request, with Sett's reset in it, and the ratios;
// how long the deployment and the first request after it took; and how often a reply was not the one expected: with
// -expect '"count":1' it shows that no request saw another's state.
package component

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/runtime/registry"
)

const usage = `component [-clients N] [-requests N] [-rounds N] [-expect TEXT] [-wasmtime PROGRAM] app.wasm

Prints latency and CPU time of a component's requests in Sett and in "wasmtime serve".
Without wasmtime, which "cargo install wasmtime-cli" brings, Sett is measured alone.`

// plan is what is asked of the servers.
type plan struct {
	file, wasmtime, path, expect string
	clients, requests, rounds    int
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("component", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, usage) }
	var p plan
	flags.IntVar(&p.clients, "clients", 8, "clients at once")
	flags.IntVar(&p.requests, "requests", 2000, "requests a round")
	flags.IntVar(&p.rounds, "rounds", 5, "rounds of each server")
	flags.StringVar(&p.path, "path", "/", "path that is asked for")
	flags.StringVar(&p.expect, "expect", "", "what every reply has in it")
	flags.StringVar(&p.wasmtime, "wasmtime", "wasmtime", "program to compare with")
	serve := flags.String(subject.Flag, "", "internal: run a node in this data directory")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var err error
	switch {
	case *serve != "":
		err = serveNode(ctx, *serve, os.Stdin, stdout)
	case flags.NArg() != 1 || p.clients < 1 || p.requests < p.clients || p.rounds < 1:
		flags.Usage()
		return 2
	default:
		p.file = flags.Arg(0)
		err = measure(ctx, p, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "component:", err)
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

func measure(ctx context.Context, p plan, out io.Writer) error {
	dir, err := os.MkdirTemp("", "sett-component")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	node, err := subject.Start(ctx, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer node.Stop() //nolint:errcheck // it was measured
	sides := []*side{{name: "sett", url: "http://" + node.HTTP + p.path, pid: node.PID()}}
	if err := deploy(ctx, p, node, sides[0].url, out); err != nil {
		return err
	}
	if _, err := exec.LookPath(p.wasmtime); err != nil {
		fmt.Fprintf(out, "%s is not here: get it with cargo install wasmtime-cli\n", p.wasmtime)
	} else {
		other, err := startWasmtime(ctx, p)
		if err != nil {
			return err
		}
		defer other.stop()
		sides = append(sides, other)
	}
	for _, s := range sides { // warm
		if err := s.load(ctx, p, p.clients*20); err != nil {
			return err
		}
		s.took, s.cpu, s.wrong = nil, 0, 0
	}
	for round := range p.rounds {
		for i := range sides {
			k := i
			if round%2 == 1 { // there and back
				k = len(sides) - 1 - i
			}
			if err := sides[k].load(ctx, p, p.requests); err != nil {
				return err
			}
		}
	}
	return report(sides, p, out)
}

// deploy tells how long the deployment takes and the first request after it.
func deploy(ctx context.Context, p plan, n *subject.Process, url string, out io.Writer) error {
	module, err := os.ReadFile(p.file)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := subject.Deploy(ctx, n.Admin, "app", module, registry.Settings{Routes: []registry.Route{{Pattern: "/{path...}"}}}); err != nil {
		return err
	}
	deployed := time.Since(began)
	began = time.Now()
	body, err := get(ctx, http.DefaultClient, url)
	if err != nil {
		return err
	}
	if !strings.Contains(body, p.expect) {
		return fmt.Errorf("the first reply is %.200q, want %q in it", body, p.expect)
	}
	_, err = fmt.Fprintf(out, "%s, %.1f MB: deployed in %v, first request after it %v\n", filepath.Base(p.file), float64(len(module))/1e6,
		deployed.Round(time.Millisecond), time.Since(began).Round(10*time.Microsecond))
	return err
}

// report prints the sides and what the first takes compared with the others.
func report(sides []*side, p plan, out io.Writer) error {
	fmt.Fprintf(out, "%d requests each, %d clients\n%-10s %10s %10s %10s %14s %8s %12s\n", p.rounds*p.requests, p.clients, "", "p50", "p99", "max",
		"CPU a request", "wrong", "resident")
	for _, s := range sides {
		slices.Sort(s.took)
		resident, err := subject.ResidentKiB(s.pid)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-10s %10v %10v %10v %14v %8d %8d MiB\n", s.name, s.at(50), s.at(99), s.at(100), s.perRequest(), s.wrong, resident/1024)
	}
	for _, s := range sides[1:] {
		fmt.Fprintf(out, "sett/%s: p50 %.2f, p99 %.2f, CPU %.2f\n", s.name, float64(sides[0].at(50))/float64(s.at(50)),
			float64(sides[0].at(99))/float64(s.at(99)), float64(sides[0].perRequest())/float64(s.perRequest()))
	}
	for _, s := range sides {
		if s.wrong > 0 {
			return fmt.Errorf("%s: %d replies without %q", s.name, s.wrong, p.expect)
		}
	}
	return nil
}

// side is a server and what its requests took.
type side struct {
	name, url string
	pid       int
	stop      func()

	mu    sync.Mutex // guards took and wrong
	took  []time.Duration
	wrong int
	cpu   time.Duration
}

func (s *side) at(percent int) time.Duration {
	return s.took[(len(s.took)-1)*percent/100].Round(time.Microsecond)
}

func (s *side) perRequest() time.Duration {
	return (s.cpu / time.Duration(len(s.took))).Round(time.Microsecond)
}

// load has clients send so many requests, one after the other each.
func (s *side) load(ctx context.Context, p plan, requests int) error {
	before, err := subject.CPU(s.pid)
	if err != nil {
		return err
	}
	var clients sync.WaitGroup
	errs := make([]error, p.clients)
	for c := range p.clients {
		clients.Go(func() { errs[c] = s.ask(ctx, p.expect, requests/p.clients) })
	}
	clients.Wait()
	time.Sleep(50 * time.Millisecond) // what comes behind the last reply
	after, err := subject.CPU(s.pid)
	s.cpu += after - before
	return errors.Join(append(errs, err)...)
}

func (s *side) ask(ctx context.Context, expect string, requests int) error {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	took, wrong := make([]time.Duration, 0, requests), 0
	for range requests {
		began := time.Now()
		body, err := get(ctx, client, s.url)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		took = append(took, time.Since(began))
		if !strings.Contains(body, expect) {
			wrong++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took, s.wrong = append(s.took, took...), s.wrong+wrong
	return nil
}

func get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s: %.200s", response.Status, body)
	}
	return string(body), err
}
