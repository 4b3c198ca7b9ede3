// Package component measures requests to a wasi:http component in a Sett node and, if it is installed, in "wasmtime serve".
//
// Each server is a process of its own, asked by the same clients over HTTP in rounds that alternate, so that a noisy
// machine is noisy for both. It measures latencies, the servers' CPU time a request, with Sett's reset in it, and their
// resident memory behind each round; how long the deployment and the first request after it took; and how often a reply
// was not the one expected: with --expect '"count":1' it shows that no request saw another's state.
package component

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
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
	sides := []*side{{name: "sett", url: "http://" + node.HTTP + p.path, pid: node.PID()}}
	if err := deploy(ctx, p, node, sides[0].url, out.Out); err != nil {
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
	first := time.Since(began)
	resident, err := subject.ResidentKiB(n.PID())
	fmt.Fprintf(out, "%s, %.1f MB: deployed in %v, first request after it %v; resident then: %d MiB\n", filepath.Base(p.file), float64(len(module))/1e6,
		deployed.Round(time.Millisecond), first.Round(10*time.Microsecond), resident/1024)
	return err
}

// side is a server.
type side struct {
	name, url string
	pid       int
	stop      func()
}

// round has clients send so many requests, one after the other each, and adds what they took. It is an error if a reply
// is not the one expected.
func (s *side) round(ctx context.Context, p plan, requests int, f *record.File) error {
	before, err := subject.CPU(s.pid)
	if err != nil {
		return err
	}
	var clients sync.WaitGroup
	took, errs := make([][]time.Duration, p.clients), make([]error, p.clients)
	for c := range p.clients {
		clients.Go(func() { took[c], errs[c] = s.ask(ctx, p.expect, requests/p.clients) })
	}
	clients.Wait()
	time.Sleep(50 * time.Millisecond) // what comes behind the last reply
	after, err := subject.CPU(s.pid)
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	resident, err := subject.ResidentKiB(s.pid)
	if err != nil {
		return err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	add := func(m record.Metric, v float64) {
		f.Add(record.Key{Bench: name, Work: filepath.Base(p.file), Subject: s.name, Metric: m}, v)
	}
	add(record.P50, micro(all[(len(all)-1)*50/100]))
	add(record.P99, micro(all[(len(all)-1)*99/100]))
	add(record.CPU, micro(after-before)/float64(len(all)))
	add(record.Memory, float64(resident))
	return nil
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func (s *side) ask(ctx context.Context, expect string, requests int) (took []time.Duration, err error) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range requests {
		began := time.Now()
		body, err := get(ctx, client, s.url)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		took = append(took, time.Since(began))
		if !strings.Contains(body, expect) {
			return nil, fmt.Errorf("%s: a reply is %.200q, want %q in it", s.name, body, expect)
		}
	}
	return took, nil
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
