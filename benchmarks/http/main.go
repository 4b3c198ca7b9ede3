// Command http measures what Sett costs over HTTP: the same request answered by a bare fasthttp handler, by a Go stub
// behind router.Dispatch, with metrics and the access ring on, and with -guests by functions of a whole node.
//
// Each side is a process of its own whose CPU time is read from the kernel, so that the client's share does not
// count. Rounds alternate, so that a noisy machine is noisy for both. The figure is requests per second of the
// server's CPU time, and its ratio to the bare one's.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sett-run/sett/router"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/sdk/abi"
	"github.com/valyala/fasthttp"
)

// request is what both servers are asked: what a small API client sends.
const request = "GET /users/42?expand=orders HTTP/1.1\r\n" +
	"Host: shop.example\r\n" +
	"User-Agent: bench/1.0\r\n" +
	"Accept: application/json\r\n" +
	"Accept-Encoding: gzip, br\r\n" +
	"Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n" +
	"X-Request-Id: 9f86d081884c7d65\r\n\r\n"

// body is what both answer.
const body = `{"id":42,"name":"Brock","orders":[1,2,3]}`

const usage = `http [-rounds N] [-time D] [-connections N] [-full] [-guests]

Prints requests per CPU-second of the server for each round, and the ratio to the bare server.
With -full the bare server has the router's timeouts and limits too. With -guests a small guest
and one in Go answer too, each in a whole node.`

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("http", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, usage) }
	var p plan
	flags.IntVar(&p.rounds, "rounds", 40, "rounds of each")
	flags.DurationVar(&p.length, "time", 250*time.Millisecond, "length of a round")
	flags.IntVar(&p.connections, "connections", 16, "client connections")
	flags.BoolVar(&p.guests, "guests", false, "measure functions of whole nodes too")
	full := flags.Bool("full", false, "give the bare server the router's timeouts too")
	serve := flags.String("serve", "", "internal: be this server")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if p.rounds < 1 || p.connections < 1 {
		fmt.Fprintln(stderr, "http: -rounds and -connections are at least 1")
		return 2
	}
	var err error
	switch {
	case *serve != "":
		err = serveSide(ctx, *serve, *full, os.Stdin, stdout)
	default:
		err = compare(ctx, p, *full, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "http:", err)
		return 1
	}
	return 0
}

// plan is how the servers are loaded.
type plan struct {
	rounds      int
	length      time.Duration // of a round
	connections int
	guests      bool
}

// compare runs the servers in turn.
func compare(ctx context.Context, p plan, full bool, out io.Writer) error {
	names := []string{"bare", "sett"}
	if p.guests {
		names = append(names, "small", "go")
	}
	var sides []*side
	for _, name := range names {
		s, err := startSide(ctx, name, full)
		if err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
		defer s.stop()
		sides = append(sides, s)
		if _, err = s.load(ctx, p.length/4, p.connections); err != nil { // warm up
			return fmt.Errorf("load %s: %w", name, err)
		}
		s.answered, s.used = 0, 0
	}
	fmt.Fprint(out, "round")
	for _, name := range names {
		fmt.Fprintf(out, " %10s req/CPU-s", name)
	}
	fmt.Fprintln(out)
	ratios := make([][]float64, len(sides))
	for round := range p.rounds {
		rates := make([]float64, len(sides))
		for i := range sides {
			k := i
			if round%2 == 1 { // there and back
				k = len(sides) - 1 - i
			}
			var err error
			if rates[k], err = sides[k].load(ctx, p.length, p.connections); err != nil {
				return err
			}
		}
		fmt.Fprintf(out, "%5d", round+1)
		for k, rate := range rates {
			fmt.Fprintf(out, " %20.0f", rate)
			ratios[k] = append(ratios[k], rate/rates[0])
		}
		fmt.Fprintln(out)
	}
	for k, s := range sides[1:] {
		all := ratios[k+1]
		slices.Sort(all)
		bare, rate := sides[0].total(), s.total()
		fmt.Fprintf(out, "%s: bare %.0f, %s %.0f requests per CPU-second, ratio %.3f (CPU of a request %.2f times); "+
			"of a round: median %.3f, quartiles %.3f and %.3f\n", names[k+1], bare, names[k+1], rate, rate/bare, bare/rate,
			all[p.rounds/2], all[p.rounds/4], all[p.rounds*3/4])
	}
	return nil
}

// side is one server process. It answers a line on its standard input with the CPU seconds it has used.
type side struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	address string

	answered int // in all rounds, with the CPU seconds they took
	used     float64
}

// total is the requests per CPU-second of all rounds.
func (s *side) total() float64 { return float64(s.answered) / math.Max(s.used, 1e-9) }

func startSide(ctx context.Context, name string, full bool) (*side, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &side{command: exec.CommandContext(ctx, self, "-serve", name, "-full="+strconv.FormatBool(full))}
	s.command.Stderr = os.Stderr
	if s.in, err = s.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	if err = s.command.Start(); err != nil {
		return nil, err
	}
	s.address, err = s.out.ReadString('\n')
	s.address = strings.TrimSpace(s.address)
	return s, err
}

func (s *side) stop() {
	_ = s.in.Close() // ends it
	_ = s.command.Wait()
}

func (s *side) cpu() (float64, error) {
	if _, err := io.WriteString(s.in, "cpu\n"); err != nil {
		return 0, err
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(line), 64)
}

// load sends requests for a while and answers how many were answered per CPU-second of the server.
func (s *side) load(ctx context.Context, length time.Duration, connections int) (float64, error) {
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	var clients sync.WaitGroup
	answered, faults := make([]int, connections), make([]error, connections)
	end := time.Now().Add(length)
	for i := range connections {
		clients.Go(func() { answered[i], faults[i] = client(ctx, s.address, end) })
	}
	clients.Wait()
	after, err := s.cpu()
	if err != nil {
		return 0, err
	}
	total := 0
	for i := range connections {
		if faults[i] != nil {
			return 0, faults[i]
		}
		total += answered[i]
	}
	s.answered, s.used = s.answered+total, s.used+after-before
	return float64(total) / math.Max(after-before, 1e-9), nil
}

// client sends one request after the other on one connection. The first answer's length is that of all: neither
// side's changes.
func client(ctx context.Context, address string, end time.Time) (answered int, err error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buffer := make([]byte, 4096)
	length := 0
	for ; answered%64 != 0 || time.Now().Before(end); answered++ {
		if _, err = io.WriteString(c, request); err != nil {
			return answered, err
		}
		got := 0
		for got < max(length, 1) {
			n, err := c.Read(buffer[got:])
			if err != nil {
				return answered, err
			}
			got += n
		}
		if length == 0 {
			if length = got; !strings.HasSuffix(string(buffer[:got]), body) {
				return 0, fmt.Errorf("unexpected answer %q", buffer[:got])
			}
		}
	}
	return answered, nil
}

// serveSide is the server process.
func serveSide(ctx context.Context, name string, full bool, in io.Reader, out io.Writer) error {
	if name == "small" || name == "go" {
		address, stop, err := serveGuest(ctx, name)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, address)
		return errors.Join(tellCPU(in, out), stop())
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	start := serveBare
	if name == "sett" {
		start = serveSett
	}
	failed := make(chan error, 1)
	go func() { failed <- start(ln, full) }()
	fmt.Fprintln(out, ln.Addr())
	if err := tellCPU(in, out); err != nil {
		return err
	}
	select {
	case err = <-failed:
		return err
	default:
		return nil
	}
}

// tellCPU answers each line with the CPU seconds this process has used.
func tellCPU(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return err
		}
		fmt.Fprintln(out, seconds(u.Utime)+seconds(u.Stime))
	}
	return lines.Err()
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

func serveBare(ln net.Listener, full bool) error {
	reply := []byte(body)
	s := &fasthttp.Server{
		NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType("application/json")
			ctx.Response.SetBodyRaw(reply)
		},
	}
	if full {
		s.ReadBufferSize, s.ReadTimeout = router.DefaultHeaderBytes, router.DefaultHeaderTimeout
		s.WriteTimeout, s.IdleTimeout = router.DefaultWriteTimeout, router.DefaultIdleTimeout
	}
	return s.Serve(ln)
}

// stub is a function that costs nothing. The router only reads a result of which nothing is to be dropped, so that
// all invocations may share one.
type stub struct{ result *abi.Result }

func (s stub) Invoke(context.Context, *registry.Version, *abi.Event) (*abi.Result, error) {
	return s.result, nil
}

// functions are what the router is given instead of a registry's snapshot.
type functions []*registry.Function

func (f functions) Functions() []*registry.Function { return f }

func serveSett(ln net.Listener, _ bool) error {
	result := &abi.Result{Start: abi.Warm, Reply: abi.Reply{
		Headers: []abi.Field{{Name: "Content-Type", Value: "application/json"}}, Body: []byte(body),
	}}
	r, err := router.New(router.Config{Invoker: stub{result}, Metrics: prometheus.NewRegistry()})
	if err != nil {
		return err
	}
	if err = r.Swap(functions{{
		App: registry.DefaultApp, Name: "users", Latest: 1,
		Versions: []registry.Version{{
			App: registry.DefaultApp, Function: "users", Number: 1,
			Settings: registry.Settings{Routes: []registry.Route{{Pattern: "GET /users/{id}"}, {Pattern: "POST /users"}}, Reserved: 1000},
		}},
		Aliases: map[string][]registry.Weight{registry.LiveAlias: {{Version: 1, Weight: 100}}},
	}}); err != nil {
		return err
	}
	return r.Serve(ln)
}
