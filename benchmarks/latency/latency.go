// Package latency measures cold and warm: how long an answer takes on every way that leads to one. Its one function is
// Command. The engine's ways are measured by benchmarks of package runtime, without the network; what servers take until
// their first reply, by starting them.
package latency

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/sett-run/sett/benchmarks/server"
)

// name is what this benchmark is called in results.
const name = "latency"

// plan is what is measured.
type plan struct {
	rounds int
	length time.Duration // of each measurement

	run     []string // parts
	servers []string // that are started; empty: all
}

func parts() []string { return []string{"engine", "start"} }

// Command is the sub-command.
func Command(out *record.Output) *cobra.Command {
	var p plan
	cmd := &cobra.Command{
		Use: "latency", Args: cobra.NoArgs,
		Short: "Cold and warm: a request on every path, and servers that start",
		Long: `Part "engine" measures a request on every path, in the engine, without the network: in an instance that is never reset, which
is the yardstick, as it leaks; in one that is reset; in one made on the image; from the image and the code on disk;
and instantiated anew. It needs the sources: it runs go test ./runtime -bench Engine. Guests in C, Rust and JavaScript
need what .ci/run toolchains installs, and are left out without.

Part "start" measures how long servers take from the start of their process until their first reply, with what they keep
on disk: for Sett a node with its functions deployed.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if p.rounds < 1 || p.length <= 0 {
				return record.Usage("--rounds and --time are at least 1")
			}
			if out.Small {
				p.rounds, p.length, p.servers = 1, time.Millisecond, []string{server.Ceiling, "sett go"}
			}
			for _, part := range p.run {
				run := map[string]func(context.Context, plan, *record.Output) error{"engine": engine, "start": starts}[part]
				if run == nil {
					return record.Usage("--run %s: parts are %s", part, strings.Join(parts(), ", "))
				}
				if err := run(c.Context(), p, out); err != nil {
					return fmt.Errorf("%s: %w", part, err)
				}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&p.rounds, "rounds", 6, "rounds: fewer have no confidence")
	cmd.Flags().DurationVar(&p.length, "time", 100*time.Millisecond, "length of each measurement")
	cmd.Flags().StringSliceVar(&p.run, "run", parts(), "what to measure")
	cmd.Flags().StringArrayVar(&p.servers, "server", nil, "of the servers, only this one")
	return cmd
}
