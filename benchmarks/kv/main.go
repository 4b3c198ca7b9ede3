// Command kv measures the store beside etcd and Redis, all of them with every acknowledged write on disk.
//
//	go run ./benchmarks/kv
//
// Each store is processes of its own: three nodes over loopback TCP for Sett and etcd, and one node of Sett beside one
// Redis with appendfsync always. Clients are in this process and have a connection each to the leader: the Redis
// protocol to Sett and Redis, gRPC to etcd; etcd with one connection for all clients is measured, too ("1c"). Rounds
// alternate, so that a noisy machine is noisy for all of them; what counts is the ratios. Debian has the others: apt-get install etcd-server redis-server; those that are missing are left out.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `kv [-rounds N] [-time D] [-run PARTS] [-only LOAD] [-dir DIR] [-etcd FILE] [-redis FILE]

Prints operations per second and latencies of Sett, etcd and Redis, how long a group is without a leader, how far
a follower is behind, what a read costs within the process, and the memory of a node, beside what is wanted.`

// parts of the program, in their order.
func parts() []string { return []string{"load", "failover", "lag", "inside", "memory"} }

// plan is what is measured.
type plan struct {
	rounds    int
	length    time.Duration // of a round
	failovers int
	lags      int
	run       []string // parts
	only      string   // loads whose name contains it
	dir       string   // of the stores' data
	etcd      string   // programs; empty: left out
	redis     string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("kv", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, usage); flags.PrintDefaults() }
	var p plan
	var serve nodeConfig
	flags.IntVar(&p.rounds, "rounds", 5, "rounds of each store and load")
	flags.DurationVar(&p.length, "time", 2*time.Second, "length of a round")
	flags.IntVar(&p.failovers, "failovers", 10, "leaders that are killed")
	flags.IntVar(&p.lags, "lags", 200, "writes to an idle group that a follower waits for")
	chosen := flags.String("run", strings.Join(parts(), ","), "what to measure")
	flags.StringVar(&p.only, "only", "", "of the loads, those whose name contains this")
	flags.StringVar(&p.dir, "dir", "", "where the stores' data goes, on the disk to be measured (default a temporary directory)")
	flags.StringVar(&p.etcd, "etcd", "etcd", "etcd program")
	flags.StringVar(&p.redis, "redis", "redis-server", "redis-server program")
	serve.flags(flags)
	if err := flags.Parse(args); err != nil {
		return 2
	}
	p.run = strings.Split(*chosen, ",")
	for _, name := range p.run {
		if !slices.Contains(parts(), name) {
			fmt.Fprintf(stderr, "kv: -run %s: parts are %s\n", name, strings.Join(parts(), ", "))
			return 2
		}
	}
	if p.rounds < 1 || p.failovers < 1 || p.lags < 1 {
		fmt.Fprintln(stderr, "kv: -rounds, -failovers and -lags are at least 1")
		return 2
	}
	var err error
	if serve.id != "" {
		err = serveNode(ctx, serve, stdin, stdout)
	} else {
		err = measure(ctx, p, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "kv:", err)
		return 1
	}
	return 0
}

// measure runs the parts of the plan.
func measure(ctx context.Context, p plan, out io.Writer) error {
	dir, err := os.MkdirTemp(p.dir, "sett-benchmark-kv-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p.dir = dir
	fmt.Fprintf(out, "%s; load of the machine %s\n", machine(), loadAverage())
	for _, name := range p.run {
		part := map[string]func(context.Context, plan, io.Writer) error{
			"load": compareLoads, "failover": measureFailover, "lag": measureLag, "inside": measureInside, "memory": measureMemory,
		}[name]
		fmt.Fprintln(out)
		if err := part(ctx, p, out); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	fmt.Fprintf(out, "\nload of the machine %s\n", loadAverage())
	return nil
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(text))
	if err != nil || len(f) < 3 {
		return "unknown"
	}
	return strings.Join(f[:3], " ")
}

// want says whether a figure is what is asked for.
func want(ok bool) string {
	if ok {
		return "ok"
	}
	return "MISSED"
}
