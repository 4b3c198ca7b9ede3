// Package component measures requests to a wasi:http component in a Sett node and, if it is installed, in "wasmtime serve".
//
// Each server is a process of its own, asked by the same clients over HTTP in rounds that alternate, so that a noisy
// machine is noisy for both. It measures latencies, the servers' CPU time a request, with Sett's reset in it, and their
// resident memory behind each round; how long the deployment and the first request after it took; and how often a reply
// was not the one expected: with --expect '"count":1' it shows that no request saw another's state.
package component

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/valyala/fasthttp"

	"github.com/sett-run/sett/benchmarks/load"
	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/benchmarks/work"
	"github.com/sett-run/sett/runtime/registry"
)

// name is what this benchmark is called in results.
const name = "component"

// plan is what is asked of the servers.
type plan struct {
	file, wasmtime, path, expect string
	clients, requests, rounds    int
}

// Command is the sub-command.
func Command(out *record.Output) *cobra.Command {
	var p plan
	cmd := &cobra.Command{
		Use: name + " APP.wasm", Args: cobra.ExactArgs(1), Short: "A component's requests, beside wasmtime serve",
		Long: `Measures latency, processor time and memory of a component's requests in Sett and in "wasmtime serve". Without
wasmtime, which "cargo install wasmtime-cli" brings, Sett is measured alone.`,
		RunE: func(c *cobra.Command, args []string) error {
			if p.clients < 1 || p.requests < p.clients || p.rounds < 1 {
				return record.Usage("--clients and --rounds are at least 1, --requests at least as many as --clients")
			}
			p.file = args[0]
			return measure(c.Context(), p, out)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&p.clients, "clients", 8, "clients at once")
	flags.IntVar(&p.requests, "requests", 2000, "requests a round")
	flags.IntVar(&p.rounds, "rounds", 6, "rounds of each server")
	flags.StringVar(&p.path, "path", "/", "path that is asked for")
	flags.StringVar(&p.expect, "expect", "", "what every reply has in it")
	flags.StringVar(&p.wasmtime, "wasmtime", "wasmtime", "program to compare with")
	return cmd
}

func measure(ctx context.Context, p plan, out *record.Output) error {
	dir, err := os.MkdirTemp("", "sett-component")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	node, err := subject.StartNode(ctx, filepath.Join(dir, "data"), "")
	if err != nil {
		return err
	}
	defer node.Stop() //nolint:errcheck // it was measured
	sides := []*side{{name: "sett", address: node.HTTP, pid: node.PID()}}
	if err := deploy(ctx, p, node, out.Out); err != nil {
		return err
	}
	here, err := out.Version(ctx, p.wasmtime, "cargo install wasmtime-cli")
	if err != nil {
		return err
	}
	if here {
		other, err := startWasmtime(ctx, p)
		if err != nil {
			return err
		}
		defer other.stop()
		sides = append(sides, other)
	}
	for _, s := range sides { // warm
		if err := s.round(ctx, p, p.clients*20, record.New()); err != nil {
			return err
		}
	}
	for range p.rounds {
		for _, s := range sides {
			if err := s.round(ctx, p, p.requests, out.File); err != nil {
				return err
			}
		}
		slices.Reverse(sides) // there and back
	}
	fmt.Fprintf(out.Out, "%d requests of each, %d clients; none was answered without %q\n", p.rounds*p.requests, p.clients, p.expect)
	return nil
}

// deploy tells how long the deployment takes and the first request after it.
func deploy(ctx context.Context, p plan, n *subject.Process, out io.Writer) error {
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
	if err := load.Probe(ctx, n.HTTP, p.work()); err != nil {
		return fmt.Errorf("the first request: %w", err)
	}
	first := time.Since(began)
	resident, err := subject.ResidentKiB(n.PID())
	fmt.Fprintf(out, "%s, %.1f MB: deployed in %v, first request after it %v; resident then: %d MiB\n", filepath.Base(p.file), float64(len(module))/1e6,
		deployed.Round(time.Millisecond), first.Round(10*time.Microsecond), resident/1024)
	return err
}

// work is what servers are asked.
func (p plan) work() work.Work {
	return work.Work{
		Name: p.path,
		Ask:  func(r *fasthttp.Request, _, _ int) { work.Ask(r, "GET", p.path) },
		Check: func(body []byte) error {
			if !strings.Contains(string(body), p.expect) {
				return fmt.Errorf("body %.200q, want %q in it", body, p.expect)
			}
			return nil
		},
	}
}

// side is a server.
type side struct {
	name, address string
	pid           int
	stop          func()
}

// round has clients send so many requests together, and adds what they took. It is an error if a reply is not the one
// expected.
func (s *side) round(ctx context.Context, p plan, requests int, f *record.File) error {
	r, err := load.Run(ctx, load.Plan{
		Address: s.address, Work: p.work(), Connections: p.clients, Requests: requests,
		CPU: func() (time.Duration, error) { return subject.CPU(s.pid) },
	})
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	resident, err := subject.ResidentKiB(s.pid)
	if err != nil {
		return err
	}
	add := func(m record.Metric, v float64) {
		f.Add(record.Key{Bench: name, Work: filepath.Base(p.file), Subject: s.name, Metric: m}, v)
	}
	add(record.P50, r.Quantile(50))
	add(record.P99, r.Quantile(99))
	add(record.CPU, r.CPUPerRequest())
	add(record.Memory, float64(resident))
	return nil
}
