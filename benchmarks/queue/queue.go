// Package queue measures the store's queues beside streams of Redis with a consumer group, both with every acknowledged
// change on disk.
//
//	go run ./benchmarks queue
//
// A message is sent, received and deleted: XADD, XREADGROUP, XACK with XDEL. Producers and consumers have a connection
// each, and do one thing after the other, with batches of messages: Sett's in one call, Redis's in one pipeline. Servers
// are processes of their own: a store of one node, one of three over loopback TCP, and one Redis with appendfsync
// always. Functions reach Sett's queues within the node and nobody reaches Redis so; to be fair both are asked over a
// socket, in the framing of the Redis protocol, so that there is as much of the system's and of the clients' work in
// both. Rounds alternate, so that a noisy machine is noisy for all of them; what counts is the ratios. Debian has Redis:
// apt-get install redis-server; without it Sett is measured alone.
package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/subject"
)

// name is what this benchmark is called in results.
const name = "queue"

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

// Command is the sub-command.
func Command(out *record.Output) *cobra.Command {
	var p plan
	var serve subject.Member
	cmd := &cobra.Command{
		Use: name, Args: cobra.NoArgs, Short: "Messages sent, received and deleted, beside streams of Redis",
		RunE: func(c *cobra.Command, _ []string) error {
			if p.rounds < 1 || p.clients < 1 || p.bytes < 1 || p.batch < 0 {
				return record.Usage("--rounds, --clients, --bytes and --batch are at least 1")
			}
			if serve.ID != "" {
				return serveNode(c.Context(), serve, p.profile, out)
			}
			if out.Small {
				p.rounds, p.length, p.clients = 1, 50*time.Millisecond, 2
			}
			return measure(c.Context(), p, out)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&p.rounds, "rounds", 6, "rounds of each system and size of batch")
	flags.DurationVar(&p.length, "time", time.Second, "length of a round")
	flags.IntVar(&p.clients, "clients", 8, "producers, and as many consumers")
	flags.IntVar(&p.bytes, "bytes", 1024, "size of a message")
	flags.IntVar(&p.batch, "batch", 0, "the only size of batches to measure (default 1, 10 and 100)")
	flags.StringVar(&p.dir, "dir", "", "where the data goes, on the disk to be measured (default a temporary directory)")
	flags.StringVar(&p.redis, "redis", "redis-server", "redis-server program")
	flags.StringVar(&p.profile, "profile", "", "where Sett's nodes leave profiles of their processor time")
	serve.Flags(flags)
	return cmd
}

// system is what has queues.
type system interface {
	name() string
	// connect opens a client's connection to a queue, which is made when it is not there yet.
	connect(ctx context.Context, queue string) (connection, error)
	stop() error
}

// measure has all systems do all sizes in turn, there and back.
func measure(ctx context.Context, p plan, out *record.Output) (err error) {
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
	fmt.Fprintf(out.Out, "messages of %d bytes, %d producers, %d consumers; %d rounds of %v in turn\n", p.bytes, p.clients, p.clients, p.rounds, p.length)
	for _, size := range p.batches() {
		for range p.rounds {
			for _, s := range systems {
				rate, err := round(ctx, s, p, size)
				if err != nil {
					return fmt.Errorf("%s: batches of %d: %w", s.name(), size, err)
				}
				out.File.Add(key(s.name(), size), rate)
			}
			slices.Reverse(systems)
		}
		report(out, size)
	}
	return nil
}

// messages are what counts: a message is sent, received and deleted.
const messages record.Metric = "messages_per_s"

func key(system string, size int) record.Key {
	return record.Key{Bench: name, Work: fmt.Sprintf("batches of %d", size), Subject: system, Metric: messages}
}

// startSystems starts all systems; what it answers is to be stopped also when there is an error.
func startSystems(ctx context.Context, p plan, out *record.Output) (systems []system, err error) {
	for _, nodes := range []int{1, 3} {
		g, err := subject.StartStores(ctx, p.dir, nodes, name, "--profile", p.profile)
		if err != nil {
			return systems, err
		}
		systems = append(systems, &settGroup{g})
	}
	if here, err := out.Version(ctx, p.redis, "apt-get install -y --no-install-recommends redis-server"); !here || err != nil {
		return systems, err
	}
	r, err := subject.StartRedis(ctx, p.redis, filepath.Join(p.dir, "redis"))
	if err == nil {
		systems = append(systems, &redisServer{r})
	}
	return systems, err
}

// report says whether the ratio to Redis is what is wanted.
func report(out *record.Output, size int) {
	of, beside := out.File.Find(key(settName(1), size)), out.File.Find(key(redisName, size))
	if least := wanted(size); least > 0 && beside != nil {
		ratio := record.Median(record.Ratios(of, beside))
		fmt.Fprintf(out.Out, "batches of %d: %s / %s %.2f, at least %v: %s\n", size, settName(1), redisName, ratio, least, record.Want(ratio >= least))
	}
}
