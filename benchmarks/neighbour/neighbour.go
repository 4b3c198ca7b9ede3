// Package neighbour measures what one function's endless loop does to another function on the same node, or with
// --upload what the deployment of a large module does.
//
// It runs a node in a process of its own and calls a small function and /healthz over HTTP, one request after the other,
// in interleaved rounds with and without that beside.
package neighbour

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmtest"
)

// name is what this benchmark is called in results.
const name = "neighbour"

// loopMS is how long a loop lasts, in milliseconds; a round of requests must fit.
const loopMS = 4000

// Command is the sub-command.
func Command(out *record.Output) *cobra.Command {
	var p plan
	cmd := &cobra.Command{
		Use: name, Args: cobra.NoArgs, Short: "What endless loops, or a deployment, do to other functions",
		RunE: func(c *cobra.Command, _ []string) error {
			if p.loops < 0 || p.rounds < 1 || p.requests < 1 {
				return record.Usage("--rounds and --requests are at least 1, --loops at least 0")
			}
			if out.Small {
				p.rounds, p.requests = 1, 50
			}
			return measure(c.Context(), p, out)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&p.loops, "loops", 1, "invocations that loop at once")
	flags.StringVar(&p.upload, "upload", "", "deploy this module beside, instead of loops")
	flags.IntVar(&p.rounds, "rounds", 5, "rounds of each kind")
	flags.IntVar(&p.requests, "requests", 1000, "requests a round")
	return cmd
}

// plan is what is measured.
type plan struct {
	upload                  string // file; empty: loops
	loops, rounds, requests int
}

func measure(ctx context.Context, c plan, out *record.Output) error {
	dir, err := os.MkdirTemp("", "sett-neighbour")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := subject.StartNode(ctx, dir, "")
	if err != nil {
		return err
	}
	defer p.Stop() //nolint:errcheck // loops are cut off, which the node reports
	n := &child{p}
	if err := errors.Join(n.deploy(ctx, "hello", wasmtest.Answer("hello\n")), n.deploy(ctx, "loop", loop())); err != nil {
		return err
	}
	what := fmt.Sprintf("beside %d endless loops", c.loops)
	if c.upload != "" {
		what = "beside a deployment"
	}
	for i := range c.rounds {
		var alone, beside took
		err := n.round(ctx, c.requests, 0, &alone)
		if err == nil && c.upload != "" {
			err = n.uploading(ctx, c, i, &beside)
		} else if err == nil {
			err = n.round(ctx, c.requests, c.loops, &beside)
		}
		if err != nil {
			return err
		}
		for k, target := range targets() {
			add(out.File, target, record.Alone, alone[k])
			add(out.File, target, what, beside[k])
		}
	}
	return nil
}

// targets are what is called, in turn.
func targets() [2]string { return [2]string{"/hello", "/healthz"} }

// took holds how long each call of each target took.
type took [2][]time.Duration

// add adds a round's figures.
func add(f *record.File, target, subject string, all []time.Duration) {
	slices.Sort(all)
	for i, percent := range []int{50, 99, 100} {
		m := []record.Metric{record.P50, record.P99, "max_us"}[i]
		f.Add(record.Key{Bench: name, Work: target, Subject: subject, Metric: m}, float64(all[(len(all)-1)*percent/100].Nanoseconds())/1000)
	}
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
	status, err := subject.Get(ctx, address, path, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d", path, status)
	}
	return err
}

func loop() []byte {
	var m wasmtest.Module
	m.Memory(0, 1)
	m.Func("_start", "", wasmtest.Loop())
	return m.Bytes()
}
