// Package latency measures cold and warm: how long an answer takes on every way that leads to one.
package latency

import (
	"time"

	"github.com/sett-run/sett/benchmarks/record"
	"github.com/spf13/cobra"
)

// name is what this benchmark is called in results.
const name = "latency"

// plan is what is measured.
type plan struct {
	rounds int
	length time.Duration // of each measurement
}

// Command is the sub-command.
func Command(out *record.Output) *cobra.Command {
	var p plan
	cmd := &cobra.Command{
		Use: "latency", Args: cobra.NoArgs,
		Short: "Cold and warm: a request on every path, of guests in several languages",
		Long: `Measures a request on every path, in the engine, without the network: in an instance that is never reset, which
is the yardstick, as it leaks; in one that is reset; in one made on the image; from the image and the code on disk;
and instantiated anew. It needs the sources: it runs go test ./runtime -bench Engine. Guests in C, Rust and JavaScript
need what .ci/run toolchains installs, and are left out without.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if p.rounds < 1 || p.length <= 0 {
				return record.Usage("--rounds and --time are at least 1")
			}
			if out.Small {
				p.rounds, p.length = 1, time.Millisecond
			}
			return engine(c.Context(), p, out)
		},
	}
	cmd.Flags().IntVar(&p.rounds, "rounds", 6, "rounds: fewer have no confidence")
	cmd.Flags().DurationVar(&p.length, "time", 100*time.Millisecond, "length of each measurement")
	return cmd
}
