package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/cluster/node"
	"github.com/sett-run/sett/examples"
	"github.com/sett-run/sett/sdk"
	"github.com/sett-run/sett/sdk/client"
)

// How much of a reply the demo shows.
const (
	maxDemoReply = 4 << 10 // bytes
	maxDemoLine  = 92      // characters of a line
)

// demo is the whole story on one machine.
type demo struct {
	*cli
	dir    string // everything it makes, removed at the end
	node   *node.Node
	client *client.Client
}

// demoFunction is one example of the demo.
type demoFunction struct {
	name, what string
}

func demoFunctions() []demoFunction {
	return []demoFunction{
		{"hello", "the smallest function"},
		{"users", "a JSON API"},
		{"counter", "state in the replicated store"},
		{"wagi", "a plain Go program: stdin, stdout"},
	}
}

// demoRequest is one request the demo makes.
type demoRequest struct {
	method, path, body string
}

func demoRequests() []demoRequest {
	return []demoRequest{
		{"GET", "/hello/Ada", ""},
		{"GET", "/users/2", ""},
		{"POST", "/users", `{"name":"Grace"}`},
		{"GET", "/users/99", ""},
		{"POST", "/counter/visits", ""},
		{"POST", "/counter/visits", ""},
		{"POST", "/wagi?shout=1", "read from standard input"},
		{"GET", "/nobody/home", ""},
	}
}

// demo shows a node, deployments, requests and how fast they are.
func (c *cli) demo() *cobra.Command {
	once, nodes := false, 1
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show everything on this machine: a node, functions, requests and their latencies",
		Long: "It runs a node in a temporary directory on free ports, builds and deploys examples with the Go\n" +
			"toolchain, makes requests and measures them. Then it serves until it is interrupted.",
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if nodes < 1 || nodes > maxDemoNodes {
				return usage("demo: --nodes %d: it is between 1 and %d", nodes, maxDemoNodes)
			}
			if err := c.runDemo(cmd.Context(), nodes, once); err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end after the table instead of serving on")
	cmd.Flags().IntVar(&nodes, "nodes", 1, "show a cluster of `N` nodes instead, and the loss of its leader")
	return cmd
}

func (c *cli) runDemo(ctx context.Context, nodes int, once bool) (err error) {
	if _, err := findGo(); err != nil {
		return fmt.Errorf("the examples are built from source: %w", err)
	}
	d := &demo{cli: c}
	if d.dir, err = os.MkdirTemp("", "sett-demo-"); err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	d.say("Sett: upload a .wasm, every node answers for it.\n")
	if nodes > 1 {
		return d.runCluster(ctx, nodes, once)
	}
	if err := d.start(ctx); err != nil {
		return err
	}
	defer func() { err = closeNode(d.node, err) }()
	all := func(ctx context.Context) error { return d.deploy(ctx, "hello", "users", "counter", "wagi") }
	for _, step := range []func(context.Context) error{all, d.requests, d.latency} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if once {
		return nil
	}
	d.goOn()
	select {
	case <-ctx.Done():
		return nil
	case err := <-d.node.Failed():
		return err
	}
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }

// start runs a node of its own.
func (d *demo) start(ctx context.Context) (err error) {
	const free = "127.0.0.1:0"
	begin := time.Now()
	d.node, err = node.Start(ctx, node.Config{
		Data: filepath.Join(d.dir, "data"), HTTP: free, Admin: free, Cluster: free, Name: "demo", Version: buildVersion(),
		Log: slog.New(slog.NewTextHandler(d.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	if d.client, err = client.New("http://"+d.node.AdminAddr(), ""); err != nil {
		return closeNode(d.node, err)
	}
	d.say("\nA node: ready after %s\n\n", microText(float64(time.Since(begin).Microseconds())))
	d.say("  requests  http://%s\n  admin     http://%s\n", d.node.HTTPAddr(), d.node.AdminAddr())
	return nil
}

// deploy builds the examples, uploads them and deploys them, saying what it does as it does it.
func (d *demo) deploy(ctx context.Context, names ...string) error {
	files, err := exampleProject(names...)
	if err != nil {
		return err
	}
	if err := writeFiles(d.dir, files); err != nil {
		return fmt.Errorf("write examples: %w", err)
	}
	d.say("\nFunctions: Go source to .wasm, uploaded, compiled, live (Go's first build for WASI takes longest)\n\n")
	for _, f := range demoFunctions() {
		if !slices.Contains(names, f.name) {
			continue
		}
		d.say("  %-7s %-34s ", f.name, f.what)
		m := module{f.name, "./" + f.name, goLanguage, filepath.Join(d.dir, f.name+".wasm")}
		begin := time.Now()
		if _, err := buildGo(ctx, d.dir, m); err != nil {
			return err
		}
		info, err := os.Stat(m.file)
		if err != nil {
			return fmt.Errorf("build %s: %w", f.name, err)
		}
		d.say("built %s, %s; ", milliText(time.Since(begin).Milliseconds()), sizeText(info.Size()))
		digest, err := d.upload(ctx, d.client, m)
		if err != nil {
			return fmt.Errorf("deploy %s: %w", f.name, err)
		}
		done, err := d.client.Deploy(ctx, d.app, client.DeployRequest{Functions: []client.DeployFunction{{Name: f.name, Digest: digest}}})
		if err != nil {
			return fmt.Errorf("deploy %w", err)
		}
		d.say("compiled %s; v%d\n", milliText(done.Functions[0].CompileMS), done.Functions[0].Version)
	}
	return nil
}

// exampleProject is a Go module with examples, a folder each, and the SDK: files by slash path.
func exampleProject(names ...string) (map[string][]byte, error) {
	files := map[string][]byte{"go.mod": []byte("module examples\n\ngo 1.26.0\n\n" +
		"require " + sdk.Module + " v0.0.0\n\nreplace " + sdk.Module + " => ./" + sdkDir + "\n")}
	if err := addSDK(files, sdkDir); err != nil {
		return nil, err
	}
	sources := examples.Sources()
	for _, name := range names {
		err := fs.WalkDir(sources, name, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files[path], err = fs.ReadFile(sources, path)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("read example %s: %w", name, err)
		}
	}
	return files, nil
}

// requests makes real requests and shows their replies.
func (d *demo) requests(ctx context.Context) error {
	d.say("\nRequests: each in a pristine instance, straight from the network\n")
	for _, r := range demoRequests() {
		if err := d.request(ctx, r); err != nil {
			return fmt.Errorf("request %s: %w", r.path, err)
		}
	}
	return nil
}

func (d *demo) request(ctx context.Context, r demoRequest) error {
	url := "http://" + d.node.HTTPAddr() + r.path
	data := ""
	switch {
	case r.body != "":
		data = " -d '" + r.body + "'"
	case r.method == http.MethodPost:
		data = " -X POST"
	}
	d.say("\n  $ curl%s '%s'\n", data, url)
	req, err := http.NewRequestWithContext(ctx, r.method, url, strings.NewReader(r.body))
	if err != nil {
		return err
	}
	begin := time.Now()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDemoReply))
	if err != nil {
		return err
	}
	took := time.Since(begin)
	for line := range bytes.Lines(body) {
		text := printable(strings.TrimRight(string(line), "\r\n"))
		if short := cut(text, maxDemoLine); short != text {
			text = short + " ..."
		}
		d.say("  %s\n", text)
	}
	start := res.Header.Get("Sett-Start")
	if start == "" {
		start = "no function"
	}
	d.say("  -> %d, %s, %s\n", res.StatusCode, start, microText(float64(took.Microseconds())))
	return nil
}

// latency measures every function cold and warm.
func (d *demo) latency(ctx context.Context) error {
	d.say("\nHow fast: inside the node, without the network\n\n")
	paths := map[string]string{"hello": "/hello/Ada", "users": "/users/2", "counter": "/counter/visits", "wagi": "/wagi"}
	var done []client.BenchResponse
	for _, f := range demoFunctions() {
		b, err := d.client.Bench(ctx, d.app, f.name, client.BenchRequest{Cold: 10, Warm: 100,
			Request: &client.InvokeRequest{Method: http.MethodGet, Path: paths[f.name]}})
		if err != nil {
			return fmt.Errorf("bench %s: %w", f.name, err)
		}
		done = append(done, b)
	}
	var table strings.Builder
	inner := &cli{out: &table}
	if err := inner.benchTable(done); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		d.say("  %s", line)
	}
	return nil
}

// goOn says what to try next.
func (d *demo) goOn() {
	d.say("\nGo on, in another terminal:\n\n"+
		"  export SETT_NODE=http://%s\n"+
		"  sett functions\n"+
		"  sett logs -f\n"+
		"  sett bench hello\n"+
		"  sett new my-app && sett deploy my-app\n\n"+
		"Serving until Ctrl-C.\n", d.node.AdminAddr())
}
