// Command queue measures the store's queues beside streams of Redis with a consumer group, both with every acknowledged
// change on disk.
//
//	go run ./benchmarks/queue
//
// A message is sent, received and deleted: XADD, XREADGROUP, XACK with XDEL. Producers and consumers have a connection
// each, and do one thing after the other, with batches of messages: Sett's in one call, Redis's in one pipeline. Servers
// are processes of their own: a store of one node, one of three over loopback TCP, and one Redis with appendfsync
// always. Functions reach Sett's queues within the node and nobody reaches Redis so; to be fair both are asked over a
// socket, in the framing of the Redis protocol, so that there is as much of the system's and of the clients' work in
// both. Rounds alternate, so that a noisy machine is noisy for all of them; what counts is the ratios. Debian has Redis:
// apt-get install redis-server; without it Sett is measured alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `queue [-rounds N] [-time D] [-clients N] [-bytes N] [-batch N] [-dir DIR] [-redis FILE] [-profile DIR]

Prints messages sent, received and deleted per second, in batches of 1, 10 and 100, of one node of Sett, of three, and
of Redis, and the ratios beside what is wanted.`

// plan is what is measured.
type plan struct {
	rounds  int
	length  time.Duration // of a round
	clients int           // producers, and as many consumers
	bytes   int           // of a message's body
	batch   int           // the only size that is measured; 0: all
	dir     string        // of the data
	redis   string        // program
	profile string        // directory; empty: no profiles
}

// batches are the sizes that are measured.
func (p plan) batches() []int {
	if p.batch > 0 {
		return []int{p.batch}
	}
	return []int{1, 10, 100}
}

// wanted is the least ratio to Redis of one node, by size of batch; 0: none is wanted.
func wanted(batch int) float64 {
	if batch == 1 {
		return 0
	}
	return 0.5
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("queue", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, usage); flags.PrintDefaults() }
	var p plan
	var serve nodeConfig
	flags.IntVar(&p.rounds, "rounds", 3, "rounds of each system and size of batch")
	flags.DurationVar(&p.length, "time", 2*time.Second, "length of a round")
	flags.IntVar(&p.clients, "clients", 8, "producers, and as many consumers")
	flags.IntVar(&p.bytes, "bytes", 1024, "size of a message")
	flags.IntVar(&p.batch, "batch", 0, "the only size of batches to measure (default 1, 10 and 100)")
	flags.StringVar(&p.dir, "dir", "", "where the data goes, on the disk to be measured (default a temporary directory)")
	flags.StringVar(&p.redis, "redis", "redis-server", "redis-server program")
	flags.StringVar(&p.profile, "profile", "", "where Sett's nodes leave profiles of their processor time")
	serve.flags(flags)
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if p.rounds < 1 || p.clients < 1 || p.bytes < 1 || p.batch < 0 {
		fmt.Fprintln(stderr, "queue: -rounds, -clients, -bytes and -batch are at least 1")
		return 2
	}
	var err error
	serve.profile = p.profile
	if serve.dir != "" {
		err = serveNode(ctx, serve, stdin, stdout)
	} else {
		err = measure(ctx, p, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "queue:", err)
		return 1
	}
	return 0
}

// system is what has queues.
type system interface {
	name() string
	// connect opens a client's connection to a queue, which is made when it is not there yet.
	connect(ctx context.Context, queue string) (connection, error)
	stop() error
}

// measure has all systems do all sizes in turn, there and back.
func measure(ctx context.Context, p plan, out io.Writer) (err error) {
	dir, err := os.MkdirTemp(p.dir, "sett-benchmark-queue-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p.dir = dir
	systems, err := startSystems(ctx, p, out)
	defer func() {
		for _, s := range systems {
			err = errors.Join(err, s.stop())
		}
	}()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "messages of %d bytes, %d producers, %d consumers; %d rounds of %v in turn; messages/s: median (lowest to highest)\n",
		p.bytes, p.clients, p.clients, p.rounds, p.length)
	for _, size := range p.batches() {
		rates := map[string][]float64{}
		for range p.rounds {
			for _, s := range systems {
				rate, err := round(ctx, s, p, size)
				if err != nil {
					return fmt.Errorf("%s: batches of %d: %w", s.name(), size, err)
				}
				rates[s.name()] = append(rates[s.name()], rate)
			}
			slices.Reverse(systems)
		}
		report(out, size, rates)
	}
	return nil
}

// startSystems starts all systems; what it answers is to be stopped also when there is an error.
func startSystems(ctx context.Context, p plan, out io.Writer) (systems []system, err error) {
	for _, nodes := range []int{1, 3} {
		g, err := startSett(ctx, p, nodes)
		if g != nil {
			systems = append(systems, g)
		}
		if err != nil {
			return systems, err
		}
	}
	version, err := exec.CommandContext(ctx, p.redis, "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		fmt.Fprintf(out, "%s is left out: apt-get install -y --no-install-recommends redis-server\n", p.redis)
		return systems, nil
	}
	if err != nil {
		return systems, fmt.Errorf("%s --version: %w", p.redis, err)
	}
	fmt.Fprintf(out, "%s", version)
	r, err := startRedis(ctx, p)
	if err == nil {
		systems = append(systems, r)
	}
	return systems, err
}

// report prints the figures of a size, and the ratios.
func report(out io.Writer, size int, rates map[string][]float64) {
	fmt.Fprintf(out, "batches of %d\n", size)
	beside := 0.0
	if all := rates[redisName]; len(all) > 0 {
		beside = median(all)
	}
	for _, name := range []string{settName(1), settName(3), redisName} {
		all := rates[name]
		if len(all) == 0 {
			continue
		}
		line := fmt.Sprintf("  %-8s %8.0f (%.0f to %.0f)", name, median(all), slices.Min(all), slices.Max(all))
		if beside > 0 && name != redisName {
			line = fmt.Sprintf("%-42s %.2f x redis", line, median(all)/beside)
		}
		if least := wanted(size); beside > 0 && least > 0 && name == settName(1) {
			line += fmt.Sprintf(", at least %v: %s", least, want(median(all)/beside >= least))
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// want says whether a figure is what is asked for.
func want(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISSED"
}
